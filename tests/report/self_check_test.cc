#include "report/self_check.h"

#include <gtest/gtest.h>

#include "tests/support/expect.h"

namespace merope {
namespace {

ReportData Sound() {
  ReportData data;
  data.verify.first_token.rows = {{"a", "x", "x", true}, {"b", "x", "y", false}};
  data.verify.first_token.matches = 1;
  data.verify.first_token.gates = {{.key = "kl", .value = 0.2, .max = 0.3}};
  data.verify.first_token.verdict = Verdict::kPass;
  data.verify.positions.gates = {
      {.key = "kl_mean", .value = 0.2, .interval = Interval{0.1, 0.29}, .max = 0.3},
      {.key = "slope",
       .value = 0.0,
       .interval = Interval{-0.4, 0.1},
       .min = -0.3,
       .verdict = Verdict::kInconclusive}};
  data.verify.positions.verdict = Verdict::kInconclusive;
  EndpointResult& endpoint = data.verify.endpoint.emplace();
  endpoint.probe.findings = {{"stop", "stop", Found::kYes, ""}};
  data.verify.verdict = Verdict::kInconclusive;
  return data;
}

TEST(SelfCheck, SoundVerdictsPass) {
  const Status status = CheckVerdicts(Sound());
  EXPECT_TRUE(status) << ErrorOf(status);
}

TEST(SelfCheck, EveryPassNeedsItsNumbers) {
  const struct {
    std::function<void(ReportData*)> spoil;
    std::string_view words;
  } cases[] = {
      {[](ReportData* d) { d->verify.first_token.gates[0].value = 0.31; },
       "(a): kl: expected FAIL"},
      {[](ReportData* d) { d->verify.positions.gates[0].interval->high = 0.31; },
       "(b): kl_mean: expected INCONCLUSIVE"},
      {[](ReportData* d) { d->verify.positions.gates[1].verdict = Verdict::kFail; },
       "not better than FAIL of slope"},
      {[](ReportData* d) { d->verify.positions.verdict = Verdict::kPass; },
       "(b): expected a verdict that is not better than INCONCLUSIVE of slope"},
      {[](ReportData* d) { d->verify.verdict = Verdict::kPass; },
       "the verification: expected a verdict that is not better than INCONCLUSIVE of (b)"},
      {[](ReportData* d) { d->verify.first_token.matches = 2; }, "expected 1 matches"},
      {[](ReportData* d) { d->verify.endpoint->probe.findings[0].found = Found::kWrong; },
       "the probe: expected a verdict that is not better than FAIL"},
      {[](ReportData* d) { d->verify.endpoint->verdict = Verdict::kFail; }, "FAIL of the probe"},
      {[](ReportData* d) {
         DtypeRow& row = d->dtypes.emplace_back();
         row.verify = d->verify;
         row.verify.first_token.gates[0].value = 1;
       },
       "(a): kl"},
  };
  for (const auto& c : cases) {
    ReportData data = Sound();
    c.spoil(&data);
    const Status status = CheckVerdicts(data);
    ASSERT_FALSE(status) << c.words;
    EXPECT_NE(status.error().message.find(c.words), std::string::npos) << status.error().message;
  }
}

}  // namespace
}  // namespace merope
