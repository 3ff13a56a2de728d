#include "checkpoint/synth.h"

#include <gtest/gtest.h>

#include <cmath>
#include <set>

#include "checkpoint/checkpoint.h"
#include "checkpoint/synth_tokenizer.h"
#include "checkpoint/weight_check.h"
#include "tests/checkpoint/support.h"

namespace merope {
namespace {

TEST(Synth, PleiasRag350MHasTheShapeOfTheReport) {
  const auto config = KnownConfig("pleias-rag-350m");
  ASSERT_TRUE(config);
  const auto tensors = ExpectedTensors(*config);
  EXPECT_EQ(tensors.size(), 236u);
  int64_t parameters = 0;
  for (const ExpectedTensor& tensor : tensors) {
    int64_t elements = 1;
    for (const int64_t size : tensor.shape) elements *= size;
    parameters += elements;
  }
  EXPECT_EQ(parameters, 353'424'384);
  EXPECT_EQ(config->KvBytesPerToken(2), 53'248);
  EXPECT_TRUE(Contains(ErrorOf(KnownConfig("gpt-5")), "found \"gpt-5\""));
}

TEST(Synth, TheSameSeedGivesTheSameBytes) {
  TempDir a, b, c;
  ASSERT_TRUE(Synthesize(a.path(), TinyConfig(), {.seed = 1}));
  ASSERT_TRUE(Synthesize(b.path(), TinyConfig(), {.seed = 1}));
  ASSERT_TRUE(Synthesize(c.path(), TinyConfig(), {.seed = 2}));
  for (const char* file : {"model.safetensors", "config.json", "tokenizer.json"})
    EXPECT_EQ(Read(a.File(file)), Read(b.File(file))) << file;
  EXPECT_NE(Read(a.File("model.safetensors")), Read(c.File("model.safetensors")));
}

TEST(Synth, WeightsAreNearlyNormalAndNormsNearOne) {
  TempDir directory;
  ModelConfig config = TinyConfig();
  config.vocab_size = 4000;
  ASSERT_TRUE(Synthesize(directory.path(), config, {.seed = 4, .dtype = DType::kF32}));
  const auto checkpoint = Checkpoint::Open(directory.path());
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  const TensorView& embedding = *checkpoint->Find("model.embed_tokens.weight");
  double sum = 0, squares = 0, fourth = 0;
  std::vector<float> row(48);
  for (int64_t i = 0; i < embedding.rows(); ++i) {
    embedding.DecodeRow(i, row);
    for (const float x : row) {
      sum += x;
      squares += double{x} * x;
      fourth += std::pow(x, 4);
    }
  }
  const double n = 4000 * 48, variance = squares / n;
  EXPECT_LT(std::abs(sum / n), 5 * 0.02 / std::sqrt(n));
  EXPECT_NEAR(std::sqrt(variance), 0.02, 0.02 * 5 / std::sqrt(2 * n));
  // The kurtosis of a sum of eight uniforms is 3 − 1.2 / 8.
  EXPECT_NEAR(fourth / n / (variance * variance), 2.85, 0.05);
  checkpoint->Find("model.norm.weight")->DecodeRow(0, row);
  for (const float x : row) EXPECT_NEAR(x, 1, 0.1);
}

// synth.h promises the same bytes on every machine. The expected values were computed separately
// from this code, with splitmix64 and the sum of eight 16-bit numbers, for seed 7 and std_dev 0.02.
// The test compares the first and the last tensor.
TEST(Synth, ASeedGivesTheseWeights) {
  TempDir directory;
  ASSERT_TRUE(Synthesize(directory.path(), TinyConfig(), {.seed = 7, .dtype = DType::kF32}));
  const auto checkpoint = Checkpoint::Open(directory.path());
  ASSERT_TRUE(checkpoint) << ErrorOf(checkpoint);
  std::vector<float> row(48);
  const auto expect = [&](const char* name, std::initializer_list<float> expected) {
    checkpoint->Find(name)->DecodeRow(0, row);
    EXPECT_TRUE(std::equal(expected.begin(), expected.end(), row.begin())) << name << row[0];
  };
  expect("model.embed_tokens.weight",
         {0x1.629ff8p-7f, -0x1.371a82p-6f, -0x1.09a8cep-7f, 0x1.611cc0p-6f});
  expect("lm_head.weight", {0x1.67893cp-6f, 0x1.2e37d0p-7f, 0x1.0beffap-6f, -0x1.4f10d2p-6f});
}

// A shard takes tensors as long as they fit. A tensor that is too large has a shard of its own.
TEST(Synth, ShardsHoldAtMostWhatWasAskedFor) {
  TempDir directory;
  const ModelConfig config = TinyConfig();
  int64_t total = 0, last = 0, calls = 0;
  constexpr int64_t kMost = 48 * 80 * 2 * 2;  // exactly two matrices of the feed-forward part
  ASSERT_TRUE(Synthesize(directory.path(), config,
                         {.dtype = DType::kBF16, .max_shard_bytes = kMost},
                         [&](int64_t done, int64_t all) {
                           EXPECT_GT(done, last);
                           last = done;
                           total = all;
                           ++calls;
                         }));
  int64_t bytes = 0;
  std::vector<int64_t> sizes;  // of the shards
  for (const ExpectedTensor& tensor : ExpectedTensors(config)) {
    int64_t size = 2;
    for (const int64_t n : tensor.shape) size *= n;
    bytes += size;
    if (sizes.empty() || sizes.back() + size > kMost) sizes.push_back(0);
    sizes.back() += size;
  }
  EXPECT_EQ(total, bytes);
  EXPECT_EQ(last, bytes);
  EXPECT_EQ(calls, std::ssize(ExpectedTensors(config)));
  const Json index = *ParseJson(Read(directory.File("model.safetensors.index.json")), "index");
  EXPECT_EQ(index["metadata"]["total_size"], bytes);
  EXPECT_EQ(index["weight_map"].size(), ExpectedTensors(config).size());
  for (size_t i = 0; i < sizes.size(); ++i) {
    const std::string name = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, sizes.size());
    const std::string file = Read(directory.File(name));
    uint64_t header = 0;
    ASSERT_GE(file.size(), sizeof(header)) << name;
    std::memcpy(&header, file.data(), sizeof(header));
    EXPECT_EQ(header % 8, 0u);
    EXPECT_EQ(static_cast<int64_t>(file.size() - 8 - header), sizes[i]) << name;
  }
}

TEST(Synth, KnownConfigs) {
  const auto config = KnownConfig("pleias-rag-350m");
  ASSERT_TRUE(config);
  EXPECT_EQ(config->architecture, Architecture::kLlama);
  EXPECT_EQ(config->max_position_embeddings, 4096);
  EXPECT_EQ(config->rms_norm_eps, 1e-5);
  EXPECT_EQ(config->rope_theta, 10000);
  EXPECT_EQ(config->dtype, DType::kBF16);
  EXPECT_EQ(config->bos_token_id, 1);
  EXPECT_EQ(config->eos_token_ids, std::vector{2});
  EXPECT_TRUE(config->tie_word_embeddings);
  EXPECT_EQ(ErrorOf(KnownConfig("")),
            "expected pleias-rag-350m or the path of a config.json, found \"\"");
}

TEST(Synth, EveryKindOfConfigComesBack) {
  ModelConfig config = TinyConfig();
  config.attention_bias = config.mlp_bias = config.tie_word_embeddings = true;
  config.eos_token_ids = {2, 5};
  config.max_position_embeddings = 4096;
  std::vector<RopeScaling> scalings(4);
  scalings[1] = {.kind = RopeKind::kLinear, .factor = 2.5};
  scalings[2] = {.kind = RopeKind::kLlama3,
                 .factor = 8,
                 .low_freq_factor = 1.5,
                 .high_freq_factor = 3,
                 .original_max_position_embeddings = 512};
  scalings[3] = {.kind = RopeKind::kYarn,
                 .factor = 4,
                 .original_max_position_embeddings = 1024,
                 .beta_fast = 20,
                 .beta_slow = 2,
                 .attention_factor = 1.125,
                 .truncate = false};
  for (const RopeScaling& rope : scalings) {
    config.rope = rope;
    TempDir directory;
    ASSERT_TRUE(Synthesize(directory.path(), config, {.dtype = DType::kF16}));
    const auto checkpoint = Checkpoint::Open(directory.path());
    ASSERT_TRUE(checkpoint) << checkpoint.error().message;
    const ModelConfig& read = checkpoint->config();
    EXPECT_EQ(read.rope.kind, rope.kind);
    EXPECT_EQ(read.rope.factor, rope.factor);
    EXPECT_EQ(read.rope.low_freq_factor, rope.low_freq_factor);
    EXPECT_EQ(read.rope.high_freq_factor, rope.high_freq_factor);
    EXPECT_EQ(read.rope.original_max_position_embeddings, rope.original_max_position_embeddings);
    EXPECT_EQ(read.rope.beta_fast, rope.beta_fast);
    EXPECT_EQ(read.rope.beta_slow, rope.beta_slow);
    EXPECT_EQ(read.rope.attention_factor, rope.attention_factor);
    EXPECT_EQ(read.rope.truncate, rope.truncate);
    EXPECT_EQ(read.eos_token_ids, (std::vector{2, 5}));
    EXPECT_EQ(read.dtype, DType::kF16);
    EXPECT_TRUE(CheckWeights(*checkpoint)->ok());
  }
}

TEST(Synth, EveryArchitectureComesBack) {
  for (const auto& [architecture, biases] : {std::pair{Architecture::kLlama, true},
                                             {Architecture::kQwen2, true},
                                             {Architecture::kQwen3, false},
                                             {Architecture::kQwen3, true}}) {
    ModelConfig config = TinyConfig();
    config.architecture = architecture;
    config.attention_bias = biases;
    TempDir directory;
    ASSERT_TRUE(Synthesize(directory.path(), config, {}));
    const auto checkpoint = Checkpoint::Open(directory.path());
    ASSERT_TRUE(checkpoint) << checkpoint.error().message;
    EXPECT_EQ(checkpoint->config().architecture, architecture);
    EXPECT_EQ(checkpoint->config().attention_bias, biases);
    EXPECT_TRUE(CheckWeights(*checkpoint)->ok());
  }
}

TEST(Synth, WillNotWriteOverFilesUnlessTold) {
  TempDir directory;
  Write(directory.File("mine.txt"), "precious");
  const Status refused = Synthesize(directory.path(), TinyConfig(), {});
  EXPECT_TRUE(Contains(ErrorOf(refused), directory.path() + ": expected an empty directory"));
  EXPECT_FALSE(std::filesystem::exists(directory.File("model.safetensors")));
  ASSERT_TRUE(
      Synthesize(directory.path(), TinyConfig(), {.max_shard_bytes = 30'000, .force = true}));
  ASSERT_TRUE(Synthesize(directory.path(), TinyConfig(), {.force = true}));
  EXPECT_FALSE(std::filesystem::exists(directory.File("model.safetensors.index.json")));
  EXPECT_TRUE(Checkpoint::Open(directory.path()));
  EXPECT_EQ(Read(directory.File("mine.txt")), "precious");
}

TEST(Synth, RefusesQuantizedDTypes) {
  TempDir directory;
  EXPECT_TRUE(Contains(ErrorOf(Synthesize(directory.path(), TinyConfig(), {.dtype = DType::kQ4_K})),
                       "dtype: expected F32, F16 or BF16, found Q4_K"));
}

TEST(SynthTokenizer, EveryIdHasOneTokenAndEveryMergeMakesOne) {
  for (const int64_t size : {260, 278, 279, 1000, 65'536, 66'500}) {
    const Json tokenizer = SynthTokenizer(size);
    const Json& vocabulary = tokenizer["model"]["vocab"];
    ASSERT_EQ(static_cast<int64_t>(vocabulary.size()), size);
    std::set<int64_t> ids;
    for (const auto& [token, id] : vocabulary.items()) ids.insert(id.get<int64_t>());
    EXPECT_EQ(static_cast<int64_t>(ids.size()), size);
    EXPECT_EQ(*ids.rbegin(), size - 1);
    int64_t next = 260;
    for (const Json& merge : tokenizer["model"]["merges"]) {
      ASSERT_TRUE(vocabulary.contains(merge[0]) && vocabulary.contains(merge[1]));
      ASSERT_EQ(vocabulary[merge[0].get<std::string>() + merge[1].get<std::string>()], next++);
    }
    EXPECT_EQ(next, size >= 279 ? size - 19 : size);
  }
  const Json pleias = SynthTokenizer(65'536);
  const Json& vocabulary = pleias["model"]["vocab"];
  EXPECT_EQ(vocabulary["[UNK]"], 0);
  EXPECT_EQ(vocabulary["<|begin_of_text|>"], 1);
  EXPECT_EQ(vocabulary["<|end_of_text|>"], 2);
  EXPECT_EQ(vocabulary["[PAD]"], 3);
  EXPECT_EQ(vocabulary["<|query_start|>"], 65'517);
  EXPECT_EQ(vocabulary["<|language_start|>"], 65'522);
  EXPECT_EQ(vocabulary["<|answer_end|>"], 65'535);
}

}  // namespace
}  // namespace merope
