// Asks a model a question about sources: the request for the engine, and the reader of its events.
// `merope ask`, the server and Python use it. A RagJob belongs to one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "engine/load.h"
#include "engine/request.h"
#include "prompt/chat_template.h"
#include "rag/quotable.h"
#include "rag/quote_constraint.h"
#include "rag/rag_prompt.h"
#include "rag/rag_tokens.h"
#include "rag/trace_parser.h"

namespace merope {

enum class QuoteMode : uint8_t {
  kVerbatim,  // the model can only quote what the sources say
  kCheck,     // the model writes freely; quotes that fail their check are not shown
  kOff,       // raw text without citations
};
Result<QuoteMode> ParseQuoteMode(std::string_view name);  // "verbatim", "check", "off"

struct AskOptions {
  QuoteMode quotes = QuoteMode::kVerbatim;
  // n is 1. max_tokens: nullopt takes kDefaultTraceTokens or kDefaultAnswerTokens, but no more than
  // half of the context.
  SamplingParams params = {.max_tokens = std::nullopt};
  // nullopt: kFree for a model with a protocol, kOnce for one without.
  std::optional<CiteRule> cite = {};
};
inline constexpr int64_t kDefaultTraceTokens = 2048, kDefaultAnswerTokens = 512;

struct RagResult {
  CitedAnswer answer;
  RagPrompt prompt;
  std::string raw;                  // all that the model wrote, with the spellings of its tokens
  std::vector<int32_t> ids;         // generated
  std::vector<double> token_times;  // (ids), seconds since the request was submitted
  FinishReason finish_reason = FinishReason::kStop;
  int64_t forced = 0;  // tokens whose most probable choice the constraint forbade
};

class RagJob;

// What the jobs of one model share. The loaded model must outlive it. Any thread may use it.
class RagModel {
 public:
  static Result<RagModel> Make(const LoadedModel& loaded);

  // Errors name the field: an empty question, a question that does not fit, structured output
  // together with verbatim quotes.
  Result<RagJob> Prepare(const RagQuestion& question, const AskOptions& options) const;
  RagProtocol protocol() const { return FindRagProtocol(loaded_->tokenizer); }

 private:
  explicit RagModel(const LoadedModel& loaded) : loaded_(&loaded) {}

  const LoadedModel* loaded_;
  std::optional<ChatTemplate> chat_;
  RagTokens tokens_;
  std::vector<std::string> barriers_;
  std::shared_ptr<const TokenSpellings> spellings_;
};

class RagJob {
 public:
  RagJob(RagJob&&) noexcept = default;

  Request TakeRequest() { return std::move(request_); }  // to submit, once
  // Takes an event of the request, and returns what it adds.
  std::vector<TraceEvent> Read(const Event& event);
  // After the last event.
  const RagResult& result() const { return result_; }

 private:
  friend class RagModel;
  RagJob(const Tokenizer& tokenizer, const RagTokens& tokens)
      : tokenizer_(&tokenizer), tokens_(tokens) {}
  void ReadToken(int32_t id);

  const Tokenizer* tokenizer_;
  RagTokens tokens_;
  Request request_;
  std::shared_ptr<const QuotedSources> sources_;
  std::unique_ptr<TraceParser> parser_;
  std::unique_ptr<StreamDecoder> decoder_;
  RagResult result_;
};

}  // namespace merope
