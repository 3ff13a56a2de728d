// Ops as the seam passes them: a kind and its operands. A back end runs an op at once, or records
// it for a plan. Plain values.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "backend/matrix.h"

namespace merope {

// backend.h defines each op.
enum class OpKind : uint8_t {
  kEmbed,
  kRmsNorm,
  kLayerNorm,
  kMatMul,
  kRope,
  kStoreKv,
  kAttention,
  kBidirectionalAttention,
  kHadamard,
  kSwiGlu,
  kGelu,
  kAdd,
  kGatherRows
};

struct Op {
  OpKind kind = {};
  // Inputs, and the output. An op without `out` writes x, except StoreKv, which writes the cache.
  Tensor x = {}, y = {}, z = {}, out = {};
  const Matrix* matrix = nullptr;
  int64_t layer = 0, head_dim = 0, block = 0;
  float value = 0;  // eps, or the scale of scores
  bool inverse = false;

  std::array<Tensor, 3> reads() const { return {x, y, z}; }
  // data is null: none.
  Tensor written() const {
    if (kind == OpKind::kStoreKv) return {};
    return out.data != nullptr ? out : x;
  }
};

// "RmsNorm".
constexpr std::string_view OpName(OpKind kind) {
  constexpr std::string_view kNames[] = {
      "Embed",     "RmsNorm", "LayerNorm", "MatMul",
      "Rope",      "StoreKv", "Attention", "BidirectionalAttention",
      "Hadamard",  "SwiGlu",  "Gelu",      "Add",
      "GatherRows"};
  return kNames[static_cast<size_t>(kind)];
}

}  // namespace merope
