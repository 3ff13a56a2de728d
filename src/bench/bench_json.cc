#include "bench/bench_json.h"

namespace merope {
namespace {

Json ToJson(const Distribution& d) {
  return {{"mean", d.mean}, {"min", d.min}, {"p10", d.p10}, {"p50", d.p50},
          {"p90", d.p90},   {"p99", d.p99}, {"max", d.max}};
}

Json ToJson(const MeanRatio& ratio) {
  return {{"mean", ratio.mean}, {"low", ratio.low}, {"high", ratio.high}};
}

Json ToJson(const LatencyCase& c) {
  return {{"mode", c.mode},
          {"speedup", c.speedup ? ToJson(*c.speedup) : Json(nullptr)},
          {"batch_size", c.batch_size},
          {"context", c.context},
          {"input_len", c.input_length},
          {"output_len", c.output_length},
          {"latency_s", ToJson(c.latency)},
          {"throughput_tok_s", ToJson(c.throughput)},
          {"ttft_s", ToJson(c.ttft)},
          {"tpot_s", ToJson(c.tpot)},
          {"report_tpot_s", ToJson(c.report_tpot)},
          {"inter_token_s", ToJson(c.inter_token)},
          {"prefill_tok_s", ToJson(c.prefill_speed)},
          {"probed_bandwidth_bytes_s", ToJson(c.bandwidth)},
          {"decode_bytes", c.decode_bytes},
          {"bandwidth_share", ToJson(c.bandwidth_share)},
          {"probed_peak_flop_s", ToJson(c.peak)},
          {"prefill_flop", c.prefill_flops},
          {"peak_share", ToJson(c.peak_share)}};
}

Json ToJson(const ThroughputCase& c) {
  return {{"speculative_tokens", c.speculative_tokens},
          {"elapsed_s", ToJson(c.seconds)},
          {"requests_per_second", ToJson(c.requests_per_second)},
          {"tokens_per_second", ToJson(c.tokens_per_second)},
          {"output_tokens_per_second", ToJson(c.output_tokens_per_second)},
          {"ttft_s", ToJson(c.ttft)},
          {"ttft_cold_s", ToJson(c.ttft_cold)},
          {"ttft_cached_s", ToJson(c.ttft_cached)},
          {"probed_bandwidth_bytes_s", ToJson(c.bandwidth)},
          {"probed_peak_flop_s", ToJson(c.peak)},
          {"limit_share", ToJson(c.limit_share)},
          {"steps", c.stats.steps},
          {"cached_tokens", c.stats.prefix_hits},
          {"preemptions", c.stats.preemptions},
          {"drafted_tokens", c.stats.draft_tokens},
          {"accepted_tokens", c.stats.accepted_tokens},
          {"speedup", ToJson(c.speedup)}};
}

}  // namespace

Json ToJson(const ThroughputResult& result) {
  Json cases = Json::array();
  for (const ThroughputCase& c : result.cases) cases.push_back(ToJson(c));
  return {{"num_requests", result.requests},
          {"prompt_tokens", result.prompt_tokens},
          {"output_tokens", result.output_tokens},
          {"cases", cases}};
}

Json ToJson(const EndpointLatencyCase& c) {
  return {{"mode", c.mode},
          {"speedup", c.speedup ? ToJson(*c.speedup) : Json(nullptr)},
          {"input_len", c.input_length},
          {"output_len", c.output_length},
          {"latency_s", ToJson(c.latency)},
          {"throughput_tok_s", ToJson(c.throughput)},
          {"ttft_s", ToJson(c.ttft)},
          {"tpot_s", ToJson(c.tpot)},
          {"report_tpot_s", ToJson(c.report_tpot)}};
}

Json ToJson(const ServeBenchResult& r) {
  const auto times = [](const std::optional<Distribution>& d) {
    return d ? ToJson(*d) : Json(nullptr);
  };
  return {
      {"completed", r.completed},
      {"failed", r.failed},
      {"first_failure", r.first_failure},
      {"duration_s", r.duration},
      {"input_tokens", r.input_tokens},
      {"output_tokens", r.output_tokens},
      {"requests_per_second", r.request_throughput},
      {"good_requests_per_second", r.request_goodput ? Json(*r.request_goodput) : Json(nullptr)},
      {"output_tokens_per_second", r.output_throughput},
      {"tokens_per_second", r.total_throughput},
      {"peak_output_tokens_per_second", r.peak_output_throughput},
      {"peak_concurrent_requests", r.peak_concurrency},
      {"ttft_s", times(r.ttft)},
      {"tpot_s", times(r.tpot)},
      {"itl_s", times(r.itl)},
      {"e2el_s", times(r.e2el)}};
}

Json ToJson(const LatencyResult& result) {
  Json cases = Json::array();
  for (const LatencyCase& c : result.cases) cases.push_back(ToJson(c));
  return {{"backend", result.backend},
          {"dtype", result.precision},
          {"threads", result.threads},
          {"warmup", result.warmup},
          {"repeats", result.repeats},
          {"seed", result.seed},
          {"weight_bytes", result.weight_bytes},
          {"step_weight_bytes", result.step_weight_bytes},
          {"peak_rss_bytes", result.peak_resident_bytes},
          {"cases", cases}};
}

Json ToJson(const RooflineResult& result) {
  Json rows = Json::array();
  for (const RooflineRow& row : result.rows) {
    rows.push_back({{"threads", row.threads},
                    {"read_bytes_s", ToJson(row.bandwidth)},
                    {"fp32_flop_s", ToJson(row.peak(PeakKind::kFp32))},
                    {"bf16_flop_s", ToJson(row.peak(PeakKind::kBf16))},
                    {"int8_op_s", ToJson(row.peak(PeakKind::kInt8))}});
  }
  return {{"target", result.target}, {"probes", result.probes}, {"rows", rows}};
}

}  // namespace merope
