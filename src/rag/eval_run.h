// Asks a model the questions of an evaluation. `merope rag-eval` and its tests use it. The caller's
// thread waits; the engine's thread computes.
#pragma once

#include <atomic>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "base/error.h"
#include "engine/engine.h"
#include "rag/ask.h"
#include "rag/eval.h"

namespace merope {

struct EvalRunOptions {
  AskOptions ask = {};
  bool fast = false, plain = false;  // as in RagQuestion
  int64_t together = 8;              // questions in the engine at the same time
  const std::atomic<bool>* interrupted = nullptr;
  std::function<void(int64_t done, int64_t total)> progress = {};
};

// The answers, in the order of the questions. Their seconds are those of the whole run, divided by
// the number of questions. After an interrupt, the answers to the first questions; the questions
// that were being answered are left out. Errors name the question.
Result<std::vector<EvalAnswer>> AnswerQuestions(Engine& engine, const RagModel& model,
                                                std::span<const EvalQuestion> questions,
                                                const EvalRunOptions& options);

}  // namespace merope
