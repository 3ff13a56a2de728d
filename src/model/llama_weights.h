// Loads a Llama's weights into a back end or into a file. Decides which tensors form which matrix.
// Llama and Quantize call these functions, on the loading thread.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "backend/matrix.h"
#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/weight_source.h"

namespace merope {

struct LlamaWeights {
  struct Layer {
    Tensor input_norm, post_attention_norm;  // (1, hidden)
    Tensor q_norm, k_norm;                   // (1, d), if the heads are normalized
    const Matrix* qkv;                       // (heads · d + 2 · kv_heads · d, hidden)
    const Matrix* o;                         // (hidden, heads · d)
    const Matrix* gate_up;                   // (2 · intermediate, hidden)
    const Matrix* down;                      // (hidden, intermediate)
  };
  std::vector<Layer> layers;
  const Matrix* embed = nullptr;  // (vocab, hidden)
  const Matrix* head = nullptr;   // (vocab, hidden); equals embed if the embeddings are tied
  Tensor final_norm;              // (1, hidden)
  bool rotated = false;           // whether the weights are rotated (rotation.h)
  Tensor signs;                   // (1, hidden): signs of the residual stream's rotation
  int64_t bytes = 0;              // resident
};

using LoadProgress = std::function<void(int64_t done_bytes, int64_t total_bytes)>;

// Errors name the weight that is missing, has the wrong shape, or has NaN or infinite values. The
// model is rotated if the source is rotated.
Result<LlamaWeights> LoadLlamaWeights(const ModelConfig& config, const WeightSource& source,
                                      WeightTarget& target);
// Loads a checkpoint's weights. Rotates the weights if the target's precision is int8 and the
// checkpoint's weights are not yet integers of `merope quantize`.
Result<LlamaWeights> LoadLlamaWeights(const Checkpoint& checkpoint, WeightTarget& target,
                                      const LoadProgress& progress);

}  // namespace merope
