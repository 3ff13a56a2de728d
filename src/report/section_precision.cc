// Section 5: the precision suite's tables and gates.
#include <algorithm>
#include <cmath>

#include "report/sections.h"
#include "verify/kinds.h"
#include "verify/next_step.h"
#include "verify/numerics.h"
#include "verify/statistics.h"

namespace merope {
namespace {

template <class Kind>
std::string Label(const Words& say, const Kind& kind) {
  return std::string(say(kind.english, kind.chinese));
}

// The target's arithmetic, and whether the server's software told it.
std::string TargetArithmetic(const Section& s) {
  const auto& [data, say, out] = s;
  if (!data.server) return std::string(data.target_name());
  const EndpointResult& endpoint = *data.verify.endpoint;
  return endpoint.numerics +
         std::string(endpoint.numerics_assumed ? say(" (assumed)", "（假定）") : "");
}

// What suite (b) reads of the target.
std::string Compared(const Section& s) {
  const auto& [data, say, out] = s;
  if (!data.server)
    return std::string(say("all logits at every position", "每个位置的全部 logits"));
  return fmt::format(fmt::runtime(say("logprobs of the {} most probable tokens at every position",
                                      "每个位置概率最高的 {} 个 token 的 logprob")),
                     data.verify.endpoint->probe.top_k);
}

void WriteMethod(const Section& s) {
  const auto& [data, say, out] = s;
  const VerifyResult& v = data.verify;
  out.AddHeading(2, say("Method", "测试方法"));
  const std::string_view forced = say("teacher-forced, no sampling", "teacher-forced，不采样");
  const auto speed = [&](double tokens) {
    return fmt::format(fmt::runtime(say("{:.0f} tokens/s", "{:.0f} token/s")), tokens);
  };
  out.Add(Table{"",
                {{std::string(say("Item", "项目"))},
                 {std::string(say("Baseline", "基线"))},
                 {std::string(say("Target", "测试对象"))}},
                {{{say("Back end", "后端")}, {v.baseline}, {v.target}},
                 {{say("Arithmetic", "数据类型")}, {"fp32"}, {TargetArithmetic(s)}},
                 {{say("Decoding", "采样方式")}, {forced}, {forced}},
                 {{say("Rate, with all logits", "速度（含全部 logits）")},
                  {speed(v.baseline_tokens_per_second)},
                  {data.server ? "—" : speed(v.target_tokens_per_second)}},
                 {{say("(a) compared", "(a) 对比内容")},
                  {say("first token, 20 most probable", "首个 token，概率最高的 20 个")},
                  {say("the same tokens' probabilities", "同一批 token 的概率")}},
                 {{say("(b) compared", "(b) 对比内容")},
                  {say("all logits at every position", "每个位置的全部 logits")},
                  {Compared(s)}}}});
  if (data.server)
    out.AddParagraph(
        say("Nothing is renormalised: the unlisted mass counts as one token, so that KL and TV are "
            "lower bounds. TV has an upper bound, too, and the verdict stands on it, on margins "
            "and on flips. A generated token is the server's own, so that both models read the "
            "same tokens at every position.",
            "不做重新归一化：未列出的概率质量计为一个 token，因此 KL 与 TV 为下界；TV "
            "另有上界，判定依据上界、间隔与翻转。生成的 token "
            "取自服务端，因此两侧在每个位置读取相同的 token。"));
}

void WriteFirstTokens(const Section& s) {
  const auto& [data, say, out] = s;
  const FirstTokenTable& table = data.verify.first_token;
  const std::string target(data.target_name());
  out.AddHeading(2, say("(a) Prompt by prompt", "(a) 逐提示词精度结果"));
  Table rows{"",
             {{"#", Align::kRight},
              {std::string(say("Prompt", "提示词"))},
              {"Top-1 (fp32)", Align::kCenter},
              {"Top-1 (" + target + ")", Align::kCenter},
              {std::string(say("Match", "匹配")), Align::kCenter},
              {Label(say, FindFigure("cosine")), Align::kRight},
              {Label(say, FindFigure("kl")), Align::kRight}},
             {}};
  Plot plot{
      .id = "prompt-kl",
      .title = std::string(
          say("KL divergence of each prompt's first token", "各提示词首个 token 的 KL 散度")),
      .description = {},
      .x = {.label = std::string(say("prompt", "提示词序号"))},
      .y = {.label = std::string(say("KL (nat)", "KL(nat)")), .min = 1e-6, .max = 0.1, .log = true},
      .series = {{.name = "", .mark = Mark::kBars, .color = 0, .points = {}}},
      .rules = {{.label = std::string(say("limit of the mean: 0.01", "均值门限：0.01")),
                 .y = 0.01}},
      .bar_width = 0.9};
  const FirstTokenRow* worst = &table.rows.front();
  std::vector<std::string> distinct;
  for (size_t i = 0; i < table.rows.size(); ++i) {
    const FirstTokenRow& row = table.rows[i];
    if (row.kl > worst->kl) worst = &row;
    if (std::ranges::find(distinct, row.baseline_top1) == distinct.end())
      distinct.push_back(row.baseline_top1);
    rows.rows.push_back({{std::to_string(i + 1)},
                         {row.prompt},
                         {Code(row.baseline_top1)},
                         {Code(row.target_top1)},
                         {Run(row.match ? "=" : "≠", row.match ? Style::kPass : Style::kWarn)},
                         {Fixed(row.cosine, 6)},
                         {Fixed(row.kl, 5)}});
    plot.x.categories.push_back(std::to_string(i + 1));
    plot.series[0].points.push_back({.x = static_cast<double>(i), .y = row.kl});
    plot.y.max = std::max(plot.y.max, row.kl * 1.5);
    if (row.kl > 0) plot.y.min = std::max(1e-12, std::min(plot.y.min, row.kl / 2));
  }
  plot.description = fmt::format(
      fmt::runtime(say("The largest is {} (“{}”), the mean {}.", "最大为 {}（“{}”），均值 {}。")),
      Number(worst->kl), worst->prompt, Number(table.kl));
  out.Add(std::move(rows));
  out.Add(Note{table.matches == std::ssize(table.rows) ? Style::kPass : Style::kWarn,
               Rich(say("**{0} of {1} first tokens agree.** The {1} prompts end in only {2} "
                        "distinct tokens, which is why suite (b) looks "
                        "at every position.",
                        "**{1} 个提示词中 {0} 个 Top-1 一致。** 这 {1} 个提示词只产生 {2} 种不同的 "
                        "Top-1 token，因此套件 (b) 检查每一个位置。"),
                    {std::to_string(table.matches), std::to_string(table.rows.size()),
                     std::to_string(distinct.size())})});
  out.Add(Figure{std::move(plot)});
}

void WriteAggregates(const Section& s) {
  const auto& [data, say, out] = s;
  const FirstTokenTable& t = data.verify.first_token;
  out.AddHeading(2, say("(a) Aggregates", "(a) 聚合精度指标"));
  Table table{"",
              {{std::string(say("Metric", "精度指标"))},
               {std::string(say("Value", "值")), Align::kRight},
               {std::string(say("Gate", "判定标准")), Align::kRight},
               {std::string(say("Result", "结果"))}},
              {}};
  for (const FigureKind& kind : FigureKinds()) {
    if (kind.mean == nullptr) continue;
    std::string value = ValueText(kind.unit, t.*kind.mean);
    if (kind.key == "top1_rate") value += fmt::format(" ({}/{})", t.matches, t.rows.size());
    const auto gate = std::ranges::find(t.gates, kind.key, &GateResult::key);
    const bool judged = gate != t.gates.end();
    table.rows.push_back({{Label(say, kind)},
                          {value},
                          {judged ? LimitText(kind.unit, *gate) : "—"},
                          judged ? Inline{Badge(gate->verdict)} : Inline{"—"}});
  }
  out.Add(std::move(table));
  out.Add(Note{Tone(t.verdict), Rich(say("Suite (a): **{0}**", "套件 (a)：**{0}**"),
                                     {std::string(VerdictName(t.verdict))})});
}

void WritePositions(const Section& s) {
  const auto& [data, say, out] = s;
  const PositionSuite& p = data.verify.positions;
  out.AddHeading(
      2, data.server
             ? say("(b) Every position, most probable tokens", "(b) 全部位置，最可能的 token")
             : say("(b) Every position, full vocabulary", "(b) 全部位置，完整词表"));
  out.AddParagraph(
      say("{0} positions of {1} prompts. Intervals are 95 %, from {2} bootstrap draws of whole "
          "prompts, because positions of "
          "one prompt are not independent. p99 and worst lie on each figure's bad side.",
          "{1} 个提示词，共 {0} 个位置。区间为 95 % 置信区间，由 {2} 次按提示词整体重抽样的 "
          "bootstrap 得到（同一提示词内的位置并不独立）。"
          "p99 与最差值取各指标不利的一侧。"),
      {Thousands(p.positions), Thousands(p.prompts), Thousands(ClusterBootstrap::kResamples)});
  Table figures{"",
                {{std::string(say("Figure", "指标"))},
                 {std::string(say("Mean", "均值")), Align::kRight},
                 {std::string(say("95 % interval", "95 % 区间")), Align::kRight},
                 {std::string(say("Median", "中位数")), Align::kRight},
                 {"p99", Align::kRight},
                 {std::string(say("Worst", "最差")), Align::kRight}},
                {}};
  for (const PositionFigure& f : p.figures) {
    const FigureKind& kind = FindFigure(f.key);
    const MeasuredText mean = Measured(kind.unit, f.mean, f.mean_interval);
    figures.rows.push_back({{Label(say, kind)},
                            {mean.value},
                            {mean.ends},
                            {ValueText(kind.unit, f.median)},
                            {ValueText(kind.unit, f.p99)},
                            {ValueText(kind.unit, f.worst)}});
  }
  for (const FigureKind& kind : FigureKinds()) {
    if (kind.suite == nullptr || !kind.HasValue(p)) continue;
    std::optional<Interval> interval;
    if (kind.interval != nullptr) interval = p.*kind.interval;
    MeasuredText measured = Measured(kind.unit, p.*kind.suite, interval);
    if (kind.confidence != kConfidence)
      measured.ends += fmt::format(" {:.0f} %", kind.confidence * 100);
    figures.rows.push_back(
        {{Label(say, kind)}, {measured.value}, {measured.ends}, {"—"}, {"—"}, {"—"}});
  }
  out.Add(std::move(figures));

  out.AddHeading(2, say("(b) Gates", "(b) 判定门限"));
  Table gates{"",
              {{std::string(say("Gate", "检查项"))},
               {std::string(say("Value", "值")), Align::kRight},
               {std::string(say("Interval", "置信区间")), Align::kRight},
               {std::string(say("Limit", "门限")), Align::kRight},
               {std::string(say("Result", "结果"))}},
              {}};
  for (const GateResult& gate : p.gates) {
    const GateKind& kind = FindPositionGate(gate.key);
    MeasuredText measured = Measured(kind.unit, gate.value, gate.interval);
    if (gate.interval && gate.confidence != kConfidence)
      measured.ends += fmt::format(" {:.0f} %", gate.confidence * 100);
    gates.rows.push_back({{Label(say, kind)},
                          {measured.value},
                          {measured.ends},
                          {LimitText(kind.unit, gate)},
                          {Badge(gate.verdict)}});
  }
  out.Add(std::move(gates));
  for (const GateResult& gate : p.gates) {
    if (gate.verdict != Verdict::kInconclusive || gate.positions_needed == 0) continue;
    out.Add(Note{
        Style::kWarn,
        Rich(say("**{0}**: the interval straddles the limit; about {1} positions would settle it.",
                 "**{0}**：置信区间跨越门限；约需 {1} 个位置才能得出结论。"),
             {Label(say, FindPositionGate(gate.key)), Thousands(gate.positions_needed)})});
  }
  if (data.verify.verdict == Verdict::kInconclusive) {
    const NextStep step = WhatSettles(data.verify);
    out.Add(
        Note{Style::kWarn,
             Rich(step.enough ? say("**Next step**: `{0}`, about {1} positions, settles it.",
                                    "**下一步**：运行 `{0}`（约 {1} 个位置）即可得出结论。")
                              : say("**Next step**: `{0}`, about {1} positions: the most there is, "
                                    "which may not settle it.",
                                    "**下一步**：运行 `{0}`（约 {1} "
                                    "个位置，为现有最多），但未必足以得出结论。"),
                  {Command(step, data.verify), Thousands(step.positions)})});
  }
  out.Add(Note{Tone(p.verdict), Rich(say("Suite (b): **{0}**", "套件 (b)：**{0}**"),
                                     {std::string(VerdictName(p.verdict))})});
}

// Mean and worst KL and the flips of each kind of prompt.
void WriteKinds(const Section& s) {
  const auto& [data, say, out] = s;
  struct Kind {
    std::string name;
    int64_t positions = 0;
    double kl = 0, worst = 0;
    int64_t flips = 0, prompts = 0;
  };
  std::vector<Kind> kinds;
  for (const PromptSummary& prompt : data.verify.positions.by_prompt) {
    auto kind = std::ranges::find(kinds, prompt.kind, &Kind::name);
    if (kind == kinds.end()) kind = kinds.insert(kinds.end(), Kind{.name = prompt.kind});
    ++kind->prompts;
    kind->positions += prompt.positions;
    kind->kl += prompt.mean_kl * static_cast<double>(prompt.positions);
    kind->worst = std::max(kind->worst, prompt.max_kl);
    kind->flips += prompt.flips;
  }
  Table table{std::string(say("By kind of prompt", "按提示词类型")),
              {{std::string(say("Kind", "类型"))},
               {std::string(say("Prompts", "提示词")), Align::kRight},
               {std::string(say("Positions", "位置")), Align::kRight},
               {std::string(say("KL, mean", "KL 均值")), Align::kRight},
               {std::string(say("KL, worst", "KL 最差")), Align::kRight},
               {std::string(say("Flips", "翻转")), Align::kRight}},
              {}};
  for (const Kind& kind : kinds)
    table.rows.push_back(
        {{kind.name},
         {Thousands(kind.prompts)},
         {Thousands(kind.positions)},
         {Number(kind.kl / static_cast<double>(std::max<int64_t>(1, kind.positions)))},
         {Number(kind.worst)},
         {Thousands(kind.flips)}});
  out.Add(std::move(table));
}

void WriteReference(const Section& s) {
  const auto& [data, say, out] = s;
  const ReferenceCheck& r = data.verify.reference;
  // Beside an fp32 target, the reference back end emulates bf16.
  const std::string numerics =
      data.verify.target_precision == Precision::kFp32
          ? "bf16"
          : NumericsName(data.verify.target_precision, data.verify.target_rounding);
  out.AddHeading(2, fmt::format(fmt::runtime(say("The baseline itself, and {}'s own noise",
                                                 "基线自身的核对与 {} 自身噪声")),
                                numerics));
  out.AddParagraph(
      say("The fast fp32 path was compared with plain loops that sum in double precision, at {0} "
          "positions: relative L2 error of the "
          "centred logits {1} in the mean, {2} at worst; {3} top-1 differences beyond what that "
          "error explains. The same plain loops with the roundings of {4} show what {4} must cost, "
          "whoever computes it:",
          "快速 fp32 路径与双精度求和的朴素循环在 {0} 个位置上比较：中心化 logit 的相对 L2 "
          "误差均值 "
          "{1}，最差 {2}；超出该误差解释范围的 "
          "Top-1 差异 {3} 处。同样的朴素循环按 {4} 舍入，给出 {4} 不可避免的代价："),
      {Thousands(r.positions), Number(r.mean_relative_l2), Number(r.max_relative_l2),
       Thousands(r.top1_differences), numerics});
  const std::string target(data.target_name());
  out.Add(
      Table{"",
            {{std::string(say("On the same positions", "相同位置上"))},
             {std::string(say("σ of the logit error", "logit 误差 σ")), Align::kRight},
             {std::string(say("KL, mean (nat)", "KL 均值（nat）")), Align::kRight}},
            {{{fmt::format(fmt::runtime(say("{}, emulated by the reference", "参考后端模拟的 {}")),
                           numerics)},
              {Number(r.emulated_sigma)},
              {Number(r.emulated_kl)}},
             {{fmt::format(fmt::runtime(say("{}, as run", "实际运行的 {}")), target)},
              {Number(r.target_sigma)},
              {Number(r.target_kl)}}}});
}

// A table of all dtypes, one row per dtype.
void WriteDtypes(const Section& s) {
  const auto& [data, say, out] = s;
  if (data.dtypes.empty()) return;
  out.AddHeading(2, say("All dtypes side by side", "各数据类型并列对比"));
  Table table{"",
              {{std::string(say("dtype", "数据类型"))},
               {std::string(say("Weights, MB", "权重 MB")), Align::kRight},
               {std::string(say("KL, mean", "KL 均值")), Align::kRight},
               {"p99", Align::kRight},
               {std::string(say("worst", "最差")), Align::kRight},
               {std::string(say("Top-20 cosine", "Top-20 余弦")), Align::kRight},
               {std::string(say("Same top-1", "Top-1 一致")), Align::kRight},
               {std::string(say("Prefill, tokens/s", "预填充 token/s")), Align::kRight},
               {std::string(say("Decode, tokens/s", "解码 token/s")), Align::kRight},
               {"(a)"},
               {"(b)"}},
              {}};
  for (const DtypeRow& row : data.dtypes) {
    const PositionSuite& suite = row.verify.positions;
    const auto kl = std::ranges::find(suite.figures, "kl", &PositionFigure::key);
    CHECK(kl != suite.figures.end());
    table.rows.push_back({{std::string(PrecisionName(row.precision))},
                          {fmt::format("{:.1f}", static_cast<double>(row.weight_bytes) / 1e6)},
                          {Number(kl->mean)},
                          {Number(kl->p99)},
                          {Number(kl->worst)},
                          {fmt::format("{:.5f}", row.verify.first_token.cosine)},
                          {fmt::format("{:.2f} %", suite.same_top1_rate * 100)},
                          {fmt::format("{:.1f}", row.prefill_tokens_per_second)},
                          {fmt::format("{:.1f}", row.decode_tokens_per_second)},
                          {std::string(VerdictName(row.verify.first_token.verdict))},
                          {std::string(VerdictName(suite.verdict))}});
  }
  out.Add(table);
}

}  // namespace

void WritePrecision(Section s) {
  const auto& [data, say, out] = s;
  out.AddHeading(
      1, fmt::format(fmt::runtime(say("Precision: {} against fp32", "精度对比 —— fp32 与 {}")),
                     data.target_name()));
  WriteMethod(s);
  WriteFirstTokens(s);
  WriteAggregates(s);
  WritePositions(s);
  WriteKinds(s);
  WriteReference(s);
  WriteDtypes(s);
  if (data.server) WriteServerStability(s);
}

}  // namespace merope
