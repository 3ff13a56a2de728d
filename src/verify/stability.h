// Asks an endpoint for the same prompts in several conditions, and counts the answers that differ.
// Called by the suite, on its thread.
//
// The conditions are those that change the batch and the cache of a server but not the question:
// one request at a time, the same again (its prefix is cached), with a salt (no prefix is cached),
// and all prompts at the same time. The lengths of the prompts lie around the sizes at which
// servers take another path: blocks of the KV cache (16, 128 tokens) and captured graphs (powers of
// two).
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "endpoint/endpoint.h"
#include "verify/endpoint_rows.h"
#include "verify/prompts.h"

namespace merope {

// The differences of one condition from the answers to one request at a time.
struct StabilityRow {
  std::string key;        // "again", "salted", "company"
  int64_t different = 0;  // prompts with another answer
  // The largest |Δ logprob| of a generated token after the same tokens: of the first token
  // (prefill), and of the others (decode).
  double prefill_delta = 0, decode_delta = 0;
};

struct Stability {
  // vllm-ascend's own test compares eager with graph mode, and allows these two (its function
  // compare_logprobs). They are shown beside the figures; no verdict depends on them.
  static constexpr double kPrefillYardstick = 0.0689, kDecodeYardstick = 0.1378;

  int64_t prompts = 0, tokens = 0;  // tokens: generated after each prompt
  int64_t company = 0;              // requests at the same time
  std::vector<int64_t> lengths;     // of the prompts that are cut to a length
  std::vector<StabilityRow> rows;
  int64_t most_distinct = 0;  // the most distinct answers to one prompt
  std::string most_distinct_prompt;
};

// "one request at a time, again" and so on, for people.
std::string_view StabilityLabel(std::string_view key);

struct StabilityPlan {
  std::vector<VerifyPrompt> prompts;
  std::vector<int64_t> lengths;
  int64_t requests = 0, tokens = 0;  // in all conditions; tokens: those of the prompts, too
};
// Chooses the prompts: the first of `prompts`, and prompts cut from all of them at the lengths.
StabilityPlan PlanStability(const EndpointAsk& ask, VerifyMode mode,
                            const std::vector<VerifyPrompt>& prompts);

// Errors: those of the endpoint; answers without the ids and logprobs of generated tokens.
Result<Stability> MeasureStability(
    const Endpoint& endpoint, const EndpointAsk& ask, const StabilityPlan& plan,
    const std::function<void(int64_t done, int64_t total)>& progress);

}  // namespace merope
