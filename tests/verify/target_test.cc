// Logits of another device as the target, in whole rows and top-k rows, on a small random model.
// Other tests check the user's own prompts.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <map>
#include <numeric>

#include "base/json.h"
#include "base/mapped_file.h"
#include "checkpoint/synth.h"
#include "tests/support/expect.h"
#include "tests/support/llama_config.h"
#include "tests/support/temp_dir.h"
#include "verify/free_run.h"
#include "verify/logits_file.h"
#include "verify/suite.h"
#include "verify/user_prompts.h"

namespace merope {
namespace {

constexpr int64_t kVocab = 384, kContext = 48;
using PromptRows = std::vector<float>;  // (positions, vocab) of one prompt

// The tensors of one prompt in a file of top-k rows.
struct TopTensors {
  std::vector<int32_t> ids{}, top_ids{};
  std::vector<float> top_logprobs{}, next_logprobs{};
};

class TargetTest : public ::testing::Test {
 protected:
  TargetTest() : checkpoint_(Model("model", 10000)), tokenizer_(TokenizerOf()) {
    options_.mode = VerifyMode::kDefault;
    options_.threads = 2;
    auto prompts = BuildPrompts(checkpoint_, tokenizer_, VerifyMode::kDefault);
    EXPECT_TRUE(prompts) << ErrorOf(prompts);
    prompts_ = std::move(*prompts);
  }

  Checkpoint Model(const char* name, double rope_theta) {
    ModelConfig config = LlamaConfig({.hidden = 64, .head_dim = 16, .vocabulary = kVocab});
    config.tie_word_embeddings = true;
    config.max_position_embeddings = kContext;
    config.rope_theta = rope_theta;
    SynthOptions options;
    options.seed = 8;
    options.dtype = DType::kF32;
    options.std_dev = 0.1;
    const Status made = Synthesize(directory_.File(name), config, options);
    EXPECT_TRUE(made) << ErrorOf(made);
    Result<Checkpoint> checkpoint = Checkpoint::Open(directory_.File(name));
    if (!checkpoint) ADD_FAILURE() << checkpoint.error().message;
    return std::move(*checkpoint);
  }
  Tokenizer TokenizerOf() {
    Result<Tokenizer> tokenizer = checkpoint_.LoadTokenizer();
    if (!tokenizer) ADD_FAILURE() << tokenizer.error().message;
    return std::move(*tokenizer);
  }

  std::vector<PromptRows> RowsOf(const Checkpoint& checkpoint) {
    const auto source =
        LoadLogitSource(checkpoint, kCpuBackend, Precision::kBf16, KvStorage::kAuto, 1, kContext);
    EXPECT_TRUE(source) << ErrorOf(source);
    std::vector<PromptRows> all;
    for (const VerifyPrompt& p : prompts_) {
      const int64_t n = std::ssize(p.ids);
      PromptRows& rows = all.emplace_back(static_cast<size_t>(n * kVocab));
      const Status read = (*source)->Rows(p, 0, n, rows);
      EXPECT_TRUE(read) << ErrorOf(read);
    }
    return all;
  }

  // Replaces each row, except the first, by the row of the position before.
  static std::vector<PromptRows> Shifted(std::vector<PromptRows> all) {
    for (PromptRows& rows : all) std::copy_backward(rows.begin(), rows.end() - kVocab, rows.end());
    return all;
  }

  std::string WriteWhole(const std::vector<PromptRows>& all) {
    class Given : public LogitSource {
     public:
      explicit Given(const std::map<std::string, const PromptRows*>& rows) : rows_(rows) {}
      std::string name() const override { return "given"; }
      Status Rows(const VerifyPrompt& prompt, int64_t begin, int64_t end,
                  std::span<float> rows) override {
        std::copy_n(rows_.at(prompt.id)->begin() + begin * kVocab, (end - begin) * kVocab,
                    rows.begin());
        return {};
      }

     private:
      std::map<std::string, const PromptRows*> rows_;
    };
    std::map<std::string, const PromptRows*> by_prompt;
    for (size_t i = 0; i < all.size(); ++i) by_prompt[prompts_[i].id] = &all[i];
    Given source(by_prompt);
    const std::string path = directory_.File("whole.safetensors");
    const Status written = WriteLogits(path, source, prompts_, kVocab, [](int64_t, int64_t) {});
    EXPECT_TRUE(written) << ErrorOf(written);
    return path;
  }

  // Writes a file with the k most probable tokens of each row. edit changes the tensors of the
  // first prompt before writing.
  using Edit = std::function<void(TopTensors*)>;
  std::string WriteTop(const std::vector<PromptRows>& all, int64_t k, const Edit& edit = {}) {
    nlohmann::ordered_json header = {{"__metadata__", {{"format", "merope-logits"}}}};
    std::string data;
    const auto add = [&](const std::string& name, const char* dtype, std::vector<int64_t> shape,
                         const auto& values) {
      const size_t bytes = values.size() * 4;
      header[name] = {
          {"dtype", dtype}, {"shape", shape}, {"data_offsets", {data.size(), data.size() + bytes}}};
      data.append(reinterpret_cast<const char*>(values.data()), bytes);
    };
    for (size_t i = 0; i < all.size(); ++i) {
      const std::vector<int32_t>& ids = prompts_[i].ids;
      TopTensors tensors{.ids = ids};
      const int64_t n = std::ssize(ids);
      for (int64_t row = 0; row < n; ++row) {
        const float* z = all[i].data() + row * kVocab;
        double sum = 0;
        for (int64_t j = 0; j < kVocab; ++j) sum += std::exp(static_cast<double>(z[j]));
        const auto logprob = [&](int32_t id) {
          return static_cast<float>(static_cast<double>(z[id]) - std::log(sum));
        };
        std::vector<int32_t> order(kVocab);
        std::iota(order.begin(), order.end(), 0);
        std::ranges::sort(order,
                          [&](int32_t a, int32_t b) { return z[a] != z[b] ? z[a] > z[b] : a < b; });
        for (int64_t j = 0; j < k; ++j) {
          tensors.top_ids.push_back(order[static_cast<size_t>(j)]);
          tensors.top_logprobs.push_back(logprob(tensors.top_ids.back()));
        }
        if (row + 1 < n)
          tensors.next_logprobs.push_back(logprob(ids[static_cast<size_t>(row) + 1]));
      }
      if (i == 0 && edit) edit(&tensors);
      const std::string& id = prompts_[i].id;
      add(id + ".ids", "I32", {n}, tensors.ids);
      add(id + ".top_ids", "I32", {n, std::ssize(tensors.top_ids) / n}, tensors.top_ids);
      add(id + ".top_logprobs", "F32", {n, k}, tensors.top_logprobs);
      add(id + ".next_logprobs", "F32", {std::ssize(tensors.next_logprobs)}, tensors.next_logprobs);
    }
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    const uint64_t length = text.size();
    std::string file(reinterpret_cast<const char*>(&length), sizeof length);
    const std::string path = directory_.File("top.safetensors");
    EXPECT_TRUE(WriteFile(path, file + text + data));
    return path;
  }

  Result<VerifyResult> Judge(const std::string& path) {
    options_.target_file = path;
    return Verify(checkpoint_, tokenizer_, options_);
  }

  static std::string Gates(const VerifyResult& result) {
    std::string text;
    for (const GateResult& gate : result.positions.gates)
      text += fmt::format("{} {} {}\n", gate.key, gate.value, VerdictName(gate.verdict));
    return text;
  }
  static const GateResult& Gate(const VerifyResult& result, std::string_view key) {
    const auto& gates = result.positions.gates;
    return *std::ranges::find(gates, key, &GateResult::key);
  }

  TempDir directory_;
  Checkpoint checkpoint_;
  Tokenizer tokenizer_;
  VerifyOptions options_;
  std::vector<VerifyPrompt> prompts_;
};

TEST_F(TargetTest, APerfectDumpIsJudgedAsOurOwnBackEndIs) {
  options_.mode = VerifyMode::kQuick;  // without free runs, of which a file knows nothing
  auto prompts = BuildPrompts(checkpoint_, tokenizer_, options_.mode);
  ASSERT_TRUE(prompts) << ErrorOf(prompts);
  prompts_ = std::move(*prompts);
  const auto own = Verify(checkpoint_, tokenizer_, options_);
  ASSERT_TRUE(own) << ErrorOf(own);
  const auto whole = Judge(WriteWhole(RowsOf(checkpoint_)));
  ASSERT_TRUE(whole) << ErrorOf(whole);
  EXPECT_EQ(Gates(*whole), Gates(*own));
  EXPECT_EQ(whole->verdict, own->verdict);
  EXPECT_NE(whole->verdict, Verdict::kFail) << Gates(*whole);
  EXPECT_EQ(whole->target, options_.target_file);
}

TEST_F(TargetTest, APerfectDumpOfTopKPasses) {
  const auto top = Judge(WriteTop(RowsOf(checkpoint_), 20));
  ASSERT_TRUE(top) << ErrorOf(top);
  EXPECT_EQ(top->verdict, Verdict::kPass) << Gates(*top);
  EXPECT_NEAR(Gate(*top, "sigma_ratio").value, 1, 0.1);
  EXPECT_NEAR(Gate(*top, "kl_ratio").value, 1, 0.2);
  EXPECT_TRUE(top->target.ends_with("the 20 most probable tokens")) << top->target;
  // tv and tv_most are bounds of the TV of whole rows. KL is at most the KL of whole rows.
  const auto mean = [](const VerifyResult& result, std::string_view key) {
    return std::ranges::find(result.positions.figures, key, &PositionFigure::key)->mean;
  };
  const auto whole = Judge(WriteWhole(RowsOf(checkpoint_)));
  ASSERT_TRUE(whole) << ErrorOf(whole);
  EXPECT_LT(mean(*top, "kl"), mean(*whole, "kl"));
  EXPECT_LT(mean(*top, "tv"), mean(*whole, "tv"));
  EXPECT_GT(mean(*top, "tv_most"), mean(*whole, "tv"));
  EXPECT_EQ(top->positions.flips.size(), whole->positions.flips.size());
  EXPECT_NEAR(top->positions.delta_ln_ppl, whole->positions.delta_ln_ppl, 1e-6);
}

TEST_F(TargetTest, PlantedFaultsFail) {
  const Checkpoint wrong_theta = Model("wrong", 500);
  for (const std::vector<PromptRows>& rows : {RowsOf(wrong_theta), Shifted(RowsOf(checkpoint_))})
    for (const std::string& path : {WriteWhole(rows), WriteTop(rows, 20)}) {
      const auto result = Judge(path);
      ASSERT_TRUE(result) << ErrorOf(result);
      EXPECT_EQ(result->positions.verdict, Verdict::kFail) << path << "\n" << Gates(*result);
      EXPECT_EQ(Gate(*result, "sigma_ratio").verdict, Verdict::kFail) << Gates(*result);
      EXPECT_EQ(Gate(*result, "reference").verdict, Verdict::kPass);
    }
}

TEST_F(TargetTest, MalformedFilesAreRefusedByName) {
  const std::vector<PromptRows> rows = RowsOf(checkpoint_);
  const std::string first = prompts_[0].id;
  const struct {
    int64_t k;
    Edit edit;
    std::string message;
  } cases[] = {
      {20, [](TopTensors* t) { ++t->ids[0]; }, first + ".ids: expected the token ids"},
      {20, [](TopTensors* t) { t->top_ids[20] = kVocab; },
       first + ".top_ids: position 1: expected token ids from 0 to 383, found 384"},
      {20, [](TopTensors* t) { t->top_ids[3] = -1; }, "position 0: expected token ids"},
      {20, [](TopTensors* t) { t->top_ids[1] = t->top_ids[0]; }, "expected each token once, found"},
      {20, [](TopTensors* t) { t->top_logprobs[5] = NAN; },
       first + ".top_logprobs: position 0: expected logarithms of probabilities"},
      {20, [](TopTensors* t) { t->top_logprobs[5] = 0; }, "of at most 1 together"},
      {20, [](TopTensors* t) { t->next_logprobs[2] = 1; },
       first + ".next_logprobs: expected logarithms of probabilities, found 1"},
      {20, [](TopTensors* t) { t->next_logprobs.push_back(-1); }, "next_logprobs\": expected F32"},
      {19, {}, "expected (positions, 20 to 384 tokens), found"},
  };
  for (const auto& c : cases) {
    const auto result = Judge(WriteTop(rows, c.k, c.edit));
    EXPECT_TRUE(Contains(ErrorOf(result), c.message));
    EXPECT_TRUE(Contains(ErrorOf(result), "top.safetensors: "));
  }
  options_.target_file.clear();
  options_.against = WriteTop(rows, 20);
  EXPECT_TRUE(Contains(ErrorOf(Verify(checkpoint_, tokenizer_, options_)),
                       "expected whole rows of logits of a baseline"));
}

TEST_F(TargetTest, PromptsOfTheUserAreAdded) {
  const std::string text = directory_.File("own.txt"), lines = directory_.File("own.jsonl");
  ASSERT_TRUE(WriteFile(text, "First of them.\r\n\n  \nThe second, which has no end"));
  ASSERT_TRUE(WriteFile(lines, "{\"prompt\": \"First\\nof them.\"}\n\n{\"prompt\": \"ü\"}\n"));
  std::vector<VerifyPrompt> prompts;
  ASSERT_TRUE(AddUserPrompts(text, tokenizer_, 10, &prompts));
  ASSERT_TRUE(AddUserPrompts(lines, tokenizer_, 10, &prompts));
  ASSERT_EQ(prompts.size(), 4u);
  EXPECT_EQ(prompts[0].text, "First of them.");
  EXPECT_EQ(prompts[1].id, "user-2");
  EXPECT_EQ(prompts[1].ids.size(), 10u);  // cut to the context of 10
  EXPECT_EQ(prompts[2].text, "First\nof them.");

  options_.prompts = text;
  const auto result = Verify(checkpoint_, tokenizer_, options_);
  ASSERT_TRUE(result) << ErrorOf(result);
  const auto& by_prompt = result->positions.by_prompt;
  EXPECT_EQ(std::ranges::count(by_prompt, "user", &PromptSummary::kind), 2);
  EXPECT_EQ(std::ssize(by_prompt) - std::ranges::count(by_prompt, kFreeRun, &PromptSummary::kind),
            std::ssize(prompts_) + 2);
}

// A position whose tokens so far begin an earlier prompt has that prompt's row, and is no further
// evidence.
TEST_F(TargetTest, ARepeatedPromptIsComparedOnce) {
  const auto without = Verify(checkpoint_, tokenizer_, options_);
  ASSERT_TRUE(without) << ErrorOf(without);
  options_.prompts = directory_.File("own.txt");
  ASSERT_TRUE(WriteFile(options_.prompts, std::string(ReportPrompts()[0]) + "\n"));
  const auto with = Verify(checkpoint_, tokenizer_, options_);
  ASSERT_TRUE(with) << ErrorOf(with);
  EXPECT_EQ(with->positions.prompts, without->positions.prompts + 1);
  EXPECT_EQ(with->positions.positions, without->positions.positions);
  const auto& prompts = with->positions.by_prompt;
  const auto repeated = std::ranges::find(prompts, "user", &PromptSummary::kind);
  ASSERT_NE(repeated, prompts.end());
  EXPECT_EQ(repeated->positions, 0);
  EXPECT_EQ(repeated->mean_kl, 0);
}

TEST_F(TargetTest, BadPromptsAreNamedByLine) {
  const std::string text = directory_.File("own.txt"), lines = directory_.File("own.jsonl");
  const struct {
    std::string path, content, message;
  } cases[] = {
      {text, "\n \n", "own.txt: expected prompts, one a line, found none"},
      {text, "good\nbad \xff\n", "own.txt: line 2: expected UTF-8, found other bytes at byte 5"},
      {lines, "{\"prompt\": \"a\"}\n{\"prompt\": \n", "own.jsonl: line 2: "},
      {lines, "[]", "line 1: expected an object with the text \"prompt\", found an array"},
      {lines, "{\"text\": \"a\"}", "line 1: prompt: expected a text, found none"},
      {lines, "{\"prompt\": \"\"}", "line 1: prompt: expected a text, found an empty one"},
      {lines, "{\"prompt\": 3}", "line 1: prompt: "},
  };
  for (const auto& c : cases) {
    ASSERT_TRUE(WriteFile(c.path, c.content));
    std::vector<VerifyPrompt> prompts;
    EXPECT_TRUE(Contains(ErrorOf(AddUserPrompts(c.path, tokenizer_, 10, &prompts)), c.message));
  }
}

}  // namespace
}  // namespace merope
