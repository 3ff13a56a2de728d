// Section 4: the files, the weight check, loading, and generation in fp32 and in the target.
#include <algorithm>
#include <cmath>

#include "report/sections.h"
#include "verify/numerics.h"

namespace merope {
namespace {

void WriteFiles(const Section& s) {
  const auto& [data, say, out] = s;
  out.AddHeading(2, say("Getting the model", "模型下载"));
  out.AddParagraph(
      say("This run read `{0}`. A Hugging Face directory is fetched file by file (config.json, "
          "tokenizer.json, *.safetensors), a GGUF model as one file; OWNER/NAME is the model's "
          "name on the hub, and the sums below tell whether it is the same model:",
          "本次运行读取 `{0}`。Hugging Face 目录需下载 "
          "config.json、tokenizer.json、*.safetensors；GGUF 为单个文件。OWNER/NAME "
          "为模型在下载站上的名称；下表校验值可确认是否为同一模型："),
      {data.options.model});
  const std::string gguf = data.format == CheckpointFormat::kGguf && !data.weights.files.empty()
                               ? " " + data.weights.files.front().file
                               : "";
  out.Add(CodeBlock{
      "sh", fmt::format("pip install huggingface_hub\nhf download OWNER/NAME{0} --local-dir .\n"
                        "# or, from ModelScope:\npip install modelscope\n"
                        "modelscope download --model OWNER/NAME{0} --local_dir .\n",
                        gguf)});
  out.AddParagraph(say("The files that weights were read from, and what identifies them:",
                       "读取权重的文件及其校验值："));
  Table table{"",
              {{std::string(say("File", "文件"))},
               {std::string(say("Size", "大小")), Align::kRight},
               {"SHA-256"}},
              {}};
  for (const FileHash& file : data.weights.files)
    table.rows.push_back({{Code(file.file)}, {Size(file.bytes)}, {Code(file.sha256)}});
  out.Add(std::move(table));
}

void WriteWeightCheck(const Section& s) {
  const auto& [data, say, out] = s;
  const WeightReport& w = data.weights;
  out.AddHeading(2, say("Weight check", "权重验证"));
  const auto row = [&](std::string_view what, Run expected, Run found, bool ok) {
    return std::vector<Inline>{{what}, {std::move(expected)}, {std::move(found)}, {Badge(ok)}};
  };
  const auto count = [](const auto& list) { return Thousands(std::ssize(list)); };
  Table table{"",
              {{std::string(say("Check", "检查项"))},
               {std::string(say("Expected from the config", "由配置推得")), Align::kRight},
               {std::string(say("Found", "实际")), Align::kRight},
               {std::string(say("Result", "结果"))}},
              {}};
  table.rows = {row(say("Tensors", "张量数"), Thousands(w.expected_tensors),
                    Thousands(w.found_tensors), w.missing.empty() && w.extra.empty()),
                row(say("Parameters", "参数量"), Thousands(w.expected_parameters),
                    Thousands(w.parameters), w.expected_parameters == w.parameters),
                row(say("Missing tensors", "缺失张量"), "0", count(w.missing), w.missing.empty()),
                row(say("Unexpected tensors", "多余张量"), "0", count(w.extra), w.extra.empty()),
                row(say("Tensors of a wrong shape", "形状错误的张量"), "0", count(w.wrong_shape),
                    w.wrong_shape.empty()),
                row(say("NaN and infinite weights", "NaN 与 Inf 权重"), "0",
                    Thousands(w.nan_count + w.inf_count), w.nan_count + w.inf_count == 0)};
  out.Add(std::move(table));
  List faults;
  for (const auto* list : {&w.missing, &w.extra, &w.wrong_shape, &w.not_finite})
    for (const std::string& fault : *list) faults.items.push_back({fault});
  if (!faults.items.empty()) out.Add(std::move(faults));
  out.Add(
      Note{w.ok() ? Style::kPass : Style::kFail,
           Rich(w.ok() ? say("Every tensor that the configuration calls for is there, in its shape "
                             "and finite; the head is {0}.",
                             "配置所要求的张量全部存在，形状正确且数值有限；输出头{0}。")
                       : say("The checkpoint does not match its configuration; the head is {0}.",
                             "权重文件与配置不符；输出头{0}。"),
                {w.tied ? say("tied to the embedding", "与词嵌入绑定")
                        : say("a matrix of its own", "为独立矩阵")})});
}

void WriteLoad(const Section& s) {
  const auto& [data, say, out] = s;
  const LoadFacts& load = data.load;
  out.AddHeading(2, say("Stage A: loading", "Stage A — 模型加载"));
  const double rate = static_cast<double>(data.weights.bytes) / load.load_seconds;
  out.Add(Table{
      "",
      {{std::string(say("Step", "步骤"))}, {std::string(say("Figure", "数值")), Align::kRight}},
      {{{say("Open and map the files", "打开并映射文件")}, {Millis(load.open_seconds, 1) + " ms"}},
       {{say("Build the tokenizer", "构建分词器")}, {Millis(load.tokenizer_seconds, 1) + " ms"}},
       {{say("Read, check and pack the weights", "读取、检查并打包权重")},
        {Fixed(load.load_seconds, 2) + " s"}},
       {{say("Rate over the stored bytes", "按存储字节计的速率")}, {Rate(rate)}},
       {{fmt::format(
            fmt::runtime(say("Weights in memory, packed for {}", "权重占用内存（按 {} 打包）")),
            data.target_name())},
        {Size(load.weight_bytes)}},
       {{say("The same in fp32", "若为 fp32")}, {Size(load.matrices_fp32_bytes)}},
       {{say("Resident memory, before and after", "常驻内存，加载前与加载后")},
        {Size(load.resident_before) + " → " + Size(load.resident_after)}},
       {{say("Peak memory while loading", "加载期间内存峰值")}, {Size(load.peak)}},
       {{say("Captured plan: ops → steps", "捕获的计划：算子 → 步骤")},
        {fmt::format("{} → {}", Thousands(load.captured_ops), Thousands(load.captured_steps))}},
       {{say("Time to capture it", "捕获用时")}, {Millis(load.capture_seconds) + " ms"}},
       {{say("Its static memory", "计划的静态内存")}, {Size(load.captured_bytes)}},
       {{say("KV cache of this run", "本次运行的 KV Cache 容量")},
        {Thousands(load.kv_pages * kPageTokens) + " tokens"}}}});
  out.AddParagraph(
      say("Weights are packed once, from mapped pages that are given back as they are "
          "consumed: the peak lies {0} "
          "above the process as it was before plus the packed weights.",
          "权重从映射页一次性打包，用过的页随即释放：峰值仅比加载前的进程与打包后的权重之和高 "
          "{0}。"),
      {Size(std::max<int64_t>(0, load.peak - load.resident_before - load.weight_bytes))});
}

std::string_view FormName(const Section& s, std::string_view form) {
  return form == "chat"  ? s.say("the checkpoint's chat template", "模型自带的对话模板")
         : form == "rag" ? s.say("the RAG protocol's query block", "RAG 协议的 query 块")
                         : s.say("as plain text", "纯文本");
}

// The largest margin that the noise explains: 6 σ, because each of two logits can be wrong by 3 σ
// in the worst direction. For a server and a bf16 target, σ is the σ of the emulated format; for
// others, the measured σ of the target.
double Allowed(const ReportData& data) {
  const double sigma = data.server || data.options.target == Precision::kBf16
                           ? data.verify.reference.emulated_sigma
                           : data.errors.sigma;
  return 6 * sigma;
}

void WriteDifference(const Section& s, const GenerationPair& pair) {
  const auto& [data, say, out] = s;
  const std::string target(data.target_name());
  if (pair.first_difference < 0) {
    out.Add(
        Note{Style::kPass, Rich(say("All {0} tokens are the same.", "全部 {0} 个 token 完全一致。"),
                                {std::to_string(pair.target_tokens)})});
    return;
  }
  const bool explained = pair.margin <= Allowed(data);
  out.Add(Note{
      explained ? Style::kPlain : Style::kFail,
      Rich(explained ? say("The first {0} tokens are the same. There fp32 prefers {1} to "
                           "{2} by {3} of a logit, {4} × the error's σ at that "
                           "place ({5}); in {6} the difference is {7}. It lies within the "
                           "{8} that {9} noise allows (6 σ): a near tie, "
                           "which rounding decides.",
                           "前 {0} 个 token 完全一致。此处 fp32 对 {1} 的 logit 只比 {2} "
                           "高 {3}，为该处误差 σ（{5}）的 {4} 倍；{6} 下二者相差 {7}。"
                           "它在 {9} 噪声允许的 {8}（6 σ）之内：属于近乎平局，由舍入决定。")
                     : say("The first {0} tokens are the same. There fp32 prefers {1} to "
                           "{2} by {3} of a logit, {4} × the error's σ at that "
                           "place ({5}); in {6} the difference is {7}. That is more than "
                           "the {8} that {9} noise allows (6 σ): rounding "
                           "does not explain it.",
                           "前 {0} 个 token 完全一致。此处 fp32 对 {1} 的 logit 比 {2} 高 "
                           "{3}，为该处误差 σ（{5}）的 {4} 倍；{6} 下二者相差 {7}。"
                           "它超过 {9} 噪声允许的 {8}（6 σ）：无法用舍入解释。"),
           {std::to_string(pair.first_difference), Code(pair.baseline_token),
            Code(pair.target_token), Number(pair.margin),
            Number(pair.sigma > 0 ? pair.margin / pair.sigma : 0, 2), Number(pair.sigma), target,
            pair.target_margin ? Number(*pair.target_margin) : "—", Number(Allowed(data)),
            NumericsName(data.verify.target_precision, data.verify.target_rounding)})});
}

void WriteGeneration(const Section& s) {
  const auto& [data, say, out] = s;
  const std::string target(data.target_name());
  out.AddHeading(2, say("Stage B: generation", "Stage B — 推理验证"));
  int64_t same = 0;
  for (const GenerationPair& pair : data.generation)
    same += pair.error.empty() && pair.first_difference < 0;
  out.AddParagraph(
      say("The same prompts through fp32 and {0}, greedily (temperature 0), so that "
          "every difference comes from arithmetic and none "
          "from chance: {1} of {2} texts are the same to the last token.",
          "同样的提示词分别经 fp32 与 {0} "
          "贪心生成（temperature=0），因此任何差异都来自算术而非随机性：{2} 段文本中有 "
          "{1} 段逐 token 完全一致。"),
      {target, std::to_string(same), std::to_string(data.generation.size())});
  for (const GenerationPair& pair : data.generation) {
    out.AddParagraph(say("**{0}** ({1}, {2})", "**{0}**（{1}，{2}）"),
                     {pair.prompt, FormName(s, pair.form),
                      fmt::format(fmt::runtime(say("{} prompt tokens", "提示词 {} 个 token")),
                                  pair.prompt_tokens)});
    if (!pair.error.empty()) {
      out.Add(Note{Style::kFail, {pair.error}});
      continue;
    }
    Table table{"",
                {{std::string(say("Arithmetic", "精度"))},
                 {std::string(say("Tokens", "token 数")), Align::kRight},
                 {std::string(say("Text", "生成文本"))}},
                {}};
    const auto text = [&](const std::string& words, bool stopped) {
      return stopped ? words : words + "…";
    };
    table.rows.push_back({{"fp32"},
                          {std::to_string(pair.baseline_tokens)},
                          {text(pair.baseline_text, pair.baseline_stopped)}});
    table.rows.push_back({{target},
                          {std::to_string(pair.target_tokens)},
                          {text(pair.target_text, pair.target_stopped)}});
    out.Add(std::move(table));
    WriteDifference(s, pair);
  }
}

}  // namespace

void WriteAdaptation(Section s) {
  const auto& [data, say, out] = s;
  out.AddHeading(1, say("Adaptation", "适配流程"));
  WriteFiles(s);
  WriteWeightCheck(s);
  if (data.server) {
    WriteServerStart(s);
  } else {
    WriteLoad(s);
  }
  WriteGeneration(s);
  out.AddHeading(2, say("Stage C: verification", "Stage C — 精度验证"));
  const VerifyResult& v = data.verify;
  const std::string compared =
      data.server
          ? fmt::format(fmt::runtime(say("the {} most probable tokens", "概率最高的 {} 个 token")),
                        v.endpoint->probe.top_k)
          : std::string(say("the full vocabulary", "完整词表"));
  out.AddParagraph(
      say("Two suites, in mode `{0}`: (a) the reference report's 25 prompts, first token, top 20; "
          "(b) {4} at {1} "
          "teacher-forced positions of {2} prompts, with confidence intervals. The fp32 baseline "
          "was itself checked against sums in "
          "double precision at {3} positions. Section 5 gives the outcome. The reference report is "
          "the "
          "public adaptation report of Pleias-RAG-350M on an Ascend NPU.",
          "两套测试，模式 `{0}`：（a） 参考报告的 25 个提示词，首个 token，Top-20；（b） {2} "
          "个提示词共 {1} "
          "个 teacher-forced 位置（{4}），"
          "附置信区间。fp32 基线本身也在 {3} 个位置上与双精度求和的参考后端核对。结果见第 5 节。"
          "参考报告是指 Pleias-RAG-350M 在昇腾 NPU 上的公开适配报告。"),
      {std::string(VerifyModeName(v.mode)), Thousands(v.positions.positions),
       Thousands(v.positions.prompts), Thousands(v.reference.positions), compared});
}

}  // namespace merope
