#include "endpoint/probe.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "base/json.h"

namespace merope {
namespace {

constexpr double kHot = 2;  // a temperature at which a repetition of the greedy text is absurd
constexpr int64_t kSamples = 3;
constexpr int64_t kFindings = 13;

class Prober {
 public:
  Prober(Endpoint& endpoint, const ProbePrompt& prompt,
         const std::function<void(int64_t, int64_t)>& progress)
      : endpoint_(endpoint), prompt_(prompt), progress_(progress) {}

  Result<EndpointProbe> Run(int64_t wanted) {
    TRY(Logprobs(wanted));
    TRY(PromptLogprobs());
    TRY(Tokenizer());
    TRY(Repetition());
    TRY(MaxTokens());
    TRY(Stop());
    TRY(LogitBias());
    TRY(TopP());
    TRY(Temperature());
    TRY(Seed());
    TRY(LogprobsMode());
    return std::move(probe_);
  }

 private:
  void Add(std::string key, std::string label, Found found, std::string detail = "") {
    probe_.findings.push_back({std::move(key), std::move(label), found, std::move(detail)});
    progress_(std::ssize(probe_.findings), kFindings);
  }

  CompletionQuery Query(double temperature = 0) const {
    return {.ids = prompt_.ids,
            .max_tokens = kProbeTokens,
            .temperature = temperature,
            .logprobs = probe_.top_k};
  }

  // Sends a query that the server may refuse: nullopt, with the refusal in *why.
  Result<std::optional<CompletionAnswer>> Try(const CompletionQuery& query, std::string* why) {
    auto answer = endpoint_.Complete(query);
    if (answer) return std::move(*answer);
    *why = answer.error().message;
    // Only a refusal says something about this feature.
    if (why->find("HTTP status 4") == std::string::npos &&
        why->find("HTTP status 501") == std::string::npos)
      return std::unexpected(answer.error());
    return std::nullopt;
  }

  // The most tokens with logprobs, and the greedy answer with which later answers are compared.
  Status Logprobs(int64_t wanted) {
    std::string why;
    for (const int64_t k : {wanted, int64_t{20}, int64_t{10}, int64_t{5}, int64_t{2}}) {
      if (k > wanted) continue;
      CompletionQuery query = Query();
      query.logprobs = k;
      TRY_ASSIGN(auto answer, Try(query, &why));
      if (!answer) continue;
      greedy_ = std::move(*answer);
      if (!greedy_.tokens || greedy_.tokens->empty() || greedy_.top.empty())
        return Err(
            "{}: expected generated tokens by id with logprobs (vLLM, llama.cpp), found an answer "
            "without them: verify --tokens needs no logprobs",
            endpoint_.facts().url);
      for (const TopTokens& row : greedy_.top)
        probe_.top_k = std::max<int64_t>(
            2, std::min<int64_t>(probe_.top_k == 0 ? k : probe_.top_k, std::ssize(row.ids)));
      Add("logprobs", "logprobs of the most probable tokens", Found::kYes,
          fmt::format("{} at a position, of {} wanted", probe_.top_k, wanted));
      const bool counted = greedy_.n_prompt_tokens.has_value();
      const int64_t n = std::ssize(prompt_.ids);
      const bool right = counted && *greedy_.n_prompt_tokens == n;
      Add("token_ids", "prompts as token ids", counted && !right ? Found::kWrong : Found::kYes,
          !counted ? "the answer does not count them"
          : right  ? ""
                   : fmt::format("{} ids sent, {} counted", n, *greedy_.n_prompt_tokens));
      return {};
    }
    return Err("{}: expected logprobs, found a refusal: {}: verify --tokens needs no logprobs",
               endpoint_.facts().url, why);
  }

  Status PromptLogprobs() {
    CompletionQuery query = Query();
    query.max_tokens = 1;
    query.prompt_logprobs = probe_.top_k;
    std::string why;
    TRY_ASSIGN(const auto answer, Try(query, &why));
    const int64_t n = std::ssize(prompt_.ids) - 1;
    probe_.prompt_rows = answer && n > 0 && std::ssize(answer->prompt_top) == n;
    Add("prompt_logprobs", "logprobs of the prompt's positions",
        probe_.prompt_rows ? Found::kYes : Found::kNo,
        probe_.prompt_rows ? "" : "only generated positions are compared");
    return {};
  }

  Status Tokenizer() {
    TRY_ASSIGN(auto ids, endpoint_.Tokenize(prompt_.text));
    if (!ids) {
      std::string why;
      CompletionQuery query = Query();
      query.ids.clear();
      query.text = prompt_.text;
      query.max_tokens = 1;
      TRY_ASSIGN(const auto answer, Try(query, &why));
      if (answer) ids = answer->prompt_tokens;
      if (answer && !ids) {
        const int64_t n = answer->n_prompt_tokens.value_or(-1);
        const bool same = n == std::ssize(prompt_.ids);
        Add("tokenizer", "the tokenizer gives the reference's ids",
            n < 0  ? Found::kNo
            : same ? Found::kYes
                   : Found::kWrong,
            n < 0 ? "the server does not say" : fmt::format("only their number was seen: {}", n));
        return {};
      }
    }
    const bool same = ids && *ids == prompt_.ids;
    Add("tokenizer", "the tokenizer gives the reference's ids",
        !ids   ? Found::kNo
        : same ? Found::kYes
               : Found::kWrong,
        !ids ? "the server does not say"
        : same
            ? ""
            : fmt::format("{} ids expected, {} found, or others", prompt_.ids.size(), ids->size()));
    return {};
  }

  Status Repetition() {
    CompletionQuery query = Query();
    query.repeat = 1;
    TRY_ASSIGN(const CompletionAnswer again, endpoint_.Complete(query));
    const bool same = again.tokens == greedy_.tokens;
    double largest = 0;
    for (size_t i = 0; same && i < std::min(again.logprobs.size(), greedy_.logprobs.size()); ++i)
      largest = std::max(largest, std::abs(static_cast<double>(again.logprobs[i]) -
                                           static_cast<double>(greedy_.logprobs[i])));
    Add("repetition", "a repeated greedy request gives equal tokens",
        same ? Found::kYes : Found::kNo,
        same ? fmt::format("largest |Δ logprob| {:.2g}", largest) : "");
    return {};
  }

  Status MaxTokens() {
    CompletionQuery query = Query();
    query.max_tokens = 3;
    TRY_ASSIGN(const CompletionAnswer answer, endpoint_.Complete(query));
    const int64_t n = answer.tokens ? std::ssize(*answer.tokens) : 0;
    const bool prefix =
        answer.tokens && n <= std::ssize(*greedy_.tokens) &&
        std::equal(answer.tokens->begin(), answer.tokens->end(), greedy_.tokens->begin());
    Add("max_tokens", "max_tokens is applied", n == 3 ? Found::kYes : Found::kWrong,
        n != 3    ? fmt::format("3 asked, {} found", n)
        : !prefix ? "other tokens than those of the longer answer"
                  : "");
    // An answer that says another number of tokens than it has lost one on the way.
    const int64_t counted = greedy_.n_tokens.value_or(std::ssize(*greedy_.tokens));
    const bool whole =
        counted == std::ssize(*greedy_.tokens) && std::ssize(*greedy_.tokens) == kProbeTokens;
    Add("whole_answers", "answers are whole", whole ? Found::kYes : Found::kWrong,
        whole ? ""
              : fmt::format("{} tokens asked, {} counted, {} found", kProbeTokens, counted,
                            greedy_.tokens->size()));
    return {};
  }

  Status Stop() {
    // A part of the greedy text as the stop string; not at its start, and without broken UTF-8.
    const std::string& text = greedy_.text;
    std::string stop;
    for (size_t begin = text.size() / 2; begin < text.size() && stop.empty(); ++begin)
      if (const auto byte = static_cast<unsigned char>(text[begin]); byte > 0x20 && byte < 0x7f)
        stop = text[begin];
    if (stop.empty()) {
      Add("stop", "stop strings are applied", Found::kNo, "the greedy text has no letter to use");
      return {};
    }
    CompletionQuery query = Query();
    query.stop = {stop};
    std::string why;
    TRY_ASSIGN(const auto answer, Try(query, &why));
    const bool cut = answer && answer->text.find(stop) == std::string::npos;
    Add("stop", "stop strings are applied",
        !answer ? Found::kNo
        : cut   ? Found::kYes
                : Found::kWrong,
        !answer ? why : "");
    return {};
  }

  Status LogitBias() {
    CompletionQuery query = Query();
    query.max_tokens = 1;
    query.logit_bias = {{greedy_.tokens->front(), -100}};
    std::string why;
    TRY_ASSIGN(const auto answer, Try(query, &why));
    const bool changed = answer && answer->tokens && !answer->tokens->empty() &&
                         answer->tokens->front() != greedy_.tokens->front();
    Add("logit_bias", "logit_bias is applied",
        !answer   ? Found::kNo
        : changed ? Found::kYes
                  : Found::kWrong,
        !answer ? why : "");
    return {};
  }

  Status TopP() {
    CompletionQuery query = Query(kHot);
    query.top_p = 1e-6;
    query.seed = 1;
    TRY_ASSIGN(const CompletionAnswer answer, endpoint_.Complete(query));
    const bool same = answer.tokens == greedy_.tokens;
    // A near tie may go the other way; then the first tokens are still those of the greedy answer.
    const bool begins = answer.tokens && !answer.tokens->empty() &&
                        answer.tokens->front() == greedy_.tokens->front();
    Add("top_p", "top_p is applied", begins ? Found::kYes : Found::kWrong,
        same ? "" : "top_p 1e-6 did not give the greedy tokens");
    return {};
  }

  Status Temperature() {
    int64_t repeated = 0;
    for (int64_t seed = 1; seed <= kSamples; ++seed) {
      CompletionQuery query = Query(kHot);
      query.seed = seed;
      TRY_ASSIGN(CompletionAnswer answer, endpoint_.Complete(query));
      repeated += answer.tokens == greedy_.tokens;
      if (seed == 1) hot_ = std::move(answer);
    }
    Add("temperature", "temperature is applied", repeated < kSamples ? Found::kYes : Found::kWrong,
        repeated < kSamples
            ? ""
            : fmt::format("{} samples at temperature {} are all the greedy text", kSamples, kHot));
    return {};
  }

  Status Seed() {
    CompletionQuery query = Query(kHot);
    query.seed = 1;
    query.repeat = 1;
    TRY_ASSIGN(const CompletionAnswer again, endpoint_.Complete(query));
    Add("seed", "a seed repeats a sample", again.tokens == hot_.tokens ? Found::kYes : Found::kNo);
    return {};
  }

  // The first position has the same logits at every temperature. Its logprobs at temperature 2 have
  // the slope 1 over those of the greedy answer if they are raw, and 1/2 if they are processed.
  Status LogprobsMode() {
    double xy = 0, xx = 0, x_mean = 0, y_mean = 0;
    std::vector<std::pair<double, double>> pairs;
    if (!hot_.top.empty()) {
      const TopTokens &cold = greedy_.top.front(), &hot = hot_.top.front();
      for (size_t i = 0; i < cold.ids.size(); ++i)
        if (const auto at = std::ranges::find(hot.ids, cold.ids[i]); at != hot.ids.end())
          pairs.emplace_back(cold.logprobs[i],
                             hot.logprobs[static_cast<size_t>(at - hot.ids.begin())]);
    }
    const auto n = static_cast<double>(pairs.size());
    for (const auto& [x, y] : pairs) {
      x_mean += x / n;
      y_mean += y / n;
    }
    for (const auto& [x, y] : pairs) {
      xy += (x - x_mean) * (y - y_mean);
      xx += (x - x_mean) * (x - x_mean);
    }
    const double slope = xx > 0 ? xy / xx : 0;
    const bool raw = std::abs(slope - 1) < 0.1, processed = std::abs(slope - 1 / kHot) < 0.1;
    Add("logprobs_mode", "logprobs are those before temperature", raw ? Found::kYes : Found::kNo,
        raw         ? ""
        : processed ? "they are those after temperature; merope asks at temperature 0"
                    : fmt::format("the slope over the greedy ones is {:.2f}", slope));
    return {};
  }

  Endpoint& endpoint_;
  const ProbePrompt& prompt_;
  const std::function<void(int64_t, int64_t)>& progress_;
  EndpointProbe probe_;
  CompletionAnswer greedy_, hot_;  // hot_: the sample with seed 1
};

}  // namespace

std::string_view FoundName(Found found) {
  constexpr std::string_view kNames[] = {"yes", "no", "WRONG"};
  return kNames[static_cast<size_t>(found)];
}

bool EndpointProbe::AnyWrong() const {
  return std::ranges::find(findings, Found::kWrong, &ProbeFinding::found) != findings.end();
}

Status ProbeTexts(Endpoint& endpoint, const std::vector<ProbePrompt>& texts,
                  const std::vector<ProbePrompt>& messages, EndpointProbe* probe,
                  const std::function<void(int64_t done, int64_t total)>& progress) {
  const int64_t total = std::ssize(texts) + std::ssize(messages);
  int64_t done = 0;
  const auto add = [&](std::string key, std::string label, int64_t asked, int64_t same,
                       bool counted, const std::string& first) {
    const Found found = asked == 0 ? Found::kNo : same == asked ? Found::kYes : Found::kWrong;
    std::string detail = asked == 0 ? "the server does not say"
                                    : fmt::format("{} of {}{}", same, asked,
                                                  counted ? "; only their number was seen" : "");
    if (!first.empty()) detail += fmt::format("; the first that differs: {}", DumpJson(first));
    probe->findings.push_back({std::move(key), std::move(label), found, std::move(detail)});
  };

  int64_t asked = 0, same = 0;
  std::string first;
  for (const ProbePrompt& text : texts) {
    TRY_ASSIGN(const auto ids, endpoint.Tokenize(text.text));
    progress(++done, total);
    if (!ids) break;
    ++asked;
    same += *ids == text.ids;
    if (*ids != text.ids && first.empty()) first = text.text;
  }
  add("tokenizer_texts", "the tokenizer, on many texts", asked, same, false, first);

  asked = same = 0;
  bool counted = false;
  first.clear();
  for (const ProbePrompt& message : messages) {
    TRY_ASSIGN(const auto prompt, endpoint.AskChat(message.text));
    progress(++done, total);
    if (!prompt || (!prompt->ids && !prompt->n_tokens)) break;
    ++asked;
    counted = counted || !prompt->ids;
    const bool equal =
        prompt->ids ? *prompt->ids == message.ids : *prompt->n_tokens == std::ssize(message.ids);
    same += equal;
    if (!equal && first.empty()) first = message.text;
  }
  if (!messages.empty())
    add("chat_template", "the chat template gives the reference's ids", asked, same, counted,
        first);
  return {};
}

Result<EndpointProbe> Probe(Endpoint& endpoint, const ProbePrompt& prompt, int64_t wanted,
                            const std::function<void(int64_t done, int64_t total)>& progress) {
  return Prober(endpoint, prompt, progress).Run(wanted);
}

}  // namespace merope
