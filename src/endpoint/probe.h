// Finds out what a server can do, and whether it really applies what a request asks for. Some
// dozen short requests, before the long work. Called by `merope verify --endpoint`, on its thread.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "endpoint/endpoint.h"

namespace merope {

// kYes: the server can do it. kNo: it cannot, and merope does without. kWrong: it accepts the
// request and does something else.
enum class Found : uint8_t { kYes, kNo, kWrong };
std::string_view FoundName(Found found);  // "yes", "no", "WRONG"

struct ProbeFinding {
  std::string key;    // "temperature", for JSON
  std::string label;  // "temperature is applied", for people
  Found found = Found::kYes;
  std::string detail;  // what was seen; may be empty
};

struct EndpointProbe {
  std::vector<ProbeFinding> findings;
  int64_t top_k = 0;         // the most tokens with logprobs that a request gets, up to the wanted
  bool prompt_rows = false;  // whether the logprobs of the prompt's positions can be had

  bool AnyWrong() const;
};

// The tokens that each request of Probe generates at most.
inline constexpr int64_t kProbeTokens = 16;

struct ProbePrompt {
  std::string text;
  std::vector<int32_t> ids;  // of the text, by the reference's tokenizer
};

// wanted: the number of tokens with logprobs that the caller would like, at least 2. Errors: a
// server that refuses token ids as a prompt, or every number of logprobs.
Result<EndpointProbe> Probe(Endpoint& endpoint, const ProbePrompt& prompt, int64_t wanted,
                            const std::function<void(int64_t done, int64_t total)>& progress);

// Adds two findings: whether the server's tokenizer gives the ids of all texts, and whether its
// chat template gives the ids of all messages. A server that has no path for it gives no.
Status ProbeTexts(Endpoint& endpoint, const std::vector<ProbePrompt>& texts,
                  const std::vector<ProbePrompt>& messages, EndpointProbe* probe,
                  const std::function<void(int64_t done, int64_t total)>& progress);

}  // namespace merope
