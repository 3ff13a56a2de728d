// An endpoint as the target of a verification: its probe, its arithmetic, and how it is asked.
// Called by `merope verify` and `merope report`, before the suite runs, on the caller's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "endpoint/endpoint.h"
#include "endpoint/probe.h"
#include "text/tokenizer.h"
#include "verify/endpoint_result.h"
#include "verify/endpoint_rows.h"
#include "verify/logit_source.h"
#include "verify/numerics.h"
#include "verify/prompts.h"

namespace merope {

// What the probe must know of the model.
struct ProbedModel {
  int64_t context = 0, vocab_size = 0;
  bool quantized = false;   // the checkpoint has tensors with integers of its own
  ProbePrompt prompt = {};  // of any length
  // Texts for the server's tokenizer, and messages of a user for its chat template, with their ids.
  std::vector<ProbePrompt> texts = {}, messages = {};
};
Result<ProbedModel> DescribeModel(const Checkpoint& checkpoint, const Tokenizer& tokenizer);

struct TargetChoices {
  std::optional<Numerics> numerics = {};  // nullopt: those of the server's software
  std::optional<int64_t> generate = {};   // nullopt: by the mode
  int64_t top_k = 20;
  int64_t concurrency = 4;
};

// The arithmetic of a server: as the user chose it, or else by the server's software. vLLM rounds
// every op to bf16; llama.cpp computes a quantized GGUF with integer activations, and other files
// with products in 16 bits.
Numerics NumericsOf(const TargetChoices& choices, const ServerFacts& facts, bool quantized);

struct EndpointTarget {
  Endpoint endpoint;
  ProbedModel model;  // its prompt is the one that was asked
  EndpointProbe probe;
  EndpointAsk ask;
  Numerics numerics;
  bool numerics_named = false;    // the user named them
  bool numerics_assumed = false;  // neither the user nor the server's software tells them
  int64_t wanted_top_k = 0;       // as the user chose; ask.top_k is what the server gives
  bool stability = false;         // whether to ask in several conditions (stability.h)
  bool texts = false;             // whether tokenizer and chat template were compared
  // A second server of the device, which runs the model without compilation; or none.
  std::optional<Endpoint> eager = {};
  // Told, before the suite asks, what it will ask for: one line for people. May be empty.
  std::function<void(const std::string& line)> say = {};
};

inline constexpr int64_t kMaxGenerate = 4096, kMaxTopLogprobs = 1'000'000, kMaxConcurrency = 256;

// The servers, as the user named them.
struct TargetRequest {
  EndpointOptions endpoint = {.url = {}};  // url empty: no server
  std::string eager_url = {};  // of a second server, which gets the same options; empty: none
  std::string answers = {};    // a file that keeps the answers of both; empty: none
  std::string numerics = {};   // as ParseNumerics reads it; empty: those of `choices`
  TargetChoices choices = {};
  bool stability = false;
  bool texts = false;    // compare tokenizer and chat template on many texts
  bool offline = false;  // the file of answers has every answer

  bool given() const { return !endpoint.url.empty(); }
};
struct TargetServers {
  Endpoint endpoint;
  std::optional<Endpoint> eager = {};
};
Result<TargetServers> OpenServers(const TargetRequest& request);

// Probes the first of the opened servers. progress: the phase "probing the endpoint".
Result<EndpointTarget> ProbeTarget(TargetServers servers, const TargetRequest& request,
                                   ProbedModel model, const Tokenizer* tokenizer, VerifyMode mode,
                                   const std::function<void(int64_t, int64_t)>& progress);

// What a server said to the prompts of the suite.
struct AskedServer {
  std::unique_ptr<LogitSource> rows;
  std::optional<Stability> stability{};
  std::optional<ServerPair> pair{};
};
// Asks for everything that the target is asked for, and appends the generated tokens to the
// prompts. phase(name) gives the progress of a phase.
Result<AskedServer> AskServer(
    const EndpointTarget& target, VerifyMode mode, std::vector<VerifyPrompt>* prompts,
    const std::function<std::function<void(int64_t, int64_t)>(std::string_view)>& phase);

EndpointResult DescribeTarget(const EndpointTarget& target);

}  // namespace merope
