// Answers made from invented events.
#include "serve/openai_response.h"

#include <gtest/gtest.h>

#include <limits>

#include "tests/serve/support.h"

namespace merope {
namespace {

constexpr float kMinusInfinity = -std::numeric_limits<float>::infinity();

Event Ended(int64_t index, Ids ids, std::string text, FinishReason reason = FinishReason::kLength,
            StopReason stop_reason = {}) {
  return {.index = index,
          .ids = std::move(ids),
          .token_times = {},
          .logprobs = {},
          .text = std::move(text),
          .finish_reason = reason,
          .stop_reason = std::move(stop_reason),
          .prompt_logprobs = {},
          .error = {}};
}

class OpenAiResponseTest : public testing::Test {
 protected:
  OpenAiAnswer Answer(OpenAiRequest request) {
    return OpenAiAnswer(std::move(request), served_.model(), 1234);
  }
  Json Body(const OpenAiAnswer& answer) {
    EXPECT_TRUE(answer.whole());
    const auto body = answer.Body();
    EXPECT_TRUE(body) << body.error().message;
    return body ? Json::parse(*body) : Json();
  }

  Served served_;
};

TEST_F(OpenAiResponseTest, ACompletion) {
  OpenAiAnswer answer = Answer(*served_.Completion(R"("request_id": "r")"));
  Event event = Ended(0, Bytes("cd"), "cd", FinishReason::kStop, "e");
  event.cached_tokens = 2;
  EXPECT_FALSE(answer.whole());
  answer.Add(0, event);
  EXPECT_EQ(Body(answer), Json::parse(R"({
    "id": "cmpl-r", "object": "text_completion", "created": 1234, "model": "m",
    "choices": [{"index": 0, "text": "cd", "logprobs": null, "finish_reason": "stop",
                 "stop_reason": "e"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}})"));
  EXPECT_EQ(answer.usage().cached_tokens, 2);
}

TEST_F(OpenAiResponseTest, AChatCompletion) {
  OpenAiAnswer answer = Answer(*served_.Chat(R"("request_id": "r")"));
  answer.Add(0, Ended(0, Bytes("cd"), "c\"d", FinishReason::kStop, 9));
  EXPECT_EQ(Body(answer), Json::parse(R"({
    "id": "chatcmpl-r", "object": "chat.completion", "created": 1234, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "c\"d", "refusal": null},
                 "logprobs": null, "finish_reason": "stop", "stop_reason": 9}],
    "usage": {"prompt_tokens": 20, "completion_tokens": 2, "total_tokens": 22}})"));
}

TEST_F(OpenAiResponseTest, IdsAreMadeWhereNoneIsGiven) {
  OpenAiAnswer one = Answer(*served_.Completion(R"("n": 1)")),
               other = Answer(*served_.Completion(R"("n": 1)"));
  one.Add(0, Ended(0, {}, ""));
  other.Add(0, Ended(0, {}, ""));
  const std::string first = Body(one)["id"], second = Body(other)["id"];
  EXPECT_EQ(first.size(), std::string("cmpl-").size() + 32);
  EXPECT_NE(first, second);
}

TEST_F(OpenAiResponseTest, PromptsTimesN) {
  OpenAiAnswer answer =
      Answer(*served_.Parse(Endpoint::kCompletions, R"({"prompt": ["a", "bc"], "n": 2})"));
  answer.Add(1, Ended(1, {7}, "1.1"));
  answer.Add(0, Ended(1, {7}, "0.1"));
  answer.Add(1, Ended(0, {7}, "1.0"));
  EXPECT_FALSE(answer.whole());
  answer.Add(0, Ended(0, {7, 8}, "0.0"));
  const Json body = Body(answer);
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(body["choices"][i]["index"], i);
    EXPECT_EQ(body["choices"][i]["text"], fmt::format("{}.{}", i / 2, i % 2));
    EXPECT_EQ(body["choices"][i]["finish_reason"], "length");
    EXPECT_TRUE(body["choices"][i]["stop_reason"].is_null());
  }
  EXPECT_EQ(body["usage"]["prompt_tokens"], 5);
  EXPECT_EQ(body["usage"]["completion_tokens"], 5);
}

TEST_F(OpenAiResponseTest, PiecesAreJoined) {
  OpenAiAnswer answer = Answer(*served_.Completion(R"("logprobs": 0, "return_token_ids": true)"));
  Event first = Ended(0, Bytes("c"), "c");
  first.finish_reason.reset();
  first.logprobs = {{{103, -1, 1}}};
  Event second = Ended(0, Bytes("d"), "d");
  second.logprobs = {{{104, -2, 1}}};
  answer.Add(0, first);
  EXPECT_FALSE(answer.whole());
  answer.Add(0, second);
  const Json choice = Body(answer)["choices"][0];
  EXPECT_EQ(choice["text"], "cd");
  EXPECT_EQ(choice["token_ids"], Json(Bytes("cd")));
  EXPECT_EQ(choice["prompt_token_ids"], Json(Bytes("ab", {2})));
  EXPECT_EQ(choice["logprobs"]["token_logprobs"], Json({-1.0, -2.0}));
}

TEST_F(OpenAiResponseTest, LogprobsOfCompletions) {
  OpenAiAnswer answer = Answer(*served_.Completion(R"("logprobs": 2)"));
  // "é" is two tokens, and neither token is a whole character. The token of the second position is
  // not among the most probable tokens.
  Event event = Ended(0, Bytes("\xC3\xA9g"), "ég");
  event.logprobs = {{{4 + 0xC3, -0.5, 1}, {4 + 0xC3, -0.5, 1}, {4 + 'x', -1, 2}},
                    {{4 + 0xA9, -3, 9}, {4 + 'x', -0.25, 1}, {4 + 'y', kMinusInfinity, 2}},
                    {{4 + 'g', kMinusInfinity, 5}, {4 + 'x', 0, 1}, {4 + 'y', -9, 2}}};
  answer.Add(0, event);
  EXPECT_EQ(Body(answer)["choices"][0]["logprobs"], Json::parse(R"({
    "text_offset": [0, 1, 2],
    "token_logprobs": [-0.5, -3.0, -9999.0],
    "tokens": ["\ufffd", "\ufffd", "g"],
    "top_logprobs": [{"\ufffd": -0.5, "x": -1.0}, {"\ufffd": -3.0, "x": -0.25, "y": -9999.0},
                     {"g": -9999.0, "x": 0.0, "y": -9.0}]})"));
}

TEST_F(OpenAiResponseTest, LogprobsOfChat) {
  OpenAiAnswer answer = Answer(*served_.Chat(R"("logprobs": true, "top_logprobs": 1)"));
  Event event = Ended(0, Ids{4 + 0xC3, 4 + 'g'}, "?");
  event.logprobs = {{{4 + 0xC3, -0.5, 1}, {4 + 0xC3, -0.5, 1}},
                    {{4 + 'g', kMinusInfinity, 7}, {4 + 'x', -0.25, 1}}};
  answer.Add(0, event);
  EXPECT_EQ(Body(answer)["choices"][0]["logprobs"], Json::parse(R"({"content": [
    {"token": "\ufffd", "logprob": -0.5, "bytes": [195],
     "top_logprobs": [{"token": "\ufffd", "logprob": -0.5, "bytes": [195]}]},
    {"token": "g", "logprob": -9999.0, "bytes": [103],
     "top_logprobs": [{"token": "x", "logprob": -0.25, "bytes": [120]}]}]})"));
}

TEST_F(OpenAiResponseTest, TokensAsIds) {
  OpenAiAnswer answer =
      Answer(*served_.Completion(R"("logprobs": 1, "return_tokens_as_token_ids": true)"));
  Event event = Ended(0, Bytes("c"), "c");
  event.logprobs = {{{103, -1, 2}, {5000, -0.5, 1}}};
  answer.Add(0, event);
  const Json logprobs = Body(answer)["choices"][0]["logprobs"];
  EXPECT_EQ(logprobs["tokens"], Json({"token_id:103"}));
  EXPECT_EQ(logprobs["top_logprobs"][0],
            Json::parse(R"({"token_id:103": -1.0, "token_id:5000": -0.5})"));
}

// lm-eval scores a text in this way.
TEST_F(OpenAiResponseTest, EchoedPromptsAreScored) {
  for (const bool generates : {false, true}) {
    OpenAiAnswer answer = Answer(*served_.Completion(
        fmt::format(R"("echo": true, "logprobs": 1, "max_tokens": {})", generates ? 1 : 0)));
    Event event = Ended(0, Bytes("c"), "c");
    event.logprobs = {{{103, -4, 2}, {7, -0.5, 1}}};
    event.prompt_logprobs = {{{101, -1, 1}, {101, -1, 1}}, {{102, -2, 1}, {102, -2, 1}}};
    answer.Add(0, event);
    const Json body = Body(answer), choice = body["choices"][0];
    EXPECT_EQ(choice["text"], generates ? "abc" : "ab");
    Json expected = {nullptr, -1.0, -2.0};
    if (generates) expected.push_back(-4.0);
    EXPECT_EQ(choice["logprobs"]["token_logprobs"], expected);
    EXPECT_EQ(choice["logprobs"]["tokens"].size(), expected.size());
    EXPECT_TRUE(choice["logprobs"]["top_logprobs"][0].is_null());
    EXPECT_FALSE(choice.contains("prompt_logprobs"));
    EXPECT_EQ(body["usage"]["completion_tokens"], generates ? 1 : 0);
  }
}

TEST_F(OpenAiResponseTest, PromptLogprobs) {
  const Json expected = Json::parse(R"([null,
    {"101": {"logprob": -1.0, "rank": 3, "decoded_token": "a"},
     "102": {"logprob": -9999.0, "rank": 4, "decoded_token": "b"}}])");
  const std::vector<PositionLogprobs> found = {{{101, -1, 3}, {102, kMinusInfinity, 4}}};
  for (const bool chat : {false, true}) {
    const std::string members = R"("prompt_logprobs": 1, "return_token_ids": true)";
    OpenAiAnswer answer = Answer(chat ? *served_.Chat(members) : *served_.Completion(members));
    Event event = Ended(0, {7}, "");
    event.prompt_logprobs = found;
    answer.Add(0, event);
    const Json body = Body(answer), &holder = chat ? body : body["choices"][0];
    EXPECT_EQ(holder["prompt_logprobs"], expected);
    EXPECT_TRUE(holder["prompt_token_ids"].is_array());
    EXPECT_EQ(body["choices"][0]["token_ids"], Json({7}));
  }
}

TEST_F(OpenAiResponseTest, EchoInAChatPutsTheLastMessageFirst) {
  OpenAiAnswer answer = Answer(
      *served_.Parse(Endpoint::kChatCompletions,
                     R"({"messages": [{"role": "assistant", "content": "One, "}], "echo": true,
          "continue_final_message": true})"));
  answer.Add(0, Ended(0, {7}, "two"));
  EXPECT_EQ(Body(answer)["choices"][0]["message"]["content"], "One, two");
}

TEST_F(OpenAiResponseTest, AFailureOfTheEngineIsAnInternalError) {
  for (const FinishReason reason : {FinishReason::kError, FinishReason::kAbort}) {
    OpenAiAnswer answer = Answer(*served_.Completion(R"("n": 2)"));
    answer.Add(0, Ended(0, {7}, "fine"));
    Event event = Ended(0, {}, "", reason);
    if (reason == FinishReason::kError) event.error = Error{"kv: gone", ErrorCode::kInternal};
    event.index = 1;
    answer.Add(0, event);
    ASSERT_TRUE(answer.whole());
    const auto body = answer.Body();
    ASSERT_FALSE(body);
    EXPECT_EQ(body.error().code, ErrorCode::kInternal);
  }
}

// The joined chunks of a stream must equal the body of the same answer.
class OpenAiStreamTest : public OpenAiResponseTest {
 protected:
  static void Join(Json* to, const Json& part) {
    for (const auto& [name, value] : part.items()) {
      Json& old = (*to)[name];
      if (old.is_null() || name == "index") {
        old = value;
      } else if (value.is_string()) {
        old = old.get<std::string>() + value.get<std::string>();
      } else if (value.is_array()) {
        old.insert(old.end(), value.begin(), value.end());
      } else if (value.is_object()) {
        Join(&old, value);
      }
    }
  }

  // Gives the events of one request one by one to two answers. Compares the body of the first
  // answer with the joined chunks of the second.
  void ExpectTheSame(const OpenAiRequest& request,
                     const std::vector<std::pair<size_t, Event>>& events, size_t fewest_chunks) {
    OpenAiAnswer whole = Answer(request), stream = Answer(request);
    Json choices = Json::object(), head, usage;
    size_t n_chunks = 0;
    for (const auto& [prompt, event] : events) {
      whole.Add(prompt, event);
      stream.Add(prompt, event);
      for (const std::string& text : stream.Chunks()) {
        const Json chunk = Json::parse(text);
        EXPECT_EQ(chunk["created"], 1234);
        EXPECT_TRUE(head.is_null() ||
                    (head["id"] == chunk["id"] && head["model"] == chunk["model"]));
        head = chunk;
        if (chunk.contains("usage")) usage = chunk["usage"];
        for (const Json& choice : chunk["choices"]) Join(&choices[choice["index"].dump()], choice);
        ++n_chunks;
      }
    }
    EXPECT_GE(n_chunks, fewest_chunks);
    EXPECT_TRUE(stream.Chunks().empty());
    const Json body = Body(whole);
    ASSERT_EQ(choices.size(), body["choices"].size());
    for (const Json& expected : body["choices"]) {
      Json found = choices[expected["index"].dump()];
      if (found.contains("delta")) {
        found["message"] = found["delta"];
        found["message"]["refusal"] = nullptr;
        found.erase("delta");
      }
      EXPECT_EQ(found, expected);
    }
    if (request.include_usage) {
      EXPECT_EQ(usage, body["usage"]);
    }
  }

  static Event Piece(int64_t index, Ids ids, std::string text, bool logprobs) {
    Event event = Ended(index, std::move(ids), std::move(text));
    event.finish_reason.reset();
    if (logprobs)
      for (const int32_t id : event.ids) event.logprobs.push_back({{id, -0.5f, 1}, {id, -0.5f, 1}});
    return event;
  }
  static Event Last(Event event) {
    event.finish_reason = FinishReason::kStop;
    event.stop_reason = "x";
    return event;
  }
};

TEST_F(OpenAiStreamTest, Completions) {
  for (const std::string fields :
       {R"("n": 2)", R"("n": 2, "logprobs": 1)", R"("n": 2, "echo": true)",
        R"("n": 2, "echo": true, "logprobs": 1, "prompt_logprobs": 1, "return_token_ids": true)"}) {
    SCOPED_TRACE(fields);
    const bool logprobs = fields.contains("logprobs\": 1");
    OpenAiRequest request = *served_.Parse(
        Endpoint::kCompletions,
        R"({"prompt": ["a", "bc"], "stream": true, "stream_options": {"include_usage": true}, )" +
            fields + "}");
    std::vector<std::pair<size_t, Event>> events;
    for (size_t prompt = 0; prompt < 2; ++prompt) {
      Event first = Piece(0, Bytes("de"), "de", logprobs);
      for (size_t i = 1; request.params.prompt_logprobs && i < request.prompts[prompt].ids.size();
           ++i)
        first.prompt_logprobs.push_back({{request.prompts[prompt].ids[i], -1.f, 2}});
      events.emplace_back(prompt, first);
      events.emplace_back(prompt, Piece(1, Bytes("f"), "", logprobs));  // no text yet
      events.emplace_back(prompt, Last(Piece(0, Bytes("é"), "é", logprobs)));
      events.emplace_back(prompt, Last(Piece(1, {}, "f", logprobs)));
    }
    ExpectTheSame(request, events, 9);
  }
}

TEST_F(OpenAiStreamTest, Chats) {
  for (const std::string fields :
       {R"("n": 2)", R"("logprobs": true, "top_logprobs": 1, "return_token_ids": true)",
        R"("stream_options": {"include_usage": true, "continuous_usage_stats": true})"}) {
    SCOPED_TRACE(fields);
    const bool logprobs = fields.contains("top_logprobs");
    OpenAiRequest request = *served_.Chat(R"("stream": true, )" + fields);
    std::vector<std::pair<size_t, Event>> events;
    for (int64_t i = 0; i < request.params.n; ++i) {
      events.emplace_back(0, Piece(i, Bytes("de"), "d", logprobs));
      events.emplace_back(0, Last(Piece(i, Bytes("fg"), "efg", logprobs)));
    }
    ExpectTheSame(request, events, events.size());
  }
}

TEST_F(OpenAiStreamTest, AnErrorIsTheLastChunk) {
  OpenAiAnswer answer = Answer(*served_.Completion(R"("stream": true)"));
  answer.Add(0, Piece(0, Bytes("d"), "d", false));
  EXPECT_EQ(answer.Chunks().size(), 1u);
  Event failed = Ended(0, {}, "", FinishReason::kError);
  failed.error = Error{"the request was not done within 1 s", ErrorCode::kOverloaded};
  answer.Add(0, failed);
  const std::vector<std::string> chunks = answer.Chunks();
  ASSERT_EQ(chunks.size(), 1u);
  EXPECT_EQ(Json::parse(chunks[0])["error"]["code"], 503);
  EXPECT_TRUE(answer.Chunks().empty());
}

}  // namespace
}  // namespace merope
