// A verification from the user's choices to the result: opens the model and the server, chooses the
// arithmetic that is judged, probes the server, and runs the suite. Called by `merope verify` and
// by Python's merope.verify, on the caller's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "endpoint/endpoint.h"
#include "engine/load.h"
#include "text/tokenizer.h"
#include "verify/endpoint_target.h"
#include "verify/invariance.h"
#include "verify/layers.h"
#include "verify/prompts.h"
#include "verify/self_test.h"
#include "verify/suite.h"
#include "verify/token_audit.h"

namespace merope {

// The choices, as the user gave them. Models are paths.
struct VerifyRequest {
  std::string model;
  std::string original;  // the model whose fp32 is the baseline; empty: `model`
  // As ParsePrecision reads it. Empty: bf16, or the integers of a model that `merope quantize`
  // wrote. An endpoint's arithmetic is that of target.numerics.
  std::string dtype;
  std::string kv = "auto";  // as ParseKvStorage reads it
  ContextLimit limit;
  // The server, if there is one. Its numerics are also those of a file of the target's logits;
  // empty: by the server's software, or that of `dtype`.
  TargetRequest target;
  std::string bundle;  // the directory of the evidence (bundle.h); empty: none is kept
  // The faults are planted into a target of this dtype or these numerics (self_test.h).
  bool self_test = false;
  bool tokens = false;  // the target is judged by its tokens alone (token_audit.h)
  bool layers = false;  // options.target_file is a file of intermediate results (layers.h)
  // The others: mode, threads, against, target_file, prompts, stop. Verification sets the rest.
  VerifyOptions options;
};

using PhaseProgress = std::function<void(std::string_view phase, int64_t done, int64_t total)>;

class Verification {
 public:
  // Checks the choices, and opens the server and the model. An error about a choice names it as the
  // option of the command line, without the dashes before it.
  static Result<Verification> Open(VerifyRequest request);

  const Checkpoint& checkpoint() const { return checkpoint_; }
  const VerifyOptions& options() const { return request_.options; }
  // The prompts of a .json file; or else the prompts of the mode and the user's own prompts.
  Result<std::vector<VerifyPrompt>> Prompts() const;

  // Probes the server, if there is one. say: told, by Run, what the suite will ask the server for.
  Status Prepare(const PhaseProgress& progress, std::function<void(const std::string&)> say);
  // After Prepare: the number of phases that Run's progress will see.
  int phases() const;
  // After Prepare, once.
  Result<VerifyResult> Run(const PhaseProgress& progress);

  // In place of Prepare and Run. mutants: keys; empty: all.
  Result<SelfTestResult> RunSelfTest(std::vector<std::string> mutants,
                                     const PhaseProgress& progress) const;
  // In place of Prepare and Run.
  Result<InvarianceResult> RunInvariance(const PhaseProgress& progress) const;
  Result<TokensResult> RunTokens(const PhaseProgress& progress) const;
  Result<LayersResult> RunLayers(const PhaseProgress& progress) const;

 private:
  Verification(VerifyRequest request, Checkpoint checkpoint)
      : request_(std::move(request)), checkpoint_(std::move(checkpoint)) {}

  VerifyOptions Complete() const;

  VerifyRequest request_;
  Checkpoint checkpoint_;
  std::optional<Checkpoint> original_;
  std::optional<Tokenizer> tokenizer_;
  std::optional<TargetServers> servers_;  // until Prepare moves them into target_
  mutable std::optional<EndpointTarget> target_;
  std::shared_ptr<BundleWriter> bundle_;
};

}  // namespace merope
