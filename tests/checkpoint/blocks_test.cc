// The scales and integers of a block give the same values as Dequantize, bit for bit.
#include "checkpoint/blocks.h"

#include <gtest/gtest.h>

#include "checkpoint/tensor_view.h"
#include "tests/support/gguf_quantize.h"

namespace merope {
namespace {

class Blocks : public testing::TestWithParam<DType> {};

TEST_P(Blocks, AreWorthTheirDequantization) {
  constexpr int64_t kWeights = 4096;
  const DType dtype = GetParam();
  const std::string bytes = RandomBlocks(dtype, kWeights, 1);
  const auto* row = reinterpret_cast<const std::byte*>(bytes.data());
  std::vector<float> expected(kWeights);
  Dequantize(dtype, row, kWeights, expected.data());
  const BlockType type = BlockTypeOf(dtype);
  for (int64_t run = 0; run < kWeights / kBlockRun; ++run) {
    const BlockRun block = ReadBlockRun(dtype, row, run);
    const float minimum = F16ToF32(block.minimum) * static_cast<float>(block.minimum_factor);
    for (int64_t i = 0; i < kBlockRun; ++i) {
      ASSERT_LT(block.q[i], 1 << type.bits);
      const auto factor = block.factors[i / 16];
      const float scale = F16ToF32(block.scale) * static_cast<float>(factor);
      const float product = scale * static_cast<float>(block.q[i] - type.offset);
      const float value = type.minimum ? product + minimum : product;
      ASSERT_EQ(std::bit_cast<uint32_t>(value),
                std::bit_cast<uint32_t>(expected[static_cast<size_t>(run * kBlockRun + i)]))
          << "run " << run << ", weight " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Types, Blocks, testing::ValuesIn(kQuantizedTypes),
                         [](const auto& type) { return std::string(DTypeName(type.param)); });

}  // namespace
}  // namespace merope
