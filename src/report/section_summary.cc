// The summary before section 1, section 8 (use) and section 9 (licence). BuildReport sets the order
// of all sections.
#include <algorithm>

#include "base/json.h"
#include "report/sections.h"
#include "verify/digits.h"

namespace merope {

void WriteSummary(Section s) {
  const auto& [data, say, out] = s;
  const VerifyResult& v = data.verify;
  const std::string target(data.target_name());
  const Verdict a = v.first_token.verdict, b = v.positions.verdict;
  out.Add(Note{
      Tone(a),
      Rich(say("**Result: {0}** by the reference report's gates, {1} by the full suite. {2} of {3} "
               "first tokens agree with fp32; "
               "mean cosine {4}; mean KL over {5} positions of the full vocabulary {6} nat.",
               "**结论：{0}**（参考报告门限）；完整套件：{1}。{3} 个提示词中 {2} 个 Top-1 与 fp32 "
               "一致；平均余弦 {4}；"
               "{5} 个位置完整词表的平均 KL 为 {6} nat。"),
           {std::string(VerdictName(a)), std::string(VerdictName(b)),
            std::to_string(v.first_token.matches), std::to_string(v.first_token.rows.size()),
            Fixed(v.first_token.cosine, 6), Thousands(v.positions.positions),
            Number(std::ranges::find(v.positions.figures, "kl", &PositionFigure::key)->mean)})});
  const LatencyCase& longest = data.latency.cases.back();
  const auto text = [](std::string_view view) { return std::string(view); };
  Cards cards;
  cards.cards = {
      {text(say("Precision (a)", "精度 (a)")), Badge(a),
       text(say("the reference report's 25 prompts", "参考报告的 25 个提示词"))},
      {text(say("Precision (b)", "精度 (b)")), Badge(b),
       fmt::format(fmt::runtime(say("{} positions, full vocabulary", "{} 个位置，完整词表")),
                   Thousands(v.positions.positions))},
      {text(say("Weights", "权重")), Badge(data.weights.ok()),
       fmt::format(fmt::runtime(say("{} tensors, {} parameters", "{} 个张量，{} 参数")),
                   data.weights.found_tensors, Thousands(data.weights.parameters))},
      {text(say("Throughput", "吞吐量")), Run(Fixed(longest.throughput.p50, 1) + " tok/s"),
       fmt::format(fmt::runtime(say("{} in, {} out, batch 1, {}", "输入 {}，输出 {}，batch 1，{}")),
                   longest.input_length, longest.output_length, target)},
      {text(say("Bandwidth used", "带宽占比")), Run(Percent(longest.bandwidth_share.p50, 0)),
       fmt::format(fmt::runtime(say("of the {} probed beside it", "同时探测带宽 {}")),
                   Rate(longest.bandwidth.p50))},
      {"TPOT", Run(Millis(longest.tpot.p50) + " ms"),
       fmt::format("TTFT {} ms", Millis(longest.ttft.p50, 1))},
      {text(say("Memory", "内存")), Run(Size(data.load.weight_bytes)),
       fmt::format(fmt::runtime(say("of weights; peak {}", "权重；峰值 {}")),
                   Size(data.latency.peak_resident_bytes))},
      {text(say("Load", "加载")), Run(Fixed(data.load.load_seconds, 2) + " s"), data.load.backend}};
  out.Add(std::move(cards));
}

namespace {

void WriteLicence(const Section& s) {
  const auto& [data, say, out] = s;
  out.AddHeading(1, say("Licence", "许可证"));
  List list;
  if (data.identity.license.empty())
    list.items.push_back(Rich(say("Model weights: the checkpoint states no licence.",
                                  "模型权重：模型文件未声明许可证。")));
  else
    list.items.push_back(
        Rich(say("Model weights: **{0}**, as `{1}` states.", "模型权重：**{0}**（据 `{1}`）。"),
             {data.identity.license, data.identity.license_source}));
  list.items.push_back(
      Rich(say("merope and this report: Apache-2.0.", "merope 与本报告：Apache-2.0。")));
  out.Add(std::move(list));
}

}  // namespace

void WriteUsage(Section s) {
  const auto& [data, say, out] = s;
  const std::string model = data.options.model;
  out.AddHeading(1, say("Use", "使用说明"));
  out.AddHeading(2, say("Generate", "快速推理"));
  out.Add(CodeBlock{"sh", fmt::format("merope run {0} \"What is RAG in AI?\" --max-tokens 100 "
                                      "--temperature 0.7 --top-p 0.9{1}\n",
                                      model, data.has_chat_template ? " --chat" : "")});
  out.AddParagraph(say("In Python, with vLLM's names:", "Python 接口沿用 vLLM 的名称："));
  out.Add(CodeBlock{
      "python", fmt::format("from merope import LLM, SamplingParams\n\n"
                            "llm = LLM({}, dtype=\"{}\")\n"
                            "params = SamplingParams(temperature=0.7, top_p=0.9, max_tokens=100)\n"
                            "outputs = llm.{}, params)\nprint(outputs[0].outputs[0].text)\n",
                            DumpJson(model),
                            data.options.target == Precision::kBf16   ? "bfloat16"
                            : data.options.target == Precision::kFp32 ? "float32"
                                                                      : data.target_name(),
                            data.has_chat_template
                                ? "chat([{\"role\": \"user\", \"content\": \"What is RAG in AI?\"}]"
                                : "generate([\"What is RAG in AI?\"]")});
  out.AddHeading(2, say("Check and measure again", "复现验证与测试"));
  const std::string mode = data.options.mode == VerifyMode::kQuick  ? " --quick"
                           : data.options.mode == VerifyMode::kFull ? " --full"
                                                                    : "";
  const std::string& own = data.options.prompts;
  const std::string prompts = own.empty() ? "" : " --prompts " + own;
  out.Add(CodeBlock{"sh", fmt::format("merope inspect {0}\nmerope verify {0} --dtype "
                                      "{1}{2}{3}\nmerope bench latency {0} --dtype {1}\n"
                                      "merope report {0} -o report --dtype {1}{2}{3}\n",
                                      model, data.target_name(), mode, prompts)});
  out.AddHeading(2, say("Speed", "性能调优建议"));
  List list;
  if (!data.comparison.ratios.empty())
    list.items.push_back(Rich(say("`--dtype {0}` is {1} × as fast as fp32 here (median of pairs of "
                                  "runs) and takes {2} instead of {3}.",
                                  "`--dtype {0}` 在本机的速度是 fp32 的 {1} "
                                  "倍（成对比值中位数），权重占用 {2}（fp32 为 {3}）。"),
                              {std::string(data.target_name()), Fixed(data.comparison.ratio.p50, 2),
                               Size(data.load.weight_bytes), Size(data.load.matrices_fp32_bytes)}));
  const auto speedup =
      std::ranges::find_if(data.modes.cases, [](const auto& c) { return c.speedup.has_value(); });
  if (speedup != data.modes.cases.end())
    list.items.push_back(
        Rich(say("Leave the forward pass compiled, as it is by default: op by op takes {0} times "
                 "as long here.",
                 "保持默认的编译模式：在本机，逐算子执行的耗时是其 {0} 倍。"),
             {Measured(Unit::kNumber, speedup->speedup->mean,
                       Interval{speedup->speedup->low, speedup->speedup->high})
                  .value}));
  list.items.push_back(
      Rich(say("For many requests use `merope batch`, or one call with many prompts in Python: "
               "they are decoded together, and the weights are read once a step for all.",
               "大量请求请用 `merope batch`，或在 Python "
               "中一次传入多个提示词：它们一起解码，每步只读取一次权重。")));
  list.items.push_back(
      Rich(say("Prompts with the same beginning share its keys and values: the prefix cache is on "
               "by default.",
               "前缀相同的提示词共享其 K/V：前缀缓存默认开启。")));
  list.items.push_back(
      Rich(say("`--threads` defaults to the {0} cores this process may use; more do not help a "
               "memory-bound decode.",
               "`--threads` 默认为本进程可用的 {0} 个核心；解码受内存带宽限制，更多线程并无帮助。"),
           {std::to_string(data.machine.usable_cores)}));
  list.items.push_back(Rich(say("`--max-model-len` bounds the KV cache: {0} bytes a token.",
                                "`--max-model-len` 限制 KV Cache：每 token {0} 字节。"),
                            {Thousands(data.load.kv_token_bytes)}));
  out.Add(std::move(list));
  WriteLicence(s);
}

Document BuildReport(const ReportData& data, Language language) {
  const Words say(language);
  Document document;
  document.language = say("en", "zh-CN");
  document.title =
      fmt::format(fmt::runtime(say("{}: adaptation and verification report", "{} — 适配验证报告")),
                  data.identity.name);
  document.subtitle = fmt::format(fmt::runtime(say("{} · {} · {} against fp32 · mode {} · {}",
                                                   "{} · {} · {} 与 fp32 对比 · 模式 {} · {}")),
                                  data.machine.cpu, data.load.backend, data.target_name(),
                                  VerifyModeName(data.options.mode), data.date);
  document.contents_title = say("Contents", "目录");
  document.footer = fmt::format(
      fmt::runtime(say("Written by merope {} on {} in {:.0f} s. Every figure comes from that run.",
                       "由 merope {} 于 {} 生成，用时 {:.0f} 秒。所有数值均来自该次运行。")),
      data.machine.merope, data.date, data.seconds);
  const Section section{data, say, document};
  WriteSummary(section);
  WriteIntroduction(section);
  WriteEnvironment(section);
  WriteArchitecture(section);
  WriteAdaptation(section);
  WritePrecision(section);
  WritePerformance(section);
  WriteErrors(section);
  WriteUsage(section);
  return document;
}

}  // namespace merope
