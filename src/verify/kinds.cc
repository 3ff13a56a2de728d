#include "verify/kinds.h"

#include <algorithm>
#include <cmath>

#include "base/error.h"

namespace merope {
namespace {

template <auto Member>
std::optional<double> At(const RowMetrics& m) {
  return m.*Member;
}

using Row = FirstTokenRow;
using First = FirstTokenTable;
using Suite = PositionSuite;

constexpr FigureKind kFigures[] = {
    {.key = "top1_rate",
     .english = "top-1 match rate",
     .chinese = "Top-1 匹配率",
     .definition = "share of prompts where baseline and target have the same most probable token; "
                   "among equally probable tokens, the smaller id counts",
     .unit = Unit::kShare,
     .mean = &First::top1_rate},
    {.key = "kl",
     .english = "KL divergence (nat)",
     .chinese = "KL 散度（nat）",
     .definition = "Σ p ln(p/q); in (a) Σ (p ln(p/q) − p + q), the divergence of unnormalised "
                   "vectors: it is never negative, and it equals Σ p ln(p/q) if baseline and "
                   "target give the 20 tokens the same total mass",
     .number = "1",
     .prompt = &Row::kl,
     .mean = &First::kl,
     .position = At<&RowMetrics::kl>},
    {.key = "js",
     .english = "JS divergence (nat)",
     .chinese = "JS 散度（nat）",
     .definition = "½ Σ p ln(p/m) + ½ Σ q ln(q/m), m = (p+q)/2",
     .prompt = &Row::js,
     .mean = &First::js,
     .position = At<&RowMetrics::js>},
    {.key = "tv",
     .english = "total variation",
     .chinese = "总变差距离",
     .definition = "½ Σ |p − q|",
     .number = "3",
     .position = At<&RowMetrics::tv>},
    {.key = "tv_most",
     .english = "total variation, upper bound",
     .chinese = "总变差距离的上界",
     .definition = "for rows of top-k: the total variation if the unlisted mass of the baseline "
                   "and the unlisted mass of the target lie on different tokens",
     .number = "3",
     .position = [](const RowMetrics& m) -> std::optional<double> { return m.tv_most; }},
    {.key = "hellinger2",
     .english = "Hellinger², 1 − BC",
     .chinese = "Hellinger² 距离（1 − BC）",
     .definition = "½ Σ (√p − √q)² = 1 − BC",
     .number = "3",
     .position = At<&RowMetrics::hellinger2>},
    {.key = "bhattacharyya",
     .english = "Bhattacharyya coefficient",
     .chinese = "Bhattacharyya 系数",
     .definition = "BC = Σ √(pq)",
     .number = "3",
     .low_is_bad = true,
     .position = [](const RowMetrics& m) -> std::optional<double> { return 1 - m.hellinger2; }},
    {.key = "cosine",
     .english = "cosine of probabilities",
     .chinese = "概率分布余弦相似度",
     .definition = "Σ pq / √(Σ p² Σ q²)",
     .low_is_bad = true,
     .prompt = &Row::cosine,
     .mean = &First::cosine,
     .position = At<&RowMetrics::cosine>},
    {.key = "one_minus_cosine",
     .english = "1 − cosine",
     .chinese = "概率分布差异（1 − 余弦）",
     .definition = "1 minus the cosine of probabilities",
     .unit = Unit::kShare,
     .mean = &First::one_minus_cosine,
     .position = [](const RowMetrics& m) -> std::optional<double> { return 1 - m.cosine; }},
    {.key = "mae",
     .english = "MAE of probabilities",
     .chinese = "平均绝对误差（概率）",
     .definition = "mean |p − q|",
     .prompt = &Row::mae,
     .mean = &First::mae,
     .position = At<&RowMetrics::mae>},
    {.key = "spearman",
     .english = "Spearman ρ",
     .chinese = "Spearman 秩相关系数",
     .definition = "rank correlation of p and q; equal values share the mean of their ranks",
     .low_is_bad = true,
     .prompt = &Row::spearman,
     .mean = &First::spearman,
     .position = At<&RowMetrics::spearman>},
    {.key = "mean_relative_error",
     .english = "mean relative error",
     .chinese = "平均相对误差（概率）",
     .definition = "mean |q − p| / p",
     .unit = Unit::kShare,
     .prompt = &Row::mean_relative_error,
     .mean = &First::mean_relative_error,
     .position = At<&RowMetrics::mean_relative_error>},
    {.key = "relative_l2",
     .english = "relative L2 of centred logits",
     .chinese = "中心化 logit 的相对 L2 误差",
     .definition = "‖d‖ / ‖z⁰ − mean z⁰‖, where d is the difference of the centred logits",
     .number = "4",
     .unit = Unit::kShare,
     .position = At<&RowMetrics::relative_l2>},
    {.key = "sigma_d",
     .english = "σ of the logit error",
     .chinese = "logit 误差的 σ",
     .definition = "√ mean d²",
     .number = "4",
     .position = At<&RowMetrics::sigma_d>},
    {.key = "tier_share",
     .english = "error of top-k tiers / limit",
     .chinese = "Top-k 分层误差占上限之比",
     .definition =
         "of whole rows: max over the tiers k = 5, 50, 1000 and all of (max |z − z⁰| over the "
         "baseline's k most probable tokens) / max |z⁰|, each divided by its limit: "
         "0.011, 0.02, 0.03, 0.05 (AWS Neuron's logit_validation)",
     .number = "5",
     .position = [](const RowMetrics& m) -> std::optional<double> { return m.tier_share; }},
    {.key = "abs_delta_p",
     .english = "|Δp| of the next token",
     .chinese = "下一 token 的 |Δp|",
     .definition = "|q_t − p_t|",
     .number = "8",
     .unit = Unit::kShare,
     .position = [](const RowMetrics& m) -> std::optional<double> {
       return m.has_next ? std::optional(std::abs(m.q_next - m.p_next)) : std::nullopt;
     }},
    {.key = "same_top1_rate",
     .english = "same top-1",
     .chinese = "Top-1 相同比例",
     .definition =
         "share of positions where the target has no token that is more probable than the "
         "baseline's most probable token; bf16 logits are often equal, and equal logits "
         "contradict nothing",
     .number = "6",
     .unit = Unit::kShare,
     .suite = &Suite::same_top1_rate,
     .interval = &Suite::same_top1_interval},
    {.key = "expected_flips",
     .english = "expected flips of the format",
     .chinese = "该格式预期的翻转数",
     .definition = "sum over the positions of the probability of a flip: see the noise model",
     .number = "7",
     .suite = &Suite::expected_flips},
    {.key = "slope",
     .english = "slope of logits",
     .chinese = "logit 斜率",
     .definition = "Σ xy / Σ x² over all positions, x and y the centred logits of baseline and "
                   "target (for rows of top-k: of the listed tokens); a target that divides its "
                   "logits by a temperature has the slope 1 / temperature",
     .suite = &Suite::slope,
     .interval = &Suite::slope_interval},
    {.key = "rms_delta_p",
     .english = "RMS Δp of the next token",
     .chinese = "下一 token 的 RMS Δp",
     .definition = "√ mean (q_t − p_t)²",
     .number = "8",
     .unit = Unit::kShare,
     .suite = &Suite::rms_delta_p,
     .interval = &Suite::rms_delta_p_interval,
     .of_next = true},
    {.key = "delta_p_percentiles",
     .english = "Δp, percentiles 1, 5, 50, 95, 99",
     .chinese = "Δp 的第 1、5、50、95、99 百分位",
     .definition = "percentiles of q_t − p_t",
     .number = "8",
     .unit = Unit::kShare,
     .percentiles = &Suite::delta_p_percentiles,
     .of_next = true},
    {.key = "delta_ln_ppl",
     .english = "Δ ln PPL",
     .chinese = "Δ ln PPL",
     .definition = "mean of ln p_t − ln q_t",
     .number = "9",
     .suite = &Suite::delta_ln_ppl,
     .interval = &Suite::delta_ln_ppl_interval,
     .confidence = kEquivalenceConfidence,
     .of_next = true},
    {.key = "token_error",
     .english = "token error",
     .chinese = "token 误差",
     .definition = "mean of exp |ln q_t − ln p_t|, where a difference above 100 counts as 100 "
                   "(NeMo RL); 1 without an error",
     .number = "11",
     .suite = &Suite::token_error,
     .interval = &Suite::token_error_interval,
     .of_next = true},
    {.key = "baseline_ppl",
     .english = "perplexity of the baseline",
     .chinese = "基线的困惑度",
     .definition = "exp of the mean of −ln p_t",
     .number = "9",
     .suite = &Suite::baseline_ppl,
     .of_next = true},
    {.key = "target_ppl",
     .english = "perplexity of the target",
     .chinese = "目标的困惑度",
     .definition = "exp of the mean of −ln q_t",
     .number = "9",
     .suite = &Suite::target_ppl,
     .of_next = true},
    {.key = "first_divergence",
     .english = "first divergent token",
     .chinese = "首个分歧 token",
     .definition =
         "of the target's own greedy texts: the mean number of tokens before the first one "
         "that is not the baseline's most probable token; a text without such a token "
         "counts with its length",
     .number = "12",
     .suite = &Suite::first_divergence,
     .of_generated = true},
    {.key = "divergent_share",
     .english = "divergent tokens",
     .chinese = "分歧 token 比例",
     .definition = "of the target's own greedy texts: the share of the tokens that are not the "
                   "baseline's most probable token after the same tokens",
     .number = "12",
     .unit = Unit::kShare,
     .suite = &Suite::divergent_share,
     .of_generated = true},
};

template <class Kind>
const Kind& Find(std::span<const Kind> kinds, std::string_view key) {
  const auto kind = std::ranges::find(kinds, key, &Kind::key);
  CHECK(kind != kinds.end(), "{}", key);
  return *kind;
}

}  // namespace

std::span<const FigureKind> FigureKinds() { return kFigures; }
const FigureKind& FindFigure(std::string_view key) { return Find(FigureKinds(), key); }
const GateKind& FindFirstTokenGate(std::string_view key) {
  return Find(FirstTokenGateKinds(), key);
}
const GateKind& FindPositionGate(std::string_view key) { return Find(PositionGateKinds(), key); }

GateResult NewGate(const GateKind& kind, double value, std::optional<Interval> interval) {
  return {.key = std::string(kind.key),
          .label = std::string(kind.english),
          .value = value,
          .interval = interval,
          .confidence = interval ? kind.confidence : 0,
          .min = kind.min,
          .max = kind.max,
          .strict = kind.strict};
}

}  // namespace merope
