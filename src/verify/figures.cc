#include "verify/figures.h"

#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "verify/series.h"
#include "verify/statistics.h"

namespace merope {
namespace {

PositionFigure Summarize(const FigureKind& kind, const Series& series,
                         const ClusterBootstrap& bootstrap) {
  PositionFigure figure;
  figure.key = kind.key;
  figure.label = kind.english;
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

// The limit of the Bhattacharyya coefficient: a position below the limit is an outlier.
constexpr double kCloseEnough = 0.99;

double AllowedGap(const RowMetrics& emulated) { return 6 * emulated.sigma_d; }

// Fills by_prompt, flips, outliers and expected_flips of the suite. Each flip and each outlier is
// marked as explained or not explained.
void CountByPrompt(std::span<const PositionRecord> records, const Bf16Noise& noise,
                   std::span<const Suspect> suspects, std::span<const VerifyPrompt> prompts,
                   const std::function<std::string(int32_t)>& token_text, PositionSuite* suite) {
  for (const VerifyPrompt& p : prompts) {
    suite->by_prompt.emplace_back();
    suite->by_prompt.back().id = p.id;
    suite->by_prompt.back().kind = p.kind;
    suite->by_prompt.back().language = p.language;
  }
  auto suspect = suspects.begin();
  for (size_t i = 0; i < records.size(); ++i) {
    const RowMetrics& m = records[i].target;
    const std::string& id = prompts[static_cast<size_t>(records[i].prompt)].id;
    PromptSummary& summary = suite->by_prompt[static_cast<size_t>(records[i].prompt)];
    ++summary.positions;
    summary.mean_kl += m.kl;
    summary.max_kl = std::max(summary.max_kl, m.kl);
    summary.mean_relative_l2 += m.relative_l2;
    summary.expected_flips += noise.FlipChance(m);
    const bool suspected = suspect != suspects.end() && suspect->record == i;
    const RowMetrics* emulated = suspected && suspect->emulated ? &*suspect->emulated : nullptr;
    suspect += suspected;
    if (m.baseline_top1 != m.target_top1) {
      ++summary.flips;
      const double allowed = std::max(noise.Allowed(m), emulated ? AllowedGap(*emulated) : 0);
      suite->flips.push_back({id, records[i].position, token_text(m.baseline_top1),
                              token_text(m.target_top1), m.gap, allowed, m.gap <= allowed});
    }
    if (1 - m.hellinger2 < kCloseEnough) {
      Outlier outlier{
          .prompt_id = id, .position = records[i].position, .bhattacharyya = 1 - m.hellinger2};
      if (emulated) {
        outlier.emulated_bhattacharyya = 1 - emulated->hellinger2;
        outlier.explained = ExplainsOutlier(*emulated, m);
      }
      suite->outliers.push_back(std::move(outlier));
    }
  }
  for (PromptSummary& summary : suite->by_prompt) {
    if (summary.positions == 0) continue;  // another prompt begins with this one
    suite->expected_flips += summary.expected_flips;
    summary.mean_kl /= static_cast<double>(summary.positions);
    summary.mean_relative_l2 /= static_cast<double>(summary.positions);
  }
}

// Metric 6. The positions of a prompt are not independent. The interval therefore uses the
// effective number of independent trials: the number of positions over the design effect.
void SameTop1(PositionSuite* suite) {
  std::vector<double> same, counts;
  for (const PromptSummary& p : suite->by_prompt) {
    same.push_back(static_cast<double>(p.positions - p.flips));
    counts.push_back(static_cast<double>(p.positions));
  }
  const double n = static_cast<double>(suite->positions);
  suite->same_top1 = suite->positions - std::ssize(suite->flips);
  suite->same_top1_rate = static_cast<double>(suite->same_top1) / n;
  const double trials = n / ClusterBootstrap::DesignEffect(same, counts);
  suite->same_top1_interval = ClopperPearson(suite->same_top1_rate * trials, trials, kConfidence);
}

// The slope of the regression through the origin.
void Slope(std::span<const PositionRecord> records, const ClusterBootstrap& bootstrap,
           PositionSuite* suite) {
  const size_t n_prompts = suite->by_prompt.size();
  const auto collect = [&](double RowMetrics::* member) {
    return Collect(records, n_prompts, &PositionRecord::target,
                   [member](const RowMetrics& m) { return std::optional(m.*member); });
  };
  const Series products = collect(&RowMetrics::product), squares = collect(&RowMetrics::square);
  const double square = Series::Total(squares.sums);
  if (square == 0) {  // all logits of the baseline are equal
    suite->slope = 1;
    suite->slope_interval = {1, 1};
    return;
  }
  suite->slope = Series::Total(products.sums) / square;
  suite->slope_interval = bootstrap.Ratio(products.sums, squares.sums, kConfidence);
}

// Metrics 8, 9 and 11.
void NextToken(std::span<const PositionRecord> records, const ClusterBootstrap& bootstrap,
               PositionSuite* suite) {
  const size_t n_prompts = suite->by_prompt.size();
  const auto collect = [&](auto extract) {
    return Collect(records, n_prompts, &PositionRecord::target, [extract](const RowMetrics& m) {
      return m.has_next ? std::optional<double>(extract(m)) : std::nullopt;
    });
  };
  const Series squares = Collect(records, n_prompts, &PositionRecord::target, SquaredDelta);
  suite->next_positions = std::ssize(squares.values);
  if (suite->next_positions == 0) return;
  suite->rms_delta_p = std::sqrt(squares.Mean());
  const Interval mean_square = bootstrap.Ratio(squares.sums, squares.counts, kConfidence);
  suite->rms_delta_p_interval = {std::sqrt(mean_square.low), std::sqrt(mean_square.high)};
  const Series deltas = collect([](const RowMetrics& m) { return m.q_next - m.p_next; });
  constexpr std::array kPercentiles = {0.01, 0.05, 0.5, 0.95, 0.99};
  for (size_t i = 0; i < kPercentiles.size(); ++i)
    suite->delta_p_percentiles[i] = Quantile(deltas.values, kPercentiles[i]);
  const Series log_ratio = collect([](const RowMetrics& m) { return m.ln_p_next - m.ln_q_next; });
  suite->delta_ln_ppl = log_ratio.Mean();
  suite->delta_ln_ppl_interval =
      bootstrap.Ratio(log_ratio.sums, log_ratio.counts, kEquivalenceConfidence);
  const Series errors = Collect(records, n_prompts, &PositionRecord::target, TokenError);
  suite->token_error = 1 + errors.Mean();
  const Interval error = bootstrap.Ratio(errors.sums, errors.counts, kConfidence);
  suite->token_error_interval = {1 + error.low, 1 + error.high};
  const double baseline_ln_p = collect([](const RowMetrics& m) { return m.ln_p_next; }).Mean();
  suite->baseline_ppl = std::exp(-baseline_ln_p);
  suite->target_ppl = std::exp(-baseline_ln_p + suite->delta_ln_ppl);
}

// Metric 12. The row after the last asked token, and the rows after generated tokens but the last,
// chose the generated tokens.
void GeneratedTexts(std::span<const PositionRecord> records, std::span<const VerifyPrompt> prompts,
                    PositionSuite* suite) {
  std::vector<int64_t> first(prompts.size(), -1);  // the first divergent token
  int64_t divergent = 0;
  for (const PositionRecord& record : records) {
    const auto p = static_cast<size_t>(record.prompt);
    const int64_t token = record.position - (prompts[p].asked() - 1);
    if (prompts[p].generated == 0 || token < 0) continue;
    ++suite->generated_tokens;
    if (record.target.baseline_top1 == record.target.target_top1) continue;
    ++divergent;
    if (first[p] < 0) first[p] = token;
  }
  double sum = 0;
  for (size_t p = 0; p < prompts.size(); ++p) {
    if (prompts[p].generated == 0) continue;
    ++suite->generated_texts;
    sum += static_cast<double>(first[p] < 0 ? prompts[p].generated + 1 : first[p]);
  }
  if (suite->generated_texts == 0 || suite->generated_tokens == 0) return;
  suite->first_divergence = sum / static_cast<double>(suite->generated_texts);
  suite->divergent_share =
      static_cast<double>(divergent) / static_cast<double>(suite->generated_tokens);
}

}  // namespace

bool ExplainsFlip(const RowMetrics& emulated, const RowMetrics& target) {
  return target.gap <= AllowedGap(emulated);
}

bool ExplainsOutlier(const RowMetrics& emulated, const RowMetrics& target) {
  return target.hellinger2 <= 9 * emulated.hellinger2;
}

bool Explains(const RowMetrics& emulated, const RowMetrics& target) {
  const bool flip = target.baseline_top1 != target.target_top1;
  const bool outlier = 1 - target.hellinger2 < kCloseEnough;
  return (!flip || ExplainsFlip(emulated, target)) &&
         (!outlier || ExplainsOutlier(emulated, target));
}

double Bf16Noise::FlipChance(const RowMetrics& m) const {
  double chance = 0;
  for (const double error : relative_l2_quantiles)
    if (error > 0 && m.baseline_sigma > 0)
      chance += NormalCdf(-m.gap / (std::sqrt(2.0) * gap_factor * error * m.baseline_sigma));
  return chance / static_cast<double>(relative_l2_quantiles.size());
}

Bf16Noise MeasureNoise(std::span<const ReferenceRecord> records) {
  Bf16Noise noise;
  std::vector<double> errors;
  double squares = 0, gap_squares = 0, expected_squares = 0;
  for (const ReferenceRecord& r : records) {
    const RowMetrics& m = r.emulated;
    errors.push_back(m.relative_l2);
    squares += m.relative_l2 * m.relative_l2;
    if (!m.gap_error) continue;
    const double sigma = m.relative_l2 * m.baseline_sigma;
    gap_squares += *m.gap_error * *m.gap_error;
    expected_squares += 2 * sigma * sigma;
  }
  if (expected_squares > 0)
    noise.gap_factor = std::max(1.0, std::sqrt(gap_squares / expected_squares));
  noise.relative_l2 = std::sqrt(squares / static_cast<double>(records.size()));
  const double n = static_cast<double>(noise.relative_l2_quantiles.size());
  for (size_t i = 0; i < noise.relative_l2_quantiles.size(); ++i)
    noise.relative_l2_quantiles[i] = Quantile(errors, (static_cast<double>(i) + 0.5) / n);
  return noise;
}

std::vector<Suspect> FindSuspects(std::span<const PositionRecord> records,
                                  std::span<const ReferenceRecord> references) {
  const Bf16Noise noise = MeasureNoise(references);
  std::vector<Suspect> suspects;
  for (size_t i = 0; i < records.size(); ++i) {
    const RowMetrics& m = records[i].target;
    const bool flip = m.baseline_top1 != m.target_top1 && m.gap > noise.Allowed(m);
    if (!flip && 1 - m.hellinger2 >= kCloseEnough) continue;
    suspects.push_back(
        {i, i < references.size() ? std::optional(references[i].emulated) : std::nullopt});
  }
  return suspects;
}

PositionSuite JudgePositions(std::span<const PositionRecord> records,
                             std::span<const ReferenceRecord> references,
                             std::span<const Suspect> suspects,
                             std::span<const VerifyPrompt> prompts, const ReferenceCheck& check,
                             bool narrow, const std::function<std::string(int32_t)>& token_text) {
  PositionSuite suite;
  suite.prompts = std::ssize(prompts);
  suite.positions = std::ssize(records);
  const ClusterBootstrap bootstrap(suite.prompts);
  suite.not_finite = std::ranges::count(records, false, &PositionRecord::finite);
  for (const FigureKind& kind : FigureKinds()) {
    if (kind.position == nullptr) continue;
    const Series series = Collect(records, prompts.size(), &PositionRecord::target, kind.position);
    if (!series.values.empty()) suite.figures.push_back(Summarize(kind, series, bootstrap));
  }
  CountByPrompt(records, MeasureNoise(references), suspects, prompts, token_text, &suite);
  SameTop1(&suite);
  Slope(records, bootstrap, &suite);
  NextToken(records, bootstrap, &suite);
  GeneratedTexts(records, prompts, &suite);
  JudgeGates(references, check, narrow, &suite);
  return suite;
}

}  // namespace merope
