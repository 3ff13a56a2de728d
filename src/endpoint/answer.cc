// The bodies of /v1/completions: what merope sends, and what vLLM and llama.cpp answer.
#include <algorithm>
#include <charconv>
#include <span>

#include "base/json.h"
#include "endpoint/endpoint.h"

namespace merope {
namespace {

std::optional<int32_t> AsId(const Json& value) {
  const auto whole = WholeNumber(value);
  if (!whole || *whole < 0 || *whole > INT32_MAX) return std::nullopt;
  return static_cast<int32_t>(*whole);
}

std::optional<int32_t> IdOfDigits(std::string_view digits) {
  int32_t id = -1;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), id);
  if (error != std::errc() || end != digits.data() + digits.size() || id < 0) return std::nullopt;
  return id;
}

// "token_id:17". A name without the prefix is a token's text, also if the text is a number.
std::optional<int32_t> TokenNamedById(std::string_view name) {
  constexpr std::string_view kPrefix = "token_id:";
  if (!name.starts_with(kPrefix)) return std::nullopt;
  return IdOfDigits(name.substr(kPrefix.size()));
}

// A list of ids; nullopt if the value is no such list.
std::optional<std::vector<int32_t>> IdList(const Json* value) {
  if (value == nullptr || !value->is_array()) return std::nullopt;
  std::vector<int32_t> ids;
  for (const Json& item : *value) {
    const auto id = AsId(item);
    if (!id) return std::nullopt;
    ids.push_back(*id);
  }
  return ids;
}

std::optional<float> AsLogprob(const Json* value) {
  if (value == nullptr || !value->is_number()) return std::nullopt;
  return value->get<float>();
}

const Json* Member(const Json& object, const char* name) {
  const auto found = object.is_object() ? object.find(name) : object.end();
  return !object.is_object() || found == object.end() || found->is_null() ? nullptr : &*found;
}

// Puts the tokens in descending order of probability; among equals, the smaller id comes first.
void SortRow(std::vector<std::pair<float, int32_t>>* pairs, TopTokens* row) {
  std::ranges::sort(*pairs, [](const auto& a, const auto& b) {
    return a.first != b.first ? a.first > b.first : a.second < b.second;
  });
  for (const auto& [logprob, id] : *pairs) {
    row->ids.push_back(id);
    row->logprobs.push_back(logprob);
  }
}

// vLLM's rows: {"token_id:17": −0.1, …} for generated tokens, {"17": {"logprob": −0.1, …}, …} for
// the prompt. nullopt if a name is no id.
std::optional<TopTokens> RowOfObject(const Json& object) {
  std::vector<std::pair<float, int32_t>> pairs;
  if (!object.is_object()) return std::nullopt;
  for (const auto& [name, value] : object.items()) {
    const auto id = value.is_object() ? IdOfDigits(name) : TokenNamedById(name);
    const auto logprob = AsLogprob(value.is_object() ? Member(value, "logprob") : &value);
    if (!id || !logprob) return std::nullopt;
    pairs.emplace_back(*logprob, *id);
  }
  TopTokens row;
  SortRow(&pairs, &row);
  return row;
}

// llama.cpp's rows: [{"id": 17, "logprob": −0.1}, …].
std::optional<TopTokens> RowOfList(const Json& list) {
  std::vector<std::pair<float, int32_t>> pairs;
  if (!list.is_array()) return std::nullopt;
  for (const Json& item : list) {
    const Json* id = Member(item, "id");
    const auto logprob = AsLogprob(Member(item, "logprob"));
    if (id == nullptr || !AsId(*id) || !logprob) return std::nullopt;
    pairs.emplace_back(*logprob, *AsId(*id));
  }
  TopTokens row;
  SortRow(&pairs, &row);
  return row;
}

// Whether the object has all bytes of its token, and no others. llama.cpp holds a token back that
// ends inside a character of several bytes: it counts the token, gives it no object, and puts its
// bytes into the next one. The list of the most probable tokens shows the token's own bytes.
bool IsWhole(const Json& item, const Json& id, const Json* top) {
  const Json* bytes = Member(item, "bytes");
  if (bytes == nullptr || top == nullptr || !top->is_array()) return true;
  for (const Json& other : *top) {
    const Json* other_id = Member(other, "id");
    const Json* other_bytes = Member(other, "bytes");
    if (other_id != nullptr && *other_id == id && other_bytes != nullptr)
      return *other_bytes == *bytes;
  }
  return true;
}

// llama.cpp: "content" has one object for each token. After a token that was held back, the tokens
// cannot be placed, and are left out.
void ReadContent(const Json& content, CompletionAnswer* answer) {
  std::vector<int32_t> ids;
  for (const Json& item : content) {
    const Json* id = Member(item, "id");
    const auto logprob = AsLogprob(Member(item, "logprob"));
    if (id == nullptr || !AsId(*id) || !logprob) return;
    const Json* top = Member(item, "top_logprobs");
    if (!IsWhole(item, *id, top)) break;
    ids.push_back(*AsId(*id));
    answer->logprobs.push_back(*logprob);
    if (auto row = top == nullptr ? std::nullopt : RowOfList(*top))
      answer->top.push_back(std::move(*row));
  }
  answer->tokens = std::move(ids);
}

// OpenAI's lists: "tokens", "token_logprobs" and "top_logprobs".
void ReadLists(const Json& logprobs, CompletionAnswer* answer) {
  if (const Json* tokens = Member(logprobs, "tokens");
      !answer->tokens && tokens != nullptr && tokens->is_array()) {
    std::vector<int32_t> ids;
    for (const Json& token : *tokens)
      if (const auto id =
              token.is_string() ? TokenNamedById(token.get<std::string>()) : std::nullopt)
        ids.push_back(*id);
    if (ids.size() == tokens->size()) answer->tokens = std::move(ids);
  }
  if (const Json* values = Member(logprobs, "token_logprobs");
      values != nullptr && values->is_array())
    for (const Json& value : *values)
      if (const auto logprob = AsLogprob(&value)) answer->logprobs.push_back(*logprob);
  if (const Json* rows = Member(logprobs, "top_logprobs"); rows != nullptr && rows->is_array())
    for (const Json& value : *rows)
      if (auto row = RowOfObject(value)) answer->top.push_back(std::move(*row));
}

// vLLM: a list with null for the first token and an object for each other token of the prompt.
Status ReadPrompt(const Json& rows, std::span<const int32_t> ids, const std::string& where,
                  CompletionAnswer* answer) {
  if (rows.size() != ids.size())
    return Err("{}: prompt_logprobs: expected {} positions, found {}", where, ids.size(),
               rows.size());
  for (size_t i = 1; i < rows.size(); ++i) {
    auto row = RowOfObject(rows[i]);
    if (!row)
      return Err("{}: prompt_logprobs[{}]: expected tokens by id, found {}", where, i,
                 Describe(rows[i]));
    const auto at = std::ranges::find(row->ids, ids[i]);
    if (at == row->ids.end())
      return Err("{}: prompt_logprobs[{}]: expected token {} of the prompt, found others", where, i,
                 ids[i]);
    answer->prompt_logprobs.push_back(row->logprobs[static_cast<size_t>(at - row->ids.begin())]);
    answer->prompt_top.push_back(std::move(*row));
  }
  return {};
}

}  // namespace

std::string RequestBody(const CompletionQuery& query, const std::string& model, bool stream) {
  OrderedJson body = {{"model", model}};
  if (stream) {
    body["stream"] = true;
    body["stream_options"] = {{"include_usage", true}};
  }
  if (query.text)
    body["prompt"] = *query.text;
  else
    body["prompt"] = query.ids;
  body["max_tokens"] = query.max_tokens;
  body["temperature"] = query.temperature;
  if (query.top_p) body["top_p"] = *query.top_p;
  if (query.seed) body["seed"] = *query.seed;
  if (query.plain_samples)
    body.update({{"top_k", 0},
                 {"min_p", 0},
                 {"repetition_penalty", 1},
                 {"presence_penalty", 0},
                 {"frequency_penalty", 0}});
  if (query.logprobs) body["logprobs"] = *query.logprobs;
  if (query.prompt_logprobs) body["prompt_logprobs"] = *query.prompt_logprobs;
  if (query.ignore_eos) body["ignore_eos"] = true;
  if (!query.stop.empty()) body["stop"] = query.stop;
  for (const auto& [id, bias] : query.logit_bias) body["logit_bias"][std::to_string(id)] = bias;
  if (query.repeat > 0) body["user"] = fmt::format("repeat {}", query.repeat);
  if (!query.salt.empty()) {
    body["cache_salt"] = query.salt;
    body["cache_prompt"] = false;
  }
  // vLLM's fields. Other servers ignore them.
  body["return_token_ids"] = true;
  body["return_tokens_as_token_ids"] = true;
  return DumpJson(body);
}

Result<CompletionAnswer> ParseAnswer(std::string_view body, const CompletionQuery& query,
                                     const std::string& where) {
  TRY_ASSIGN(const Json json, ParseJson(body, where));
  const Json* choices = Member(json, "choices");
  if (choices == nullptr || !choices->is_array() || choices->size() != 1 ||
      !choices->front().is_object())
    return Err("{}: choices: expected a list of one object, found {}", where,
               choices == nullptr ? "nothing" : Describe(*choices));
  const Json& choice = choices->front();
  const JsonFields fields(choice, where + ": choices[0]");
  CompletionAnswer answer;
  TRY_ASSIGN(const auto text, fields.String("text"));
  TRY_ASSIGN(const auto finish_reason, fields.String("finish_reason"));
  answer.text = text.value_or("");
  answer.finish_reason = finish_reason.value_or("");
  answer.tokens = IdList(fields.Find("token_ids"));
  answer.prompt_tokens = IdList(fields.Find("prompt_token_ids"));
  if (const Json* logprobs = fields.Find("logprobs"); logprobs != nullptr) {
    const Json* content = Member(*logprobs, "content");
    if (content != nullptr && content->is_array())
      ReadContent(*content, &answer);
    else
      ReadLists(*logprobs, &answer);
  }
  if (!query.text && answer.prompt_tokens && *answer.prompt_tokens != query.ids)
    return Err("{}: prompt_token_ids: expected the {} ids of the request, found {} others", where,
               query.ids.size(), answer.prompt_tokens->size());
  if (const Json* rows = fields.Find("prompt_logprobs");
      rows != nullptr && rows->is_array() && !query.text)
    TRY(ReadPrompt(*rows, query.ids, where, &answer));
  if (const Json* usage = Member(json, "usage"); usage != nullptr) {
    const auto count = [&](const char* name) -> std::optional<int64_t> {
      const Json* value = Member(*usage, name);
      return value == nullptr ? std::nullopt : WholeNumber(*value);
    };
    answer.n_prompt_tokens = count("prompt_tokens");
    answer.n_tokens = count("completion_tokens");
  }
  // A list that lacks some tokens cannot be matched with them.
  const size_t n = answer.tokens ? answer.tokens->size() : 0;
  if (answer.top.size() != n) answer.top.clear();
  if (answer.logprobs.size() != n) answer.logprobs.clear();
  return answer;
}

}  // namespace merope
