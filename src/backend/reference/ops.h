// The ops of the reference back end, each as a textbook defines it: plain loops, with every sum in
// double. Owned by the reference back end; one thread at a time.
#pragma once

#include <cstdint>
#include <random>
#include <span>
#include <vector>

#include "backend/matrix.h"
#include "backend/op.h"
#include "backend/registry.h"
#include "backend/step.h"
#include "base/aligned.h"
#include "base/threads.h"

namespace merope::reference {

struct DenseMatrix : Matrix {
  std::vector<float> weight;  // (out_features, in_features), rounded to the precision
  std::vector<float> bias;    // (out_features) or empty
  int64_t x_group = 0;        // inputs: integers with one scale per x_group of them; 0: floats
  const float* Row(int64_t row) const { return weight.data() + row * in_features; }
};

struct DenseKv : KvMemory {
  // (pages, layers, kv_heads, K and V, kPageTokens, head_dim), rounded to the precision
  PageArray<float> values;
  float* At(int64_t page, int64_t layer, int64_t head, int64_t k_or_v, int64_t slot) {
    const int64_t row =
        (((page * shape.n_layers + layer) * shape.n_kv_heads + head) * 2 + k_or_v) * kPageTokens +
        slot;
    return values.data() + row * shape.head_dim;
  }
};

class Ops {
 public:
  Ops(const BackendOptions& options, int threads)
      : precision_(options.precision),
        int8_kv_(options.kv == KvStorage::kInt8),
        rounding_(options.op_rounding),
        random_(options.rounding_seed),
        at_random_(options.rounding_seed != 0),
        team_(threads) {}

  Precision precision() const { return precision_; }
  int threads() const { return team_.size(); }
  void set_step(const Step& step) { step_ = step; }
  void Run(const Op& op);

  OpRounding rounding() const { return rounding_; }

  // Converts a row of weights to the values that products of this precision use.
  void RoundWeights(std::span<float> row) const;

 private:
  void Compute(const Op& op);
  // One of the two neighbours in the type of the activations, the nearer one more often.
  float RoundedAtRandom(float value);
  // The next value of the type of the activations, above or below.
  float Neighbour(float value, bool above) const;
  void Embed(const DenseMatrix& table, const Tensor& out) const;
  static void RmsNorm(const Op& op);
  static void HeadNorm(const Op& op);
  static void LayerNorm(const Op& op);
  void MatMul(const Tensor& x, const DenseMatrix& matrix, const Tensor& out);
  void Rope(const Tensor& x, int64_t head_dim) const;
  void StoreKv(int64_t layer, const Tensor& k, const Tensor& v) const;
  void Attention(const Op& op);
  void BidirectionalAttention(const Op& op) const;
  static void Hadamard(const Op& op);
  static void SwiGlu(const Tensor& gate_up, const Tensor& out);
  static void Gelu(const Tensor& x, const Tensor& out);
  static void Add(const Tensor& x, const Tensor& y);
  void GatherRows(const Tensor& x, const Tensor& out) const;

  // Converts a head's q, k or v to the values that attention multiplies.
  void RoundHead(const float* from, int64_t head_dim, float* to) const;
  // RoPE's cosines and sines: exact, or in the type of the activations.
  double Angle(float value) const {
    return rounding_ == OpRounding::kNone ? value : Rounded(value);
  }
  // The rounding of attention's inputs and, where products are in bf16, of every product's inputs.
  float Rounded(float value) const;
  std::vector<float> RoundedRows(const Tensor& x) const;
  // One query row against positions 0 … length − 1. The probabilities are rounded and then
  // normalized, by the sum of the rounded probabilities. With an int8 cache, probabilities of 16
  // bits count as exact, and are not rounded here.
  void AttendRow(DenseKv& kv, int64_t layer, std::span<const int32_t> pages, int64_t length,
                 const float* q, int64_t width, float scale, float* out) const;

  Precision precision_;
  bool int8_kv_;
  OpRounding rounding_;
  std::mt19937_64 random_;
  bool at_random_;
  ThreadTeam team_;
  Step step_;
};

}  // namespace merope::reference
