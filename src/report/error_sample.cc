#include "report/error_sample.h"

#include <algorithm>
#include <cmath>
#include <optional>

namespace merope {
namespace {

// ln softmax(logits) at the ids, or at all of them if there is no list.
std::vector<double> LogSoftmax(std::span<const float> logits,
                               std::optional<std::span<const int32_t>> ids = {}) {
  const double top = *std::ranges::max_element(logits);
  double sum = 0;
  for (const float logit : logits) sum += std::exp(logit - top);
  const double shift = top + std::log(sum);
  std::vector<double> ln;
  if (ids) {
    for (const int32_t id : *ids) ln.push_back(logits[static_cast<size_t>(id)] - shift);
  } else {
    for (const float logit : logits) ln.push_back(logit - shift);
  }
  return ln;
}

double Mean(std::span<const double> values) {
  double sum = 0;
  for (const double value : values) sum += value;
  return sum / static_cast<double>(values.size());
}

constexpr double kStep = 8.0 / ErrorSample::kHistogram;

}  // namespace

ErrorCollector::ErrorCollector(int64_t vocab_size) {
  sample_.vocab_size = vocab_size;
  sample_.histogram.resize(ErrorSample::kHistogram);
  for (int i = 0; i < ErrorSample::kBins; ++i) sample_.bins.push_back({.high = std::pow(10.0, -i)});
}

void ErrorCollector::Add(std::span<const float> baseline, std::span<const float> target) {
  const auto finite = [](float logit) { return std::isfinite(logit); };
  if (!std::ranges::all_of(baseline, finite) || !std::ranges::all_of(target, finite)) {
    ++sample_.not_finite;
    return;
  }
  const RowMetrics metrics = comparer_.Compare(baseline, target, std::nullopt);
  AddPairs({LogSoftmax(baseline), LogSoftmax(target)}, metrics);
}

void ErrorCollector::Add(std::span<const float> baseline, const ListedRow& target) {
  if (!std::ranges::all_of(baseline, [](float logit) { return std::isfinite(logit); })) {
    ++sample_.not_finite;
    return;
  }
  const RowMetrics metrics = comparer_.Compare(baseline, target, std::nullopt);
  AddPairs({LogSoftmax(baseline, target.ids), {target.logprobs.begin(), target.logprobs.end()}},
           metrics);
}

ErrorSample ErrorCollector::Finish() {
  const double n = static_cast<double>(std::max<int64_t>(1, sample_.positions));
  for (ProbabilityBin& bin : sample_.bins) {
    const double tokens = static_cast<double>(std::max<int64_t>(1, bin.tokens));
    bin.mean_relative_error /= tokens;
    bin.mean_log_error /= tokens;
    bin.mass /= n;
  }
  const double errors = n * static_cast<double>(sample_.vocab_size);
  for (double& share : sample_.histogram) share /= errors * kStep;
  sample_.beyond_4_sigma /= errors;
  sample_.sigma = std::sqrt(sample_.sigma / n);
  sample_.logit_sigma = std::sqrt(sample_.logit_sigma / n);
  for (double* mean : {&sample_.mean_relative_l2, &sample_.mean_cosine, &sample_.mean_angle_bound,
                       &sample_.mean_probability_l2, &sample_.mean_kl, &sample_.mean_kl_predicted})
    *mean /= n;
  return std::move(sample_);
}

void ErrorCollector::AddMetrics(const RowMetrics& m) {
  sample_.sigma += m.sigma_d * m.sigma_d;
  sample_.logit_sigma += m.baseline_sigma * m.baseline_sigma;
  sample_.mean_relative_l2 += m.relative_l2;
  sample_.max_relative_l2 = std::max(sample_.max_relative_l2, m.relative_l2);
  sample_.mean_cosine += m.cosine;
  sample_.mean_angle_bound += std::sqrt(std::max(0.0, 1 - m.cosine * m.cosine));
  sample_.mean_kl += m.kl;
  sample_.max_kl = std::max(sample_.max_kl, m.kl);
}

void ErrorCollector::AddPairs(const Pairs& pairs, const RowMetrics& metrics) {
  ++sample_.positions;
  AddMetrics(metrics);
  AddPoint(metrics);
  double norm = 0, difference = 0, mean = 0, square = 0, rest_p = 1, rest_q = 1;
  const double shift = Mean(pairs.ln_q) - Mean(pairs.ln_p);
  for (size_t i = 0; i < pairs.ln_p.size(); ++i) {
    const double p = std::exp(pairs.ln_p[i]), q = std::exp(pairs.ln_q[i]);
    const double d = pairs.ln_q[i] - pairs.ln_p[i];
    norm += p * p;
    difference += (q - p) * (q - p);
    rest_p -= p;
    rest_q -= q;
    mean += p * d;
    square += p * d * d;
    const int at =
        std::clamp(static_cast<int>(-pairs.ln_p[i] / std::log(10.0)), 0, ErrorSample::kBins - 1);
    ProbabilityBin& bin = sample_.bins[static_cast<size_t>(at)];
    ++bin.tokens;
    bin.mass += p;
    bin.mean_relative_error += std::abs(std::expm1(d));
    bin.mean_log_error += std::abs(d);
    const double error = metrics.sigma_d > 0 ? (d - shift) / metrics.sigma_d : 0;
    if (std::abs(error) >= 4)
      ++sample_.beyond_4_sigma;
    else
      ++sample_.histogram[static_cast<size_t>((error + 4) / kStep)];
  }
  if (!(norm > 0)) return;  // fp32 gives the listed tokens no probability that a double can hold
  const double relative = std::sqrt(difference / norm);
  sample_.mean_probability_l2 += relative;
  sample_.max_probability_l2 = std::max(sample_.max_probability_l2, relative);
  // The unlisted tokens count as one. kRounding: what the sums of a whole row may leave of 1.
  constexpr double kRounding = 1e-9;
  if (rest_p > kRounding && rest_q > kRounding) {
    const double d = std::log(rest_q / rest_p);
    mean += rest_p * d;
    square += rest_p * d * d;
  }
  sample_.mean_kl_predicted += (square - mean * mean) / 2;
}

void ErrorCollector::AddPoint(const RowMetrics& metrics) {
  const bool flip = metrics.baseline_top1 != metrics.target_top1;
  if (metrics.gap_error) sample_.points.push_back({metrics.gap, *metrics.gap_error, flip});
  sample_.flips += flip;
}

Result<ErrorSample> MeasureErrors(Llama& baseline, Llama& target,
                                  std::span<const std::vector<int32_t>> prompts,
                                  const std::function<void(int64_t, int64_t)>& progress) {
  const auto vocab = static_cast<size_t>(baseline.config().vocab_size);
  ErrorCollector collector(baseline.config().vocab_size);
  int64_t done = 0;
  for (const std::vector<int32_t>& prompt : prompts) {
    std::vector<float> rows;  // (tokens, vocab): logits of the baseline
    const auto n = static_cast<int64_t>(prompt.size());
    Sequence reference(baseline.kv()), other(target.kv());
    TRY(baseline.Extend(&reference, prompt, n, [&](int64_t, std::span<const float> logits) {
      rows.insert(rows.end(), logits.begin(), logits.end());
    }));
    TRY(target.Extend(&other, prompt, n, [&](int64_t position, std::span<const float> logits) {
      collector.Add(
          std::span<const float>(rows).subspan(static_cast<size_t>(position) * vocab, vocab),
          logits);
    }));
    if (progress) progress(++done, std::ssize(prompts));
  }
  return collector.Finish();
}

double WeightRoundingError(const Checkpoint& checkpoint) {
  double squares = 0;
  int64_t weights = 0;
  std::vector<float> row;
  for (const TensorView& tensor : checkpoint.tensors()) {
    if (tensor.shape.size() < 2) continue;
    row.resize(static_cast<size_t>(tensor.cols()));
    for (int64_t r = 0; r < tensor.rows(); r += 8) {
      tensor.DecodeRow(r, row);
      for (const float weight : row) {
        if (weight == 0) continue;
        const double error = (static_cast<double>(RoundToBF16(weight)) - weight) / weight;
        squares += error * error;
      }
      weights += std::ssize(row);
    }
    checkpoint.Drop(tensor);
  }
  return weights == 0 ? 0 : std::sqrt(squares / static_cast<double>(weights));
}

}  // namespace merope
