// Section 6: the latency grid, and the memory bandwidth that limits decode.
#include <algorithm>
#include <cmath>

#include "report/sections.h"

namespace merope {
namespace {

void WriteConditions(const Section& s) {
  const auto& [data, say, out] = s;
  const LatencyResult& r = data.latency;
  out.AddHeading(2, say("Conditions", "测试条件"));
  List list;
  list.items.push_back(Rich(say("Back end: {0}, {1}; batch {2}.", "后端：{0}，{1}；batch {2}。"),
                            {r.backend, r.precision, std::to_string(r.cases.front().batch_size)}));
  list.items.push_back(Rich(
      say("{0} runs a row after {1} warm-up runs; random prompts (seed {2}), greedy, EOS "
          "ignored; medians.",
          "每行先预热 {1} 次，再计时 {0} 次；随机提示词（seed {2}），贪心，忽略 EOS；取中位数。"),
      {std::to_string(r.repeats), std::to_string(r.warmup), std::to_string(r.seed)}));
  list.items.push_back(
      Rich(say("Before and after each run the memory read bandwidth is probed with {0} threads. "
               "The share is what a decode step must read "
               "({1} of weights, and the keys and values of its context) over TPOT, against the "
               "mean of the two probes.",
               "每次运行前后用 {0} 个线程探测内存读带宽。占比 = 解码一步必须读取的字节（权重 {1} "
               "及上下文的 K/V)÷ TPOT ÷ 两次探测的均值。"),
           {std::to_string(r.threads), Size(r.step_weight_bytes)}));
  list.items.push_back(Rich(
      say("So is the multiply-add peak of {0}. Its share is what the prefill must compute (two "
          "operations for each weight and token, attention's causal half, the head once) over "
          "TTFT, against the mean of the two probes.",
          "{0} 的乘加峰值也同样探测。算力占比 = 预填充必须的运算（每个权重每个 token "
          "两次，加上注意力的因果半边，输出头一次）÷ TTFT ÷ 两次探测的均值。"),
      {r.precision}));
  list.items.push_back(
      Rich(say("**Latency / output** is the reference report's TPOT; **TPOT** is (latency − TTFT) "
               "/ (output − 1).",
               "**延迟/输出** 是参考报告的 TPOT 定义；**TPOT** 为 (延迟 − TTFT) / (输出 − 1)。")));
  out.Add(std::move(list));
}

void WriteGrid(const Section& s) {
  const auto& [data, say, out] = s;
  out.AddHeading(2, say("Latency and throughput", "延迟与吞吐量"));
  const auto right = [](std::string_view header) {
    return Column{std::string(header), Align::kRight};
  };
  Table grid{
      "",
      {right(say("Input", "输入长度")), right(say("Output", "输出长度")),
       right(say("Latency (s)", "延迟 (s)")), right(say("Throughput (tok/s)", "吞吐量 (tok/s)")),
       right(say("Latency / output (ms)", "延迟/输出 (ms)")), right("TTFT (ms)"),
       right("TPOT (ms)"), right(say("Prefill (tok/s)", "Prefill (tok/s)")),
       right(say("Share of peak", "算力占比")), right(say("Probed (GB/s)", "探测带宽 (GB/s)")),
       right(say("Share of bandwidth", "带宽占比"))},
      {}};
  Table spread{std::string(say("Spread over the runs (ms)", "各次运行的分布（ms）")),
               {right(say("Input", "输入长度")),
                right(say("Output", "输出长度")),
                {std::string(say("Figure", "指标"))},
                right("p10"),
                right("p50"),
                right("p90"),
                right("p99"),
                right(say("max", "最大"))},
               {}};
  for (const LatencyCase& c : data.latency.cases) {
    const Inline input = {Thousands(c.input_length)}, output = {Thousands(c.output_length)};
    grid.rows.push_back({input,
                         output,
                         {Fixed(c.latency.p50, 3)},
                         {Fixed(c.throughput.p50, 1)},
                         {Millis(c.report_tpot.p50)},
                         {Millis(c.ttft.p50, 1)},
                         {Millis(c.tpot.p50)},
                         {Fixed(c.prefill_speed.p50, 0)},
                         {Percent(c.peak_share.p50, 0)},
                         {Fixed(c.bandwidth.p50 / 1e9, 1)},
                         {Percent(c.bandwidth_share.p50, 0)}});
    const auto add = [&](std::string_view name, const Distribution& d) {
      spread.rows.push_back({input,
                             output,
                             {name},
                             {Millis(d.p10)},
                             {Millis(d.p50)},
                             {Millis(d.p90)},
                             {Millis(d.p99)},
                             {Millis(d.max)}});
    };
    add("TTFT", c.ttft);
    add(say("decode step", "解码步"), c.inter_token);
  }
  out.Add(std::move(grid));

  Plot plot{.id = "tpot",
            .title = std::string(say("Time per output token, and the bandwidth's limit",
                                     "每输出 token 时间与带宽下限")),
            .description = std::string(
                say("Median TPOT with its p10 to p90, beside the time that the step's bytes take "
                    "at the bandwidth "
                    "probed around the runs.",
                    "TPOT 中位数及其 p10–p90，旁为以运行前后探测到的带宽读取该步字节所需的时间。")),
            .x = {.label = std::string(say("input + output length", "输入 + 输出长度"))},
            .y = {.label = "ms", .max = 0},
            .series = {{.name = "TPOT", .mark = Mark::kBars, .color = 0, .points = {}},
                       {.name = std::string(say("bytes / bandwidth", "字节数 / 带宽")),
                        .mark = Mark::kBars,
                        .color = 3,
                        .points = {}}},
            .rules = {}};
  for (const LatencyCase& c : data.latency.cases) {
    const auto x = static_cast<double>(plot.x.categories.size());
    const double limit = static_cast<double>(c.decode_bytes) / c.bandwidth.p50 * 1e3;
    plot.x.categories.push_back(fmt::format("{} + {}", c.input_length, c.output_length));
    plot.series[0].points.push_back({x, c.tpot.p50 * 1e3, c.tpot.p10 * 1e3, c.tpot.p90 * 1e3});
    plot.series[1].points.push_back({.x = x, .y = limit});
    plot.y.max = std::max({plot.y.max, c.tpot.p90 * 1.1e3, limit * 1.1});
  }
  out.Add(Figure{std::move(plot)});
  out.Add(std::move(spread));
}

// Compares eager (op by op) with compiled (the captured plan), as section 6 of the reference report
// does (the public adaptation report of Pleias-RAG-350M on an Ascend NPU).
void WriteModes(const Section& s) {
  const auto& [data, say, out] = s;
  const LatencyResult& r = data.modes;
  out.AddHeading(2, say("Eager beside compiled", "eager 模式与编译模式"));
  out.AddParagraph(
      say("Eager runs the forward pass op by op, compiled replays the captured plan; the tokens "
          "are the same bits. {0} pairs of runs a row, in turns (A B, B A, …). The ratio is that "
          "of the latencies within a pair: its geometric mean and 95 % interval.",
          "eager 逐算子执行；编译模式重放捕获的计划，结果逐位相同。每行 {0} 对运行，交替进行（A "
          "B、B A……）。比值为每对运行内的延迟之比：几何平均与 95 % 区间。"),
      {std::to_string(r.repeats)});
  const auto right = [](std::string_view header) {
    return Column{std::string(header), Align::kRight};
  };
  Table table{"",
              {{std::string(say("Mode", "模式"))},
               right(say("Input", "输入长度")),
               right(say("Output", "输出长度")),
               right(say("Latency (s)", "延迟 (s)")),
               right(say("Throughput (tok/s)", "吞吐量 (tok/s)")),
               right("TPOT (ms)"),
               right(say("Eager / compiled, mean of pairs", "eager / 编译，成对比值均值")),
               right(say("95 % interval", "95 % 区间"))},
              {}};
  for (const LatencyCase& c : r.cases) {
    MeasuredText ratio{"—", "—"};
    if (c.speedup)
      ratio = Measured(Unit::kNumber, c.speedup->mean, Interval{c.speedup->low, c.speedup->high});
    table.rows.push_back({{c.mode == "eager" ? say("eager", "eager") : say("compiled", "编译")},
                          {Thousands(c.input_length)},
                          {Thousands(c.output_length)},
                          {Fixed(c.latency.p50, 3)},
                          {Fixed(c.throughput.p50, 1)},
                          {Millis(c.tpot.p50)},
                          {ratio.value},
                          {ratio.ends}});
  }
  out.Add(std::move(table));
}

void WriteComparison(const Section& s) {
  const auto& [data, say, out] = s;
  const SpeedComparison& c = data.comparison;
  if (c.ratios.empty()) return;
  const std::string target(data.target_name());
  out.AddHeading(2, fmt::format(fmt::runtime(say("fp32 beside {}", "fp32 与 {} 对比")), target));
  out.AddParagraph(
      say("{0} rounds of {1} input and {2} output tokens, the two in turn (A B, B A, …), so that a "
          "change in the machine's "
          "pace meets both.",
          "输入 {1}、输出 {2}，共 {0} 轮，两者交替运行（A B、B "
          "A……），使机器状态的变化同等影响双方。"),
      {std::to_string(c.ratios.size()), std::to_string(c.input_length),
       std::to_string(c.output_length)});
  const auto row = [&](const std::string& name, const LatencyResult& r, const Distribution& tpot,
                       const std::string& ratio) {
    return std::vector<Inline>{{name},
                               {Millis(tpot.p50)},
                               {Fixed(tpot.p50 > 0 ? 1 / tpot.p50 : 0, 1)},
                               {Size(r.weight_bytes)},
                               {ratio}};
  };
  out.Add(Table{
      "",
      {{std::string(say("Arithmetic", "精度"))},
       {"TPOT (ms)", Align::kRight},
       {std::string(say("Decode (tok/s)", "解码 (tok/s)")), Align::kRight},
       {std::string(say("Weights", "权重")), Align::kRight},
       {std::string(say("Speed-up, median of pairs (least … most)",
                        "加速比，成对比值中位数（最小 … 最大）")),
        Align::kRight}},
      {row("fp32", c.baseline, c.baseline_tpot, "1.00 ×"),
       row(target, c.target, c.target_tpot,
           fmt::format("{:.2f} × ({:.2f} … {:.2f})", c.ratio.p50, c.ratio.min, c.ratio.max))}});
}

void WriteSpeedSummary(const Section& s) {
  const auto& [data, say, out] = s;
  const LatencyResult& r = data.latency;
  out.AddHeading(2, say("Summary", "性能总结"));
  double throughput = 0, tpot = 0, share = 0, best = 0;
  const auto n = static_cast<double>(r.cases.size());
  for (const LatencyCase& c : r.cases) {
    throughput += c.throughput.p50 / n;
    tpot += c.tpot.p50 / n;
    share += c.bandwidth_share.p50 / n;
    best = std::max(best, c.bandwidth_share.p50);
  }
  List list;
  list.items.push_back(
      Rich(say("Mean throughput **{0} tok/s**, mean TPOT **{1} ms**, over the grid.",
               "全部配置平均吞吐量 **{0} tok/s**，平均 TPOT **{1} ms**。"),
           {Fixed(throughput, 1), Millis(tpot)}));
  list.items.push_back(Rich(say("Decoding reads memory at **{0}** of the bandwidth probed around "
                                "it in the mean, {1} at best.",
                                "解码的内存读取平均达到同时探测带宽的 **{0}**，最高 {1}。"),
                            {Percent(share, 0), Percent(best, 0)}));
  list.items.push_back(
      Rich(say("Weights take {0}; the process never held more than {1} during the benchmark.",
               "权重占用 {0}；测试期间进程内存峰值 {1}。"),
           {Size(r.weight_bytes), Size(r.peak_resident_bytes)}));
  out.Add(std::move(list));
}

}  // namespace

void WritePerformance(Section s) {
  if (s.data.server) {
    WriteServerPerformance(s);
    return;
  }
  s.out.AddHeading(1, s.say("Performance", "性能基准测试"));
  WriteConditions(s);
  WriteGrid(s);
  WriteModes(s);
  WriteComparison(s);
  WriteSpeedSummary(s);
}

}  // namespace merope
