// Parsing of request bodies: the value of each field, and the errors that name a refused field.
#include "serve/openai_request.h"

#include <gtest/gtest.h>

#include <limits>

#include "serve/api_error.h"
#include "template/date.h"
#include "tests/serve/support.h"
#include "tests/support/expect.h"

namespace merope {
namespace {

class OpenAiRequestTest : public testing::Test {
 protected:
  SamplingParams Params(const std::string& members) {
    const auto request = served_.Completion(members);
    EXPECT_TRUE(request) << members << ": " << request.error().message;
    return request ? request->params : SamplingParams();
  }
  // Expects an error with this field, whose message contains these words.
  static void ExpectRefused(const Result<OpenAiRequest>& request, const std::string& param,
                            const std::string& words) {
    ASSERT_FALSE(request) << param << ": " << words;
    EXPECT_EQ(request.error().field, param) << request.error().message;
    EXPECT_TRUE(Contains(request.error().message, words));
    EXPECT_EQ(request.error().code, ErrorCode::kInvalid);
  }

  Served served_;
};

TEST_F(OpenAiRequestTest, DefaultsOfCompletions) {
  const auto request = served_.Parse(Endpoint::kCompletions, R"({"prompt": "ab"})");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->params.max_tokens, 16);
  EXPECT_EQ(request->params.temperature, 1);
  EXPECT_EQ(request->params.output_kind, OutputKind::kFinalOnly);
  EXPECT_FALSE(request->params.logprobs);
  EXPECT_FALSE(request->params.structured_outputs);
  EXPECT_FALSE(request->echo || request->stream || request->scores_prompt);
  EXPECT_EQ(request->priority, 0);
  ASSERT_EQ(request->prompts.size(), 1);
  EXPECT_EQ(request->prompts[0].ids, Bytes("ab", {2}));
}

TEST_F(OpenAiRequestTest, EachFieldOfSampling) {
  EXPECT_EQ(Params(R"("n": 3)").n, 3);
  EXPECT_EQ(Params(R"("presence_penalty": -0.5)").presence_penalty, -0.5);
  EXPECT_EQ(Params(R"("frequency_penalty": 2)").frequency_penalty, 2);
  EXPECT_EQ(Params(R"("repetition_penalty": 1.5)").repetition_penalty, 1.5);
  EXPECT_EQ(Params(R"("temperature": 0)").temperature, 0);
  EXPECT_EQ(Params(R"("top_p": 0.25)").top_p, 0.25);
  EXPECT_EQ(Params(R"("min_p": 0.125)").min_p, 0.125);
  EXPECT_EQ(Params(R"("top_k": -1)").top_k, -1);
  EXPECT_EQ(Params(R"("seed": 9223372036854775807)").seed, std::numeric_limits<int64_t>::max());
  EXPECT_EQ(Params(R"("stop": "x")").stop, std::vector<std::string>{"x"});
  EXPECT_EQ(Params(R"("stop": ["x", "yz"])").stop, (std::vector<std::string>{"x", "yz"}));
  EXPECT_EQ(Params(R"("stop_token_ids": [7, 9])").stop_token_ids, (Ids{7, 9}));
  EXPECT_EQ(Params(R"("bad_words": ["no"])").bad_words, std::vector<std::string>{"no"});
  EXPECT_EQ(Params(R"("max_tokens": 5)").max_tokens, 5);
  EXPECT_EQ(Params(R"("max_tokens": null)").max_tokens, std::nullopt);
  EXPECT_EQ(Params(R"("min_tokens": 4)").min_tokens, 4);
  EXPECT_EQ(Params(R"("logprobs": 0)").logprobs, 0);
  EXPECT_EQ(Params(R"("prompt_logprobs": -1)").prompt_logprobs, -1);
  EXPECT_EQ(Params(R"("logit_bias": {"10": -100})").logit_bias,
            (std::vector<std::pair<int32_t, double>>{{10, -100}}));
  EXPECT_EQ(Params(R"("allowed_token_ids": [5])").allowed_token_ids, Ids{5});
  EXPECT_TRUE(Params(R"("ignore_eos": true)").ignore_eos);
  EXPECT_TRUE(Params(R"("include_stop_str_in_output": true)").include_stop_str_in_output);
  EXPECT_FALSE(Params(R"("skip_special_tokens": false)").skip_special_tokens);
  EXPECT_FALSE(Params(R"("spaces_between_special_tokens": false)").spaces_between_special_tokens);
  const auto repetition =
      Params(
          R"("repetition_detection": {"max_pattern_size": 9, "min_pattern_size": 2, "min_count": 3})")
          .repetition_detection;
  ASSERT_TRUE(repetition);
  EXPECT_EQ(repetition->max_pattern_size, 9);
  EXPECT_EQ(repetition->min_pattern_size, 2);
  EXPECT_EQ(repetition->min_count, 3);
}

TEST_F(OpenAiRequestTest, FieldsOfTheWrongKindAreRefusedByName) {
  struct Case {
    const char *members, *param, *words;
  };
  for (
      const Case& c : {
          Case{R"("temperature": "warm")", "temperature", "the string \"warm\""},
          Case{R"("temperature": true)", "temperature", "true"},
          Case{R"("n": 1.5)", "n", "1.5"},
          Case{R"("n": 0)", "n", "1 to 16384"},
          Case{R"("n": 16385)", "n", "found 16385"},
          Case{R"("max_tokens": "5")", "max_tokens", "a whole number"},
          Case{R"("seed": 9223372036854775808)", "seed", "a whole number"},
          Case{R"("stop": 5)", "stop", "a string or an array of strings, found 5"},
          Case{R"("stop": ["a", 5])", "stop[1]", "found 5"},
          Case{R"("stop_token_ids": [1, -1])", "stop_token_ids[1]", "a token id, found -1"},
          Case{R"("stop_token_ids": [2147483648])", "stop_token_ids[0]", "2147483648"},
          Case{R"("bad_words": "x")", "bad_words", "an array of strings"},
          Case{R"("logit_bias": [1])", "logit_bias", "an object"},
          Case{R"("logit_bias": {"x": 1})", "logit_bias", "\"x\""},
          Case{R"("logit_bias": {"1x": 1})", "logit_bias", "\"1x\""},
          Case{R"("logit_bias": {"1": "2"})", "logit_bias", "token 1"},
          Case{R"("ignore_eos": 1)", "ignore_eos", "true or false"},
          Case{R"("repetition_detection": 3)", "repetition_detection", "an object"},
          Case{R"("repetition_detection": {"min_count": "x"})", "repetition_detection.min_count",
               "min_count"},
          Case{R"("model": 3)", "model", "a string"},
          Case{R"("stream": "yes")", "stream", "true or false"},
          Case{R"("stream_options": {"include_usage": true})", "stream_options", "without stream"},
          Case{R"("stream": true, "stream_options": 1)", "stream_options", "an object"},
          Case{R"("truncate_prompt_tokens": -2)", "truncate_prompt_tokens", "from -1"},
          Case{R"("priority": 0.5)", "priority", "0.5"},
          Case{R"("structured_outputs": "json")", "structured_outputs", "an object"},
          Case{R"("structured_outputs": {"json": 3})", "structured_outputs.json", "found 3"},
          Case{R"("structured_outputs": {"choice": [1]})", "structured_outputs.choice[0]",
               "found 1"},
          Case{R"("response_format": "json")", "response_format", "an object"},
          Case{R"("response_format": {"type": "xml"})", "response_format.type", "\"xml\""},
          Case{R"("response_format": {})", "response_format.type", "found null"},
          Case{R"("response_format": {"type": "json_schema"})",
               "response_format.json_schema.schema", "none"},
          Case{R"("response_format": {"type": "json_schema", "json_schema": {"schema": 1}})",
               "response_format.json_schema.schema", "found 1"},
          Case{
              R"("response_format": {"type": "json_object"}, "structured_outputs": {"regex": "a"})",
              "response_format", "structured_outputs"},
          Case{R"("response_format": {}, "structured_outputs": {"regex": "a"})", "response_format",
               "found null"},
          Case{R"("response_format": {"type": {}}, "structured_outputs": {"regex": "a"})",
               "response_format", "found an object"},
      })
    ExpectRefused(served_.Completion(c.members), c.param, c.words);
}

TEST_F(OpenAiRequestTest, WhatIsNotSupportedIsRefusedByName) {
  for (const char* field : {"use_beam_search", "kv_transfer_params", "vllm_xargs", "guided_json",
                            "guided_regex", "guided_choice", "guided_grammar"}) {
    const std::string member = fmt::format(R"("{}": {{"x": 1}})", field);
    ExpectRefused(served_.Completion(member), field, "not supported");
    ExpectRefused(served_.Chat(member), field, "not supported");
  }
  for (const char* field : {"suffix", "prompt_embeds"})
    ExpectRefused(served_.Completion(fmt::format(R"("{}": "x")", field)), field, "not supported");
  for (const char* field : {"tools", "tool_choice", "functions", "function_call", "documents",
                            "chat_template", "chat_template_kwargs", "reasoning_effort", "audio"})
    ExpectRefused(served_.Chat(fmt::format(R"("{}": "x")", field)), field, "not supported");
  for (const char* field :
       {"whitespace_pattern", "disable_any_whitespace", "disable_additional_properties"})
    ExpectRefused(served_.Completion(fmt::format(
                      R"("structured_outputs": {{"json_object": true, "{}": true}})", field)),
                  std::string("structured_outputs.") + field, "not supported");
}

TEST_F(OpenAiRequestTest, WhatAsksForNothingIsNotRefused) {
  EXPECT_TRUE(served_.Completion(R"("suffix": "", "use_beam_search": false, "vllm_xargs": {},
                                    "prompt_embeds": null)"));
  EXPECT_TRUE(served_.Chat(R"("tools": [], "tool_choice": "none", "reasoning_effort": "none")"));
  EXPECT_TRUE(served_.Chat(R"("tool_choice": "auto")"));
}

TEST_F(OpenAiRequestTest, UnknownFieldsAreIgnored) {
  EXPECT_TRUE(served_.Completion(R"("user": "u", "flavour": ["x"], "logit_bias": null)"));
}

TEST_F(OpenAiRequestTest, TheModelsNames) {
  EXPECT_TRUE(served_.Completion(R"("model": "anything")"));
  served_.model().names = {"one", "two"};
  EXPECT_TRUE(served_.Completion(R"("model": "two")"));
  EXPECT_TRUE(served_.Completion(R"("n": 1)"));
  const auto refused = served_.Completion(R"("model": "three")");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kNotFound);
  EXPECT_EQ(refused.error().field, "model");
}

TEST_F(OpenAiRequestTest, TheCheckpointsDefaultsAreTakenUnlessGiven) {
  served_.model().defaults = {.temperature = 0.5,
                              .top_p = 0.75,
                              .min_p = 0.25,
                              .repetition_penalty = 1.25,
                              .top_k = 7,
                              .max_new_tokens = 33,
                              .do_sample = {}};
  const SamplingParams by_default = Params(R"("n": 1)");
  EXPECT_EQ(by_default.temperature, 0.5);
  EXPECT_EQ(by_default.top_p, 0.75);
  EXPECT_EQ(by_default.min_p, 0.25);
  EXPECT_EQ(by_default.repetition_penalty, 1.25);
  EXPECT_EQ(by_default.top_k, 7);
  EXPECT_EQ(by_default.max_tokens, 16);
  EXPECT_EQ(served_.Chat(R"("n": 1)")->params.max_tokens, 33);
  EXPECT_EQ(served_.Chat(R"("max_tokens": 5)")->params.max_tokens, 5);
  const SamplingParams given =
      Params(R"("temperature": 0, "top_p": 1, "min_p": 0, "repetition_penalty": 1, "top_k": 0)");
  EXPECT_EQ(given.temperature, 0);
  EXPECT_EQ(given.top_p, 1);
  EXPECT_EQ(given.min_p, 0);
  EXPECT_EQ(given.repetition_penalty, 1);
  EXPECT_EQ(given.top_k, 0);
}

TEST_F(OpenAiRequestTest, StructuredOutputs) {
  const auto of = [&](const std::string& members) {
    return Params(members).structured_outputs.value_or(StructuredOutputs());
  };
  EXPECT_EQ(of(R"("structured_outputs": {"regex": "a+"})").regex, "a+");
  EXPECT_EQ(of(R"("structured_outputs": {"grammar": "root ::= \"a\""})").grammar, "root ::= \"a\"");
  EXPECT_EQ(of(R"("structured_outputs": {"choice": ["a", "b"]})").choice,
            (std::vector<std::string>{"a", "b"}));
  EXPECT_TRUE(of(R"("structured_outputs": {"json_object": true})").json_object);
  EXPECT_EQ(of(R"("structured_outputs": {"structural_tag": "{}"})").structural_tag, "{}");
  EXPECT_EQ(of(R"("structured_outputs": {"json": "{\"type\": \"null\"}"})").json,
            R"({"type": "null"})");
  EXPECT_TRUE(of(R"("response_format": {"type": "json_object"})").json_object);
  EXPECT_FALSE(Params(R"("response_format": {"type": "text"})").structured_outputs);
  EXPECT_EQ(of(R"("response_format": {"type": "structural_tag", "x": [1]})").structural_tag,
            R"({"type": "structural_tag", "x": [1]})");
}

TEST_F(OpenAiRequestTest, SchemasKeepTheOrderOfTheirProperties) {
  const std::string schema = R"({"properties": {"z": {}, "a": {}}, "required": ["z"]})";
  EXPECT_EQ(Params(R"("structured_outputs": {"json": )" + schema + "}").structured_outputs->json,
            schema);
  EXPECT_EQ(
      Params(
          R"("response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": )" +
          schema + "}}")
          .structured_outputs->json,
      schema);
}

TEST_F(OpenAiRequestTest, HowItIsAnswered) {
  const auto request = served_.Completion(
      R"("stream": true, "stream_options": {"include_usage": true, "continuous_usage_stats": true},
         "request_id": "r", "priority": -2, "cache_salt": "s", "return_token_ids": true,
         "return_tokens_as_token_ids": true, "prompt_logprobs": 1)");
  ASSERT_TRUE(request);
  EXPECT_TRUE(request->stream && request->include_usage && request->continuous_usage);
  EXPECT_EQ(request->params.output_kind, OutputKind::kDelta);
  EXPECT_EQ(request->id, "r");
  EXPECT_TRUE(request->gives_token_ids && request->tokens_as_ids && request->gives_prompt_logprobs);
  const Request engine = EngineRequest(*request, 0);
  EXPECT_EQ(engine.prompt, Bytes("ab", {2}));
  EXPECT_EQ(engine.priority, -2);
  EXPECT_EQ(engine.cache_salt, "s");
  EXPECT_EQ(engine.params.prompt_logprobs, 1);
}

TEST_F(OpenAiRequestTest, KindsOfPrompts) {
  const auto prompts = [&](const std::string& prompt) {
    const auto request =
        served_.Parse(Endpoint::kCompletions, R"({"echo": true, "prompt": )" + prompt + "}");
    EXPECT_TRUE(request) << prompt;
    std::vector<std::pair<Ids, std::string>> found;
    for (const OpenAiPrompt& one : request->prompts) found.emplace_back(one.ids, one.text);
    return found;
  };
  using Found = std::vector<std::pair<Ids, std::string>>;
  EXPECT_EQ(prompts(R"("ab")"), (Found{{Bytes("ab", {2}), "ab"}}));
  EXPECT_EQ(prompts(R"(["a", "b"])"), (Found{{Bytes("a", {2}), "a"}, {Bytes("b", {2}), "b"}}));
  EXPECT_EQ(prompts("[101, 102]"), (Found{{{101, 102}, "ab"}}));
  EXPECT_EQ(prompts("[[101], [102, 999]]"), (Found{{{101}, "a"}, {{102, 999}, "b"}}));
  for (const char* bad : {"null", "5", "{}", "[]"})
    ExpectRefused(served_.Parse(Endpoint::kCompletions, std::string(R"({"prompt": )") + bad + "}"),
                  "prompt", "expected a string");
  const auto refused = [&](const std::string& prompt, const std::string& param) {
    ExpectRefused(served_.Parse(Endpoint::kCompletions, R"({"prompt": )" + prompt + "}"), param,
                  "expected");
  };
  refused(R"([1, "a"])", "prompt[1]");
  refused(R"(["a", 1])", "prompt[1]");
  refused("[[1], [null]]", "prompt[1][0]");
  const auto many = [](int64_t count) {
    std::string list = "[\"a\"";
    for (int64_t i = 1; i < count; ++i) list += ",\"a\"";
    return list + "]";
  };
  EXPECT_EQ(prompts(many(16384)).size(), 16384);
  ExpectRefused(served_.Parse(Endpoint::kCompletions, R"({"prompt": )" + many(16385) + "}"),
                "prompt", "expected at most 16384, found 16385");
  ExpectRefused(served_.Parse(Endpoint::kCompletions, R"({"prompt": ["a", "b"], "n": 8193})"), "n",
                "1 to 8192");
}

TEST_F(OpenAiRequestTest, SpecialTokensAreAddedUnlessToldOtherwise) {
  EXPECT_EQ(served_.Completion(R"("add_special_tokens": false)")->prompts[0].ids, Bytes("ab"));
  EXPECT_EQ(served_.Chat(R"("add_special_tokens": true)")->prompts[0].ids.front(), 2);
}

TEST_F(OpenAiRequestTest, TruncationKeepsThePromptsEnd) {
  const auto truncated = [&](const std::string& members) {
    return served_.Completion(R"("echo": true, )" + members)->prompts[0];
  };
  EXPECT_EQ(truncated(R"("truncate_prompt_tokens": 1)").ids, Bytes("b"));
  EXPECT_EQ(truncated(R"("truncate_prompt_tokens": 1)").text, "b");
  EXPECT_EQ(truncated(R"("truncate_prompt_tokens": 3)").ids, Bytes("ab", {2}));
  EXPECT_EQ(truncated(R"("truncate_prompt_tokens": 3)").text, "ab");
  EXPECT_EQ(truncated(R"("truncate_prompt_tokens": 0)").ids, Ids());
  served_.model().max_model_len = 10;  // −1 leaves room for the answer
  EXPECT_EQ(truncated(R"("truncate_prompt_tokens": -1, "max_tokens": 8)").ids, Bytes("ab"));
  EXPECT_EQ(truncated(R"("truncate_prompt_tokens": -1, "max_tokens": 2)").ids.size(), 3);
}

TEST_F(OpenAiRequestTest, EchoScoresThePromptWithoutGenerating) {
  const auto request = served_.Completion(R"("echo": true, "max_tokens": 0, "logprobs": 2)");
  ASSERT_TRUE(request);
  EXPECT_TRUE(request->scores_prompt);
  EXPECT_EQ(request->params.max_tokens, 1);
  EXPECT_EQ(request->params.prompt_logprobs, 2);
  EXPECT_FALSE(request->gives_prompt_logprobs);
  EXPECT_EQ(served_.Completion(R"("max_tokens": 0)")->params.max_tokens, 0);  // refused later
}

TEST_F(OpenAiRequestTest, ChatsPromptIsRendered) {
  const auto request = served_.Chat(R"("n": 1)");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->prompts[0].ids, Bytes("[user]Hi\n[assistant]"));
  EXPECT_EQ(request->params.max_tokens, std::nullopt);
  EXPECT_EQ(served_.Chat(R"("add_generation_prompt": false)")->prompts[0].ids, Bytes("[user]Hi\n"));
  const auto parts = served_.Parse(Endpoint::kChatCompletions,
                                   R"({"messages": [{"role": "user", "content": [
           {"type": "text", "text": "a"}, {"type": "text", "text": "b"}]},
           {"role": "assistant", "content": null}]})");
  ASSERT_TRUE(parts);
  EXPECT_EQ(parts->prompts[0].ids, Bytes("[user]a\nb\n[assistant]\n[assistant]"));
}

TEST_F(OpenAiRequestTest, TheTemplateSeesAMessagesFields) {
  served_.model().chat_template = *ChatTemplate::Parse(
      "{% for m in messages %}{{ m | tojson }}{{ strftime_now('%F') }}{% endfor %}", "template");
  served_.model().date = *ParseDate("2001-01-02", "date");
  const auto request = served_.Parse(
      Endpoint::kChatCompletions,
      R"({"messages": [{"name": "n", "role": "tool", "content": "", "tool_call_id": null, "x": 1},
          {"role": "assistant", "tool_calls": [{"function": {"arguments": "{\"b\": 1, \"a\": 2}"}}]}]})");
  ASSERT_TRUE(request);
  EXPECT_EQ(request->prompts[0].ids,
            Bytes(R"({"name": "n", "role": "tool", "content": "", "x": 1}2001-01-02)"
                  R"({"role": "assistant", "tool_calls": [{"function": {"arguments": )"
                  R"({"b": 1, "a": 2}}}]}2001-01-02)"));
}

TEST_F(OpenAiRequestTest, ChatsOwnFields) {
  EXPECT_EQ(served_.Chat(R"("max_tokens": 5, "max_completion_tokens": 6)")->params.max_tokens, 6);
  EXPECT_EQ(served_.Chat(R"("logprobs": true)")->params.logprobs, 0);
  EXPECT_EQ(served_.Chat(R"("logprobs": true, "top_logprobs": 4)")->params.logprobs, 4);
  EXPECT_EQ(served_.Chat(R"("logprobs": false, "top_logprobs": 0)")->params.logprobs, std::nullopt);
  ExpectRefused(served_.Chat(R"("top_logprobs": 4)"), "top_logprobs", "without logprobs");
  ExpectRefused(served_.Chat(R"("logprobs": 4)"), "logprobs", "true or false");
}

TEST_F(OpenAiRequestTest, ContinuesTheFinalMessage) {
  const auto chat = [&](const std::string& last, const std::string& members) {
    return served_.Parse(Endpoint::kChatCompletions,
                         R"({"messages": [{"role": "user", "content": "ok"},
                             {"role": "assistant", "content": ")" +
                             last + R"("}], "continue_final_message": true)" + members + "}");
  };
  EXPECT_EQ(chat("ok", "")->prompts[0].ids, Bytes("[user]ok\n[assistant]ok"));
  // As in transformers: the template trims the content, so the prompt ends with the trimmed text.
  EXPECT_EQ(chat(" ok ", "")->prompts[0].ids, Bytes("[user]ok\n[assistant]ok"));
  EXPECT_EQ(chat("ok|", "")->prompts[0].ids, Bytes("[user]ok\n[assistant]ok|"));
  EXPECT_EQ(chat("<", "")->prompts[0].ids, Bytes("[user]ok\n[assistant]<"));
  EXPECT_EQ(chat("", "")->prompts[0].ids, Bytes("[user]ok\n[assistant]"));
  EXPECT_EQ(chat("ok", R"(, "echo": true)")->prompts[0].text, "ok");
  ExpectRefused(chat("ok", R"(, "add_generation_prompt": true)"), "continue_final_message",
                "add_generation_prompt");
}

TEST_F(OpenAiRequestTest, EchoInAChatIsOfTheAssistantsLastMessage) {
  EXPECT_EQ(served_.Chat(R"("echo": true)")->prompts[0].text, "");
}

TEST_F(OpenAiRequestTest, BadMessagesAreRefusedByName) {
  struct Case {
    const char *messages, *param, *words;
  };
  for (const Case& c : {
           Case{"null", "messages", "none"},
           Case{"[]", "messages", "at least one"},
           Case{R"("hi")", "messages", "an array"},
           Case{R"(["hi"])", "messages[0]", "an object"},
           Case{R"([{"content": "x"}])", "messages[0].role", "none"},
           Case{R"([{"role": 1, "content": "x"}])", "messages[0].role", "expected a string"},
           Case{R"([{"role": "user"}])", "messages[0].content", "none"},
           Case{R"([{"role": "user", "content": 5}])", "messages[0].content", "found 5"},
           Case{R"([{"role": "user", "content": ["x"]}])", "messages[0].content[0]", "an object"},
           Case{R"([{"role": "user", "content": [{"type": "image_url"}]}])",
                "messages[0].content[0].type", "image_url"},
           Case{R"([{"role": "user", "content": [{"type": "text"}]}])",
                "messages[0].content[0].text", "none"},
           Case{R"([{"role": "assistant", "tool_calls": [{}]}])",
                "messages[0].tool_calls[0].function", "an object"},
           Case{R"([{"role": "assistant", "audio": {"id": "x"}}])", "messages[0].audio",
                "not supported"},
       })
    ExpectRefused(served_.Parse(Endpoint::kChatCompletions,
                                std::string(R"({"messages": )") + c.messages + "}"),
                  c.param, c.words);
  served_.model().chat_template.reset();
  ExpectRefused(served_.Chat(R"("n": 1)"), "messages", "chat template");
  served_.model().chat_template =
      *ChatTemplate::Parse("{{ raise_exception('only users') }}", "template");
  ExpectRefused(served_.Chat(R"("n": 1)"), "messages", "only users");
}

TEST(Endpoints, ByTheirPaths) {
  EXPECT_EQ(EndpointAt("/v1/completions"), Endpoint::kCompletions);
  EXPECT_EQ(EndpointAt("/v1/chat/completions"), Endpoint::kChatCompletions);
  EXPECT_EQ(EndpointAt("/v1/embeddings"), std::nullopt);
}

TEST(ErrorJson, OpenAisObject) {
  const std::unexpected<Error> field = FieldErr("a.b[1]", "expected {}", "x");
  EXPECT_EQ(
      ErrorJson(field.error()).dump(),
      R"({"message":"a.b[1]: expected x","type":"BadRequestError","param":"a.b[1]","code":400})");
  EXPECT_EQ(ErrorJson(Error{"no field: here"}).dump(),
            R"({"message":"no field: here","type":"BadRequestError","param":null,"code":400})");
  EXPECT_EQ(ErrorJson(Error{"model: none", ErrorCode::kNotFound, "model"}).dump(),
            R"({"message":"model: none","type":"NotFoundError","param":"model","code":404})");
  EXPECT_EQ(ErrorJson(Error{"busy", ErrorCode::kOverloaded}).dump(),
            R"({"message":"busy","type":"ServiceUnavailableError","param":null,"code":503})");
  EXPECT_EQ(ErrorJson(Error{"kv: gone", ErrorCode::kInternal}).dump(),
            R"({"message":"kv: gone","type":"InternalServerError","param":null,"code":500})");
}

}  // namespace
}  // namespace merope
