// How the target's logits differ from fp32's, position by position, in the forms that the error
// analysis explains. Both models read the same prompts; the vocabulary is taken whole.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/error.h"
#include "model/llama.h"
#include "verify/metrics.h"

namespace merope {

// Tokens to which fp32 gives a probability in (high / 10, high].
struct ProbabilityBin {
  double high = 1;
  int64_t tokens = 0;
  double mass = 0;                 // of a distribution, in the mean over the positions
  double mean_relative_error = 0;  // |q − p| / p
  double mean_log_error = 0;       // |ln q − ln p|
};

struct ErrorPosition {
  double margin = 0;  // between fp32's two largest logits
  double change =
      0;  // of that margin, in the target; a flip needs change < −margin, or a third token
  bool flip = false;
};

struct ErrorSample {
  static constexpr int kBins = 8;        // the last takes all that is smaller
  static constexpr int kHistogram = 40;  // of the centred logit error over its σ, from −4 to 4
  int64_t positions = 0, vocab_size = 0;
  int64_t not_finite = 0;  // further positions, left out: logits that are no numbers
  std::vector<ProbabilityBin> bins;
  std::vector<double> histogram;  // share of the errors, per unit of σ
  double beyond_4_sigma = 0;      // share outside the histogram
  std::vector<ErrorPosition> points;
  int64_t flips = 0;
  double sigma = 0;                                  // √ mean of squared centred logit errors
  double logit_sigma = 0;                            // the same of the logits themselves
  double mean_relative_l2 = 0, max_relative_l2 = 0;  // of centred logits
  double mean_cosine = 0, mean_angle_bound = 0;      // of probabilities; √(1 − cosine²)
  double mean_probability_l2 = 0;                    // ‖q − p‖ / ‖p‖
  double max_probability_l2 = 0;
  double mean_kl = 0, max_kl = 0;
  double mean_kl_predicted = 0;  // ½ Var_p(d): what the logit errors d amount to, to second order
};

// Takes both models' logits at one position after another, then gives the sample.
class ErrorCollector {
 public:
  explicit ErrorCollector(int64_t vocab_size);
  void Add(std::span<const float> baseline, std::span<const float> target);
  ErrorSample Finish();

 private:
  void AddMetrics(const RowMetrics& m);
  void AddDistributions(std::span<const float> baseline, std::span<const float> target);
  void AddLogits(std::span<const float> baseline, std::span<const float> target,
                 const RowMetrics& metrics);

  RowComparer comparer_;
  ErrorSample sample_;
};

Result<ErrorSample> MeasureErrors(Llama& baseline, Llama& target,
                                  std::span<const std::vector<int32_t>> prompts,
                                  const std::function<void(int64_t, int64_t)>& progress);

// The root mean square of (bf16(w) − w) / w over the checkpoint's matrices (every eighth row): 0
// where they are bf16.
double WeightRoundingError(const Checkpoint& checkpoint);

}  // namespace merope
