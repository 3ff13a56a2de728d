// Measures how the target's logits differ from the fp32 logits at each position, for the error
// analysis (section 7 of the report). Both models read the same prompts. The figures cover the
// whole vocabulary, or the tokens that a server lists. Called by Collect and CollectServer, on the
// caller's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/error.h"
#include "model/llama.h"
#include "verify/metrics.h"

namespace merope {

// The tokens whose probability in fp32 lies in (high / 10, high]. The last bin has no lower end.
struct ProbabilityBin {
  double high = 1;
  int64_t tokens = 0;
  double mass = 0;                 // probability in fp32, mean over the positions
  double mean_relative_error = 0;  // |q − p| / p
  double mean_log_error = 0;       // |ln q − ln p|
};

struct ErrorPosition {
  double margin = 0;  // fp32's largest logit minus fp32's second largest logit
  // The margin of the same two tokens in the target, minus margin. A flip needs change < −margin,
  // or a third token that becomes the target's most probable token.
  double change = 0;
  bool flip = false;
};

struct ErrorSample {
  static constexpr int kBins = 8;        // the last bin takes all smaller probabilities
  static constexpr int kHistogram = 40;  // cells of (centred logit error) / σ, from −4 to 4
  int64_t positions = 0;
  int64_t vocab_size = 0;  // tokens compared at each position
  int64_t not_finite = 0;  // further positions with a NaN or infinite logit; not in the figures
  std::vector<ProbabilityBin> bins;
  std::vector<double> histogram;  // share of the errors, per unit of σ
  double beyond_4_sigma = 0;      // share of the errors outside the histogram
  std::vector<ErrorPosition> points;
  int64_t flips = 0;
  double sigma = 0;                                  // RMS of the centred logit errors
  double logit_sigma = 0;                            // RMS of fp32's centred logits
  double mean_relative_l2 = 0, max_relative_l2 = 0;  // of centred logits
  double mean_cosine = 0, mean_angle_bound = 0;      // of probabilities; bound: √(1 − cosine²)
  double mean_probability_l2 = 0;                    // ‖q − p‖ / ‖p‖
  double max_probability_l2 = 0;
  double mean_kl = 0, max_kl = 0;
  double mean_kl_predicted = 0;  // ½ Var_p(d): the KL of the logit errors d, to second order
};

// Add takes both models' logits of one position, or the tokens that the target lists there; these
// must be `vocab_size` tokens. Finish returns the sample; call Finish once, after the last Add.
class ErrorCollector {
 public:
  explicit ErrorCollector(int64_t vocab_size);
  void Add(std::span<const float> baseline, std::span<const float> target);
  void Add(std::span<const float> baseline, const ListedRow& target);
  ErrorSample Finish();

 private:
  // The compared tokens of a row. p, q: probabilities, ln p and ln q: their logarithms.
  struct Pairs {
    std::vector<double> ln_p, ln_q;
  };
  void AddMetrics(const RowMetrics& m);
  void AddPairs(const Pairs& pairs, const RowMetrics& metrics);
  void AddPoint(const RowMetrics& metrics);

  RowComparer comparer_;
  ErrorSample sample_;
};

Result<ErrorSample> MeasureErrors(Llama& baseline, Llama& target,
                                  std::span<const std::vector<int32_t>> prompts,
                                  const std::function<void(int64_t, int64_t)>& progress);

// The root mean square of (bf16(w) − w) / w over every eighth row of the checkpoint's matrices. A
// zero weight counts as error 0. The result is 0 if all these weights are bf16 values.
double WeightRoundingError(const Checkpoint& checkpoint);

}  // namespace merope
