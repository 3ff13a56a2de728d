#include "verify/bundle.h"

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <fstream>
#include <span>
#include <system_error>

#include "base/digest.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "checkpoint/weight_check.h"
#include "endpoint/answers_file.h"
#include "verify/endpoint_target.h"
#include "verify/numerics.h"
#include "verify/result_json.h"

namespace merope {
namespace {

// The files of a directory's tokenizer and configuration. A GGUF has both inside.
constexpr const char* kTokenizerFiles[] = {
    "config.json",           "generation_config.json",  "tokenizer.json",
    "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
    "chat_template.jinja",   "tokenizer.model"};

// Passes on the rows of a source and keeps them.
class RecordedRows : public LogitSource {
 public:
  RecordedRows(std::unique_ptr<LogitSource> source, std::shared_ptr<KeptRows> kept)
      : source_(std::move(source)), kept_(std::move(kept)) {}
  std::string name() const override { return source_->name(); }
  Status Rows(const VerifyPrompt& prompt, int64_t begin, int64_t end,
              std::span<float> rows) override {
    TRY(source_->Rows(prompt, begin, end, rows));
    if (begin == 0) kept_->Begin(prompt.id);
    return kept_->Append(rows);
  }

 private:
  std::unique_ptr<LogitSource> source_;
  std::shared_ptr<KeptRows> kept_;
};

OrderedJson PromptsJson(const std::vector<VerifyPrompt>& prompts) {
  OrderedJson list = OrderedJson::array();
  for (const VerifyPrompt& p : prompts)
    list.push_back({{"id", p.id},
                    {"kind", p.kind},
                    {"language", p.language},
                    {"text", p.text},
                    {"ids", p.ids},
                    {"generated", p.generated},
                    {"first", p.first}});
  return list;
}

OrderedJson TextsJson(const std::vector<ProbePrompt>& texts) {
  OrderedJson list = OrderedJson::array();
  for (const ProbePrompt& p : texts) list.push_back({{"text", p.text}, {"ids", p.ids}});
  return list;
}

OrderedJson EndpointJson(const EndpointTarget& target, const std::vector<VerifyPrompt>& asked) {
  const ServerFacts& facts = target.endpoint.facts();
  return {
      {"url", facts.url},
      {"model", facts.model},
      {"eager_url", target.eager ? OrderedJson(target.eager->facts().url) : OrderedJson(nullptr)},
      {"stability", target.stability},
      {"texts", TextsJson(target.texts ? target.model.texts : std::vector<ProbePrompt>())},
      {"messages", TextsJson(target.texts ? target.model.messages : std::vector<ProbePrompt>())},
      {"numerics", target.numerics_named ? OrderedJson(NumericsName(target.numerics.precision,
                                                                    target.numerics.rounding))
                                         : OrderedJson(nullptr)},
      {"generate", target.ask.generate},
      {"top_logprobs", target.wanted_top_k},
      {"concurrency", target.ask.concurrency},
      {"quantized", target.model.quantized},
      {"probe_text", target.model.prompt.text},
      {"probe_ids", target.model.prompt.ids},
      {"prompts", PromptsJson(asked)}};
}

OrderedJson HashJson(const std::string& name, const FileHashes& hashes, bool blocks) {
  OrderedJson json = {{"file", name}, {"bytes", hashes.bytes}, {"sha256", hashes.whole}};
  if (blocks) json["blocks"] = hashes.blocks;
  return json;
}

}  // namespace

Result<FileHashes> HashFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) return Err("{}: expected a file that can be read: {}", path, std::strerror(errno));
  FileHashes hashes;
  Sha256 whole;
  std::vector<char> block(static_cast<size_t>(kBundleBlock));
  while (file.read(block.data(), kBundleBlock), file.gcount() > 0) {
    const auto bytes = std::as_bytes(std::span(block.data(), static_cast<size_t>(file.gcount())));
    Sha256 digest;
    digest.Add(bytes);
    whole.Add(bytes);
    hashes.blocks.push_back(digest.Hex());
    hashes.bytes += file.gcount();
  }
  if (file.bad())
    return Err("{}: expected a file that can be read: {}", path, std::strerror(errno));
  hashes.whole = whole.Hex();
  return hashes;
}

Result<std::unique_ptr<BundleWriter>> BundleWriter::Create(const std::string& directory) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return Err("{}: cannot make the directory: {}", directory, error.message());
  const bool empty = std::filesystem::is_empty(directory, error);
  if (error) return Err("{}: expected a directory: {}", directory, error.message());
  if (!empty) return Err("{}: expected an empty or a new directory, found files in it", directory);
  return std::unique_ptr<BundleWriter>(new BundleWriter(directory));
}

std::string BundleWriter::Path(std::string_view name) const {
  return fmt::format("{}/{}", directory_, name);
}

TokenNames BundleWriter::RecordNames(TokenNames names) {
  return [this, names = std::move(names)](int32_t id) {
    std::string text = names(id);
    names_[id] = text;
    return text;
  };
}

Result<std::shared_ptr<LogitSource>> BundleWriter::RecordSample(uint64_t sample,
                                                                std::unique_ptr<LogitSource> source,
                                                                int64_t vocab) {
  TRY_ASSIGN(std::shared_ptr<KeptRows> kept,
             KeptRows::Create(source->name(), Path(fmt::format("suspects-{}.f32", sample)), vocab));
  samples_[sample] = kept;
  return std::make_shared<RecordedRows>(std::move(source), std::move(kept));
}

Status BundleWriter::Finish(const Checkpoint& checkpoint, const VerifyOptions& options,
                            int64_t reference_positions, const std::vector<VerifyPrompt>& asked,
                            const std::vector<VerifyPrompt>& prompts, const VerifyResult& result) {
  const ModelConfig& config = checkpoint.config();
  OrderedJson names = OrderedJson::object(), samples = OrderedJson::array();
  for (const auto& [id, name] : names_) names[std::to_string(id)] = name;
  for (const auto& [sample, kept] : samples_)
    samples.push_back({{"sample", sample}, {"positions", kept->positions()}});
  if (options.endpoint == nullptr && !options.target_file.empty() &&
      !std::filesystem::exists(Path("target.f32"))) {
    std::error_code error;
    std::filesystem::copy_file(options.target_file, Path("target.safetensors"), error);
    if (error) return Err("{}: cannot be copied: {}", options.target_file, error.message());
  }
  if (options.endpoint != nullptr) {
    const AnswersFile* answers = options.endpoint->endpoint.answers();
    if (answers == nullptr) return Err("{}: expected a file of the server's answers", directory_);
    std::error_code error;
    if (answers->path() != Path("answers.jsonl"))
      std::filesystem::copy_file(answers->path(), Path("answers.jsonl"), error);
    if (error) return Err("{}: cannot be copied: {}", answers->path(), error.message());
  }
  const OrderedJson json = {
      {"format", kBundleFormat},
      {"model", result.model},
      {"mode", VerifyModeName(result.mode)},
      {"baseline", result.baseline},
      {"target", result.target},
      {"numerics", NumericsName(result.target_precision, result.target_rounding)},
      {"threads", result.threads},
      {"config",
       {{"vocab_size", config.vocab_size},
        {"hidden_size", config.hidden_size},
        {"intermediate_size", config.intermediate_size},
        {"num_heads", config.num_heads},
        {"head_dim", config.head_dim},
        {"context", config.max_position_embeddings}}},
      {"reference_positions", reference_positions},
      // Not computed again: the times of the run, and what it sent.
      {"measured",
       {{"seconds", result.seconds},
        {"baseline_tokens_per_second", result.baseline_tokens_per_second},
        {"target_tokens_per_second", result.target_tokens_per_second},
        {"requests", result.endpoint ? result.endpoint->requests : 0},
        {"tokens", result.endpoint ? result.endpoint->tokens : 0},
        {"repeated_tries", result.endpoint ? result.endpoint->repeated_tries : 0}}},
      {"prompts", PromptsJson(prompts)},
      {"names", names},
      {"samples", samples},
      {"endpoint", options.endpoint == nullptr ? OrderedJson(nullptr)
                                               : EndpointJson(*options.endpoint, asked)}};
  TRY(WriteFile(Path("verification.json"), DumpJson(json, 1) + "\n"));
  TRY(WriteFile(Path("result.json"), DumpJson(ToJson(result), 2) + "\n"));
  return WriteManifest(checkpoint, result.threads);
}

Status BundleWriter::WriteManifest(const Checkpoint& checkpoint, int threads) const {
  std::vector<std::string> files;
  for (const auto& entry : std::filesystem::directory_iterator(directory_))
    files.push_back(entry.path().filename().string());
  std::ranges::sort(files);
  OrderedJson list = OrderedJson::array(), weights = OrderedJson::array(),
              tokenizer = OrderedJson::array();
  for (const std::string& file : files) {
    TRY_ASSIGN(const FileHashes hashes, HashFile(Path(file)));
    list.push_back(HashJson(file, hashes, true));
  }
  TRY_ASSIGN(const WeightReport report, CheckWeights(checkpoint, {}, threads));
  for (const FileHash& file : report.files)
    weights.push_back({{"file", file.file}, {"bytes", file.bytes}, {"sha256", file.sha256}});
  for (const char* name : kTokenizerFiles) {
    const std::string path = checkpoint.path() + "/" + name;
    if (!std::filesystem::is_regular_file(path)) continue;
    TRY_ASSIGN(const FileHashes hashes, HashFile(path));
    tokenizer.push_back(HashJson(name, hashes, false));
  }
  TRY_ASSIGN(const FileHashes program, HashFile("/proc/self/exe"));
  const OrderedJson json = {{"format", kBundleFormat},
                            {"merope", MEROPE_VERSION},
                            {"program", HashJson("merope", program, false)},
                            {"created", static_cast<int64_t>(std::time(nullptr))},
                            {"weights", weights},
                            {"tokenizer", tokenizer},
                            {"block_bytes", kBundleBlock},
                            {"files", list}};
  TRY(WriteFile(Path("manifest.json"), DumpJson(json, 1) + "\n"));
  TRY_ASSIGN(const FileHashes manifest, HashFile(Path("manifest.json")));
  return WriteFile(Path("manifest.sha256"), manifest.whole + "  manifest.json\n");
}

}  // namespace merope
