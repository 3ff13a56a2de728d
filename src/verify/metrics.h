// How far apart two rows of logits are. The baseline's is p = softmax(z⁰), the target's q =
// softmax(z), both in double. Used by the suite, one RowComparer a thread.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace merope {

// At one position, over the whole vocabulary. Numbers are those of docs/verification.md.
struct RowMetrics {
  double kl = 0;                   // (1) Σ p ln(p/q)
  double js = 0;                   // Jensen–Shannon divergence, nat
  double tv = 0;                   // (3) ½ Σ |p − q|
  std::optional<double> tv_most;   // of listed tokens: what tv is at most, whatever the tail does
  double hellinger2 = 0;           // (3) ½ Σ (√p − √q)² = 1 − Σ √(pq)
  double cosine = 0;               // of p and q
  double mae = 0;                  // mean |p − q|
  double spearman = 0;             // rank correlation of the logits
  double mean_relative_error = 0;  // mean |q − p| / p
  double relative_l2 = 0;          // (4) ‖d‖ / ‖z⁰ − mean‖, d the difference of the centred logits
  double sigma_d = 0;              // (4) √ mean d²
  double baseline_sigma = 0;       // √ mean (z⁰ − mean)²
  double gap = 0;                  // (7) between the baseline's two largest logits
  int32_t baseline_top1 = 0, target_top1 = 0;  // ties go to the smaller id
  // At the token that follows, where there is one.
  bool has_next = false;
  double p_next = 0, q_next = 0;        // (8) probabilities
  double ln_p_next = 0, ln_q_next = 0;  // (9)
};

// The reference report's figures, on the baseline's kTop most probable tokens: p and q are
// full-softmax probabilities of these tokens, not renormalised. KL is that of unnormalised vectors,
// Σ p ln(p/q) − p + q, which is never negative and is the plain sum wherever both rows give the
// tokens the same mass.
struct TopMetrics {
  static constexpr int64_t kTop = 20;
  int32_t baseline_top1 = 0, target_top1 = 0;
  double cosine = 0, mae = 0, kl = 0, js = 0, spearman = 0, mean_relative_error = 0;
};

// ρ of two equally long series (ties share their mean rank); 1 where both are constant, 0 where one
// is.
double Spearman(std::span<const double> x, std::span<const double> y);

// Tokens of a row with their log-probabilities under the target, and that of the token that
// follows.
struct ListedRow {
  std::span<const int32_t> ids;
  std::span<const float> logprobs;
  float next_logprob = 0;
};

class RowComparer {
 public:
  // Both rows of the same length ≥ 2, finite. next: the token that follows.
  RowMetrics Compare(std::span<const float> baseline, std::span<const float> target,
                     std::optional<int32_t> next);
  TopMetrics CompareTop(std::span<const float> baseline, std::span<const float> target);

  // The same of a target of which only some tokens are known, and so the mass of all others, the
  // tail. Nothing is renormalised: the figures of p and q are those of the listed tokens and the
  // tail as one more, for the baseline too. KL and TV are thereby lower bounds, the Bhattacharyya
  // coefficient an upper one. Those of logits, their ranks and the mean relative error are of the
  // listed tokens alone.
  RowMetrics Compare(std::span<const float> baseline, const ListedRow& target,
                     std::optional<int32_t> next);
  // A token of the baseline's 20 that is not listed counts with what q suits best: it is at most
  // the least of those listed.
  TopMetrics CompareTop(std::span<const float> baseline, const ListedRow& target);
  // What a list of these tokens says of a whole row; logprobs has the room for it.
  ListedRow List(std::span<const float> row, std::span<const int32_t> ids,
                 std::optional<int32_t> next, std::vector<float>* logprobs);

 private:
  struct Keyed {
    uint32_t key, index;
  };
  void LogSoftmax(std::span<const float> logits, std::vector<double>* ln);
  TopMetrics CompareTop(std::span<const float> baseline);  // by ln_p_ and ln_q_
  // Twice the ranks (1-based, so that the mean rank of a tie is whole too) of a row, in ascending
  // order.
  void Ranks(std::span<const float> logits, std::vector<uint32_t>* twice_ranks);

  std::vector<double> ln_p_, ln_q_;
  std::vector<uint32_t> rank_p_, rank_q_;
  std::vector<Keyed> sorted_, sorting_;
};

}  // namespace merope
