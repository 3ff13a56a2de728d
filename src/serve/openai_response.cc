#include "serve/openai_response.h"

#include <algorithm>
#include <iterator>
#include <random>
#include <span>
#include <utility>

#include "base/json.h"
#include "serve/api_error.h"

namespace merope {
namespace {

template <class T>
void Append(std::vector<T>* to, std::vector<T> from) {
  to->insert(to->end(), std::make_move_iterator(from.begin()), std::make_move_iterator(from.end()));
}

template <class T>
void AppendFrom(const std::vector<T>& from, size_t begin, std::vector<T>* to) {
  to->insert(to->end(), from.begin() + static_cast<std::ptrdiff_t>(std::min(begin, from.size())),
             from.end());
}

OrderedJson StopReasonJson(const StopReason& reason) {
  if (const auto* id = std::get_if<int32_t>(&reason)) return *id;
  if (const auto* text = std::get_if<std::string>(&reason)) return *text;
  return nullptr;
}

OrderedJson FinishReasonJson(const std::optional<FinishReason>& reason) {
  return reason ? OrderedJson(FinishReasonName(*reason)) : OrderedJson(nullptr);
}

}  // namespace

// The part of a choice that goes into one chunk or into the body.
struct OpenAiAnswer::Part {
  size_t index = 0, prompt = 0;
  bool begins = false;  // the first part of the choice
  std::vector<int32_t> ids = {};
  std::vector<PositionLogprobs> logprobs = {};
  std::string text = {};
  int64_t offset = 0;  // text offset of the first token, in characters
  std::optional<FinishReason> finish_reason = {};
  StopReason stop_reason = {};
};

OpenAiAnswer::OpenAiAnswer(OpenAiRequest request, const ServedModel& model, int64_t created)
    : request_(std::move(request)),
      model_(model),
      created_(created),
      id_(request_.id.empty() ? RandomId() : request_.id),
      choices_(request_.prompts.size() * static_cast<size_t>(request_.params.n)),
      prompt_logprobs_(request_.prompts.size()) {
  for (const OpenAiPrompt& prompt : request_.prompts)
    usage_.prompt_tokens += std::ssize(prompt.ids);
}

void OpenAiAnswer::Add(size_t prompt, Event event) {
  const auto n = static_cast<size_t>(request_.params.n);
  Choice& choice = choices_[prompt * n + static_cast<size_t>(event.index)];
  // Counts only sequence 0. The other n − 1 sequences find the prompt in the cache because sequence
  // 0 computed the prompt.
  if (event.index == 0) usage_.cached_tokens += event.cached_tokens;
  Append(&prompt_logprobs_[prompt], std::move(event.prompt_logprobs));
  if (!request_.scores_prompt) {
    usage_.completion_tokens += std::ssize(event.ids);
    Append(&choice.ids, std::move(event.ids));
    Append(&choice.logprobs, std::move(event.logprobs));
    choice.text += event.text;
  }
  if (!event.finish_reason) return;
  choice.finish_reason = event.finish_reason;
  choice.stop_reason = std::move(event.stop_reason);
  if (event.error) error_ = std::move(event.error);
  if (event.finish_reason == FinishReason::kAbort)
    error_ = Error{"the request was aborted", ErrorCode::kInternal};
  ++ended_;
}

// With echo, the first part of a choice begins with the prompt.
OpenAiAnswer::Part OpenAiAnswer::Rest(size_t index) const {
  const Choice& choice = choices_[index];
  Part part{.index = index,
            .prompt = index / static_cast<size_t>(request_.params.n),
            .begins = !choice.sent.begun,
            .offset = choice.sent.characters,
            .finish_reason = choice.finish_reason,
            .stop_reason = choice.stop_reason};
  const OpenAiPrompt& prompt = request_.prompts[part.prompt];
  if (request_.echo && part.begins) {
    part.text = prompt.text;
    if (request_.endpoint == Endpoint::kCompletions) {
      part.ids = prompt.ids;
      part.logprobs = prompt_logprobs_[part.prompt];
    }
  }
  AppendFrom(choice.ids, choice.sent.ids, &part.ids);
  AppendFrom(choice.logprobs, choice.sent.ids, &part.logprobs);
  part.text += std::string_view(choice.text).substr(choice.sent.text);
  return part;
}

TokenNames OpenAiAnswer::Names() const { return {model_.tokenizer, request_.tokens_as_ids}; }

OrderedJson OpenAiAnswer::CompletionJson(const Part& part) const {
  OrderedJson choice = {
      {"index", part.index},
      {"text", part.text},
      {"logprobs", request_.params.logprobs
                       ? CompletionLogprobs(part.ids, part.logprobs, part.offset, Names())
                       : OrderedJson(nullptr)},
      {"finish_reason", FinishReasonJson(part.finish_reason)},
      {"stop_reason", StopReasonJson(part.stop_reason)}};
  if (request_.gives_token_ids) {
    choice["token_ids"] = part.ids;
    if (part.begins) choice["prompt_token_ids"] = request_.prompts[part.prompt].ids;
  }
  if (request_.gives_prompt_logprobs && part.begins)
    choice["prompt_logprobs"] = PromptLogprobs(prompt_logprobs_[part.prompt], Names());
  return choice;
}

// member: "message" in a body, "delta" in a chunk.
OrderedJson OpenAiAnswer::ChatJson(const Part& part, const char* member) const {
  OrderedJson message = OrderedJson::object();
  if (part.begins) message["role"] = "assistant";
  message["content"] = part.text;
  if (std::string_view(member) == "message") message["refusal"] = nullptr;
  OrderedJson choice = {{"index", part.index},
                        {member, std::move(message)},
                        {"logprobs", request_.params.logprobs ? ChatLogprobs(part.logprobs, Names())
                                                              : OrderedJson(nullptr)},
                        {"finish_reason", FinishReasonJson(part.finish_reason)},
                        {"stop_reason", StopReasonJson(part.stop_reason)}};
  if (request_.gives_token_ids) choice["token_ids"] = part.ids;
  return choice;
}

std::string OpenAiAnswer::Head(std::string_view completions, std::string_view chat) const {
  const bool is_chat = request_.endpoint == Endpoint::kChatCompletions;
  return fmt::format(R"({{"id":{},"object":"{}","created":{},"model":{},"choices":)",
                     DumpJson((is_chat ? "chatcmpl-" : "cmpl-") + id_),
                     is_chat ? chat : completions, created_, DumpJson(model_.name));
}

OrderedJson OpenAiAnswer::UsageJson() const {
  return {{"prompt_tokens", usage_.prompt_tokens},
          {"total_tokens", usage_.prompt_tokens + usage_.completion_tokens},
          {"completion_tokens", usage_.completion_tokens}};
}

// Writes the choices as text one by one. JSON trees of many choices with logprobs would take far
// more memory than the text.
Result<std::string> OpenAiAnswer::Body() const {
  if (error_) return std::unexpected(*error_);
  const bool chat = request_.endpoint == Endpoint::kChatCompletions;
  std::string body = Head("text_completion", "chat.completion");
  for (size_t i = 0; i < choices_.size(); ++i) {
    const Part part = Rest(i);
    body += i > 0 ? ',' : '[';
    body += DumpJson(chat ? ChatJson(part, "message") : CompletionJson(part));
  }
  body += R"(],"usage":)" + DumpJson(UsageJson());
  if (chat && request_.gives_token_ids)
    body += R"(,"prompt_token_ids":)" + DumpJson(request_.prompts.front().ids);
  if (chat && request_.gives_prompt_logprobs)
    body += R"(,"prompt_logprobs":)" + DumpJson(PromptLogprobs(prompt_logprobs_.front(), Names()));
  return body + '}';
}

std::string OpenAiAnswer::Chunk(const OrderedJson& choices, bool with_usage) const {
  std::string chunk = Head("text_completion", "chat.completion.chunk") + DumpJson(choices);
  if (with_usage) chunk += R"(,"usage":)" + DumpJson(UsageJson());
  return chunk + '}';
}

std::vector<std::string> OpenAiAnswer::Chunks() {
  std::vector<std::string> chunks;
  if (closed_) return chunks;
  if (error_) {
    closed_ = true;
    return {DumpJson({{"error", ErrorJson(*error_)}})};
  }
  const bool chat = request_.endpoint == Endpoint::kChatCompletions;
  for (size_t i = 0; i < choices_.size(); ++i) {
    Choice& choice = choices_[i];
    const bool ends = choice.finish_reason.has_value() && !choice.sent.ended;
    if (!ends && choice.sent.ids == choice.ids.size()) continue;
    const Part part = Rest(i);
    OrderedJson one = chat ? ChatJson(part, "delta") : CompletionJson(part);
    chunks.push_back(Chunk(OrderedJson::array({std::move(one)}), request_.continuous_usage));
    choice.sent.begun = true;
    choice.sent.ended = choice.finish_reason.has_value();
    choice.sent.ids = choice.ids.size();
    choice.sent.text = choice.text.size();
    choice.sent.characters += CountCharacters(part.ids, Names());
  }
  if (whole()) {
    closed_ = true;
    if (request_.include_usage) chunks.push_back(Chunk(OrderedJson::array(), true));
  }
  return chunks;
}

std::string RandomId() {
  static thread_local std::random_device device;
  std::string id;
  for (int i = 0; i < 4; ++i) id += fmt::format("{:08x}", device());
  return id;
}

}  // namespace merope
