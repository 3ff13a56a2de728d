// Converts ggml's block formats to fp32. Each product and each sum is rounded once to fp32, in the
// order of ggml's reference and the gguf Python package. Therefore the values are bit-identical to
// the values of ggml and of the gguf package.
#include <algorithm>
#include <cstring>

#include "base/error.h"
#include "checkpoint/integer_blocks.h"
#include "checkpoint/tensor_view.h"

namespace merope {
namespace {

constexpr int kBlock = 32;  // elements of a Q4_0 … Q8_0 block, and of a K type's sub-block

// Reads a value at any address. A tensor of a safetensors file may begin at any byte, and the
// values inside a GGUF block are not aligned.
template <class T>
T Load(const std::byte* from) {
  T value;
  std::memcpy(&value, from, sizeof(T));
  return value;
}

float LoadHalf(const std::byte* from) { return F16ToF32(Load<uint16_t>(from)); }

int Low(std::byte byte) { return std::to_integer<int>(byte) & 15; }
int High(std::byte byte) { return std::to_integer<int>(byte) >> 4; }

void DecodeF16(const std::byte* data, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = LoadHalf(data + 2 * i);
}

void DecodeBF16(const std::byte* data, int64_t n, float* out) {
  for (int64_t i = 0; i < n; ++i) out[i] = BF16ToF32(Load<uint16_t>(data + 2 * i));
}

// f16 scale, 32 signed bytes.
void DecodeQ8_0(const std::byte* block, float* out) {
  const float scale = LoadHalf(block);
  for (int i = 0; i < kBlock; ++i) {
    out[i] = static_cast<float>(Load<int8_t>(block + 2 + i)) * scale;
  }
}

// f16 scale, 16 bytes. The low nibbles are the first half of the block, and the high nibbles are
// the second half. A value is the nibble minus 8.
void DecodeQ4_0(const std::byte* block, float* out) {
  const float scale = LoadHalf(block);
  for (int i = 0; i < kBlock / 2; ++i) {
    out[i] = scale * static_cast<float>(Low(block[2 + i]) - 8);
    out[i + kBlock / 2] = scale * static_cast<float>(High(block[2 + i]) - 8);
  }
}

// f16 scale, f16 minimum, nibbles as in Q4_0.
void DecodeQ4_1(const std::byte* block, float* out) {
  const float scale = LoadHalf(block), minimum = LoadHalf(block + 2);
  for (int i = 0; i < kBlock / 2; ++i) {
    out[i] = scale * static_cast<float>(Low(block[4 + i])) + minimum;
    out[i + kBlock / 2] = scale * static_cast<float>(High(block[4 + i])) + minimum;
  }
}

// f16 scale, 32 fifth bits, nibbles as in Q4_0. A value is the 5-bit integer minus 16.
void DecodeQ5_0(const std::byte* block, float* out) {
  const float scale = LoadHalf(block);
  const auto fifth = Load<uint32_t>(block + 2);
  for (int i = 0; i < kBlock / 2; ++i) {
    const int low_bit = static_cast<int>((fifth >> i) & 1);
    const int high_bit = static_cast<int>((fifth >> (i + kBlock / 2)) & 1);
    out[i] = scale * static_cast<float>((Low(block[6 + i]) | low_bit << 4) - 16);
    out[i + kBlock / 2] = scale * static_cast<float>((High(block[6 + i]) | high_bit << 4) - 16);
  }
}

// f16 scale, f16 minimum, 32 fifth bits, nibbles as in Q4_0.
void DecodeQ5_1(const std::byte* block, float* out) {
  const float scale = LoadHalf(block), minimum = LoadHalf(block + 2);
  const auto fifth = Load<uint32_t>(block + 4);
  for (int i = 0; i < kBlock / 2; ++i) {
    const int low_bit = static_cast<int>((fifth >> i) & 1);
    const int high_bit = static_cast<int>((fifth >> (i + kBlock / 2)) & 1);
    out[i] = scale * static_cast<float>(Low(block[8 + i]) | low_bit << 4) + minimum;
    out[i + kBlock / 2] = scale * static_cast<float>(High(block[8 + i]) | high_bit << 4) + minimum;
  }
}

// The 6-bit scale and minimum of sub-block j of Q4_K and Q5_K, from 12 bytes. Bytes 0-3 hold the
// first four scales whole, and bytes 4-7 hold the first four minimums whole. For the last four,
// bytes 8-11 hold the low four bits of the scale in the low nibble, and those of the minimum in the
// high nibble. The upper two bits are the top bits of bytes 0-3 (scales) and bytes 4-7 (minimums).
struct ScaleMinimum {
  int scale, minimum;
};
ScaleMinimum UnpackScaleMinimum(const std::byte* packed, int j) {
  const auto byte = [packed](int i) { return std::to_integer<int>(packed[i]); };
  if (j < 4) return {byte(j) & 63, byte(j + 4) & 63};
  return {(byte(j + 4) & 15) | (byte(j - 4) >> 6 << 4), byte(j + 4) >> 4 | (byte(j) >> 6 << 4)};
}

// f16 scale, f16 scale of the minimums, 12 bytes of sub-block scales and minimums, then 4 × 32
// bytes. The low nibbles are sub-block 2k, and the high nibbles are sub-block 2k + 1.
void DecodeQ4_K(const std::byte* block, float* out) {
  const float scale = LoadHalf(block), minimum_scale = LoadHalf(block + 2);
  for (int j = 0; j < 8; ++j, out += 32) {
    const auto sub = UnpackScaleMinimum(block + 4, j);
    const float d = scale * static_cast<float>(sub.scale);
    const float minimum = minimum_scale * static_cast<float>(sub.minimum);
    const std::byte* nibbles = block + 16 + j / 2 * 32;
    const int shift = j % 2 * 4;
    for (int i = 0; i < 32; ++i) {
      out[i] = d * static_cast<float>(std::to_integer<int>(nibbles[i]) >> shift & 15) - minimum;
    }
  }
}

// As Q4_K, with 32 bytes of fifth bits before the nibbles. Bit j of byte i belongs to element i of
// sub-block j.
void DecodeQ5_K(const std::byte* block, float* out) {
  const float scale = LoadHalf(block), minimum_scale = LoadHalf(block + 2);
  const std::byte* fifth = block + 16;
  for (int j = 0; j < 8; ++j, out += 32) {
    const auto sub = UnpackScaleMinimum(block + 4, j);
    const float d = scale * static_cast<float>(sub.scale);
    const float minimum = minimum_scale * static_cast<float>(sub.minimum);
    const std::byte* nibbles = block + 48 + j / 2 * 32;
    const int shift = j % 2 * 4;
    for (int i = 0; i < 32; ++i) {
      const int value = (std::to_integer<int>(nibbles[i]) >> shift & 15) |
                        (std::to_integer<int>(fifth[i]) >> j & 1) << 4;
      out[i] = d * static_cast<float>(value) - minimum;
    }
  }
}

// 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 signed scales (one per 16 elements),
// f16 scale. Each half of 128 elements has four runs of 32, and 64 bytes of nibbles. Run r has its
// nibbles in the first 32 bytes if r is even, else in the second 32 bytes. They are the low nibbles
// if r < 2, else the high nibbles. The bit pairs of run r are at bits 2r. A value is the 6-bit
// integer minus 32.
void DecodeQ6_K(const std::byte* block, float* out) {
  const float scale = LoadHalf(block + 208);
  for (int run = 0; run < 8; ++run, out += 32) {
    const int half = run / 4, r = run % 4;
    const std::byte* nibbles = block + half * 64 + r % 2 * 32;
    const std::byte* pairs = block + 128 + half * 32;
    const std::byte* scales = block + 192 + run * 2;
    for (int i = 0; i < 32; ++i) {
      const int value = (std::to_integer<int>(nibbles[i]) >> r / 2 * 4 & 15) |
                        (std::to_integer<int>(pairs[i]) >> 2 * r & 3) << 4;
      const float d = scale * static_cast<float>(Load<int8_t>(scales + i / 16));
      out[i] = d * static_cast<float>(value - 32);
    }
  }
}

template <void (*kDecode)(const std::byte*, float*)>
void Blocks(DType dtype, const std::byte* data, int64_t n, float* out) {
  const int elements = BlockElements(dtype), bytes = BlockBytes(dtype);
  CHECK(n % elements == 0);
  for (int64_t i = 0; i < n; i += elements, data += bytes) kDecode(data, out + i);
}

// The last block may be short.
void DecodeIntegers(DType dtype, const std::byte* data, int64_t n, float* out) {
  uint8_t codes[64];
  for (int64_t i = 0; i < n; i += BlockElements(dtype), data += BlockBytes(dtype)) {
    const float scale = BF16ToF32(ReadIntegerBlock(dtype, data, codes));
    for (int64_t k = 0; k < std::min<int64_t>(BlockElements(dtype), n - i); ++k)
      out[i + k] = static_cast<float>(IntegerValue(dtype, codes[k])) * scale;
  }
}

}  // namespace

void Dequantize(DType dtype, const std::byte* data, int64_t n, float* out) {
  switch (dtype) {
    case DType::kF32:
      std::copy_n(data, static_cast<size_t>(n) * sizeof(float), reinterpret_cast<std::byte*>(out));
      return;
    case DType::kF16:
      return DecodeF16(data, n, out);
    case DType::kBF16:
      return DecodeBF16(data, n, out);
    case DType::kQ8_0:
      return Blocks<DecodeQ8_0>(dtype, data, n, out);
    case DType::kQ4_0:
      return Blocks<DecodeQ4_0>(dtype, data, n, out);
    case DType::kQ4_1:
      return Blocks<DecodeQ4_1>(dtype, data, n, out);
    case DType::kQ5_0:
      return Blocks<DecodeQ5_0>(dtype, data, n, out);
    case DType::kQ5_1:
      return Blocks<DecodeQ5_1>(dtype, data, n, out);
    case DType::kQ4_K:
      return Blocks<DecodeQ4_K>(dtype, data, n, out);
    case DType::kQ5_K:
      return Blocks<DecodeQ5_K>(dtype, data, n, out);
    case DType::kQ6_K:
      return Blocks<DecodeQ6_K>(dtype, data, n, out);
    case DType::kInt8:
    case DType::kInt4:
      return DecodeIntegers(dtype, data, n, out);
  }
  CHECK(false);
}

}  // namespace merope
