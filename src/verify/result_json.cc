#include "verify/result_json.h"

namespace merope {
namespace {

using Json = nlohmann::ordered_json;

Json ToJson(const Interval& interval) { return {interval.low, interval.high}; }
Json OrNull(const std::optional<double>& value) { return value ? Json(*value) : Json(nullptr); }

Json ToJson(const GateResult& gate) {
  return {
      {"key", gate.key},
      {"label", gate.label},
      {"value", gate.value},
      {"interval", gate.interval ? ToJson(*gate.interval) : Json(nullptr)},
      {"confidence", gate.interval ? Json(gate.confidence) : Json(nullptr)},
      {"min", OrNull(gate.min)},
      {"max", OrNull(gate.max)},
      {"strict", gate.strict},
      {"verdict", VerdictName(gate.verdict)},
      {"positions_needed", gate.positions_needed > 0 ? Json(gate.positions_needed) : Json(nullptr)},
      {"note", gate.note}};
}

template <class T>
Json List(const std::vector<T>& items, Json (*convert)(const T&)) {
  Json list = Json::array();
  for (const T& item : items) list.push_back(convert(item));
  return list;
}

Json ToJson(const FirstTokenTable& t) {
  return {{"rows", List<FirstTokenRow>(t.rows,
                                       [](const FirstTokenRow& r) -> Json {
                                         return {{"prompt", r.prompt},
                                                 {"baseline_top1", r.baseline_top1},
                                                 {"target_top1", r.target_top1},
                                                 {"match", r.match},
                                                 {"cosine", r.cosine},
                                                 {"kl", r.kl},
                                                 {"js", r.js},
                                                 {"mae", r.mae},
                                                 {"spearman", r.spearman},
                                                 {"mean_relative_error", r.mean_relative_error}};
                                       })},
          {"matches", t.matches},
          {"top1_rate", t.top1_rate},
          {"cosine", t.cosine},
          {"one_minus_cosine", t.one_minus_cosine},
          {"mae", t.mae},
          {"kl", t.kl},
          {"js", t.js},
          {"spearman", t.spearman},
          {"mean_relative_error", t.mean_relative_error},
          {"gates", List<GateResult>(t.gates, ToJson)},
          {"verdict", VerdictName(t.verdict)}};
}

Json ToJson(const PositionSuite& s) {
  Json figures = Json::object();
  for (const PositionFigure& f : s.figures)
    figures[f.key] = {
        {"label", f.label},   {"mean", f.mean},  {"mean_interval", ToJson(f.mean_interval)},
        {"median", f.median}, {"p99", f.p99},    {"p99_interval", ToJson(f.p99_interval)},
        {"p999", f.p999},     {"worst", f.worst}};
  return {{"prompts", s.prompts},
          {"positions", s.positions},
          {"not_finite", s.not_finite},
          {"figures", figures},
          {"same_top1", s.same_top1},
          {"same_top1_rate", s.same_top1_rate},
          {"same_top1_interval", ToJson(s.same_top1_interval)},
          {"expected_flips", s.expected_flips},
          {"flips", List<Flip>(s.flips,
                               [](const Flip& f) -> Json {
                                 return {{"prompt", f.prompt_id},
                                         {"position", f.position},
                                         {"baseline_top1", f.baseline_top1},
                                         {"target_top1", f.target_top1},
                                         {"gap", f.gap},
                                         {"allowed", f.allowed},
                                         {"explained", f.explained}};
                               })},
          {"outliers", List<Outlier>(s.outliers,
                                     [](const Outlier& o) -> Json {
                                       return {{"prompt", o.prompt_id},
                                               {"position", o.position},
                                               {"bhattacharyya", o.bhattacharyya},
                                               {"emulated_bhattacharyya",
                                                OrNull(o.emulated_bhattacharyya)},
                                               {"explained", o.explained}};
                                     })},
          {"rms_delta_p", s.rms_delta_p},
          {"rms_delta_p_interval", ToJson(s.rms_delta_p_interval)},
          {"delta_p_percentiles", s.delta_p_percentiles},
          {"delta_ln_ppl", s.delta_ln_ppl},
          {"delta_ln_ppl_interval", ToJson(s.delta_ln_ppl_interval)},
          {"baseline_ppl", s.baseline_ppl},
          {"target_ppl", s.target_ppl},
          {"by_prompt", List<PromptSummary>(s.by_prompt,
                                            [](const PromptSummary& p) -> Json {
                                              return {{"id", p.id},
                                                      {"kind", p.kind},
                                                      {"language", p.language},
                                                      {"positions", p.positions},
                                                      {"flips", p.flips},
                                                      {"expected_flips", p.expected_flips},
                                                      {"mean_kl", p.mean_kl},
                                                      {"max_kl", p.max_kl},
                                                      {"mean_relative_l2", p.mean_relative_l2}};
                                            })},
          {"gates", List<GateResult>(s.gates, ToJson)},
          {"verdict", VerdictName(s.verdict)}};
}

Json ToJson(const ReferenceCheck& c) {
  return {{"positions", c.positions},
          {"max_relative_l2", c.max_relative_l2},
          {"mean_relative_l2", c.mean_relative_l2},
          {"worst_share_of_bound", c.worst_share_of_bound},
          {"bound_at_worst", c.bound_at_worst},
          {"top1_differences", c.top1_differences},
          {"verdict", VerdictName(c.verdict)},
          {"emulated_sigma", c.emulated_sigma},
          {"emulated_relative_l2", c.emulated_relative_l2},
          {"emulated_kl", c.emulated_kl},
          {"emulated_flips", c.emulated_flips},
          {"emulated_expected_flips", c.emulated_expected_flips},
          {"target_sigma", c.target_sigma},
          {"target_kl", c.target_kl}};
}

}  // namespace

Json ToJson(const VerifyResult& r) {
  return {{"model", r.model},
          {"mode", VerifyModeName(r.mode)},
          {"baseline", r.baseline},
          {"target", r.target},
          {"target_dtype", PrecisionName(r.target_precision)},
          {"threads", r.threads},
          {"context", r.context},
          {"seconds", r.seconds},
          {"baseline_tokens_per_second", r.baseline_tokens_per_second},
          {"target_tokens_per_second", r.target_tokens_per_second},
          {"first_token", ToJson(r.first_token)},
          {"positions", ToJson(r.positions)},
          {"reference", ToJson(r.reference)},
          {"verdict", VerdictName(r.verdict)}};
}

}  // namespace merope
