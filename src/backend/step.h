// The inputs of a step besides weights and activations: the KV cache's pages, the tokens and
// positions of the rows, and plans made from a step's ops. The model passes them to a back end, on
// the engine's thread. Plain values, and handles that only their back end may look behind.
#pragma once

#include <cstdint>
#include <span>

namespace merope {

// The KV cache consists of pages of kPageTokens positions. A page holds K and V of its positions,
// for every layer and head.
inline constexpr int64_t kPageTokens = 64;
struct KvShape {
  int64_t n_layers = 0, n_kv_heads = 0, head_dim = 0;
  int64_t PageElements() const { return 2 * n_layers * n_kv_heads * head_dim * kPageTokens; }
};
class KvMemory {
 public:
  virtual ~KvMemory() = default;
  KvShape shape;
  int64_t n_pages = 0;
};

// The rows of one sequence in a step: n_rows new tokens at positions context … context + n_rows −
// 1. Their K and V go to pages[position / kPageTokens].
struct SequenceRows {
  int64_t first_row = 0, n_rows = 0, context = 0;
  std::span<const int32_t> pages;
};

// All inputs of a step except weights and activations. They are known before the step runs.
struct Step {
  std::span<const int32_t> tokens;  // (n_tokens)
  // (n_tokens, head_dim / 2). Both are already multiplied by the attention factor.
  std::span<const float> rope_cos, rope_sin;
  std::span<const SequenceRows> sequences;  // in row order, covering all rows
  std::span<const int32_t> logit_rows;      // the rows that need logits
  KvMemory* kv = nullptr;
};

// The ops of a forward pass, recorded and fused. Only the back end that made a plan can run it.
class Plan {
 public:
  virtual ~Plan() = default;
  int64_t ops = 0;    // ops that an eager pass runs
  int64_t steps = 0;  // fused steps that a replay runs
  int64_t bytes = 0;  // the plan's static memory
};

// The size of the largest step that a plan can run.
struct PlanLimits {
  int64_t rows = 0, logit_rows = 0, context = 0;
};

}  // namespace merope
