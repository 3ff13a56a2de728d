#include "verify/result_json.h"

#include "base/json.h"
#include "verify/kinds.h"
#include "verify/numerics.h"

namespace merope {
namespace {
OrderedJson ToJson(const Interval& interval) { return {interval.low, interval.high}; }
OrderedJson OrNull(const std::optional<double>& value) {
  return value ? OrderedJson(*value) : OrderedJson(nullptr);
}

template <class T>
OrderedJson List(const std::vector<T>& items, OrderedJson (*convert)(const T&)) {
  OrderedJson list = OrderedJson::array();
  for (const T& item : items) list.push_back(convert(item));
  return list;
}

OrderedJson ToJson(const FirstTokenTable& t) {
  OrderedJson rows = OrderedJson::array();
  for (const FirstTokenRow& r : t.rows) {
    OrderedJson row = {{"prompt", r.prompt},
                       {"baseline_top1", r.baseline_top1},
                       {"target_top1", r.target_top1},
                       {"match", r.match}};
    for (const FigureKind& kind : FigureKinds())
      if (kind.prompt != nullptr) row[kind.key] = r.*kind.prompt;
    rows.push_back(std::move(row));
  }
  OrderedJson json = {{"rows", std::move(rows)}, {"matches", t.matches}};
  for (const FigureKind& kind : FigureKinds())
    if (kind.mean != nullptr) json[kind.key] = t.*kind.mean;
  json["gates"] = List<GateResult>(t.gates, merope::ToJson);
  json["verdict"] = VerdictName(t.verdict);
  return json;
}

OrderedJson ToJson(const PositionSuite& s) {
  OrderedJson figures = OrderedJson::object();
  for (const PositionFigure& f : s.figures)
    figures[f.key] = {
        {"label", f.label},   {"mean", f.mean},  {"mean_interval", ToJson(f.mean_interval)},
        {"median", f.median}, {"p99", f.p99},    {"p99_interval", ToJson(f.p99_interval)},
        {"p999", f.p999},     {"worst", f.worst}};
  OrderedJson json = {{"prompts", s.prompts},
                      {"positions", s.positions},
                      {"not_finite", s.not_finite},
                      {"generated_texts", s.generated_texts},
                      {"generated_tokens", s.generated_tokens},
                      {"figures", figures},
                      {"same_top1", s.same_top1}};
  for (const FigureKind& kind : FigureKinds()) {
    if (!kind.HasValue(s)) continue;
    if (kind.suite != nullptr) json[kind.key] = s.*kind.suite;
    if (kind.interval != nullptr)
      json[std::string(kind.key) + "_interval"] = ToJson(s.*kind.interval);
    if (kind.percentiles != nullptr) json[kind.key] = s.*kind.percentiles;
  }
  json.update({{"flips", List<Flip>(s.flips,
                                    [](const Flip& f) -> OrderedJson {
                                      return {{"prompt", f.prompt_id},
                                              {"position", f.position},
                                              {"baseline_top1", f.baseline_top1},
                                              {"target_top1", f.target_top1},
                                              {"gap", f.gap},
                                              {"allowed", f.allowed},
                                              {"explained", f.explained}};
                                    })},
               {"outliers", List<Outlier>(s.outliers,
                                          [](const Outlier& o) -> OrderedJson {
                                            return {{"prompt", o.prompt_id},
                                                    {"position", o.position},
                                                    {"bhattacharyya", o.bhattacharyya},
                                                    {"emulated_bhattacharyya",
                                                     OrNull(o.emulated_bhattacharyya)},
                                                    {"explained", o.explained}};
                                          })},
               {"by_prompt", List<PromptSummary>(s.by_prompt,
                                                 [](const PromptSummary& p) -> OrderedJson {
                                                   return {
                                                       {"id", p.id},
                                                       {"kind", p.kind},
                                                       {"language", p.language},
                                                       {"positions", p.positions},
                                                       {"flips", p.flips},
                                                       {"expected_flips", p.expected_flips},
                                                       {"mean_kl", p.mean_kl},
                                                       {"max_kl", p.max_kl},
                                                       {"mean_relative_l2", p.mean_relative_l2}};
                                                 })},
               {"gates", List<GateResult>(s.gates, merope::ToJson)},
               {"verdict", VerdictName(s.verdict)}});
  return json;
}

OrderedJson ToJson(const ReferenceCheck& c) {
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
          {"gap_factor", c.gap_factor},
          {"emulated_flips", c.emulated_flips},
          {"emulated_expected_flips", c.emulated_expected_flips},
          {"target_sigma", c.target_sigma},
          {"target_kl", c.target_kl}};
}

OrderedJson ToJson(const Stability& s) {
  return {{"prompts", s.prompts},
          {"tokens", s.tokens},
          {"company", s.company},
          {"lengths", s.lengths},
          {"conditions", List<StabilityRow>(s.rows,
                                            [](const StabilityRow& row) -> OrderedJson {
                                              return {{"key", row.key},
                                                      {"label", StabilityLabel(row.key)},
                                                      {"different", row.different},
                                                      {"prefill_delta", row.prefill_delta},
                                                      {"decode_delta", row.decode_delta}};
                                            })},
          {"most_distinct", s.most_distinct},
          {"most_distinct_prompt", s.most_distinct_prompt}};
}

OrderedJson ToJson(const ServerPair& p) {
  return {{"url", p.second.url},
          {"software", p.second.software},
          {"prompts", p.prompts},
          {"same_texts", p.same_texts},
          {"positions", p.positions},
          {"flips", p.flips},
          {"widest_flip", p.widest_flip},
          {"sigma", p.sigma},
          {"max_delta", p.max_delta},
          {"worst_prompt", p.worst_prompt},
          {"worst_position", p.worst_position}};
}

OrderedJson ToJson(const EndpointResult& e) {
  return {{"url", e.server.url},
          {"model", e.server.model},
          {"software", e.server.software},
          {"context", e.server.context ? OrderedJson(*e.server.context) : OrderedJson(nullptr)},
          {"numerics", e.numerics},
          {"numerics_assumed", e.numerics_assumed},
          {"generate", e.generate},
          {"top_k", e.probe.top_k},
          {"prompt_logprobs", e.probe.prompt_rows},
          {"requests", e.requests},
          {"tokens", e.tokens},
          {"repeated_tries", e.repeated_tries},
          {"probe", List<ProbeFinding>(e.probe.findings,
                                       [](const ProbeFinding& f) -> OrderedJson {
                                         return {{"key", f.key},
                                                 {"label", f.label},
                                                 {"found", FoundName(f.found)},
                                                 {"detail", f.detail}};
                                       })},
          {"stability", e.stability ? ToJson(*e.stability) : OrderedJson(nullptr)},
          {"eager", e.eager ? ToJson(*e.eager) : OrderedJson(nullptr)},
          {"verdict", VerdictName(e.verdict)}};
}

}  // namespace

OrderedJson ToJson(const GateResult& gate) {
  return {{"key", gate.key},
          {"label", gate.label},
          {"value", gate.value},
          {"interval", gate.interval ? ToJson(*gate.interval) : OrderedJson(nullptr)},
          {"confidence", gate.interval ? OrderedJson(gate.confidence) : OrderedJson(nullptr)},
          {"min", OrNull(gate.min)},
          {"max", OrNull(gate.max)},
          {"strict", gate.strict},
          {"verdict", VerdictName(gate.verdict)},
          {"positions_needed",
           gate.positions_needed > 0 ? OrderedJson(gate.positions_needed) : OrderedJson(nullptr)},
          {"note", gate.note}};
}

OrderedJson ToJson(const VerifyResult& r) {
  OrderedJson json = {{"model", r.model},
                      {"mode", VerifyModeName(r.mode)},
                      {"baseline", r.baseline},
                      {"target", r.target},
                      {"target_dtype", NumericsName(r.target_precision, r.target_rounding)},
                      {"threads", r.threads},
                      {"context", r.context},
                      {"seconds", r.seconds},
                      {"baseline_tokens_per_second", r.baseline_tokens_per_second},
                      {"target_tokens_per_second", r.target_tokens_per_second},
                      {"first_token", ToJson(r.first_token)},
                      {"positions", ToJson(r.positions)},
                      {"reference", ToJson(r.reference)},
                      {"verdict", VerdictName(r.verdict)}};
  if (r.endpoint) json["endpoint"] = ToJson(*r.endpoint);
  return json;
}

}  // namespace merope
