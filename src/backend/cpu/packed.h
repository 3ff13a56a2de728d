// Weights in panel form and the pages of the KV cache, as the CPU back end stores them.
// kernels/kernels.h describes the forms; packer.h makes the panels. The loading thread makes the
// matrices; the threads of the back end's team read them and write the pages.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/native.h"
#include "backend/matrix.h"
#include "backend/step.h"
#include "base/aligned.h"

namespace merope::cpu {

// How the weights of a matrix are stored.
enum class WeightForm : uint8_t { kFp32, kBf16, kPackedBf16, kInt8, kInt4, kNative };

struct PackedMatrix : Matrix {
  WeightForm form = WeightForm::kFp32;
  int64_t panel = 0;        // output features per panel
  int64_t k_steps = 0;      // steps of 1 (fp32), 2 (bf16) or 4 (integers, native) values of k
  bool paired = false;      // even panels hold the first half of the rows, odd panels the second
  std::vector<float> bias;  // (panels · panel) or empty
  // kFp32, kBf16: (panels, k_steps, panel). A unit is the bits of a float, or a bf16 pair.
  PageArray<uint32_t> units;
  PageArray<uint8_t> integers;  // kInt8, kInt4: the panels, panel_bytes each
  int64_t panel_bytes = 0;
  // kPackedBf16: the panels, the raw flags of their steps (panels, k_steps), and the memory of the
  // panels' bytes. Other matrices may have panels in the same memory.
  std::vector<PackedPanel> packed;
  std::vector<uint8_t> raw;
  std::vector<std::shared_ptr<const PageArray<uint8_t>>> steps;
  NativePanels native;

  int64_t panels() const;
  // The first row of panel p, and the number of its columns that are rows. The other columns of the
  // last panel are zero.
  int64_t FirstRow(int64_t p) const;
  int64_t Rows(int64_t p) const;
  int64_t RawSteps() const;
  bool integer() const { return form == WeightForm::kInt8 || form == WeightForm::kInt4; }
  Precision precision() const;  // kInt8 or kInt4; only for integers
  int64_t groups() const;       // groups along in_features; only for integers
  // The number of units in a row of a product's input (kernels.h).
  int64_t InputUnits() const;
  // The end, at most `end`, of the panels from p on that one product takes. These panels follow
  // each other in memory, and so do their columns.
  int64_t RunEnd(int64_t p, int64_t end) const;
  // The address that the kernel of this form takes for panel p and the panels after it.
  const void* Panel(int64_t p) const;
  // The address of the first weights of panel p.
  const void* Weights(int64_t p) const;
  // Writes one row as fp32: the embedding of a token (out: in_features values).
  void UnpackRow(int64_t row, float* out) const;

 private:
  void UnpackIntegerRow(int64_t row, float* out) const;
  uint32_t PackedPair(const PackedPanel& from, const uint8_t* step, bool is_raw,
                      int64_t column) const;
};

// head_dim rounded up to kDimMultiple.
int64_t PaddedDim(int64_t head_dim);

enum class KvForm : uint8_t { kFp32, kBf16, kInt8 };
inline constexpr int64_t kMaxInt8HeadDim = 1024;  // the largest head_dim of an int8 cache

// (pages, layers, kv_heads, K and V) blocks of kPageTokens positions.
struct PackedKv : KvMemory {
  KvForm form = KvForm::kFp32;
  int64_t padded_dim = 0;     // head_dim rounded up to kDimMultiple
  PageArray<uint32_t> units;  // each holds fp32 bits, a bf16 pair or four integers

  PackedKv(const KvShape& kv_shape, int64_t pages, KvForm kv_form);

  // In a page, a layer has the K blocks of all heads, then the V blocks of all heads. A thread that
  // reads some heads of a sequence then reads long runs. Long runs come nearer to the memory's
  // bandwidth than separate blocks.
  int64_t KUnits() const;  // units of one K block
  int64_t VUnits() const;  // units of one V block
  // Units from one V block to the next. If the block's width is no multiple of a panel's width, a
  // tile reads past the block. The gap is needed because another thread may be writing the next
  // head.
  int64_t VStride() const;
  uint32_t* K(int64_t page, int64_t layer, int64_t head);
  uint32_t* V(int64_t page, int64_t layer, int64_t head);
  // Writes one head's k and v (head_dim values each) to a slot of a page. A write to slot 0 first
  // clears the head's blocks of this page: values of an earlier owner must not reach a product, not
  // even multiplied by zero.
  void Store(int64_t page, int64_t layer, int64_t head, int64_t slot, const float* k,
             const float* v);
  // As Store, for the n dimensions from the even dimension `from` on. k and v are bf16 pairs.
  void StorePairs(int64_t page, int64_t layer, int64_t head, int64_t slot, int64_t from, int64_t n,
                  const uint32_t* k, const uint32_t* v);
  // As Store. k and v are quantized by the matmul kernels' `quantize`.
  void StoreQuantized(int64_t page, int64_t layer, int64_t head, int64_t slot, const uint32_t* k,
                      const uint32_t* v);

 private:
  int64_t LayerUnits() const { return shape.n_kv_heads * (KUnits() + VStride()); }
  void ClearOnFirst(int64_t page, int64_t layer, int64_t head, int64_t slot);
};

}  // namespace merope::cpu
