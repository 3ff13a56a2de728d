#include "checkpoint/weight_check.h"

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <map>
#include <set>
#include <vector>

#include "base/digest.h"
#include "base/threads.h"

namespace merope {
namespace {

constexpr int64_t kChunkBytes = 4 << 20;

struct NonFinite {
  int64_t nan = 0, inf = 0;
};

// Counts in raw words. A number is not finite if all bits of its exponent are set. If its mantissa
// is also not zero, the number is NaN.
template <class Word>
NonFinite CountWords(const std::byte* data, int64_t n, Word exponent) {
  const Word magnitude_bits = static_cast<Word>(static_cast<Word>(~Word{0}) >> 1);
  uint64_t not_finite = 0, nan = 0;
  for (int64_t i = 0; i < n; ++i) {
    Word word;
    std::memcpy(&word, data + i * static_cast<int64_t>(sizeof(Word)), sizeof(Word));
    const Word magnitude = word & magnitude_bits;
    not_finite += magnitude >= exponent;
    nan += magnitude > exponent;
  }
  return {static_cast<int64_t>(nan), static_cast<int64_t>(not_finite - nan)};
}

NonFinite Count(DType dtype, const std::byte* data, int64_t elements) {
  if (dtype == DType::kF32) return CountWords<uint32_t>(data, elements, 0x7f800000u);
  if (dtype == DType::kF16) return CountWords<uint16_t>(data, elements, 0x7c00u);
  if (dtype == DType::kBF16) return CountWords<uint16_t>(data, elements, 0x7f80u);
  // In a quantized block, only a scale or a minimum can be NaN or infinite. Such a value makes the
  // dequantized values of the block NaN or infinite.
  constexpr int64_t kBuffer = 4096;
  std::vector<float> values(kBuffer);
  NonFinite total;
  for (int64_t at = 0; at < elements; at += kBuffer) {
    const int64_t n = std::min(kBuffer, elements - at);
    Dequantize(dtype, data + RowBytes(dtype, at), n, values.data());
    const auto some =
        CountWords<uint32_t>(reinterpret_cast<const std::byte*>(values.data()), n, 0x7f800000u);
    total.nan += some.nan;
    total.inf += some.inf;
  }
  return total;
}

// Counts in one tensor, on all threads.
NonFinite CountTensor(const TensorView& tensor, ThreadTeam* threads) {
  const int64_t block = BlockElements(tensor.dtype);
  const int64_t blocks = static_cast<int64_t>(tensor.bytes.size()) / BlockBytes(tensor.dtype);
  std::atomic<int64_t> nan = 0, inf = 0;
  threads->ForRanges(blocks, [&](int64_t begin, int64_t end) {
    const auto some = Count(tensor.dtype, tensor.bytes.data() + begin * BlockBytes(tensor.dtype),
                            (end - begin) * block);
    nan += some.nan;
    inf += some.inf;
  });
  return {nan, inf};
}

// Hashes a file piece by piece, and drops the pages of each piece afterwards.
FileHash HashFile(const MappedFile& file, const std::string& name,
                  const std::function<void(int64_t)>& advance) {
  Sha256 hash;
  const auto bytes = file.bytes();
  for (size_t at = 0; at < bytes.size(); at += kChunkBytes) {
    const auto piece = bytes.subspan(at, std::min<size_t>(kChunkBytes, bytes.size() - at));
    hash.Add(piece);
    file.Drop(piece);
    advance(static_cast<int64_t>(piece.size()));
  }
  return {name, hash.Hex(), static_cast<int64_t>(bytes.size())};
}

std::string ShapeText(std::span<const int64_t> shape) {
  return fmt::format("({})", fmt::join(shape, ", "));
}

// Compares names and shapes. Fills missing, extra and wrong_shape.
void CompareNames(const Checkpoint& checkpoint, const std::vector<ExpectedTensor>& expected,
                  WeightReport* report) {
  std::set<std::string_view> names;
  for (const ExpectedTensor& tensor : expected) {
    names.insert(tensor.name);
    int64_t elements = 1;
    for (const int64_t size : tensor.shape) elements *= size;
    report->expected_parameters += elements;
    const TensorView* found = checkpoint.Find(tensor.name);
    if (found == nullptr) {
      report->missing.push_back(fmt::format("{}: expected shape {}, found nothing", tensor.name,
                                            ShapeText(tensor.shape)));
    } else if (found->shape != tensor.shape) {
      report->wrong_shape.push_back(fmt::format("{}: expected shape {}, found {}", tensor.name,
                                                ShapeText(tensor.shape), ShapeText(found->shape)));
    }
  }
  for (const TensorView& tensor : checkpoint.tensors()) {
    if (names.contains(tensor.name)) continue;
    // This head is a copy of the embedding. A head with other values would not be tied (SettleHead
    // in directory.cc).
    if (report->tied && tensor.name == "lm_head.weight") {
      report->ignored.push_back("lm_head.weight (the head is tied, and this is the same)");
      --report->found_tensors;
      report->parameters -= tensor.elements();
      continue;
    }
    report->extra.push_back(
        fmt::format("{}: expected nothing, found shape {}", tensor.name, ShapeText(tensor.shape)));
  }
}

}  // namespace

std::vector<ExpectedTensor> ExpectedTensors(const ModelConfig& config) {
  const int64_t hidden = config.hidden_size, feed = config.intermediate_size;
  const int64_t q = config.num_heads * config.head_dim, kv = config.num_kv_heads * config.head_dim;
  std::vector<ExpectedTensor> tensors = {
      {"model.embed_tokens.weight", {config.vocab_size, hidden}}};
  const auto linear = [&](const std::string& name, int64_t out, int64_t in, bool bias) {
    tensors.push_back({name + ".weight", {out, in}});
    if (bias) tensors.push_back({name + ".bias", {out}});
  };
  for (int64_t layer = 0; layer < config.num_layers; ++layer) {
    const std::string prefix = fmt::format("model.layers.{}.", layer);
    linear(prefix + "self_attn.q_proj", q, hidden, config.attention_bias);
    linear(prefix + "self_attn.k_proj", kv, hidden, config.attention_bias);
    linear(prefix + "self_attn.v_proj", kv, hidden, config.attention_bias);
    linear(prefix + "self_attn.o_proj", hidden, q, config.has_output_bias());
    if (config.has_head_norms())
      for (const char* norm : {"q_norm", "k_norm"})
        tensors.push_back({fmt::format("{}self_attn.{}.weight", prefix, norm), {config.head_dim}});
    linear(prefix + "mlp.gate_proj", feed, hidden, config.mlp_bias);
    linear(prefix + "mlp.up_proj", feed, hidden, config.mlp_bias);
    linear(prefix + "mlp.down_proj", hidden, feed, config.mlp_bias);
    tensors.push_back({prefix + "input_layernorm.weight", {hidden}});
    tensors.push_back({prefix + "post_attention_layernorm.weight", {hidden}});
  }
  tensors.push_back({"model.norm.weight", {hidden}});
  if (!config.tie_word_embeddings) linear("lm_head", config.vocab_size, hidden, false);
  if (config.dtype == DType::kInt8) tensors.push_back({kSignsTensor, {hidden}});
  return tensors;
}

Result<WeightReport> CheckWeights(const Checkpoint& checkpoint,
                                  const std::function<void(int64_t, int64_t)>& progress,
                                  int n_threads) {
  WeightReport report;
  report.tied = checkpoint.config().tie_word_embeddings;
  const auto expected = ExpectedTensors(checkpoint.config());
  report.expected_tensors = static_cast<int64_t>(expected.size());
  report.found_tensors = static_cast<int64_t>(checkpoint.tensors().size());
  report.ignored.assign(checkpoint.ignored().begin(), checkpoint.ignored().end());
  report.notes.assign(checkpoint.notes().begin(), checkpoint.notes().end());
  std::map<std::string, int64_t> dtypes;
  for (const TensorView& tensor : checkpoint.tensors()) {
    report.parameters += tensor.elements();
    report.bytes += static_cast<int64_t>(tensor.bytes.size());
    ++dtypes[std::string(DTypeName(tensor.dtype))];
  }
  report.dtypes.assign(dtypes.begin(), dtypes.end());
  CompareNames(checkpoint, expected, &report);

  int64_t total = report.bytes, done = 0;
  for (const MappedFile& file : checkpoint.files())
    total += static_cast<int64_t>(file.bytes().size());
  const auto advance = [&](int64_t bytes) {
    done += bytes;
    if (progress) progress(done, total);
  };
  ThreadTeam threads(n_threads > 0 ? n_threads : DefaultThreads());
  for (const TensorView& tensor : checkpoint.tensors()) {
    const NonFinite found = CountTensor(tensor, &threads);
    report.nan_count += found.nan;
    report.inf_count += found.inf;
    if (found.nan + found.inf > 0)
      report.not_finite.push_back(
          fmt::format("{}: {} NaN, {} infinite", tensor.name, found.nan, found.inf));
    checkpoint.Drop(tensor);
    advance(static_cast<int64_t>(tensor.bytes.size()));
  }
  for (const MappedFile& file : checkpoint.files()) {
    const std::string name = std::filesystem::path(file.path()).filename().string();
    report.files.push_back(HashFile(file, name, advance));
  }
  return report;
}

}  // namespace merope
