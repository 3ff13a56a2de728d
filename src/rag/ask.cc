#include "rag/ask.h"

#include <algorithm>
#include <array>
#include <utility>

namespace merope {
namespace {

constexpr std::string_view kModes[] = {"verbatim", "check", "off"};

}  // namespace

Result<QuoteMode> ParseQuoteMode(std::string_view name) {
  const auto* mode = std::ranges::find(kModes, name);
  if (mode == std::end(kModes))
    return Err("quotes: expected verbatim, check or off, found \"{}\"", name);
  return static_cast<QuoteMode>(mode - kModes);
}

Result<RagModel> RagModel::Make(const LoadedModel& loaded) {
  RagModel model(loaded);
  const Tokenizer& tokenizer = loaded.tokenizer;
  TRY_ASSIGN(model.chat_, LoadChatTemplate(loaded.checkpoint));
  model.tokens_ = RagTokens::Find(tokenizer);
  model.barriers_ = {"<ref", "</ref"};
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id)
    if (tokenizer.IsSpecial(id)) model.barriers_.emplace_back(tokenizer.IdToToken(id));
  model.spellings_ = std::make_shared<TokenSpellings>(tokenizer, loaded.config().vocab_size);
  return model;
}

Result<RagJob> RagModel::Prepare(const RagQuestion& question, const AskOptions& options) const {
  if (Trim(question.query).empty()) return FieldErr("query", "expected a question, found none");
  if (options.params.structured_outputs && options.quotes == QuoteMode::kVerbatim)
    return FieldErr("quotes",
                    "expected check or off beside structured output, found verbatim: both bind the "
                    "same text");
  const int64_t context = loaded_->model().max_model_len();
  SamplingParams params = options.params;
  if (!params.max_tokens) {
    const bool traces =
        protocol() != RagProtocol::kNone && !question.fast && !question.plain;
    params.max_tokens = std::min(traces ? kDefaultTraceTokens : kDefaultAnswerTokens, context / 2);
  }
  if (*params.max_tokens >= context)
    return FieldErr("max_tokens", "expected less than the context of {} tokens, found {}", context,
                    *params.max_tokens);
  RagJob job(loaded_->tokenizer, tokens_);
  TRY_ASSIGN(job.result_.prompt,
             MakeRagPrompt(loaded_->tokenizer, chat_, question, context - *params.max_tokens));
  const RagPrompt& prompt = job.result_.prompt;
  const bool quotes = options.quotes != QuoteMode::kOff;
  job.sources_ = std::make_shared<QuotedSources>(prompt.sources);
  job.parser_ = std::make_unique<TraceParser>(
      *job.sources_, TraceOptions{.open = prompt.open, .references = quotes});
  job.decoder_ = std::make_unique<StreamDecoder>(loaded_->tokenizer, true, prompt.ids);
  job.request_ = {.prompt = prompt.ids, .params = std::move(params)};
  if (options.quotes == QuoteMode::kVerbatim) {
    const CiteRule by_default =
        prompt.protocol == RagProtocol::kNone ? CiteRule::kOnce : CiteRule::kFree;
    auto quotable = std::make_shared<Quotable>(job.sources_, barriers_, spellings_);
    QuoteRules rules = {.tokens = tokens_,
                        .eos_token_ids = loaded_->config().eos_token_ids,
                        .in_answer = prompt.open == Section::kAnswer,
                        .cite = options.cite.value_or(by_default)};
    job.request_.constraint = [quotable = std::move(quotable), rules = std::move(rules)] {
      return std::make_unique<QuoteConstraint>(quotable, rules);
    };
  }
  return job;
}

// The borders of sections are tokens, never text.
void RagJob::ReadToken(int32_t id) {
  const auto start = tokens_.Starts(id), end = tokens_.Ends(id);
  const bool source_id = id == tokens_.source_id;
  if (!start && !end && !source_id) {
    const std::string text = decoder_->Push(id);
    result_.raw += text;
    return parser_->Text(text);
  }
  const std::string rest = decoder_->Finish();
  parser_->Text(rest);
  result_.raw += rest;
  result_.raw += tokenizer_->IdToToken(id);
  decoder_ = std::make_unique<StreamDecoder>(*tokenizer_, true, std::array{id});
  if (start) parser_->Open(*start);
  if (end) parser_->Close(*end);
  if (source_id) parser_->SourceId();
}

std::vector<TraceEvent> RagJob::Read(const Event& event) {
  for (const int32_t id : event.ids) ReadToken(id);
  result_.ids.insert(result_.ids.end(), event.ids.begin(), event.ids.end());
  for (const double time : event.token_times)
    result_.token_times.push_back(time - event.times.queued);
  result_.forced += event.forced;
  if (event.last) {
    result_.finish_reason = event.finish_reason.value_or(FinishReason::kAbort);
    const std::string rest = decoder_->Finish();
    parser_->Text(rest);
    result_.raw += rest;
    parser_->Finish(result_.finish_reason != FinishReason::kStop);
    result_.answer = parser_->answer();
    if (result_.answer.language.empty()) result_.answer.language = result_.prompt.language;
  }
  return parser_->Take();
}

}  // namespace merope
