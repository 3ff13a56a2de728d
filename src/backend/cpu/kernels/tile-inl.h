// The tile that every floating-point matrix product uses: up to kMaxRows rows of x times four
// vectors of output features. Included once per instruction set. The code has named variables
// instead of arrays, because scalable vectors cannot be array elements.
#if defined(MEROPE_TILE_INL_H_) == defined(HWY_TARGET_TOGGLE)
#ifdef MEROPE_TILE_INL_H_
#undef MEROPE_TILE_INL_H_
#else
#define MEROPE_TILE_INL_H_
#endif

#include <cstdint>

#include "backend/cpu/kernels/kernels.h"
#include "hwy/highway.h"

HWY_BEFORE_NAMESPACE();
namespace merope::cpu::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using DF = hn::CappedTag<float, 16>;  // a panel is at most as wide as a page of the KV cache
using VF = hn::Vec<DF>;
using DU = hn::RebindToUnsigned<DF>;
using VU = hn::Vec<DU>;

// Rows of a tile. A row has four accumulators; the registers (32 or 16) hold the accumulators of
// this number of rows.
#if HWY_TARGET <= HWY_AVX3 || HWY_ARCH_ARM_A64
inline constexpr int kMaxRows = 6;
#else
inline constexpr int kMaxRows = 3;
#endif

inline int64_t PanelWidth() { return 4 * static_cast<int64_t>(hn::Lanes(DF())); }

// A type of weights defines the units of a row of x (Unit), how a tile reads the four vectors of
// the next step of k (Reader), and how it multiplies them (MulAdd).
struct Fp32 {
  using Unit = float;
  using W = VF;
  static constexpr int64_t kPerUnit = 1;  // elements per unit
  static constexpr int kMaxRows = HWY_NAMESPACE::kMaxRows;
  struct Reader {
    const Unit* at;
    int64_t stride;  // units between successive k
    HWY_INLINE void Next(W& a, W& b, W& c, W& d) {
      const DF df;
      const size_t lanes = hn::Lanes(df);
      a = hn::LoadU(df, at), b = hn::LoadU(df, at + lanes);
      c = hn::LoadU(df, at + 2 * lanes), d = hn::LoadU(df, at + 3 * lanes);
      at += stride;
    }
  };
  static HWY_INLINE VF Broadcast(Unit x) { return hn::Set(DF(), x); }
  static HWY_INLINE VF MulAdd(VF w, VF x, VF sum) { return hn::MulAdd(w, x, sum); }
};

// Pairs of bf16: the odd (second) product is added first, then the even product. Each addition has
// its own rounding, as in the CPU's bf16 instruction.
struct Bf16 {
  using Unit = uint32_t;
  using W = VU;
  static constexpr int64_t kPerUnit = 2;
  static constexpr int kMaxRows = HWY_NAMESPACE::kMaxRows;
  struct Reader {
    const Unit* at;
    int64_t stride;
    HWY_INLINE void Next(W& a, W& b, W& c, W& d) {
      const DU du;
      const size_t lanes = hn::Lanes(du);
      a = hn::LoadU(du, at), b = hn::LoadU(du, at + lanes);
      c = hn::LoadU(du, at + 2 * lanes), d = hn::LoadU(du, at + 3 * lanes);
      at += stride;
    }
  };
  static HWY_INLINE VU Broadcast(Unit x) { return hn::Set(DU(), x); }
  static HWY_INLINE VF MulAdd(VU w, VU x, VF sum) {
    const DF df;
#if HWY_NATIVE_DOT_BF16 && HWY_ARCH_ARM
    // Not BFDOT, because BFDOT rounds to odd and flushes denormals.
    const hn::Repartition<hwy::bfloat16_t, DF> db;
    sum = hn::MulOddAdd(df, hn::BitCast(db, w), hn::BitCast(db, x), sum);
    return hn::MulEvenAdd(df, hn::BitCast(db, w), hn::BitCast(db, x), sum);
#elif HWY_NATIVE_DOT_BF16
    const hn::Repartition<hwy::bfloat16_t, DF> db;
    VF unused = hn::Zero(df);
    return hn::ReorderWidenMulAccumulate(df, hn::BitCast(db, w), hn::BitCast(db, x), sum, unused);
#else
    const VU high = hn::Set(DU(), 0xffff0000u);
    sum = hn::MulAdd(hn::BitCast(df, hn::And(w, high)), hn::BitCast(df, hn::And(x, high)), sum);
    return hn::MulAdd(hn::BitCast(df, hn::ShiftLeft<16>(w)), hn::BitCast(df, hn::ShiftLeft<16>(x)),
                      sum);
#endif
  }
};

// The length of a chain, in steps of k. A chain is one sequence of multiply-adds. An output is the
// sum of its chains, added in order. Rounding errors grow with the length of a chain. This length
// keeps the errors at about a third of the errors of a single chain over all of k.
inline constexpr int64_t kBlockSteps = 128;

struct TileArgs {
  int64_t k_steps;
  int64_t x_stride, out_stride;
  int64_t columns;    // outputs to store, at most the panel's width
  const float* bias;  // (panel width) or nullptr
  bool accumulate;    // start from the values of out (the whole panel width) instead of zero
  bool add;           // add the finished sums to the values of out
  // The next panel. A product of many rows prefetches its bytes on the way, and then never waits
  // for memory. nullptr: none.
  const uint8_t* next = nullptr;
  int64_t next_bytes = 0;
};

// Whether a panel follows panel p.
HWY_INLINE bool HasNext(const MatMulArgs& args, int64_t p) {
  return p + 1 < args.n_panels || args.more;
}

// The arguments for panel p of a product. `next` is the address of the panel after p, if one
// exists.
HWY_INLINE TileArgs TileArgsOf(const MatMulArgs& args, int64_t p, const void* next,
                               int64_t next_bytes) {
  const int64_t panel = PanelWidth(), column = p * panel;
  return {.k_steps = args.k_steps,
          .x_stride = args.x_stride,
          .out_stride = args.out_stride,
          .columns = HWY_MIN(panel, args.n - column),
          .bias = args.bias == nullptr ? nullptr : args.bias + column,
          .accumulate = false,
          .add = args.add,
          .next = HasNext(args, p) ? static_cast<const uint8_t*>(next) : nullptr,
          .next_bytes = next_bytes};
}

#define MEROPE_ROWS(DO) DO(0) DO(1) DO(2) DO(3) DO(4) DO(5)
#define MEROPE_INIT(r)                                                    \
  [[maybe_unused]] VF a##r = zero, b##r = zero, c##r = zero, d##r = zero; \
  if constexpr (kRows > (r)) {                                            \
    if (args.accumulate && begin == 0) {                                  \
      const float* at = out + (r) * args.out_stride;                      \
      a##r = hn::LoadU(df, at);                                           \
      b##r = hn::LoadU(df, at + lanes);                                   \
      c##r = hn::LoadU(df, at + 2 * lanes);                               \
      d##r = hn::LoadU(df, at + 3 * lanes);                               \
    }                                                                     \
  }
// Adds this chain's sums to the total of the chains before, and stores the new total for the next
// chain.
#define MEROPE_FOLD(r)                                     \
  if constexpr (kRows > (r)) {                             \
    float* at = totals + (r) * 4 * lanes;                  \
    if (begin > 0) {                                       \
      a##r = hn::Add(hn::LoadU(df, at), a##r);             \
      b##r = hn::Add(hn::LoadU(df, at + lanes), b##r);     \
      c##r = hn::Add(hn::LoadU(df, at + 2 * lanes), c##r); \
      d##r = hn::Add(hn::LoadU(df, at + 3 * lanes), d##r); \
    }                                                      \
    if (end < args.k_steps) {                              \
      hn::StoreU(a##r, df, at);                            \
      hn::StoreU(b##r, df, at + lanes);                    \
      hn::StoreU(c##r, df, at + 2 * lanes);                \
      hn::StoreU(d##r, df, at + 3 * lanes);                \
    }                                                      \
  }
#define MEROPE_STEP(r)                                           \
  if constexpr (kRows > (r)) {                                   \
    const auto xr = Type::Broadcast(x[(r) * args.x_stride + k]); \
    a##r = Type::MulAdd(wa, xr, a##r);                           \
    b##r = Type::MulAdd(wb, xr, b##r);                           \
    c##r = Type::MulAdd(wc, xr, c##r);                           \
    d##r = Type::MulAdd(wd, xr, d##r);                           \
  }
#define MEROPE_FINISH(r)                                          \
  if constexpr (kRows > (r)) {                                    \
    if (args.bias != nullptr) {                                   \
      a##r = hn::Add(a##r, hn::LoadU(df, args.bias));             \
      b##r = hn::Add(b##r, hn::LoadU(df, args.bias + lanes));     \
      c##r = hn::Add(c##r, hn::LoadU(df, args.bias + 2 * lanes)); \
      d##r = hn::Add(d##r, hn::LoadU(df, args.bias + 3 * lanes)); \
    }                                                             \
    float* at = out + (r) * args.out_stride;                      \
    if (args.columns == 4 * lanes && !args.add) {                 \
      hn::StoreU(a##r, df, at);                                   \
      hn::StoreU(b##r, df, at + lanes);                           \
      hn::StoreU(c##r, df, at + 2 * lanes);                       \
      hn::StoreU(d##r, df, at + 3 * lanes);                       \
    } else {                                                      \
      PutRow(a##r, b##r, c##r, d##r, args, at);                   \
    }                                                             \
  }

// Stores the first n values at `at`, or adds them. Stores nothing if n ≤ 0.
HWY_INLINE void Put(VF values, int64_t n, bool add, float* at) {
  const DF df;
  if (n >= static_cast<int64_t>(hn::Lanes(df))) {
    hn::StoreU(add ? hn::Add(hn::LoadU(df, at), values) : values, df, at);
  } else if (n > 0) {
    const auto part = static_cast<size_t>(n);
    hn::StoreN(add ? hn::Add(hn::LoadN(df, at, part), values) : values, df, at, part);
  }
}

// Not inlined, because inlined copies would be most of the code.
[[maybe_unused]] static HWY_NOINLINE void PutRow(VF a, VF b, VF c, VF d, const TileArgs& args,
                                                 float* at) {
  const auto lanes = static_cast<int64_t>(hn::Lanes(DF()));
  Put(a, args.columns, args.add, at);
  Put(b, args.columns - lanes, args.add, at + lanes);
  Put(c, args.columns - 2 * lanes, args.add, at + 2 * lanes);
  Put(d, args.columns - 3 * lanes, args.add, at + 3 * lanes);
}

// Prefetches a part of the next panel, a number of bytes per step. Without a next panel, Fetch
// prefetches an address that exists: an invalid address may cause a page-table walk at every step.
inline constexpr uint8_t kNothing = 0;
struct Fetch {
  const uint8_t* at = &kNothing;
  int64_t bytes = 0;
  HWY_INLINE void Step() {
    __builtin_prefetch(at, 0, 2);  // to the second-level cache
    at += bytes;
  }
};

// The prefetch of whole tile `i` of `n`. With few tiles, the hardware's own prefetching is enough.
HWY_INLINE Fetch FetchOf(const TileArgs& args, int64_t i, int64_t n) {
  if (args.next == nullptr || n < 3) return {};
  const int64_t part = args.next_bytes / n;
  return {args.next + i * part, part / args.k_steps + 1};
}

template <class Type, int kRows>
HWY_INLINE void TileRows(typename Type::Reader w, const typename Type::Unit* HWY_RESTRICT x,
                         float* HWY_RESTRICT out, const TileArgs& args, Fetch fetch = {}) {
  const DF df;
  const auto lanes = static_cast<int64_t>(hn::Lanes(df));
  const VF zero = hn::Zero(df);
  float totals[kRows * 64];
  for (int64_t begin = 0;; begin += kBlockSteps) {
    const int64_t end = HWY_MIN(begin + kBlockSteps, args.k_steps);
    MEROPE_ROWS(MEROPE_INIT)
    for (int64_t k = begin; k < end; ++k) {
      typename Type::W wa, wb, wc, wd;
      w.Next(wa, wb, wc, wd);
      if constexpr (kRows == Type::kMaxRows) fetch.Step();
      MEROPE_ROWS(MEROPE_STEP)
    }
    MEROPE_ROWS(MEROPE_FOLD)
    if (end < args.k_steps) continue;
    MEROPE_ROWS(MEROPE_FINISH)
    return;
  }
}

// Any number of rows of x times one panel.
template <class Type>
HWY_INLINE void Tile(const typename Type::Reader& w, const typename Type::Unit* x, int64_t rows,
                     float* out, const TileArgs& args) {
  constexpr int kMost = Type::kMaxRows;
  const int64_t whole = rows / kMost;
  for (int64_t i = 0; i < whole; ++i, rows -= kMost) {
    TileRows<Type, kMost>(w, x, out, args, FetchOf(args, i, whole));
    x += kMost * args.x_stride;
    out += kMost * args.out_stride;
  }
  if (rows == 1) return TileRows<Type, 1>(w, x, out, args);
  if (rows == 2) return TileRows<Type, 2>(w, x, out, args);
  if constexpr (kMost > 3)
    if (rows == 3) return TileRows<Type, 3>(w, x, out, args);
  if constexpr (kMost > 4)
    if (rows == 4) return TileRows<Type, 4>(w, x, out, args);
  if constexpr (kMost > 5)
    if (rows == 5) return TileRows<Type, 5>(w, x, out, args);
}

#undef MEROPE_ROWS
#undef MEROPE_INIT
#undef MEROPE_FOLD
#undef MEROPE_STEP
#undef MEROPE_FINISH

}  // namespace merope::cpu::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
