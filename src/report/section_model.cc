// Sections 1 to 3: the model, the environment, the architecture.
#include <algorithm>

#include "checkpoint/config_json.h"
#include "report/sections.h"

namespace merope {
namespace {

using Rows = std::vector<std::vector<Inline>>;

Table Facts(const Words& say, Rows rows) {
  return {"",
          {{std::string(say("Property", "属性"))}, {std::string(say("Value", "值"))}},
          std::move(rows)};
}

int64_t TotalParameters(const ReportData& data) {
  int64_t total = 0;
  for (const ParameterGroup& group : data.parameters) total += group.parameters;
  return total;
}

std::string FormatName(const ReportData& data, const Words& say) {
  const auto files = static_cast<int64_t>(data.weights.files.size());
  const std::string_view format = data.format == CheckpointFormat::kGguf ? "GGUF" : "safetensors";
  return fmt::format(
      fmt::runtime(files == 1 ? say("{}, {} file, {} of tensors", "{}，{} 个文件，张量共 {}")
                              : say("{}, {} files, {} of tensors", "{}，{} 个文件，张量共 {}")),
      format, files, Size(data.weights.bytes));
}

std::string DtypeMix(const WeightReport& weights) {
  std::string text;
  for (const auto& [name, count] : weights.dtypes)
    text += fmt::format("{}{} × {}", text.empty() ? "" : ", ", name, count);
  return text;
}

std::string RopeText(const ModelConfig& config, const Words& say) {
  std::string text = fmt::format("θ = {:g}", config.rope_theta);
  const RopeScaling& rope = config.rope;
  if (rope.kind == RopeKind::kNone) return text + std::string(say(", no scaling", "，无缩放"));
  const std::string_view kind = rope.kind == RopeKind::kLinear   ? "linear"
                                : rope.kind == RopeKind::kLlama3 ? "llama3"
                                                                 : "yarn";
  return text + fmt::format(", {} × {:g}", kind, rope.factor);
}

std::string_view FamilyName(Architecture architecture) {
  return architecture == Architecture::kLlama   ? "Llama"
         : architecture == Architecture::kQwen2 ? "Qwen2"
                                                : "Qwen3";
}

std::string GroupName(std::string_view key, const Words& say) {
  const std::string_view name = key == "embedding"   ? say("Token embedding", "词嵌入")
                                : key == "attention" ? say("Attention", "注意力")
                                : key == "mlp"       ? say("MLP (SwiGLU)", "MLP(SwiGLU)")
                                : key == "norms"     ? say("RMSNorm", "RMSNorm")
                                                     : say("Output head", "输出头");
  return std::string(name);
}

// The tokens before a prompt, and the source of this rule.
Inline Prefix(const ReportData& data, const Words& say) {
  Inline runs;
  for (const auto& [token, id] : data.prefix) {
    if (!runs.empty()) runs.emplace_back(", ");
    runs.push_back(Code(token));
    runs.emplace_back(fmt::format(" (id {})", id));
  }
  if (runs.empty()) runs.emplace_back(say("nothing (no BOS)", "无（不加 BOS）"));
  runs.emplace_back("; " + data.prefix_rule);
  return runs;
}

void WriteParameters(const Section& s) {
  const auto& [data, say, out] = s;
  const int64_t total = TotalParameters(data);
  Table table{"",
              {{std::string(say("Part", "部分"))},
               {std::string(say("Parameters", "参数量")), Align::kRight},
               {std::string(say("Share", "占比")), Align::kRight}},
              {}};
  Plot plot{.id = "parameters",
            .title = std::string(say("Where the parameters are", "参数分布")),
            .description = std::string(
                say("Each part's share of the parameters.", "模型各部分占总参数量的比例。")),
            .x = {.label = ""},
            .y = {.label = std::string(say("share, %", "占比（%）"))},
            .series = {{.name = "", .mark = Mark::kBars, .color = 0, .points = {}}},
            .rules = {},
            .bar_width = 0.75,
            .height = 260};
  for (const ParameterGroup& group : data.parameters) {
    const std::string name = GroupName(group.key, say);
    table.rows.push_back(
        {{name},
         {Thousands(group.parameters)},
         {Percent(static_cast<double>(group.parameters) / static_cast<double>(total), 1)}});
    const double share = static_cast<double>(group.parameters) / static_cast<double>(total) * 100;
    plot.series[0].points.push_back(
        {.x = static_cast<double>(plot.x.categories.size()), .y = share});
    plot.x.categories.push_back(name);
    plot.y.max = std::max(plot.y.max, share * 1.08);
  }
  table.rows.push_back(
      {{Run(std::string(say("Total", "合计")), Style::kStrong)}, {Thousands(total)}, {"100 %"}});
  out.Add(std::move(table));
  out.Add(Figure{std::move(plot)});
}

void WriteKvCache(const Section& s) {
  const auto& [data, say, out] = s;
  const ModelConfig& c = data.config;
  const int64_t bytes = c.KvBytesPerToken(2);
  const int64_t every_head = bytes / c.num_kv_heads * c.num_heads;
  const int64_t memory = std::max<int64_t>(0, data.machine.UsableMemory() - data.load.weight_bytes);
  const int64_t tokens = memory / bytes;
  const int64_t request = std::min<int64_t>(4096, c.max_position_embeddings);
  out.AddHeading(2, say("KV cache", "KV Cache"));
  Rows rows = {{{say("Bytes a token, bf16", "每 token 字节数（bf16）")}, {Thousands(bytes) + " B"}},
               {{say("The same with a K/V head for every query head (MHA)",
                     "若每个 query 头都有独立 K/V 头（MHA）")},
                {Thousands(every_head) + " B"}},
               {{say("Saved by GQA", "GQA 节省")},
                {Percent(1 - static_cast<double>(bytes) / static_cast<double>(every_head), 1)}},
               {{say("A full context", "满上下文")},
                {fmt::format("{} × {} = {}", Thousands(c.max_position_embeddings), Thousands(bytes),
                             Size(bytes * c.max_position_embeddings))}},
               {{say("Memory left beside the weights on this machine", "本机权重之外的可用内存")},
                {Size(memory)}},
               {{say("Tokens that fit into it", "可容纳 token 数")}, {Thousands(tokens)}},
               {{fmt::format(fmt::runtime(say("Concurrent requests of {} tokens",
                                              "{} token 请求的最大并发")),
                             Thousands(request))},
                {Thousands(tokens / request)}}};
  if (data.server) rows.resize(4);  // this machine does not hold the server's cache
  out.Add(Facts(say, std::move(rows)));
}

}  // namespace

void WriteIntroduction(Section s) {
  const auto& [data, say, out] = s;
  const ModelConfig& c = data.config;
  const int64_t total = TotalParameters(data);
  out.AddHeading(1, say("The model", "模型简介"));
  out.AddParagraph(
      say("**{0}** is a causal language model of {1} parameters ({2}) on the `{3}` "
          "architecture: {4} layers of width {5}, "
          "{6} query heads over {7} key/value heads, rotary position embeddings, a vocabulary of "
          "{8} tokens and a context of {9}. {10}",
          "**{0}** 是一个 {1} 参数（{2}）的因果语言模型，采用 `{3}` 架构：{4} 层，隐藏维度 "
          "{5}，{6} "
          "个 query 头共享 {7} 个 "
          "key/value 头，RoPE 旋转位置编码，词表 {8}，上下文 {9}。{10}"),
      {data.identity.name, Thousands(total), Compact(total),
       std::string(ArchitectureName(c.architecture)), std::to_string(c.num_layers),
       Thousands(c.hidden_size), std::to_string(c.num_heads), std::to_string(c.num_kv_heads),
       Thousands(c.vocab_size), Thousands(c.max_position_embeddings),
       std::string(
           data.server
               ? say("Everything in this report was read from the checkpoint, said by the server "
                     "or "
                     "by the file of `--environment`, or measured in the run that wrote it.",
                     "本报告中的所有内容均读自模型文件，由服务端或 `--environment` "
                     "文件说明，或由生成本报告的这次运行实测得到。")
               : say("Everything in this report was read from the checkpoint or measured in the "
                     "run "
                     "that wrote it.",
                     "本报告中的所有内容均读自模型文件，或由生成本报告的这次运行实测得到。"))});
  std::string eos;
  for (const int32_t id : c.eos_token_ids) eos += fmt::format("{}{}", eos.empty() ? "" : ", ", id);
  if (!c.eos_source.empty()) eos += fmt::format(" ({})", c.eos_source);
  out.Add(Facts(
      say, {{{say("Checkpoint", "模型文件")}, {Code(data.options.model)}},
            {{say("Parameters", "参数量")}, {Thousands(total)}},
            {{say("Architecture", "架构")}, {std::string(ArchitectureName(c.architecture))}},
            {{say("Weight format", "权重格式")}, {FormatName(data, say)}},
            {{say("Tensor types", "张量类型")}, {DtypeMix(data.weights)}},
            {{say("Vocabulary (model, tokenizer)", "词表大小（模型，分词器）")},
             {fmt::format("{}, {}", Thousands(c.vocab_size), Thousands(data.tokenizer_vocab))}},
            {{say("Longest context", "最大序列长度")}, {Thousands(c.max_position_embeddings)}},
            {{say("Weights' own precision", "原始权重精度")}, {std::string(DTypeName(c.dtype))}},
            {{say("Activation", "激活函数")}, {"SiLU (Swish)"}},
            {{say("Tied embeddings", "权重绑定（tie_word_embeddings）")},
             {say.Yes(c.tie_word_embeddings)}},
            {{say("Chat template", "对话模板")}, {say.Yes(data.has_chat_template)}},
            {{say("End-of-text ids", "EOS id")}, {eos}},
            {{say("Start of a prompt", "提示词前缀（BOS）")}, Prefix(data, say)}}));
}

void WriteEnvironment(Section s) {
  const auto& [data, say, out] = s;
  const Machine& m = data.machine;
  out.AddHeading(1, say("Environment", "环境信息"));
  if (data.server) WriteServerEnvironment(s);
  out.AddHeading(2, data.server ? say("The fp32 reference: hardware", "fp32 参考：硬件")
                                : say("Hardware", "硬件"));
  std::string flags;
  for (const std::string& name : m.instruction_sets) flags += (flags.empty() ? "" : " ") + name;
  const std::string cpus =
      fmt::format(fmt::runtime(say("{} logical, {} cores used", "{} 个逻辑核，使用 {} 个核心")),
                  m.logical_cpus, data.verify.threads);
  Rows hardware = {{{say("CPU", "CPU")}, {m.cpu}},
                   {{say("Architecture", "架构")}, {m.architecture}},
                   {{say("CPUs", "核心数")}, {cpus}},
                   {{say("SIMD extensions", "SIMD 扩展")}, {Code(flags)}},
                   {{say("In use (back end)", "实际使用（后端）")},
                    {data.server ? data.verify.baseline : data.load.backend}},
                   {{say("L2 cache a core, L3 cache", "每核 L2，L3 缓存")},
                    {fmt::format("{}, {}", Size(m.l2_bytes), Size(m.l3_bytes))}},
                   {{say("Memory, available at the start", "内存，启动时可用")},
                    {fmt::format("{}, {}", Size(m.memory_total), Size(m.memory_available))}},
                   {{say("Memory limit (cgroup)", "内存限制（cgroup）")},
                    {m.memory_limit > 0 ? Run(Size(m.memory_limit)) : Run(say("none", "无"))}}};
  if (!data.server)
    hardware.push_back(
        {{say("Memory read bandwidth, median of the probes", "内存读带宽（探测中位数）")},
         {Rate(data.latency.cases.front().bandwidth.p50)}});
  out.Add(Facts(say, std::move(hardware)));
  out.AddHeading(2, data.server ? say("The fp32 reference: software", "fp32 参考：软件栈")
                                : say("Software", "软件栈"));
  out.Add(Facts(say, {{{say("Operating system", "操作系统")}, {m.os}},
                      {{say("Kernel", "内核")}, {m.kernel}},
                      {{say("C library", "C 运行库")}, {m.libc}},
                      {{say("Compiler", "编译器")}, {m.compiler}},
                      {{say("merope", "merope")}, {m.merope}}}));
}

void WriteArchitecture(Section s) {
  const auto& [data, say, out] = s;
  const ModelConfig& c = data.config;
  out.AddHeading(1, say("Architecture", "模型架构分析"));
  out.AddHeading(2, say("Configuration", "配置"));
  out.AddParagraph(say("The configuration as it was read, under the names of `config.json`:",
                       "读取到的配置（以 `config.json` 的字段名表示）："));
  out.Add(CodeBlock{"json", ConfigJson(c).dump(2)});
  const int64_t group = c.num_heads / c.num_kv_heads;
  const int64_t head = c.vocab_size * c.hidden_size;
  List list;
  list.items.push_back(
      Rich(c.num_heads == c.num_kv_heads
               ? say("**Attention**: {0} heads of {2} dimensions, each with keys and values of its "
                     "own (MHA).",
                     "**注意力**：{0} 个头，每头 {2} 维，各有独立的 K/V（MHA）。")
               : say("**Grouped-query attention**: {0} query heads share {1} key/value heads of "
                     "{2} dimensions, {3} to one. The KV cache "
                     "is {4} smaller than with a key/value head for each query head.",
                     "**Grouped Query Attention（GQA）**：{0} 个 query 头对应 {1} 个 key/value "
                     "头（每头 {2} 维，每组 {3} 个），KV Cache "
                     "比 MHA 减少 {4}。"),
           {std::to_string(c.num_heads), std::to_string(c.num_kv_heads), std::to_string(c.head_dim),
            std::to_string(group), Percent(1 - 1.0 / static_cast<double>(group), 0)}));
  list.items.push_back(Rich(say("**Rotary positions**: {0}, for a context of {1}.",
                                "**RoPE 位置编码**：{0}，支持 {1} 上下文。"),
                            {RopeText(c, say), Thousands(c.max_position_embeddings)}));
  list.items.push_back(Rich(
      c.tie_word_embeddings
          ? say("**Tied head**: `lm_head` is the embedding table, which saves {0} parameters; a "
                "decode step still reads all of it.",
                "**权重绑定**：`lm_head` 与 `embed_tokens` 共享权重，节省 {0} "
                "个参数；解码每一步仍需读取整张表。")
          : say("**Untied head**: `lm_head` is a matrix of its own, of {0} parameters; a decode "
                "step reads one row of the embedding.",
                "**权重未绑定**：`lm_head` 是独立矩阵，{0} "
                "个参数；解码每一步只读取词嵌入表的一行。"),
      {Thousands(head)}));
  list.items.push_back(Rich(
      say("**SwiGLU MLP**: gate, up and down projections of {0} features, {1} times the width, "
          "with SiLU.",
          "**SwiGLU MLP**：gate_proj、up_proj、down_proj，中间维度 {0}，为隐藏维度的 {1} "
          "倍，激活函数 "
          "SiLU。"),
      {Thousands(c.intermediate_size),
       Fixed(static_cast<double>(c.intermediate_size) / static_cast<double>(c.hidden_size), 2)}));
  const Run attention_bias = c.attention_bias && !c.has_output_bias()
                                 ? Run(std::string(say("q, k, v", "q、k、v")))
                                 : say.Yes(c.attention_bias);
  list.items.push_back(
      Rich(say("**Biases**: attention {0}, MLP {1}. RMSNorm ε = {2}.",
               "**偏置**：注意力 {0}，MLP {1}。RMSNorm ε = {2}。"),
           {attention_bias, say.Yes(c.mlp_bias), fmt::format("{:g}", c.rms_norm_eps)}));
  if (c.has_head_norms())
    list.items.push_back(
        Rich(say("**Head norms**: RMSNorm of each head of q and of k, before the rotation.",
                 "**头归一化**：q 与 k 的每个头在 RoPE 之前各做一次 RMSNorm。"),
             {}));
  out.Add(std::move(list));
  out.Add(
      Note{Style::kPlain,
           Rich(say("**Conclusion.** This is the standard {0} architecture as merope's one forward "
                    "pass implements it; the model runs without a change to code.",
                    "**架构结论。** 标准 {0} 架构，merope 的前向计算原生支持，无需修改任何代码。"),
                {std::string(FamilyName(c.architecture))})});
  out.AddHeading(2, say("Parameters", "参数分布"));
  WriteParameters(s);
  WriteKvCache(s);
}

}  // namespace merope
