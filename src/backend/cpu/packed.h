// Weights in panel form and the KV cache's pages, as the CPU back end keeps them (kernels/kernels.h
// describes the forms; packer.h makes them).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/stored.h"
#include "backend/matrix.h"
#include "backend/step.h"
#include "base/aligned.h"

namespace merope::cpu {

// How a matrix's weights are kept.
enum class WeightForm : uint8_t { kFp32, kBf16, kPackedBf16, kInt8, kInt4, kStored };

struct PackedMatrix : Matrix {
  WeightForm form = WeightForm::kFp32;
  int64_t panel = 0;        // output features a panel
  int64_t k_steps = 0;      // in_features, or pairs of them
  bool paired = false;      // even panels hold the first half of the rows, odd ones the second
  std::vector<float> bias;  // (panels · panel) or empty
  PageArray<uint32_t>
      units;  // plain: (panels, k_steps, panel), the bits of a float, or a bf16 pair
  PageArray<uint8_t> integers;  // integers: the panels, panel_bytes each
  int64_t panel_bytes = 0;
  // Packed: the panels, their steps' flags (panels, k_steps), and the memory that their bytes lie
  // in, with those of other matrices.
  std::vector<PackedPanel> packed;
  std::vector<uint8_t> raw;
  std::vector<std::shared_ptr<const PageArray<uint8_t>>> steps;
  StoredPanels stored;

  int64_t panels() const;
  // The first row of a panel, and how many of its columns are rows (the last one's rest is zero).
  int64_t FirstRow(int64_t p) const;
  int64_t Rows(int64_t p) const;
  int64_t RawSteps() const;
  bool integer() const { return form == WeightForm::kInt8 || form == WeightForm::kInt4; }
  Precision precision() const;  // of integers
  int64_t groups() const;       // of integers, along in_features
  // Units of a row of a product's input (kernels.h).
  int64_t InputUnits() const;
  // The end of the panels from p on, before `end`, that one product takes: they follow each other
  // in memory, and their columns do.
  int64_t RunEnd(int64_t p, int64_t end) const;
  // What the kernel of this form takes as the panel p and those after it.
  const void* Panel(int64_t p) const;
  // Where its weights begin.
  const void* Weights(int64_t p) const;
  // One row back as fp32: the embedding of a token (out: in_features values).
  void UnpackRow(int64_t row, float* out) const;

 private:
  void UnpackIntegerRow(int64_t row, float* out) const;
  uint32_t PackedPair(const PackedPanel& from, const uint8_t* step, bool is_raw,
                      int64_t column) const;
};

// head_dim rounded up to kDimMultiple.
int64_t PaddedDim(int64_t head_dim);

enum class KvForm : uint8_t { kFp32, kBf16, kInt8 };
inline constexpr int64_t kMaxInt8HeadDim = 1024;  // of an int8 cache

// (pages, layers, kv_heads, K and V) blocks of kPageTokens positions.
struct PackedKv : KvMemory {
  KvForm form = KvForm::kFp32;
  int64_t padded_dim = 0;     // head_dim rounded up to kDimMultiple
  PageArray<uint32_t> units;  // fp32 bits, bf16 pairs, or four integers each

  PackedKv(const KvShape& kv_shape, int64_t pages, KvForm kv_form);

  // A layer's part of a page is the K blocks of all heads, then their V blocks: who reads some
  // heads of a sequence reads long runs, which comes nearer to the memory's bandwidth than blocks
  // apart.
  int64_t KUnits() const;  // units of one K block
  int64_t VUnits() const;  // and of one V block
  // Of a V block, and what a tile reads past it where its width is not a panel's: another thread
  // may be writing the next head.
  int64_t VStride() const;
  uint32_t* K(int64_t page, int64_t layer, int64_t head);
  uint32_t* V(int64_t page, int64_t layer, int64_t head);
  // Writes one head's k and v (head_dim values each) at a slot of a page. Slot 0 clears the page's
  // blocks first: nothing of an earlier owner may reach a product, not even times zero.
  void Store(int64_t page, int64_t layer, int64_t head, int64_t slot, const float* k,
             const float* v);
  // The same of n dimensions from an even one on, as pairs of bf16.
  void StorePairs(int64_t page, int64_t layer, int64_t head, int64_t slot, int64_t from, int64_t n,
                  const uint32_t* k, const uint32_t* v);
  // The same from rows that matmul's `quantize` made of them.
  void StoreQuantized(int64_t page, int64_t layer, int64_t head, int64_t slot, const uint32_t* k,
                      const uint32_t* v);

 private:
  int64_t LayerUnits() const { return shape.n_kv_heads * (KUnits() + VStride()); }
  void ClearOnFirst(int64_t page, int64_t layer, int64_t head, int64_t slot);
};

}  // namespace merope::cpu
