// Prompts put to fp32 and to the target, greedily, and the place where their texts part.
#pragma once

#include <functional>
#include <span>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "model/llama.h"
#include "report/report_data.h"

namespace merope {

struct ComparisonSetup {
  const Checkpoint& checkpoint;
  const Tokenizer& tokenizer;
  Llama& baseline;
  Llama& target;
};

// Each question in the form the model was made for: its chat template, the RAG protocol where the
// vocabulary has its tokens, or plainly.
Result<std::vector<GenerationPair>> CompareGeneration(
    const ComparisonSetup& setup, std::span<const std::string_view> questions, int64_t max_tokens,
    const std::function<void(int64_t, int64_t)>& progress);

}  // namespace merope
