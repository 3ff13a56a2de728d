// The self-test of the suite, on a small random model. The mutants themselves: mutants_test.cc.
#include "verify/self_test.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "checkpoint/synth.h"
#include "tests/support/expect.h"
#include "tests/support/llama_config.h"
#include "tests/support/temp_dir.h"
#include "verify/suite.h"

namespace merope {
namespace {

class SelfTestTest : public ::testing::Test {
 protected:
  SelfTestTest() : checkpoint_(Model()), tokenizer_(TokenizerOf()) { options_.threads = 2; }

  Checkpoint Model() {
    ModelConfig config = LlamaConfig({.hidden = 64, .head_dim = 16, .vocabulary = 384});
    config.tie_word_embeddings = true;
    const SynthOptions options{.seed = 8, .dtype = DType::kF32, .std_dev = 0.1};
    const Status made = Synthesize(directory_.File("model"), config, options);
    EXPECT_TRUE(made) << ErrorOf(made);
    Result<Checkpoint> checkpoint = Checkpoint::Open(directory_.File("model"));
    if (!checkpoint) ADD_FAILURE() << checkpoint.error().message;
    return std::move(*checkpoint);
  }
  Tokenizer TokenizerOf() {
    Result<Tokenizer> tokenizer = checkpoint_.LoadTokenizer();
    if (!tokenizer) ADD_FAILURE() << tokenizer.error().message;
    return std::move(*tokenizer);
  }

  TempDir directory_;
  Checkpoint checkpoint_;
  Tokenizer tokenizer_;
  SelfTestOptions options_;
};

TEST_F(SelfTestTest, FaultsAreKilledAndTheControlIsNot) {
  options_.mutants = {"rope-theta", "rope-shifted", "residual-skipped", "sum-term-dropped"};
  for (const Numerics numerics :
       {Numerics{}, Numerics{.precision = Precision::kInt8},
        Numerics{.precision = Precision::kFp32}, Numerics{.rounding = OpRounding::kBf16}}) {
    options_.numerics = numerics;
    const auto result = SelfTest(checkpoint_, tokenizer_, options_);
    ASSERT_TRUE(result) << ErrorOf(result);
    const std::string name = NumericsName(numerics.precision, numerics.rounding);
    EXPECT_EQ(result->numerics, name);
    EXPECT_NE(result->control.fate, Fate::kKilled) << name;
    EXPECT_TRUE(result->control.position_gates.empty()) << name;
    ASSERT_EQ(result->mutants.size(), 4u);
    for (const MutantResult& m : result->mutants) {
      const bool equivalent = m.key == "rope-shifted";
      EXPECT_EQ(m.fate, equivalent ? Fate::kEquivalent : Fate::kKilled) << name << " " << m.key;
      EXPECT_EQ(m.fp32_kl.has_value(), equivalent) << name << " " << m.key;
      EXPECT_EQ(m.position_gates.empty(), equivalent) << name << " " << m.key;
    }
    EXPECT_TRUE(result->passed()) << name;
  }
}

// The control is judged as the suite judges the same target.
TEST_F(SelfTestTest, TheControlHasTheSuitesVerdicts) {
  options_.mutants = {"rope-theta"};
  VerifyOptions verify;
  verify.mode = VerifyMode::kQuick;
  verify.threads = 2;
  const auto suite = Verify(checkpoint_, tokenizer_, verify);
  const auto self = SelfTest(checkpoint_, tokenizer_, options_);
  ASSERT_TRUE(suite) << ErrorOf(suite);
  ASSERT_TRUE(self) << ErrorOf(self);
  const auto gate = std::ranges::find(suite->positions.gates, "sigma_ratio", &GateResult::key);
  EXPECT_EQ(self->control.sigma_ratio, gate->value);
  EXPECT_EQ(self->control.kl,
            std::ranges::find(suite->positions.figures, "kl", &PositionFigure::key)->mean);
  EXPECT_EQ(self->control.first_token, suite->first_token.verdict);
  EXPECT_EQ(self->control.positions, suite->positions.verdict);
  EXPECT_EQ(self->positions, suite->positions.positions);
  EXPECT_EQ(self->target, suite->target);
}

TEST_F(SelfTestTest, CountsAndVerdict) {
  const auto with = [](Fate fate, Verdict first_token) {
    MutantResult m;
    m.fate = fate;
    m.first_token = first_token;
    return m;
  };
  SelfTestResult result;
  result.mutants = {with(Fate::kKilled, Verdict::kFail), with(Fate::kKilled, Verdict::kPass),
                    with(Fate::kEquivalent, Verdict::kPass),
                    with(Fate::kKilledInFp32, Verdict::kPass),
                    with(Fate::kNotApplicable, Verdict::kFail)};
  EXPECT_EQ(result.Count(Fate::kKilled), 2);
  EXPECT_EQ(result.Count(Fate::kKilledInFp32), 1);
  EXPECT_EQ(result.MissedByFirstToken(), 1);
  EXPECT_TRUE(result.passed());
  result.control.fate = Fate::kKilled;
  EXPECT_FALSE(result.passed());
  result.control.fate = Fate::kSurvived;
  result.mutants.push_back(with(Fate::kSurvived, Verdict::kPass));
  EXPECT_FALSE(result.passed());
  const OrderedJson json = ToJson(result);
  EXPECT_EQ(json["survived"], 1);
  EXPECT_EQ(json["passed"], false);
  EXPECT_EQ(json["mutants"][1]["fate"], "killed");
  EXPECT_EQ(json["mutants"][3]["fate"], "killed in fp32");
  EXPECT_TRUE(json["mutants"][4]["kl"].is_null());
}

TEST_F(SelfTestTest, ReadsLists) {
  const auto keys = ParseMutants("eps,rope-theta");
  ASSERT_TRUE(keys) << ErrorOf(keys);
  EXPECT_EQ(*keys, (std::vector<std::string>{"eps", "rope-theta"}));
  for (const char* wrong : {"", "eps,", "eps, rope-theta", "EPS"})
    EXPECT_TRUE(Contains(ErrorOf(ParseMutants(wrong)), "expected keys of mutants")) << wrong;
}

}  // namespace
}  // namespace merope
