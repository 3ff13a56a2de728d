// From a path to a model ready to run: checkpoint, tokenizer, back end and weights, opened in that
// order by the commands that run models. The calling thread does the work.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "backend/backend.h"
#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "model/llama.h"
#include "text/tokenizer.h"

namespace merope {

enum class BackendKind : uint8_t { kCpu, kReference };

struct RuntimeOptions {
  std::optional<Precision> precision = {};  // nullopt: DefaultPrecision of the checkpoint
  BackendKind backend = BackendKind::kCpu;
  int threads = 0;  // 0: DefaultThreads()
  WeightStorage weights = WeightStorage::kAuto;
  KvStorage kv = KvStorage::kAuto;
  // Where llama.kv_tokens is 0, the KV cache is made for: these bytes (elsewhere they must hold
  // kv_tokens); or else what is left of the
  // memory that this process may use, but no more than max_num_seqs sequences of max_model_len
  // need. One sequence must fit.
  std::optional<uint64_t> kv_cache_bytes = {};
  int64_t max_num_seqs = 1;
  LlamaOptions llama = {};
};

// Weights loaded into a back end of their own. Several may stand beside each other over one
// checkpoint.
struct Runtime {
  std::unique_ptr<Backend> backend;  // first: the model looks into it
  std::unique_ptr<Llama> model;
  double load_seconds = 0;  // back end made, weights read and packed
  int threads = 0;
};

// A progress bar is drawn on a terminal's standard error when it takes long.
Result<Runtime> LoadRuntime(const Checkpoint& checkpoint, const RuntimeOptions& options);

struct LoadOptions {
  std::string path;
  RuntimeOptions runtime = {};
};

struct LoadedModel {
  Checkpoint checkpoint;
  Tokenizer tokenizer;
  Runtime runtime;
  double load_seconds = 0;  // all of it, from Open on

  const ModelConfig& config() const { return checkpoint.config(); }
  Llama& model() const { return *runtime.model; }
  Backend& backend() const { return *runtime.backend; }
};

// The id of the tokenizer's own EOS, for EngineOptions; nullopt where it names none.
std::optional<int32_t> EosTokenId(const LoadedModel& loaded);

// A limit for commands that choose their prompts themselves (verify, report): no context is longer
// than max_model_len (0: the checkpoint's), nor than one whose keys and values kv_cache_bytes hold
// in fp32.
struct ContextLimit {
  int64_t max_model_len = 0;
  std::optional<uint64_t> kv_cache_bytes = {};
};
Result<Checkpoint> OpenLimited(const std::string& path, const ContextLimit& limit);

Result<LoadedModel> LoadModel(const LoadOptions& options);

// The checkpoint's own: BF16 runs in bf16; F32 and F16 in fp32, which holds all their values; our
// integers as they are. A quantized GGUF runs in bf16 up to kSmallModel weights, where that takes a
// GB at most and the 8-bit activations of kStored show (docs/quantization.md); above, as stored.
inline constexpr int64_t kSmallModel = 500'000'000;
Precision DefaultPrecision(const Checkpoint& checkpoint);
// Its name; of kStored, with the file's types: "stored (Q4_1, Q8_0)".
std::string DescribePrecision(const Checkpoint& checkpoint, Precision precision);
// "auto" (nullopt) or a precision's name, as --dtype takes them.
Result<std::optional<Precision>> ParsePrecision(std::string_view name);

// "auto", "plain" or "packed", as --weights takes them.
Result<WeightStorage> ParseWeightStorage(std::string_view name);

// "auto" or "int8", as --kv-dtype takes them.
Result<KvStorage> ParseKvStorage(std::string_view name);

// What a plain prompt becomes: text with special tokens parsed, after the tokenizer's own prefix
// (BOS), which is not doubled where the text already starts with it. Encodes rendered chat
// templates too, with add_prefix off: they bring their own.
Result<std::vector<int32_t>> EncodePrompt(const Tokenizer& tokenizer, std::string_view text,
                                          bool add_prefix = true);

}  // namespace merope
