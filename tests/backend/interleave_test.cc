// Tests the kernel that writes rows of bf16 weights to a panel: each pair must be in its place, and
// every NaN and infinity must be found.
#include <cstring>

#include "backend/cpu/kernels/kernels.h"
#include "tests/backend/support.h"

namespace merope {
namespace {

class InterleaveTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { cpu::SelectTarget(GetParam()); }
  void TearDown() override { cpu::SelectTarget(""); }
};

// Rows of bf16 values, contiguous in memory. The first row is at an odd address.
struct Rows {
  std::vector<std::byte> bytes;
  std::vector<const std::byte*> at;

  Rows(int64_t n, int64_t k_steps) : bytes(static_cast<size_t>(n * k_steps * 4 + 1)) {
    const auto values = RandomValues(n * k_steps * 2, 11);
    for (size_t i = 0; i < values.size(); ++i) Set(i, F32ToBF16(values[i]));
    for (int64_t j = 0; j < n; ++j) at.push_back(bytes.data() + 1 + j * k_steps * 4);
  }
  void Set(size_t i, uint16_t value) { std::memcpy(&bytes[1 + 2 * i], &value, 2); }
};

TEST_P(InterleaveTest, EachPairIsInItsPlace) {
  const cpu::MatMulKernels& kernels = cpu::GetMatMulKernels();
  const int64_t panel = kernels.panel;
  for (const int64_t n : {int64_t{1}, int64_t{3}, panel - 1, panel})
    for (const int64_t k_steps : {1, 3, 4, 15, 16, 18, 67}) {
      const Rows rows(n, k_steps);
      std::vector<uint32_t> out(static_cast<size_t>(k_steps * panel), 7), expected = out;
      for (int64_t j = 0; j < n; ++j)
        for (int64_t k = 0; k < k_steps; ++k)
          std::memcpy(&expected[static_cast<size_t>(k * panel + j)],
                      rows.at[static_cast<size_t>(j)] + 4 * k, 4);
      EXPECT_TRUE(kernels.interleave(rows.at.data(), n, k_steps, out.data()));
      EXPECT_EQ(out, expected) << n << " rows of " << k_steps;
    }
}

TEST_P(InterleaveTest, FindsWhatIsNotFiniteWhereverItIs) {
  const cpu::MatMulKernels& kernels = cpu::GetMatMulKernels();
  constexpr int64_t kRows = 3, kSteps = 37;
  std::vector<uint32_t> out(static_cast<size_t>(kSteps * kernels.panel));
  for (const uint16_t value : {uint16_t{0x7f80}, uint16_t{0xff80}, uint16_t{0x7fc1}})
    for (size_t i = 0; i < 2 * kRows * kSteps; ++i) {
      Rows rows(kRows, kSteps);
      rows.Set(i, value);
      ASSERT_FALSE(kernels.interleave(rows.at.data(), kRows, kSteps, out.data())) << i;
    }
}

INSTANTIATE_TEST_SUITE_P(Targets, InterleaveTest, testing::ValuesIn(cpu::SelectableTargets()),
                         [](const auto& target) { return target.param; });

}  // namespace
}  // namespace merope
