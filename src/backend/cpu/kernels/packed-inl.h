// bf16 weights in 12 bits, without loss (kernels.h describes the form): reading them into the tile,
// packing and unpacking a panel. Included once per instruction set.
#if defined(MEROPE_PACKED_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MEROPE_PACKED_INL_H_
#undef MEROPE_PACKED_INL_H_
#else
#define MEROPE_PACKED_INL_H_
#endif

#include <cstdint>
#include <cstring>

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/kernels/tile-inl.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace merope::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

// The maximum number of rows for which every tile of a product unpacks the steps for itself. At
// this number, unpacking in every tile and unpacking once take the same time on Zen 5.
inline constexpr int64_t kMaxPackedRows = 24;

// A step has two vectors of sign-and-mantissa bytes (the first for the panel's vectors a and b, the
// second for c and d), and one vector of exponent names (the low halves of its bytes for a and b,
// the high halves for c and d).
struct PackedBf16 : Bf16 {
  // At most 4 rows, because unpacking a step needs registers, too.
  static constexpr int kMaxRows = HWY_MIN(4, HWY_NAMESPACE::kMaxRows);
  using DB = hn::Repartition<uint8_t, DU>;
  using VB = hn::Vec<DB>;

  struct Reader {
    const uint8_t* at;
    const uint8_t* raw;
    // Exponents by name. highs: bits 7 to 1 of the exponent. lows: bit 0, at the top of the byte.
    // Arrays, because scalable vectors cannot be members. Both stay in registers.
    alignas(16) uint8_t highs[16] = {};
    alignas(16) uint8_t lows[16] = {};

    explicit HWY_INLINE Reader(const PackedPanel& panel) : at(panel.steps), raw(panel.raw) {
      for (int i = 1; i < 16; ++i) {
        const int exponent = panel.base + i;  // at most 255 for every name in use
        highs[i] = static_cast<uint8_t>((exponent >> 1) & 0x7f);
        lows[i] = static_cast<uint8_t>(exponent << 7);
      }
    }

    HWY_INLINE void Split(VB sign_mantissa, VB names, VU& first, VU& second) const {
      const VB sign = hn::Set(DB(), 0x80);
      const VB high = hn::LoadDup128(DB(), highs), low = hn::LoadDup128(DB(), lows);
      const VB top = hn::OrAnd(hn::TableLookupBytes(high, names), sign_mantissa, sign);
      const VB bottom = hn::Or(hn::TableLookupBytes(low, names), hn::AndNot(sign, sign_mantissa));
      first = hn::BitCast(DU(), hn::InterleaveLower(DB(), bottom, top));
      second = hn::BitCast(DU(), hn::InterleaveUpper(DB(), bottom, top));
    }

    HWY_INLINE void Next(VU& a, VU& b, VU& c, VU& d) {
      const DB db;
      const size_t bytes = hn::Lanes(db);
      if (*raw++ != 0) [[unlikely]] {
        a = hn::BitCast(DU(), hn::LoadU(db, at));
        b = hn::BitCast(DU(), hn::LoadU(db, at + bytes));
        c = hn::BitCast(DU(), hn::LoadU(db, at + 2 * bytes));
        d = hn::BitCast(DU(), hn::LoadU(db, at + 3 * bytes));
        at += 4 * bytes;
        return;
      }
      const VB names = hn::LoadU(db, at + 2 * bytes), nibble = hn::Set(db, 0x0f);
      const hn::Repartition<uint16_t, DB> dw;
      const VB upper = hn::BitCast(db, hn::ShiftRight<4>(hn::BitCast(dw, names)));
      Split(hn::LoadU(db, at), hn::And(names, nibble), a, b);
      Split(hn::LoadU(db, at + bytes), hn::And(upper, nibble), c, d);
      at += 3 * bytes;
    }
  };
};

// A PackedBf16 that also writes the unpacked steps to `plain`, for the rows that follow.
struct UnpackingBf16 : PackedBf16 {
  struct Reader : PackedBf16::Reader {
    uint32_t* plain;

    HWY_INLINE Reader(const PackedPanel& panel, uint32_t* to)
        : PackedBf16::Reader(panel), plain(to) {}

    HWY_INLINE void Next(VU& a, VU& b, VU& c, VU& d) {
      // Prefetches in software, because the stores keep the hardware from prefetching.
      constexpr size_t kAhead = 4096;
      const DU du;
      const size_t lanes = hn::Lanes(du);
      for (size_t i = 0; i < 12 * lanes; i += 64) __builtin_prefetch(at + kAhead + i, 0, 2);
      PackedBf16::Reader::Next(a, b, c, d);
      hn::StoreU(a, du, plain);
      hn::StoreU(b, du, plain + lanes);
      hn::StoreU(c, du, plain + 2 * lanes);
      hn::StoreU(d, du, plain + 3 * lanes);
      plain += 4 * lanes;
    }
  };
};

inline void UnpackPanel(const PackedPanel& panel, int64_t k_steps, uint32_t* plain) {
  UnpackingBf16::Reader reader(panel, plain);
  VU a, b, c, d;
  for (int64_t k = 0; k < k_steps; ++k) reader.Next(a, b, c, d);
}

// Chooses the base from a sample of the panel's steps: the base for which the most sampled steps
// have a name for every exponent. A name exists for the exponents base + 1 … base + 15.
inline uint8_t ChooseBase(const uint32_t* plain, int64_t k_steps) {
  constexpr int64_t kSampled = 128;
  const DU du;
  const hn::Repartition<uint16_t, DU> dw;
  const size_t lanes = hn::Lanes(du);
  const auto zero = hn::Zero(dw), most = hn::Set(dw, 0xff);
  // The numbers of steps by their highest and their lowest exponent. Exponent 0 is not counted.
  int64_t tops[256 + 16] = {}, bottoms[256] = {};
  const int64_t stride = HWY_MAX(int64_t{1}, k_steps / kSampled);
  for (int64_t k = 0; k < k_steps; k += stride) {
    auto top = zero, bottom = most;
    for (size_t i = 0; i < 4; ++i) {
      const auto weights =
          hn::BitCast(dw, hn::LoadU(du, plain + (static_cast<size_t>(k) * 4 + i) * lanes));
      const auto exponent = hn::And(hn::ShiftRight<7>(weights), most);
      top = hn::Max(top, exponent);
      bottom = hn::Min(bottom, hn::IfThenElse(hn::Eq(exponent, zero), most, exponent));
    }
    const int highest = hn::ReduceMax(dw, top), lowest = hn::ReduceMin(dw, bottom);
    // Every base names all exponents of the step, or no base does.
    if (highest < lowest || highest - lowest >= 15) continue;
    ++tops[highest];
    ++bottoms[lowest];
  }
  int64_t named = 0, best_named = -1;
  int best = 0;
  for (int e = 1; e < 16; ++e) named += tops[e];
  for (int base = 0; base + 15 < 256; ++base) {  // names exponents base + 1 … base + 15
    if (named > best_named) {
      best_named = named;
      best = base;
    }
    named += tops[base + 16] - bottoms[base + 1];
  }
  return static_cast<uint8_t>(best);
}

// Converts the bf16 vectors `first` and `second` to their bytes of sign and mantissa and to their
// exponent names, in the order that Split takes. Returns true if all exponents have names.
inline bool NameExponents(VU first, VU second, uint8_t base, PackedBf16::VB& sign_mantissa,
                          PackedBf16::VB& names) {
  const PackedBf16::DB db;
  const hn::Repartition<uint16_t, PackedBf16::DB> dw;
  using VW = hn::Vec<decltype(dw)>;
  const VW zero = hn::Zero(dw), most = hn::Set(dw, 14);
  auto unnamed = hn::MaskFalse(dw);
  const auto halves = [&](VU weights, VW& bytes, VW& name) {
    const VW w = hn::BitCast(dw, weights);
    bytes = hn::Or(hn::And(hn::ShiftRight<8>(w), hn::Set(dw, 0x80)), hn::And(w, hn::Set(dw, 0x7f)));
    const VW exponent = hn::And(hn::ShiftRight<7>(w), hn::Set(dw, 0xff));
    const auto is_zero = hn::Eq(exponent, zero);
    name = hn::IfThenZeroElse(is_zero, hn::Sub(exponent, hn::Set(dw, base)));
    const auto named = hn::Or(is_zero, hn::Le(hn::Sub(name, hn::Set(dw, 1)), most));
    unnamed = hn::Or(unnamed, hn::Not(named));
  };
  VW bytes1, bytes2, name1, name2;
  halves(first, bytes1, name1);
  halves(second, bytes2, name2);
  // Take the low byte of each word: kLower to the lower half of each block of 16 bytes, kUpper to
  // the upper half.
  alignas(16) static constexpr uint8_t kLower[16] = {0,   2,   4,   6,   8,   10,  12,  14,
                                                     128, 128, 128, 128, 128, 128, 128, 128};
  alignas(16) static constexpr uint8_t kUpper[16] = {128, 128, 128, 128, 128, 128, 128, 128,
                                                     0,   2,   4,   6,   8,   10,  12,  14};
  const auto lower = hn::LoadDup128(db, kLower), upper = hn::LoadDup128(db, kUpper);
  const auto join = [&](VW from1, VW from2) {
    return hn::Or(hn::TableLookupBytesOr0(hn::BitCast(db, from1), lower),
                  hn::TableLookupBytesOr0(hn::BitCast(db, from2), upper));
  };
  sign_mantissa = join(bytes1, bytes2);
  names = join(name1, name2);
  return hn::AllFalse(dw, unnamed);
}

inline int64_t PackPanel(const uint32_t* plain, int64_t k_steps, uint8_t* base, uint8_t* raw,
                         uint8_t* steps) {
  const DU du;
  const PackedBf16::DB db;
  const size_t lanes = hn::Lanes(du), bytes = hn::Lanes(db);
  *base = ChooseBase(plain, k_steps);
  uint8_t* to = steps;
  for (int64_t k = 0; k < k_steps; ++k, plain += 4 * lanes) {
    PackedBf16::VB low, low_names, high, high_names;
    const bool named1 =
        NameExponents(hn::LoadU(du, plain), hn::LoadU(du, plain + lanes), *base, low, low_names);
    const bool named2 = NameExponents(hn::LoadU(du, plain + 2 * lanes),
                                      hn::LoadU(du, plain + 3 * lanes), *base, high, high_names);
    raw[k] = !(named1 && named2);
    if (raw[k] != 0) {
      std::memcpy(to, plain, 4 * bytes);
      to += 4 * bytes;
      continue;
    }
    const hn::Repartition<uint16_t, PackedBf16::DB> dw;
    const auto upper = hn::BitCast(db, hn::ShiftLeft<4>(hn::BitCast(dw, high_names)));
    hn::StoreU(low, db, to);
    hn::StoreU(high, db, to + bytes);
    hn::StoreU(hn::Or(low_names, upper), db, to + 2 * bytes);
    to += 3 * bytes;
  }
  return to - steps;
}

}  // namespace merope::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
