// Section 7: the sources of the error, the size of the error, and the limits of the figures in
// section 5. All figures come from the logits of this run.
#include <algorithm>
#include <cmath>

#include "report/sections.h"
#include "verify/numerics.h"
#include "verify/statistics.h"

namespace merope {
namespace {

// Half a unit in the last significant bit: 8 bits in bf16, 24 bits in fp32.
constexpr double kBf16Roundoff = 1.0 / 256;
constexpr double kFp32Roundoff = 1.0 / (1 << 24);

void WriteSources(const Section& s) {
  const auto& [data, say, out] = s;
  const ErrorSample& e = data.errors;
  const ReferenceCheck& r = data.verify.reference;
  const bool bf16 = data.options.target == Precision::kBf16;
  const std::string numerics =
      NumericsName(data.verify.target_precision, data.verify.target_rounding);
  out.AddHeading(2, say("Sources of error", "误差来源分析"));
  if (e.not_finite > 0)
    out.Add(Note{Style::kFail,
                 Rich(say("{0} of {1} positions are left out below: their logits are no numbers.",
                          "下文未计入 {1} 个位置中的 {0} 个：其 logit 不是数值。"),
                      {Thousands(e.not_finite), Thousands(e.positions + e.not_finite)})});
  out.AddParagraph(say("bf16 keeps 8 significant bits, so that rounding a number moves it by at "
                       "most {0} of itself; fp32 keeps 24, {1}. What this run "
                       "measured of each source:",
                       "bf16 有 8 位有效位，单次舍入的相对误差不超过 {0}；fp32 有 24 位，不超过 "
                       "{1}。本次运行对各误差来源的实测："),
                   {Percent(kBf16Roundoff), Number(kFp32Roundoff, 2)});
  Table table{"",
              {{std::string(say("Source", "误差来源"))},
               {std::string(say("Measured", "实测")), Align::kRight},
               {std::string(say("What it means", "说明"))}},
              {}};
  table.rows.push_back(
      {{say("Rounding the weights to bf16 (RMS, relative)", "权重舍入为 bf16（相对 RMS）")},
       {data.weight_rounding == 0 ? "0" : Percent(data.weight_rounding, 3)},
       {data.weight_rounding == 0
            ? say("the checkpoint's weights are bf16 values already: nothing is lost",
                  "权重本身即为 bf16 可表示的值：无损失")
            : say("the stored weights are finer than bf16", "存储的权重精度高于 bf16")}});
  table.rows.push_back(
      {{fmt::format(fmt::runtime(say("{} against fp32 (relative L2 of centred logits)",
                                     "{} 与 fp32（中心化 logit 相对 L2）")),
                    data.target_name())},
       {Percent(e.mean_relative_l2, 3)},
       {data.verify.target_rounding != OpRounding::kNone
            ? say("rounding the result of every op, through all layers",
                  "每个算子的结果舍入，经所有层累积")
        : bf16 ? say("rounding the inputs of every matrix product, through all layers",
                     "每个矩阵乘的输入舍入，经所有层累积")
               : say("the fast path against the double-precision reference",
                     "快速路径与双精度参考")}});
  table.rows.push_back({{say("fp32 against the double-precision reference (relative L2)",
                             "fp32 与双精度参考（相对 L2）")},
                        {Number(r.mean_relative_l2)},
                        {say("the baseline's own error: what the comparison cannot see below",
                             "基线自身误差：比较的分辨下限")}});
  if (bf16 && r.emulated_sigma > 0)
    table.rows.push_back(
        {{fmt::format(
             fmt::runtime(say("Target's σ over that of emulated {}", "目标 σ 与模拟 {} 的 σ 之比")),
             numerics)},
         {Number(r.target_sigma / r.emulated_sigma)},
         {say("1 means that there is rounding and nothing else", "为 1 表示除舍入外别无误差")}});
  table.rows.push_back({{say("Sampling", "采样")},
                        {"0"},
                        {say("greedy or teacher-forced everywhere", "全程贪心或 teacher-forced")}});
  out.Add(std::move(table));
}

void WriteSize(const Section& s) {
  const auto& [data, say, out] = s;
  const ErrorSample& e = data.errors;
  out.AddHeading(2, say("How large it is", "误差大小"));
  const std::string logits =
      say.chinese() ? (data.server ? "概率最高的" : "全部")
                    : fmt::format(fmt::runtime(data.server ? "the {} largest" : "all {}"),
                                  Thousands(e.vocab_size));
  out.AddParagraph(
      say("Over {0} positions of the 25 prompts and {9} logits of each, the error of a logit "
          "(both rows centred) has σ = **{2}**, where "
          "the logits themselves spread with σ = {3}: {4} in the mean, {5} at the worst position. "
          "To second order an error d costs "
          "KL ≈ ½ Var_p(d); that predicts {6} nat, and {7} was measured (worst position {8}).",
          "在 25 个提示词的 {0} 个位置、每个位置{9} {1} 个 logit 上，（两侧中心化后）logit 误差的 "
          "σ "
          "= **{2}**，而 logit 自身的 σ = {3}："
          "相对误差均值 {4}，最差位置 {5}。按二阶近似，误差 d 的代价为 KL ≈ ½ Var_p（d），预测为 "
          "{6} "
          "nat，实测 {7}（最差位置 {8}）。"),
      {Thousands(e.positions), Thousands(e.vocab_size), Number(e.sigma), Number(e.logit_sigma),
       Percent(e.mean_relative_l2, 3), Percent(e.max_relative_l2, 3), Number(e.mean_kl_predicted),
       Number(e.mean_kl), Number(e.max_kl), logits});
  if (e.sigma == 0) return;
  Plot plot{.id = "error-histogram",
            .title = std::string(say("Logit errors over their σ", "logit 误差分布（以 σ 为单位）")),
            .description = fmt::format(
                fmt::runtime(say(
                    "The measured density beside the normal one; {} of the errors lie beyond 4 σ.",
                    "实测密度与正态密度；{} 的误差超出 4 σ。")),
                Percent(e.beyond_4_sigma, 3)),
            .x = {.label = std::string(say("error / σ", "误差 / σ")), .min = -4, .max = 4},
            .y = {.label = std::string(say("density", "密度")), .max = 0.45},
            .series = {{.name = std::string(say("measured", "实测")),
                        .mark = Mark::kBars,
                        .color = 0,
                        .points = {}},
                       {.name = std::string(say("normal", "正态分布")),
                        .mark = Mark::kLine,
                        .color = 1,
                        .points = {}}},
            .rules = {},
            .bar_width = 8.0 / ErrorSample::kHistogram,
            .height = 280};
  for (int i = 0; i < ErrorSample::kHistogram; ++i) {
    const double x = -4 + (i + 0.5) * plot.bar_width, y = e.histogram[static_cast<size_t>(i)];
    plot.series[0].points.push_back({.x = x, .y = y});
    plot.series[1].points.push_back(
        {.x = x, .y = std::exp(-x * x / 2) / std::sqrt(2 * 3.14159265358979)});
    plot.y.max = std::max(plot.y.max, y * 1.05);
  }
  out.Add(Figure{std::move(plot)});
}

void WriteFlips(const Section& s) {
  const auto& [data, say, out] = s;
  const ErrorSample& e = data.errors;
  const PositionSuite& p = data.verify.positions;
  out.AddHeading(2, say("Flips, explained by margins", "翻转及其解释"));
  const auto unexplained = std::ranges::count(p.flips, false, &Flip::explained);
  out.AddParagraph(
      say("A flip is a position where the target's most probable token is another than fp32's. "
          "Rounding can only cause one where fp32's two "
          "largest logits lie close together. In suite (b), {0} of {1} positions flip, where noise "
          "of {4}'s size should flip {2}; {3} "
          "of them have a margin beyond 6 σ_b and would need another explanation.",
          "翻转指目标的 Top-1 与 fp32 不同的位置。只有当 fp32 最大的两个 logit "
          "十分接近时，舍入才可能造成翻转。套件 (b) 的 {1} 个位置中有 {0} 个"
          "翻转，而 {4} 量级的噪声预期造成 {2} 个；其中 {3} 个的间隔超过 6 σ_b，需要另作解释。"),
      {Thousands(std::ssize(p.flips)), Thousands(p.positions), Fixed(p.expected_flips, 1),
       Thousands(unexplained),
       NumericsName(data.verify.target_precision, data.verify.target_rounding)});
  if (e.sigma > 0) {
    Plot plot{
        .id = "margins",
        .title = std::string(say("Margin of fp32's first choice, and how far the target moved it",
                                 "fp32 首选的间隔与目标造成的变化")),
        .description =
            std::string(say("A point is a position. Only on or above the diagonal can the change "
                            "outweigh the margin.",
                            "每点为一个位置。只有在对角线上或其上方，变化才可能超过间隔。")),
        .x = {.label = std::string(say("margin in fp32 (logits)", "fp32 间隔（logit）")),
              .min = 1e-3,
              .max = 30,
              .log = true},
        .y = {.label = std::string(say("change", "变化")), .min = 1e-5, .max = 3, .log = true},
        .series = {{.name = std::string(say("same token", "Top-1 相同")),
                    .mark = Mark::kPoints,
                    .color = 0,
                    .points = {}},
                   {.name = std::string(say("flip", "翻转")),
                    .mark = Mark::kPoints,
                    .color = 2,
                    .points = {}},
                   {.name = std::string(say("change = margin", "变化 = 间隔")),
                    .mark = Mark::kLine,
                    .color = 1,
                    .points = {{.x = 1e-3, .y = 1e-3}, {.x = 3, .y = 3}}}},
        .rules = {},
        .height = 340};
    for (const ErrorPosition& point : e.points)
      plot.series[point.flip ? 1 : 0].points.push_back(
          {.x = point.margin, .y = std::abs(point.change)});
    out.Add(Figure{std::move(plot)});
  }
  if (p.flips.empty()) return;
  constexpr size_t kShown = 12;
  std::vector<Flip> flips = p.flips;
  std::ranges::sort(flips, std::greater(), &Flip::gap);
  Table table{std::string(say("The flips with the widest margins", "间隔最大的翻转")),
              {{std::string(say("Prompt", "提示词"))},
               {std::string(say("Position", "位置")), Align::kRight},
               {"fp32"},
               {std::string(data.target_name())},
               {std::string(say("Margin", "间隔")), Align::kRight},
               {std::string(say("Allowed (6 σ_b)", "允许（6 σ_b）")), Align::kRight},
               {std::string(say("Explained", "可解释"))}},
              {}};
  for (size_t i = 0; i < std::min(kShown, flips.size()); ++i) {
    const Flip& flip = flips[i];
    table.rows.push_back({{flip.prompt_id},
                          {Thousands(flip.position)},
                          {Code(flip.baseline_top1)},
                          {Code(flip.target_top1)},
                          {Number(flip.gap)},
                          {Number(flip.allowed)},
                          {Run(std::string(say.Yes(flip.explained).text),
                               flip.explained ? Style::kPass : Style::kFail)}});
  }
  out.Add(std::move(table));
}

void WriteRelativeError(const Section& s) {
  const auto& [data, say, out] = s;
  const ErrorSample& e = data.errors;
  const FirstTokenTable& t = data.verify.first_token;
  out.AddHeading(
      2, fmt::format(fmt::runtime(say("Why the mean relative error is {} when the cosine is {}",
                                      "为什么平均相对误差为 {}，而余弦相似度为 {}？")),
                     Percent(t.mean_relative_error), Fixed(t.cosine, 6)));
  out.AddParagraph(
      say("They weigh tokens differently. The mean relative error counts every token alike, "
          "however improbable; the cosine is decided by the "
          "few that hold the mass. By fp32's probability of the token:",
          "两个指标对 token 的加权不同。平均相对误差对每个 token "
          "一视同仁，无论其概率多小；余弦则由占据概率质量的少数 token 决定。按 fp32 概率分组："));
  Table table{"",
              {{std::string(say("Probability", "概率"))},
               {std::string(say("Tokens seen", "token 数")), Align::kRight},
               {std::string(say("Mass", "概率质量")), Align::kRight},
               {"|q − p| / p", Align::kRight},
               {"|ln q − ln p|", Align::kRight}},
              {}};
  Plot plot{.id = "relative-error",
            .title = std::string(
                say("Relative error by the token's probability", "不同概率区间的相对误差")),
            .description = std::string(say("Mean of |q − p| / p in each decade of p.",
                                           "p 的每个数量级内 |q − p| / p 的均值。")),
            .x = {.label = std::string(say("probability in fp32", "fp32 概率"))},
            .y = {.label = "%", .max = 1e-9, .factor = 100},
            .series = {{.name = "", .mark = Mark::kBars, .color = 0, .points = {}}},
            .rules = {},
            .height = 270};
  for (size_t i = 0; i < e.bins.size(); ++i) {
    const ProbabilityBin& bin = e.bins[i];
    const bool last = i + 1 == e.bins.size();
    const std::string range =
        last ? fmt::format("≤ {}", Number(bin.high, 1))
             : fmt::format("{} – {}", Number(bin.high / 10, 1), Number(bin.high, 1));
    table.rows.push_back({{range},
                          {Thousands(bin.tokens)},
                          {Percent(bin.mass, 3)},
                          {Percent(bin.mean_relative_error)},
                          {Number(bin.mean_log_error)}});
    plot.x.categories.push_back(last ? "≤ 10⁻⁷" : range);
    plot.series[0].points.push_back({.x = static_cast<double>(i), .y = bin.mean_relative_error});
    plot.y.max = std::max(plot.y.max, bin.mean_relative_error * 1.1);
  }
  out.Add(std::move(table));
  if (e.sigma > 0) out.Add(Figure{std::move(plot)});
  out.AddParagraph(say("|ln q − ln p| is the error of a logit, whose σ is {0}: a relative error of "
                       "that size is what noise of {0} must show at "
                       "any probability, and 1 − cosine is of the order of its square.",
                       "|ln q − ln p| 即 logit 误差，其 σ 为 {0}：无论概率大小，{0} "
                       "的噪声必然表现为同等大小的相对误差，而 1 − 余弦是其平方的量级。"),
                   {Number(e.sigma)});
}

void WriteCosine(const Section& s) {
  const auto& [data, say, out] = s;
  const FirstTokenTable& t = data.verify.first_token;
  const ErrorSample& e = data.errors;
  const double bound = std::sqrt(std::max(0.0, 1 - t.cosine * t.cosine));
  double worst = 1;
  for (const FirstTokenRow& row : t.rows) worst = std::min(worst, row.cosine);
  out.AddHeading(2, say("Why 1 − cosine is not the error", "为什么 1 − 余弦 不是误差"));
  out.AddParagraph(
      say("For small errors 1 − cos θ ≈ θ²/2: it is quadratic. Whatever their lengths, two vectors "
          "at that angle differ by at least "
          "√(1 − cos²) of the first. The mean cosine of suite (a), {0}, gives 1 − cos = {1}, and "
          "yet a relative error of at least **{2}**; "
          "for the worst prompt, {3}. Measured directly over every position and {6}, ‖q − p‖ / ‖p‖ "
          "is {4} in the mean and "
          "{5} at worst.",
          "误差较小时 1 − cos θ ≈ θ²/2，是误差的二次方。夹角为 θ "
          "的两个向量，无论长度如何，其差至少是前者的 √（1 − cos²）。套件 (a) 的平均余弦 {0} 对应 "
          "1 − cos = {1}，而相对误差却至少为 **{2}**；最差的提示词为 "
          "{3}。在全部位置和{6}上直接测量，‖q − p‖ / ‖p‖ 均值为 {4}，最差 {5}。"),
      {Fixed(t.cosine, 6), Percent(t.one_minus_cosine, 4), Percent(bound),
       Percent(std::sqrt(std::max(0.0, 1 - worst * worst))), Percent(e.mean_probability_l2),
       Percent(e.max_probability_l2),
       std::string(data.server ? say("the listed tokens", "列出的 token")
                               : say("the full vocabulary", "完整词表"))});
}

void WriteEvidence(const Section& s) {
  const auto& [data, say, out] = s;
  const FirstTokenTable& t = data.verify.first_token;
  const PositionSuite& p = data.verify.positions;
  const double sigma = data.errors.sigma;
  const auto n = static_cast<double>(t.rows.size());
  const double lower =
      ClopperPearson(static_cast<double>(t.matches), n, 0.90).low;  // one-sided 95 %
  const auto needed = static_cast<int64_t>(std::ceil(std::log(0.05) / std::log(0.99)));
  out.AddHeading(2, say("What the sample sizes support", "样本量能支持什么结论"));
  List list;
  list.items.push_back(Rich(
      say("{0} of {1} matching first tokens support a match rate of at least **{2}** (one-sided 95 "
          "%, Clopper–Pearson), not more.",
          "{1} 个首 token 中 {0} 个一致，只能支持匹配率不低于 **{2}**（单侧 95 "
          "%，Clopper–Pearson）。"),
      {std::to_string(t.matches), Thousands(std::ssize(t.rows)), Percent(lower, 1)}));
  list.items.push_back(
      Rich(say("To claim 99 % takes {0} independent positions without one mismatch.",
               "要断言 ≥ 99 %，需要 {0} 个独立位置且无一不一致。"),
           {Thousands(needed)}));
  list.items.push_back(
      Rich(say("Suite (b) has {0} positions: {1} agree, with a 95 % interval of {2} to {3}.",
               "套件 (b) 有 {0} 个位置：{1} 一致，95 % 区间为 {2} 至 {3}。"),
           {Thousands(p.positions), Percent(p.same_top1_rate), Percent(p.same_top1_interval.low),
            Percent(p.same_top1_interval.high)}));
  list.items.push_back(Rich(say("The gate on KL, 0.01 nat, corresponds by KL ≈ ½ σ² to logit noise "
                                "of σ = {0}. This run's is {1}: the gate would pass an error "
                                "{2} times as large.",
                                "KL 门限 0.01 nat 按 KL ≈ ½ σ² 对应 logit 噪声 σ = {0}。本次运行为 "
                                "{1}：{2} 倍于此的误差仍能通过该门限。"),
                            {Number(std::sqrt(0.02)), Number(sigma),
                             Number(sigma > 0 ? std::sqrt(0.02) / sigma : 0, 2)}));
  out.Add(std::move(list));
}

void WriteCriteria(const Section& s) {
  const auto& [data, say, out] = s;
  const VerifyResult& v = data.verify;
  out.AddHeading(2, say("Verdict", "精度验证结论"));
  const auto passed = [](const std::vector<GateResult>& gates) {
    return fmt::format("{} / {}", std::ranges::count(gates, Verdict::kPass, &GateResult::verdict),
                       gates.size());
  };
  Table table{
      "",
      {{std::string(say("Suite", "套件"))},
       {std::string(say("Gates passed", "通过门限")), Align::kRight},
       {std::string(say("Verdict", "结论"))}},
      {{{say("(a) the reference report's table", "(a) 参考报告的指标表")},
        {passed(v.first_token.gates)},
        {Badge(v.first_token.verdict)}},
       {{say("(b) every position, with intervals", "(b) 全部位置，含置信区间")},
        {passed(v.positions.gates)},
        {Badge(v.positions.verdict)}},
       {{say("fp32 baseline against the double-precision reference", "fp32 基线与双精度参考")},
        {"—"},
        {Badge(v.reference.verdict)}}}};
  if (v.endpoint)
    table.rows.push_back(
        {{say("probe of the server", "服务探测")}, {"—"}, {Badge(v.endpoint->verdict)}});
  out.Add(std::move(table));
}

}  // namespace

void WriteErrors(Section s) {
  s.out.AddHeading(1, s.say("Error analysis", "误差分析与讨论"));
  WriteSources(s);
  WriteSize(s);
  WriteFlips(s);
  WriteRelativeError(s);
  WriteCosine(s);
  WriteEvidence(s);
  WriteCriteria(s);
}

}  // namespace merope
