// Settles sampling parameters, draws tokens and gives log-probabilities. The oracles compare the
// results with definitions in Python and with vLLM. Standard input has one JSON line per question,
// and standard output has one JSON line per answer. Numbers that JSON lacks are strings: "nan",
// "inf", "-inf".
//
//   {"settle": PARAMS, "vocab_size", "max_logprobs"}     {"settled": PARAMS} or {"error"}
//   {"draw": PARAMS, "rows", "masks", "prompt", "eos", "bad_words", "sequences", "stream"}
//       Without stream, sequence i has seed i and one token per row. With stream, one sampler draws
//       all tokens from the first row. The answer is {"counts": [[tokens, count], …]}.
//   {"row", "token", "k"}                                {"logprobs": [[id, logprob, rank], …]}
#include <cmath>
#include <functional>
#include <iostream>
#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "engine/sampler.h"

namespace merope {
namespace {

using Json = nlohmann::ordered_json;
using Ids = std::vector<int32_t>;

double Number(const Json& json) {
  return json.is_string() ? std::stod(json.get<std::string>()) : json.get<double>();
}

std::vector<float> Row(const Json& json) {
  std::vector<float> row;
  for (const Json& number : json) row.push_back(static_cast<float>(Number(number)));
  return row;
}

StructuredOutputs ToStructuredOutputs(const Json& json) {
  StructuredOutputs outputs;
  const auto text = [&](const char* name, std::optional<std::string>& field) {
    if (json.contains(name)) field = json[name].get<std::string>();
  };
  text("json", outputs.json);
  text("regex", outputs.regex);
  text("grammar", outputs.grammar);
  text("structural_tag", outputs.structural_tag);
  if (json.contains("choice")) outputs.choice = json["choice"].get<std::vector<std::string>>();
  outputs.json_object = json.value("json_object", false);
  return outputs;
}

SamplingParams ToParams(const Json& json) {
  SamplingParams params;
  using Set = std::function<void(const Json&)>;
  const auto number = [](double& field) { return Set([&](const Json& x) { field = Number(x); }); };
  const auto value = [](auto& field) { return Set([&](const Json& x) { x.get_to(field); }); };
  const auto optional = [](auto& field) {
    return Set([&](const Json& x) {
      using Value = typename std::remove_reference_t<decltype(field)>::value_type;
      field = x.is_null() ? std::nullopt : std::optional(x.get<Value>());
    });
  };
  const std::map<std::string, Set> fields = {
      {"n", value(params.n)},
      {"presence_penalty", number(params.presence_penalty)},
      {"frequency_penalty", number(params.frequency_penalty)},
      {"repetition_penalty", number(params.repetition_penalty)},
      {"temperature", number(params.temperature)},
      {"top_p", number(params.top_p)},
      {"min_p", number(params.min_p)},
      {"top_k", value(params.top_k)},
      {"seed", optional(params.seed)},
      {"stop", value(params.stop)},
      {"stop_token_ids", value(params.stop_token_ids)},
      {"bad_words", value(params.bad_words)},
      {"max_tokens", optional(params.max_tokens)},
      {"min_tokens", value(params.min_tokens)},
      {"logprobs", optional(params.logprobs)},
      {"prompt_logprobs", optional(params.prompt_logprobs)},
      {"logit_bias",
       [&](const Json& x) {
         for (const auto& [id, bias] : x.items())
           params.logit_bias.emplace_back(std::stoi(id), Number(bias));
       }},
      {"allowed_token_ids", optional(params.allowed_token_ids)},
      {"structured_outputs",
       [&](const Json& x) { params.structured_outputs = ToStructuredOutputs(x); }},
      {"repetition_detection",
       [&](const Json& x) {
         params.repetition_detection = {x.value("max_pattern_size", int64_t{0}),
                                        x.value("min_pattern_size", int64_t{0}),
                                        x.value("min_count", int64_t{0})};
       }},
      {"ignore_eos", value(params.ignore_eos)},
      {"detokenize", value(params.detokenize)},
  };
  for (const auto& [name, field] : json.items()) fields.at(name)(field);
  return params;
}

Json Settled(const Json& line) {
  SamplingParams params = ToParams(line["settle"]);
  const Status status =
      Settle(&params, {.vocab_size = line["vocab_size"], .max_logprobs = line["max_logprobs"]});
  if (!status) return {{"error", status.error().message}};
  return {{"settled",
           {{"temperature", params.temperature},
            {"top_p", params.top_p},
            {"top_k", params.top_k},
            {"min_p", params.min_p},
            {"seed", params.seed ? Json(*params.seed) : Json(nullptr)},
            {"skip_reading_prefix_cache", params.skip_reading_prefix_cache}}}};
}

Json Drawn(const Json& line) {
  std::vector<std::vector<float>> rows;
  for (const Json& row : line["rows"]) rows.push_back(Row(row));
  const auto vocab_size = static_cast<int64_t>(rows[0].size());
  // One mask per row, or no masks.
  const auto masks = line["masks"].get<std::vector<std::vector<uint32_t>>>();
  const Ids prompt = DistinctIds(line["prompt"].get<Ids>(), vocab_size), eos = line["eos"];
  const SamplerContext context{prompt, eos, line["bad_words"], vocab_size};
  SamplingParams params = ToParams(line["draw"]);
  if (const Status status = Settle(&params, {.vocab_size = vocab_size}); !status)
    return {{"error", status.error().message}};
  const auto mask = [&](size_t row) {
    return masks.empty() ? std::span<const uint32_t>() : std::span<const uint32_t>(masks[row]);
  };
  const int64_t sequences = line["sequences"];
  std::map<Ids, int64_t> counts;
  if (line["stream"]) {
    params.seed = 0;
    Sampler sampler(std::make_shared<const SamplingParams>(params), 0, context);
    for (int64_t i = 0; i < sequences; ++i) ++counts[{sampler.Sample(rows[0], mask(0))}];
  } else {
    for (int64_t i = 0; i < sequences; ++i) {
      params.seed = i;
      Sampler sampler(std::make_shared<const SamplingParams>(params), 0, context);
      Ids tokens;
      for (size_t row = 0; row < rows.size(); ++row)
        tokens.push_back(sampler.Sample(rows[row], mask(row)));
      ++counts[tokens];
    }
  }
  Json answer = Json::array();
  for (const auto& [tokens, count] : counts) answer.push_back({tokens, count});
  return {{"counts", answer}};
}

Json Logprobs(const Json& line) {
  Json entries = Json::array();
  for (const auto& [id, logprob, rank] : TopLogprobs(Row(line["row"]), line["token"], line["k"]))
    entries.push_back({id, std::isfinite(logprob) ? Json(logprob) : Json("-inf"), rank});
  return {{"logprobs", entries}};
}

}  // namespace
}  // namespace merope

int main() {
  using merope::Json;
  for (std::string text; std::getline(std::cin, text);) {
    const Json line = Json::parse(text);
    std::cout << (line.contains("settle") ? merope::Settled(line)
                  : line.contains("draw") ? merope::Drawn(line)
                                          : merope::Logprobs(line))
              << '\n'
              << std::flush;
  }
}
