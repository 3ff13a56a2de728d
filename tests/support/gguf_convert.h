// Converts a safetensors checkpoint to a GGUF file, as llama.cpp's converter does.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "checkpoint/checkpoint.h"
#include "tests/support/gguf_writer.h"

namespace merope {

// Writes the architecture's keys of a config. Of the kinds of RoPE scaling, only linear is
// supported.
inline void AddModelKeys(const ModelConfig& config, GgufWriter* writer) {
  const std::string type(ModelType(config.architecture));
  const auto key = [&type](const char* name) { return type + "." + name; };
  const auto u32 = [&](const char* name, int64_t value) {
    writer->Uint32(key(name), static_cast<uint32_t>(value));
  };
  writer->String("general.architecture", type);
  u32("block_count", config.num_layers);
  u32("context_length", config.max_position_embeddings);
  u32("embedding_length", config.hidden_size);
  u32("feed_forward_length", config.intermediate_size);
  u32("attention.head_count", config.num_heads);
  u32("attention.head_count_kv", config.num_kv_heads);
  u32("attention.key_length", config.head_dim);
  u32("attention.value_length", config.head_dim);
  u32("rope.dimension_count", config.head_dim);
  u32("vocab_size", config.vocab_size);
  writer->Float32(key("rope.freq_base"), static_cast<float>(config.rope_theta));
  writer->Float32(key("attention.layer_norm_rms_epsilon"), static_cast<float>(config.rms_norm_eps));
  if (config.rope.kind == RopeKind::kLinear) {
    writer->String(key("rope.scaling.type"), "linear");
    writer->Float32(key("rope.scaling.factor"), static_cast<float>(config.rope.factor));
  }
}

// llama.cpp's name of a tensor with this Hugging Face name.
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
  for (const char* letter : {"q", "k", "v"}) {
    replace(std::string("self_attn.") + letter + "_proj", std::string("attn_") + letter);
    replace(std::string("self_attn.") + letter + "_norm", std::string("attn_") + letter + "_norm");
  }
  replace("self_attn.o_proj", "attn_output");
  for (const char* part : {"gate", "up", "down"})
    replace(std::string("mlp.") + part + "_proj", std::string("ffn_") + part);
  return name;
}

// The replacement of a matrix: its type, and the bytes of its rows in Hugging Face's order.
struct GgufMatrix {
  uint32_t type;  // ggml's number
  std::string rows;
};

// Converts a safetensors checkpoint to a GGUF file with the same weights. F32, F16 and BF16 tensors
// keep their type. If replace(matrix) returns a value, that value takes the place of the matrix.
// Permutes the rows of q_proj and k_proj of a Llama.
inline GgufWriter ConvertToGguf(
    const Checkpoint& checkpoint,
    const std::function<std::optional<GgufMatrix>(const TensorView&)>& replace = {}) {
  const ModelConfig& config = checkpoint.config();
  GgufWriter writer;
  AddModelKeys(config, &writer);
  if (!config.eos_token_ids.empty())
    writer.Uint32("tokenizer.ggml.eos_token_id",
                  static_cast<uint32_t>(config.eos_token_ids.front()));
  for (const TensorView& tensor : checkpoint.tensors()) {
    GgufWriter::Tensor out;
    out.name = GgufName(tensor.name);
    out.type = tensor.dtype == DType::kF32 ? 0 : tensor.dtype == DType::kF16 ? 1 : 30;
    for (const int64_t size : tensor.shape)
      out.shape.insert(out.shape.begin(), static_cast<uint64_t>(size));
    std::string stored(reinterpret_cast<const char*>(tensor.bytes.data()), tensor.bytes.size());
    if (auto matrix = replace && tensor.shape.size() == 2 ? replace(tensor) : std::nullopt) {
      out.type = matrix->type;
      stored = std::move(matrix->rows);
    }
    const bool llama = config.architecture == Architecture::kLlama;
    const int64_t heads = !llama                                           ? 0
                          : tensor.name.find("q_proj") != tensor.name.npos ? config.num_heads
                          : tensor.name.find("k_proj") != tensor.name.npos ? config.num_kv_heads
                                                                           : 0;
    if (heads == 0) {
      out.bytes = stored;
    } else {  // rows (heads, 2, d/2) → (heads, d/2, 2)
      const auto half = static_cast<size_t>(config.head_dim / 2);
      const size_t row = stored.size() / static_cast<size_t>(tensor.shape[0]);
      for (size_t head = 0; head < static_cast<size_t>(heads); ++head)
        for (size_t i = 0; i < half; ++i)
          for (size_t j = 0; j < 2; ++j)
            out.bytes.append(stored, (head * 2 * half + j * half + i) * row, row);
    }
    writer.Add(std::move(out));
  }
  return writer;
}

}  // namespace merope
