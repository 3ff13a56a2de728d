#include "bench/bench_json.h"

namespace merope {
namespace {

Json ToJson(const Distribution& d) {
  return {{"mean", d.mean}, {"min", d.min}, {"p10", d.p10}, {"p50", d.p50},
          {"p90", d.p90},   {"p99", d.p99}, {"max", d.max}};
}

Json ToJson(const LatencyCase& c) {
  const Json speedup =
      c.speedup
          ? Json{{"mean", c.speedup->mean}, {"low", c.speedup->low}, {"high", c.speedup->high}}
          : Json(nullptr);
  return {{"mode", c.mode},
          {"speedup", speedup},
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

}  // namespace

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
