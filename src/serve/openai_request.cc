#include "serve/openai_request.h"

#include <algorithm>
#include <limits>
#include <span>
#include <utility>

#include "prompt/encode_prompt.h"
#include "serve/fields.h"
#include "serve/openai_messages.h"
#include "serve/openai_sampling.h"

namespace merope {
namespace {

constexpr int64_t kMin = std::numeric_limits<int64_t>::min(),
                  kMax = std::numeric_limits<int64_t>::max();
constexpr int64_t kMaxSequences = 16384;  // limit of prompts × n in one request

constexpr const char* kUnsupported[] = {"use_beam_search", "kv_transfer_params", "vllm_xargs",
                                        "guided_json",     "guided_regex",       "guided_choice",
                                        "guided_grammar"};
constexpr const char* kUnsupportedOfCompletions[] = {"suffix", "prompt_embeds"};
constexpr const char* kUnsupportedOfChat[] = {
    "tools",         "tool_choice",          "functions",        "function_call", "documents",
    "chat_template", "chat_template_kwargs", "reasoning_effort", "audio"};

// Keeps the last `tokens` tokens of a prompt. nullopt keeps all tokens.
struct Truncation {
  std::optional<int64_t> tokens;

  // Returns whether tokens were removed.
  bool Apply(std::vector<int32_t>* ids) const {
    if (!tokens || std::ssize(*ids) <= *tokens) return false;
    ids->erase(ids->begin(), ids->end() - *tokens);
    return true;
  }
};

// truncate_prompt_tokens = −1 keeps as many tokens as leave room for the answer.
Result<Truncation> ReadTruncation(const JsonFields& body, const SamplingParams& params,
                                  const ServedModel& model) {
  Truncation truncation;
  TRY(Set(body.Integer("truncate_prompt_tokens", -1, kMax), &truncation.tokens));
  if (truncation.tokens == -1) {
    const int64_t answer =
        std::clamp<int64_t>(params.max_tokens.value_or(1), 1, model.max_model_len);
    truncation.tokens = std::max<int64_t>(model.max_model_len - answer, 1);
  }
  return truncation;
}

// A null field means an absent field, except for max_tokens: absent means 16 tokens, null means as
// many tokens as fit.
Status ReadCompletionParams(const JsonFields& body, const Json& object, OpenAiRequest* request) {
  SamplingParams& params = request->params;
  if (const auto null = object.find("max_tokens"); null != object.end() && null->is_null())
    params.max_tokens = std::nullopt;
  TRY(Set(body.Integer("max_tokens", kMin, kMax), &params.max_tokens));
  TRY(Set(body.Integer("logprobs", kMin, kMax), &params.logprobs));
  if (request->echo && !params.prompt_logprobs) params.prompt_logprobs = params.logprobs;
  if (request->echo && params.max_tokens == 0) {
    request->scores_prompt = true;
    params.max_tokens = 1;
  }
  return {};
}

Status ReadChatParams(const JsonFields& body, const ServedModel& model, OpenAiRequest* request) {
  SamplingParams& params = request->params;
  params.max_tokens = model.defaults.max_new_tokens;
  TRY(Set(body.Integer("max_tokens", kMin, kMax), &params.max_tokens));
  TRY(Set(body.Integer("max_completion_tokens", kMin, kMax), &params.max_tokens));
  bool logprobs = false;
  TRY(Set(body.Bool("logprobs"), &logprobs));
  TRY_ASSIGN(const std::optional<int64_t> top, body.Integer("top_logprobs", kMin, kMax));
  if (top.value_or(0) != 0 && !logprobs)
    return FieldErr("top_logprobs", "expected none without logprobs, found {}", *top);
  if (logprobs) params.logprobs = top.value_or(0);
  return {};
}

// Ignores ids without text. A model's vocabulary can be padded beyond the tokenizer's vocabulary.
std::string TextOf(std::span<const int32_t> ids, const Tokenizer& tokenizer) {
  StreamDecoder decoder(tokenizer, false);
  std::string text;
  for (const int32_t id : ids) text += decoder.Push(id);
  return text + decoder.Finish();
}

Status AddText(const std::string& text, bool add_prefix, const Truncation& truncation,
               const ServedModel& model, OpenAiRequest* request) {
  OpenAiPrompt& prompt = request->prompts.emplace_back();
  TRY_ASSIGN(prompt.ids, EncodePrompt(model.tokenizer, text, add_prefix));
  const bool cut = truncation.Apply(&prompt.ids);
  if (!request->echo) return {};
  prompt.text = cut ? TextOf(prompt.ids, model.tokenizer) : text;
  return {};
}

void AddIds(std::vector<int32_t> ids, const Truncation& truncation, const ServedModel& model,
            OpenAiRequest* request) {
  truncation.Apply(&ids);
  request->prompts.push_back(
      {.ids = ids, .text = request->echo ? TextOf(ids, model.tokenizer) : ""});
}

// prompt: a string, an array of token ids, or an array of strings and arrays of token ids.
Status ReadPrompts(const JsonFields& body, const Truncation& truncation, const ServedModel& model,
                   OpenAiRequest* request) {
  bool add_prefix = true;
  TRY(Set(body.Bool("add_special_tokens"), &add_prefix));
  const Json* prompt = body.Find("prompt");
  if (prompt != nullptr && prompt->is_string())
    return AddText(prompt->get<std::string>(), add_prefix, truncation, model, request);
  if (prompt == nullptr || !prompt->is_array() || prompt->empty())
    return FieldErr("prompt", "expected a string, token ids, or an array of either, found {}",
                    prompt == nullptr ? "none" : Describe(*prompt));
  if (prompt->front().is_number()) {
    TRY_ASSIGN(std::vector<int32_t> ids, TokenIds(*prompt, "prompt"));
    AddIds(std::move(ids), truncation, model, request);
    return {};
  }
  if (std::ssize(*prompt) > kMaxSequences)
    return FieldErr("prompt", "expected at most {}, found {}", kMaxSequences, prompt->size());
  for (const Json& one : *prompt) {
    const std::string where = fmt::format("prompt[{}]", request->prompts.size());
    if (one.is_string()) {
      TRY(AddText(one.get<std::string>(), add_prefix, truncation, model, request));
    } else {
      TRY_ASSIGN(std::vector<int32_t> ids, TokenIds(one, where));
      AddIds(std::move(ids), truncation, model, request);
    }
  }
  return {};
}

Status ReadChat(const JsonFields& body, std::string_view text, const Truncation& truncation,
                const ServedModel& model, OpenAiRequest* request) {
  bool add_prefix = false, continues = false;
  TRY(Set(body.Bool("add_special_tokens"), &add_prefix));
  TRY(Set(body.Bool("continue_final_message"), &continues));
  TRY_ASSIGN(const std::optional<bool> generation_prompt, body.Bool("add_generation_prompt"));
  if (continues && generation_prompt == true)
    return FieldErr("continue_final_message",
                    "expected false with add_generation_prompt, found true");
  TRY_ASSIGN(RenderedChat chat, RenderMessages(body, RawMember(text, "messages"), model,
                                               generation_prompt.value_or(!continues), continues));
  TRY(AddText(chat.text, add_prefix, truncation, model, request));
  // echo repeats the last message only if its role is the assistant's.
  if (request->echo) request->prompts.front().text = std::move(chat.answer_so_far);
  return {};
}

Status ReadStreaming(const JsonFields& body, OpenAiRequest* request) {
  TRY(Set(body.Bool("stream"), &request->stream));
  const Json* options = body.Find("stream_options");
  if (options == nullptr) return {};
  if (!options->is_object())
    return FieldErr("stream_options", "expected an object, found {}", Describe(*options));
  if (!request->stream)
    return FieldErr("stream_options", "expected none without stream, found some");
  const JsonFields fields(*options, "stream_options");
  TRY(Set(fields.Bool("include_usage"), &request->include_usage));
  return Set(fields.Bool("continuous_usage_stats"), &request->continuous_usage);
}

Status ReadAnswering(const JsonFields& body, OpenAiRequest* request) {
  TRY(ReadStreaming(body, request));
  TRY(Set(body.String("request_id"), &request->id));
  TRY(Set(body.Integer("priority", kMin, kMax), &request->priority));
  TRY(Set(body.String("cache_salt"), &request->cache_salt));
  TRY(Set(body.Bool("echo"), &request->echo));
  TRY(Set(body.Bool("return_token_ids"), &request->gives_token_ids));
  return Set(body.Bool("return_tokens_as_token_ids"), &request->tokens_as_ids);
}

Result<OpenAiRequest> Parse(Endpoint endpoint, const Json& object, std::string_view text,
                            const ServedModel& model) {
  const bool chat = endpoint == Endpoint::kChatCompletions;
  const JsonFields body(object, "");
  TRY(RefuseUnsupported(body, kUnsupported));
  if (chat) {
    TRY(RefuseUnsupported(body, kUnsupportedOfChat));
  } else {
    TRY(RefuseUnsupported(body, kUnsupportedOfCompletions));
  }
  OpenAiRequest request;
  request.endpoint = endpoint;
  TRY(ReadAnswering(body, &request));
  SamplingParams& params = request.params;
  TRY_ASSIGN(params, ReadSamplingParams(body, text, model.defaults));
  params.output_kind = request.stream ? OutputKind::kDelta : OutputKind::kFinalOnly;
  TRY(Set(body.Integer("prompt_logprobs", kMin, kMax), &params.prompt_logprobs));
  request.gives_prompt_logprobs = params.prompt_logprobs.has_value();
  if (chat) {
    TRY(ReadChatParams(body, model, &request));
  } else {
    TRY(ReadCompletionParams(body, object, &request));
  }
  TRY_ASSIGN(const Truncation truncation, ReadTruncation(body, params, model));
  if (chat) {
    TRY(ReadChat(body, text, truncation, model, &request));
  } else {
    TRY(ReadPrompts(body, truncation, model, &request));
  }
  const int64_t most = kMaxSequences / std::ssize(request.prompts);
  if (params.n < 1 || params.n > most)
    return FieldErr("n", "expected 1 to {} for a request of {} prompts, found {}", most,
                    request.prompts.size(), params.n);
  return request;
}

}  // namespace

std::optional<Endpoint> EndpointAt(std::string_view path) {
  if (path == "/v1/completions") return Endpoint::kCompletions;
  if (path == "/v1/chat/completions") return Endpoint::kChatCompletions;
  return std::nullopt;
}

Result<OpenAiRequest> ParseOpenAiRequest(Endpoint endpoint, const Json& body, std::string_view text,
                                         const ServedModel& model) {
  TRY_ASSIGN(const std::optional<std::string> name, JsonFields(body, "").String("model"));
  if (name && !model.names.empty() && std::ranges::find(model.names, *name) == model.names.end())
    return std::unexpected(
        Error{"model: expected one that is served here, found " + Describe(*name),
              ErrorCode::kNotFound, "model"});
  TRY_ASSIGN(OpenAiRequest request, Parse(endpoint, body, text, model));
  return request;
}

Request EngineRequest(const OpenAiRequest& request, size_t prompt) {
  return {.prompt = request.prompts[prompt].ids,
          .params = request.params,
          .priority = request.priority,
          .cache_salt = request.cache_salt};
}

}  // namespace merope
