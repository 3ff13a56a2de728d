// The ops of the CPU back end in parts that one thread does: rows, panels, heads. The back end runs
// them one op after the other (cpu_backend.cc), or fused along a plan (plan.cc); how an op is cut
// into parts changes no bit.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/stored.h"
#include "backend/cpu/packed.h"
#include "backend/matrix.h"
#include "backend/step.h"
#include "base/aligned.h"

namespace merope::cpu {

struct Range {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
};
// Part `thread` of `threads` of [0, n), cut at multiples of `unit`.
Range Share(int64_t n, int thread, int threads, int64_t unit = 1);

// Rows of a product's input in the form that the matrix multiplies: floats, or bf16 pairs.
struct ProductInput {
  const uint32_t* data;
  int64_t stride;  // units between rows
};

// The queries of a few K/V heads for a few consecutive tokens of a sequence.
struct AttentionItem {
  const SequenceRows* sequence;
  int64_t first_token, n_tokens, kv_head, n_heads;
};

// What one thread needs for an attention item. Grows, but never in a step like those before it.
struct AttentionScratch {
  std::vector<const void*> k_pages, v_pages;
  PageArray<float> scores, sums;
  PageArray<uint32_t> weights, q;
  std::vector<int64_t> lengths;
  std::vector<float*> out;

  size_t bytes() const { return scores.bytes() + sums.bytes() + weights.bytes() + q.bytes(); }
};

// Enlarges an array that is too small; its contents are lost then.
template <class T>
void Grow(PageArray<T>* array, int64_t size) {
  if (array->size() < size) *array = PageArray<T>(std::max(size, 2 * array->size()));
}

class Ops {
 public:
  Ops(Precision precision, KvForm kv) : precision_(precision), kv_(kv) {}

  const char* target() const { return elementwise_.target; }
  const MatMulKernels& matmul() const { return matmul_; }
  Precision precision() const { return precision_; }
  KvForm kv_form() const { return kv_; }
  const Step& step() const { return step_; }
  void set_step(const Step& step) { step_ = step; }

  void EmbedRow(const PackedMatrix& table, int64_t row, const Tensor& out) const;
  void NormRow(const float* x, const Tensor& weight, float eps, float* out) const;
  // One row of x to the InputUnits that a product with this matrix takes.
  void PrepareRow(const float* x, const PackedMatrix& matrix, uint32_t* out) const;
  void HadamardRow(float* x, int64_t cols, int64_t block, const Tensor& signs, bool inverse) const;
  // out, or with add, added to out: the columns of those panels, for n_rows rows of x. unpacked
  // grows to a panel's plain form where the matrix is packed.
  void Panels(const PackedMatrix& matrix, const ProductInput& x, int64_t n_rows, Range panels,
              bool add, const Tensor& out, PageArray<uint32_t>* unpacked) const;
  // The same for one panel, to (n_rows, panel) values of scratch.
  void OnePanel(const PackedMatrix& matrix, const ProductInput& x, int64_t n_rows, int64_t panel,
                float* out, PageArray<uint32_t>* unpacked) const;
  // The heads of columns [begin, end) of one of the step's rows.
  void RopeRow(const Tensor& x, int64_t row, int64_t head_dim) const;
  void SwiGluRow(const float* gate, const float* up, int64_t n, float* out) const;
  void AddRow(float* x, const float* y, int64_t n) const;
  // K and V of some heads of one sequence's rows into the cache.
  void StoreHeads(int64_t layer, const SequenceRows& sequence, Range heads, const Tensor& k,
                  const Tensor& v) const;
  // One item; q and out hold all of the step's rows.
  void Attend(int64_t layer, const AttentionItem& item, const Tensor& q, float scale,
              const Tensor& out, AttentionScratch* scratch) const;
  // Tokens that attention takes at a time, so that their query rows share one reading of K and V.
  static int64_t AttentionTokens(int64_t group);
  // Query rows of an item that is taken so.
  static int64_t MaxAttentionRows(int64_t group);
  // The step's items of at most `tokens` tokens, for some threads to share: of several heads where
  // there are enough of them.
  void ListItems(int64_t group, int64_t tokens, int threads,
                 std::vector<AttentionItem>* items) const;
  // Memory for items of that many query rows, at most that far into a sequence.
  void Reserve(const KvShape& shape, int64_t rows, int64_t context,
               AttentionScratch* scratch) const;

 private:
  // k and v of one position, of one head.
  void StoreHead(int64_t page, int64_t layer, int64_t head, int64_t slot, const float* k,
                 const float* v) const;
  // A head's values as units of four integers, minus 128 times their sum, and their scale.
  void QuantizeHead(const float* x, int64_t head_dim, uint32_t* out) const;
  // The product with those panels, of one run (RunEnd). args: of x and out; the matrix's are filled
  // in.
  void Call(const PackedMatrix& matrix, Range panels, MatMulArgs args,
            PageArray<uint32_t>* unpacked) const;

  const MatMulKernels& matmul_ = GetMatMulKernels();
  const StoredKernels& stored_ = GetStoredKernels();
  const AttentionKernels& attention_ = GetAttentionKernels();
  const ElementwiseKernels& elementwise_ = GetElementwiseKernels();
  Precision precision_;
  KvForm kv_;
  Step step_;
};

}  // namespace merope::cpu
