// The ops of the CPU back end, cut into parts that one thread runs: rows, panels, heads. The back
// end runs them op by op (cpu_backend.cc) or fused in a plan (plan.cc), on the threads of its team.
// Results are bit-identical however an op is cut into parts.
#pragma once

#include <cstdint>
#include <vector>

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/native.h"
#include "backend/cpu/packed.h"
#include "backend/matrix.h"
#include "backend/op.h"
#include "backend/step.h"
#include "base/aligned.h"

namespace merope::cpu {

struct Range {
  int64_t begin = 0, end = 0;
  int64_t size() const { return end - begin; }
};
// Part number `thread` of the `threads` parts of [0, n). The cuts are at multiples of `unit`.
Range Share(int64_t n, int thread, int threads, int64_t unit = 1);

// Rows of a product's input, in the form that the matrix multiplies: floats, bf16 pairs or
// quantized rows (kernels.h, kernels/native.h).
struct ProductInput {
  const uint32_t* data;
  int64_t stride;  // units between rows
};

// The queries of a few K/V heads for a few consecutive tokens of a sequence.
struct AttentionItem {
  const SequenceRows* sequence;
  int64_t first_token, n_tokens, kv_head, n_heads;
};

// The memory of one thread for an attention item. The arrays grow when an item needs more memory. A
// step like an earlier step allocates nothing.
struct AttentionScratch {
  std::vector<const void*> k_pages, v_pages;
  PageArray<float> scores, sums;
  PageArray<uint32_t> weights, q;
  std::vector<int64_t> lengths;
  std::vector<float*> out;

  size_t bytes() const { return scores.bytes() + sums.bytes() + weights.bytes() + q.bytes(); }
};

// Enlarges an array that is too small. The array then loses its contents.
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

  // Runs an op on one row. The op works row by row: any op but MatMul, StoreKv and Attention.
  void RunRow(const Op& op, int64_t row) const;
  void EmbedRow(const PackedMatrix& table, int64_t row, const Tensor& out) const;
  void NormRow(const float* x, const Tensor& weight, float eps, float* out) const;
  // Normalizes all heads of x in one row. A head has as many values as the weight.
  void HeadNormRow(const Tensor& x, int64_t row, const Tensor& weight, float eps) const;
  // Converts one row of x to the InputUnits() units that a product with this matrix takes.
  void PrepareRow(const float* x, const PackedMatrix& matrix, uint32_t* out) const;
  void HadamardRow(float* x, int64_t cols, int64_t block, const Tensor& signs, bool inverse) const;
  // Computes the columns of `panels` for n_rows rows of x. Writes them to out, or with `add` adds
  // them to out. If the matrix is packed, `unpacked` grows to the size of one panel in plain form.
  void Panels(const PackedMatrix& matrix, const ProductInput& x, int64_t n_rows, Range panels,
              bool add, const Tensor& out, PageArray<uint32_t>* unpacked) const;
  // Computes the columns of one panel. out is scratch memory for (n_rows, panel) values.
  void OnePanel(const PackedMatrix& matrix, const ProductInput& x, int64_t n_rows, int64_t panel,
                float* out, PageArray<uint32_t>* unpacked) const;
  // Rotates all heads of x in one of the step's rows.
  void RopeRow(const Tensor& x, int64_t row, int64_t head_dim) const;
  void SwiGluRow(const float* gate, const float* up, int64_t n, float* out) const;
  void AddRow(float* x, const float* y, int64_t n) const;
  // Writes K and V of some heads, for the rows of one sequence, to the cache.
  void StoreHeads(int64_t layer, const SequenceRows& sequence, Range heads, const Tensor& k,
                  const Tensor& v) const;
  // Computes one item. q and out hold all rows of the step.
  void Attend(int64_t layer, const AttentionItem& item, const Tensor& q, float scale,
              const Tensor& out, AttentionScratch* scratch) const;
  // The number of tokens that attention takes at a time. Their query rows share one read of K and
  // V. group: query heads per K/V head.
  static int64_t AttentionTokens(int64_t group);
  // The maximum number of query rows of an item that has AttentionTokens tokens.
  static int64_t MaxAttentionRows(int64_t group);
  // Lists the step's items, of at most `tokens` tokens each, for `threads` threads to share. An
  // item has several heads if that leaves enough items for the threads.
  void ListItems(int64_t group, int64_t tokens, int threads,
                 std::vector<AttentionItem>* items) const;
  // Reserves memory for items of `rows` query rows that attend to at most `context` positions.
  void Reserve(const KvShape& shape, int64_t rows, int64_t context,
               AttentionScratch* scratch) const;

 private:
  // Writes k and v of one position and one head.
  void StoreHead(int64_t page, int64_t layer, int64_t head, int64_t slot, const float* k,
                 const float* v) const;
  // Writes a head's values as units of four integers, then minus 128 times the integers' sum, then
  // their scale.
  void QuantizeHead(const float* x, int64_t head_dim, uint32_t* out) const;
  // The product with `panels`, which belong to one run (RunEnd). The caller sets the fields of args
  // for x and out. Call sets the fields for the matrix.
  void Call(const PackedMatrix& matrix, Range panels, MatMulArgs args,
            PageArray<uint32_t>* unpacked) const;

  const MatMulKernels& matmul_ = GetMatMulKernels();
  const NativeKernels& native_ = GetNativeKernels();
  const AttentionKernels& attention_ = GetAttentionKernels();
  const ElementwiseKernels& elementwise_ = GetElementwiseKernels();
  Precision precision_;
  KvForm kv_;
  Step step_;
};

}  // namespace merope::cpu
