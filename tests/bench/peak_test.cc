#include "bench/peak.h"

#include <gtest/gtest.h>

#include <cmath>

#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu_peaks.h"
#include "backend/cpu_targets.h"
#include "bench/bench_json.h"
#include "bench/roofline.h"

namespace merope {
namespace {

class PeakKernels : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override { cpu::SelectTarget(GetParam()); }
  void TearDown() override { cpu::SelectTarget(""); }
};

// The sums show that a kernel did the operations that it counts: each accumulator holds exactly the
// result of its share of the operations. The products are integers, and every sum is below 2^24, so
// no type rounds.
TEST_P(PeakKernels, DoTheMultiplyAddsTheyCount) {
  const cpu::PeakKernels& kernels = cpu::GetPeakKernels();
  // 32-bit lanes in a vector. A panel of the matrix products is four vectors wide.
  const int64_t lanes = cpu::GetMatMulKernels().panel / 4;
  const struct {
    const char* name;
    int64_t (*kernel)(cpu::PeakArgs&);
    int64_t a_lane;
  } types[] = {{"fp32", kernels.fp32, 1}, {"bf16", kernels.bf16, 2}, {"int8", kernels.int8, 4}};
  for (const auto& type : types) {
    for (const int64_t steps : {0, 1, 2, 7, 100}) {
      SCOPED_TRACE(testing::Message() << type.name << ", " << steps << " steps");
      cpu::PeakArgs args{.steps = steps, .x = {1, 3, 10, 127}, .w = {1, -5, 120, -128}, .sums = {}};
      const int64_t operations = type.kernel(args);
      const int64_t an_accumulator = lanes * type.a_lane * steps;
      EXPECT_EQ(operations, 2 * an_accumulator * kernels.rows * cpu::kPeakColumns);
      for (int r = 0; r < kernels.rows; ++r)
        for (int c = 0; c < cpu::kPeakColumns; ++c)
          EXPECT_EQ(args.sums[r][c], static_cast<double>(an_accumulator * args.x[r] * args.w[c]))
              << r << ", " << c;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, PeakKernels, testing::ValuesIn(cpu::SelectableTargets()),
                         [](const auto& suite_info) { return suite_info.param; });

TEST(PeakProbe, MultipliesAtAPlausibleRate) {
  PeakProbe probe(2);
  for (const PeakKind kind : {PeakKind::kFp32, PeakKind::kBf16, PeakKind::kInt8}) {
    SCOPED_TRACE(PeakName(kind));
    const double rate = probe.Measure(kind, 0.01);
    EXPECT_GT(rate, 1e7);
    // No two cores are faster. A higher rate would mean that the compiler had removed the products.
    EXPECT_LT(rate, 1e13);
  }
}

TEST(PeakOf, IsTheModelsOwnType) {
  EXPECT_EQ(PeakOf(Precision::kFp32), PeakKind::kFp32);
  EXPECT_EQ(PeakOf(Precision::kBf16), PeakKind::kBf16);
  // These precisions compute integer products, in whatever form the weights are stored.
  for (const Precision precision : {Precision::kInt8, Precision::kInt4, Precision::kNative})
    EXPECT_EQ(PeakOf(precision), PeakKind::kInt8);
  EXPECT_EQ(PeakName(PeakKind::kFp32), "fp32");
  EXPECT_EQ(PeakName(PeakKind::kBf16), "bf16");
  EXPECT_EQ(PeakName(PeakKind::kInt8), "int8");
}

TEST(RooflineOptions, RefusedByName) {
  EXPECT_TRUE(Validate(RooflineOptions()));
  EXPECT_NE(Validate({.threads = -1, .progress = {}}).error().message.find("threads"),
            std::string::npos);
  for (const double seconds : {0.0, -1.0, 3600.5, 1e9, std::nan("")})
    EXPECT_NE(Validate({.seconds = seconds, .progress = {}}).error().message.find("seconds"),
              std::string::npos);
  EXPECT_TRUE(Validate({.threads = 1024, .seconds = 3600, .progress = {}}));
  EXPECT_FALSE(Validate({.threads = 1025, .progress = {}}));
  EXPECT_FALSE(MeasureRoofline({.threads = 1025, .progress = {}}));
  EXPECT_EQ(RooflineOptions().threads, 0);
  EXPECT_EQ(RooflineOptions().seconds, 4);
}

TEST(Roofline, HasEveryFigureOnOneThreadAndOnAll) {
  const Result<RooflineResult> result =
      MeasureRoofline({.threads = 2, .seconds = 0.01, .progress = {}});
  ASSERT_TRUE(result) << result.error().message;
  EXPECT_EQ(result->target, cpu::SelectableTargets().front());
  EXPECT_GE(result->probes, 1);
  const Json json = ToJson(*result);
  ASSERT_EQ(json["rows"].size(), 2u);
  for (const size_t i : {0, 1}) {
    EXPECT_EQ(json["rows"][i]["threads"], i + 1);
    for (const char* figure : {"read_bytes_s", "fp32_flop_s", "bf16_flop_s", "int8_op_s"})
      EXPECT_GT(json["rows"][i][figure]["p50"].get<double>(), 0) << figure;
  }
}

TEST(Roofline, OneThreadIsOneRow) {
  // One round of probes takes 0.2 s. The measurement goes on for the requested time, which takes
  // more than one round.
  int calls = 0;
  double last = 0;
  const auto progress = [&](double done, double total) {
    EXPECT_GT(done, last);
    EXPECT_EQ(total, 0.35);
    last = done;
    ++calls;
  };
  const Result<RooflineResult> result =
      MeasureRoofline({.threads = 1, .seconds = 0.35, .progress = progress});
  ASSERT_TRUE(result) << result.error().message;
  ASSERT_EQ(result->rows.size(), 1u);
  EXPECT_EQ(result->probes, calls);
  EXPECT_GE(last, 0.34);
  const RooflineRow& row = result->rows[0];
  EXPECT_EQ(row.threads, 1);
  EXPECT_EQ(&row.peak(PeakKind::kFp32), &row.peaks[0]);
  EXPECT_EQ(&row.peak(PeakKind::kInt8), &row.peaks[2]);
}

}  // namespace
}  // namespace merope
