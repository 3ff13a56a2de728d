// What a step of the model runs on beside weights and activations: the KV cache's pages, the rows'
// tokens and places, and plans made of a step's ops. Plain values, and handles that only their back
// end may look into.
#pragma once

#include <cstdint>
#include <span>

namespace merope {

// KV cache: pages of kPageTokens positions; a page holds the K and V of every layer and head for
// its positions.
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
// 1, their K and V to go to pages[position / kPageTokens].
struct SequenceRows {
  int64_t first_row = 0, n_rows = 0, context = 0;
  std::span<const int32_t> pages;
};

// Everything about a step that is not weights or activations, known before it runs.
struct Step {
  std::span<const int32_t> tokens;  // (n_tokens)
  std::span<const float> rope_cos,
      rope_sin;  // (n_tokens, head_dim / 2), both already times the attention factor
  std::span<const SequenceRows> sequences;  // in row order, covering all rows
  std::span<const int32_t> logit_rows;      // the rows that need logits
  KvMemory* kv = nullptr;
};

// A forward pass's ops, recorded and fused; its back end's own.
class Plan {
 public:
  virtual ~Plan() = default;
  int64_t ops = 0;    // that an eager pass would run
  int64_t steps = 0;  // that a replay runs
  int64_t bytes = 0;  // of static memory
};

// The largest step a plan is for.
struct PlanLimits {
  int64_t rows = 0, logit_rows = 0, context = 0;
};

}  // namespace merope
