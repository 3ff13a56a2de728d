#include "verify/verification.h"

#include <utility>

#include "verify/bundle.h"
#include "verify/logits_file.h"
#include "verify/numerics.h"
#include "verify/user_prompts.h"

namespace merope {
namespace {

Status CheckChoice(std::string_view name, int64_t value, int64_t least, int64_t most) {
  if (value >= least && value <= most) return {};
  return FieldErr(name, "expected {} to {}, found {}", least, most, value);
}

// What the command line's checks of single options and of options together refuse.
Status CheckRequest(const VerifyRequest& request) {
  const TargetChoices& choices = request.target.choices;
  TRY(CheckChoice("generate", choices.generate.value_or(1), 1, kMaxGenerate));
  TRY(CheckChoice("top-logprobs", choices.top_k, 2, kMaxTopLogprobs));
  TRY(CheckChoice("concurrency", choices.concurrency, 1, kMaxConcurrency));
  const VerifyOptions& options = request.options;
  const bool file = !options.target_file.empty();
  const bool server = request.target.given();
  if (file && server)
    return FieldErr("target", "expected a file of logits or an endpoint, found both");
  if (!options.against.empty()) {
    if (server || file)
      return FieldErr("against", "expected a target that merope runs itself, found {}",
                      file ? "a file of the target's logits" : "an endpoint");
    if (!request.original.empty())
      return FieldErr("against", "expected a file of logits or a baseline, found both");
  }
  if (!request.target.numerics.empty() && !server && !file && !request.self_test)
    return FieldErr(
        "numerics",
        "expected an endpoint, a file of a target's logits or a self-test, found none of "
        "them: the dtype names the arithmetic of merope's own target");
  return {};
}

}  // namespace

Result<Verification> Verification::Open(VerifyRequest request) {
  TRY(CheckRequest(request));
  VerifyOptions& options = request.options;
  TRY_ASSIGN(const std::optional<Precision> precision,
             ParsePrecision(request.dtype.empty() ? "auto" : request.dtype));
  TRY_ASSIGN(options.target_kv, ParseKvStorage(request.kv));
  if (!request.target.numerics.empty()) {
    TRY_ASSIGN(request.target.choices.numerics, ParseNumerics(request.target.numerics));
  }
  std::shared_ptr<BundleWriter> bundle;
  if (!request.bundle.empty()) {
    TRY_ASSIGN(bundle, BundleWriter::Create(request.bundle));
    if (request.target.given() && request.target.answers.empty())
      request.target.answers = bundle->Path("answers.jsonl");
  }
  std::optional<TargetServers> servers;
  if (request.target.given()) {
    TRY_ASSIGN(servers, OpenServers(request.target));
  }
  TRY_ASSIGN(Checkpoint checkpoint, OpenLimited(request.model, request.limit));
  const bool own_integers = IsOwnInteger(checkpoint.config().dtype) && options.target_file.empty();
  options.target = request.dtype.empty() && !own_integers
                       ? Precision::kBf16
                       : precision.value_or(DefaultPrecision(checkpoint));
  Verification verification(std::move(request), std::move(checkpoint));
  verification.servers_ = std::move(servers);
  verification.bundle_ = std::move(bundle);
  return verification;
}

Result<std::vector<VerifyPrompt>> Verification::Prompts() const {
  const std::string& own = request_.options.prompts;
  const ModelConfig& config = checkpoint_.config();
  if (own.ends_with(".json")) return ReadPrompts(own, config.vocab_size);
  TRY_ASSIGN(const Tokenizer tokenizer, checkpoint_.LoadTokenizer());
  return AllPrompts(checkpoint_, tokenizer, request_.options.mode, own);
}

Status Verification::Prepare(const PhaseProgress& progress,
                             std::function<void(const std::string&)> say) {
  TRY_ASSIGN(tokenizer_, checkpoint_.LoadTokenizer());
  if (!request_.original.empty()) {
    TRY_ASSIGN(original_, Checkpoint::Open(request_.original));
  }
  if (request_.target.choices.numerics) {
    request_.options.target = request_.target.choices.numerics->precision;
    request_.options.target_rounding = request_.target.choices.numerics->rounding;
  }
  if (!servers_) return {};
  TRY_ASSIGN(ProbedModel model, DescribeModel(checkpoint_, *tokenizer_));
  TRY_ASSIGN(target_,
             ProbeTarget(std::move(*servers_), request_.target, std::move(model), &*tokenizer_,
                         request_.options.mode, [&progress](int64_t done, int64_t total) {
                           if (progress) progress("probing the endpoint", done, total);
                         }));
  servers_.reset();
  target_->say = std::move(say);
  request_.options.target = target_->numerics.precision;
  request_.options.target_rounding = target_->numerics.rounding;
  return {};
}

// The options, with what they point to.
VerifyOptions Verification::Complete() const {
  VerifyOptions options = request_.options;
  options.original = original_ ? &*original_ : nullptr;
  options.endpoint = target_ ? &*target_ : nullptr;
  options.bundle = bundle_.get();
  return options;
}

int Verification::phases() const { return VerifyPhases(Complete()); }

Result<SelfTestResult> Verification::RunSelfTest(std::vector<std::string> mutants,
                                                 const PhaseProgress& progress) const {
  TRY_ASSIGN(const Tokenizer tokenizer, checkpoint_.LoadTokenizer());
  SelfTestOptions options{.numerics = request_.target.choices.numerics.value_or(
                              Numerics{.precision = this->options().target}),
                          .kv = this->options().target_kv,
                          .threads = this->options().threads,
                          .mutants = std::move(mutants),
                          .progress = progress};
  return SelfTest(checkpoint_, tokenizer, options);
}

Result<InvarianceResult> Verification::RunInvariance(const PhaseProgress& progress) const {
  TRY_ASSIGN(const std::vector<VerifyPrompt> prompts, Prompts());
  const VerifyOptions& options = this->options();
  return MeasureInvariance(checkpoint_, prompts,
                           {.precision = options.target,
                            .kv = options.target_kv,
                            .threads = options.threads,
                            .mode = options.mode,
                            .stop = options.stop,
                            .progress = progress});
}

Result<TokensResult> Verification::RunTokens(const PhaseProgress& progress) const {
  const VerifyOptions& options = this->options();
  const auto phase = [&](int64_t done, int64_t total) {
    if (progress) progress("texts of the target", done, total);
  };
  TRY_ASSIGN(const Tokenizer tokenizer, checkpoint_.LoadTokenizer());
  AuditOptions audit{.numerics = {.precision = options.target},
                     .kv = options.target_kv,
                     .threads = options.threads,
                     .stop = options.stop,
                     .progress = progress};
  if (!servers_) {
    TRY_ASSIGN(const TargetTexts texts, GenerateTexts(checkpoint_, tokenizer,
                                                      {.precision = options.target,
                                                       .kv = options.target_kv,
                                                       .threads = options.threads},
                                                      options.mode, options.stop, phase));
    return AuditTokens(checkpoint_, fmt::format("merope, {}", PrecisionName(options.target)), texts,
                       audit);
  }
  const ServerFacts& facts = servers_->endpoint.facts();
  audit.numerics = NumericsOf(request_.target.choices, facts, !QuantizedTypes(checkpoint_).empty());
  TRY_ASSIGN(const TargetTexts texts,
             AskTexts(servers_->endpoint, checkpoint_, tokenizer, options.mode,
                      request_.target.choices.concurrency, phase));
  return AuditTokens(
      checkpoint_,
      fmt::format("{} at {}, model {}", facts.software.empty() ? "server" : facts.software,
                  facts.url, facts.model),
      texts, audit);
}

Result<LayersResult> Verification::RunLayers(const PhaseProgress& progress) const {
  const VerifyOptions& options = this->options();
  std::vector<VerifyPrompt> prompts;
  if (options.target_file.empty()) {
    TRY_ASSIGN(prompts, Prompts());
    prompts = ChooseLayerPrompts(std::move(prompts), options.mode);
  }
  return TraceLayers(
      checkpoint_, std::move(prompts),
      {.numerics = request_.target.choices.numerics.value_or(Numerics{.precision = options.target}),
       .kv = options.target_kv,
       .threads = options.threads,
       .target_file = options.target_file,
       .stop = options.stop,
       .progress = progress});
}

Result<VerifyResult> Verification::Run(const PhaseProgress& progress) {
  CHECK(tokenizer_, "Prepare comes first");
  VerifyOptions options = Complete();
  options.progress = progress;
  return Verify(checkpoint_, *tokenizer_, options);
}

}  // namespace merope
