// Block formats against the gguf Python package, bit for bit, and by hand.
#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "base/sha256.h"
#include "checkpoint/checkpoint.h"
#include "tests/checkpoint/support.h"
#include "tests/support/gguf_convert.h"

namespace merope {
namespace {

constexpr DType kTypes[] = {DType::kF32,  DType::kF16,  DType::kBF16, DType::kQ8_0,
                            DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,
                            DType::kQ4_K, DType::kQ5_K, DType::kQ6_K};

std::vector<float> Decode(DType dtype, const std::string& blocks) {
  const auto n = static_cast<int64_t>(blocks.size()) / BlockBytes(dtype) * BlockElements(dtype);
  std::vector<float> values(static_cast<size_t>(n));
  Dequantize(dtype, reinterpret_cast<const std::byte*>(blocks.data()), n, values.data());
  return values;
}

std::string Half(float value) {
  const uint16_t bits = F32ToF16(value);
  return {static_cast<char>(bits & 255), static_cast<char>(bits >> 8)};
}

// Runs the oracle; false (and the test is skipped) where there is no Python for it.
bool RunOracle(const std::string& directory, const std::string& model) {
  const char* python = std::getenv("MEROPE_ORACLES_PYTHON");
  if (python == nullptr) return false;
  const std::string command = fmt::format("'{}' '{}/tests/oracles/gguf_dequantize.py' '{}' {}",
                                          python, MEROPE_SOURCE_DIR, directory, model);
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
  return true;
}

TEST(Dequantize, EqualsTheGgufPackageBitForBit) {
  TempDir directory;
  if (!RunOracle(directory.path(), ""))
    GTEST_SKIP() << "MEROPE_ORACLES_PYTHON is not set: no gguf package to compare with";
  for (const DType dtype : kTypes) {
    const std::string name(DTypeName(dtype));
    const std::string blocks = Read(directory.File(name + ".blocks"));
    const std::string expected = Read(directory.File(name + ".f32"));
    const std::vector<float> values = Decode(dtype, blocks);
    ASSERT_EQ(values.size() * sizeof(float), expected.size()) << name;
    ASSERT_GE(values.size(), 4096u) << name;
    for (size_t i = 0; i < values.size(); ++i) {
      uint32_t bits;
      std::memcpy(&bits, expected.data() + i * sizeof(bits), sizeof(bits));
      ASSERT_EQ(std::bit_cast<uint32_t>(values[i]), bits) << name << " element " << i;
    }
  }
}

// The same through the reader, the un-permutation of Q and K included, on a real model.
TEST(Dequantize, SmolLM2EqualsTheGgufPackageBitForBit) {
  const char* model = std::getenv("MEROPE_SMOLLM2");
  if (model == nullptr) GTEST_SKIP() << "MEROPE_SMOLLM2 is not set: no model to read";
  TempDir directory;
  if (!RunOracle(directory.path(), fmt::format("'{}'", model)))
    GTEST_SKIP() << "MEROPE_ORACLES_PYTHON is not set: no gguf package to compare with";
  const auto checkpoint = Checkpoint::Open(model);
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  std::map<std::string, const TensorView*> by_gguf_name;
  for (const TensorView& tensor : checkpoint->tensors())
    by_gguf_name[GgufName(tensor.name)] = &tensor;
  std::istringstream lines(Read(directory.File("model.txt")));
  int compared = 0;
  for (std::string name, digest; lines >> name >> digest; ++compared) {
    ASSERT_TRUE(by_gguf_name.contains(name)) << name;
    const TensorView& tensor = *by_gguf_name[name];
    std::vector<float> row(static_cast<size_t>(tensor.cols()));
    Sha256 hash;
    for (int64_t i = 0; i < tensor.rows(); ++i) {
      tensor.DecodeRow(i, row);
      hash.Add(std::as_bytes(std::span(row)));
    }
    EXPECT_EQ(hash.Hex(), digest) << name;
  }
  EXPECT_EQ(compared, 20);
}

TEST(Dequantize, NibblesOfTheTwoHalvesOfABlock) {
  std::string block = Half(0.5f);
  for (int i = 0; i < 16; ++i) block += static_cast<char>(i | (15 - i) << 4);
  const auto values = Decode(DType::kQ4_0, block);
  for (int i = 0; i < 16; ++i) {
    EXPECT_EQ(values[static_cast<size_t>(i)], 0.5f * static_cast<float>(i - 8));
    EXPECT_EQ(values[static_cast<size_t>(i + 16)], 0.5f * static_cast<float>(7 - i));
  }
}

TEST(Dequantize, FifthBitsOfTheTwoHalvesOfABlock) {
  // Only elements 3 and 20 have their fifth bit; all nibbles are 1.
  std::string block = Half(2) + Half(-1);
  const uint32_t fifth = 1u << 3 | 1u << 20;
  block.append(reinterpret_cast<const char*>(&fifth), 4);
  block.append(16, '\x11');
  const auto values = Decode(DType::kQ5_1, block);
  for (size_t i = 0; i < 32; ++i) EXPECT_EQ(values[i], i == 3 || i == 20 ? 2 * 17 - 1.0f : 1.0f);
}

TEST(Dequantize, UnalignedData) {
  std::string block(1, 'x');
  block += Half(1);
  block.append(32, '\x03');
  std::vector<float> values(32);
  Dequantize(DType::kQ8_0, reinterpret_cast<const std::byte*>(block.data()) + 1, 32, values.data());
  EXPECT_EQ(values, std::vector<float>(32, 3));
}

}  // namespace
}  // namespace merope
