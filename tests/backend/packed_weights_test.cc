// Packed bf16 weights (12 bits per weight): packing loses nothing, and products are bit-identical
// to products with plain weights.
#include <algorithm>
#include <bit>
#include <numeric>

#include "backend/cpu/kernels/kernels.h"
#include "tests/backend/support.h"

namespace merope {
namespace {

class PackedWeightsTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { cpu::SelectTarget(GetParam()); }
  void TearDown() override { cpu::SelectTarget(""); }

  struct Packed {
    std::vector<uint8_t> steps, raw;
    cpu::PackedPanel panel;
  };

  static Packed Pack(const std::vector<uint32_t>& plain) {
    const cpu::MatMulKernels& kernels = cpu::GetMatMulKernels();
    const int64_t k_steps = std::ssize(plain) / kernels.panel;
    Packed packed;
    packed.steps.resize(plain.size() * 4);
    packed.raw.resize(static_cast<size_t>(k_steps));
    const int64_t bytes = kernels.pack(plain.data(), k_steps, &packed.panel.base, packed.raw.data(),
                                       packed.steps.data());
    packed.steps.resize(static_cast<size_t>(bytes));
    packed.panel.steps = packed.steps.data();
    packed.panel.raw = packed.raw.data();
    return packed;
  }

  static std::vector<uint32_t> Unpack(const Packed& packed) {
    const cpu::MatMulKernels& kernels = cpu::GetMatMulKernels();
    const int64_t k_steps = std::ssize(packed.raw);
    std::vector<uint32_t> plain(static_cast<size_t>(k_steps * kernels.panel));
    kernels.unpack(packed.panel, k_steps, plain.data());
    return plain;
  }

  // A panel that repeats the given bf16 values.
  static std::vector<uint32_t> Panel(int64_t k_steps, const std::vector<uint16_t>& values) {
    std::vector<uint32_t> plain(static_cast<size_t>(k_steps * cpu::GetMatMulKernels().panel));
    size_t next = 0;
    for (uint32_t& pair : plain) {
      const uint32_t low = values[next++ % values.size()], high = values[next++ % values.size()];
      pair = low | high << 16;
    }
    return plain;
  }
};

TEST_P(PackedWeightsTest, EveryBf16Survives) {
  std::vector<uint16_t> all(65536);
  std::iota(all.begin(), all.end(), uint16_t{0});
  for (const int64_t k_steps : {1, 7, 1024}) {
    const auto plain = Panel(k_steps, all);
    EXPECT_EQ(Unpack(Pack(plain)), plain) << k_steps;
  }
  // At most sixteen neighbouring exponents at a time, so that steps are packed. All signs and
  // mantissas occur.
  for (int exponent = 0; exponent < 256; ++exponent) {
    std::vector<uint16_t> near;
    for (int e = std::max(0, exponent - 15); e <= exponent; ++e)
      for (int rest = 0; rest < 256; ++rest)
        near.push_back(static_cast<uint16_t>((rest & 0x80) << 8 | e << 7 | (rest & 0x7f)));
    const auto plain = Panel(67, near);
    EXPECT_EQ(Unpack(Pack(plain)), plain) << exponent;
  }
}

TEST_P(PackedWeightsTest, WeightsAsTrainedTakeThreeQuarters) {
  std::vector<uint16_t> weights;
  for (const float value : RandomValues(200'000, 3, 0.02f)) weights.push_back(F32ToBF16(value));
  const auto plain = Panel(1000, weights);
  const Packed packed = Pack(plain);
  const auto raw = std::ranges::count(packed.raw, 1);
  EXPECT_LT(raw, 60);  // of 1,000 steps; about 2 in 100 hold an exponent without a name
  EXPECT_EQ(packed.steps.size(), plain.size() * 3 + static_cast<size_t>(raw) * plain.size() / 1000);
  EXPECT_EQ(Unpack(packed), plain);
}

// A few weights are far larger than all others. The names must still go to the exponents of the
// other weights.
TEST_P(PackedWeightsTest, OutliersCostTheirOwnStepsOnly) {
  auto values = RandomValues(256'000, 3, 0.02f);
  for (size_t i = 0; i < values.size(); i += 12'800) values[i] = 1e6f;  // 20, each in its own step
  std::vector<uint16_t> weights;
  for (const float value : values) weights.push_back(F32ToBF16(value));
  const auto k_steps = std::ssize(weights) / (2 * cpu::GetMatMulKernels().panel);
  const Packed packed = Pack(Panel(k_steps, weights));
  EXPECT_LT(std::ranges::count(packed.raw, 1), 20 + k_steps * 6 / 100);
}

TEST_P(PackedWeightsTest, ZerosAndDenormalsHaveAName) {
  for (const uint16_t value : {uint16_t{0}, uint16_t{0x8000}, uint16_t{1}, uint16_t{0x807f}}) {
    std::vector<uint16_t> weights = {value};
    for (const float other : RandomValues(63, 4, 0.02f)) weights.push_back(F32ToBF16(1 + other));
    const auto plain = Panel(50, weights);
    const Packed packed = Pack(plain);
    EXPECT_EQ(std::ranges::count(packed.raw, 1), 0);
    EXPECT_EQ(Unpack(packed), plain);
  }
}

TEST_P(PackedWeightsTest, ProductsAndEmbeddingsHaveTheBitsOfPlainWeights) {
  const auto plain = MakeCpuBackend({Precision::kBf16, 2, WeightStorage::kPlain});
  const auto packed = MakeCpuBackend({Precision::kBf16, 2, WeightStorage::kPacked});
  struct Shape {
    int64_t in, out;
  };
  for (const auto& [in, out] :
       {Shape{1, 1}, {7, 65}, {63, 130}, {172, 63}, {576, 192}, {577, 64}}) {
    SCOPED_TRACE(testing::Message() << in << " to " << out);
    auto w = RandomValues(in * out, 5, 0.02f);
    for (size_t i = 0; i < w.size(); i += 97) w[i] *= 0x1p-60f;  // some steps are raw
    for (size_t i = 0; i < w.size(); i += 31) w[i] = 0;
    const auto bias = RandomValues(out, 6);
    const MemoryTensor weight("w", {out, in}, w), b("b", {out}, bias);
    const MatrixPart part{&weight.view(), &b.view()};
    std::vector<std::vector<float>> results[2];
    for (int form = 0; form < 2; ++form) {
      Backend& backend = form == 0 ? *plain : *packed;
      const auto matrix = backend.LoadMatrix(std::span(&part, 1), Stacking::kStacked, {});
      ASSERT_TRUE(matrix) << matrix.error().message;
      for (const int64_t rows : {1, 2, 3, 4, 5, 8, 31, 33, 40}) {
        const Tensor y = *backend.Allocate(rows, out);
        backend.MatMul(ToBackend(backend, rows, in, RandomValues(rows * in, 7)), **matrix, y);
        results[form].push_back(FromBackend(backend, y));
      }
      std::vector<int32_t> tokens(static_cast<size_t>(out));
      std::iota(tokens.begin(), tokens.end(), 0);
      const Tensor rows = *backend.Allocate(out, in);
      Step step;
      step.tokens = tokens;
      backend.BeginStep(step);
      backend.Embed(**matrix, rows);
      backend.EndStep();
      results[form].push_back(FromBackend(backend, rows));
    }
    EXPECT_EQ(results[0], results[1]);
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, PackedWeightsTest, testing::ValuesIn(cpu::SelectableTargets()),
                         [](const auto& target) { return target.param; });

}  // namespace
}  // namespace merope
