// The invariance matrix, on a small random model: it passes, and it sees a back end whose bits
// depend on the step.
#include "verify/invariance.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>

#include "checkpoint/synth.h"
#include "tests/support/expect.h"
#include "tests/support/llama_config.h"
#include "tests/support/temp_dir.h"
#include "verify/fault.h"

namespace merope {
namespace {

// In a step of several sequences, the last bit of an output of each product is another one.
class CompanyFault : public Fault {
 public:
  void Run(const Op& op, FaultyBackend& backend) override {
    backend.inner().Run(op);
    if (op.kind == OpKind::kMatMul && backend.step().sequences.size() > 1)
      *op.out.data = std::nextafter(*op.out.data, HUGE_VALF);
  }
};

class InvarianceTest : public ::testing::Test {
 protected:
  InvarianceTest() : checkpoint_(Model()) {
    std::mt19937 random(5);
    for (const int64_t n : {40, 3, 70, 64}) {
      VerifyPrompt& prompt = prompts_.emplace_back();
      prompt.id = fmt::format("{}", prompts_.size());
      for (int64_t i = 0; i < n; ++i) prompt.ids.push_back(static_cast<int32_t>(random() % 384));
    }
  }

  Checkpoint Model() {
    const ModelConfig config =
        LlamaConfig({.hidden = 64, .head_dim = 16, .vocabulary = 384, .context = 128});
    const SynthOptions options{.seed = 8, .dtype = DType::kBF16, .std_dev = 0.15};
    const Status made = Synthesize(directory_.File("model"), config, options);
    EXPECT_TRUE(made) << ErrorOf(made);
    Result<Checkpoint> checkpoint = Checkpoint::Open(directory_.File("model"));
    if (!checkpoint) ADD_FAILURE() << checkpoint.error().message;
    return std::move(*checkpoint);
  }

  InvarianceResult Measure(const InvarianceOptions& options) {
    const auto result = MeasureInvariance(checkpoint_, prompts_, options);
    EXPECT_TRUE(result) << ErrorOf(result);
    return result ? *result : InvarianceResult();
  }

  TempDir directory_;
  Checkpoint checkpoint_;
  std::vector<VerifyPrompt> prompts_;
};

TEST_F(InvarianceTest, OurOwnBackEndHasTheSameBits) {
  for (const Precision precision :
       {Precision::kFp32, Precision::kBf16, Precision::kInt8, Precision::kInt4}) {
    SCOPED_TRACE(PrecisionName(precision));
    const InvarianceResult result = Measure({.precision = precision, .threads = 2});
    EXPECT_EQ(result.verdict, Verdict::kPass);
    // 4 prompts, and the lengths that fit a context of 128 tokens: 15 to 17 and 63 to 65.
    EXPECT_EQ(result.prompts, 4 + 6);
    EXPECT_EQ(result.rows.size(), precision == Precision::kBf16 ? 13u : 11u);
    for (const InvarianceRow& row : result.rows) {
      EXPECT_EQ(row.rows, 10 * 8) << row.key;
      EXPECT_EQ(row.different, 0) << row.key;
      EXPECT_EQ(row.largest, 0) << row.key;
    }
  }
}

TEST_F(InvarianceTest, BitsThatDependOnTheBatchAreSeen) {
  RegisterBackend("company", [](const BackendOptions& options) -> Result<std::unique_ptr<Backend>> {
    TRY_ASSIGN(auto inner, MakeBackend(kReferenceBackend, options));
    return std::make_unique<FaultyBackend>(std::move(inner), std::make_unique<CompanyFault>(),
                                           OpRounding::kNone);
  });
  const InvarianceResult result = Measure({.threads = 2, .backend = "company"});
  EXPECT_EQ(result.verdict, Verdict::kFail);
  for (const InvarianceRow& row : result.rows) {
    const bool company = row.key.starts_with("company");
    EXPECT_EQ(row.different > 0, company) << row.key;
    EXPECT_EQ(row.largest > 0, company) << row.key;
    EXPECT_EQ(row.prompt.empty(), !company) << row.key;
  }
}

TEST_F(InvarianceTest, AContextWithoutRoomIsAnError) {
  ASSERT_TRUE(checkpoint_.LimitContext(8));
  EXPECT_FALSE(MeasureInvariance(checkpoint_, prompts_, {}));
}

}  // namespace
}  // namespace merope
