#include "serve/openai_response.h"

#include <iterator>
#include <random>
#include <span>
#include <utility>

#include "serve/logprobs_json.h"

namespace merope {
namespace {

using OrderedJson = nlohmann::ordered_json;

std::string Dump(const OrderedJson& json) {
  return json.dump(-1, ' ', false, OrderedJson::error_handler_t::replace);
}

template <class T>
void Append(std::vector<T>* to, std::vector<T> from) {
  to->insert(to->end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

OrderedJson StopReasonJson(const StopReason& reason) {
  if (const auto* id = std::get_if<int32_t>(&reason)) return *id;
  if (const auto* text = std::get_if<std::string>(&reason)) return *text;
  return nullptr;
}

}  // namespace

OpenAiAnswer::OpenAiAnswer(OpenAiRequest request)
    : request_(std::move(request)),
      sequences_(request_.prompts.size() * static_cast<size_t>(request_.params.n)),
      prompt_logprobs_(request_.prompts.size()) {
  for (const OpenAiPrompt& prompt : request_.prompts)
    usage_.prompt_tokens += std::ssize(prompt.ids);
}

void OpenAiAnswer::Add(size_t prompt, Event event) {
  const auto n = static_cast<size_t>(request_.params.n);
  Sequence& sequence = sequences_[prompt * n + static_cast<size_t>(event.index)];
  // The others of its n take the prompt from the cache because the first one computed it.
  if (event.index == 0) usage_.cached_tokens += event.cached_tokens;
  if (!request_.scores_prompt) usage_.completion_tokens += std::ssize(event.ids);
  Append(&sequence.ids, std::move(event.ids));
  Append(&sequence.logprobs, std::move(event.logprobs));
  Append(&prompt_logprobs_[prompt], std::move(event.prompt_logprobs));
  sequence.text += event.text;
  if (!event.finish_reason) return;
  sequence.finish_reason = *event.finish_reason;
  sequence.stop_reason = std::move(event.stop_reason);
  refused_ = refused_ || event.refused;
  if (sequence.finish_reason == FinishReason::kError)
    error_ = event.error.empty() ? "the engine failed" : std::move(event.error);
  if (sequence.finish_reason == FinishReason::kAbort) error_ = "the request was aborted";
  ++ended_;
}

std::string OpenAiAnswer::CompletionChoice(size_t index, const ServedModel& model) const {
  const Sequence& sequence = sequences_[index];
  const size_t prompt = index / static_cast<size_t>(request_.params.n);
  const OpenAiPrompt& given = request_.prompts[prompt];
  const TokenNames names{model.tokenizer, request_.tokens_as_ids};
  std::vector<int32_t> ids;
  std::vector<PositionLogprobs> logprobs;
  std::string text;
  if (request_.echo) {
    ids = given.ids;
    logprobs = prompt_logprobs_[prompt];
    text = given.text;
  }
  if (!request_.scores_prompt) {
    Append(&ids, sequence.ids);
    Append(&logprobs, sequence.logprobs);
    text += sequence.text;
  }
  OrderedJson choice = {
      {"index", index},
      {"text", text},
      {"logprobs",
       request_.params.logprobs ? CompletionLogprobs(ids, logprobs, names) : OrderedJson(nullptr)},
      {"finish_reason", FinishReasonName(sequence.finish_reason)},
      {"stop_reason", StopReasonJson(sequence.stop_reason)}};
  if (request_.gives_token_ids) {
    choice["token_ids"] = ids;
    choice["prompt_token_ids"] = given.ids;
  }
  if (request_.gives_prompt_logprobs)
    choice["prompt_logprobs"] = PromptLogprobs(prompt_logprobs_[prompt], names);
  return Dump(choice);
}

std::string OpenAiAnswer::ChatChoice(size_t index, const ServedModel& model) const {
  const Sequence& sequence = sequences_[index];
  const std::string& begin = request_.prompts.front().text;  // empty without echo
  OrderedJson choice = {
      {"index", index},
      {"message",
       {{"role", "assistant"}, {"content", begin + sequence.text}, {"refusal", nullptr}}},
      {"logprobs", request_.params.logprobs
                       ? ChatLogprobs(sequence.logprobs, {model.tokenizer, request_.tokens_as_ids})
                       : OrderedJson(nullptr)},
      {"finish_reason", FinishReasonName(sequence.finish_reason)},
      {"stop_reason", StopReasonJson(sequence.stop_reason)}};
  if (request_.gives_token_ids) choice["token_ids"] = sequence.ids;
  return Dump(choice);
}

// The choices are written out one by one: as trees of JSON, many with logprobs would take far more
// memory than as text.
std::expected<std::string, ApiError> OpenAiAnswer::Body(const ServedModel& model,
                                                        int64_t created) const {
  if (!error_.empty())
    return std::unexpected(refused_ ? ApiError(Error{error_}) : ApiError::Internal(error_));
  const bool chat = request_.endpoint == Endpoint::kChatCompletions;
  const std::string id = request_.id.empty() ? RandomId() : request_.id;
  std::string body =
      fmt::format(R"({{"id":{},"object":"{}","created":{},"model":{},"choices":[)",
                  Dump((chat ? "chatcmpl-" : "cmpl-") + id),
                  chat ? "chat.completion" : "text_completion", created, Dump(model.name));
  for (size_t i = 0; i < sequences_.size(); ++i) {
    if (i > 0) body += ',';
    body += chat ? ChatChoice(i, model) : CompletionChoice(i, model);
  }
  body +=
      fmt::format(R"(],"usage":{{"prompt_tokens":{},"total_tokens":{},"completion_tokens":{}}})",
                  usage_.prompt_tokens, usage_.prompt_tokens + usage_.completion_tokens,
                  usage_.completion_tokens);
  if (chat && request_.gives_token_ids)
    body += R"(,"prompt_token_ids":)" + Dump(request_.prompts.front().ids);
  if (chat && request_.gives_prompt_logprobs)
    body +=
        R"(,"prompt_logprobs":)" +
        Dump(PromptLogprobs(prompt_logprobs_.front(), {model.tokenizer, request_.tokens_as_ids}));
  return body + '}';
}

std::string RandomId() {
  static thread_local std::random_device device;
  std::string id;
  for (int i = 0; i < 4; ++i) id += fmt::format("{:08x}", device());
  return id;
}

}  // namespace merope
