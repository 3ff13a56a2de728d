// The bodies of /v1/completions in the shapes of vLLM, llama.cpp and OpenAI.
#include <gtest/gtest.h>

#include "base/json.h"
#include "endpoint/endpoint.h"
#include "tests/support/expect.h"

namespace merope {
namespace {

CompletionQuery Ids(std::vector<int32_t> ids) { return {.ids = std::move(ids)}; }

TEST(Answer, OfVllm) {
  const auto answer = ParseAnswer(R"({"choices": [{"text": " a b", "finish_reason": "length",
      "token_ids": [7, 9], "prompt_token_ids": [1, 2, 3],
      "logprobs": {"tokens": ["token_id:7", "token_id:9"], "token_logprobs": [-0.5, -1],
                   "top_logprobs": [{"token_id:8": -1.5, "token_id:7": -0.5}, {"token_id:9": -1, "token_id:4": -1}]},
      "prompt_logprobs": [null, {"2": {"logprob": -3, "rank": 9}, "5": {"logprob": -0.25, "rank": 1}},
                          {"3": {"logprob": -0.125, "rank": 1}, "6": {"logprob": -9999.0, "rank": 2}}]}],
      "usage": {"prompt_tokens": 3, "completion_tokens": 2}})",
                                  Ids({1, 2, 3}), "x");
  ASSERT_TRUE(answer) << ErrorOf(answer);
  EXPECT_EQ(answer->text, " a b");
  EXPECT_EQ(answer->finish_reason, "length");
  EXPECT_EQ(answer->tokens, (std::vector<int32_t>{7, 9}));
  EXPECT_EQ(answer->logprobs, (std::vector<float>{-0.5f, -1}));
  ASSERT_EQ(answer->top.size(), 2u);
  EXPECT_EQ(answer->top[0].ids, (std::vector<int32_t>{7, 8}));
  EXPECT_EQ(answer->top[0].logprobs, (std::vector<float>{-0.5f, -1.5f}));
  EXPECT_EQ(answer->top[1].ids, (std::vector<int32_t>{4, 9}));  // equal: the smaller id first
  ASSERT_EQ(answer->prompt_top.size(), 2u);
  EXPECT_EQ(answer->prompt_top[0].ids, (std::vector<int32_t>{5, 2}));
  EXPECT_EQ(answer->prompt_logprobs, (std::vector<float>{-3, -0.125f}));
  EXPECT_EQ(answer->n_prompt_tokens, 3);
  EXPECT_EQ(answer->n_tokens, 2);
}

TEST(Answer, OfOlderVllmWithoutTokenIds) {
  const auto answer = ParseAnswer(R"({"choices": [{"text": "ab", "finish_reason": "length",
      "logprobs": {"tokens": ["token_id:7"], "token_logprobs": [-0.5], "top_logprobs": [{"token_id:7": -0.5}]}}]})",
                                  Ids({1}), "x");
  ASSERT_TRUE(answer) << ErrorOf(answer);
  EXPECT_EQ(answer->tokens, (std::vector<int32_t>{7}));
  EXPECT_EQ(answer->top.size(), 1u);
}

TEST(Answer, OfLlamaCpp) {
  const auto answer = ParseAnswer(
      R"({"choices": [{"text": "ab", "finish_reason": "length", "logprobs": {"content": [
      {"id": 7, "token": "a", "bytes": [97], "logprob": -0.5, "top_logprobs": [{"id": 7, "token": "a", "logprob": -0.5},
       {"id": 3, "token": "c", "logprob": -2}]},
      {"id": 9, "token": "b", "bytes": [98], "logprob": -1, "top_logprobs": [{"id": 9, "token": "b", "logprob": -1},
       {"id": 2, "token": "d", "logprob": -1.5}]}]}}], "usage": {"prompt_tokens": 1, "completion_tokens": 2}})",
      Ids({1}), "x");
  ASSERT_TRUE(answer) << ErrorOf(answer);
  EXPECT_EQ(answer->tokens, (std::vector<int32_t>{7, 9}));
  ASSERT_EQ(answer->top.size(), 2u);
  EXPECT_EQ(answer->top[1].ids, (std::vector<int32_t>{9, 2}));
  EXPECT_TRUE(answer->prompt_top.empty());
}

// llama.cpp counts a token that ends inside a character, and does not name it. The tokens after it
// cannot be placed. Here the second of four tokens is such a token: the first byte of "é".
TEST(Answer, OfLlamaCppInsideACharacter) {
  const auto answer = ParseAnswer(R"({"choices": [{"text": "aéb", "logprobs": {"content": [
      {"id": 7, "bytes": [97], "logprob": -0.5, "top_logprobs": [{"id": 7, "logprob": -0.5}]},
      {"id": 9, "bytes": [195, 169], "logprob": -1, "top_logprobs": [{"id": 9, "bytes": [169], "logprob": -1}]},
      {"id": 8, "bytes": [98], "logprob": -1, "top_logprobs": [{"id": 8, "logprob": -1}]}]}}],
      "usage": {"completion_tokens": 4}})",
                                  Ids({1}), "x");
  ASSERT_TRUE(answer) << ErrorOf(answer);
  EXPECT_EQ(answer->tokens, (std::vector<int32_t>{7}));
  EXPECT_EQ(answer->top.size(), 1u);
  EXPECT_EQ(answer->n_tokens, 4);
}

// OpenAI's own shape names tokens by their text, also where the text is a number.
TEST(Answer, TokensByTextAreNoIds) {
  const auto answer = ParseAnswer(R"({"choices": [{"text": "12", "finish_reason": "length",
      "logprobs": {"tokens": ["12"], "token_logprobs": [-0.5], "top_logprobs": [{"12": -0.5, "13": -2}]}}]})",
                                  Ids({1}), "x");
  ASSERT_TRUE(answer) << ErrorOf(answer);
  EXPECT_FALSE(answer->tokens);
  EXPECT_TRUE(answer->top.empty());
}

TEST(Answer, ListsThatLackTokensAreDropped) {
  const auto answer = ParseAnswer(
      R"({"choices": [{"token_ids": [7, 9], "logprobs": {"tokens": [], "token_logprobs": [-1],
      "top_logprobs": [{"token_id:7": -1}, null]}}]})",
      Ids({1}), "x");
  ASSERT_TRUE(answer) << ErrorOf(answer);
  EXPECT_EQ(answer->tokens->size(), 2u);
  EXPECT_TRUE(answer->logprobs.empty());
  EXPECT_TRUE(answer->top.empty());
}

TEST(Answer, WrongOnesAreErrorsThatNameTheField) {
  const struct {
    const char *body, *message;
  } cases[] = {
      {"", "x: "},
      {"<html>", "x: "},
      {"[]", "x: choices: expected a list of one object, found nothing"},
      {"{\"choices\": 3}", "x: choices: expected a list of one object, found 3"},
      {"{\"choices\": []}", "x: choices: expected a list of one object"},
      {"{\"choices\": [3]}", "x: choices: expected a list of one object"},
      {"{\"choices\": [{\"text\": 3}]}", "x: choices[0]: text: expected a string, found 3"},
      {"{\"choices\": [{\"prompt_token_ids\": [5, 1, 2]}]}",
       "x: prompt_token_ids: expected the 2 ids of the request, found 3 others"},
      {"{\"choices\": [{\"prompt_logprobs\": [null]}]}",
       "x: prompt_logprobs: expected 2 positions, found 1"},
      {"{\"choices\": [{\"prompt_logprobs\": [null, 3]}]}",
       "x: prompt_logprobs[1]: expected tokens by id, found 3"},
      {"{\"choices\": [{\"prompt_logprobs\": [null, {\"a\": {\"logprob\": -1}}]}]}",
       "x: prompt_logprobs[1]: expected tokens by id"},
      {"{\"choices\": [{\"prompt_logprobs\": [null, {\"7\": {\"logprob\": -1}}]}]}",
       "x: prompt_logprobs[1]: expected token 2 of the prompt, found others"},
  };
  for (const auto& c : cases)
    EXPECT_TRUE(Contains(ErrorOf(ParseAnswer(c.body, Ids({1, 2}), "x")), c.message)) << c.body;
}

TEST(Query, HasWhatWasAsked) {
  const auto body = ParseJson(RequestBody({.ids = {1, 2},
                                           .max_tokens = 3,
                                           .temperature = 0.5,
                                           .top_p = 0.25,
                                           .seed = 9,
                                           .logprobs = 20,
                                           .prompt_logprobs = 4,
                                           .stop = {"x"},
                                           .logit_bias = {{7, -100}},
                                           .repeat = 2},
                                          "m"),
                              "request");
  ASSERT_TRUE(body) << ErrorOf(body);
  EXPECT_EQ(
      *body,
      Json::parse(
          R"({"model": "m", "prompt": [1, 2], "max_tokens": 3, "temperature": 0.5, "top_p": 0.25,
      "seed": 9, "logprobs": 20, "prompt_logprobs": 4, "ignore_eos": true, "stop": ["x"], "logit_bias": {"7": -100.0},
      "user": "repeat 2", "return_token_ids": true, "return_tokens_as_token_ids": true})"));
}

}  // namespace
}  // namespace merope
