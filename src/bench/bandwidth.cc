#include "bench/bandwidth.h"

#include <algorithm>
#include <atomic>
#include <chrono>

#include "base/machine.h"

namespace merope {
namespace {

// 256 MiB, or eight times the size of the last-level cache if that size is larger.
int64_t BufferWords() {
  constexpr int64_t kLeast = 256 << 20;
  return std::max(kLeast, 8 * ReadMachine().l3_bytes) / 8;
}

}  // namespace

// The sum uses eight independent vectors, so that only the loads limit the speed.
uint64_t SumBlocks(std::span<const uint64_t> words) {
  using Vector [[gnu::vector_size(32), gnu::may_alias]] = uint64_t;
  constexpr int kStreams = kSumBlock / 4;
  Vector sums[kStreams] = {};
  const uint64_t *begin = words.data(), *end = begin + words.size();
  for (; end - begin >= kSumBlock; begin += kSumBlock) {
    const auto* vectors = reinterpret_cast<const Vector*>(begin);
    for (int i = 0; i < kStreams; ++i) sums[i] += vectors[i];
  }
  Vector total = {};
  for (const Vector& sum : sums) total += sum;
  return total[0] + total[1] + total[2] + total[3];
}

BandwidthProbe::BandwidthProbe(int threads) : team_(threads), buffer_(BufferWords()) {
  // The thread that will read a part also writes the part first. The operating system then maps the
  // pages, in memory that is local to this thread.
  team_.Run([this](int thread) {
    const int64_t begin = buffer_.size() * thread / team_.size();
    const int64_t end = buffer_.size() * (thread + 1) / team_.size();
    for (int64_t i = begin; i < end; ++i) buffer_[i] = static_cast<uint64_t>(i);
  });
}

uint64_t BandwidthProbe::Pass() {
  constexpr int64_t kAlignment = 64 / sizeof(uint64_t);
  std::atomic<uint64_t> sum = 0;
  team_.Run([&](int thread) {
    const auto bound = [&](int64_t part) {
      return buffer_.data() + buffer_.size() * part / team_.size() / kAlignment * kAlignment;
    };
    sum += SumBlocks({bound(thread), bound(thread + 1)});
  });
  return sum;
}

double BandwidthProbe::Measure(double seconds) {
  using Clock = std::chrono::steady_clock;
  uint64_t sum = 0;
  const Clock::time_point start = Clock::now();
  double elapsed = 0;
  int64_t passes = 0;
  while (elapsed < seconds) {
    sum += Pass();
    ++passes;
    elapsed = std::chrono::duration<double>(Clock::now() - start).count();
  }
  // Makes the compiler treat the sum as used, so that it keeps the loads.
  asm volatile("" : : "r"(sum) : "memory");
  return static_cast<double>(passes) * static_cast<double>(buffer_.bytes()) / elapsed;
}

}  // namespace merope
