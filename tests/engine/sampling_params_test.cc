#include "engine/sampling_params.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <limits>

#include "engine/output.h"
#include "tests/support/expect.h"

namespace merope {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

using Change = std::function<void(SamplingParams&)>;

Result<SamplingParams> Settled(const Change& change, SamplingLimits limits = {.vocab_size = 100}) {
  SamplingParams params;
  change(params);
  TRY(Settle(&params, limits));
  return params;
}

std::string Refusal(const Change& change, SamplingLimits limits = {.vocab_size = 100}) {
  return ErrorOf(Settled(change, limits));
}

// The error must begin with the field and name the expected value. If `found` is given, the error
// must end with it.
void Refused(const Change& change, std::string_view field, std::string_view found = "") {
  const std::string error = Refusal(change);
  EXPECT_TRUE(error.starts_with(std::string(field) + ": expected ")) << field << ": " << error;
  if (found.empty()) return;
  EXPECT_TRUE(error.ends_with("found " + std::string(found))) << error;
}

void Accepted(const Change& change) { EXPECT_EQ(Refusal(change), "(no error)"); }

TEST(SettleTest, DefaultsAreLegal) {
  Accepted([](SamplingParams&) {});
}

TEST(SettleTest, NumbersKeepToTheirRanges) {
  struct Field {
    std::string_view name;
    double SamplingParams::* member;
    std::vector<double> legal, illegal;
  };
  const Field fields[] = {
      {"presence_penalty", &SamplingParams::presence_penalty, {-2, 0, 2}, {-2.01, 2.01}},
      {"frequency_penalty", &SamplingParams::frequency_penalty, {-2, 0, 2}, {-2.01, 2.01}},
      {"repetition_penalty", &SamplingParams::repetition_penalty, {1e-9, 1, 50}, {0, -1}},
      {"temperature", &SamplingParams::temperature, {0, -0.0, 1e-9, 0.01, 2, 100}, {-1e-9}},
      {"top_p", &SamplingParams::top_p, {1e-9, 1}, {0, -0.1, 1.01}},
      {"min_p", &SamplingParams::min_p, {0, 1}, {-0.01, 1.01}},
  };
  for (const Field& field : fields) {
    for (const double value : field.legal)
      Accepted([&](SamplingParams& params) { params.*field.member = value; });
    for (const double value : field.illegal)
      Refused([&](SamplingParams& params) { params.*field.member = value; }, field.name,
              fmt::format("{}", value));
    for (const double value : {kNan, kInfinity, -kInfinity})
      Refused([&](SamplingParams& params) { params.*field.member = value; }, field.name);
  }
}

// The messages are made from the ranges of ForEachSamplingField.
TEST(SettleTest, ErrorsNameTheRange) {
  const std::pair<Change, std::string_view> cases[] = {
      {[](auto& p) { p.n = 16385; }, "n: expected 1 to 16384, found 16385"},
      {[](auto& p) { p.presence_penalty = 3; },
       "presence_penalty: expected a number from −2 to 2, found 3"},
      {[](auto& p) { p.repetition_penalty = 0; },
       "repetition_penalty: expected a number above 0, found 0"},
      {[](auto& p) { p.temperature = -1; }, "temperature: expected 0 or more, found -1"},
      {[](auto& p) { p.top_p = 2; }, "top_p: expected a number above 0, up to 1, found 2"},
      {[](auto& p) { p.top_k = -2; }, "top_k: expected −1 or more, found -2"},
      {[](auto& p) { p.max_tokens = 0; }, "max_tokens: expected 1 or more, found 0"},
  };
  for (const auto& [change, expected] : cases) EXPECT_EQ(Refusal(change), expected);
}

TEST(SettleTest, IntegersKeepToTheirRanges) {
  struct Field {
    std::string_view name;
    std::function<void(SamplingParams&, int64_t)> set;
    std::vector<int64_t> legal, illegal;
  };
  const Field fields[] = {
      {"n", [](auto& p, int64_t x) { p.n = x; }, {1, 2, 16384}, {0, -1, 16385}},
      {"top_k", [](auto& p, int64_t x) { p.top_k = x; }, {-1, 0, 1, 1 << 30}, {-2}},
      {"max_tokens", [](auto& p, int64_t x) { p.max_tokens = x; }, {1, 1 << 30}, {0, -1}},
      {"min_tokens", [](auto& p, int64_t x) { p.min_tokens = x; }, {0, 16}, {-1, 17}},
      {"logprobs", [](auto& p, int64_t x) { p.logprobs = x; }, {0, 1, 20}, {-2, 21, -1}},
      {"prompt_logprobs", [](auto& p, int64_t x) { p.prompt_logprobs = x; }, {0, 20}, {-2, 21, -1}},
  };
  for (const Field& field : fields) {
    for (const int64_t value : field.legal)
      Accepted([&](SamplingParams& params) { field.set(params, value); });
    for (const int64_t value : field.illegal)
      Refused([&](SamplingParams& params) { field.set(params, value); }, field.name);
  }
  Accepted([](SamplingParams& params) {
    params.max_tokens = std::nullopt;
    params.min_tokens = 1000;
  });
}

TEST(SettleTest, LogprobsAreBoundedByWhatTheEngineGives) {
  const auto ask = [](int64_t k) { return [k](SamplingParams& params) { params.logprobs = k; }; };
  const std::string none = "(no error)";
  EXPECT_EQ(Refusal(ask(-1), {.vocab_size = 100, .max_logprobs = -1}), none);
  EXPECT_EQ(Refusal(ask(100), {.vocab_size = 100, .max_logprobs = -1}), none);
  EXPECT_NE(Refusal(ask(101), {.vocab_size = 100, .max_logprobs = -1}), none);
  EXPECT_EQ(Refusal(ask(-1), {.vocab_size = 20, .max_logprobs = 20}), none);
  EXPECT_EQ(Refusal(ask(0), {.vocab_size = 100, .max_logprobs = 0}), none);
  EXPECT_NE(Refusal(ask(1), {.vocab_size = 100, .max_logprobs = 0}), none);
}

TEST(SettleTest, TokensLieInTheVocabulary) {
  for (const int32_t id : {0, 99}) {
    Accepted([&](SamplingParams& params) { params.stop_token_ids = {id}; });
    Accepted([&](SamplingParams& params) { params.allowed_token_ids = {{id}}; });
    Accepted([&](SamplingParams& params) { params.logit_bias = {{id, 1}}; });
  }
  for (const int32_t id : {-1, 100}) {
    const std::string found = fmt::format("{}", id);
    Refused([&](SamplingParams& params) { params.stop_token_ids = {5, id}; }, "stop_token_ids",
            found);
    Refused([&](SamplingParams& params) { params.allowed_token_ids = {{5, id}}; },
            "allowed_token_ids", found);
    Refused([&](SamplingParams& params) { params.logit_bias = {{5, 1}, {id, 1}}; }, "logit_bias",
            found);
  }
  Refused([](SamplingParams& params) { params.allowed_token_ids.emplace(); }, "allowed_token_ids",
          "none");
  Refused([](SamplingParams& params) { params.logit_bias = {{5, kNan}}; }, "logit_bias", "nan");
}

TEST(SettleTest, TextsAreNotEmpty) {
  Accepted([](SamplingParams& params) {
    params.stop = {"a", " "};
    params.bad_words = {"b"};
  });
  Refused([](SamplingParams& params) { params.stop = {"a", ""}; }, "stop");
  Refused([](SamplingParams& params) { params.bad_words = {"a", ""}; }, "bad_words");
  Accepted([](SamplingParams& params) { params.detokenize = false; });
  Refused(
      [](SamplingParams& params) {
        params.stop = {"a"};
        params.detokenize = false;
      },
      "stop");
}

TEST(SettleTest, OneKindOfStructuredOutput) {
  const auto with = [](const StructuredOutputs& outputs) {
    return [outputs](SamplingParams& params) { params.structured_outputs = outputs; };
  };
  Accepted(with({.json = "{}"}));
  Accepted(with({.regex = ""}));
  Accepted(with({.choice = {{"a"}}}));
  Accepted(with({.grammar = "root ::= \"a\""}));
  Accepted(with({.json_object = true}));
  Accepted(with({.structural_tag = "{}"}));
  Refused(with({}), "structured_outputs", "0");
  Refused(with({.regex = "a", .json_object = true}), "structured_outputs", "2");
  Refused(with({.json = "{}", .regex = "a", .choice = {{"a"}}}), "structured_outputs", "3");
  Refused(with({.choice = std::vector<std::string>()}), "structured_outputs.choice");
  Refused(with({.json = " \n"}), "structured_outputs.json");
  Refused(with({.grammar = ""}), "structured_outputs.grammar");
  Refused(with({.regex = std::string("a\0b", 3)}), "structured_outputs.regex");
}

TEST(SettleTest, RepetitionDetectionHasAPatternAndACount) {
  const auto with = [](RepetitionDetection detection) {
    return [detection](SamplingParams& params) { params.repetition_detection = detection; };
  };
  Accepted(with({}));
  Accepted(with({.max_pattern_size = 5, .min_pattern_size = 5, .min_count = 2}));
  const auto settled = Settled(with({.max_pattern_size = 5, .min_count = 2}));
  ASSERT_TRUE(settled);
  EXPECT_EQ(settled->repetition_detection->min_pattern_size, 1);
  Refused(with({.max_pattern_size = -1}), "repetition_detection.max_pattern_size", "-1");
  Refused(with({.max_pattern_size = 5, .min_pattern_size = -1, .min_count = 2}),
          "repetition_detection.min_pattern_size", "-1");
  Refused(with({.max_pattern_size = 5, .min_pattern_size = 6, .min_count = 2}),
          "repetition_detection.min_pattern_size", "6");
  Refused(with({.max_pattern_size = 5, .min_count = 1}), "repetition_detection.min_count", "1");
}

TEST(SettleTest, ValuesAreSettled) {
  const auto greedy = Settled([](SamplingParams& params) {
    params.temperature = 0;
    params.top_p = 0.5;
    params.top_k = 3;
    params.min_p = 0.1;
  });
  ASSERT_TRUE(greedy);
  EXPECT_TRUE(greedy->greedy());
  EXPECT_EQ(greedy->top_p, 1);
  EXPECT_EQ(greedy->top_k, 0);
  EXPECT_EQ(greedy->min_p, 0);

  const auto cold = Settled([](SamplingParams& params) {
    params.temperature = 1e-6;
    params.top_p = 0.5;
    params.n = 2;
    params.seed = -1;
    params.logit_bias = {{1, 1e9}, {2, -kInfinity}, {3, 5}};
    params.prompt_logprobs = 1;
  });
  ASSERT_TRUE(cold);
  EXPECT_FALSE(cold->greedy());
  EXPECT_EQ(cold->temperature, 0.01);
  EXPECT_EQ(cold->top_p, 0.5);
  EXPECT_EQ(cold->seed, std::nullopt);
  EXPECT_EQ(cold->logit_bias,
            (std::vector<std::pair<int32_t, double>>{{1, 100}, {2, -100}, {3, 5}}));
  EXPECT_TRUE(cold->skip_reading_prefix_cache);

  const auto seeded = Settled([](SamplingParams& params) { params.seed = -2; });
  ASSERT_TRUE(seeded);
  EXPECT_EQ(seeded->seed, -2);
  EXPECT_EQ(seeded->temperature, 1);
  EXPECT_FALSE(seeded->skip_reading_prefix_cache);

  // Wrong values of a greedy request are refused before they are reset. A greedy request with n > 1
  // is refused.
  Refused(
      [](SamplingParams& params) {
        params.temperature = 0;
        params.top_p = 2;
      },
      "top_p");
  Refused(
      [](SamplingParams& params) {
        params.temperature = 0;
        params.n = 2;
      },
      "n", "2");
}

TEST(FinishReasonTest, NamesAreThoseOfTheApi) {
  EXPECT_EQ(FinishReasonName(FinishReason::kStop), "stop");
  EXPECT_EQ(FinishReasonName(FinishReason::kLength), "length");
  EXPECT_EQ(FinishReasonName(FinishReason::kAbort), "abort");
  EXPECT_EQ(FinishReasonName(FinishReason::kError), "error");
  EXPECT_EQ(FinishReasonName(FinishReason::kRepetition), "repetition");
}

}  // namespace
}  // namespace merope
