#include "report/report_json.h"

#include "base/json.h"
#include "bench/bench_json.h"
#include "checkpoint/config_json.h"
#include "model/kv_cache.h"
#include "verify/result_json.h"

namespace merope {
namespace {

OrderedJson ToJson(const Machine& m) {
  return {{"cpu", m.cpu},
          {"architecture", m.architecture},
          {"logical_cpus", m.logical_cpus},
          {"usable_cores", m.usable_cores},
          {"instruction_sets", m.instruction_sets},
          {"l2_bytes", m.l2_bytes},
          {"l3_bytes", m.l3_bytes},
          {"memory_total_bytes", m.memory_total},
          {"memory_available_bytes", m.memory_available},
          {"memory_limit_bytes", m.memory_limit},
          {"os", m.os},
          {"kernel", m.kernel},
          {"libc", m.libc},
          {"compiler", m.compiler},
          {"merope", m.merope}};
}

OrderedJson ToJson(const ModelConfig& c) {
  OrderedJson json = ConfigJson(c);
  json["dtype"] = DTypeName(c.dtype);
  json["kv_bytes_per_token"] = c.KvBytesPerToken(2);
  return json;
}

OrderedJson ToJson(const WeightReport& w) {
  OrderedJson files = OrderedJson::array();
  for (const FileHash& file : w.files)
    files.push_back({{"file", file.file}, {"bytes", file.bytes}, {"sha256", file.sha256}});
  return {{"ok", w.ok()},
          {"expected_tensors", w.expected_tensors},
          {"tensors", w.found_tensors},
          {"expected_parameters", w.expected_parameters},
          {"parameters", w.parameters},
          {"bytes", w.bytes},
          {"tied", w.tied},
          {"missing", w.missing},
          {"extra", w.extra},
          {"wrong_shape", w.wrong_shape},
          {"nan", w.nan_count},
          {"inf", w.inf_count},
          {"files", files}};
}

OrderedJson ToJson(const LoadFacts& l) {
  return {{"backend", l.backend},
          {"open_s", l.open_seconds},
          {"tokenizer_s", l.tokenizer_seconds},
          {"load_s", l.load_seconds},
          {"weight_bytes", l.weight_bytes},
          {"weight_bytes_fp32", l.matrices_fp32_bytes},
          {"rss_before_bytes", l.resident_before},
          {"rss_after_bytes", l.resident_after},
          {"peak_rss_bytes", l.peak},
          {"kv_tokens", l.kv_pages * kPageTokens},
          {"kv_bytes_per_token", l.kv_token_bytes},
          {"capture",
           {{"ops", l.captured_ops},
            {"steps", l.captured_steps},
            {"seconds", l.capture_seconds},
            {"bytes", l.captured_bytes}}}};
}

OrderedJson ToJson(const GenerationPair& g) {
  OrderedJson json = {
      {"prompt", g.prompt},
      {"form", g.form},
      {"prompt_tokens", g.prompt_tokens},
      {"fp32_text", g.baseline_text},
      {"target_text", g.target_text},
      {"fp32_tokens", g.baseline_tokens},
      {"target_tokens", g.target_tokens},
      {"first_difference",
       g.first_difference < 0 ? OrderedJson(nullptr) : OrderedJson(g.first_difference)}};
  if (!g.error.empty()) json["error"] = g.error;
  if (g.first_difference >= 0) {
    json["fp32_token"] = g.baseline_token;
    json["target_token"] = g.target_token;
    json["margin"] = g.margin;
    json["target_margin"] = g.target_margin ? OrderedJson(*g.target_margin) : OrderedJson(nullptr);
    json["sigma"] = g.sigma;
  }
  return json;
}

OrderedJson ToJson(const ErrorSample& e) {
  OrderedJson bins = OrderedJson::array();
  for (const ProbabilityBin& bin : e.bins)
    bins.push_back({{"high", bin.high},
                    {"tokens", bin.tokens},
                    {"mass", bin.mass},
                    {"mean_relative_error", bin.mean_relative_error},
                    {"mean_log_error", bin.mean_log_error}});
  return {{"positions", e.positions},
          {"not_finite", e.not_finite},
          {"vocab_size", e.vocab_size},
          {"flips", e.flips},
          {"sigma", e.sigma},
          {"logit_sigma", e.logit_sigma},
          {"mean_relative_l2", e.mean_relative_l2},
          {"max_relative_l2", e.max_relative_l2},
          {"mean_cosine", e.mean_cosine},
          {"mean_probability_l2", e.mean_probability_l2},
          {"max_probability_l2", e.max_probability_l2},
          {"mean_kl", e.mean_kl},
          {"max_kl", e.max_kl},
          {"mean_kl_predicted", e.mean_kl_predicted},
          {"beyond_4_sigma", e.beyond_4_sigma},
          {"histogram", e.histogram},
          {"bins", bins}};
}

// tpot_s: the median over the rounds of each round's median TPOT. ratio_median_of_pairs: the median
// of the latency ratios of the pairs, one pair per round.
OrderedJson ToJson(const SpeedComparison& c) {
  if (c.ratios.empty()) return nullptr;
  const auto side = [](const LatencyResult& r, const Distribution& tpot) -> OrderedJson {
    return {{"tpot_s", tpot.p50}, {"weight_bytes", r.weight_bytes}};
  };
  return {{"input_len", c.input_length},
          {"output_len", c.output_length},
          {"fp32", side(c.baseline, c.baseline_tpot)},
          {"target", side(c.target, c.target_tpot)},
          {"ratio_median_of_pairs", c.ratio.p50},
          {"ratio_least", c.ratio.min},
          {"ratio_most", c.ratio.max}};
}

OrderedJson ToJson(const ServerReport& server) {
  OrderedJson environment = OrderedJson::object(), latency = OrderedJson::array(),
              serving = OrderedJson::array();
  for (const auto& [name, value] : server.environment) environment[name] = value;
  for (const EndpointLatencyCase& c : server.latency) latency.push_back(OrderedJson(ToJson(c)));
  for (const ServingLevel& level : server.serving) {
    OrderedJson row = {{"concurrency", level.concurrency}};
    row.update(OrderedJson(ToJson(level.result)));
    serving.push_back(std::move(row));
  }
  return {{"name", server.name},
          {"environment", environment},
          {"latency",
           {{"warmup", server.grid.warmup},
            {"repeats", server.grid.repeats},
            {"seed", server.grid.seed},
            {"cases", latency}}},
          {"serving",
           {{"input_len", server.serving_input},
            {"output_len", server.serving_output},
            {"levels", serving}}}};
}

// What only the report of a model in this process has.
void AddOwn(const ReportData& data, OrderedJson* json) {
  OrderedJson dtypes = OrderedJson::array();
  for (const DtypeRow& row : data.dtypes)
    dtypes.push_back({{"dtype", PrecisionName(row.precision)},
                      {"weight_bytes", row.weight_bytes},
                      {"prefill_tokens_per_second", row.prefill_tokens_per_second},
                      {"decode_tokens_per_second", row.decode_tokens_per_second},
                      {"verify", ToJson(row.verify)}});
  json->update({{"load", ToJson(data.load)},
                {"dtypes", dtypes},
                {"latency", OrderedJson(ToJson(data.latency))},
                {"eager_beside_compiled", OrderedJson(ToJson(data.modes))},
                {"speedup", data.comparison.ratios},
                {"fp32_beside_target", ToJson(data.comparison)}});
}

}  // namespace

OrderedJson ToJson(const ReportData& data) {
  OrderedJson parameters = OrderedJson::object(), generation = OrderedJson::array();
  for (const ParameterGroup& group : data.parameters) parameters[group.key] = group.parameters;
  OrderedJson prefix = OrderedJson::array();
  for (const auto& [token, id] : data.prefix) prefix.push_back({{"token", token}, {"id", id}});
  for (const GenerationPair& pair : data.generation) generation.push_back(ToJson(pair));
  OrderedJson json = {
      {"model", data.options.model},
      {"name", data.identity.name},
      {"license",
       data.identity.license.empty() ? OrderedJson(nullptr) : OrderedJson(data.identity.license)},
      {"prefix", {{"rule", data.prefix_rule}, {"tokens", prefix}}},
      {"date", data.date},
      {"seconds", data.seconds},
      {"mode", VerifyModeName(data.options.mode)},
      {"prompts",
       data.options.prompts.empty() ? OrderedJson(nullptr) : OrderedJson(data.options.prompts)},
      {"target", data.target_name()},
      {"machine", ToJson(data.machine)},
      {"config", ToJson(data.config)},
      {"parameters", parameters},
      {"weights", ToJson(data.weights)},
      {"weight_rounding_rms", data.weight_rounding},
      {"generation", generation},
      {"verify", ToJson(data.verify)},
      {"verdict", VerdictName(data.verdict())},
      {"errors", ToJson(data.errors)}};
  if (data.server) {
    json["server"] = ToJson(*data.server);
  } else {
    AddOwn(data, &json);
  }
  return json;
}

}  // namespace merope
