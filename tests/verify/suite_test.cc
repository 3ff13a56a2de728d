// Runs the whole suite on a small random model.
#include "verify/suite.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "checkpoint/synth.h"
#include "tests/support/expect.h"
#include "tests/support/llama_config.h"
#include "tests/support/quantized_model.h"
#include "tests/support/temp_dir.h"
#include "verify/free_run.h"
#include "verify/logits_file.h"

namespace merope {
namespace {

class SuiteTest : public ::testing::Test {
 protected:
  SuiteTest() {
    options_.mode = VerifyMode::kQuick;
    options_.threads = 2;
  }

  static ModelConfig Config() {
    ModelConfig config = LlamaConfig({.hidden = 64, .head_dim = 16, .vocabulary = 384});
    config.tie_word_embeddings = true;
    return config;
  }

  Checkpoint Model(const char* name, uint64_t seed, double std_dev = 0.15) {
    SynthOptions options;
    options.seed = seed;
    options.dtype = DType::kF32;
    options.std_dev = std_dev;
    const std::string path = directory_.File(name);
    const Status made = Synthesize(path, Config(), options);
    EXPECT_TRUE(made) << ErrorOf(made);
    Result<Checkpoint> checkpoint = Checkpoint::Open(path);
    if (!checkpoint) ADD_FAILURE() << checkpoint.error().message;
    return std::move(*checkpoint);
  }

  static Tokenizer TokenizerOf(const Checkpoint& checkpoint) {
    Result<Tokenizer> tokenizer = checkpoint.LoadTokenizer();
    if (!tokenizer) ADD_FAILURE() << tokenizer.error().message;
    return std::move(*tokenizer);
  }

  // Writes a file with the model's own logits for the prompts of --quick. Returns its path.
  std::string DumpLogits(const Checkpoint& checkpoint, std::string_view backend) {
    const std::string path = directory_.File("logits.safetensors");
    const auto prompts =
        BuildPrompts(TokenizerOf(checkpoint), Config().max_position_embeddings, VerifyMode::kQuick);
    const auto source = LoadLogitSource(checkpoint, backend, Precision::kFp32, KvStorage::kAuto, 1,
                                        Config().max_position_embeddings);
    if (!prompts || !source) {
      ADD_FAILURE() << ErrorOf(prompts) << ErrorOf(source);
      return path;
    }
    const Status written =
        WriteLogits(path, **source, *prompts, Config().vocab_size, [](int64_t, int64_t) {});
    EXPECT_TRUE(written) << ErrorOf(written);
    return path;
  }

  static const GateResult& Gate(const VerifyResult& result, std::string_view key) {
    const auto& gates = result.positions.gates;
    const auto found = std::ranges::find(gates, key, &GateResult::key);
    EXPECT_NE(found, gates.end()) << key;
    return found == gates.end() ? gates.front() : *found;
  }

  TempDir directory_;
  VerifyOptions options_;
};

TEST_F(SuiteTest, Bf16AgainstOurOwnFp32) {
  const Checkpoint checkpoint = Model("model", 1);
  int64_t last_done = 0, last_total = -1;
  options_.progress = [&](std::string_view, int64_t done, int64_t total) {
    last_done = done, last_total = total;
  };
  const auto result = Verify(checkpoint, TokenizerOf(checkpoint), options_);
  ASSERT_TRUE(result) << ErrorOf(result);
  EXPECT_EQ(last_done, last_total);
  ASSERT_EQ(result->first_token.rows.size(), 25u);
  EXPECT_EQ(result->first_token.rows[0].prompt, "What is RAG in AI?");
  EXPECT_GE(result->reference.positions, 300);
  EXPECT_EQ(result->reference.verdict, Verdict::kPass) << result->reference.worst_share_of_bound;
  EXPECT_GT(result->reference.max_relative_l2, 0);
  EXPECT_LT(result->reference.max_relative_l2, 1e-5);
  EXPECT_GT(result->reference.emulated_relative_l2, 1e-3);  // bf16 keeps 8 bits
  EXPECT_NEAR(Gate(*result, "sigma_ratio").value, 1, 0.1);  // target and emulation: equal noise
  int64_t positions = 0;
  for (const PromptSummary& p : result->positions.by_prompt) positions += p.positions;
  EXPECT_EQ(positions, result->positions.positions);
}

TEST_F(SuiteTest, TheDefaultModeComparesTheTargetsOwnTexts) {
  const Checkpoint checkpoint = Model("model", 1);
  const Tokenizer tokenizer = TokenizerOf(checkpoint);
  options_.mode = VerifyMode::kDefault;
  const auto result = Verify(checkpoint, tokenizer, options_);
  ASSERT_TRUE(result) << ErrorOf(result);
  const PositionSuite& suite = result->positions;
  EXPECT_EQ(suite.generated_texts, 25);
  EXPECT_EQ(suite.generated_tokens, 25 * 32);
  EXPECT_GT(suite.first_divergence, 0);
  EXPECT_LE(suite.first_divergence, 32);
  EXPECT_LT(suite.divergent_share, 0.1);
  const auto free = std::ranges::count(suite.by_prompt, "free", &PromptSummary::kind);
  EXPECT_EQ(free, 25);

  // The tokens are the target's own, and the texts end at the context.
  auto prompts = BuildPrompts(checkpoint, tokenizer, VerifyMode::kQuick);
  ASSERT_TRUE(prompts) << ErrorOf(prompts);
  const size_t n = prompts->size();
  const int64_t context = std::ssize((*prompts)[1].ids) + 9, vocab = Config().vocab_size;
  const auto target =
      LoadLogitSource(checkpoint, kCpuBackend, Precision::kBf16, KvStorage::kAuto, 1, 320);
  ASSERT_TRUE(target) << ErrorOf(target);
  ASSERT_TRUE(AppendFreeRuns(
      **target, vocab, context, 32, [](int64_t) -> Status { return {}; }, &*prompts));
  ASSERT_GT(prompts->size(), n);
  for (size_t i = n; i < prompts->size(); ++i) {
    const VerifyPrompt& text = (*prompts)[i];
    EXPECT_LE(std::ssize(text.ids), context);
    EXPECT_LE(text.generated, 31);
    std::vector<float> rows(static_cast<size_t>(std::ssize(text.ids) * vocab));
    for (int64_t begin = 0; begin < std::ssize(text.ids); begin += kLogitChunk) {
      const int64_t end = std::min(std::ssize(text.ids), begin + kLogitChunk);
      ASSERT_TRUE(
          (*target)->Rows(text, begin, end,
                          std::span(rows).subspan(static_cast<size_t>(begin * vocab),
                                                  static_cast<size_t>((end - begin) * vocab))));
    }
    for (int64_t at = text.asked(); at < std::ssize(text.ids); ++at) {
      const auto row = std::span(rows).subspan(static_cast<size_t>((at - 1) * vocab),
                                               static_cast<size_t>(vocab));
      EXPECT_EQ(text.ids[static_cast<size_t>(at)], std::ranges::max_element(row) - row.begin());
    }
  }
}

// The emulation uses an int8 KV cache, as the target does. Both have the same noise, and more noise
// than with a bf16 KV cache.
TEST_F(SuiteTest, AnInt8CacheAgainstOurOwnFp32) {
  const Checkpoint checkpoint = Model("model", 1);
  const auto bf16 = Verify(checkpoint, TokenizerOf(checkpoint), options_);
  options_.target_kv = KvStorage::kInt8;
  const auto int8 = Verify(checkpoint, TokenizerOf(checkpoint), options_);
  ASSERT_TRUE(bf16) << ErrorOf(bf16);
  ASSERT_TRUE(int8) << ErrorOf(int8);
  EXPECT_TRUE(int8->target.ends_with(", int8 K/V cache")) << int8->target;
  EXPECT_NEAR(Gate(*int8, "sigma_ratio").value, 1, 0.1);
  EXPECT_GT(int8->reference.emulated_sigma, bf16->reference.emulated_sigma);
}

// The reference emulates the file's own integers.
TEST_F(SuiteTest, StoredAgainstOurOwnFp32) {
  const std::string path =
      WriteQuantizedModel(directory_, Config(), 0.15f, [](const std::string& name) {
        return name.find("down_proj") != name.npos ? DType::kQ8_0 : DType::kQ4_1;
      });
  const auto checkpoint = Checkpoint::Open(path);
  ASSERT_TRUE(checkpoint) << ErrorOf(checkpoint);
  const auto tokenizer = LoadTokenizerFrom(directory_.path());
  ASSERT_TRUE(tokenizer) << ErrorOf(tokenizer);
  options_.target = Precision::kNative;
  const auto result = Verify(*checkpoint, *tokenizer, options_);
  ASSERT_TRUE(result) << ErrorOf(result);
  EXPECT_TRUE(result->target.ends_with(", native")) << result->target;
  EXPECT_EQ(result->reference.verdict, Verdict::kPass) << result->reference.worst_share_of_bound;
  EXPECT_NEAR(Gate(*result, "sigma_ratio").value, 1, 0.1);
  EXPECT_EQ(Gate(*result, "unexplained_flips").value, 0);
}

// The weights are finite, but the attention scores overflow.
TEST_F(SuiteTest, LogitsThatAreNoNumbersFail) {
  const Checkpoint checkpoint = Model("model", 9, 1e15);
  for (const Precision target :
       {Precision::kFp32, Precision::kBf16, Precision::kInt8, Precision::kInt4})
    for (const KvStorage kv : {KvStorage::kAuto, KvStorage::kInt8}) {
      options_.target = target;
      options_.target_kv = kv;
      const auto result = Verify(checkpoint, TokenizerOf(checkpoint), options_);
      ASSERT_TRUE(result) << ErrorOf(result);
      EXPECT_EQ(result->verdict, Verdict::kFail);
      EXPECT_EQ(Gate(*result, "not_finite").verdict, Verdict::kFail);
      EXPECT_EQ(Gate(*result, "not_finite").value, result->positions.positions);
    }
}

TEST_F(SuiteTest, Fp32AgainstDoubleSums) {
  const Checkpoint checkpoint = Model("model", 2);
  options_.target = Precision::kFp32;
  const auto result = Verify(checkpoint, TokenizerOf(checkpoint), options_);
  ASSERT_TRUE(result) << ErrorOf(result);
  EXPECT_EQ(result->verdict, Verdict::kPass);
  EXPECT_TRUE(result->baseline.starts_with("reference")) << result->baseline;
  EXPECT_EQ(result->positions.flips.size(), 0u);
}

TEST_F(SuiteTest, AgainstAFileOfLogits) {
  const Checkpoint checkpoint = Model("model", 3);
  options_.against = DumpLogits(checkpoint, kReferenceBackend);
  options_.target = Precision::kFp32;
  const auto result = Verify(checkpoint, TokenizerOf(checkpoint), options_);
  ASSERT_TRUE(result) << ErrorOf(result);
  EXPECT_EQ(result->verdict, Verdict::kPass);
  EXPECT_EQ(result->baseline, options_.against);
  EXPECT_EQ(result->reference.max_relative_l2, 0);  // the file came from the reference back end
}

TEST_F(SuiteTest, AnotherModelsLogitsFail) {
  const Checkpoint checkpoint = Model("model", 4), other = Model("other", 5);
  options_.against = DumpLogits(other, kCpuBackend);
  const auto result = Verify(checkpoint, TokenizerOf(checkpoint), options_);
  ASSERT_TRUE(result) << ErrorOf(result);
  EXPECT_EQ(result->verdict, Verdict::kFail);
  EXPECT_EQ(result->first_token.verdict, Verdict::kFail);
  EXPECT_EQ(result->positions.verdict, Verdict::kFail);
  EXPECT_EQ(result->reference.verdict, Verdict::kFail);
}

TEST_F(SuiteTest, AFileWithoutThePromptsIsRefused) {
  const Checkpoint checkpoint = Model("model", 6);
  options_.against = DumpLogits(checkpoint, kCpuBackend);
  options_.mode = VerifyMode::kDefault;  // more prompts than were dumped
  EXPECT_TRUE(Contains(ErrorOf(Verify(checkpoint, TokenizerOf(checkpoint), options_)),
                       "expected one for each prompt"));
  options_.against += ".missing";
  EXPECT_TRUE(Contains(ErrorOf(Verify(checkpoint, TokenizerOf(checkpoint), options_)),
                       "logits.safetensors.missing"));
}

}  // namespace
}  // namespace merope
