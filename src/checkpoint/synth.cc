#include "checkpoint/synth.h"

#include <cmath>
#include <cstring>
#include <filesystem>
#include <vector>

#include "base/json.h"
#include "base/mapped_file.h"
#include "base/threads.h"
#include "checkpoint/config_json.h"
#include "checkpoint/safetensors_writer.h"
#include "checkpoint/synth_tokenizer.h"
#include "checkpoint/weight_check.h"

namespace merope {
namespace {

namespace fs = std::filesystem;

constexpr int64_t kChunk = 1 << 21;  // elements that are made at once

// Random access to a stream of 64-bit numbers (splitmix64). A value depends only on the seed and
// the place, so threads can share the work.
uint64_t RandomBits(uint64_t seed, uint64_t place) {
  uint64_t z = seed + (place + 1) * 0x9e3779b97f4a7c15u;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

// A nearly normal number with mean 0 and variance 1: the sum of eight uniform 16-bit numbers,
// scaled. No library function is used, because the last bit of its result may differ between
// machines.
float Normal(uint64_t seed, uint64_t place) {
  constexpr uint64_t kEven = 0x0000ffff0000ffffu;
  const uint64_t a = RandomBits(seed, 2 * place), b = RandomBits(seed, 2 * place + 1);
  const uint64_t pairs = (a & kEven) + (a >> 16 & kEven) + (b & kEven) + (b >> 16 & kEven);
  const auto sum = static_cast<int32_t>((pairs & 0xffffffffu) + (pairs >> 32));
  constexpr float kDeviation = 53509.92f;  // sqrt(8 · (2^32 − 1) / 12)
  return static_cast<float>(sum - 4 * 65535) / kDeviation;
}

struct PlannedTensor {
  ExpectedTensor tensor;
  uint64_t seed;
  int64_t elements;
};
using Shard = std::vector<PlannedTensor>;

std::vector<Shard> PlanShards(const ModelConfig& config, const SynthOptions& options,
                              int64_t* total_bytes) {
  std::vector<Shard> shards(1);
  int64_t shard_bytes = 0;
  uint64_t index = 0;
  for (ExpectedTensor& tensor : ExpectedTensors(config)) {
    int64_t elements = 1;
    for (const int64_t size : tensor.shape) elements *= size;
    const int64_t bytes = RowBytes(options.dtype, elements);
    if (options.max_shard_bytes > 0 && shard_bytes > 0 &&
        shard_bytes + bytes > options.max_shard_bytes) {
      shards.emplace_back();
      shard_bytes = 0;
    }
    shard_bytes += bytes;
    *total_bytes += bytes;
    shards.back().push_back({std::move(tensor), RandomBits(options.seed, index++), elements});
  }
  return shards;
}

// Writes elements [begin, begin + n) of a tensor to out, in the form that the file stores.
void Fill(const PlannedTensor& planned, const SynthOptions& options, int64_t begin, int64_t n,
          std::byte* out) {
  const auto deviation = static_cast<float>(options.std_dev);
  const bool norm =
      planned.tensor.shape.size() == 1 && planned.tensor.name.ends_with("norm.weight");
  const float mean = norm ? 1.0f : 0.0f;
  const auto store = [&](int64_t i, auto value) {
    std::memcpy(out + i * static_cast<int64_t>(sizeof(value)), &value, sizeof(value));
  };
  for (int64_t i = 0; i < n; ++i) {
    const float value = mean + deviation * Normal(planned.seed, static_cast<uint64_t>(begin + i));
    if (options.dtype == DType::kBF16) {
      store(i, F32ToBF16(value));
    } else if (options.dtype == DType::kF16) {
      store(i, F32ToF16(value));
    } else {
      store(i, value);
    }
  }
}

Status WriteShard(const std::string& path, const Shard& shard, const SynthOptions& options,
                  ThreadTeam* threads, const std::function<void(int64_t)>& written) {
  std::vector<SafetensorsTensor> tensors;
  for (const auto& [tensor, seed, elements] : shard)
    tensors.push_back({tensor.name, std::string(DTypeName(options.dtype)), tensor.shape,
                       RowBytes(options.dtype, elements)});
  TRY_ASSIGN(SafetensorsWriter file, SafetensorsWriter::Create(path, tensors, {{"format", "pt"}}));
  std::vector<std::byte> chunk(static_cast<size_t>(RowBytes(options.dtype, kChunk)));
  for (const PlannedTensor& planned : shard) {
    for (int64_t at = 0; at < planned.elements; at += kChunk) {
      const int64_t n = std::min(kChunk, planned.elements - at);
      threads->ForRanges(n, [&](int64_t begin, int64_t end) {
        Fill(planned, options, at + begin, end - begin,
             chunk.data() + RowBytes(options.dtype, begin));
      });
      const int64_t bytes = RowBytes(options.dtype, n);
      TRY(file.Write(planned.tensor.name, RowBytes(options.dtype, at),
                     std::span(chunk).first(static_cast<size_t>(bytes))));
      written(bytes);
    }
  }
  return file.Finish();
}

// Makes the directory, and removes old weights, which must not lie beside the new weights.
Status PrepareDirectory(const std::string& directory, bool force) {
  std::error_code error;
  fs::create_directories(directory, error);
  if (error) return Err("{}: cannot create the directory: {}", directory, error.message());
  std::vector<fs::path> weights;
  bool empty = true;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    empty = false;
    const std::string name = it->path().filename().string();
    if (name.starts_with("model") && name.find(".safetensors") != name.npos)
      weights.push_back(it->path());
  }
  if (error) return Err("{}: cannot list the directory: {}", directory, error.message());
  if (!empty && !force)
    return Err("{}: expected an empty directory (or --force), found files in it", directory);
  for (const fs::path& file : weights) fs::remove(file, error);
  return {};
}

std::string ShardName(size_t index, size_t count) {
  return count == 1 ? "model.safetensors"
                    : fmt::format("model-{:05}-of-{:05}.safetensors", index + 1, count);
}

}  // namespace

Status Synthesize(const std::string& directory, const ModelConfig& config,
                  const SynthOptions& options,
                  const std::function<void(int64_t done, int64_t total)>& progress) {
  if (BlockElements(options.dtype) != 1)
    return Err("dtype: expected F32, F16 or BF16, found {}", DTypeName(options.dtype));
  if (!config.rope_divisors.empty())
    return Err("rope_divisors: a config.json cannot say them (they are a GGUF file's)");
  TRY(PrepareDirectory(directory, options.force));
  int64_t total = 0, done = 0;
  const std::vector<Shard> shards = PlanShards(config, options, &total);
  ThreadTeam threads(DefaultThreads());
  Json weight_map = Json::object();
  for (size_t i = 0; i < shards.size(); ++i) {
    const std::string name = ShardName(i, shards.size());
    TRY(WriteShard(directory + "/" + name, shards[i], options, &threads, [&](int64_t bytes) {
      done += bytes;
      if (progress) progress(done, total);
    }));
    for (const PlannedTensor& planned : shards[i]) weight_map[planned.tensor.name] = name;
  }
  const auto write = [&](const char* name, const Json& json) {
    return WriteFile(directory + "/" + name, json.dump(2) + "\n");
  };
  if (shards.size() > 1) {
    TRY(write("model.safetensors.index.json",
              {{"metadata", {{"total_size", total}}}, {"weight_map", weight_map}}));
  }
  if (config.vocab_size >= kSmallestSynthVocabulary) {
    TRY(write("tokenizer.json", SynthTokenizer(config.vocab_size)));
    TRY(write("tokenizer_config.json", SynthTokenizerConfig(config.max_position_embeddings)));
  }
  TRY(write("generation_config.json", GenerationConfigFile(config)));
  return write("config.json", ConfigFile(config, options.dtype));
}

Result<ModelConfig> KnownConfig(std::string_view name) {
  if (name != "pleias-rag-350m")
    return Err("expected pleias-rag-350m or the path of a config.json, found \"{}\"", name);
  ModelConfig config;
  config.hidden_size = 1024;
  config.intermediate_size = 2560;
  config.num_layers = 26;
  config.num_heads = 16;
  config.num_kv_heads = 8;
  config.head_dim = 64;
  config.vocab_size = 65536;
  config.max_position_embeddings = 4096;
  config.rms_norm_eps = 1e-5;
  config.rope_theta = 10000;
  config.tie_word_embeddings = true;
  config.dtype = DType::kBF16;
  config.bos_token_id = 1;
  config.eos_token_ids = {2};
  return config;
}

}  // namespace merope
