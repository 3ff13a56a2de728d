#include "checkpoint/blocks.h"

#include <cstring>

#include "base/error.h"

namespace merope {
namespace {

uint16_t Half(const std::byte* from) {
  uint16_t value;
  std::memcpy(&value, from, 2);
  return value;
}

int Byte(const std::byte* from) { return std::to_integer<int>(*from); }

// The low halves of 16 bytes, then the high ones.
void ReadNibbles(const std::byte* from, uint8_t* q) {
  for (int i = 0; i < 16; ++i) {
    q[i] = static_cast<uint8_t>(Byte(from + i) & 15);
    q[i + 16] = static_cast<uint8_t>(Byte(from + i) >> 4);
  }
}

// Bit i of 32 is the fifth of integer i.
void AddFifthBits(const std::byte* from, uint8_t* q) {
  for (int i = 0; i < kBlockRun; ++i)
    q[i] = static_cast<uint8_t>(q[i] | (Byte(from + i / 8) >> i % 8 & 1) << 4);
}

// Q4_K and Q5_K: f16 scale, f16 scale of minimums (which are subtracted), 12 bytes of eight 6-bit
// factors each for both; (Q5_K: 32 bytes of fifth bits, bit r of each for run r;) then 32 bytes a
// pair of runs, the low halves the even one's.
void ReadK(const std::byte* block, int run, bool fifth, BlockRun* out) {
  out->scale = Half(block);
  out->minimum = static_cast<uint16_t>(Half(block + 2) ^ 0x8000u);
  const std::byte* packed = block + 4;
  const auto six = [&](int low, int low_shift, int high) {
    return static_cast<int8_t>((Byte(packed + low) >> low_shift & 15) | (Byte(packed + high) >> 6)
                                                                            << 4);
  };
  if (run < 4) {
    out->factors[0] = static_cast<int8_t>(Byte(packed + run) & 63);
    out->minimum_factor = static_cast<int8_t>(Byte(packed + run + 4) & 63);
  } else {
    out->factors[0] = six(run + 4, 0, run - 4);
    out->minimum_factor = six(run + 4, 4, run);
  }
  out->factors[1] = out->factors[0];
  const std::byte* nibbles = block + (fifth ? 48 : 16) + run / 2 * 32;
  for (int i = 0; i < kBlockRun; ++i) {
    const int low = Byte(nibbles + i) >> run % 2 * 4 & 15;
    const int bit = fifth ? Byte(block + 16 + i) >> run & 1 : 0;
    out->q[i] = static_cast<uint8_t>(low | bit << 4);
  }
}

// Q6_K: 128 bytes of low halves, 64 of upper bit pairs, 16 signed factors, f16 scale. Run r of each
// 128 weights has its halves in bytes 32 (r % 2)…, low for r < 2, and its pairs at bits 2r.
void ReadQ6_K(const std::byte* block, int run, BlockRun* out) {
  out->scale = Half(block + 208);
  const int half = run / 4, r = run % 4;
  for (int i = 0; i < 2; ++i)
    out->factors[i] = static_cast<int8_t>(Byte(block + 192 + 2 * run + i));
  for (int i = 0; i < kBlockRun; ++i) {
    const int low = Byte(block + half * 64 + r % 2 * 32 + i) >> r / 2 * 4 & 15;
    const int pair = Byte(block + 128 + half * 32 + i) >> 2 * r & 3;
    out->q[i] = static_cast<uint8_t>(low | pair << 4);
  }
}

}  // namespace

BlockType BlockTypeOf(DType dtype) {
  switch (dtype) {
    case DType::kQ8_0:
      return {.bits = 8, .offset = 128};
    case DType::kQ4_0:
      return {.bits = 4, .offset = 8};
    case DType::kQ4_1:
      return {.bits = 4, .minimum = true};
    case DType::kQ5_0:
      return {.bits = 8, .offset = 16};
    case DType::kQ5_1:
      return {.bits = 8, .minimum = true};
    case DType::kQ4_K:
      return {.bits = 4, .super = true, .minimum = true};
    case DType::kQ5_K:
      return {.bits = 8, .super = true, .minimum = true};
    case DType::kQ6_K:
      return {.bits = 6, .offset = 32, .super = true};
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kInt8:
    case DType::kInt4:
      break;
  }
  CHECK(false, "{} has no blocks", DTypeName(dtype));
}

BlockRun ReadBlockRun(DType dtype, const std::byte* row, int64_t index) {
  const int64_t runs = BlockElements(dtype) / kBlockRun;
  const std::byte* block = row + index / runs * BlockBytes(dtype);
  const int run = static_cast<int>(index % runs);
  BlockRun out;
  switch (dtype) {
    case DType::kQ8_0:
      out.scale = Half(block);
      for (int i = 0; i < kBlockRun; ++i)
        out.q[i] = static_cast<uint8_t>(Byte(block + 2 + i) ^ 0x80);  // plus 128
      break;
    case DType::kQ4_0:
      out.scale = Half(block);
      ReadNibbles(block + 2, out.q);
      break;
    case DType::kQ4_1:
      out.scale = Half(block);
      out.minimum = Half(block + 2);
      ReadNibbles(block + 4, out.q);
      break;
    case DType::kQ5_0:
      out.scale = Half(block);
      ReadNibbles(block + 6, out.q);
      AddFifthBits(block + 2, out.q);
      break;
    case DType::kQ5_1:
      out.scale = Half(block);
      out.minimum = Half(block + 2);
      ReadNibbles(block + 8, out.q);
      AddFifthBits(block + 4, out.q);
      break;
    case DType::kQ4_K:
    case DType::kQ5_K:
      ReadK(block, run, dtype == DType::kQ5_K, &out);
      break;
    case DType::kQ6_K:
      ReadQ6_K(block, run, &out);
      break;
    case DType::kF32:
    case DType::kF16:
    case DType::kBF16:
    case DType::kInt8:
    case DType::kInt4:
      CHECK(false, "{} has no blocks", DTypeName(dtype));
  }
  return out;
}

}  // namespace merope
