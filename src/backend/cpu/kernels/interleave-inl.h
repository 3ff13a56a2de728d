// Converts rows of bf16 weights, as a checkpoint stores them, to a plain panel (kernels.h): a
// transposition of pairs. Included once per instruction set.
#if defined(MEROPE_INTERLEAVE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MEROPE_INTERLEAVE_INL_H_
#undef MEROPE_INTERLEAVE_INL_H_
#else
#define MEROPE_INTERLEAVE_INL_H_
#endif

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "backend/cpu/kernels/tile-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace merope::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

inline bool AllFinite(const std::byte* row, int64_t k_steps) {
  const hn::ScalableTag<uint8_t> d8;
  const hn::Repartition<uint16_t, decltype(d8)> d16;
  const auto bytes = static_cast<int64_t>(hn::Lanes(d8)), n = 4 * k_steps;
  const auto* at = reinterpret_cast<const uint8_t*>(row);
  const auto exponent = hn::Set(d16, 0x7f80);
  auto infinite = hn::MaskFalse(d16);
  const auto look = [&](hn::Vec<decltype(d8)> values) HWY_ATTR {
    const auto found = hn::Eq(hn::And(hn::BitCast(d16, values), exponent), exponent);
    infinite = hn::Or(infinite, found);
  };
  int64_t i = 0;
  for (; i + bytes <= n; i += bytes) look(hn::LoadU(d8, at + i));
  if (i < n) look(hn::LoadN(d8, at + i, static_cast<size_t>(n - i)));
  return hn::AllFalse(d16, infinite);
}

// First checks each row from its beginning to its end, because memory is read fastest in this way.
// Then the rows are in the caches for the transposition, which jumps from row to row.
inline bool InterleaveRows(const std::byte* const* rows, int64_t n_rows, int64_t k_steps,
                           uint32_t* out) {
  bool finite = true;
  for (int64_t j = 0; j < n_rows; ++j) finite = AllFinite(rows[j], k_steps) && finite;

  const hn::FixedTag<uint32_t, 4> d4;
  const hn::FixedTag<uint64_t, 2> d2;
  const hn::FixedTag<uint8_t, 16> d16;
  constexpr int64_t kBlock = 16;  // k steps: a cache line of each row, and few lines of out
  const int64_t panel = PanelWidth();
  for (int64_t begin = 0; begin < k_steps; begin += kBlock) {
    const int64_t end = HWY_MIN(begin + kBlock, k_steps), whole = begin + (end - begin) / 4 * 4;
    int64_t j = 0;
    for (; j + 4 <= n_rows; j += 4) {
      for (int64_t k = begin; k < whole; k += 4) {
        const auto load = [&](int64_t row) HWY_ATTR {
          return hn::BitCast(
              d4, hn::LoadU(d16, reinterpret_cast<const uint8_t*>(rows[j + row]) + 4 * k));
        };
        const auto a = load(0), b = load(1), c = load(2), d = load(3);
        const auto ab = hn::BitCast(d2, hn::InterleaveLower(d4, a, b));
        const auto cd = hn::BitCast(d2, hn::InterleaveLower(d4, c, d));
        const auto ab2 = hn::BitCast(d2, hn::InterleaveUpper(d4, a, b));
        const auto cd2 = hn::BitCast(d2, hn::InterleaveUpper(d4, c, d));
        uint32_t* to = out + k * panel + j;
        hn::StoreU(hn::BitCast(d4, hn::InterleaveLower(d2, ab, cd)), d4, to);
        hn::StoreU(hn::BitCast(d4, hn::InterleaveUpper(d2, ab, cd)), d4, to + panel);
        hn::StoreU(hn::BitCast(d4, hn::InterleaveLower(d2, ab2, cd2)), d4, to + 2 * panel);
        hn::StoreU(hn::BitCast(d4, hn::InterleaveUpper(d2, ab2, cd2)), d4, to + 3 * panel);
      }
    }
    for (int64_t row = 0; row < n_rows; ++row)  // the remaining rows and steps
      for (int64_t k = row < j ? whole : begin; k < end; ++k)
        std::memcpy(&out[k * panel + row], rows[row] + 4 * k, 4);
  }
  return finite;
}

}  // namespace merope::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
