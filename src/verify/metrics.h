// Measures the distance between two rows of logits. The baseline's row z⁰ gives p = softmax(z⁰),
// and the target's row z gives q = softmax(z), both in double precision. Used by the suite and by
// `merope report`. Each thread needs its own RowComparer.
//
// The reference report: the public adaptation report of Pleias-RAG-350M on an Ascend NPU.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace merope {

// The metrics of one position, over the whole vocabulary. The numbers in parentheses are those of
// docs/verification.md.
struct RowMetrics {
  double kl = 0;                   // (1) Σ p ln(p/q)
  double js = 0;                   // Jensen–Shannon divergence, nat
  double tv = 0;                   // (3) ½ Σ |p − q|
  std::optional<double> tv_most;   // only for a ListedRow: the upper bound of tv for any tail
  double hellinger2 = 0;           // (3) ½ Σ (√p − √q)² = 1 − Σ √(pq)
  double cosine = 0;               // of p and q
  double mae = 0;                  // mean |p − q|
  double spearman = 0;             // rank correlation of the logits
  double mean_relative_error = 0;  // mean |q − p| / p
  double relative_l2 = 0;          // (4) ‖d‖ / ‖z⁰ − mean‖, d the difference of the centred logits
  double sigma_d = 0;              // (4) √ mean d²
  double baseline_sigma = 0;       // √ mean (z⁰ − mean)²
  // (5) Of whole rows: the largest share of its limit that a tier reaches (metrics.cc).
  std::optional<double> tier_share;
  double product = 0, square = 0;  // Σ (z⁰ − mean)(z − mean) and Σ (z⁰ − mean)²
  double gap = 0;                  // (7) difference of the baseline's two largest logits
  // (7) The target's difference of the same two logits, minus the gap. Only a ListedRow may lack
  // one of the two.
  std::optional<double> gap_error;
  // Ties go to the smaller id, but a tie of the target that has the baseline's top-1 goes to it:
  // the target then does not contradict the baseline.
  int32_t baseline_top1 = 0, target_top1 = 0;
  // At the prompt's next token. has_next is false if there is no next token.
  bool has_next = false;
  double p_next = 0, q_next = 0;        // (8) probabilities
  double ln_p_next = 0, ln_q_next = 0;  // (9) their logarithms
};

// The figures of the reference report, on the baseline's kTop most probable tokens. p and q are the
// probabilities of these tokens from the softmax over the whole vocabulary, not renormalised. KL is
// the divergence of unnormalised vectors, Σ (p ln(p/q) − p + q). It is never negative, and it
// equals the plain sum Σ p ln(p/q) if both rows give the tokens the same mass.
struct TopMetrics {
  static constexpr int64_t kTop = 20;
  int32_t baseline_top1 = 0, target_top1 = 0;
  double cosine = 0, mae = 0, kl = 0, js = 0, spearman = 0, mean_relative_error = 0;
};

// Spearman's ρ of two series of equal length ≥ 1. Ties share their mean rank. Returns 1 if both
// series are constant, and 0 if only one series is constant.
double Spearman(std::span<const double> x, std::span<const double> y);

// Some tokens of the target's row with their logprobs, and the logprob of the prompt's next token.
// The spans do not own their data.
struct ListedRow {
  std::span<const int32_t> ids;
  std::span<const float> logprobs;
  float next_logprob = 0;
};

class RowComparer {
 public:
  // Both rows must be finite and of the same length ≥ 2. next: the prompt's next token, if there is
  // one.
  RowMetrics Compare(std::span<const float> baseline, std::span<const float> target,
                     std::optional<int32_t> next);
  TopMetrics CompareTop(std::span<const float> baseline, std::span<const float> target);

  // Compares with a target of which only some tokens are known. The tail is the mass of all other
  // tokens, also known. Compare does not renormalise. The figures of p and q treat the tail as one
  // more token, for the baseline too. KL and TV are therefore lower bounds, and the Bhattacharyya
  // coefficient is an upper bound. The figures of logits, the rank correlation and the mean
  // relative error use only the listed tokens. The target must list at least two tokens.
  RowMetrics Compare(std::span<const float> baseline, const ListedRow& target,
                     std::optional<int32_t> next);
  // If one of the baseline's 20 tokens is not listed, its q is the value that agrees best with p
  // and is not above the smallest listed q.
  TopMetrics CompareTop(std::span<const float> baseline, const ListedRow& target);
  // Reduces a whole row to a ListedRow of these token ids. logprobs stores the values; the result
  // refers to ids and to *logprobs, and both must outlive the result.
  ListedRow List(std::span<const float> row, std::span<const int32_t> ids,
                 std::optional<int32_t> next, std::vector<float>* logprobs);

 private:
  struct Keyed {
    uint32_t key, index;
  };
  void LogSoftmax(std::span<const float> logits, std::vector<double>* ln);
  TopMetrics CompareTop(std::span<const float> baseline);  // from ln_p_ and ln_q_
  // Computes twice the 1-based rank of each element of a row, in ascending order. The factor of two
  // makes the mean rank of a tie an integer.
  void Ranks(std::span<const float> logits, std::vector<uint32_t>* twice_ranks);

  std::vector<double> ln_p_, ln_q_;
  std::vector<uint32_t> rank_p_, rank_q_;
  std::vector<Keyed> sorted_, sorting_;
};

}  // namespace merope
