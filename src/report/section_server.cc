// What a report says of a server: the device, the probe, stability, the second server, its speed.
#include <algorithm>
#include <cmath>
#include <optional>
#include <utility>

#include "report/environment.h"
#include "report/sections.h"

namespace merope {
namespace {

Column Right(std::string_view header) { return {std::string(header), Align::kRight}; }

Run OrUnknown(const Words& say, const std::string& value) {
  return value.empty() ? Run(say("not stated", "未提供")) : Run(value);
}

std::string Stated(const ServerReport& server, std::string_view name) {
  for (const auto& [field, value] : server.environment)
    if (field == name) return value;
  return "";
}

std::vector<std::vector<Inline>> StatedRows(const Section& s, bool hardware) {
  std::vector<std::vector<Inline>> rows;
  for (const EnvironmentField& field : kEnvironmentFields)
    if (field.hardware == hardware)
      rows.push_back({{s.say(field.english, field.chinese)},
                      {OrUnknown(s.say, Stated(*s.data.server, field.name))}});
  return rows;
}

Table FactTable(const Words& say, std::vector<std::vector<Inline>> rows) {
  return {"",
          {{std::string(say("Component", "组件"))}, {std::string(say("Stated", "规格"))}},
          std::move(rows)};
}

Run FoundRun(const Words& say, Found found) {
  return found == Found::kYes  ? Run(std::string(say("yes", "是")), Style::kPass)
         : found == Found::kNo ? Run(std::string(say("no", "否")), Style::kWarn)
                               : Run(std::string(say("WRONG", "错误")), Style::kFail);
}

// The Chinese names of the probe's findings, by their keys.
constexpr std::pair<std::string_view, std::string_view> kFindings[] = {
    {"logprobs", "按 token id 返回最可能的 token 及其 logprob"},
    {"token_ids", "接受 token id 形式的提示词"},
    {"prompt_logprobs", "返回提示词各位置的 logprob"},
    {"tokenizer", "分词器与参考模型的 id 一致"},
    {"repetition", "重复的贪心请求得到相同的 token"},
    {"max_tokens", "执行 max_tokens"},
    {"stop", "执行 stop"},
    {"logit_bias", "执行 logit_bias"},
    {"top_p", "执行 top_p"},
    {"temperature", "执行 temperature"},
    {"whole_answers", "回答完整：token 数与请求及计数一致"},
    {"seed", "seed 可重现采样"},
    {"logprobs_mode", "logprob 为温度缩放之前的值"},
    {"tokenizer_texts", "分词器，大量文本"},
    {"chat_template", "对话模板与参考模型的 id 一致"},
};

std::string FindingName(const Words& say, const ProbeFinding& finding) {
  const auto* const chinese = std::ranges::find(
      kFindings, finding.key, &std::pair<std::string_view, std::string_view>::first);
  return std::string(
      say(finding.label, chinese == std::end(kFindings) ? finding.label : chinese->second));
}

void WriteGridOfServer(const Section& s) {
  const auto& [data, say, out] = s;
  const ServerReport& server = *data.server;
  out.AddHeading(2, say("Latency and throughput", "延迟与吞吐量"));
  for (const std::string_view mode : {"eager", "compiled"}) {
    Table table{
        mode == "eager" ? std::string(say("Without compilation (the second server)",
                                          "enforce_eager 模式（不编译，第二个服务）"))
                        : std::string(say("As served (compiled, unless it was started otherwise)",
                                          "编译模式（除非启动时另有设置）")),
        {Right(say("Input", "输入长度")), Right(say("Output", "输出长度")),
         Right(say("Latency (s)", "延迟 (s)")), Right(say("Throughput (tok/s)", "吞吐量 (tok/s)")),
         Right(say("Latency / output (ms)", "延迟/输出 (ms)")), Right("TTFT (ms)"),
         Right("TTFT p99"), Right("TPOT (ms)"), Right("TPOT p99"),
         Right(say("Eager / compiled", "eager / 编译")), Right(say("95 % interval", "95 % 区间"))},
        {}};
    if (mode == "eager") table.columns.resize(9);
    for (const EndpointLatencyCase& c : server.latency) {
      if (c.mode != mode) continue;
      std::vector<Inline>& row =
          table.rows.emplace_back(std::vector<Inline>{{Thousands(c.input_length)},
                                                      {Thousands(c.output_length)},
                                                      {Fixed(c.latency.p50, 3)},
                                                      {Fixed(c.throughput.p50, 1)},
                                                      {Millis(c.report_tpot.p50)},
                                                      {Millis(c.ttft.p50, 1)},
                                                      {Millis(c.ttft.p99, 1)},
                                                      {Millis(c.tpot.p50)},
                                                      {Millis(c.tpot.p99)}});
      if (mode == "eager") continue;
      MeasuredText ratio{"—", "—"};
      if (c.speedup)
        ratio = Measured(Unit::kNumber, c.speedup->mean, Interval{c.speedup->low, c.speedup->high});
      row.push_back({ratio.value});
      row.push_back({ratio.ends});
    }
    if (!table.rows.empty()) out.Add(std::move(table));
  }
}

void WriteServing(const Section& s) {
  const auto& [data, say, out] = s;
  const ServerReport& server = *data.server;
  out.AddHeading(2, say("Many requests at the same time", "并发请求"));
  out.AddParagraph(
      say("Requests of {0} random input and {1} output tokens, as many at the same time as the row "
          "says; the figures are defined as by `vllm bench serve`.",
          "每个请求输入 {0} 个随机 token、输出 {1} 个 token，按各行并发数运行；指标定义同 "
          "`vllm bench serve`。"),
      {Thousands(server.serving_input), Thousands(server.serving_output)});
  Table table{
      "",
      {Right(say("Concurrency", "并发数")), Right(say("Requests", "请求数")),
       Right(say("Failed", "失败")), Right(say("Output (tok/s)", "输出 (tok/s)")),
       Right(say("Requests/s", "请求/s")), Right(say("TTFT mean (ms)", "TTFT 均值 (ms)")),
       Right("TTFT p99"), Right(say("TPOT mean (ms)", "TPOT 均值 (ms)")), Right("TPOT p99")},
      {}};
  Plot plot{.id = "serving",
            .title = std::string(say("Output throughput under load", "并发下的输出吞吐量")),
            .description = std::string(say("All requests together, by their number at a time.",
                                           "全部请求合计，按并发数。")),
            .x = {.label = std::string(say("requests at the same time", "并发数"))},
            .y = {.label = "tok/s", .max = 1e-9},
            .series = {{.name = "", .mark = Mark::kBars, .color = 0, .points = {}}},
            .rules = {},
            .bar_width = 0.75,
            .height = 260};
  for (const auto& [concurrency, r] : server.serving) {
    const auto time = [](const std::optional<Distribution>& d, double Distribution::* value) {
      return d ? Run(Millis(*d.*value, 1)) : Run("—");
    };
    table.rows.push_back({{Thousands(concurrency)},
                          {Thousands(r.completed + r.failed)},
                          {Thousands(r.failed)},
                          {Fixed(r.output_throughput, 1)},
                          {Fixed(r.request_throughput, 2)},
                          {time(r.ttft, &Distribution::mean)},
                          {time(r.ttft, &Distribution::p99)},
                          {time(r.tpot, &Distribution::mean)},
                          {time(r.tpot, &Distribution::p99)}});
    plot.series[0].points.push_back(
        {.x = static_cast<double>(plot.x.categories.size()), .y = r.output_throughput});
    plot.x.categories.push_back(std::to_string(concurrency));
    plot.y.max = std::max(plot.y.max, r.output_throughput * 1.08);
  }
  out.Add(std::move(table));
  for (const auto& [concurrency, r] : server.serving)
    if (r.failed > 0)
      out.Add(Note{Style::kFail,
                   Rich(say("At {0} requests at the same time, {1} failed: {2}",
                            "并发 {0} 时有 {1} 个请求失败：{2}"),
                        {std::to_string(concurrency), std::to_string(r.failed), r.first_failure})});
  out.Add(Figure{std::move(plot)});
}

void WriteModeSummary(const Section& s) {
  const auto& [data, say, out] = s;
  out.AddHeading(2, say("Summary", "性能总结"));
  Table table{"",
              {{std::string(say("Mode", "模式"))},
               Right(say("Mean throughput (tok/s)", "平均吞吐量 (tok/s)")),
               Right(say("Mean TPOT (ms)", "平均 TPOT (ms)")),
               Right(say("Eager / compiled, over all rows", "eager / 编译，全部配置"))},
              {}};
  for (const std::string_view mode : {"eager", "compiled"}) {
    double throughput = 0, tpot = 0, n = 0, log_ratio = 0, ratios = 0;
    for (const EndpointLatencyCase& c : data.server->latency) {
      if (c.mode != mode) continue;
      throughput += c.throughput.p50;
      tpot += c.tpot.p50;
      ++n;
      if (c.speedup) log_ratio += std::log(c.speedup->mean), ++ratios;
    }
    if (n == 0) continue;
    table.rows.push_back({{mode == "eager" ? say("eager", "eager") : say("as served", "编译")},
                          {Fixed(throughput / n, 1)},
                          {Millis(tpot / n)},
                          {ratios > 0        ? Number(std::exp(log_ratio / ratios))
                           : mode == "eager" ? "1"
                                             : "—"}});
  }
  out.Add(std::move(table));
  if (!data.verify.endpoint->eager)
    out.Add(Note{Style::kPlain,
                 Rich(say("No second server without compilation was named (`--endpoint-eager`), so "
                          "there is no ratio.",
                          "未提供不编译的第二个服务（`--endpoint-eager`），因此没有比值。"))});
}

}  // namespace

void WriteServerEnvironment(Section s) {
  const auto& [data, say, out] = s;
  const ServerFacts& facts = data.verify.endpoint->server;
  out.AddHeading(2, say("The device under test: hardware", "被测设备：硬件"));
  out.AddParagraph(
      data.server->environment.empty()
          ? say("A server does not tell its hardware, and no file of statements was named "
                "(`--environment`).",
                "服务端不会报告其硬件，本次也未提供说明文件（`--environment`）。")
          : say("A server does not tell its hardware. These are the statements of the file that "
                "`--environment` named; what it leaves out is not known.",
                "服务端不会报告其硬件。以下内容来自 `--environment` 文件；文件未写明的项目未知。"));
  out.Add(FactTable(say, StatedRows(s, true)));
  out.AddHeading(2, say("The device under test: software", "被测设备：软件栈"));
  std::vector<std::vector<Inline>> rows = {
      {{say("Server (as it says)", "推理服务（自报）")}, {OrUnknown(say, facts.software)}},
      {{say("Address", "地址")}, {Code(facts.url)}},
      {{say("Model's name on the server", "服务端模型名")}, {Code(facts.model)}},
      {{say("Context (as it says)", "最大上下文（自报）")},
       {facts.context ? Run(Thousands(*facts.context)) : OrUnknown(say, "")}}};
  for (std::vector<Inline>& row : StatedRows(s, false)) rows.push_back(std::move(row));
  for (const auto& [name, value] : data.server->environment)
    if (std::ranges::find(kEnvironmentFields, name, &EnvironmentField::name) ==
        std::end(kEnvironmentFields))
      rows.push_back({{name}, {value}});
  out.Add(FactTable(say, std::move(rows)));
}

void WriteServerStart(Section s) {
  const auto& [data, say, out] = s;
  const EndpointResult& endpoint = *data.verify.endpoint;
  out.AddHeading(2, say("Stage A: what the server can do", "Stage A — 服务探测"));
  out.AddParagraph(
      say("Some dozen short requests asked whether the server does what it accepts. Prompts went "
          "to it as token ids; {0} requests in all took {1} tokens, {2} were tried again.",
          "以十余个短请求检查服务端是否真正执行其接受的参数。提示词以 token id 发送；共 {0} "
          "个请求、{1} 个 token，重试 {2} 次。"),
      {Thousands(endpoint.requests), Thousands(endpoint.tokens),
       Thousands(endpoint.repeated_tries)});
  Table table{"",
              {{std::string(say("Finding", "检查项"))},
               {std::string(say("Found", "结果"))},
               {std::string(say("Seen", "说明"))}},
              {}};
  for (const ProbeFinding& finding : endpoint.probe.findings)
    table.rows.push_back(
        {{FindingName(say, finding)}, {FoundRun(say, finding.found)}, {Visible(finding.detail)}});
  out.Add(std::move(table));
  out.Add(Note{Tone(endpoint.verdict), Rich(say("Probe: **{0}**", "探测：**{0}**"),
                                            {std::string(VerdictName(endpoint.verdict))})});
}

void WriteServerStability(Section s) {
  const auto& [data, say, out] = s;
  const EndpointResult& endpoint = *data.verify.endpoint;
  if (endpoint.stability) {
    const Stability& t = *endpoint.stability;
    std::string lengths;
    for (const int64_t length : t.lengths)
      lengths += fmt::format("{}{}", lengths.empty() ? "" : ", ", length);
    out.AddHeading(
        2, say("Stability: the same question in other company", "稳定性：不同条件下的同一请求"));
    out.AddParagraph(
        say("{0} prompts, among them some cut to {1} tokens, {2} greedy tokens each. Every "
            "condition is compared with one request at a time. An answer may differ where two "
            "tokens nearly tie; the Δ shows how far rounding moves with the batch.",
            "{0} 个提示词（其中若干截为 {1} 个 token），各贪心生成 {2} 个 "
            "token。每种条件均与逐个请求的结果比较。近乎平局处答案可能不同；Δ "
            "表示舍入随批次变化的幅度。"),
        {Thousands(t.prompts), lengths, Thousands(t.tokens)});
    Table table{"",
                {{std::string(say("Condition", "条件"))},
                 Right(say("Other answers", "答案不同")),
                 Right(say("Largest |Δ logprob|, first token", "最大 |Δ logprob|，首 token")),
                 Right(say("the others", "其余 token"))},
                {}};
    const auto label = [&](const StabilityRow& row) {
      return std::string(
          say(StabilityLabel(row.key), row.key == "again"    ? "逐个请求，再次（可能命中前缀缓存）"
                                       : row.key == "salted" ? "逐个请求，不用前缀缓存"
                                                             : "全部同时请求"));
    };
    for (const StabilityRow& row : t.rows)
      table.rows.push_back({{label(row)},
                            {fmt::format("{} / {}", row.different, t.prompts)},
                            {Number(row.prefill_delta)},
                            {Number(row.decode_delta)}});
    table.rows.push_back({{say("vllm-ascend's own test allows (eager against graph)",
                               "vllm-ascend 自身测试的容许值（eager 与 graph）")},
                          {"—"},
                          {Number(Stability::kPrefillYardstick)},
                          {Number(Stability::kDecodeYardstick)}});
    out.Add(std::move(table));
    out.AddParagraph(say("The most distinct answers to one prompt: **{0}** (`{1}`).",
                         "同一提示词的不同答案最多 **{0}** 种（`{1}`）。"),
                     {std::to_string(t.most_distinct), t.most_distinct_prompt});
  }
  if (!endpoint.eager) return;
  const ServerPair& p = *endpoint.eager;
  out.AddHeading(2,
                 say("Compiled beside eager, position by position", "编译模式与 eager 逐位置对比"));
  out.Add(Table{
      "",
      {{std::string(say("Figure", "指标"))}, Right(say("Value", "值"))},
      {{{say("Equal generated texts", "生成文本相同")},
        {fmt::format("{} / {}", p.same_texts, p.prompts)}},
       {{say("Positions, after the same tokens", "位置数（前缀相同）")}, {Thousands(p.positions)}},
       {{say("Another most probable token", "Top-1 不同")}, {Thousands(p.flips)}},
       {{say("The widest gap of such a pair of tokens", "其中最大的 logprob 间隔")},
        {Number(p.widest_flip)}},
       {{say("σ of the difference of logprobs", "logprob 之差的 σ")}, {Number(p.sigma)}},
       {{fmt::format(
            fmt::runtime(say("σ of {} beside fp32, emulated", "{} 相对 fp32 的 σ（模拟）")),
            endpoint.numerics)},
        {Number(data.verify.reference.emulated_sigma)}},
       {{say("Largest |Δ logprob|", "最大 |Δ logprob|")},
        {p.max_delta == 0 ? "0"
                          : fmt::format("{} ({}, {})", Number(p.max_delta), p.worst_prompt,
                                        p.worst_position)}}}});
  out.AddParagraph(
      say("Two roundings of one model differ by about the σ of the format. A fault of one mode "
          "shows as a σ or a gap far above it; which mode is wrong, the comparison with fp32 says.",
          "同一模型的两种舍入之差与该格式的 σ 相当。若某一模式有缺陷，σ "
          "或间隔会远大于此；哪一模式有误由与 fp32 的对比判定。"));
}

void WriteServerPerformance(Section s) {
  const auto& [data, say, out] = s;
  const ServerReport& server = *data.server;
  out.AddHeading(1, say("Performance", "性能基准测试"));
  out.AddHeading(2, say("Conditions", "测试条件"));
  List list;
  list.items.push_back(Rich(
      say("Server: {0} at `{1}`; one stream a request; the times are the "
          "client's, so that the network is in them.",
          "服务：{0}（`{1}`）；每个请求一个流；时间由客户端测得，包含网络。"),
      {OrUnknown(say, data.verify.endpoint->server.software), data.verify.endpoint->server.url}));
  list.items.push_back(
      Rich(say("{0} runs a row after {1} warm-up runs; each with its own random prompt (seed {2}), "
               "greedy, EOS ignored; medians. Eager and compiled runs alternate.",
               "每行先预热 {1} 次，再计时 {0} 次；每次使用不同的随机提示词（seed {2}），贪心，忽略 "
               "EOS；取中位数。eager 与编译交替运行。"),
           {std::to_string(server.grid.repeats), std::to_string(server.grid.warmup),
            std::to_string(server.grid.seed)}));
  list.items.push_back(
      Rich(say("**Latency / output** is the reference report's TPOT; **TPOT** is the mean time of "
               "each token after the first chunk; a row's p99 is over its runs.",
               "**延迟/输出** 是参考报告的 TPOT 定义；**TPOT** 为首个分块之后每个 token "
               "的平均时间；p99 取自该行各次运行。")));
  out.Add(std::move(list));
  WriteGridOfServer(s);
  WriteServing(s);
  WriteModeSummary(s);
}

}  // namespace merope
