// merope inspect: prints the contents of a checkpoint and checks its weights.
#include <fmt/format.h>

#include <memory>

#include "backend/step.h"
#include "base/json.h"
#include "base/machine.h"
#include "base/progress.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/config_json.h"
#include "checkpoint/weight_check.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/hub_model.h"
#include "cli/model_options.h"
#include "cli/output.h"
#include "engine/load.h"
#include "prompt/chat_template.h"

namespace merope {
namespace {

constexpr int64_t kRequestTokens = 4096;  // the default of --max-model-len

struct InspectArguments {
  std::string path;
  uint64_t kv_memory = 0;  // bytes; 0: half of the available memory
  int64_t request_tokens = 0;
  int threads = 0;
  bool json = false;
};

struct TokenizerFacts {
  bool present = false;
  int32_t vocab_size = 0;
  std::vector<int32_t> prefix;
  std::vector<std::string> prefix_tokens, eos_tokens;
  std::string chat_template;  // "none", "yes", or the error of the chat template
};

struct Inspection {
  WeightReport weights;
  TokenizerFacts tokenizer;
  int64_t budget = 0, request_tokens = kRequestTokens;
  bool budget_given = false;
};

// The number of tokens and requests whose keys and values fit a budget, for one size of an element.
struct KvFit {
  int64_t bytes_per_token, tokens, requests;
};
KvFit Fit(const ModelConfig& config, int64_t element_bytes, const Inspection& found) {
  const int64_t per_token = config.KvBytesPerToken(element_bytes);
  const int64_t pages = (found.request_tokens + kPageTokens - 1) / kPageTokens;  // per request
  return {per_token, found.budget / per_token, found.budget / (per_token * kPageTokens) / pages};
}

// A tokenizer that cannot be used is an error. A checkpoint without a tokenizer is no error.
Result<TokenizerFacts> InspectTokenizer(const Checkpoint& checkpoint) {
  TokenizerFacts facts;
  const auto chat_template = LoadChatTemplate(checkpoint);
  facts.chat_template = !chat_template               ? chat_template.error().message
                        : chat_template->has_value() ? "yes"
                                                     : "none";
  if (!checkpoint.has_tokenizer()) return facts;
  TRY_ASSIGN(const Tokenizer tokenizer, checkpoint.LoadTokenizer());
  const auto token = [&](int32_t id) {
    return std::string(id < tokenizer.vocab_size() ? tokenizer.IdToToken(id) : "");
  };
  facts.present = true;
  facts.vocab_size = tokenizer.vocab_size();
  facts.prefix = tokenizer.PrefixIds();
  for (const int32_t id : facts.prefix) facts.prefix_tokens.push_back(token(id));
  for (const int32_t id : checkpoint.config().eos_token_ids) facts.eos_tokens.push_back(token(id));
  return facts;
}

std::string_view RopeName(RopeKind kind) {
  switch (kind) {
    case RopeKind::kNone:
      return "default";
    case RopeKind::kLinear:
      return "linear";
    case RopeKind::kLlama3:
      return "llama3";
    case RopeKind::kYarn:
      return "yarn";
  }
  return "";
}

OrderedJson QuantizationJson(const ModelConfig& config) {
  if (!IsOwnInteger(config.dtype)) return nullptr;
  return {
      {"group_size", BlockElements(config.dtype)},
      {"scales", "bf16"},
      {"rotated", config.dtype == DType::kInt8},
      {"source", config.quantized_from ? OrderedJson(*config.quantized_from) : OrderedJson()},
      {"merope_version", config.quantized_by ? OrderedJson(*config.quantized_by) : OrderedJson()}};
}

OrderedJson ToJson(const ModelConfig& config) {
  OrderedJson json = ConfigJson(config);
  if (!config.rope_divisors.empty()) json["rope_divisors"] = config.rope_divisors;
  json["dtype"] = DTypeName(config.dtype);
  json["quantization"] = QuantizationJson(config);
  return json;
}

OrderedJson WeightsJson(const WeightReport& weights) {
  OrderedJson dtypes = OrderedJson::object(), files = OrderedJson::array();
  for (const auto& [name, count] : weights.dtypes) dtypes[name] = count;
  for (const FileHash& file : weights.files)
    files.push_back({{"file", file.file}, {"bytes", file.bytes}, {"sha256", file.sha256}});
  return {{"ok", weights.ok()},
          {"expected_tensors", weights.expected_tensors},
          {"found_tensors", weights.found_tensors},
          {"expected_parameters", weights.expected_parameters},
          {"parameters", weights.parameters},
          {"bytes", weights.bytes},
          {"dtypes", dtypes},
          {"tied", weights.tied},
          {"missing", weights.missing},
          {"extra", weights.extra},
          {"wrong_shape", weights.wrong_shape},
          {"ignored", weights.ignored},
          {"notes", weights.notes},
          {"nan", weights.nan_count},
          {"inf", weights.inf_count},
          {"not_finite", weights.not_finite},
          {"files", files}};
}

OrderedJson ToJson(const Checkpoint& checkpoint, const Inspection& found) {
  const ModelConfig& config = checkpoint.config();
  const auto fit = [&](int64_t element_bytes) -> OrderedJson {
    const KvFit kv = Fit(config, element_bytes, found);
    return {{"bytes_per_token", kv.bytes_per_token},
            {"tokens", kv.tokens},
            {fmt::format("requests_of_{}_tokens", found.request_tokens), kv.requests}};
  };
  OrderedJson tokenizer = nullptr;
  if (found.tokenizer.present) {
    tokenizer = {{"vocab_size", found.tokenizer.vocab_size},
                 {"prefix_ids", found.tokenizer.prefix},
                 {"prefix_tokens", found.tokenizer.prefix_tokens},
                 {"prefix_source", checkpoint.bos_rule()}};
  }
  return {{"path", checkpoint.path()},
          {"format", checkpoint.format() == CheckpointFormat::kGguf ? "gguf" : "safetensors"},
          {"config", ToJson(config)},
          {"eos_token_ids", config.eos_token_ids},
          {"eos_source", config.eos_source},
          {"tokenizer", tokenizer},
          {"chat_template", found.tokenizer.chat_template},
          {"weights", WeightsJson(found.weights)},
          {"kv_cache", {{"budget_bytes", found.budget}, {"bf16", fit(2)}, {"fp32", fit(4)}}}};
}

// "674.1 MiB", "8.0 GiB".
std::string Size(int64_t bytes) {
  const double mib = static_cast<double>(bytes) / (1 << 20);
  return mib < 1024 ? fmt::format("{:.1f} MiB", mib) : fmt::format("{:.1f} GiB", mib / 1024);
}

// 353424384 → "353,424,384".
std::string Grouped(int64_t number) {
  const std::string digits = fmt::to_string(number);
  std::string grouped;
  for (size_t i = 0; i < digits.size(); ++i) {
    if (i > 0 && (digits.size() - i) % 3 == 0) grouped += ',';
    grouped += digits[i];
  }
  return grouped;
}

std::string Ids(const std::vector<int32_t>& ids, const std::vector<std::string>& tokens) {
  std::string text;
  for (size_t i = 0; i < ids.size(); ++i) {
    text += fmt::format("{}{}", i > 0 ? ", " : "", ids[i]);
    if (i < tokens.size() && !tokens[i].empty()) text += " " + tokens[i];
  }
  return text.empty() ? "none" : text;
}

std::string RopeText(const ModelConfig& config) {
  const RopeScaling& rope = config.rope;
  std::string text = fmt::format("theta {}", config.rope_theta);
  if (rope.kind != RopeKind::kNone)
    text += fmt::format(", {} scaling by {}", RopeName(rope.kind), rope.factor);
  if (rope.kind == RopeKind::kLlama3)
    text +=
        fmt::format(" (frequency factors {} to {})", rope.low_freq_factor, rope.high_freq_factor);
  if (rope.kind == RopeKind::kYarn)
    text += fmt::format(" (beta {} to {}, attention factor {:.6g})", rope.beta_fast, rope.beta_slow,
                        rope.attention_factor);
  if (rope.original_max_position_embeddings > 0)
    text += fmt::format(" from {} positions", Grouped(rope.original_max_position_embeddings));
  if (!config.rope_divisors.empty()) text += ", frequencies divided by the file's rope_freqs";
  return text;
}

class Lines {
 public:
  template <class... Args>
  void Add(std::string_view label, fmt::format_string<Args...> format, Args&&... args) {
    text_ += fmt::format("{:<14}{}\n", label, fmt::format(format, std::forward<Args>(args)...));
  }
  void List(std::string_view label, const std::vector<std::string>& items) {
    for (const std::string& item : items) Add(label, "{}", item);
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

void AddWeightLines(const WeightReport& weights, Lines* lines) {
  std::string dtypes;
  for (const auto& [name, count] : weights.dtypes)
    dtypes += fmt::format("{}{} {}", dtypes.empty() ? "" : ", ", count, name);
  lines->Add("Weights", "{} tensors found, {} expected ({})", weights.found_tensors,
             weights.expected_tensors, dtypes);
  lines->Add("", "{} parameters found, {} expected; {}", Grouped(weights.parameters),
             Grouped(weights.expected_parameters), Size(weights.bytes));
  lines->Add("", "{} NaN, {} infinite", weights.nan_count, weights.inf_count);
  for (const FileHash& file : weights.files)
    lines->Add("", "{}: sha256 {}, {} bytes", file.file, file.sha256, Grouped(file.bytes));
  lines->List("  ignored", weights.ignored);
  lines->List("  note", weights.notes);
  lines->List("  missing", weights.missing);
  lines->List("  extra", weights.extra);
  lines->List("  wrong shape", weights.wrong_shape);
  lines->List("  not finite", weights.not_finite);
  lines->Add("Weight check", "{}", weights.ok() ? "OK" : "FAILED");
}

const char* BiasText(const ModelConfig& config) {
  if (config.attention_bias && !config.has_output_bias()) return "biases of q, k and v";
  return config.attention_bias && config.mlp_bias ? "biases"
         : config.attention_bias                  ? "biases in attention"
         : config.mlp_bias                        ? "biases in the feed-forward part"
                                                  : "no biases";
}

std::string ToText(const Checkpoint& checkpoint, const Inspection& found) {
  const ModelConfig& config = checkpoint.config();
  Lines lines;
  lines.Add("Model", "{} ({})", checkpoint.path(),
            checkpoint.format() == CheckpointFormat::kGguf ? "GGUF" : "safetensors");
  lines.Add("Architecture", "{}, {} layers, hidden {}, feed-forward {}",
            ArchitectureName(config.architecture), config.num_layers, config.hidden_size,
            config.intermediate_size);
  lines.Add("", "{} heads of {}, {} KV heads, vocabulary {}, {} positions", config.num_heads,
            config.head_dim, config.num_kv_heads, Grouped(config.vocab_size),
            Grouped(config.max_position_embeddings));
  lines.Add("", "{} head, {}, RMS norm epsilon {:g}{}",
            config.tie_word_embeddings ? "tied" : "untied", BiasText(config),
            static_cast<float>(config.rms_norm_eps),
            config.has_head_norms() ? ", also on each head of q and k" : "");
  lines.Add("RoPE", "{}", RopeText(config));
  lines.Add("dtype", "{}, runs in {}", DTypeName(config.dtype),
            DescribePrecision(checkpoint, DefaultPrecision(checkpoint)));
  if (IsOwnInteger(config.dtype))
    lines.Add(
        "Quantized", "matrices to {} in groups of {} with bf16 scales{}; from {}, by merope {}",
        DTypeName(config.dtype), BlockElements(config.dtype),
        config.dtype == DType::kInt8 ? ", rotated" : "",
        config.quantized_from.value_or("unknown types"), config.quantized_by.value_or("unknown"));
  if (found.tokenizer.present) {
    lines.Add("Tokenizer", "{} ids", Grouped(found.tokenizer.vocab_size));
    lines.Add("Prefix (BOS)", "{} ({})", Ids(found.tokenizer.prefix, found.tokenizer.prefix_tokens),
              checkpoint.bos_rule());
  } else {
    lines.Add("Tokenizer", "none in the checkpoint");
  }
  lines.Add("EOS", "{} ({})", Ids(config.eos_token_ids, found.tokenizer.eos_tokens),
            config.eos_source);
  lines.Add("Chat template", "{}", found.tokenizer.chat_template);
  AddWeightLines(found.weights, &lines);
  const KvFit bf16 = Fit(config, 2, found), fp32 = Fit(config, 4, found);
  lines.Add("KV cache", "{} bytes a token in bf16, {} in fp32", Grouped(bf16.bytes_per_token),
            Grouped(fp32.bytes_per_token));
  lines.Add("", "{} ({}) hold {} tokens in bf16, {} in fp32", Size(found.budget),
            found.budget_given ? "--kv-memory" : "half of the memory available now",
            Grouped(bf16.tokens), Grouped(fp32.tokens));
  lines.Add("", "or {} requests of {} tokens at once in bf16, {} in fp32", Grouped(bf16.requests),
            Grouped(found.request_tokens), Grouped(fp32.requests));
  return lines.text();
}

Result<int> Inspect(const InspectArguments& arguments) {
  TRY_ASSIGN(const std::string path, FindModel(arguments.path));
  TRY_ASSIGN(const Checkpoint checkpoint, Checkpoint::Open(path));
  Inspection found;
  if (arguments.request_tokens > 0) {
    found.request_tokens = arguments.request_tokens;
    if (found.request_tokens > checkpoint.config().max_position_embeddings)
      return Err(
          "max_model_len: expected 1 to {} (the checkpoint's max_position_embeddings), found {}",
          checkpoint.config().max_position_embeddings, found.request_tokens);
  }
  TRY_ASSIGN(found.tokenizer, InspectTokenizer(checkpoint));
  {
    ProgressBar bar("Checking the weights");
    TRY_ASSIGN(found.weights,
               CheckWeights(
                   checkpoint, [&bar](int64_t done, int64_t total) { bar.Update(done, total); },
                   arguments.threads));
  }
  found.budget_given = arguments.kv_memory > 0;
  found.budget = found.budget_given ? static_cast<int64_t>(arguments.kv_memory)
                                    : ReadMachine().UsableMemory() / 2;
  const std::string text =
      arguments.json ? DumpJson(ToJson(checkpoint, found), 2) + "\n" : ToText(checkpoint, found);
  TRY(WriteOutput(text));
  return found.weights.ok() ? 0 : kExitCheckFailed;
}

}  // namespace

void AddInspect(CLI::App& app, Action* chosen) {
  CLI::App* inspect =
      app.add_subcommand("inspect", "Print the contents of a checkpoint, and check its weights");
  auto a = std::make_shared<InspectArguments>();
  AddModel(*inspect, &a->path);
  inspect
      ->add_option(
          "--kv-memory,--kv-cache-memory", a->kv_memory,
          "KV cache memory in bytes, for example 8GiB; the output says how many tokens fit in this "
          "memory (default: half of the memory that is available)")
      ->transform(Bytes())
      ->check(CLI::Range(uint64_t{1}, uint64_t{1} << 50))
      ->type_name("SIZE");
  inspect
      ->add_option("--max-model-len", a->request_tokens,
                   "Tokens per request; the output says how many requests of this length fit "
                   "(default: 4096)")
      ->check(AtLeast(1));
  AddThreads(*inspect, &a->threads);
  inspect->add_flag("--json", a->json, "Print one JSON object");
  inspect->footer(
      "The exit code is 1 if a tensor is missing, extra, of the wrong shape or not finite.\n\n"
      "Example: merope inspect Pleias-RAG-350M --kv-memory 8GiB");
  inspect->callback([a, chosen] { *chosen = [a] { return Inspect(*a); }; });
}

}  // namespace merope
