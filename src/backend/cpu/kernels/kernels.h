// The CPU back end's inner loops. Each is compiled once for every instruction set; a table of them
// for the best one that the CPU has is taken at start. No kernel allocates or knows of threads: the
// back end hands each thread its range.
//
// Panel form of a matrix W (out_features, in_features): output features in panels of `panel` (a
// last one padded with zeros), each panel one linear stream. fp32: [k][panel]. bf16:
// [k/2][panel][2], two k side by side in a 32-bit lane (in_features padded to even). K and V pages
// of the cache have the same form, so that attention is made of the same tiles.
//
// Packed bf16 panels hold the same weights, to the bit, in 12 bits: of each step of k (pairs of k,
// `panel` columns) one byte of sign and mantissa a weight, then half a byte that names its
// exponent: 0 for exponent 0 (zeros and denormals), i for exponent base + i. A step with an
// exponent that has no name is kept raw. Bytes are in the order in which vectors of this
// instruction set are put together again. (The idea that exponents compress: DFloat11, arXiv
// 2504.11651.)
//
// Integer panels: for each group of k (kInt8Group or kInt4Group, in_features padded to whole ones),
// steps of four k, [k/4][panel][4] bytes of weight + 128; or two such steps in one, the first in
// the low halves of the bytes and the second in the high ones, of codes (integer.h). Then the
// group's scales in bf16, one a column. x is one row of 32-bit units: k/4 of four signed bytes; for
// each group minus 128 times its sum, from which the sums of products start; and its scales: one
// for the row (int8), or one a group (int4).
//
// An output element is summed over k in one lane, in one order (chains of multiply-adds,
// tile-inl.h). Nothing about it depends on the tile, the row count or the thread; that is what
// makes results the same bits in any batch.
#pragma once

#include <cstddef>
#include <cstdint>

namespace merope::cpu {

// A product out (m, n) = x (m, k) · panelsᵀ + bias for consecutive panels, or with add, out +=
// that.
struct MatMulArgs {
  // The first one, in panel form: fp32, bf16 pairs, or integers; or PackedPanel's.
  const void* panels;
  int64_t panel_bytes;  // of integer panels
  int64_t n_panels;
  bool more;           // another panel follows the last one: it is fetched meanwhile
  int64_t n;           // columns to store: at most n_panels · panel, and more than one panel less
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
  uint8_t base;        // exponent base + i is named i, for i of 1 to 15
};

struct MatMulKernels {
  int64_t panel;  // output features a panel
  void (*fp32)(const MatMulArgs&);
  void (*bf16)(const MatMulArgs&);
  // Weights packed, x in bf16 pairs. scratch: one panel in its plain form, k_steps · panel units.
  void (*packed)(const MatMulArgs&, uint32_t* scratch);
  void (*int8)(const MatMulArgs&);
  void (*int4)(const MatMulArgs&);
  // A row of n values to what the integer products take: k_steps units of integers, those of the
  // groups' sums, and a scale for each run of `run` values. Nearest, ties to even, of x · (127 /
  // the largest magnitude).
  void (*quantize)(const float* x, int64_t n, int64_t k_steps, int64_t group, int64_t run,
                   uint32_t* out);
  // n_rows ≤ panel rows of k_steps bf16 pairs, in memory of any alignment, to the first columns of
  // a plain panel. Returns whether all values are finite.
  bool (*interleave)(const std::byte* const* rows, int64_t n_rows, int64_t k_steps, uint32_t* out);
  // A plain bf16 panel (k_steps, panel) to its packed form; returns the bytes written, at most
  // k_steps · panel · 4, and counts raw steps. Writes base and raw (k_steps).
  int64_t (*pack)(const uint32_t* plain, int64_t k_steps, uint8_t* base, uint8_t* raw,
                  uint8_t* steps);
  // And back.
  void (*unpack)(const PackedPanel& panel, int64_t k_steps, uint32_t* plain);
};
const MatMulKernels& GetMatMulKernels();

// Pages of an int8 cache, one K/V head's: K in steps of four dimensions, [head_dim/4][64][4] bytes
// of k + 128 (head_dim padded with zeros), V in steps of four positions, [16][padded_dim][4] signed
// bytes, each followed by the positions' 64 scales in fp32. q is quantized as rows of an integer
// product are, with offset 128 and its whole length as one group.
inline constexpr int64_t kInt8KvSlots = 64;

// Attention of query rows that share K/V heads, some rows a head, for heads that lie one after the
// other in memory. Row r of a head is of the token at position lengths[r] − 1.
struct AttentionArgs {
  // The first head's blocks, one an in-use page: fp32 [head_dim][64], or bf16 [head_dim/2][64][2];
  // fp32 [64][padded_dim], or bf16 [32][padded_dim][2].
  const void *const *k_pages, *const *v_pages;
  int64_t k_stride, v_stride;  // units of four bytes from one head's block to the next one's
  // (heads, rows, …): head_dim fp32, head_dim/2 bf16 pairs, or head_dim/4 + 2 quantized
  const void* q;
  int64_t heads, rows;           // K/V heads; rows of each
  int64_t head_dim, padded_dim;  // padded_dim: head_dim rounded up to kDimMultiple
  const int64_t* lengths;        // (rows) positions each row attends to: 0 … length − 1
  float scale;
  float* scores;      // scratch (heads, rows, pages · 64)
  float* sums;        // scratch, SumsSize(heads · rows, padded_dim)
  uint32_t* weights;  // scratch (heads, rows, pages · 32): bf16 pairs, or bytes; unused for fp32
  float* const* out;  // (heads, rows) each to head_dim values
};
inline constexpr int64_t kDimMultiple = 16;
// Floats (or pairs) that a tile may read past the end of what it was given: a panel's width.
inline constexpr int64_t kOverread = 64;
// Probability-weighted sums of V are made chunk by chunk of this many pages, then added in order: a
// fixed boundary, so that a long context may be split among threads without changing a bit.
inline constexpr int64_t kChunkPages = 16;

// The current chunk's sums, those of the chunks before, and a total, for each row.
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
  void (*rms_norm)(const float* x, const float* weight, float eps, int64_t n, float* out);
  // out (n): silu(gate) · up.
  void (*swiglu)(const float* gate, const float* up, int64_t n, float* out);
  void (*add)(float* x, const float* y, int64_t n);
  // One head of 2 · half values, turned in place.
  void (*rope)(float* x, const float* cos, const float* sin, int64_t half);
  // n values in place, in blocks (a power of two) that are multiplied by the orthonormal Hadamard
  // matrix, after (inverse: before) a product with signs (n) or, where that is nullptr, none.
  void (*hadamard)(float* x, int64_t n, int64_t block, const float* signs, bool inverse);
  // n values to bf16 pairs, rounded to nearest even; an odd last one is paired with zero.
  void (*to_bf16)(const float* x, int64_t n, uint32_t* out);
};
const ElementwiseKernels& GetElementwiseKernels();

}  // namespace merope::cpu
