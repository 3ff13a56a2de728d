// Tests that a warm decode step allocates no memory.
#include "backend/registry.h"
#include "tests/support/allocations.h"

#ifdef MEROPE_COUNTS_ALLOCATIONS

#include <gtest/gtest.h>

#include "checkpoint/synth.h"
#include "model/llama.h"
#include "tests/support/llama_config.h"
#include "tests/support/temp_dir.h"

namespace merope {
namespace {

TEST(Allocations, AreCounted) {
  void* pages = nullptr;
  const int64_t calls = AllocationsOf([&] {
    char* block = new char[1000];
    asm volatile("" ::"r"(block) : "memory");  // otherwise the compiler removes new and delete
    delete[] block;
    pages = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  });
  EXPECT_GE(calls, 2);
  ASSERT_NE(pages, MAP_FAILED);
  munmap(pages, 4096);
}

TEST(Allocations, AWarmDecodeStepMakesNone) {
  const TempDir directory;
  const ModelConfig config = LlamaConfig({.hidden = 84,
                                          .intermediate = 172,
                                          .heads = 6,
                                          .head_dim = 14,
                                          .vocabulary = 301,
                                          .context = 1500});
  const Status made = Synthesize(directory.path(), config, {.std_dev = 0.2, .force = true});
  ASSERT_TRUE(made) << made.error().message;
  const auto checkpoint = Checkpoint::Open(directory.path());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  for (const WeightStorage weights : {WeightStorage::kPlain, WeightStorage::kPacked}) {
    const auto backend = MakeCpuBackend({Precision::kBf16, 2, weights});
    const auto model = Llama::Load(*checkpoint, *backend, {});
    ASSERT_TRUE(model) << model.error().message;
    Sequence one((*model)->kv()), other((*model)->kv());
    std::vector<float> logits;
    const int32_t token = 7;
    const SequenceStep steps[] = {{&one, std::span(&token, 1), 1},
                                  {&other, std::span(&token, 1), 1}};
    const auto decode = [&](int n) {
      bool ok = true;
      for (int i = 0; i < n; ++i) ok = (*model)->Forward(steps, &logits).has_value() && ok;
      return ok;
    };
    ASSERT_TRUE(decode(5));
    bool ok = false;
    EXPECT_EQ(AllocationsOf([&] { ok = decode(300); }), 0);  // over several pages of the cache
    EXPECT_TRUE(ok);
  }
}

}  // namespace
}  // namespace merope

#endif
