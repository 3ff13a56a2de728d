#include "bench/bandwidth.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>
#include <vector>

#include "base/machine.h"
#include "base/stopwatch.h"

namespace merope {
namespace {

TEST(SumBlocks, WholeBlocksAndNothingElse) {
  std::vector<uint64_t> words(100);
  for (size_t i = 0; i < words.size(); ++i) words[i] = i * i + 1;
  for (const size_t n : {0u, 1u, 31u, 32u, 33u, 63u, 64u, 96u, 100u}) {
    const auto whole = static_cast<ptrdiff_t>(n / 32 * 32);
    EXPECT_EQ(SumBlocks(std::span(words).first(n)),
              std::accumulate(words.begin(), words.begin() + whole, uint64_t{0}))
        << n;
  }
}

TEST(BandwidthProbe, EveryWordIsReadOnce) {
  for (const int threads : {1, 2}) {  // parts of whole blocks
    BandwidthProbe probe(threads);
    EXPECT_EQ(probe.buffer_bytes(),
              std::max(int64_t{256} << 20, 8 * ReadMachine().l3_bytes) / 8 * 8);
    const auto words = static_cast<uint64_t>(probe.buffer_bytes()) / 8;
    EXPECT_EQ(probe.Pass(), words * (words - 1) / 2);
  }
}

TEST(BandwidthProbe, ReadsAtTheRateOfItsPasses) {
  BandwidthProbe probe(2);
  const double rate = probe.Measure(0.03);
  EXPECT_GT(rate, 1e8);
  // No memory is faster. A higher rate would mean that the compiler had removed the reads.
  EXPECT_LT(rate, 5e12);
  const Stopwatch watch;
  probe.Pass();
  const double alone = static_cast<double>(probe.buffer_bytes()) / watch.Seconds();
  EXPECT_GT(rate, alone / 20);
  EXPECT_LT(rate, alone * 20);
}

}  // namespace
}  // namespace merope
