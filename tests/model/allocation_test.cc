// A warm decode step takes no memory from the system, on any thread: malloc and mmap are interposed
// here for the whole test program. Sanitizers bring their own.
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define MEROPE_SANITIZED
#endif
#endif
#ifndef MEROPE_SANITIZED

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <cstdlib>

#include "checkpoint/synth.h"
#include "model/llama.h"
#include "tests/support/temp_dir.h"

namespace {

std::atomic<bool> counting{false};
std::atomic<int64_t> calls{0};

void Count() {
  if (counting.load(std::memory_order_relaxed)) calls.fetch_add(1, std::memory_order_relaxed);
}

}  // namespace

// NOLINTBEGIN(bugprone-reserved-identifier, readability-inconsistent-declaration-parameter-name,
// performance-no-int-to-ptr): these are the C library's own names, and what its mmap returns.
extern "C" {

void* __libc_malloc(size_t size);
void* __libc_calloc(size_t n, size_t size);
void* __libc_realloc(void* block, size_t size);
void* __libc_memalign(size_t alignment, size_t size);

void* malloc(size_t size) {
  Count();
  return __libc_malloc(size);
}
void* calloc(size_t n, size_t size) {
  Count();
  return __libc_calloc(n, size);
}
void* realloc(void* block, size_t size) {
  Count();
  return __libc_realloc(block, size);
}
void* aligned_alloc(size_t alignment, size_t size) {
  Count();
  return __libc_memalign(alignment, size);
}
void* mmap(void* at, size_t length, int protection, int flags, int file, off_t offset) {
  Count();
  const long address = syscall(SYS_mmap, at, length, protection, flags, file, offset);
  return reinterpret_cast<void*>(address);
}

}  // extern "C"
// NOLINTEND(bugprone-reserved-identifier, readability-inconsistent-declaration-parameter-name,
// performance-no-int-to-ptr)

namespace merope {
namespace {

TEST(Allocations, AreCounted) {
  calls = 0;
  counting = true;
  char* volatile block = new char[1000];  // volatile: or the pair is optimized away
  delete[] block;
  void* const pages = mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  counting = false;
  EXPECT_GE(calls, 2);
  ASSERT_NE(pages, MAP_FAILED);
  munmap(pages, 4096);
}

TEST(Allocations, AWarmDecodeStepMakesNone) {
  const TempDir directory;
  ModelConfig config;
  config.architecture = "LlamaForCausalLM";
  config.hidden_size = 84;
  config.intermediate_size = 172;
  config.num_layers = 2;
  config.num_heads = 6;
  config.num_kv_heads = 2;
  config.head_dim = 14;
  config.vocab_size = 301;
  config.max_position_embeddings = 1500;
  config.rms_norm_eps = 1e-5;
  config.rope_theta = 10000;
  config.dtype = DType::kBF16;
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
    calls = 0;
    counting = true;
    const bool ok = decode(300);  // over several pages of the cache
    counting = false;
    EXPECT_TRUE(ok);
    EXPECT_EQ(calls, 0);
  }
}

}  // namespace
}  // namespace merope

#endif
#endif
