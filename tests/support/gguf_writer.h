// Writes GGUF files for tests: any key, any tensor, and a llama model converted from a safetensors
// directory as llama.cpp's converter does it. Offsets and counts can be falsified.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace merope {

class GgufWriter {
 public:
  uint32_t version = 3;
  uint32_t alignment = 32;
  int64_t extra_keys = 0, extra_tensors = 0;  // counted in the header, but not written

  void Uint32(std::string_view key, uint32_t value) { Scalar(key, 4, value); }
  void Int32(std::string_view key, int32_t value) { Scalar(key, 5, value); }
  void Float32(std::string_view key, float value) { Scalar(key, 6, value); }
  void Bool(std::string_view key, bool value) { Scalar(key, 7, static_cast<uint8_t>(value)); }
  void Uint64(std::string_view key, uint64_t value) { Scalar(key, 10, value); }
  void String(std::string_view key, std::string_view value) {
    Begin(key, 8);
    PutString(&keys_, value);
  }
  void Strings(std::string_view key, const std::vector<std::string>& values) {
    BeginArray(key, 8, values.size());
    for (const std::string& value : values) PutString(&keys_, value);
  }
  template <class T>
  void Array(std::string_view key, uint32_t element_type, const std::vector<T>& values) {
    BeginArray(key, element_type, values.size());
    for (const T& value : values) Put(&keys_, value);
  }
  // A key of any type word with any bytes behind it.
  void Raw(std::string_view key, uint32_t type, std::string_view bytes) {
    Begin(key, type);
    keys_ += bytes;
  }

  struct Tensor {
    std::string name;
    uint32_t type = 0;            // ggml's number
    std::vector<uint64_t> shape;  // innermost first
    std::string bytes;
    int64_t offset_error = 0;  // added to the offset written
  };
  void Add(Tensor tensor) { tensors_.push_back(std::move(tensor)); }

  std::string Bytes() const {
    std::string file = "GGUF";
    Put(&file, version);
    Put(&file, static_cast<uint64_t>(static_cast<int64_t>(tensors_.size()) + extra_tensors));
    Put(&file, static_cast<uint64_t>(n_keys_ + extra_keys));
    file += keys_;
    std::string data;
    for (const Tensor& tensor : tensors_) {
      PutString(&file, tensor.name);
      Put(&file, static_cast<uint32_t>(tensor.shape.size()));
      for (const uint64_t size : tensor.shape) Put(&file, size);
      Put(&file, tensor.type);
      Put(&file, static_cast<uint64_t>(static_cast<int64_t>(data.size()) + tensor.offset_error));
      data += tensor.bytes;
      Align(&data);
    }
    Align(&file);
    return file + data;
  }

 private:
  template <class T>
  static void Put(std::string* to, T value) {
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    to->append(bytes, sizeof(T));
  }
  static void PutString(std::string* to, std::string_view text) {
    Put(to, static_cast<uint64_t>(text.size()));
    *to += text;
  }
  void Align(std::string* bytes) const {
    bytes->append((alignment - bytes->size() % alignment) % alignment, '\0');
  }
  void Begin(std::string_view key, uint32_t type) {
    ++n_keys_;
    PutString(&keys_, key);
    Put(&keys_, type);
  }
  void BeginArray(std::string_view key, uint32_t element_type, uint64_t count) {
    Begin(key, 9);
    Put(&keys_, element_type);
    Put(&keys_, count);
  }
  template <class T>
  void Scalar(std::string_view key, uint32_t type, T value) {
    Begin(key, type);
    Put(&keys_, value);
  }

  int64_t n_keys_ = 0;
  std::string keys_;
  std::vector<Tensor> tensors_;
};

// The llama keys of a config (no RoPE scaling but linear).
inline void AddLlamaKeys(const ModelConfig& config, GgufWriter* writer) {
  const auto u32 = [](int64_t value) { return static_cast<uint32_t>(value); };
  writer->String("general.architecture", "llama");
  writer->Uint32("llama.block_count", u32(config.num_layers));
  writer->Uint32("llama.context_length", u32(config.max_position_embeddings));
  writer->Uint32("llama.embedding_length", u32(config.hidden_size));
  writer->Uint32("llama.feed_forward_length", u32(config.intermediate_size));
  writer->Uint32("llama.attention.head_count", u32(config.num_heads));
  writer->Uint32("llama.attention.head_count_kv", u32(config.num_kv_heads));
  writer->Uint32("llama.attention.key_length", u32(config.head_dim));
  writer->Uint32("llama.attention.value_length", u32(config.head_dim));
  writer->Uint32("llama.rope.dimension_count", u32(config.head_dim));
  writer->Uint32("llama.vocab_size", u32(config.vocab_size));
  writer->Float32("llama.rope.freq_base", static_cast<float>(config.rope_theta));
  writer->Float32("llama.attention.layer_norm_rms_epsilon",
                  static_cast<float>(config.rms_norm_eps));
  if (config.rope.kind == RopeKind::kLinear) {
    writer->String("llama.rope.scaling.type", "linear");
    writer->Float32("llama.rope.scaling.factor", static_cast<float>(config.rope.factor));
  }
}

// llama.cpp's name of an HF tensor.
inline std::string GgufName(std::string name) {
  const auto replace = [&name](std::string_view from, std::string_view to) {
    if (const size_t at = name.find(from); at != name.npos) name.replace(at, from.size(), to);
  };
  replace("model.layers.", "blk.");
  replace("model.embed_tokens", "token_embd");
  replace("model.norm", "output_norm");
  replace("lm_head", "output");
  replace("input_layernorm", "attn_norm");
  replace("post_attention_layernorm", "ffn_norm");
  for (const char* letter : {"q", "k", "v"})
    replace(std::string("self_attn.") + letter + "_proj", std::string("attn_") + letter);
  replace("self_attn.o_proj", "attn_output");
  for (const char* part : {"gate", "up", "down"})
    replace(std::string("mlp.") + part + "_proj", std::string("ffn_") + part);
  return name;
}

// A safetensors checkpoint as a GGUF file of the same weights: F32, F16 or BF16 stay as they are, Q
// and K rows are permuted.
inline GgufWriter ConvertToGguf(const Checkpoint& checkpoint) {
  const ModelConfig& config = checkpoint.config();
  GgufWriter writer;
  AddLlamaKeys(config, &writer);
  if (!config.eos_token_ids.empty())
    writer.Uint32("tokenizer.ggml.eos_token_id",
                  static_cast<uint32_t>(config.eos_token_ids.front()));
  for (const TensorView& tensor : checkpoint.tensors()) {
    GgufWriter::Tensor out;
    out.name = GgufName(tensor.name);
    out.type = tensor.dtype == DType::kF32 ? 0 : tensor.dtype == DType::kF16 ? 1 : 30;
    for (const int64_t size : tensor.shape)
      out.shape.insert(out.shape.begin(), static_cast<uint64_t>(size));
    const char* bytes = reinterpret_cast<const char*>(tensor.bytes.data());
    const int64_t heads = tensor.name.find("q_proj") != tensor.name.npos   ? config.num_heads
                          : tensor.name.find("k_proj") != tensor.name.npos ? config.num_kv_heads
                                                                           : 0;
    if (heads == 0) {
      out.bytes.assign(bytes, tensor.bytes.size());
    } else {  // rows (heads, 2, d/2) → (heads, d/2, 2)
      const auto half = static_cast<size_t>(config.head_dim / 2);
      const size_t row = tensor.bytes.size() / static_cast<size_t>(tensor.shape[0]);
      for (size_t head = 0; head < static_cast<size_t>(heads); ++head)
        for (size_t i = 0; i < half; ++i)
          for (size_t j = 0; j < 2; ++j)
            out.bytes.append(bytes + (head * 2 * half + j * half + i) * row, row);
    }
    writer.Add(std::move(out));
  }
  return writer;
}

}  // namespace merope
