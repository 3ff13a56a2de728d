#include "verify/endpoint_target.h"

#include <algorithm>
#include <utility>

#include "endpoint/answers_file.h"
#include "engine/load.h"
#include "prompt/encode_prompt.h"

namespace merope {
namespace {

// A text whose continuation is ordinary prose in every model.
constexpr std::string_view kProbeText = "Every evening the keeper lit the lamp, and wrote";

// The tokens to generate after each prompt. The 25 prompts of --quick are short; more tokens would
// take the reference back end longer than all else.
int64_t Generated(VerifyMode mode) { return mode == VerifyMode::kQuick ? 16 : 64; }

}  // namespace

Result<TargetServers> OpenServers(const TargetRequest& request) {
  EndpointOptions options = request.endpoint;
  if (!request.eager_url.empty()) TRY(CheckServerUrl("endpoint-eager", request.eager_url));
  if (!request.answers.empty()) {
    TRY_ASSIGN(options.answers, AnswersFile::Open(request.answers));
  }
  TRY_ASSIGN(Endpoint endpoint, Endpoint::Open(options));
  TargetServers servers{.endpoint = std::move(endpoint)};
  if (!request.eager_url.empty()) {
    options.url = request.eager_url;
    options.label = "second ";
    TRY_ASSIGN(servers.eager, Endpoint::Open(options));
  }
  return servers;
}

Result<EndpointTarget> ProbeTarget(TargetServers servers, const TargetRequest& request,
                                   const Checkpoint& checkpoint, const Tokenizer& tokenizer,
                                   VerifyMode mode,
                                   const std::function<void(int64_t, int64_t)>& progress) {
  EndpointTarget target{.endpoint = std::move(servers.endpoint),
                        .probe = {},
                        .ask = {},
                        .numerics = {},
                        .stability = request.stability,
                        .eager = std::move(servers.eager)};
  TargetChoices choices = request.choices;
  if (!request.numerics.empty()) {
    TRY_ASSIGN(choices.numerics, ParseNumerics(request.numerics));
  }
  const ServerFacts& facts = target.endpoint.facts();
  const bool llamacpp = facts.software.starts_with("llama.cpp");
  if (choices.numerics) {
    target.numerics = *choices.numerics;
  } else if (llamacpp) {
    target.numerics.precision =
        QuantizedTypes(checkpoint).empty() ? Precision::kBf16 : Precision::kNative;
  } else {
    target.numerics.rounding = OpRounding::kBf16;
    target.numerics_assumed = !facts.software.starts_with("vLLM");
  }
  const int64_t context = checkpoint.config().max_position_embeddings;
  target.ask.generate = choices.generate.value_or(Generated(mode));
  target.ask.context = std::min(context, facts.context.value_or(context));
  target.ask.concurrency = choices.concurrency;
  if (target.ask.generate >= target.ask.context)
    return Err("generate: expected fewer tokens than the context of {}, found {}",
               target.ask.context, target.ask.generate);

  ProbePrompt prompt{.text = std::string(kProbeText), .ids = {}};
  TRY_ASSIGN(prompt.ids, EncodePrompt(tokenizer, prompt.text));
  const int64_t longest = target.ask.context - kProbeTokens;
  if (longest < 2)
    return Err("{}: expected a context of at least {} tokens, found {}", facts.url,
               kProbeTokens + 2, target.ask.context);
  if (std::ssize(prompt.ids) > longest) {
    prompt.ids.resize(static_cast<size_t>(longest));
    TRY_ASSIGN(prompt.text, tokenizer.Decode(prompt.ids, true));
  }
  const int64_t wanted = std::min(choices.top_k, checkpoint.config().vocab_size);
  TRY_ASSIGN(target.probe, Probe(target.endpoint, prompt, wanted, progress));
  target.ask.top_k = target.probe.top_k;
  target.ask.prompt_rows = target.probe.prompt_rows;
  return target;
}

EndpointResult DescribeTarget(const EndpointTarget& target) {
  const Endpoint::Spent& spent = target.endpoint.spent();
  return {.server = target.endpoint.facts(),
          .probe = target.probe,
          .numerics = NumericsName(target.numerics.precision, target.numerics.rounding),
          .numerics_assumed = target.numerics_assumed,
          .generate = target.ask.generate,
          .requests = spent.requests,
          .tokens = spent.tokens,
          .repeated_tries = spent.repeated_tries,
          .verdict = target.probe.AnyWrong() ? Verdict::kFail : Verdict::kPass};
}

}  // namespace merope
