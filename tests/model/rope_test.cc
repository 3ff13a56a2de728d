// Tests the angles of rotary position embedding against transformers and against the definition.
#include "model/rope.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tests/support/llama_config.h"

namespace merope {
namespace {

ModelConfig Config(const RopeScaling& rope) {
  ModelConfig config = LlamaConfig({.hidden = 64, .head_dim = 16});
  config.rope = rope;
  return config;
}

void ExpectNear(const std::vector<float>& values, const std::vector<double>& expected) {
  ASSERT_EQ(values.size(), expected.size());
  // The tolerance covers a few roundings in fp32.
  for (size_t i = 0; i < values.size(); ++i)
    EXPECT_NEAR(values[i], expected[i], expected[i] * 3e-7) << i;
}

TEST(Rope, FrequenciesAreThetaToTheMinusTwoIOverD) {
  std::vector<double> expected;
  for (int i = 0; i < 8; ++i) expected.push_back(std::pow(10000.0, -2.0 * i / 16));
  ModelConfig config = Config({});
  ExpectNear(InverseFrequencies(config), expected);
  config.rope_divisors = {1, 2, 4, 8, 1, 2, 4, 8};
  for (size_t i = 0; i < 8; ++i) expected[i] /= config.rope_divisors[i];
  ExpectNear(InverseFrequencies(config), expected);
}

// The expected values are those of ROPE_INIT_FUNCTIONS of transformers 5, with head_dim 16 and
// theta 10000.
TEST(Rope, ScalingsAreThoseOfTransformers) {
  ExpectNear(
      InverseFrequencies(Config({.kind = RopeKind::kLinear, .factor = 4})),
      {0.25, 0.07905694097280502, 0.02500000037252903, 0.007905694656074047, 0.0024999999441206455,
       0.0007905694656074047, 0.0002500000118743628, 7.905694656074047e-05});
  ExpectNear(
      InverseFrequencies(Config({.kind = RopeKind::kLlama3,
                                 .factor = 8,
                                 .low_freq_factor = 1,
                                 .high_freq_factor = 4,
                                 .original_max_position_embeddings = 512})),
      {1.0, 0.3162277638912201, 0.10000000149011612, 0.01849667727947235, 0.0012499999720603228,
       0.00039528473280370235, 0.0001250000059371814, 3.9528473280370235e-05});
  RopeScaling yarn = {
      .kind = RopeKind::kYarn, .factor = 4, .original_max_position_embeddings = 512};
  ExpectNear(InverseFrequencies(Config(yarn)),
             {1.0, 0.2569350600242615, 0.0625, 0.013834965415298939, 0.0024999999441206455,
              0.0007905694656074047, 0.0002500000118743628, 7.905694656074047e-05});
  yarn.beta_fast = 16;
  yarn.beta_slow = 2;
  yarn.truncate = false;
  ExpectNear(
      InverseFrequencies(Config(yarn)),
      {1.0, 0.3162277638912201, 0.07566440105438232, 0.010796109214425087, 0.0024999999441206455,
       0.0007905694656074047, 0.0002500000118743628, 7.905694656074047e-05});
  // The context is so short that the range of the correction is empty.
  ExpectNear(
      InverseFrequencies(
          Config({.kind = RopeKind::kYarn, .factor = 2, .original_max_position_embeddings = 8})),
      {1.0, 0.15811388194561005, 0.05000000074505806, 0.015811389312148094, 0.004999999888241291,
       0.0015811389312148094, 0.0005000000237487257, 0.00015811389312148094});
}

TEST(Rope, AnglesArePositionTimesFrequency) {
  const std::vector<float> frequencies = {1, 0.25f};
  float cos[2], sin[2];
  for (const int64_t position : {0, 1, 1000}) {
    RopeAngles(frequencies, position, 1.5f, cos, sin);
    for (size_t i = 0; i < 2; ++i) {
      const double angle = static_cast<double>(position) * double{frequencies[i]};
      EXPECT_FLOAT_EQ(cos[i], static_cast<float>(1.5 * std::cos(angle)));
      EXPECT_FLOAT_EQ(sin[i], static_cast<float>(1.5 * std::sin(angle)));
    }
  }
}

}  // namespace
}  // namespace merope
