#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include "verify/figures.h"
#include "verify/series.h"
#include "verify/statistics.h"

namespace merope {
namespace {

// The mean of a figure of the target over the mean of the same figure of the emulated format, on
// the positions that have a ReferenceRecord. root: take the square root of the ratio and of its
// interval.
GateResult RatioGate(std::span<const ReferenceRecord> records, const ClusterBootstrap& bootstrap,
                     size_t n_prompts, std::string_view key, const Extract& extract, bool root) {
  const Series target = Collect(records, n_prompts, &ReferenceRecord::target, extract);
  const Series emulated = Collect(records, n_prompts, &ReferenceRecord::emulated, extract);
  const double above = Series::Total(target.sums), below = Series::Total(emulated.sums);
  GateResult gate = NewGate(FindPositionGate(key),
                            below != 0   ? above / below
                            : above == 0 ? 1
                                         : HUGE_VAL,
                            bootstrap.Ratio(target.sums, emulated.sums, kConfidence));
  if (root) {
    gate.value = std::sqrt(gate.value);
    gate.interval = Interval{std::sqrt(gate.interval->low), std::sqrt(gate.interval->high)};
  }
  gate.note = "on the positions of the reference check";
  Judge(&gate, std::ssize(records));
  return gate;
}

// The upper bound of total variation over that of the emulated format. Where much mass is unlisted,
// the bound is large for any target; such positions are left out. nullopt if no position is left.
std::optional<GateResult> BoundGate(std::span<const ReferenceRecord> records,
                                    const ClusterBootstrap& bootstrap, size_t n_prompts) {
  constexpr double kMostUnlisted = 0.01;
  std::vector<double> target(n_prompts), emulated(n_prompts);
  int64_t positions = 0;
  for (const ReferenceRecord& r : records) {
    if (!r.target.tv_most || !r.emulated.tv_most || *r.target.tv_most - r.target.tv > kMostUnlisted)
      continue;
    target[static_cast<size_t>(r.prompt)] += *r.target.tv_most;
    emulated[static_cast<size_t>(r.prompt)] += *r.emulated.tv_most;
    ++positions;
  }
  const double below = Series::Total(emulated);
  if (positions == 0 || below == 0) return std::nullopt;
  GateResult gate = NewGate(FindPositionGate("tv_most_ratio"), Series::Total(target) / below,
                            bootstrap.Ratio(target, emulated, kConfidence));
  gate.note = fmt::format("on {} positions of the reference check", positions);
  Judge(&gate, positions);
  return gate;
}

// The rate of same top-1 that the format's noise predicts, minus the measured rate. Each position
// pairs its flip with its probability of a flip. The gaps of the chosen prompts therefore do not
// widen the interval.
GateResult DeficitGate(const PositionSuite& suite) {
  std::vector<double> excess, counts;
  for (const PromptSummary& p : suite.by_prompt) {
    excess.push_back(static_cast<double>(p.flips) - p.expected_flips);
    counts.push_back(static_cast<double>(p.positions));
  }
  GateResult gate = NewGate(
      FindPositionGate("same_top1_deficit"),
      std::accumulate(excess.begin(), excess.end(), 0.0) / static_cast<double>(suite.positions),
      ClusterBootstrap(suite.prompts).Ratio(excess, counts, kConfidence));
  gate.note = fmt::format("same top-1 {:.2f} %; expected of the format: {:.2f} %",
                          suite.same_top1_rate * 100,
                          100 - 100 * suite.expected_flips / static_cast<double>(suite.positions));
  return gate;
}

// The noise that the format adds to a token's ln p: the RMS of ln p − ln q of the emulated rows, at
// the next token. 0 if no position has a next token.
double FormatNoise(std::span<const ReferenceRecord> records) {
  double squares = 0, n = 0;
  for (const ReferenceRecord& r : records) {
    if (!r.emulated.has_next) continue;
    const double delta = r.emulated.ln_p_next - r.emulated.ln_q_next;
    squares += delta * delta;
    ++n;
  }
  return n == 0 ? 0 : std::sqrt(squares / n);
}

// The target's ln PPL minus the ln PPL of the emulated format. The differences are taken on the
// same tokens, position by position.
GateResult PerplexityGate(std::span<const ReferenceRecord> records,
                          const ClusterBootstrap& bootstrap, size_t n_prompts) {
  Series deltas(n_prompts);
  for (const ReferenceRecord& r : records)
    if (r.target.has_next) deltas.Add(r.prompt, r.emulated.ln_q_next - r.target.ln_q_next);
  GateResult gate = NewGate(FindPositionGate("delta_ln_ppl_format"), deltas.Mean(),
                            bootstrap.Ratio(deltas.sums, deltas.counts, kEquivalenceConfidence));
  gate.note = "on the positions of the reference check";
  return gate;
}

// Chooses between two gates of which only one must pass. Returns the gate relative to the format if
// it has the better verdict, or the same verdict with fewer positions needed. Otherwise returns the
// absolute gate.
GateResult Either(GateResult absolute, GateResult relative) {
  const auto rank = [](const GateResult& gate) {
    return std::pair(gate.verdict, gate.positions_needed > 0 ? gate.positions_needed
                                                             : std::numeric_limits<int64_t>::max());
  };
  return rank(relative) < rank(absolute) ? std::move(relative) : std::move(absolute);
}

}  // namespace

GateResult EquivalenceGate(GateResult gate, double noise, int64_t positions, bool narrow) {
  const auto within = [&](double margin) {
    GateResult judged = gate;
    judged.min = -margin;
    judged.max = margin;
    Judge(&judged, positions);
    return judged;
  };
  const GateKind& kind = FindPositionGate(gate.key);
  GateResult absolute = within(positions < kManyPositions ? *kind.max : *kind.max_at_many);
  if (positions < kManyPositions && absolute.positions_needed >= kManyPositions)
    absolute.positions_needed =
        std::max(kManyPositions, within(*kind.max_at_many).positions_needed);
  // A bias of a fifth of the format's own noise makes the error of a token's ln p 2 % larger
  // (√(1 + 0.2²)). Gate 4 permits 50 %. On text that the baseline itself would write, the
  // expectation of Δ ln PPL is the mean KL. For 16-bit formats, the margin is therefore at most the
  // limit of gate 1.
  const double fifth = std::round(noise / 5 * 1e4) / 1e4;  // four decimals, as a table shows
  const double margin = narrow ? fifth : std::min(fifth, *FindPositionGate("kl_mean").max);
  GateResult relative = within(margin);
  relative.key += "_noise";
  relative.label = FindPositionGate(relative.key).english;
  const std::string note =
      fmt::format("limit: a fifth of the format's noise per token, {:.3f}", noise);
  relative.note += (relative.note.empty() ? "" : "; ") + note;
  return Either(std::move(absolute), std::move(relative));
}

void JudgeFirstToken(FirstTokenTable* table) {
  const double n = static_cast<double>(table->rows.size());
  table->matches = std::ranges::count_if(table->rows, &FirstTokenRow::match);
  table->top1_rate = static_cast<double>(table->matches) / n;
  for (const FigureKind& kind : FigureKinds()) {
    if (kind.prompt == nullptr) continue;
    double sum = 0;
    for (const FirstTokenRow& row : table->rows) sum += row.*kind.prompt;
    table->*kind.mean = sum / n;
  }
  table->one_minus_cosine = 1 - table->cosine;
  table->gates.clear();
  for (const GateKind& kind : FirstTokenGateKinds())
    table->gates.push_back(NewGate(kind, table->*FindFigure(kind.figure).mean));
  table->verdict = Verdict::kPass;
  for (GateResult& gate : table->gates) {
    Judge(&gate, std::ssize(table->rows));
    table->verdict = Worse(table->verdict, gate.verdict);
  }
}

int64_t LongestSum(const ModelConfig& config, int64_t longest_prompt) {
  return std::max({config.hidden_size, config.num_heads * config.head_dim, config.intermediate_size,
                   longest_prompt});
}

double Fp32OverBf16(int64_t longest_sum) {
  return std::exp2(-16) * std::sqrt(static_cast<double>(longest_sum) / 2);
}

ReferenceCheck JudgeReference(std::span<const ReferenceRecord> records, int64_t longest_sum) {
  ReferenceCheck check;
  check.positions = std::ssize(records);
  const double n = static_cast<double>(records.size());
  const Bf16Noise noise = MeasureNoise(records);
  check.gap_factor = noise.gap_factor;
  double emulated_squares = 0, target_squares = 0, mean_rounding = 0;
  for (const ReferenceRecord& r : records) {
    check.mean_relative_l2 += r.reference.relative_l2 / n;
    check.max_relative_l2 = std::max(check.max_relative_l2, r.reference.relative_l2);
    check.emulated_relative_l2 += r.emulated.relative_l2 / n;
    mean_rounding += r.rounding.relative_l2 / n;
    check.emulated_kl += r.emulated.kl / n;
    check.target_kl += r.target.kl / n;
    emulated_squares += r.emulated.sigma_d * r.emulated.sigma_d / n;
    target_squares += r.target.sigma_d * r.target.sigma_d / n;
    check.emulated_flips += r.emulated.baseline_top1 != r.emulated.target_top1;
    check.emulated_expected_flips += noise.FlipChance(r.emulated);
    check.top1_differences += r.reference.baseline_top1 != r.reference.target_top1 &&
                              r.reference.gap > 6 * r.reference.sigma_d;
  }
  check.emulated_sigma = std::sqrt(emulated_squares);
  check.target_sigma = std::sqrt(target_squares);
  // An fp32 sum of K terms in order has a relative error of about 2^-24·c·√(K/2), because its
  // partial sums grow as √k. Rounding one factor of each product to bf16 causes a relative error of
  // 2^-8·c, with the same c (the root mean square of a rounding error). The emulated bf16 rows show
  // the logit error that the network makes of this rounding at each position. The bound for fp32 is
  // four times the emulated error times the ratio of the two relative errors.
  const double ratio = Fp32OverBf16(longest_sum);
  for (const ReferenceRecord& r : records) {
    const double bound = 4 * ratio * std::max(r.rounding.relative_l2, mean_rounding);
    const double share = r.reference.relative_l2 == 0 ? 0 : r.reference.relative_l2 / bound;
    if (share >= check.worst_share_of_bound) {
      check.worst_share_of_bound = share;
      check.bound_at_worst = bound;
    }
  }
  check.verdict = check.worst_share_of_bound <= 1 && check.top1_differences == 0 ? Verdict::kPass
                                                                                 : Verdict::kFail;
  return check;
}

bool IsNarrow(Precision precision) {
  return precision != Precision::kFp32 && precision != Precision::kBf16;
}

void JudgeGates(std::span<const ReferenceRecord> references, const ReferenceCheck& check,
                bool narrow, PositionSuite* out) {
  PositionSuite& suite = *out;
  // Only the first prompts have reference records.
  const size_t n_prompts = static_cast<size_t>(references.back().prompt) + 1;
  const ClusterBootstrap bootstrap(static_cast<int64_t>(n_prompts));
  const auto add = [&](GateResult gate) {
    suite.verdict = suite.gates.empty() ? gate.verdict : Worse(suite.verdict, gate.verdict);
    suite.gates.push_back(std::move(gate));
  };
  const auto judged = [&](GateResult gate) {
    Judge(&gate, suite.positions);
    return gate;
  };
  const auto figure = [&](std::string_view key) -> const PositionFigure& {
    return *std::ranges::find(suite.figures, key, &PositionFigure::key);
  };
  const auto gate = [](std::string_view key, double value, std::optional<Interval> interval = {}) {
    return NewGate(FindPositionGate(key), value, interval);
  };
  GateResult reference = gate("reference", check.worst_share_of_bound);
  reference.note = fmt::format("largest relative L2 {:.2e} at {} positions", check.max_relative_l2,
                               check.positions);
  add(judged(gate("not_finite", static_cast<double>(suite.not_finite))));
  add(judged(std::move(reference)));
  suite.gates.back().verdict = check.verdict;
  suite.verdict = Worse(suite.verdict, check.verdict);
  if (!narrow) add(judged(gate("kl_mean", figure("kl").mean, figure("kl").mean_interval)));
  add(RatioGate(
      references, bootstrap, n_prompts, "kl_ratio", [](const RowMetrics& m) { return m.kl; },
      false));
  GateResult outliers =
      gate("bhattacharyya_outliers",
           static_cast<double>(std::ranges::count(suite.outliers, false, &Outlier::explained)));
  outliers.note = fmt::format("{} positions are below, the worst is {:.5f}", suite.outliers.size(),
                              figure("bhattacharyya").worst);
  add(judged(std::move(outliers)));
  add(RatioGate(
      references, bootstrap, n_prompts, "sigma_ratio",
      [](const RowMetrics& m) { return m.sigma_d * m.sigma_d; }, true));
  if (std::ranges::find(suite.figures, "tier_share", &PositionFigure::key) != suite.figures.end()) {
    GateResult tiers = RatioGate(
        references, bootstrap, n_prompts, "top_tiers_ratio",
        [](const RowMetrics& m) { return m.tier_share; }, false);
    if (!narrow)
      tiers = Either(judged(gate("top_tiers", figure("tier_share").worst)), std::move(tiers));
    add(std::move(tiers));
  }
  if (std::ranges::find(suite.figures, "tv_most", &PositionFigure::key) != suite.figures.end()) {
    if (auto bound = BoundGate(references, bootstrap, n_prompts)) add(std::move(*bound));
    const Interval slope = suite.slope_interval;
    add(judged(
        gate("temperature_slope", suite.slope - 1, Interval{slope.low - 1, slope.high - 1})));
  }
  add(Either(judged(gate("same_top1", suite.same_top1_rate, suite.same_top1_interval)),
             judged(DeficitGate(suite))));
  add(judged(gate("unexplained_flips",
                  static_cast<double>(std::ranges::count(suite.flips, false, &Flip::explained)))));
  GateResult flips = gate("flips", static_cast<double>(suite.flips.size()));
  flips.max = PoissonInterval(suite.expected_flips, 0.99).high;
  flips.note = fmt::format("{:.1f} expected; limit: Poisson, 99 %", suite.expected_flips);
  add(judged(std::move(flips)));
  if (suite.next_positions == 0) return;
  add(Either(judged(gate("rms_delta_p", suite.rms_delta_p, suite.rms_delta_p_interval)),
             RatioGate(references, bootstrap, n_prompts, "rms_delta_p_ratio", SquaredDelta, true)));
  add(RatioGate(references, bootstrap, n_prompts, "token_error_ratio", TokenError, false));
  GateResult perplexity = gate("delta_ln_ppl", suite.delta_ln_ppl, suite.delta_ln_ppl_interval);
  int64_t positions = suite.positions;
  if (narrow) {
    perplexity = PerplexityGate(references, bootstrap, n_prompts);
    positions = check.positions;
  }
  add(EquivalenceGate(std::move(perplexity), FormatNoise(references), positions, narrow));
}

}  // namespace merope
