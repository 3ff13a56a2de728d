// Turns a path into a model that is ready to run. The commands that run models call LoadModel.
// LoadModel opens the checkpoint, then makes the back end and loads the weights. The calling thread
// does this work. A second thread reads the tokenizer at the same time.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "backend/registry.h"
#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "model/llama.h"
#include "text/tokenizer.h"

namespace merope {

struct RuntimeOptions {
  std::optional<Precision> precision = {};  // nullopt: DefaultPrecision of the checkpoint
  std::string_view backend = kCpuBackend;   // the name of the back end
  int threads = 0;                          // 0: DefaultThreads()
  WeightStorage weights = WeightStorage::kAuto;
  KvStorage kv = KvStorage::kAuto;
  OpRounding op_rounding = OpRounding::kNone;
  uint64_t rounding_seed = 0;
  // The size of the KV cache. If llama.kv_tokens is 0, the cache is made for these bytes. Otherwise
  // these bytes must hold kv_tokens. nullopt with kv_tokens 0: the cache gets a share of the memory
  // that this process may still use, but no more than max_num_seqs sequences of max_model_len need.
  // One sequence must fit.
  std::optional<uint64_t> kv_cache_bytes = {};
  int64_t max_num_seqs = 1;
  LlamaOptions llama = {};
};

// A back end, and a model whose weights this back end holds. Several Runtimes may use one
// checkpoint at the same time.
struct Runtime {
  std::unique_ptr<Backend> backend;  // first, because the model uses the back end
  std::unique_ptr<Llama> model;
  double load_seconds = 0;  // time to make the back end, and to read and pack the weights
  int threads = 0;
};

// Draws a progress bar on standard error if loading takes long and standard error is a terminal.
Result<Runtime> LoadRuntime(const Checkpoint& checkpoint, const RuntimeOptions& options);

struct LoadOptions {
  std::string path;
  RuntimeOptions runtime = {};
};

struct LoadedModel {
  Checkpoint checkpoint;
  Tokenizer tokenizer;
  Runtime runtime;
  double load_seconds = 0;  // the whole time, from Checkpoint::Open on

  const ModelConfig& config() const { return checkpoint.config(); }
  Llama& model() const { return *runtime.model; }
  Backend& backend() const { return *runtime.backend; }
};

// The id of the tokenizer's own EOS, for EngineOptions; nullopt if the checkpoint names none.
std::optional<int32_t> EosTokenId(const LoadedModel& loaded);

// A limit for commands that choose their prompts themselves (verify, report). No context is longer
// than max_model_len (0: the checkpoint's length), and no context has more keys and values than
// kv_cache_bytes hold in fp32.
struct ContextLimit {
  int64_t max_model_len = 0;
  std::optional<uint64_t> kv_cache_bytes = {};
};
Result<Checkpoint> OpenLimited(const std::string& path, const ContextLimit& limit);

Result<LoadedModel> LoadModel(const LoadOptions& options);

// The precision that fits the checkpoint. BF16 weights run in bf16. F32 and F16 weights run in
// fp32, which holds all their values. Integers of `merope quantize` run as they are. A quantized
// GGUF of up to kSmallModel weights runs in bf16: in a model of this size, bf16 takes at most 1 GB,
// and the effect of kNative's 8-bit activations shows (docs/quantization.md). A larger quantized
// GGUF runs in kNative.
inline constexpr int64_t kSmallModel = 500'000'000;
Precision DefaultPrecision(const Checkpoint& checkpoint);
// The types of the checkpoint's quantized tensors, in descending order of bytes.
std::vector<DType> QuantizedTypes(const Checkpoint& checkpoint);
// The name of the precision. For kNative, also the file's quantized types: "native (Q4_1, Q8_0)".
std::string DescribePrecision(const Checkpoint& checkpoint, Precision precision);
// Reads the value of --dtype: "auto" (nullopt) or a precision's name. kOldNative is the name of
// kNative before version 0.2. Version 0.4 removes kOldNative.
inline constexpr std::string_view kOldNative = "stored";
Result<std::optional<Precision>> ParsePrecision(std::string_view name);

// Reads the value of --weights: "auto", "plain" or "packed".
Result<WeightStorage> ParseWeightStorage(std::string_view name);

// Reads the value of --kv-dtype: "auto" or "int8".
Result<KvStorage> ParseKvStorage(std::string_view name);

}  // namespace merope
