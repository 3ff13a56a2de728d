// What differs between the architectures: norms of the heads of q and k (Qwen3), and which matrices
// have biases. Each runs with every arithmetic, from both kinds of files, quantized and as a plan.
#include <gtest/gtest.h>

#include <map>

#include "base/mapped_file.h"
#include "checkpoint/synth.h"
#include "model/quantize.h"
#include "tests/model/outcome.h"
#include "tests/support/expect.h"
#include "tests/support/gguf_convert.h"
#include "tests/support/temp_dir.h"

namespace merope {
namespace {

struct Kind {
  const char* name;
  Architecture architecture;
  bool biases;
};

class Architectures : public testing::TestWithParam<Kind> {
 protected:
  void SetUp() override {
    config_ = OddConfig(false);
    config_.architecture = GetParam().architecture;
    config_.attention_bias = GetParam().biases;
    Make(0.2);
  }
  void Make(double std_dev) {
    const Status made = Synthesize(
        path_, config_, {.seed = 9, .dtype = DType::kBF16, .std_dev = std_dev, .force = true});
    ASSERT_TRUE(made) << ErrorOf(made);
  }

  ModelConfig config_;
  TempDir directory_;
  const std::string path_ = directory_.path() + "/model";
};

TEST_P(Architectures, GgufAndSafetensorsGiveTheSameBits) {
  const std::string gguf = directory_.File("m.gguf");
  {
    const auto checkpoint = Checkpoint::Open(path_);
    ASSERT_TRUE(checkpoint) << ErrorOf(checkpoint);
    ASSERT_TRUE(WriteFile(gguf, ConvertToGguf(*checkpoint).Bytes()));
  }
  for (const Precision precision : {Precision::kFp32, Precision::kInt8})
    EXPECT_EQ(RunModel(path_, precision).logits, RunModel(gguf, precision).logits);
}

TEST_P(Architectures, TheFastBackEndAgreesWithTheReference) {
  for (const auto& [precision, limit] : {std::pair{Precision::kFp32, 1e-5},
                                         {Precision::kBf16, 1e-2},
                                         {Precision::kInt8, 0.1},
                                         {Precision::kInt4, 0.1}})
    // The limits are those of TheFastBackEndAgreesWithTheReference in llama_test.cc.
    EXPECT_LT(RelativeL2(RunModel(path_, precision).logits,
                         RunModel(path_, precision, Arithmetic::kReference).logits),
              limit)
        << PrecisionName(precision);
}

// The quantized weights of int8 are rotated. In fp32, they compute what the original weights
// compute, up to the loss of 8 and 4 bits (as in quantize_test.cc).
TEST_P(Architectures, QuantizedWeightsGiveTheBitsOfQuantizingAtLoad) {
  Make(0.02);
  for (const auto& [precision, limit] :
       {std::pair{Precision::kInt8, 1e-3}, {Precision::kInt4, 0.1}}) {
    SCOPED_TRACE(PrecisionName(precision));
    const std::string out = directory_.File(std::string(PrecisionName(precision)));
    {
      const auto checkpoint = Checkpoint::Open(path_);
      ASSERT_TRUE(checkpoint) << ErrorOf(checkpoint);
      const auto done = Quantize(*checkpoint, out, {.precision = precision, .threads = 2});
      ASSERT_TRUE(done) << ErrorOf(done);
    }
    EXPECT_EQ(RunModel(out, precision).logits, RunModel(path_, precision).logits);
    const double error = RelativeL2(RunModel(out, Precision::kFp32).logits,
                                    RunModel(path_, Precision::kFp32).logits);
    EXPECT_LT(error * error, limit);
  }
}

TEST_P(Architectures, ThePlanHasFiveStepsALayer) {
  const auto checkpoint = Checkpoint::Open(path_);
  ASSERT_TRUE(checkpoint) << ErrorOf(checkpoint);
  const auto backend = MakeCpuBackend({Precision::kBf16, 2});
  const auto model = Llama::Load(*checkpoint, *backend, {});
  ASSERT_TRUE(model) << ErrorOf(model);
  const Plan* plan = (*model)->plan();
  ASSERT_NE(plan, nullptr);
  EXPECT_EQ(plan->steps, 2 + 5 * config_.num_layers);
  EXPECT_EQ(plan->ops, 4 + (config_.has_head_norms() ? 14 : 12) * config_.num_layers);
}

// Computes the norms of q and k by hand from the observed products.
TEST_P(Architectures, HeadsAreNormalizedBeforeTheRotation) {
  const auto checkpoint = Checkpoint::Open(path_);
  ASSERT_TRUE(checkpoint) << ErrorOf(checkpoint);
  const auto backend = MakeReferenceBackend({Precision::kFp32, 1});
  const auto model = Llama::Load(*checkpoint, *backend, {});
  ASSERT_TRUE(model) << ErrorOf(model);
  std::map<std::string, std::vector<float>, std::less<>> seen;
  (*model)->set_observer([&](std::string_view name, const Tensor& value) {
    std::vector<float>& values = seen[std::string(name)];
    values.resize(static_cast<size_t>(value.rows * value.cols));
    backend->CopyOut(value, values);
  });
  Sequence sequence((*model)->kv());
  const std::vector<int32_t> tokens = {3, 1, 4, 1, 5};
  ASSERT_TRUE((*model)->Extend(&sequence, tokens, 1, [](int64_t, auto) {}));
  for (const char* part : {"q", "k"}) {
    const std::string prefix = fmt::format("layers.1.self_attn.{}_", part);
    const TensorView* weight = checkpoint->Find("model." + prefix + "norm.weight");
    EXPECT_EQ(weight != nullptr, config_.has_head_norms());
    EXPECT_EQ(seen.contains(prefix + "norm"), config_.has_head_norms());
    if (weight == nullptr) continue;
    std::vector<float> gain(static_cast<size_t>(config_.head_dim));
    weight->DecodeRow(0, gain);
    const std::vector<float>&before = seen[prefix + "proj"], &after = seen[prefix + "norm"];
    ASSERT_EQ(before.size(), after.size());
    for (size_t head = 0; head < before.size(); head += gain.size()) {
      double squares = 0;
      for (size_t i = 0; i < gain.size(); ++i) squares += std::pow(double{before[head + i]}, 2);
      const double scale =
          1 / std::sqrt(squares / static_cast<double>(gain.size()) + config_.rms_norm_eps);
      for (size_t i = 0; i < gain.size(); ++i)  // one rounding of a value below 8
        EXPECT_NEAR(after[head + i], before[head + i] * scale * gain[i], 1e-6);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(All, Architectures,
                         testing::Values(Kind{"llama", Architecture::kLlama, true},
                                         Kind{"qwen2", Architecture::kQwen2, true},
                                         Kind{"qwen3", Architecture::kQwen3, false},
                                         Kind{"qwen3_biases", Architecture::kQwen3, true}),
                         [](const auto& suite_info) { return std::string(suite_info.param.name); });

}  // namespace
}  // namespace merope
