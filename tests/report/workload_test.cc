#include "report/workload.h"

#include <gtest/gtest.h>

#include "tests/support/llama_config.h"

namespace merope {
namespace {

using Lengths = std::vector<int64_t>;

TEST(CountParameters, ByHand) {
  ModelConfig config = LlamaConfig({.hidden = 8,
                                    .intermediate = 20,
                                    .layers = 3,
                                    .heads = 4,
                                    .kv_heads = 2,
                                    .head_dim = 2,
                                    .vocabulary = 50});
  const auto counts = [&] {
    std::vector<std::pair<std::string, int64_t>> out;
    for (const ParameterGroup& group : CountParameters(config))
      out.emplace_back(group.key, group.parameters);
    return out;
  };
  // A layer has q and o of 8·8, k and v of 4·8, gate, up and down of 20·8, and two norms of 8. One
  // more norm follows the last layer.
  std::vector<std::pair<std::string, int64_t>> expected = {{"embedding", 400},
                                                           {"attention", 3 * (2 * 64 + 2 * 32)},
                                                           {"mlp", 3 * 3 * 160},
                                                           {"norms", 7 * 8},
                                                           {"head", 400}};
  EXPECT_EQ(counts(), expected);
  config.tie_word_embeddings = true;
  expected.pop_back();
  EXPECT_EQ(counts(), expected);
  // A Qwen3 has norms of the heads of q and k. A Qwen2 has biases of q, k and v.
  config.architecture = Architecture::kQwen3;
  expected[3].second += 3 * 2 * 2;
  EXPECT_EQ(counts(), expected);
  config.architecture = Architecture::kQwen2;
  config.attention_bias = true;
  expected[1].second += 3 * (8 + 2 * 4);
  expected[3].second = 7 * 8;
  EXPECT_EQ(counts(), expected);
}

TEST(ReportGrid, IsTheReferenceReportsWhereItFits) {
  for (const int64_t context : {228, 4096}) {
    const LatencyOptions grid = ReportGrid(context, false);
    EXPECT_EQ(grid.input_lengths, (Lengths{16, 32, 64, 128}));
    EXPECT_EQ(grid.output_lengths, (Lengths{50, 100}));
    EXPECT_EQ(grid.warmup, 3);
    EXPECT_EQ(grid.repeats, 5);
  }
  EXPECT_EQ(ReportGrid(228, true).warmup, 1);
  EXPECT_EQ(ReportGrid(228, true).repeats, 3);
}

TEST(ReportGrid, IsCutToTheContext) {
  const struct {
    int64_t context;
    Lengths input, output;
  } cases[] = {{227, {56, 113}, {113}}, {100, {25, 50}, {50}}, {3, {1, 1}, {1}}, {2, {1, 1}, {1}}};
  for (const auto& c : cases) {
    const LatencyOptions grid = ReportGrid(c.context, true);
    EXPECT_EQ(grid.input_lengths, c.input) << c.context;
    EXPECT_EQ(grid.output_lengths, c.output) << c.context;
    EXPECT_TRUE(Validate(grid, c.context)) << c.context;
  }
}

TEST(EagerBesideCompiled, TheEndsOfTheGridInPairs) {
  int calls = 0;
  const LatencyOptions modes =
      EagerBesideCompiled(ReportGrid(4096, false), [&](int64_t, int64_t) { ++calls; });
  EXPECT_EQ(modes.input_lengths, (Lengths{16, 128}));
  EXPECT_EQ(modes.output_lengths, Lengths{50});
  EXPECT_EQ(modes.warmup, 1);
  EXPECT_EQ(modes.repeats, 7);
  EXPECT_TRUE(modes.eager_too);
  modes.progress(1, 1);
  EXPECT_EQ(calls, 1);
  // If the shortest and the longest prompt are equal, there is one case.
  EXPECT_EQ(EagerBesideCompiled(ReportGrid(3, true), {}).input_lengths, Lengths{1});
}

}  // namespace
}  // namespace merope
