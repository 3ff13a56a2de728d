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

// Writes the low halves of 16 bytes to q[0..15], and the high halves to q[16..31].
void ReadNibbles(const std::byte* from, uint8_t* q) {
  for (int i = 0; i < 16; ++i) {
    q[i] = static_cast<uint8_t>(Byte(from + i) & 15);
    q[i + 16] = static_cast<uint8_t>(Byte(from + i) >> 4);
  }
}

// Bit i of the 32 bits is the fifth bit of integer i.
void AddFifthBits(const std::byte* from, uint8_t* q) {
  for (int i = 0; i < kBlockRun; ++i)
    q[i] = static_cast<uint8_t>(q[i] | (Byte(from + i / 8) >> i % 8 & 1) << 4);
}

// The layout of Q4_K and Q5_K:
//   an f16 scale;
//   an f16 scale of the minimums, which are subtracted;
//   12 bytes with eight 6-bit factors for the scale and eight for the minimums;
//   in Q5_K only, 32 bytes of fifth bits: bit r of each byte belongs to run r;
//   32 bytes per pair of runs: the low halves belong to the even run.
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

// The layout of Q6_K: 128 bytes of low halves, 64 bytes of upper bit pairs, 16 signed factors, an
// f16 scale. Each 128 weights have four runs and 64 bytes of halves. Run r has its halves in the
// first 32 bytes if r is even, else in the second 32 bytes. They are the low halves if r < 2, else
// the high halves. The bit pairs of run r are at bits 2r.
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
