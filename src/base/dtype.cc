#include "base/dtype.h"

#include <array>
#include <cmath>

#include "base/error.h"

namespace merope {
namespace {

struct DTypeInfo {
  DType dtype;
  std::string_view name;
  int elements, bytes;
};

// Block sizes: a block of ggml's quantized types stores 32 elements (the K types: 256 elements)
// together with their scales.
constexpr std::array<DTypeInfo, 13> kInfo = {{
    {DType::kF32, "F32", 1, 4},
    {DType::kF16, "F16", 1, 2},
    {DType::kBF16, "BF16", 1, 2},
    {DType::kQ8_0, "Q8_0", 32, 34},
    {DType::kQ4_0, "Q4_0", 32, 18},
    {DType::kQ4_1, "Q4_1", 32, 20},
    {DType::kQ5_0, "Q5_0", 32, 22},
    {DType::kQ5_1, "Q5_1", 32, 24},
    {DType::kQ4_K, "Q4_K", 256, 144},
    {DType::kQ5_K, "Q5_K", 256, 176},
    {DType::kQ6_K, "Q6_K", 256, 210},
    {DType::kInt8, "INT8", 64, 66},
    {DType::kInt4, "INT4", 32, 18},
}};

const DTypeInfo& Info(DType dtype) {
  const auto& info = kInfo[static_cast<size_t>(dtype)];
  CHECK(info.dtype == dtype);
  return info;
}

}  // namespace

std::string_view DTypeName(DType dtype) { return Info(dtype).name; }
int BlockElements(DType dtype) { return Info(dtype).elements; }
int BlockBytes(DType dtype) { return Info(dtype).bytes; }

std::optional<DType> DTypeFromName(std::string_view name) {
  for (const auto& info : kInfo)
    if (info.name == name) return info.dtype;
  return std::nullopt;
}

uint16_t F32ToF16(float value) {
  const uint32_t bits = std::bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return sign | 0x7e00u;
  if (magnitude >= 0x477ff000u) return sign | 0x7c00u;  // rounds to 65,536 or more
  if (magnitude < 0x38800000u) {  // below 2^-14: the half is a denormal, a multiple of 2^-24
    const float steps = std::nearbyint(std::ldexp(std::bit_cast<float>(magnitude), 24));
    return sign | static_cast<uint16_t>(steps);
  }
  const uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return sign | static_cast<uint16_t>((rounded - (112u << 23)) >> 13);
}

}  // namespace merope
