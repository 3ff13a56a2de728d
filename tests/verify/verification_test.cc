// From the user's choices to the result, on a small random model.
#include "verify/verification.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "checkpoint/synth.h"
#include "tests/support/expect.h"
#include "tests/support/llama_config.h"
#include "tests/support/temp_dir.h"

namespace merope {
namespace {

class VerificationTest : public ::testing::Test {
 protected:
  VerificationTest() {
    ModelConfig config = LlamaConfig({.hidden = 64, .head_dim = 16, .vocabulary = 384});
    SynthOptions options;
    options.dtype = DType::kF32;
    request_.model = directory_.File("model");
    const Status made = Synthesize(request_.model, config, options);
    EXPECT_TRUE(made) << ErrorOf(made);
    request_.options.mode = VerifyMode::kQuick;
    request_.options.threads = 2;
  }

  TempDir directory_;
  VerifyRequest request_;
};

TEST_F(VerificationTest, RunsTheSuite) {
  Result<Verification> verification = Verification::Open(request_);
  ASSERT_TRUE(verification) << ErrorOf(verification);
  std::vector<std::string> phases;
  const auto progress = [&phases](std::string_view phase, int64_t, int64_t) {
    if (phases.empty() || phases.back() != phase) phases.emplace_back(phase);
  };
  const Status prepared = verification->Prepare(progress, {});
  ASSERT_TRUE(prepared) << ErrorOf(prepared);
  EXPECT_EQ(verification->options().target, Precision::kBf16);
  const Result<VerifyResult> result = verification->Run(progress);
  ASSERT_TRUE(result) << ErrorOf(result);
  EXPECT_EQ(result->first_token.rows.size(), ReportPrompts().size());
  EXPECT_LE(std::ssize(phases), verification->phases());
  EXPECT_NE(std::ranges::find(phases, "comparing"), phases.end());
}

TEST_F(VerificationTest, StopEndsTheSuiteInEachPhase) {
  for (const std::string_view last : {"fp32 reference", "bf16 emulation", "comparing"}) {
    request_.options.stop = StopFlag::Make();
    Result<Verification> verification = Verification::Open(request_);
    ASSERT_TRUE(verification) << ErrorOf(verification);
    ASSERT_TRUE(verification->Prepare({}, {}));
    std::string seen;
    const Result<VerifyResult> result =
        verification->Run([&](std::string_view phase, int64_t done, int64_t total) {
          seen = phase;
          if (phase == last && done < total) request_.options.stop.Raise();
        });
    ASSERT_FALSE(result) << last;
    EXPECT_EQ(result.error().message, request_.options.stop.Check().error().message);
    EXPECT_EQ(seen, last);
  }
}

TEST_F(VerificationTest, WrongChoicesAreNamed) {
  const EndpointOptions nobody{.url = "http://127.0.0.1:9"};
  const struct {
    const char* field;
    std::function<void(VerifyRequest*)> change;
  } cases[] = {
      {"dtype", [](VerifyRequest* r) { r->dtype = "fp8"; }},
      {"kv-dtype", [](VerifyRequest* r) { r->kv = "int4"; }},
      {"generate", [](VerifyRequest* r) { r->target.choices.generate = kMaxGenerate + 1; }},
      {"top-logprobs", [](VerifyRequest* r) { r->target.choices.top_k = 1; }},
      {"concurrency", [](VerifyRequest* r) { r->target.choices.concurrency = 0; }},
      {"numerics", [](VerifyRequest* r) { r->target.numerics = "bf16"; }},
      {"numerics",
       [](VerifyRequest* r) {
         r->target.numerics = "fp8";
         r->options.target_file = "x";
       }},
      {"target",
       [&](VerifyRequest* r) {
         r->target.endpoint = nobody;
         r->options.target_file = "x";
       }},
      {"against",
       [&](VerifyRequest* r) {
         r->target.endpoint = nobody;
         r->options.against = "x";
       }},
      {"against",
       [](VerifyRequest* r) {
         r->original = "x";
         r->options.against = "x";
       }},
      {"endpoint", [](VerifyRequest* r) { r->target.endpoint.url = "localhost"; }},
      {"endpoint-eager",
       [&](VerifyRequest* r) {
         r->target.endpoint = nobody;
         r->target.eager_url = "localhost";
       }},
      {"timeout", [&](VerifyRequest* r) {
         r->target.endpoint = nobody;
         r->target.endpoint.stall_seconds = 0;
       }}};
  for (const auto& [field, change] : cases) {
    VerifyRequest request = request_;
    change(&request);
    const Result<Verification> verification = Verification::Open(request);
    ASSERT_FALSE(verification) << field;
    EXPECT_EQ(verification.error().field, field) << verification.error().message;
  }
}

}  // namespace
}  // namespace merope
