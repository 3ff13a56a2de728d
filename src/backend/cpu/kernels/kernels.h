// The inner loops of the CPU back end. Each kernel is compiled once for every instruction set. At
// start, the back end takes the table of kernels for the best instruction set of the CPU. No kernel
// allocates memory or knows of threads: the back end gives each thread its range.
//
// Panel form of a matrix W (out_features, in_features): the output features are in panels of
// `panel` features. Zeros pad the last panel. Each panel is one linear stream. fp32: [k][panel].
// bf16: [k/2][panel][2], two k side by side in a 32-bit lane; in_features is padded to even. K and
// V pages of the cache have the same form, so that attention uses the same tiles.
//
// Packed bf16 panels hold bit-identical weights, in 12 bits each. A step is one pair of k for
// `panel` columns. A step has one byte of sign and mantissa per weight, then half a byte per weight
// that names the exponent: 0 for exponent 0 (zeros and denormals), i for exponent base + i. A step
// with an exponent that has no name is stored raw. The bytes are in the order in which vectors of
// this instruction set are put together again. (The idea that exponents compress: DFloat11, arXiv
// 2504.11651.)
//
// Integer panels consist of groups of k (kInt8Group or kInt4Group; in_features is padded to whole
// groups). A group has steps of four k. int8: [k/4][panel][4] bytes of weight + 128. int4: codes
// (integer.h), two such steps in one: the first step in the low halves of the bytes, the second
// step in the high halves. Then follow the group's scales in bf16, one per column. A row of x is in
// 32-bit units: k/4 units of four signed bytes; for each group, minus 128 times the sum of its
// bytes, with which the sums of products start; then the scales, one for the row (int8) or one per
// group (int4).
//
// An output element is summed over k in one lane, in one order (chains of multiply-adds,
// tile-inl.h). Nothing in this sum depends on the tile, the row count or the thread. Therefore
// results are bit-identical in any batch.
#pragma once

#include <cstddef>
#include <cstdint>

namespace merope::cpu {

// A product for consecutive panels: out (m, n) = x (m, k) · panelsᵀ + bias. With `add`, the product
// is added to out.
struct MatMulArgs {
  // The first panel in panel form (fp32, bf16 pairs or integers), or the first PackedPanel.
  const void* panels;
  int64_t panel_bytes;  // of integer panels
  int64_t n_panels;
  bool more;           // another panel follows the last panel; the kernel prefetches it
  int64_t n;           // columns to store: (n_panels − 1) · panel < n ≤ n_panels · panel
  const float* bias;   // (n_panels · panel) or nullptr
  const void* x;       // (m, k): fp32, or bf16 pairs in 32-bit units, or quantized rows
  int64_t x_stride;    // between rows of x, in units
  int64_t m, k_steps;  // k_steps: k for fp32, k/2 for bf16, k/4 for integers
  float* out;
  int64_t out_stride;
  bool add;
};

inline constexpr int64_t kInt8Group = 64, kInt4Group = 32;

struct PackedPanel {
  const uint8_t* steps;
  const uint8_t* raw;  // (k_steps) 1 where a step is raw
  uint8_t base;        // exponent base + i has the name i, for i from 1 to 15
};

struct MatMulKernels {
  int64_t panel;  // output features per panel
  void (*fp32)(const MatMulArgs&);
  void (*bf16)(const MatMulArgs&);
  // Weights packed, x in bf16 pairs. scratch: one panel in plain form, k_steps · panel units.
  void (*packed)(const MatMulArgs&, uint32_t* scratch);
  void (*int8)(const MatMulArgs&);
  void (*int4)(const MatMulArgs&);
  // Converts a row of n values to the form of x for the integer products: k_steps units of
  // integers, one unit per group for its sum, and one scale per run of `run` values. An integer is
  // the nearest to x · (127 / the run's largest magnitude), ties to even.
  void (*quantize)(const float* x, int64_t n, int64_t k_steps, int64_t group, int64_t run,
                   uint32_t* out);
  // Writes n_rows ≤ panel rows of k_steps bf16 pairs to the first columns of a plain panel. The
  // rows may have any alignment. Returns whether all values are finite.
  bool (*interleave)(const std::byte* const* rows, int64_t n_rows, int64_t k_steps, uint32_t* out);
  // Packs a plain bf16 panel (k_steps, panel): writes base, the flags raw (k_steps) and the steps.
  // Returns the bytes written to steps, at most k_steps · panel · 4.
  int64_t (*pack)(const uint32_t* plain, int64_t k_steps, uint8_t* base, uint8_t* raw,
                  uint8_t* steps);
  // The inverse of pack.
  void (*unpack)(const PackedPanel& panel, int64_t k_steps, uint32_t* plain);
};
const MatMulKernels& GetMatMulKernels();

// One K/V head in a page of an int8 cache. K is in steps of four dimensions: [head_dim/4][64][4]
// bytes of k + 128, with head_dim padded with zeros. V is in steps of four positions:
// [16][padded_dim][4] signed bytes. Both K and V are followed by the 64 positions' scales in fp32.
// q is quantized like a row of an integer product, with offset 128 and the whole q as one group.
inline constexpr int64_t kInt8KvSlots = 64;

// Attention of query rows that share K/V heads. Each head has `rows` query rows, and the heads lie
// one after the other in memory. Row r of a head is the token at position lengths[r] − 1.
struct AttentionArgs {
  // The first head's blocks, one per page in use. K: fp32 [head_dim][64] or bf16
  // [head_dim/2][64][2]. V: fp32 [64][padded_dim] or bf16 [32][padded_dim][2].
  const void *const *k_pages, *const *v_pages;
  int64_t k_stride, v_stride;  // units of four bytes from one head's block to the next head's
  // (heads, rows, …): head_dim fp32, head_dim/2 bf16 pairs, or head_dim/4 + 2 quantized
  const void* q;
  int64_t heads, rows;           // K/V heads; query rows per K/V head
  int64_t head_dim, padded_dim;  // padded_dim: head_dim rounded up to kDimMultiple
  const int64_t* lengths;        // (rows) a row attends to positions 0 … length − 1
  float scale;
  float* scores;      // scratch (heads, rows, pages · 64)
  float* sums;        // scratch, SumsSize(heads · rows, padded_dim)
  uint32_t* weights;  // scratch (heads, rows, pages · 32): bf16 pairs, or bytes; unused for fp32
  float* const* out;  // (heads, rows) pointers to head_dim values each
};
inline constexpr int64_t kDimMultiple = 16;
// Floats (or pairs) that a tile may read past the end of its input: the width of a panel.
inline constexpr int64_t kOverread = 64;
// Probability-weighted sums of V are computed in chunks of this number of pages. The chunks' sums
// are then added in order. The boundaries are fixed, so that threads may share a long context and
// results stay bit-identical.
inline constexpr int64_t kChunkPages = 16;

// For each row: the current chunk's sums, the sums of the chunks before, and a total.
inline int64_t SumsSize(int64_t rows, int64_t padded_dim) {
  return rows * (2 * padded_dim + 1) + kOverread;
}

struct AttentionKernels {
  void (*fp32)(const AttentionArgs&);
  void (*bf16)(const AttentionArgs&);
  void (*int8)(const AttentionArgs&);
};
const AttentionKernels& GetAttentionKernels();

struct ElementwiseKernels {
  const char* target;  // Highway's name of the instruction set
  // out may be x.
  void (*rms_norm)(const float* x, const float* weight, float eps, int64_t n, float* out);
  // out (n): silu(gate) · up.
  void (*swiglu)(const float* gate, const float* up, int64_t n, float* out);
  void (*add)(float* x, const float* y, int64_t n);
  // Rotates one head of 2 · half values in place.
  void (*rope)(float* x, const float* cos, const float* sin, int64_t half);
  // Multiplies n values in place by the orthonormal Hadamard matrix, in blocks of `block` values (a
  // power of two). Multiplies by signs (n) before (inverse: after). signs == nullptr: no signs.
  void (*hadamard)(float* x, int64_t n, int64_t block, const float* signs, bool inverse);
  // Rounds n values to bf16 pairs, to nearest, ties to even. The last value of an odd n is paired
  // with zero.
  void (*to_bf16)(const float* x, int64_t n, uint32_t* out);
};
const ElementwiseKernels& GetElementwiseKernels();

}  // namespace merope::cpu
