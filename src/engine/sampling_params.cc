#include "engine/sampling_params.h"

#include <algorithm>
#include <cmath>
#include <span>
#include <string>
#include <type_traits>
#include <utility>

namespace merope {
namespace {

// Limits of each list of texts (stop, bad_words). Every step searches for these texts.
constexpr int64_t kMaxTexts = 1024, kMaxTextBytes = 65536;
constexpr double kLeastTemperature = 0.01, kMostBias = 100;

std::string Describe(const FieldRange& range, bool whole) {
  const auto number = [](double value) {
    return fmt::format("{}{}", value < 0 ? "−" : "", std::abs(value));
  };
  const std::string_view noun = whole ? "" : "a number ";
  const bool bounded = std::isfinite(range.most);
  if (!std::isfinite(range.least)) return "a finite number";  // no field is bounded only above
  if (range.open && bounded)
    return fmt::format("{}above {}, up to {}", noun, number(range.least), number(range.most));
  if (range.open) return fmt::format("{}above {}", noun, number(range.least));
  if (!bounded) return fmt::format("{} or more", number(range.least));
  return fmt::format("{}{}{} to {}", noun, whole ? "" : "from ", number(range.least),
                     number(range.most));
}

template <class Value>
Status CheckRange(const char* name, const Value& value, const FieldRange& range) {
  if constexpr (std::is_same_v<Value, std::optional<int64_t>>) {
    if (value) return CheckRange(name, *value, range);
  } else if constexpr (std::is_same_v<Value, int64_t> || std::is_same_v<Value, double>) {
    const auto number = static_cast<double>(value);
    const bool inside = std::isfinite(number) && number <= range.most &&
                        (range.open ? number > range.least : number >= range.least);
    if (!inside)
      return FieldErr(name, "expected {}, found {}", Describe(range, std::is_integral_v<Value>),
                      value);
  }
  return {};
}

Status CheckRanges(const SamplingParams& params) {
  Status status;
  ForEachSamplingField([&](const char* name, auto member, FieldOwner, const FieldRange& range) {
    if (status) status = CheckRange(name, params.*member, range);
  });
  return status;
}

Status SettleTemperature(SamplingParams* params) {
  if (params->temperature > 0) {
    params->temperature = std::max(params->temperature, kLeastTemperature);
  } else {
    if (params->n > 1)
      return FieldErr("n", "expected 1 with temperature 0 (all would be the same), found {}",
                      params->n);
    params->top_p = 1;
    params->top_k = 0;
    params->min_p = 0;
  }
  return {};
}

Status CheckLength(const SamplingParams& params) {
  if (params.max_tokens && params.min_tokens > *params.max_tokens)
    return FieldErr("min_tokens", "expected at most max_tokens, {}, found {}", *params.max_tokens,
                    params.min_tokens);
  return {};
}

Status CheckTexts(const SamplingParams& params) {
  for (const auto& [field, texts] :
       {std::pair("stop", &params.stop), std::pair("bad_words", &params.bad_words)}) {
    int64_t bytes = 0;
    for (const std::string& text : *texts) bytes += std::ssize(text);
    if (std::ssize(*texts) > kMaxTexts || bytes > kMaxTextBytes)
      return FieldErr(field, "expected at most {} strings of {} bytes together, found {} of {}",
                      kMaxTexts, kMaxTextBytes, texts->size(), bytes);
  }
  if (std::ranges::find(params.stop, "") != params.stop.end())
    return FieldErr("stop", "expected strings that are not empty, found an empty one");
  if (!params.stop.empty() && !params.detokenize)
    return FieldErr("stop", "expected no strings without detokenize, found {}", params.stop.size());
  if (std::ranges::find(params.bad_words, "") != params.bad_words.end())
    return FieldErr("bad_words", "expected strings that are not empty, found an empty one");
  return {};
}

Status CheckIds(std::string_view field, std::span<const int32_t> ids, int64_t vocab_size) {
  for (const int32_t id : ids)
    if (id < 0 || id >= vocab_size)
      return FieldErr(field, "expected tokens from 0 to {}, found {}", vocab_size - 1, id);
  return {};
}

Status SettleTokens(SamplingParams* params, int64_t vocab_size) {
  const auto sort = [](std::vector<int32_t>* ids) {
    std::ranges::sort(*ids);
    ids->erase(std::ranges::unique(*ids).begin(), ids->end());
  };
  TRY(CheckIds("stop_token_ids", params->stop_token_ids, vocab_size));
  sort(&params->stop_token_ids);
  if (params->allowed_token_ids) {
    if (params->allowed_token_ids->empty())
      return FieldErr("allowed_token_ids", "expected at least one token, found none");
    TRY(CheckIds("allowed_token_ids", *params->allowed_token_ids, vocab_size));
    sort(&*params->allowed_token_ids);
  }
  if (std::ssize(params->logit_bias) > vocab_size)
    return FieldErr("logit_bias", "expected at most one for each of {} tokens, found {}",
                    vocab_size, params->logit_bias.size());
  for (auto& [id, bias] : params->logit_bias) {
    TRY(CheckIds("logit_bias", std::span(&id, 1), vocab_size));
    if (std::isnan(bias))
      return FieldErr("logit_bias", "expected a number for token {}, found nan", id);
    bias = std::clamp(bias, -kMostBias, kMostBias);
  }
  return {};
}

Status CheckLogprobs(std::string_view field, const std::optional<int64_t>& logprobs,
                     const SamplingLimits& limits) {
  if (!logprobs) return {};
  if (*logprobs < -1)
    return FieldErr(field, "expected 0 or more, or −1 (the vocabulary), found {}", *logprobs);
  const int64_t most = limits.max_logprobs == -1 ? limits.vocab_size : limits.max_logprobs;
  const int64_t asked = *logprobs == -1 ? limits.vocab_size : *logprobs;
  if (asked > most)
    return FieldErr(field, "expected at most max_logprobs, {}, found {}", most, asked);
  return {};
}

bool Blank(const std::optional<std::string>& text) {
  return text && text->find_first_not_of(" \t\n\r\f\v") == text->npos;
}

Status CheckStructuredOutputs(const StructuredOutputs& outputs) {
  const int kinds = outputs.json.has_value() + outputs.regex.has_value() +
                    outputs.choice.has_value() + outputs.grammar.has_value() + outputs.json_object +
                    outputs.structural_tag.has_value();
  if (kinds != 1)
    return FieldErr("structured_outputs",
                    "expected one of json, regex, choice, grammar, json_object and "
                    "structural_tag, found {}",
                    kinds);
  if (outputs.choice && outputs.choice->empty())
    return FieldErr("structured_outputs.choice", "expected at least one string, found none");
  if (Blank(outputs.json))
    return FieldErr("structured_outputs.json", "expected a JSON schema, found an empty string");
  if (Blank(outputs.grammar))
    return FieldErr("structured_outputs.grammar", "expected a grammar, found an empty string");
  if (outputs.regex && outputs.regex->find('\0') != std::string::npos)
    return FieldErr("structured_outputs.regex", "expected no NUL character, found one");
  return {};
}

Status SettleRepetitionDetection(RepetitionDetection* detection) {
  const auto [most, least, count] = *detection;
  if (most < 0)
    return FieldErr("repetition_detection.max_pattern_size", "expected 0 or more, found {}", most);
  if (least < 0 || least > most)
    return FieldErr("repetition_detection.min_pattern_size",
                    "expected 0 to max_pattern_size, {}, found {}", most, least);
  if (most == 0) return {};
  if (count < 2)
    return FieldErr("repetition_detection.min_count", "expected 2 or more, found {}", count);
  detection->min_pattern_size = std::max<int64_t>(least, 1);
  return {};
}

}  // namespace

Status Settle(SamplingParams* params, const SamplingLimits& limits) {
  TRY(CheckRanges(*params));
  TRY(SettleTemperature(params));
  if (params->seed == -1) params->seed = std::nullopt;
  TRY(CheckLength(*params));
  TRY(CheckTexts(*params));
  TRY(SettleTokens(params, limits.vocab_size));
  TRY(CheckLogprobs("logprobs", params->logprobs, limits));
  TRY(CheckLogprobs("prompt_logprobs", params->prompt_logprobs, limits));
  if (params->structured_outputs) TRY(CheckStructuredOutputs(*params->structured_outputs));
  if (params->repetition_detection) TRY(SettleRepetitionDetection(&*params->repetition_detection));
  // A cached prefix has no logits.
  if (params->prompt_logprobs) params->skip_reading_prefix_cache = true;
  return {};
}

}  // namespace merope
