// The same weights give bit-identical logits from a safetensors file and from a GGUF file.
#include <gtest/gtest.h>

#include <cstring>

#include "base/mapped_file.h"
#include "checkpoint/synth.h"
#include "tests/model/outcome.h"
#include "tests/support/expect.h"
#include "tests/support/gguf_convert.h"
#include "tests/support/temp_dir.h"

namespace merope {
namespace {

struct Case {
  DType dtype;
  Precision precision;
  bool biases;
};
class Formats : public testing::TestWithParam<Case> {};

TEST_P(Formats, GgufAndSafetensorsGiveTheSameBits) {
  const auto [dtype, precision, biases] = GetParam();
  TempDir directory;
  const Status written =
      Synthesize(directory.path(), OddConfig(biases), {.seed = 11, .dtype = dtype, .std_dev = 0.2});
  ASSERT_TRUE(written) << written.error().message;
  const std::string gguf = directory.File("m.gguf");
  {
    const auto checkpoint = Checkpoint::Open(directory.path());
    ASSERT_TRUE(checkpoint) << checkpoint.error().message;
    ASSERT_TRUE(WriteFile(gguf, ConvertToGguf(*checkpoint).Bytes()));
  }
  const auto a = RunModel(directory.path(), precision).logits, b = RunModel(gguf, precision).logits;
  ASSERT_EQ(a.size(), 60u * 97);
  ASSERT_EQ(a.size(), b.size());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.size() * sizeof(float)), 0);
}

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16})
    for (const Precision precision : {Precision::kFp32, Precision::kBf16})
      for (const bool biases : {false, true}) cases.push_back({dtype, precision, biases});
  return cases;
}
INSTANTIATE_TEST_SUITE_P(Every, Formats, testing::ValuesIn(Cases()), [](const auto& it) {
  return fmt::format("{}_{}_{}", DTypeName(it.param.dtype), PrecisionName(it.param.precision),
                     it.param.biases ? "biases" : "tied");
});

}  // namespace
}  // namespace merope
