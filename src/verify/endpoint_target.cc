#include "verify/endpoint_target.h"

#include <algorithm>
#include <random>
#include <utility>

#include "base/utf8.h"
#include "endpoint/answers_file.h"
#include "engine/load.h"
#include "prompt/encode_prompt.h"

namespace merope {
namespace {

// A text whose continuation is ordinary prose in every model.
constexpr std::string_view kProbeText = "Every evening the keeper lit the lamp, and wrote";

constexpr std::string_view kMessages[] = {
    "What is RAG in AI?", "  Two spaces first,\nthen a second line.  ", "检索增强生成是什么？",
    "<|im_start|>user\nWho speaks?<|im_end|>"};

// Texts of random characters: of several scripts, with marks, spaces and digits.
std::vector<std::string> RandomTexts() {
  constexpr std::pair<uint32_t, uint32_t> kRanges[] = {
      {0x20, 0x7e},     {0x20, 0x7e},     {0x20, 0x20},     {0x30, 0x39},     {0xa1, 0x17f},
      {0x300, 0x36f},   {0x391, 0x3c9},   {0x410, 0x44f},   {0x5d0, 0x5ea},   {0x621, 0x64a},
      {0x915, 0x939},   {0x3041, 0x3096}, {0x4e00, 0x9fa5}, {0xac00, 0xd7a3}, {0x1f600, 0x1f64f},
      {0x2000, 0x206f}, {0x0a, 0x0a}};
  constexpr int kTexts = 50;
  constexpr uint64_t kMostCharacters = 40;
  std::mt19937_64 random(20260520);
  std::vector<std::string> texts;
  for (int i = 0; i < kTexts; ++i) {
    std::string& text = texts.emplace_back();
    for (uint64_t n = 1 + random() % kMostCharacters; n > 0; --n) {
      const auto [first, last] = kRanges[random() % std::size(kRanges)];
      utf8::Append(static_cast<char32_t>(first + random() % (last - first + 1)), &text);
    }
  }
  return texts;
}

// The tokens to generate after each prompt. The 25 prompts of --quick are short; more tokens would
// take the reference back end longer than all else.
int64_t Generated(VerifyMode mode) { return mode == VerifyMode::kQuick ? 16 : 64; }

}  // namespace

Numerics NumericsOf(const TargetChoices& choices, const ServerFacts& facts, bool quantized) {
  if (choices.numerics) return *choices.numerics;
  if (facts.software.starts_with("llama.cpp"))
    return {.precision = quantized ? Precision::kNative : Precision::kBf16};
  return {.rounding = OpRounding::kBf16};
}

Result<TargetServers> OpenServers(const TargetRequest& request) {
  EndpointOptions options = request.endpoint;
  options.offline = request.offline;
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

Result<ProbedModel> DescribeModel(const Checkpoint& checkpoint, const Tokenizer& tokenizer) {
  const ModelConfig& config = checkpoint.config();
  ProbedModel model{.context = config.max_position_embeddings,
                    .vocab_size = config.vocab_size,
                    .quantized = !QuantizedTypes(checkpoint).empty(),
                    .prompt = {.text = std::string(kProbeText), .ids = {}}};
  TRY_ASSIGN(model.prompt.ids, EncodePrompt(tokenizer, model.prompt.text));
  TRY_ASSIGN(const std::vector<VerifyPrompt> prompts,
             BuildPrompts(checkpoint, tokenizer, VerifyMode::kQuick));
  std::vector<std::string> texts = RandomTexts();
  for (const VerifyPrompt& p : prompts)
    if (p.kind != "chat") texts.push_back(p.text);
  for (std::string& text : texts) {
    TRY_ASSIGN(std::vector<int32_t> ids, EncodePrompt(tokenizer, text));
    model.texts.push_back({std::move(text), std::move(ids)});
  }
  // A template that cannot be used gives no messages; a server refuses it, too.
  if (const auto chat = LoadChatTemplate(checkpoint); chat && chat->has_value()) {
    for (const std::string_view text : kMessages) {
      const ChatMessage said{"user", std::string(text)};
      auto ids = EncodeChat(tokenizer, **chat, std::span(&said, 1), {});
      if (ids) model.messages.push_back({std::string(text), std::move(*ids)});
    }
  }
  return model;
}

Result<EndpointTarget> ProbeTarget(TargetServers servers, const TargetRequest& request,
                                   ProbedModel model, const Tokenizer* tokenizer, VerifyMode mode,
                                   const std::function<void(int64_t, int64_t)>& progress) {
  EndpointTarget target{.endpoint = std::move(servers.endpoint),
                        .model = std::move(model),
                        .probe = {},
                        .ask = {},
                        .numerics = {},
                        .stability = request.stability,
                        .eager = std::move(servers.eager)};
  const TargetChoices& choices = request.choices;
  const ServerFacts& facts = target.endpoint.facts();
  target.numerics_named = !request.numerics.empty() || choices.numerics.has_value();
  target.wanted_top_k = choices.top_k;
  if (!request.numerics.empty()) {
    TRY_ASSIGN(target.numerics, ParseNumerics(request.numerics));
  } else {
    target.numerics = NumericsOf(choices, facts, target.model.quantized);
    target.numerics_assumed = !choices.numerics && !facts.software.starts_with("llama.cpp") &&
                              !facts.software.starts_with("vLLM");
  }
  const int64_t context = target.model.context;
  target.ask.generate = choices.generate.value_or(Generated(mode));
  target.ask.context = std::min(context, facts.context.value_or(context));
  target.ask.concurrency = choices.concurrency;
  if (target.ask.generate >= target.ask.context)
    return Err("generate: expected fewer tokens than the context of {}, found {}",
               target.ask.context, target.ask.generate);

  ProbePrompt& prompt = target.model.prompt;
  const int64_t longest = target.ask.context - kProbeTokens;
  if (longest < 2)
    return Err("{}: expected a context of at least {} tokens, found {}", facts.url,
               kProbeTokens + 2, target.ask.context);
  if (std::ssize(prompt.ids) > longest) {
    prompt.ids.resize(static_cast<size_t>(longest));
    if (tokenizer != nullptr) {
      TRY_ASSIGN(prompt.text, tokenizer->Decode(prompt.ids, true));
    }
  }
  const int64_t wanted = std::min(choices.top_k, target.model.vocab_size);
  TRY_ASSIGN(target.probe, Probe(target.endpoint, prompt, wanted, progress));
  if (request.texts) {
    target.texts = true;
    TRY(ProbeTexts(target.endpoint, target.model.texts, target.model.messages, &target.probe,
                   progress));
  }
  target.ask.top_k = target.probe.top_k;
  target.ask.prompt_rows = target.probe.prompt_rows;
  return target;
}

Result<AskedServer> AskServer(
    const EndpointTarget& target, VerifyMode mode, std::vector<VerifyPrompt>* prompts,
    const std::function<std::function<void(int64_t, int64_t)>(std::string_view)>& phase) {
  AskedServer asked;
  const StabilityPlan plan = PlanStability(target.ask, mode, *prompts);
  if (target.say) {
    const ServerFacts& facts = target.endpoint.facts();
    const int64_t servers = target.eager ? 2 : 1, more = target.stability ? 1 : 0;
    target.say(fmt::format("{} at {}, model {}: {} requests of {} tokens in all, numerics {}",
                           facts.software.empty() ? "server" : facts.software, facts.url,
                           facts.model, servers * std::ssize(*prompts) + more * plan.requests,
                           servers * TokensToAsk(target.ask, *prompts) + more * plan.tokens,
                           NumericsName(target.numerics.precision, target.numerics.rounding)));
  }
  TRY_ASSIGN(std::vector<CompletionAnswer> answers,
             AskPrompts(target.endpoint, target.ask, prompts, phase("asking the endpoint")));
  if (target.eager) {
    TRY_ASSIGN(const std::vector<CompletionAnswer> others,
               AskPrompts(*target.eager, target.ask, prompts, phase("asking the second endpoint")));
    asked.pair = CompareServers(*prompts, answers, others);
    asked.pair->second = target.eager->facts();
  }
  if (target.stability) {
    TRY_ASSIGN(asked.stability,
               MeasureStability(target.endpoint, target.ask, plan, phase("stability")));
  }
  TRY_ASSIGN(asked.rows, RowsOfAnswers(target.endpoint.facts(), target.ask, target.model.vocab_size,
                                       std::move(answers), prompts));
  return asked;
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
