// Generates greedily from the same prompts in fp32 and in the target, and finds the first token
// that differs. Called by Collect and CollectServer, on the caller's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "endpoint/endpoint.h"
#include "model/llama.h"
#include "report/report_data.h"

namespace merope {

struct ComparisonSetup {
  const Checkpoint& checkpoint;
  const Tokenizer& tokenizer;
  Llama& baseline;
};

// Encodes each question in the form that the model was trained on: the chat template of the
// checkpoint, or the RAG protocol if the vocabulary has its tokens, or plain text. Skips a question
// whose prompt leaves no room for a token.
Result<std::vector<GenerationPair>> CompareGeneration(
    const ComparisonSetup& setup, Llama& target, std::span<const std::string_view> questions,
    int64_t max_tokens, const std::function<void(int64_t, int64_t)>& progress);

// The same with a server as the target, which lists `top_k` tokens at each position.
Result<std::vector<GenerationPair>> CompareGeneration(
    const ComparisonSetup& setup, Endpoint& target, int64_t top_k,
    std::span<const std::string_view> questions, int64_t max_tokens,
    const std::function<void(int64_t, int64_t)>& progress);

}  // namespace merope
