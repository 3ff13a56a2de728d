// A Llama's weights in a back end, or on their way into a file: which tensors of a checkpoint
// become which matrices, and what is done to them before. Used by the loading thread.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "backend/matrix.h"
#include "base/error.h"
#include "checkpoint/checkpoint.h"

namespace merope {

struct LlamaWeights {
  struct Layer {
    Tensor input_norm, post_attention_norm;  // (1, hidden)
    const Matrix* qkv;                       // (heads · d + 2 · kv_heads · d, hidden)
    const Matrix* o;                         // (hidden, heads · d)
    const Matrix* gate_up;                   // (2 · intermediate, hidden)
    const Matrix* down;                      // (hidden, intermediate)
  };
  std::vector<Layer> layers;
  const Matrix* embed = nullptr;  // (vocab, hidden)
  const Matrix* head = nullptr;   // (vocab, hidden); embed where tied
  Tensor final_norm;              // (1, hidden)
  bool turned = false;            // as rotation.h says
  Tensor signs;                   // (1, hidden) of the residual stream's rotation
  int64_t bytes = 0;              // resident
};

using LoadProgress = std::function<void(int64_t done_bytes, int64_t total_bytes)>;

// Missing, mis-shaped and non-finite weights are refused by name.
Result<LlamaWeights> LoadLlamaWeights(const Checkpoint& checkpoint, WeightTarget& target,
                                      const LoadProgress& progress);

}  // namespace merope
