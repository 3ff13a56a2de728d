// The summary before section 1, section 8 (use) and section 9 (licence). BuildReport sets the order
// of all sections.
#include <algorithm>

#include "base/json.h"
#include "report/sections.h"
#include "verify/digits.h"

namespace merope {
namespace {

// The key figures of a server.
Cards ServerCards(const Section& s) {
  const auto& [data, say, out] = s;
  const VerifyResult& v = data.verify;
  const ServerReport& server = *data.server;
  const auto text = [](std::string_view view) { return std::string(view); };
  const EndpointLatencyCase& longest = server.latency.back();
  const ServingLevel& best = *std::ranges::max_element(
      server.serving, {}, [](const ServingLevel& level) { return level.result.output_throughput; });
  Cards cards;
  cards.cards = {
      {text(say("Precision (a)", "精度 (a)")), Badge(v.first_token.verdict),
       text(say("the reference report's 25 prompts", "参考报告的 25 个提示词"))},
      {text(say("Precision (b)", "精度 (b)")), Badge(v.positions.verdict),
       fmt::format(
           fmt::runtime(say("{} positions, prefill and decode", "{} 个位置，prefill 与 decode")),
           Thousands(v.positions.positions))},
      {text(say("Probe", "服务探测")), Badge(v.endpoint->verdict),
       fmt::format(fmt::runtime(say("{} findings", "{} 项检查")),
                   v.endpoint->probe.findings.size())},
      {text(say("Weights", "权重")), Badge(data.weights.ok()),
       fmt::format(fmt::runtime(say("of the reference: {} tensors", "参考模型：{} 个张量")),
                   data.weights.found_tensors)},
      {text(say("Throughput", "吞吐量")), Run(Fixed(longest.throughput.p50, 1) + " tok/s"),
       fmt::format(fmt::runtime(say("{} in, {} out, one request", "输入 {}，输出 {}，单请求")),
                   longest.input_length, longest.output_length)},
      {"TPOT", Run(Millis(longest.tpot.p50) + " ms"),
       fmt::format("TTFT {} ms", Millis(longest.ttft.p50, 1))},
      {text(say("Under load", "并发吞吐量")),
       Run(Fixed(best.result.output_throughput, 1) + " tok/s"),
       fmt::format(fmt::runtime(say("{} requests at the same time", "{} 个并发请求")),
                   best.concurrency)},
      {text(say("Eager / compiled", "eager / 编译")),
       longest.speedup ? Run(Number(longest.speedup->mean) + " ×") : Run("—"),
       longest.speedup ? text(say("latency, mean of pairs", "延迟，成对比值均值"))
                       : text(say("no second server", "无第二个服务"))}};
  return cards;
}

}  // namespace

void WriteSummary(Section s) {
  const auto& [data, say, out] = s;
  const VerifyResult& v = data.verify;
  const std::string target(data.target_name());
  const Verdict a = v.first_token.verdict, b = v.positions.verdict;
  out.Add(Note{
      Tone(a),
      Rich(
          say("**Result: {0}** by the reference report's gates, {1} by the full suite. {2} of {3} "
              "first tokens agree with fp32; "
              "mean cosine {4}; mean KL over {5} positions of {7} {6} nat.",
              "**结论：{0}**（参考报告门限）；完整套件：{1}。{3} 个提示词中 {2} 个 Top-1 与 fp32 "
              "一致；平均余弦 {4}；"
              "{5} 个位置{7}的平均 KL 为 {6} nat。"),
          {std::string(VerdictName(a)), std::string(VerdictName(b)),
           std::to_string(v.first_token.matches), std::to_string(v.first_token.rows.size()),
           Fixed(v.first_token.cosine, 6), Thousands(v.positions.positions),
           Number(std::ranges::find(v.positions.figures, "kl", &PositionFigure::key)->mean),
           data.server ? fmt::format(fmt::runtime(say("the {} most probable tokens (a lower bound)",
                                                      "最可能的 {} 个 token（下界）")),
                                     v.endpoint->probe.top_k)
                       : std::string(say("the full vocabulary", "完整词表"))})});
  if (data.server) {
    out.Add(ServerCards(s));
    return;
  }
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

namespace {

std::string ModeOption(VerifyMode mode) {
  return mode == VerifyMode::kQuick ? " --quick" : mode == VerifyMode::kFull ? " --full" : "";
}

// The commands that ask the server, and those that make this report again.
void WriteServerUsage(const Section& s) {
  const auto& [data, say, out] = s;
  const ServerFacts& facts = data.verify.endpoint->server;
  const std::string eager =
      data.options.eager_url.empty() ? "" : " --endpoint-eager " + data.options.eager_url;
  const std::string own = data.options.prompts.empty() ? "" : " --prompts " + data.options.prompts;
  const std::string mode = ModeOption(data.options.mode) + own;
  out.AddHeading(2, say("Generate", "快速推理"));
  out.AddParagraph(say("The server, by its API:", "通过 API 调用该服务："));
  out.Add(CodeBlock{
      "sh",
      fmt::format("curl {}/v1/completions -H 'Content-Type: application/json' -d '{}'\n", facts.url,
                  DumpJson(OrderedJson{{"model", facts.model},
                                       {"prompt", "What is RAG in AI?"},
                                       {"max_tokens", 100},
                                       {"temperature", 0.7},
                                       {"top_p", 0.9}}))});
  out.AddParagraph(say("On the device itself, if vLLM serves it:", "在设备上直接使用 vLLM："));
  out.Add(CodeBlock{
      "python",
      fmt::format("from vllm import LLM, SamplingParams\n\n"
                  "llm = LLM(model=\"/path/to/{}\", dtype=\"bfloat16\", max_model_len={})\n"
                  "params = SamplingParams(temperature=0.7, top_p=0.9, max_tokens=100)\n"
                  "outputs = llm.generate([\"What is RAG in AI?\"], params)\n"
                  "print(outputs[0].outputs[0].text)\n",
                  data.identity.name,
                  facts.context.value_or(data.config.max_position_embeddings))});
  out.AddHeading(2, say("Check and measure again", "复现验证与测试"));
  const std::string model = data.options.model, url = data.options.endpoint_url;
  out.Add(CodeBlock{"sh", fmt::format("merope inspect {0}\nmerope verify {0} --endpoint {1}{2}{3} "
                                      "--stability\nmerope bench latency --endpoint {1}{2}\n"
                                      "merope bench serve --endpoint {1} --max-concurrency 8\n"
                                      "merope report {0} --endpoint {1}{2} -o report{3}\n",
                                      model, url, eager, mode)});
  out.AddHeading(2, say("Speed", "性能调优建议"));
  List list;
  const auto faster = std::ranges::find_if(data.server->latency,
                                           [](const auto& c) { return c.speedup.has_value(); });
  if (faster != data.server->latency.end()) {
    const MeanRatio& ratio = *faster->speedup;
    const Run shown(Measured(Unit::kNumber, ratio.mean, Interval{ratio.low, ratio.high}).value);
    list.items.push_back(Rich(
        ratio.mean > 1
            ? say("Leave the server compiled: without compilation a request takes {0} times as "
                  "long.",
                  "保持编译模式：不编译时单个请求的耗时是其 {0} 倍。")
            : say("Compilation did not pay here: without it a request takes {0} times as long.",
                  "在此处编译没有收益：不编译时单个请求的耗时是其 {0} 倍。"),
        {shown}));
  }
  const auto& serving = data.server->serving;
  if (serving.size() > 1 && serving.front().result.output_throughput > 0) {
    const ServingLevel& best = *std::ranges::max_element(
        serving, {}, [](const ServingLevel& level) { return level.result.output_throughput; });
    list.items.push_back(
        Rich(say("Send requests together: {0} at the same time give {1} times the output of one "
                 "at a time.",
                 "并发发送请求：{0} 个并发的输出吞吐量是逐个请求的 {1} 倍。"),
             {std::to_string(best.concurrency),
              Number(best.result.output_throughput / serving.front().result.output_throughput)}));
  }
  if (list.items.empty())
    list.items.push_back(Rich(say("One request at a time was measured; nothing to advise.",
                                  "仅测得单请求性能，暂无建议。")));
  out.Add(std::move(list));
}

}  // namespace

void WriteUsage(Section s) {
  const auto& [data, say, out] = s;
  const std::string model = data.options.model;
  out.AddHeading(1, say("Use", "使用说明"));
  if (data.server) {
    WriteServerUsage(s);
    WriteLicence(s);
    return;
  }
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
  const std::string mode = ModeOption(data.options.mode);
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

namespace {

// A document with its titles, without sections.
Document TitledDocument(const ReportData& data, Language language, std::string_view title) {
  const Words say(language);
  Document document;
  document.language = say("en", "zh-CN");
  document.title = fmt::format(fmt::runtime(title), data.identity.name);
  document.subtitle = fmt::format(fmt::runtime(say("{} · {} · {} against fp32 · mode {} · {}",
                                                   "{} · {} · {} 与 fp32 对比 · 模式 {} · {}")),
                                  data.server ? data.verify.endpoint->server.url : data.machine.cpu,
                                  data.server ? data.verify.endpoint->numerics : data.load.backend,
                                  data.target_name(), VerifyModeName(data.options.mode), data.date);
  document.contents_title = say("Contents", "目录");
  document.footer = fmt::format(
      fmt::runtime(say("Written by merope {} on {} in {:.0f} s. Every figure comes from that run.",
                       "由 merope {} 于 {} 生成，用时 {:.0f} 秒。所有数值均来自该次运行。")),
      data.machine.merope, data.date, data.seconds);
  return document;
}

}  // namespace

Document BuildReport(const ReportData& data, Language language) {
  const Words say(language);
  Document document = TitledDocument(
      data, language, say("{}: adaptation and verification report", "{} — 适配验证报告"));
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

Document BuildVerificationReport(const ReportData& data, Language language) {
  const Words say(language);
  Document document =
      TitledDocument(data, language, say("{}: verification report", "{} — 精度验证报告"));
  const Section section{data, say, document};
  WriteSummary(section);
  WritePrecision(section);
  WriteErrors(section);
  return document;
}

}  // namespace merope
