// Compares the block formats with the gguf Python package, bit for bit, and with values computed by
// hand.
#include <gtest/gtest.h>

#include <cstdlib>
#include <sstream>

#include "base/digest.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/weight_source.h"
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

// Runs the oracle. Returns false if there is no Python for the oracle. The test is then skipped.
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

// The same comparison on a real model. The reader also undoes the permutation of Q and K.
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
    const auto tensor = OpenTensor(*by_gguf_name[name]);
    std::vector<float> row(static_cast<size_t>(tensor->cols()));
    Sha256 hash;
    for (int64_t i = 0; i < tensor->rows(); ++i) {
      tensor->DecodeRow(i, row);
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
  // The fifth bit is set only in elements 3 and 20. All nibbles are 1.
  std::string block = Half(2) + Half(-1);
  const uint32_t fifth = 1u << 3 | 1u << 20;
  block.append(reinterpret_cast<const char*>(&fifth), 4);
  block.append(16, '\x11');
  const auto values = Decode(DType::kQ5_1, block);
  for (size_t i = 0; i < 32; ++i) EXPECT_EQ(values[i], i == 3 || i == 20 ? 2 * 17 - 1.0f : 1.0f);
}

// A block of merope's own integers is a bf16 scale and then codes. An 8-bit code is the integer
// plus 128. A 4-bit code is an index into a table. The last block may be short.
TEST(Dequantize, OwnIntegers) {
  const uint16_t scale = F32ToBF16(0.5f);
  const std::string start = {static_cast<char>(scale & 255), static_cast<char>(scale >> 8)};
  std::string int8 = start;
  for (int i = 0; i < 64; ++i) int8 += static_cast<char>(4 * i);
  for (const int64_t n : {0, 1, 63, 64, 65, 128}) {
    const std::string blocks = int8 + int8;
    std::vector<float> values(129, -1000);
    Dequantize(DType::kInt8, reinterpret_cast<const std::byte*>(blocks.data()), n, values.data());
    for (int64_t i = 0; i < 129; ++i)
      EXPECT_EQ(values[static_cast<size_t>(i)],
                i < n ? 0.5f * static_cast<float>(4 * (i % 64) - 128) : -1000)
          << n << " " << i;
  }
  std::string int4 = start;
  for (int i = 0; i < 16; ++i) int4 += static_cast<char>(i | (15 - i) << 4);
  std::vector<float> values(33, -1000);
  Dequantize(DType::kInt4, reinterpret_cast<const std::byte*>(int4.data()), 31, values.data());
  // The values of the 16 codes in every file that was written so far.
  constexpr int kCodes[16] = {-127, -101, -79, -62, -48, -34, -21, -9,
                              2,    14,   25,  37,  50,  65,  83,  107};
  for (int i = 0; i < 31; ++i)
    EXPECT_EQ(values[static_cast<size_t>(i)],
              0.5f * static_cast<float>(kCodes[i % 2 == 0 ? i / 2 : 15 - i / 2]));
  EXPECT_EQ(values[31], -1000);
}

// One block of each K type, with known factors and integers that count up.
TEST(Dequantize, FactorsOfK) {
  // Eight scales and eight minimums of 6 bits. The first four scales are in bytes 0-3, the first
  // four minimums in bytes 4-7. The others have their low four bits in bytes 8-11, and their upper
  // two bits at the top of bytes 0-7.
  const int scales[8] = {1, 2, 33, 63, 17, 34, 51, 60}, minimums[8] = {5, 6, 7, 62, 1, 18, 35, 52};
  std::string packed(12, '\0');
  for (size_t i = 0; i < 4; ++i) {
    packed[i] = static_cast<char>(scales[i] | scales[i + 4] >> 4 << 6);
    packed[i + 4] = static_cast<char>(minimums[i] | minimums[i + 4] >> 4 << 6);
    packed[i + 8] = static_cast<char>((scales[i + 4] & 15) | (minimums[i + 4] & 15) << 4);
  }
  std::string nibbles;
  for (int i = 0; i < 128; ++i) nibbles += static_cast<char>((i % 16) | (15 - i % 16) << 4);
  std::string fifths;
  for (int i = 0; i < 32; ++i) fifths += static_cast<char>(i * 7);
  const auto four = Decode(DType::kQ4_K, Half(0.5f) + Half(0.25f) + packed + nibbles);
  const auto five = Decode(DType::kQ5_K, Half(0.5f) + Half(0.25f) + packed + fifths + nibbles);
  for (int i = 0; i < 256; ++i) {
    const int run = i / 32, low = run % 2 == 0 ? i % 16 : 15 - i % 16;
    const int high = (i % 32 * 7) >> run & 1;
    const auto value = [&](int q) {
      return 0.5f * static_cast<float>(scales[run] * q) - 0.25f * static_cast<float>(minimums[run]);
    };
    EXPECT_EQ(four[static_cast<size_t>(i)], value(low)) << i;
    EXPECT_EQ(five[static_cast<size_t>(i)], value(low + 16 * high)) << i;
  }
  // Q6_K: the low four bits, the upper two bits, and one signed factor per 16 elements.
  std::string low(128, '\0'), pairs(64, '\0'), factors;
  const auto six = [](int i) { return i * 5 % 64; };
  for (int i = 0; i < 256; ++i) {
    const int half = i / 128, r = i % 128 / 32, at = i % 32;
    const int of_low = half * 64 + r % 2 * 32 + at, of_pairs = half * 32 + at;
    auto& nibble = low[static_cast<size_t>(of_low)];
    nibble = static_cast<char>(nibble | (six(i) & 15) << (r / 2 * 4));
    auto& pair = pairs[static_cast<size_t>(of_pairs)];
    pair = static_cast<char>(pair | (six(i) >> 4) << (2 * r));
  }
  for (int i = 0; i < 16; ++i) factors += static_cast<char>(i * 15 - 120);
  const auto sixes = Decode(DType::kQ6_K, low + pairs + factors + Half(0.5f));
  for (int i = 0; i < 256; ++i) {
    const int factor = i / 16 * 15 - 120;
    EXPECT_EQ(sixes[static_cast<size_t>(i)], 0.5f * static_cast<float>(factor * (six(i) - 32)))
        << i;
  }
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
