#include "endpoint/endpoint.h"

#include <fmt/ranges.h>

#include <algorithm>
#include <utility>

#include "base/json.h"
#include "base/stopwatch.h"
#include "endpoint/event_stream.h"

namespace merope {
namespace {

// "http://host:8000/v1/" and "http://host:8000" both become "http://host:8000".
std::string BaseUrl(std::string url) {
  while (url.ends_with('/')) url.pop_back();
  if (url.ends_with("/v1")) url.resize(url.size() - 3);
  return url;
}

// The message in the body of an error, in the forms that servers use: {"error": {"message"}},
// {"error": "…"}, {"message"} and {"detail"}. Empty if there is none.
std::string ServerMessage(const std::string& body) {
  constexpr size_t kLongest = 500;
  const auto json = ParseJson(body, "");
  if (!json || !json->is_object()) return "";
  const Json* value = &*json;
  for (const char* name : {"error", "message", "detail"})
    if (value->is_object() && value->contains(name)) value = &value->at(name);
  if (!value->is_string()) return "";
  std::string text = value->get<std::string>();
  if (text.size() > kLongest) text = text.substr(0, kLongest) + " …";
  return text;
}

std::unexpected<Error> Refused(const std::string& where, const HttpResponse& response) {
  const std::string message = ServerMessage(response.body);
  const Error error{.message = fmt::format("{}: {}{}{}", where, response.Describe(),
                                           message.empty() ? "" : ": ", message),
                    .code = response.status == 404 ? ErrorCode::kNotFound : ErrorCode::kInvalid};
  return std::unexpected(error);
}

// The list under "data" of /v1/models.
Result<const Json*> ModelList(const Json& json, const std::string& where) {
  const auto data = json.is_object() ? json.find("data") : json.end();
  if (!json.is_object() || data == json.end() || !data->is_array() || data->empty())
    return Err("{}: data: expected a list of models, found {}", where,
               !json.is_object() || data == json.end() ? "nothing" : Describe(*data));
  return &*data;
}

// nullopt: not a list of token ids.
std::optional<std::vector<int32_t>> TokenIds(const Json& list) {
  if (!list.is_array()) return std::nullopt;
  std::vector<int32_t> ids;
  for (const Json& token : list) {
    const auto id = WholeNumber(token);
    if (!id || *id < 0 || *id > INT32_MAX) return std::nullopt;
    ids.push_back(static_cast<int32_t>(*id));
  }
  return ids;
}

}  // namespace

HttpRequest Endpoint::RequestTo(const std::string& path, const std::string& json) const {
  HttpRequest request{.url = BaseUrl(options_.url) + path,
                      .stall_seconds = options_.stall_seconds,
                      .stop = options_.stop};
  if (!json.empty()) request.json = json;
  if (!key_.empty()) request.headers.push_back("Authorization: Bearer " + key_);
  return request;
}

Result<HttpResponse> Endpoint::Ask(const std::string& path, const std::string& json,
                                   int64_t tokens) {
  if (options_.answers != nullptr)
    if (auto kept = options_.answers->Find(options_.label + path, json)) return std::move(*kept);
  if (options_.offline)
    return Err("{}{}: expected an answer in the file of answers, found none", facts_.url, path);
  if (spent_->tokens.fetch_add(tokens) + tokens > options_.max_tokens_total)
    return Err(
        "{}: max-tokens-total: expected at most {} tokens, and the next request would take "
        "more",
        facts_.url, options_.max_tokens_total);
  ++spent_->requests;
  const HttpRequest request = RequestTo(path, json);
  Backoff backoff;
  while (true) {
    TRY_ASSIGN(HttpResponse response, client_->Send(request));
    // 501 says that the server has no such path or feature: a later try does not help.
    if (!response.transient() || response.status == 501) {
      if (options_.answers != nullptr)
        TRY(options_.answers->Add(options_.label + path, json, response));
      return response;
    }
    if (!backoff.Wait(response, options_.say, options_.stop)) return response;
    ++spent_->repeated_tries;
  }
}

Result<Endpoint> Endpoint::Open(EndpointOptions options) {
  TRY_ASSIGN(std::string key, CheckOptions(options));
  Endpoint endpoint(std::move(options), std::move(key), {}, std::make_shared<Spent>());
  ServerFacts& facts = endpoint.facts_;
  facts.url = PublicUrl(BaseUrl(endpoint.options_.url));
  const std::string where = facts.url + "/v1/models";
  TRY_ASSIGN(const HttpResponse models, endpoint.Ask("/v1/models", "", 0));
  if (!models.ok()) return Refused(where, models);
  TRY_ASSIGN(const Json json, ParseJson(models.body, where));
  TRY_ASSIGN(const Json* list, ModelList(json, where));
  const Json* chosen = nullptr;
  std::vector<std::string> names;
  for (const Json& model : *list) {
    if (!model.is_object()) continue;
    const JsonFields fields(model, where);
    TRY_ASSIGN(const auto id, fields.String("id"));
    if (!id) continue;
    names.push_back(*id);
    if (chosen == nullptr && (endpoint.options_.model.empty() || endpoint.options_.model == *id))
      chosen = &model;
  }
  if (chosen == nullptr)
    return Err("{}: expected the model \"{}\", found {}", where, endpoint.options_.model,
               names.empty() ? "no model with an id" : fmt::format("{}", fmt::join(names, ", ")));
  const JsonFields fields(*chosen, where);
  TRY_ASSIGN(const auto id, fields.String("id"));
  facts.model = *id;
  constexpr int64_t kMost = int64_t{1} << 40;
  const auto length = fields.Integer("max_model_len", 1, kMost);
  if (length && *length) facts.context = *length;
  const auto owner = fields.String("owned_by");
  const std::string owned_by = owner && *owner ? **owner : "";
  if (const Json* meta = fields.Find("meta"); meta != nullptr && meta->is_object()) {
    const auto trained = JsonFields(*meta, where).Integer("n_ctx_train", 1, kMost);
    if (!facts.context && trained && *trained) facts.context = *trained;
  }

  facts.software = owned_by == "vllm"       ? "vLLM"
                   : owned_by == "llamacpp" ? "llama.cpp"
                   : owned_by.empty()       ? ""
                                            : "owned_by " + owned_by;
  const auto member = [&endpoint](const std::string& path,
                                  const char* name) -> std::optional<Json> {
    const auto response = endpoint.Ask(path, "", 0);
    if (!response || !response->ok()) return std::nullopt;
    const auto found = ParseJson(response->body, path);
    if (!found || !found->is_object() || !found->contains(name)) return std::nullopt;
    return found->at(name);
  };
  if (const auto version = member("/version", "version"); version && version->is_string())
    facts.software += " " + version->get<std::string>();
  if (owned_by == "llamacpp") {
    if (const auto build = member("/props", "build_info"); build && build->is_string())
      facts.software += " " + build->get<std::string>();
    if (const auto settings = member("/props", "default_generation_settings");
        settings && settings->is_object()) {
      const auto slot = JsonFields(*settings, "/props").Integer("n_ctx", 1, kMost);
      if (slot && *slot) facts.context = *slot;
    }
  }
  return endpoint;
}

Result<CompletionAnswer> Endpoint::Complete(const CompletionQuery& query) {
  // A text has no more tokens than bytes.
  const size_t prompt = query.text ? query.text->size() : query.ids.size();
  TRY_ASSIGN(const HttpResponse response, Ask("/v1/completions", RequestBody(query, facts_.model),
                                              static_cast<int64_t>(prompt) + query.max_tokens));
  const std::string where = facts_.url + "/v1/completions";
  if (!response.ok()) return Refused(where, response);
  return ParseAnswer(response.body, query, where);
}

StreamTimes Endpoint::Stream(const CompletionQuery& query) {
  StreamTimes times{.n_prompt_tokens = std::ssize(query.ids)};
  std::optional<int64_t> n_tokens;
  EventStream events;
  Stopwatch watch;
  const auto take = [&](std::string_view data) -> Status {
    const double now = watch.Seconds();
    if (data == "[DONE]") return {};
    TRY_ASSIGN(const Json json, ParseJson(data, "event"));
    if (!json.is_object()) return Err("event: expected an object, found {}", Describe(json));
    if (json.contains("error")) {
      const std::string message = ServerMessage(std::string(data));
      return Err("{}: expected a chunk of text, found an error: {}", facts_.url,
                 message.empty() ? "without a message" : message);
    }
    const auto choices = json.find("choices");
    if (choices != json.end() && choices->is_array() && !choices->empty())
      times.arrivals.push_back(now);
    const auto usage = json.find("usage");
    if (usage == json.end() || !usage->is_object()) return {};
    const JsonFields fields(*usage, "event: usage");
    constexpr int64_t kMost = int64_t{1} << 40;
    TRY_ASSIGN(const auto completion, fields.Integer("completion_tokens", 0, kMost));
    TRY_ASSIGN(const auto prompt, fields.Integer("prompt_tokens", 0, kMost));
    if (completion) n_tokens = completion;
    if (prompt) times.n_prompt_tokens = *prompt;
    return {};
  };
  HttpRequest request = RequestTo("/v1/completions", RequestBody(query, facts_.model, true));
  request.sink = [&](const HttpResponse&, std::string_view bytes) {
    return events.Feed(bytes, take);
  };
  ++spent_->requests;
  watch = Stopwatch();
  const auto response = client_->Send(request);
  times.end = watch.Seconds();
  if (!response)
    times.failure = response.error().message;
  else if (!response->ok())
    times.failure = Refused(facts_.url, *response).error().message;
  else if (times.arrivals.empty())
    times.failure = fmt::format("{}: expected a streamed answer, found no event", facts_.url);
  times.n_tokens = n_tokens.value_or(std::ssize(times.arrivals));
  return times;
}

Result<std::optional<std::vector<int32_t>>> Endpoint::Tokenize(const std::string& text) {
  // vLLM reads "prompt" and "add_special_tokens", llama.cpp reads "content" and "add_special".
  const std::string request = DumpJson({{"model", facts_.model},
                                        {"prompt", text},
                                        {"content", text},
                                        {"add_special_tokens", true},
                                        {"add_special", true}});
  TRY_ASSIGN(const HttpResponse response, Ask("/tokenize", request, 0));
  if (!response.ok()) return std::nullopt;
  const auto json = ParseJson(response.body, facts_.url + "/tokenize");
  if (!json || !json->is_object() || !json->contains("tokens") || !json->at("tokens").is_array())
    return std::nullopt;
  return TokenIds(json->at("tokens"));
}

Result<std::optional<Endpoint::ChatPrompt>> Endpoint::AskChat(const std::string& message) {
  const std::string request =
      DumpJson({{"model", facts_.model},
                {"messages", OrderedJson::array({{{"role", "user"}, {"content", message}}})},
                {"max_tokens", 1},
                {"temperature", 0},
                {"return_token_ids", true}});
  // A text has no more tokens than bytes; a template adds some dozens.
  TRY_ASSIGN(const HttpResponse response,
             Ask("/v1/chat/completions", request, static_cast<int64_t>(message.size()) + 64));
  if (!response.ok()) return std::nullopt;
  const auto json = ParseJson(response.body, facts_.url + "/v1/chat/completions");
  if (!json || !json->is_object()) return std::nullopt;
  ChatPrompt prompt;
  if (const auto ids = json->find("prompt_token_ids"); ids != json->end())
    prompt.ids = TokenIds(*ids);
  if (const auto usage = json->find("usage"); usage != json->end() && usage->is_object())
    if (const auto n = usage->find("prompt_tokens"); n != usage->end())
      prompt.n_tokens = WholeNumber(*n);
  return prompt;
}

}  // namespace merope
