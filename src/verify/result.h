// What a verification finds: (a) the first tokens' table, (b) the figures of every position, and
// the check of the baseline itself. Plain values: the suite fills them, tables, JSON and the report
// word them. docs/verification.md defines every figure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "verify/prompts.h"
#include "verify/verdict.h"

namespace merope {

// (a) The reference report's table: the distribution of the first token after each prompt, on the
// baseline's 20 most probable tokens, by full-softmax probabilities.
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
  std::vector<GateResult> gates;  // top1_rate, one_minus_cosine, cosine, kl, spearman
  Verdict verdict = Verdict::kFail;
};

// A figure taken at every teacher-forced position. p99 and worst are on the figure's bad side (for
// cosine: the first percentile and the minimum). Intervals: 95 %, bootstrap over prompts.
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
  double gap = 0;      // between the baseline's two largest logits
  double allowed = 0;  // the gap below which bf16 noise explains a flip
  bool explained = false;
};

// A position where the two distributions are far apart: a Bhattacharyya coefficient under 0.99.
struct Outlier {
  std::string prompt_id;
  int64_t position = 0;
  double bhattacharyya = 0;
  std::optional<double> emulated_bhattacharyya{};  // of emulated bf16; nullopt: not examined
  bool explained = false;  // bf16 does about the same there, however it is computed
};

struct PromptSummary {
  std::string id, kind, language;
  int64_t positions = 0, flips = 0;
  double expected_flips = 0;
  double mean_kl = 0, max_kl = 0, mean_relative_l2 = 0;
};

// (b) The full vocabulary at every position.
struct PositionSuite {
  int64_t prompts = 0, positions = 0;
  int64_t not_finite = 0;  // positions where some logit is NaN or infinite
  // kl, js, tv, tv_most (of rows of top-k alone), hellinger2, bhattacharyya, one_minus_cosine,
  // cosine, mae, spearman, mean_relative_error, relative_l2, abs_delta_p.
  std::vector<PositionFigure> figures;
  int64_t same_top1 = 0;
  double same_top1_rate = 0;
  Interval same_top1_interval;  // Clopper–Pearson, 95 %
  double expected_flips = 0;    // from the emulated bf16 noise
  std::vector<Flip> flips;
  std::vector<Outlier> outliers;
  double rms_delta_p = 0;
  Interval rms_delta_p_interval;
  std::array<double, 5> delta_p_percentiles = {};  // of q − p at the next token: 1, 5, 50, 95, 99 %
  double delta_ln_ppl = 0;                         // mean of ln p − ln q at the next token
  Interval delta_ln_ppl_interval;                  // 90 %, for the equivalence test
  double baseline_ppl = 0, target_ppl = 0;
  std::vector<PromptSummary> by_prompt;
  std::vector<GateResult> gates;
  Verdict verdict = Verdict::kFail;
};

// The fp32 baseline against the double-sum reference back end, and the noise of bf16 as the
// reference back end emulates it.
struct ReferenceCheck {
  int64_t positions = 0;
  double max_relative_l2 = 0, mean_relative_l2 = 0;  // baseline against reference, centred logits
  double worst_share_of_bound = 0;                   // the largest error / bound; > 1 fails
  double bound_at_worst = 0;                         // the bound at that position
  int64_t top1_differences = 0;                      // beyond what the measured error explains
  Verdict verdict = Verdict::kFail;

  double emulated_sigma = 0;  // σ_b: RMS centred logit error of emulated bf16 against the baseline
  double emulated_relative_l2 = 0;  // mean
  double emulated_kl = 0;           // mean
  int64_t emulated_flips = 0;
  double emulated_expected_flips =
      0;  // what the flip model says for the same positions: its own check
  double target_sigma = 0, target_kl = 0;  // the target on the same positions
};

struct VerifyResult {
  VerifyMode mode = VerifyMode::kDefault;
  std::string model;             // path
  std::string baseline, target;  // "cpu (AVX3_ZEN4, 2 threads), fp32", "…, bf16"
  Precision target_precision = Precision::kBf16;
  int threads = 0;
  int64_t context = 0;  // prompts are cut to it
  double seconds = 0;
  double baseline_tokens_per_second = 0,
         target_tokens_per_second = 0;  // teacher-forced, with all logits
  FirstTokenTable first_token;
  PositionSuite positions;
  ReferenceCheck reference;
  // The worse of (a) and (b); the reference check is part of (b).
  Verdict verdict = Verdict::kFail;
};

}  // namespace merope
