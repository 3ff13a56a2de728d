#include "verify/figures.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "verify/series.h"
#include "verify/statistics.h"

namespace merope {
namespace {

struct FigureKind {
  const char* key;
  const char* label;
  bool low_is_bad;
  Extract extract;
};

const std::vector<FigureKind>& FigureKinds() {
  static const std::vector<FigureKind> kinds = {
      {"kl", "KL divergence (nat)", false, [](const RowMetrics& m) { return m.kl; }},
      {"js", "JS divergence (nat)", false, [](const RowMetrics& m) { return m.js; }},
      {"tv", "total variation", false, [](const RowMetrics& m) { return m.tv; }},
      {"hellinger2", "Hellinger², 1 − BC", false, [](const RowMetrics& m) { return m.hellinger2; }},
      {"bhattacharyya", "Bhattacharyya coefficient", true,
       [](const RowMetrics& m) { return 1 - m.hellinger2; }},
      {"cosine", "cosine of probabilities", true, [](const RowMetrics& m) { return m.cosine; }},
      {"one_minus_cosine", "1 − cosine", false, [](const RowMetrics& m) { return 1 - m.cosine; }},
      {"mae", "MAE of probabilities", false, [](const RowMetrics& m) { return m.mae; }},
      {"spearman", "Spearman ρ", true, [](const RowMetrics& m) { return m.spearman; }},
      {"mean_relative_error", "mean relative error", false,
       [](const RowMetrics& m) { return m.mean_relative_error; }},
      {"relative_l2", "relative L2 of centred logits", false,
       [](const RowMetrics& m) { return m.relative_l2; }},
      {"sigma_d", "σ of the logit error", false, [](const RowMetrics& m) { return m.sigma_d; }},
      {"abs_delta_p", "|Δp| of the next token", false,
       [](const RowMetrics& m) {
         return m.has_next ? std::optional(std::abs(m.q_next - m.p_next)) : std::nullopt;
       }},
  };
  return kinds;
}

PositionFigure Summarize(const FigureKind& kind, const Series& series,
                         const ClusterBootstrap& bootstrap) {
  PositionFigure figure;
  figure.key = kind.key;
  figure.label = kind.label;
  const std::vector<double>& values = series.values;
  const double sign = kind.low_is_bad ? -1 : 1;
  std::vector<double> badness(values.size());
  std::ranges::transform(values, badness.begin(), [&](double v) { return sign * v; });
  figure.mean = series.Mean();
  figure.median = Quantile(values, 0.5);
  figure.p99 = sign * Quantile(badness, 0.99);
  figure.p999 = sign * Quantile(badness, 0.999);
  figure.worst = sign * *std::ranges::max_element(badness);
  figure.mean_interval = bootstrap.Ratio(series.sums, series.counts, kConfidence);
  const Interval p99 = bootstrap.QuantileInterval(badness, series.clusters, 0.99, kConfidence);
  figure.p99_interval = kind.low_is_bad ? Interval{-p99.high, -p99.low} : p99;
  return figure;
}

}  // namespace

double Bf16Noise::FlipChance(const RowMetrics& m) const {
  const double sigma = Sigma(m);
  if (sigma == 0) return 0;
  return NormalCdf(-m.gap / (std::sqrt(2.0) * sigma));
}

Bf16Noise MeasureNoise(std::span<const ReferenceRecord> records) {
  double squares = 0;
  for (const ReferenceRecord& r : records)
    squares += r.emulated.relative_l2 * r.emulated.relative_l2;
  return {std::sqrt(squares / static_cast<double>(records.size()))};
}

PositionSuite JudgePositions(std::span<const PositionRecord> records,
                             std::span<const ReferenceRecord> references,
                             std::span<const VerifyPrompt> prompts, const ReferenceCheck& check,
                             const std::function<std::string(int32_t)>& token_text) {
  PositionSuite suite;
  const size_t n_prompts = prompts.size();
  suite.prompts = std::ssize(prompts);
  suite.positions = std::ssize(records);
  const double n = static_cast<double>(records.size());
  const ClusterBootstrap bootstrap(suite.prompts);
  for (const FigureKind& kind : FigureKinds())
    suite.figures.push_back(Summarize(
        kind, Collect(records, n_prompts, &PositionRecord::target, kind.extract), bootstrap));

  // By prompt, and the flips.
  const Bf16Noise noise = MeasureNoise(references);
  std::vector<double> same(n_prompts), counts(n_prompts);
  for (const VerifyPrompt& p : prompts) suite.by_prompt.push_back({p.id, p.kind, p.language});
  for (const PositionRecord& r : records) {
    const RowMetrics& m = r.target;
    const size_t p = static_cast<size_t>(r.prompt);
    PromptSummary& summary = suite.by_prompt[p];
    ++summary.positions;
    summary.mean_kl += m.kl;
    summary.max_kl = std::max(summary.max_kl, m.kl);
    summary.mean_relative_l2 += m.relative_l2;
    summary.expected_flips += noise.FlipChance(m);
    counts[p] += 1;
    if (m.baseline_top1 == m.target_top1) {
      same[p] += 1;
      continue;
    }
    ++summary.flips;
    const double allowed = noise.Allowed(m);
    suite.flips.push_back({prompts[p].id, r.position, token_text(m.baseline_top1),
                           token_text(m.target_top1), m.gap, allowed, m.gap <= allowed});
  }
  for (PromptSummary& summary : suite.by_prompt) {
    suite.expected_flips += summary.expected_flips;
    summary.mean_kl /= static_cast<double>(summary.positions);
    summary.mean_relative_l2 /= static_cast<double>(summary.positions);
  }

  // Metric 6. Positions of a prompt are not independent: the interval is that of as many trials as
  // they are worth.
  suite.same_top1 = suite.positions - std::ssize(suite.flips);
  suite.same_top1_rate = static_cast<double>(suite.same_top1) / n;
  const double trials = n / ClusterBootstrap::DesignEffect(same, counts);
  suite.same_top1_interval = ClopperPearson(suite.same_top1_rate * trials, trials, kConfidence);

  // Metrics 8 and 9, at the tokens that follow.
  const Series squares = Collect(records, n_prompts, &PositionRecord::target, SquaredDelta);
  suite.rms_delta_p = std::sqrt(squares.Mean());
  const Interval mean_square = bootstrap.Ratio(squares.sums, squares.counts, kConfidence);
  suite.rms_delta_p_interval = {std::sqrt(mean_square.low), std::sqrt(mean_square.high)};
  const Series deltas =
      Collect(records, n_prompts, &PositionRecord::target, [](const RowMetrics& m) {
        return m.has_next ? std::optional(m.q_next - m.p_next) : std::nullopt;
      });
  constexpr std::array kPercentiles = {0.01, 0.05, 0.5, 0.95, 0.99};
  for (size_t i = 0; i < kPercentiles.size(); ++i)
    suite.delta_p_percentiles[i] = Quantile(deltas.values, kPercentiles[i]);
  const Series log_ratio =
      Collect(records, n_prompts, &PositionRecord::target, [](const RowMetrics& m) {
        return m.has_next ? std::optional(m.ln_p_next - m.ln_q_next) : std::nullopt;
      });
  suite.delta_ln_ppl = log_ratio.Mean();
  suite.delta_ln_ppl_interval =
      bootstrap.Ratio(log_ratio.sums, log_ratio.counts, kEquivalenceConfidence);
  const Series baseline_ln_p = Collect(
      records, n_prompts, &PositionRecord::target,
      [](const RowMetrics& m) { return m.has_next ? std::optional(m.ln_p_next) : std::nullopt; });
  suite.baseline_ppl = std::exp(-baseline_ln_p.Mean());
  suite.target_ppl = std::exp(-baseline_ln_p.Mean() + suite.delta_ln_ppl);

  JudgeGates(references, check, &suite);
  return suite;
}

}  // namespace merope
