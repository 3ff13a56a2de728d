#include "engine/load.h"

#include <algorithm>
#include <span>
#include <utility>

#include "base/progress.h"
#include "base/stopwatch.h"
#include "base/threads.h"

namespace merope {
Precision DefaultPrecision(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 ? Precision::kFp32 : Precision::kBf16;
}

Result<std::optional<Precision>> ParsePrecision(std::string_view name) {
  if (name == "auto") return std::nullopt;
  for (const Precision precision :
       {Precision::kFp32, Precision::kBf16, Precision::kInt8, Precision::kInt4})
    if (name == PrecisionName(precision)) return precision;
  return Err("dtype: expected auto, fp32, bf16, int8 or int4, found \"{}\"", name);
}

Result<WeightStorage> ParseWeightStorage(std::string_view name) {
  if (name == "auto") return WeightStorage::kAuto;
  if (name == "plain") return WeightStorage::kPlain;
  if (name == "packed") return WeightStorage::kPacked;
  return Err("weights: expected auto, plain or packed, found \"{}\"", name);
}

Result<Runtime> LoadRuntime(const Checkpoint& checkpoint, const RuntimeOptions& options) {
  const Stopwatch watch;
  Runtime runtime;
  runtime.threads = options.threads > 0 ? options.threads : DefaultThreads();
  const CpuOptions cpu{options.precision.value_or(DefaultPrecision(checkpoint.config().dtype)),
                       runtime.threads, options.weights};
  const bool reference = options.backend == BackendKind::kReference;
  runtime.backend = reference ? MakeReferenceBackend(cpu) : MakeCpuBackend(cpu);
  ProgressBar bar("loading weights");
  const auto progress = [&bar](int64_t done, int64_t total) { bar.Update(done, total); };
  TRY_ASSIGN(runtime.model, Llama::Load(checkpoint, *runtime.backend, options.llama, progress));
  runtime.load_seconds = watch.Seconds();
  return runtime;
}

Result<LoadedModel> LoadModel(const LoadOptions& options) {
  const Stopwatch watch;
  TRY_ASSIGN(Checkpoint checkpoint, Checkpoint::Open(options.path));
  TRY_ASSIGN(Tokenizer tokenizer, checkpoint.LoadTokenizer());
  TRY_ASSIGN(Runtime runtime, LoadRuntime(checkpoint, options.runtime));
  return LoadedModel{std::move(checkpoint), std::move(tokenizer), std::move(runtime),
                     watch.Seconds()};
}

Result<std::vector<int32_t>> EncodePrompt(const Tokenizer& tokenizer, std::string_view text,
                                          bool add_prefix) {
  TRY_ASSIGN(std::vector<int32_t> ids, tokenizer.Encode(text));
  if (!add_prefix) return ids;
  const std::vector<int32_t> prefix = tokenizer.PrefixIds();
  const bool has_prefix = ids.size() >= prefix.size() &&
                          std::ranges::equal(prefix, std::span(ids).first(prefix.size()));
  if (!has_prefix) ids.insert(ids.begin(), prefix.begin(), prefix.end());
  return ids;
}

}  // namespace merope
