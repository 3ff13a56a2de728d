// The result of a verification: (a) the table of first tokens, (b) the figures of all positions,
// and the check of the baseline itself. The structs are plain values. The suite fills them; the
// tables, JSON and `merope report` format them. docs/verification.md defines every figure.
//
// The reference report: the public adaptation report of Pleias-RAG-350M on an Ascend NPU.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backend/registry.h"
#include "verify/endpoint_result.h"
#include "verify/prompts.h"
#include "verify/verdict.h"

namespace merope {

// (a) The reference report's table: the distribution of the first token after each prompt. The
// figures use the baseline's 20 most probable tokens, with probabilities from the softmax over the
// whole vocabulary.
struct FirstTokenRow {
  std::string prompt;
  std::string baseline_top1, target_top1;  // the tokens' text
  bool match = false;
  double cosine = 0, kl = 0, js = 0, mae = 0, spearman = 0, mean_relative_error = 0;
};
struct FirstTokenTable {
  std::vector<FirstTokenRow> rows;
  int64_t matches = 0;
  double top1_rate = 0;
  // Means over the prompts.
  double cosine = 0, one_minus_cosine = 0, mae = 0, kl = 0, js = 0, spearman = 0,
         mean_relative_error = 0;
  std::vector<GateResult> gates;  // top1_rate, cosine, one_minus_cosine, kl, spearman
  Verdict verdict = Verdict::kFail;
};

// A figure of all teacher-forced positions. p99, p999 and worst are on the bad side of the figure;
// for cosine, p99 is the first percentile and worst is the minimum. The intervals are 95 %
// bootstrap intervals over prompts.
struct PositionFigure {
  std::string key;    // "kl"
  std::string label;  // "KL divergence (nat)"
  double mean = 0, median = 0, p99 = 0, p999 = 0, worst = 0;
  Interval mean_interval, p99_interval;
};

// A position where the target's most probable token is not the baseline's.
struct Flip {
  std::string prompt_id;
  int64_t position = 0;
  std::string baseline_top1, target_top1;
  double gap = 0;          // difference of the baseline's two largest logits
  double allowed = 0;      // the largest gap at which the format's noise explains the flip
  bool explained = false;  // gap ≤ allowed
};

// A position where the two distributions differ much: the Bhattacharyya coefficient is below 0.99.
struct Outlier {
  std::string prompt_id;
  int64_t position = 0;
  double bhattacharyya = 0;
  std::optional<double> emulated_bhattacharyya{};  // of the emulated format; nullopt: not examined
  bool explained = false;  // the emulated format's 1 − BC is at least a ninth of the target's
};

struct PromptSummary {
  std::string id, kind, language;
  int64_t positions = 0, flips = 0;
  double expected_flips = 0;
  double mean_kl = 0, max_kl = 0, mean_relative_l2 = 0;
};

// (b) The figures over the whole vocabulary, at all positions.
struct PositionSuite {
  int64_t prompts = 0, positions = 0;
  int64_t not_finite = 0;  // positions with a logit that is NaN or infinite
  // kl, js, tv, tv_most (only for rows of top-k tokens), hellinger2, bhattacharyya, cosine,
  // one_minus_cosine, mae, spearman, mean_relative_error, relative_l2, sigma_d, tier_share (only
  // for whole rows), abs_delta_p.
  std::vector<PositionFigure> figures;
  int64_t same_top1 = 0;  // positions
  double same_top1_rate = 0;
  Interval same_top1_interval;  // Clopper–Pearson, 95 %
  double expected_flips = 0;    // from the noise of the emulated format
  std::vector<Flip> flips;
  std::vector<Outlier> outliers;
  // The slope of the target's centred logits over the baseline's; 1 / slope is the temperature.
  double slope = 0;
  Interval slope_interval;
  double rms_delta_p = 0;
  Interval rms_delta_p_interval;
  std::array<double, 5> delta_p_percentiles = {};  // 1, 5, 50, 95, 99 % of q − p at the next token
  int64_t next_positions = 0;                      // positions whose next token the prompt gives
  double delta_ln_ppl = 0;                         // mean of ln p − ln q at the next token
  Interval delta_ln_ppl_interval;                  // 90 %, for the equivalence test
  double token_error = 1;
  Interval token_error_interval;
  double baseline_ppl = 0, target_ppl = 0;
  // The target's own greedy texts, if there are any.
  int64_t generated_texts = 0, generated_tokens = 0;
  double first_divergence = 0;  // tokens
  double divergent_share = 0;
  std::vector<PromptSummary> by_prompt;
  std::vector<GateResult> gates;
  Verdict verdict = Verdict::kFail;
};

// The check of the fp32 baseline against the double-precision reference back end, and the noise of
// the target's format, which the reference back end emulates (for an fp32 target: bf16).
struct ReferenceCheck {
  int64_t positions = 0;
  double max_relative_l2 = 0, mean_relative_l2 = 0;  // baseline against reference, centred logits
  double worst_share_of_bound = 0;                   // the largest error / bound; > 1 fails
  double bound_at_worst = 0;     // the bound at the position of worst_share_of_bound
  int64_t top1_differences = 0;  // top-1 differences with a gap above 6 σ of the measured error
  Verdict verdict = Verdict::kFail;

  // RMS of the centred logit error of the emulated format against the baseline.
  double emulated_sigma = 0;
  double emulated_relative_l2 = 0;  // mean
  double emulated_kl = 0;           // mean
  int64_t emulated_flips = 0;
  // The number of flips that the noise model predicts for the same positions. The comparison with
  // emulated_flips checks the noise model.
  double gap_factor = 1;  // of the noise model (figures.h)
  double emulated_expected_flips = 0;
  double target_sigma = 0, target_kl = 0;  // of the target, on the same positions
};

struct VerifyResult {
  VerifyMode mode = VerifyMode::kDefault;
  std::string model;             // path
  std::string baseline, target;  // "cpu (AVX3_ZEN4, 2 threads), fp32", "…, bf16"
  Precision target_precision = Precision::kBf16;
  OpRounding target_rounding = OpRounding::kNone;
  int threads = 0;
  int64_t context = 0;  // in tokens; longer prompts are cut to the context
  double seconds = 0;
  // Teacher-forced, with logits after every token.
  double baseline_tokens_per_second = 0, target_tokens_per_second = 0;
  FirstTokenTable first_token;
  PositionSuite positions;
  ReferenceCheck reference;
  std::optional<EndpointResult> endpoint{};
  // The worst of the verdicts of (a), (b) and the endpoint's probe. The reference check is part of
  // (b).
  Verdict verdict = Verdict::kFail;
};

}  // namespace merope
