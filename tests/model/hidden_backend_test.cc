// Tests a back end whose memory the host cannot read, and errors when any allocation of the loading
// fails.
#include "tests/support/hidden_backend.h"

#include <gtest/gtest.h>

#include "tests/model/llama_fixture.h"

namespace merope {
namespace {

TEST(HiddenBackend, EveryAllocationMayFail) {
  const TempDir directory;
  ASSERT_TRUE(Synthesize(directory.path(), TinyConfig(), {.seed = 7, .dtype = DType::kF32}));
  const auto checkpoint = Checkpoint::Open(directory.path());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  for (int64_t allocations = 0;; ++allocations) {
    ASSERT_LT(allocations, 200);
    HiddenBackend backend({Precision::kBf16, 1}, allocations);
    const auto model = Llama::Load(*checkpoint, backend, {.kv_tokens = 64});
    if (model) {
      EXPECT_GT(allocations, 20);  // weights, K and V, activations
      break;
    }
    EXPECT_EQ(model.error().message, "hidden memory: expected some, found none");
  }
}

TEST(HiddenBackend, LogitsComeWithoutTheHostsLookingIntoIt) {
  const TempDir directory;
  ASSERT_TRUE(Synthesize(directory.path(), TinyConfig(),
                         {.seed = 7, .dtype = DType::kF32, .std_dev = 0.2}));
  const auto checkpoint = Checkpoint::Open(directory.path());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  HiddenBackend hidden({Precision::kBf16, 2});
  const auto cpu = MakeCpuBackend({Precision::kBf16, 2});
  std::vector<std::vector<float>> logits;
  for (Backend* backend : {static_cast<Backend*>(&hidden), cpu.get()}) {
    const auto model = Llama::Load(*checkpoint, *backend, {.kv_tokens = 256});
    ASSERT_TRUE(model) << model.error().message;
    EXPECT_NE((*model)->plan(), nullptr);
    Sequence sequence((*model)->kv());
    for (const int64_t n : {1, 3, 4, 5, 70}) {  // around the numbers of rows of the plans
      const std::vector<int32_t> tokens(static_cast<size_t>(n), 5);
      const SequenceStep step{&sequence, tokens, 1};
      ASSERT_TRUE((*model)->Forward(std::span(&step, 1), &logits.emplace_back()));
    }
  }
  for (size_t i = 0; i < 5; ++i) EXPECT_EQ(logits[i], logits[i + 5]) << i;
}

TEST(Backends, ByTheirNames) {
  EXPECT_NE((*MakeBackend("reference", {}))->name().find("reference"), std::string::npos);
  const auto unknown = MakeBackend("quantum", {});
  ASSERT_FALSE(unknown);
  EXPECT_TRUE(unknown.error().message.starts_with("backend: expected cpu, reference"))
      << unknown.error().message;
  EXPECT_EQ(unknown.error().field, "backend");
}

}  // namespace
}  // namespace merope
