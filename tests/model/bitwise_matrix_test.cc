// Tests the promise of bitwise reproducibility as a matrix. Its dimensions are: the batch size from
// 1 to 33 and the place in the batch; the number of threads; prefill in one step, in chunks and
// token by token; eager and compiled; plain and packed weights; every dtype. Each cell must have
// the same bits as one sequence alone, token by token, on one thread, op by op. With
// MEROPE_WHOLE=1, the test runs every cell. Without it, the test runs the batch sizes at the edges
// of tiles and at the edge between the two ways to split a step.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "backend/registry.h"
#include "checkpoint/synth.h"
#include "model/llama.h"
#include "tests/support/llama_config.h"
#include "tests/support/quantized_model.h"
#include "tests/support/temp_dir.h"

namespace merope {
namespace {

constexpr int64_t kMostSequences = 33;

bool WholeMatrix() { return std::getenv("MEROPE_WHOLE") != nullptr; }

// kCommon: vectors, groups and pages divide the sizes. Otherwise they do not.
enum class Shape : uint8_t { kCommon, kOdd, kQwen2, kQwen3 };

ModelConfig ConfigOf(Shape shape, bool stored) {
  if (shape == Shape::kCommon)
    return LlamaConfig(
        {.hidden = 256, .intermediate = 512, .head_dim = 64, .vocabulary = 512, .context = 1500});
  ModelConfig config = LlamaConfig({.hidden = stored ? 96 : 84,  // stored integers: blocks of 32
                                    .intermediate = stored ? 160 : 172,
                                    .heads = 6,
                                    .head_dim = 18,
                                    .vocabulary = 301,
                                    .context = 1500});
  config.architecture = shape == Shape::kQwen2   ? Architecture::kQwen2
                        : shape == Shape::kQwen3 ? Architecture::kQwen3
                                                 : Architecture::kLlama;
  config.attention_bias = shape != Shape::kQwen3;
  return config;
}

struct Form {
  Precision precision;
  WeightStorage weights;
  KvStorage kv = KvStorage::kAuto;
};

std::string Name(const Form& form) {
  std::string name(PrecisionName(form.precision));
  if (form.precision == Precision::kBf16)
    name += form.weights == WeightStorage::kPacked ? "_packed" : "_plain";
  return form.kv == KvStorage::kInt8 ? name + "_int8_kv" : name;
}

class BitwiseMatrixTest : public testing::TestWithParam<std::tuple<Form, Shape>> {
 protected:
  struct Engine {
    std::unique_ptr<Backend> backend;
    std::unique_ptr<Llama> model;
  };

  void SetUp() override {
    const Shape shape = std::get<1>(GetParam());
    odd_ = shape != Shape::kCommon;
    const bool stored = std::get<0>(GetParam()).precision == Precision::kNative;
    const ModelConfig config = ConfigOf(shape, stored);
    const float std_dev = odd_ ? 0.2f : 0.1f;
    path_ = directory_.path();
    if (stored) {
      path_ = WriteQuantizedModel(directory_, config, std_dev,
                                  [this](const std::string& name) { return TypeOf(name); });
    } else {
      const Status written = Synthesize(
          path_, config, {.seed = 3, .dtype = DType::kBF16, .std_dev = std_dev, .force = true});
      ASSERT_TRUE(written) << written.error().message;
    }
    std::mt19937_64 random(5);
    for (int64_t i = 0; i < kMostSequences; ++i) {
      std::vector<int32_t>& tokens = prompts_.emplace_back(1 + random() % 40);
      if (i == 7) tokens.resize(150);  // several pages; alone, its step is split by rows
      for (int32_t& token : tokens)
        token = static_cast<int32_t>(random() % static_cast<uint64_t>(config.vocab_size));
    }
    const Engine alone = Load(1, true);
    for (const auto& prompt : prompts_) expected_.push_back(LastLogits(*alone.model, prompt, 1));
  }

  // The matrices have several types, also within one stack. With odd sizes, o_proj stays in bf16,
  // because its 108 inputs are not whole blocks.
  DType TypeOf(const std::string& name) const {
    const auto has = [&](const char* part) { return name.find(part) != name.npos; };
    if (has("o_proj")) return odd_ ? DType::kBF16 : DType::kQ6_K;
    if (has("v_proj") || has("down_proj")) return odd_ ? DType::kQ8_0 : DType::kQ6_K;
    if (has("up_proj")) return DType::kQ5_1;
    if (has("embed_tokens")) return DType::kQ8_0;
    return odd_ ? DType::kQ4_1 : DType::kQ4_K;
  }

  Engine Load(int threads, bool eager) const {
    const auto& form = std::get<0>(GetParam());
    auto checkpoint = Checkpoint::Open(path_);
    EXPECT_TRUE(checkpoint) << checkpoint.error().message;
    Engine engine;
    engine.backend = MakeCpuBackend({form.precision, threads, form.weights, form.kv});
    auto model = Llama::Load(
        *checkpoint, *engine.backend,
        {.max_batch_tokens = 2000, .kv_tokens = 64 * 3 * (kMostSequences + 1), .eager = eager});
    EXPECT_TRUE(model) << model.error().message;
    engine.model = std::move(*model);
    return engine;
  }

  // Returns the logits after the last token. The tokens are computed in chunks of at most `chunk`.
  static std::vector<float> LastLogits(Llama& model, std::span<const int32_t> tokens,
                                       int64_t chunk) {
    Sequence sequence(model.kv());
    std::vector<float> logits;
    for (int64_t done = 0, n = std::ssize(tokens); done < n;) {
      const int64_t part = std::min(chunk, n - done);
      const SequenceStep step{
          &sequence, tokens.subspan(static_cast<size_t>(done), static_cast<size_t>(part)), 1};
      const Status status = model.Forward(std::span(&step, 1), &logits);
      EXPECT_TRUE(status) << status.error().message;
      done += part;
    }
    return logits;
  }

  // Runs the sequences first, first + 1, … (modulo kMostSequences) in one batch. The first step
  // computes all tokens of each prompt except the last, as one ragged step. The second step decodes
  // the last token of each prompt.
  void ExpectBatch(Llama& model, int64_t batch, int64_t first) const {
    const int64_t vocab = model.config().vocab_size;
    std::vector<std::unique_ptr<Sequence>> sequences;
    std::vector<SequenceStep> prefills, decodes;
    std::vector<float> logits;
    for (int64_t i = 0; i < batch; ++i) {
      const std::span<const int32_t> tokens(Prompt(first + i));
      sequences.push_back(std::make_unique<Sequence>(model.kv()));
      if (tokens.size() > 1)
        prefills.push_back({sequences.back().get(), tokens.first(tokens.size() - 1), 0});
      decodes.push_back({sequences.back().get(), tokens.last(1), 1});
    }
    if (!prefills.empty()) {
      const Status status = model.Forward(prefills, &logits);
      ASSERT_TRUE(status) << status.error().message;
    }
    const Status status = model.Forward(decodes, &logits);
    ASSERT_TRUE(status) << status.error().message;
    for (int64_t i = 0; i < batch; ++i)
      EXPECT_TRUE(std::ranges::equal(
          std::span(logits).subspan(static_cast<size_t>(i * vocab), static_cast<size_t>(vocab)),
          expected_[static_cast<size_t>((first + i) % kMostSequences)]))
          << "row " << i << " of " << batch << ", sequence " << (first + i) % kMostSequences;
  }

  const std::vector<int32_t>& Prompt(int64_t i) const {
    return prompts_[static_cast<size_t>(i % kMostSequences)];
  }

  bool odd_ = true;
  TempDir directory_;
  std::string path_;
  std::vector<std::vector<int32_t>> prompts_;
  std::vector<std::vector<float>> expected_;  // (vocab) after each prompt
};

TEST_P(BitwiseMatrixTest, EveryCellHasTheSameBits) {
  std::vector<int64_t> batches = {1, 2, 3, 6, 7, 13, 32, 33};
  if (WholeMatrix()) {
    batches.clear();
    for (int64_t batch = 1; batch <= kMostSequences; ++batch) batches.push_back(batch);
  }
  for (const int threads : {1, 2, 3})
    for (const bool eager : {true, false}) {
      const Engine engine = Load(threads, eager);
      SCOPED_TRACE(testing::Message() << threads << " threads, " << (eager ? "eager" : "compiled"));
      int64_t first = 0;
      for (const int64_t batch : batches) ExpectBatch(*engine.model, batch, first += 5);
      for (const int64_t chunk : {1, 5, 64, 1000})
        for (size_t i = 0; i < prompts_.size(); i += WholeMatrix() ? 1 : 7)
          EXPECT_EQ(LastLogits(*engine.model, prompts_[i], chunk), expected_[i])
              << "sequence " << i << " in chunks of " << chunk;
      if (HasFailure()) return;  // the other engines would report the same failure
    }
}

// The matrix relies on this property: the comparison detects a difference in one token, at any
// distance.
TEST_P(BitwiseMatrixTest, AnotherTokenIsSeen) {
  const Engine engine = Load(2, false);
  std::vector<int32_t> tokens = prompts_[7];
  tokens[0] = (tokens[0] + 1) % 300;
  EXPECT_NE(LastLogits(*engine.model, tokens, 1000), expected_[7]);
}

std::string CaseName(const testing::TestParamInfo<std::tuple<Form, Shape>>& suite_info) {
  const Shape shape = std::get<1>(suite_info.param);
  return Name(std::get<0>(suite_info.param)) + (shape == Shape::kCommon  ? "_common"
                                                : shape == Shape::kOdd   ? "_odd"
                                                : shape == Shape::kQwen2 ? "_qwen2"
                                                                         : "_qwen3");
}

INSTANTIATE_TEST_SUITE_P(
    Forms, BitwiseMatrixTest,
    testing::Combine(testing::Values(Form{Precision::kFp32, WeightStorage::kPlain},
                                     Form{Precision::kBf16, WeightStorage::kPlain},
                                     Form{Precision::kBf16, WeightStorage::kPacked},
                                     Form{Precision::kInt8, WeightStorage::kPlain},
                                     Form{Precision::kInt8, WeightStorage::kPlain,
                                          KvStorage::kInt8},
                                     Form{Precision::kInt4, WeightStorage::kPlain},
                                     Form{Precision::kNative, WeightStorage::kPlain}),
                     testing::Values(Shape::kCommon, Shape::kOdd)),
    CaseName);

// Kernels and sums are those of a Llama, so fewer forms are enough.
INSTANTIATE_TEST_SUITE_P(
    Qwen, BitwiseMatrixTest,
    testing::Combine(testing::Values(Form{Precision::kFp32, WeightStorage::kPlain},
                                     Form{Precision::kBf16, WeightStorage::kPacked},
                                     Form{Precision::kInt8, WeightStorage::kPlain,
                                          KvStorage::kInt8},
                                     Form{Precision::kInt4, WeightStorage::kPlain},
                                     Form{Precision::kNative, WeightStorage::kPlain}),
                     testing::Values(Shape::kQwen2, Shape::kQwen3)),
    CaseName);

}  // namespace
}  // namespace merope
