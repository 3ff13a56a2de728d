#include "bench/datasets.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <limits>
#include <set>

#include "base/mapped_file.h"
#include "checkpoint/config.h"
#include "tests/engine/tiny_model.h"
#include "tests/support/expect.h"

namespace merope {
namespace {

constexpr int64_t kVocabulary = 400, kContext = 100;
constexpr int32_t kPrefix = 2;  // the token that the synthetic tokenizer puts before a text

class Datasets : public testing::Test {
 protected:
  Result<std::vector<Request>> Make(const DatasetOptions& options) const {
    TRY_ASSIGN(const Checkpoint checkpoint, Checkpoint::Open(files_.path()));
    TRY_ASSIGN(const Tokenizer tokenizer, checkpoint.LoadTokenizer());
    return MakeRequests(options, checkpoint, tokenizer, kContext);
  }
  // The texts of the prompts, including special tokens.
  std::vector<std::string> Texts(const DatasetOptions& options) const {
    const auto checkpoint = Checkpoint::Open(files_.path());
    const auto tokenizer = checkpoint->LoadTokenizer();
    const auto requests = Make(options);
    EXPECT_TRUE(requests) << ErrorOf(requests);
    std::vector<std::string> texts;
    for (const Request& request : *requests)
      texts.push_back(*tokenizer->Decode(request.prompt, false));
    return texts;
  }

  TinyCheckpoint files_{LlamaSizes{.vocabulary = kVocabulary, .context = kContext}};
};

TEST_F(Datasets, DefaultsAreWhatTheDocumentationSays) {
  const DatasetOptions o;
  EXPECT_EQ(o.name, "random");
  EXPECT_EQ(o.num_prompts, 32);
  EXPECT_EQ(o.input_length, 512);
  EXPECT_EQ(o.output_length, 64);
  EXPECT_EQ(o.prefix_length, 256);
  EXPECT_EQ(o.num_prefixes, 4);
  EXPECT_EQ(o.temperature, 0);
  EXPECT_EQ(o.seed, 0u);
}

TEST_F(Datasets, RefusedByName) {
  const DatasetOptions fits{.num_prompts = 1, .input_length = 10, .output_length = 5};
  const auto error = [&](const auto& change) {
    DatasetOptions options = fits;
    change(options);
    return ErrorOf(Make(options));
  };
  const std::string none = "(no error)";
  EXPECT_EQ(error([](auto&) {}), none);
  EXPECT_EQ(error([](auto& o) { o.name = "poems"; }),
            "dataset: expected random, shared-prefix, quoting or stories, found \"poems\"");
  const struct {
    const char* name;
    int64_t DatasetOptions::* field;
    int64_t most;
  } counts[] = {{"num-prompts", &DatasetOptions::num_prompts, 1'000'000},
                {"input-len", &DatasetOptions::input_length, kMaxPositions},
                {"output-len", &DatasetOptions::output_length, kMaxPositions},
                {"prefix-len", &DatasetOptions::prefix_length, kMaxPositions},
                {"num-prefixes", &DatasetOptions::num_prefixes, 1'000'000}};
  for (const auto& count : counts)
    for (const int64_t bad : {int64_t{0}, int64_t{-1}, count.most + 1})
      EXPECT_EQ(error([&](auto& o) { o.*count.field = bad; }),
                fmt::format("{}: expected 1 to {}, found {}", count.name, count.most, bad));
  // The smallest and the largest value are accepted if no other check refuses them.
  EXPECT_EQ(error([](auto& o) { o.input_length = o.output_length = o.prefix_length = 1; }), none);
  EXPECT_EQ(error([](auto& o) { o.num_prefixes = 1'000'000, o.prefix_length = kMaxPositions; }),
            none);
  // Prompt and output may fill the model's length exactly, but must not exceed it.
  EXPECT_EQ(error([](auto& o) { o.input_length = 95; }), none);
  EXPECT_EQ(error([](auto& o) { o.input_length = 96; }),
            "96 tokens of prompt and 5 of output: expected at most 100 together, the model's "
            "length");
  const auto shared = [](int64_t prefix) {
    return [prefix](auto& o) { o.name = "shared-prefix", o.prefix_length = prefix; };
  };
  EXPECT_EQ(error(shared(85)), none);
  EXPECT_TRUE(Contains(error(shared(86)), "96 tokens of prompt and 5 of output"));
  // The prompts of stories have their own lengths, so input_length is not compared with the model's
  // length.
  EXPECT_EQ(error([](auto& o) { o.name = "stories", o.input_length = 96; }), none);
}

TEST_F(Datasets, RandomTokensAreThoseOfTheVocabulary) {
  const DatasetOptions options{
      .num_prompts = 100, .input_length = 90, .output_length = 7, .temperature = 0.5, .seed = 3};
  const auto requests = Make(options);
  ASSERT_TRUE(requests) << ErrorOf(requests);
  ASSERT_EQ(requests->size(), 100u);
  std::set<int32_t> seen;
  for (size_t i = 0; i < requests->size(); ++i) {
    const Request& request = (*requests)[i];
    EXPECT_EQ(request.prompt.size(), 90u);
    seen.insert(request.prompt.begin(), request.prompt.end());
    EXPECT_EQ(request.params.seed, 3 + static_cast<int64_t>(i));
    EXPECT_EQ(request.params.max_tokens, 7);
    EXPECT_EQ(request.params.temperature, 0.5);
    EXPECT_TRUE(request.params.ignore_eos);
    EXPECT_FALSE(request.params.detokenize);
    EXPECT_EQ(request.params.output_kind, OutputKind::kDelta);
  }
  // 9,000 draws from 400 tokens: each token is missed with a probability of e^-22.
  EXPECT_EQ(seen.size(), static_cast<size_t>(kVocabulary));
  EXPECT_EQ(*seen.begin(), 0);
  EXPECT_EQ(*seen.rbegin(), kVocabulary - 1);
  const auto again = Make(options);
  EXPECT_EQ((*again)[99].prompt, (*requests)[99].prompt);
  EXPECT_NE((*requests)[98].prompt, (*requests)[99].prompt);
}

TEST_F(Datasets, SeedsStayPositive) {
  const auto requests = Make({.num_prompts = 3,
                              .input_length = 1,
                              .output_length = 1,
                              .seed = std::numeric_limits<uint64_t>::max()});
  ASSERT_TRUE(requests) << ErrorOf(requests);
  const std::vector<int64_t> expected = {std::numeric_limits<int64_t>::max(), 0, 1};
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ((*requests)[i].params.seed, expected[i]) << i;
}

TEST_F(Datasets, PrefixesAreSharedInTurn) {
  const auto requests = Make({.name = "shared-prefix",
                              .num_prompts = 7,
                              .input_length = 10,
                              .output_length = 5,
                              .prefix_length = 20,
                              .num_prefixes = 3});
  ASSERT_TRUE(requests) << ErrorOf(requests);
  ASSERT_EQ(requests->size(), 7u);
  const auto part = [&](size_t i, size_t from, size_t to) {
    const std::vector<int32_t>& prompt = (*requests)[i].prompt;
    return std::vector(prompt.begin() + static_cast<ptrdiff_t>(from),
                       prompt.begin() + static_cast<ptrdiff_t>(to));
  };
  for (size_t i = 0; i < 7; ++i) {
    ASSERT_EQ((*requests)[i].prompt.size(), 30u);
    for (size_t j = 0; j < i; ++j) {
      EXPECT_EQ(part(i, 0, 20) == part(j, 0, 20), (i - j) % 3 == 0) << i << ", " << j;
      EXPECT_NE(part(i, 20, 30), part(j, 20, 30)) << i << ", " << j;
    }
  }
}

TEST_F(Datasets, PassagesAreAskedForInTwoWays) {
  const DatasetOptions options{.name = "quoting", .num_prompts = 11};
  const std::vector<std::string> texts = Texts(options);
  ASSERT_EQ(texts.size(), 11u);
  const std::string asks[] = {
      "<|end_of_text|>Repeat the following text word for word, and add nothing:\n\n",
      "<|end_of_text|>Copy the text below exactly as it is written.\n\nText: "};
  std::set<std::string> passages;
  for (size_t i = 0; i < 10; ++i) {
    const std::string& ask = asks[i / 5];
    ASSERT_TRUE(texts[i].starts_with(ask)) << texts[i];
    const std::string passage = texts[i].substr(ask.size());
    passages.insert(passage);
    EXPECT_EQ(texts[i % 5], asks[0] + passage);
    EXPECT_GT(passage.size(), 200u);
  }
  EXPECT_EQ(passages.size(), 5u);
  EXPECT_EQ(texts[10], texts[0]);
  const auto requests = Make(options);
  EXPECT_EQ((*requests)[0].prompt[0], kPrefix);
  EXPECT_FALSE((*requests)[0].params.ignore_eos);
  EXPECT_TRUE((*requests)[0].params.detokenize);
}

TEST_F(Datasets, StoriesGoRound) {
  const std::vector<std::string> texts = Texts({.name = "stories", .num_prompts = 12});
  const std::set<std::string> distinct(texts.begin(), texts.end());
  EXPECT_EQ(distinct.size(), 10u);
  EXPECT_EQ(texts[10], texts[0]);
  EXPECT_EQ(texts[11], texts[1]);
  EXPECT_EQ(texts[2], "<|end_of_text|>Tell me how a bicycle stays upright.");
}

TEST_F(Datasets, ChatModelsAreAskedInTheirTemplate) {
  ASSERT_TRUE(WriteFile(files_.path() + "/chat_template.jinja",
                        "<|begin_of_text|>{{ messages | length }} {{ messages[0].role }}: "
                        "{{ messages[0].content }}"));
  // The template writes its own beginning of the text, so no prefix stands before it.
  EXPECT_EQ(Texts({.name = "stories", .num_prompts = 3})[2],
            "<|begin_of_text|>1 user: Tell me how a bicycle stays upright.");
}

}  // namespace
}  // namespace merope
