#include "rag/ask.h"

#include <gtest/gtest.h>

#include <random>

#include "checkpoint/synth.h"
#include "engine/engine.h"
#include "engine/event_queue.h"
#include "engine/generate.h"
#include "rag/answer_json.h"
#include "tests/support/expect.h"
#include "tests/support/llama_config.h"
#include "tests/support/temp_dir.h"

namespace merope {
namespace {

constexpr int64_t kContext = 512;

class AskTest : public testing::Test {
 protected:
  void SetUp() override {
    ModelConfig config = LlamaConfig({.vocabulary = 1024, .context = kContext});
    config.eos_token_ids = {2};
    ASSERT_TRUE(Synthesize(directory_.path(), config,
                           {.seed = 11, .dtype = DType::kF32, .std_dev = 0.3, .force = true}));
    auto loaded = LoadModel({directory_.path(), {.max_num_seqs = 16}});
    ASSERT_TRUE(loaded) << loaded.error().message;
    loaded_ = std::make_unique<LoadedModel>(std::move(*loaded));
    auto model = RagModel::Make(*loaded_);
    ASSERT_TRUE(model) << model.error().message;
    model_ = std::make_unique<RagModel>(std::move(*model));
  }

  RagJob Job(const RagQuestion& question, const AskOptions& options) {
    auto job = model_->Prepare(question, options);
    CHECK(job.has_value(), "{}", job.error().message);
    return std::move(*job);
  }
  RagResult Alone(Engine& engine, RagJob job) {
    const auto done = Generate(engine, job.TakeRequest(), [&job](const Event& event) {
      job.Read(event);
      return true;
    });
    CHECK(done.has_value(), "{}", done.error().message);
    return job.result();
  }

  TempDir directory_;
  std::unique_ptr<LoadedModel> loaded_;
  std::unique_ptr<RagModel> model_;
};

const std::vector<std::string> kSources = {
    "The Eiffel Tower was completed in 1889 for the World\u2019s Fair. It is 330 metres tall.",
    "Mount Fuji is the highest mountain in Japan.\nIt last erupted in 1707\u20131708.",
    "北京是中国的首都。"};

AskOptions Sampled(int64_t seed, int64_t max_tokens) {
  return {.params = {.temperature = 1.5, .seed = seed, .max_tokens = max_tokens},
          .cite = CiteRule::kOnce};
}

// Every citation that is shown stands in its source, and answers are the same bits alone, together,
// and with speculation.
TEST_F(AskTest, AnswersAreVerbatimAndTheSameInEveryBatch) {
  constexpr int kRequests = 48;
  std::vector<std::string> alone;
  int64_t citations = 0, cut = 0;
  const auto question = [](int i) {
    return RagQuestion{.query = "Question " + std::to_string(i),
                       .sources = {kSources[static_cast<size_t>(i % 3)], kSources[1]},
                       .fast = i % 4 != 0};
  };
  const auto job = [&](int i) { return Job(question(i), Sampled(i, 160 + i)); };
  {
    Engine engine(loaded_->model(), loaded_->tokenizer, {});
    for (int i = 0; i < kRequests; ++i) {
      const RagResult result = Alone(engine, job(i));
      alone.push_back(AnswerToJson(question(i), result, {}).dump());
      citations += std::ssize(result.answer.citations);
      for (const Citation& one : result.answer.citations) {
        EXPECT_EQ(one.grounding.verdict, QuoteVerdict::kExact);
        EXPECT_TRUE(result.prompt.sources[static_cast<size_t>(one.grounding.source - 1)].contains(
            one.cited_text));
        EXPECT_EQ(one.cited_text, one.quote);
      }
      for (const Citation& one : result.answer.unsupported) {
        EXPECT_EQ(one.grounding.verdict, QuoteVerdict::kCut) << alone.back();
        ++cut;
      }
    }
  }
  EXPECT_GT(citations, kRequests / 4) << cut << " references were cut by max_tokens";
  for (const int64_t speculative : {0, 4}) {
    Engine engine(loaded_->model(), loaded_->tokenizer,
                  {.max_num_seqs = 16, .speculative_tokens = speculative});
    EventQueue queue;
    std::vector<RagJob> jobs;
    for (int i = 0; i < kRequests; ++i) jobs.push_back(job(i));
    for (int i = 0; i < kRequests; ++i)
      ASSERT_TRUE(engine.Submit(jobs[static_cast<size_t>(i)].TakeRequest(),
                                queue.Sink(static_cast<size_t>(i))));
    for (int open = kRequests; open > 0;)
      for (const TaggedEvent& tagged : queue.WaitForEvents(std::chrono::milliseconds(50))) {
        jobs[tagged.tag].Read(tagged.event);
        open -= tagged.event.last;
      }
    for (int i = 0; i < kRequests; ++i)
      EXPECT_EQ(AnswerToJson(question(i), jobs[static_cast<size_t>(i)].result(), {}).dump(),
                alone[static_cast<size_t>(i)])
          << "request " << i << ", " << speculative << " speculative tokens";
  }
}

TEST_F(AskTest, AStopStringWaitsForTheEndOfAReference) {
  Engine engine(loaded_->model(), loaded_->tokenizer, {});
  int64_t references = 0;
  for (int i = 0; i < 12; ++i) {
    AskOptions options = Sampled(i, 200);
    options.params.stop = {"e", "o", "a"};  // every quote has one of them
    options.params.min_tokens = 20;
    const RagResult result =
        Alone(engine, Job({.query = "q", .sources = {kSources[0]}, .fast = true}, options));
    references += std::ssize(result.answer.citations);
    EXPECT_TRUE(result.answer.unsupported.empty()) << result.raw;
  }
  EXPECT_GT(references, 0);
}

TEST_F(AskTest, WithoutTheMaskQuotesAreStillChecked) {
  Engine engine(loaded_->model(), loaded_->tokenizer, {});
  AskOptions options = Sampled(1, 40);
  options.quotes = QuoteMode::kCheck;
  const RagResult result =
      Alone(engine, Job({.query = "q", .sources = {kSources[0]}, .fast = true}, options));
  EXPECT_TRUE(result.answer.citations.empty());
  EXPECT_EQ(result.forced, 0);
}

TEST_F(AskTest, RefusesByName) {
  EXPECT_TRUE(Contains(ErrorOf(model_->Prepare({.query = " \n"}, {})), "query: expected"));
  AskOptions structured;
  structured.params.structured_outputs = StructuredOutputs{.regex = "a*"};
  EXPECT_TRUE(Contains(ErrorOf(model_->Prepare({.query = "q"}, structured)), "quotes: expected"));
  EXPECT_TRUE(Contains(ErrorOf(model_->Prepare({.query = std::string(5000, 'q')}, {})),
                       "query: expected at most 256 tokens"));
}

}  // namespace
}  // namespace merope
