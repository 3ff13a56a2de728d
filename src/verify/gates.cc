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

constexpr double kMaxMeanKl = 0.005;  // gate 1

// The ratio of the target's to emulated bf16's mean of a figure, on the positions where there are
// both.
GateResult RatioGate(std::span<const ReferenceRecord> records, const ClusterBootstrap& bootstrap,
                     size_t n_prompts, const char* key, const char* label, const Extract& extract,
                     bool root) {
  const Series target = Collect(records, n_prompts, &ReferenceRecord::target, extract);
  const Series emulated = Collect(records, n_prompts, &ReferenceRecord::emulated, extract);
  const double above = Series::Total(target.sums), below = Series::Total(emulated.sums);
  GateResult gate{.key = key,
                  .label = label,
                  .value = below != 0   ? above / below
                           : above == 0 ? 1
                                        : HUGE_VAL,
                  .interval = bootstrap.Ratio(target.sums, emulated.sums, kConfidence),
                  .confidence = kConfidence,
                  .max = 1.5};
  if (root) {
    gate.value = std::sqrt(gate.value);
    gate.interval = Interval{std::sqrt(gate.interval->low), std::sqrt(gate.interval->high)};
  }
  gate.note = "on the positions of the reference check";
  Judge(&gate, std::ssize(records));
  return gate;
}

// How far the rate of same top-1 lies below the one that bf16's noise leads to. Flips and their
// chances are paired position by position, so that what the prompts' gaps happen to be does not
// blur it.
GateResult DeficitGate(const PositionSuite& suite) {
  std::vector<double> excess, counts;
  for (const PromptSummary& p : suite.by_prompt) {
    excess.push_back(static_cast<double>(p.flips) - p.expected_flips);
    counts.push_back(static_cast<double>(p.positions));
  }
  GateResult gate{.key = "same_top1_deficit",
                  .label = "(6) same top-1, below the format's by",
                  .value = std::accumulate(excess.begin(), excess.end(), 0.0) /
                           static_cast<double>(suite.positions),
                  .interval = ClusterBootstrap(suite.prompts).Ratio(excess, counts, kConfidence),
                  .confidence = kConfidence,
                  .max = 0.005};
  gate.note = fmt::format("same top-1 {:.2f} %, of the format {:.2f} % are expected",
                          suite.same_top1_rate * 100,
                          100 - 100 * suite.expected_flips / static_cast<double>(suite.positions));
  return gate;
}

// The noise of a token's ln p that is the format's own: the RMS of ln p − ln q of the emulated
// rows.
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

// How far the target's ln PPL is from that of its format, emulated: on the same tokens, position by
// position.
GateResult PerplexityGate(std::span<const ReferenceRecord> records,
                          const ClusterBootstrap& bootstrap, size_t n_prompts) {
  Series deltas(n_prompts);
  for (const ReferenceRecord& r : records)
    if (r.target.has_next) deltas.Add(r.prompt, r.emulated.ln_q_next - r.target.ln_q_next);
  return {.key = "delta_ln_ppl_format",
          .label = "(9) Δ ln PPL, to the format's own",
          .value = deltas.Mean(),
          .interval = bootstrap.Ratio(deltas.sums, deltas.counts, kEquivalenceConfidence),
          .confidence = kEquivalenceConfidence,
          .note = "on the positions of the reference check"};
}

// The gate that is to hold where either of two suffices: the absolute one, or the one relative to
// the format if that says more, or as little but would settle earlier.
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
  constexpr int64_t kMany = 10000;
  constexpr double kFew = 0.002, kAtMany = 0.001;
  GateResult absolute = within(positions < kMany ? kFew : kAtMany);
  if (positions < kMany && absolute.positions_needed >= kMany)
    absolute.positions_needed = std::max(kMany, within(kAtMany).positions_needed);
  // A bias of a fifth of the format's own noise makes the error of a token's ln p 2 % larger
  // (√(1 + 0.2²)), of which gate 4 grants 50. On text that the baseline itself would write, the
  // expectation of Δ ln PPL is the mean KL: of 16 bits no more is granted than gate 1 does.
  const double fifth = std::round(noise / 5 * 1e4) / 1e4;  // as many digits as a table shows
  const double margin = narrow ? fifth : std::min(fifth, kMaxMeanKl);
  GateResult relative = within(margin);
  relative.key += "_noise";
  relative.label = "(9) Δ ln PPL, by the format's noise";
  const std::string note =
      fmt::format("limit: a fifth of the format's noise of a token, {:.3f}", noise);
  relative.note += (relative.note.empty() ? "" : "; ") + note;
  return Either(std::move(absolute), std::move(relative));
}

void JudgeFirstToken(FirstTokenTable* table) {
  const double n = static_cast<double>(table->rows.size());
  const auto mean = [&](double FirstTokenRow::* field) {
    double sum = 0;
    for (const FirstTokenRow& row : table->rows) sum += row.*field;
    return sum / n;
  };
  table->matches = std::ranges::count_if(table->rows, &FirstTokenRow::match);
  table->top1_rate = static_cast<double>(table->matches) / n;
  table->cosine = mean(&FirstTokenRow::cosine);
  table->one_minus_cosine = 1 - table->cosine;
  table->mae = mean(&FirstTokenRow::mae);
  table->kl = mean(&FirstTokenRow::kl);
  table->js = mean(&FirstTokenRow::js);
  table->spearman = mean(&FirstTokenRow::spearman);
  table->mean_relative_error = mean(&FirstTokenRow::mean_relative_error);
  table->gates = {
      {.key = "top1_rate", .label = "top-1 match rate", .value = table->top1_rate, .min = 0.99},
      {.key = "cosine", .label = "cosine similarity", .value = table->cosine, .min = 0.99},
      {.key = "one_minus_cosine",
       .label = "1 − cosine",
       .value = table->one_minus_cosine,
       .max = 0.01,
       .strict = true},
      {.key = "kl", .label = "KL divergence", .value = table->kl, .max = 0.01, .strict = true},
      {.key = "spearman", .label = "Spearman ρ", .value = table->spearman, .min = 0.95},
  };
  table->verdict = Verdict::kPass;
  for (GateResult& gate : table->gates) {
    Judge(&gate, std::ssize(table->rows));
    table->verdict = Worse(table->verdict, gate.verdict);
  }
}

ReferenceCheck JudgeReference(std::span<const ReferenceRecord> records, int64_t longest_sum) {
  ReferenceCheck check;
  check.positions = std::ssize(records);
  const double n = static_cast<double>(records.size());
  const Bf16Noise noise = MeasureNoise(records);
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
  // An fp32 sum of K terms in order carries a relative error of about 2^-24·c·√(K/2) (its partial
  // sums grow as √k), rounding one factor of each product to bf16 one of 2^-8·c: the same c, the
  // mean square of a rounding error. What the network makes of errors of that size at a position is
  // seen from the emulated bf16; fp32 is granted four times the ratio.
  const double ratio = std::exp2(-16) * std::sqrt(static_cast<double>(longest_sum) / 2);
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
  // References are of the first prompts only.
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
  add(judged({.key = "not_finite",
              .label = "positions with NaN or infinite logits",
              .value = static_cast<double>(suite.not_finite),
              .max = 0}));
  add(judged({.key = "reference",
              .label = "fp32 against double sums: error / bound",
              .value = check.worst_share_of_bound,
              .max = 1,
              .note = fmt::format("largest relative L2 {:.2e} at {} positions",
                                  check.max_relative_l2, check.positions)}));
  suite.gates.back().verdict = check.verdict;
  suite.verdict = Worse(suite.verdict, check.verdict);
  if (!narrow)
    add(judged({.key = "kl_mean",
                .label = "(1) KL, mean",
                .value = figure("kl").mean,
                .interval = figure("kl").mean_interval,
                .confidence = kConfidence,
                .max = kMaxMeanKl}));
  add(RatioGate(
      references, bootstrap, n_prompts, "kl_ratio", "(1, 2) KL, over the format's own",
      [](const RowMetrics& m) { return m.kl; }, false));
  add(judged(
      {.key = "bhattacharyya_outliers",
       .label = "(3) Bhattacharyya < 0.99, unexplained",
       .value = static_cast<double>(std::ranges::count(suite.outliers, false, &Outlier::explained)),
       .max = 0,
       .note = fmt::format("{} positions are below, the worst is {:.5f}", suite.outliers.size(),
                           figure("bhattacharyya").worst)}));
  add(RatioGate(
      references, bootstrap, n_prompts, "sigma_ratio", "(4) σ of logit errors, over the format's",
      [](const RowMetrics& m) { return m.sigma_d * m.sigma_d; }, true));
  const GateResult same_absolute = judged({.key = "same_top1",
                                           .label = "(6) same top-1",
                                           .value = suite.same_top1_rate,
                                           .interval = suite.same_top1_interval,
                                           .confidence = kConfidence,
                                           .min = 0.99});
  add(Either(same_absolute, judged(DeficitGate(suite))));
  add(judged(
      {.key = "unexplained_flips",
       .label = "(7) flips, unexplained",
       .value = static_cast<double>(std::ranges::count(suite.flips, false, &Flip::explained)),
       .max = 0}));
  add(judged({.key = "flips",
              .label = "(7) flips, against those expected",
              .value = static_cast<double>(suite.flips.size()),
              .max = PoissonInterval(suite.expected_flips, 0.99).high,
              .note = fmt::format("{:.1f} expected; limit: Poisson, 99 %", suite.expected_flips)}));
  add(Either(judged({.key = "rms_delta_p",
                     .label = "(8) RMS Δp of the next token",
                     .value = suite.rms_delta_p,
                     .interval = suite.rms_delta_p_interval,
                     .confidence = kConfidence,
                     .max = 0.005}),
             RatioGate(references, bootstrap, n_prompts, "rms_delta_p_ratio",
                       "(8) RMS Δp, over the format's own", SquaredDelta, true)));
  GateResult perplexity = {.key = "delta_ln_ppl",
                           .label = "(9) Δ ln PPL, equivalence",
                           .value = suite.delta_ln_ppl,
                           .interval = suite.delta_ln_ppl_interval,
                           .confidence = kEquivalenceConfidence};
  int64_t positions = suite.positions;
  if (narrow) {
    perplexity = PerplexityGate(references, bootstrap, n_prompts);
    positions = check.positions;
  }
  add(EquivalenceGate(std::move(perplexity), FormatNoise(references), positions, narrow));
}

}  // namespace merope
