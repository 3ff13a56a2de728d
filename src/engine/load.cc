#include "engine/load.h"

#include <algorithm>
#include <functional>
#include <future>
#include <map>
#include <span>
#include <utility>

#include "backend/integer.h"
#include "base/machine.h"
#include "base/progress.h"
#include "base/stopwatch.h"
#include "base/threads.h"

namespace merope {
namespace {

// Approximate resident bytes of the weights.
int64_t ExpectedWeightBytes(const Checkpoint& checkpoint, Precision precision) {
  int64_t values = 0, bytes = 0;
  for (const TensorView& tensor : checkpoint.tensors()) {
    values += tensor.elements();
    bytes += std::ssize(tensor.bytes);
  }
  return precision == Precision::kFp32 ? 4 * values : std::max(bytes, 2 * values);
}

// The share of the remaining memory that the KV cache may take. The rest is for activations, the
// requests' texts and other processes.
constexpr double kKvShare = 0.8;

int64_t KvBytes(const Checkpoint& checkpoint, const Backend& backend, int64_t tokens) {
  const ModelConfig& c = checkpoint.config();
  return tokens * backend.KvTokenBytes({c.num_layers, c.num_kv_heads, c.head_dim});
}

Result<int64_t> KvTokens(const Checkpoint& checkpoint, const Backend& backend,
                         const RuntimeOptions& options) {
  const ModelConfig& c = checkpoint.config();
  // Llama::Load refuses a larger max_model_len.
  const int64_t longest = options.llama.max_model_len > 0
                              ? std::min(options.llama.max_model_len, c.max_position_embeddings)
                              : c.max_position_embeddings;
  const int64_t token = KvBytes(checkpoint, backend, 1);
  const int64_t one = (longest + kPageTokens - 1) / kPageTokens * kPageTokens;
  int64_t bytes = 0;
  if (options.kv_cache_bytes) {
    // A KV cache larger than the machine's memory can never be filled. Even its page table might
    // not fit.
    bytes = static_cast<int64_t>(std::min<uint64_t>(
        *options.kv_cache_bytes,
        static_cast<uint64_t>(std::max(ReadMachine().memory_total, one * token))));
  } else {
    const int64_t left =
        backend.AvailableBytes() - ExpectedWeightBytes(checkpoint, backend.precision());
    bytes = static_cast<int64_t>(kKvShare * static_cast<double>(left));
  }
  const int64_t fits = std::max<int64_t>(bytes / (token * kPageTokens), 0) * kPageTokens;
  if (options.kv_cache_bytes) {
    if (fits < one)
      return Err(
          "kv_cache_memory: {} bytes hold {} tokens, expected room for {} (max_model_len): {} "
          "bytes or more, or a smaller max_model_len",
          *options.kv_cache_bytes, fits, longest, one * token);
    return fits;
  }
  return std::max(std::min(fits, one * options.max_num_seqs), one);
}

}  // namespace

Precision DefaultPrecision(const Checkpoint& checkpoint) {
  const DType dtype = checkpoint.config().dtype;
  if (IsQuantized(dtype)) {
    int64_t weights = 0;
    for (const TensorView& tensor : checkpoint.tensors()) weights += tensor.elements();
    return weights <= kSmallModel ? Precision::kBf16 : Precision::kNative;
  }
  if (dtype == DType::kInt8) return Precision::kInt8;
  if (dtype == DType::kInt4) return Precision::kInt4;
  return dtype == DType::kF32 || dtype == DType::kF16 ? Precision::kFp32 : Precision::kBf16;
}

std::vector<DType> QuantizedTypes(const Checkpoint& checkpoint) {
  std::map<DType, size_t> bytes;
  for (const TensorView& tensor : checkpoint.tensors())
    if (IsQuantized(tensor.dtype)) bytes[tensor.dtype] += tensor.bytes.size();
  std::vector<DType> types;
  for (const auto& [type, size] : bytes) types.push_back(type);
  std::ranges::stable_sort(types, std::ranges::greater(), [&](DType type) { return bytes[type]; });
  return types;
}

Result<std::optional<Precision>> ParsePrecision(std::string_view name) {
  if (name == "auto") return std::nullopt;
  for (const Precision precision :
       {Precision::kFp32, Precision::kBf16, Precision::kInt8, Precision::kInt4, Precision::kNative})
    if (name == PrecisionName(precision)) return precision;
  if (name == kOldNative) return Precision::kNative;
  // vLLM's and PyTorch's names. fp32 holds all fp16 values, and merope has no fp16 precision.
  if (name == "bfloat16") return Precision::kBf16;
  if (name == "float32" || name == "float" || name == "float16" || name == "half")
    return Precision::kFp32;
  return FieldErr(
      "dtype",
      "expected auto, native, fp32 (float32, float, float16, half), bf16 (bfloat16), int8 "
      "or int4, found \"{}\"",
      name);
}

std::string DescribePrecision(const Checkpoint& checkpoint, Precision precision) {
  if (precision != Precision::kNative) return std::string(PrecisionName(precision));
  std::string types;
  for (const DType type : QuantizedTypes(checkpoint))
    types += (types.empty() ? "" : ", ") + std::string(DTypeName(type));
  return fmt::format("{} ({})", PrecisionName(precision), types);
}

Result<WeightStorage> ParseWeightStorage(std::string_view name) {
  if (name == "auto") return WeightStorage::kAuto;
  if (name == "plain") return WeightStorage::kPlain;
  if (name == "packed") return WeightStorage::kPacked;
  return FieldErr("weights", "expected auto, plain or packed, found \"{}\"", name);
}

Result<KvStorage> ParseKvStorage(std::string_view name) {
  if (name == "auto") return KvStorage::kAuto;
  if (name == "int8") return KvStorage::kInt8;
  return FieldErr("kv-dtype", "expected auto or int8, found \"{}\"", name);
}

Result<Runtime> LoadRuntime(const Checkpoint& checkpoint, const RuntimeOptions& options) {
  const Stopwatch watch;
  Runtime runtime;
  runtime.threads = options.threads > 0 ? options.threads : DefaultThreads();
  const BackendOptions made{options.precision.value_or(DefaultPrecision(checkpoint)),
                            runtime.threads,
                            options.weights,
                            options.kv,
                            options.op_rounding,
                            options.rounding_seed};
  if (made.precision == Precision::kNative && QuantizedTypes(checkpoint).empty())
    return Err("{}: dtype native: expected a GGUF file's quantized weights, found {}",
               checkpoint.path(), DTypeName(checkpoint.config().dtype));
  const DType dtype = checkpoint.config().dtype;
  if (IsOwnInteger(dtype) && IsInteger(made.precision) &&
      made.precision != DefaultPrecision(checkpoint))
    return Err("{}: dtype {}: its weights are quantized to {} already: expected that, bf16 or fp32",
               checkpoint.path(), PrecisionName(made.precision),
               PrecisionName(DefaultPrecision(checkpoint)));
  TRY_ASSIGN(runtime.backend, MakeBackend(options.backend, made));
  ProgressBar bar("loading weights");
  const auto progress = [&bar](int64_t done, int64_t total) { bar.Update(done, total); };
  LlamaOptions llama = options.llama;
  if (llama.kv_tokens == 0) {
    TRY_ASSIGN(llama.kv_tokens, KvTokens(checkpoint, *runtime.backend, options));
  } else if (const int64_t bytes = KvBytes(checkpoint, *runtime.backend, llama.kv_tokens);
             options.kv_cache_bytes && static_cast<uint64_t>(bytes) > *options.kv_cache_bytes) {
    return Err("kv_cache_memory: expected at least {} bytes, for {} tokens, found {}", bytes,
               llama.kv_tokens, *options.kv_cache_bytes);
  }
  TRY_ASSIGN(runtime.model, Llama::Load(checkpoint, *runtime.backend, llama, progress));
  runtime.load_seconds = watch.Seconds();
  return runtime;
}

Result<Checkpoint> OpenLimited(const std::string& path, const ContextLimit& limit) {
  TRY_ASSIGN(Checkpoint checkpoint, Checkpoint::Open(path));
  if (limit.max_model_len != 0) TRY(checkpoint.LimitContext(limit.max_model_len));
  if (limit.kv_cache_bytes) {
    const int64_t page = checkpoint.config().KvBytesPerToken(sizeof(float)) * kPageTokens;
    const uint64_t pages = *limit.kv_cache_bytes / static_cast<uint64_t>(page);
    const int64_t context = checkpoint.config().max_position_embeddings;
    if (pages == 0)
      return Err("kv_cache_memory: expected at least {} bytes, for {} tokens in fp32, found {}",
                 page, kPageTokens, *limit.kv_cache_bytes);
    if (pages < static_cast<uint64_t>(context) / kPageTokens)
      TRY(checkpoint.LimitContext(static_cast<int64_t>(pages) * kPageTokens));
  }
  return checkpoint;
}

Result<LoadedModel> LoadModel(const LoadOptions& options) {
  const Stopwatch watch;
  TRY_ASSIGN(Checkpoint checkpoint, Checkpoint::Open(options.path));
  // A second thread reads the tokenizer while the weights load. The threads that load the weights
  // share the cores that the second thread leaves free (ThreadTeam::ForEach).
  auto tokenizer_read =
      std::async(std::launch::async, [&checkpoint] { return checkpoint.LoadTokenizer(); });
  Result<Runtime> runtime_loaded = LoadRuntime(checkpoint, options.runtime);
  TRY_ASSIGN(Tokenizer tokenizer, tokenizer_read.get());
  TRY_ASSIGN(Runtime runtime, std::move(runtime_loaded));
  return LoadedModel{std::move(checkpoint), std::move(tokenizer), std::move(runtime),
                     watch.Seconds()};
}

std::optional<int32_t> EosTokenId(const LoadedModel& loaded) {
  const std::string token = loaded.checkpoint.eos_token();
  return token.empty() ? std::nullopt : loaded.tokenizer.TokenToId(token);
}

}  // namespace merope
