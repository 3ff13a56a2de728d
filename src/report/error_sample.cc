#include "report/error_sample.h"

#include <algorithm>
#include <cmath>

namespace merope {
namespace {

// p = softmax(logits) and ln p.
struct Softmax {
  std::vector<double> p, ln;

  explicit Softmax(std::span<const float> logits) : p(logits.size()), ln(logits.size()) {
    const double top = *std::ranges::max_element(logits);
    double sum = 0;
    for (const float logit : logits) sum += std::exp(logit - top);
    const double shift = top + std::log(sum);
    for (size_t i = 0; i < logits.size(); ++i) {
      ln[i] = logits[i] - shift;
      p[i] = std::exp(ln[i]);
    }
  }
};

double Mean(std::span<const float> values) {
  double sum = 0;
  for (const float value : values) sum += value;
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
  ++sample_.positions;
  AddMetrics(metrics);
  AddDistributions(baseline, target);
  AddLogits(baseline, target, metrics);
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

void ErrorCollector::AddDistributions(std::span<const float> baseline,
                                      std::span<const float> target) {
  const Softmax b(baseline), t(target);
  double norm = 0, difference = 0, mean = 0, square = 0;
  for (size_t i = 0; i < b.p.size(); ++i) {
    const double p = b.p[i], q = t.p[i], d = t.ln[i] - b.ln[i];
    norm += p * p;
    difference += (q - p) * (q - p);
    mean += p * d;
    square += p * d * d;
    const int at =
        std::clamp(static_cast<int>(-b.ln[i] / std::log(10.0)), 0, ErrorSample::kBins - 1);
    ProbabilityBin& bin = sample_.bins[static_cast<size_t>(at)];
    ++bin.tokens;
    bin.mass += p;
    bin.mean_relative_error += std::abs(std::expm1(d));
    bin.mean_log_error += std::abs(d);
  }
  const double relative = std::sqrt(difference / norm);
  sample_.mean_probability_l2 += relative;
  sample_.max_probability_l2 = std::max(sample_.max_probability_l2, relative);
  sample_.mean_kl_predicted += (square - mean * mean) / 2;
}

void ErrorCollector::AddLogits(std::span<const float> baseline, std::span<const float> target,
                               const RowMetrics& metrics) {
  const double shift = Mean(target) - Mean(baseline);
  for (size_t i = 0; i < baseline.size(); ++i) {
    const double error = static_cast<double>(target[i]) - baseline[i] - shift;
    const double at = metrics.sigma_d > 0 ? error / metrics.sigma_d : 0;
    if (std::abs(at) >= 4)
      ++sample_.beyond_4_sigma;
    else
      ++sample_.histogram[static_cast<size_t>((at + 4) / kStep)];
  }
  const auto first = static_cast<size_t>(metrics.baseline_top1);
  size_t second = first == 0 ? 1 : 0;
  for (size_t i = 0; i < baseline.size(); ++i)
    if (i != first && baseline[i] > baseline[second]) second = i;
  const double margin = static_cast<double>(baseline[first]) - baseline[second];
  const double after = static_cast<double>(target[first]) - target[second];
  const bool flip = metrics.baseline_top1 != metrics.target_top1;
  sample_.points.push_back({margin, after - margin, flip});
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
