// Cited answers. The input is a source, a zero byte, and what a model wrote. The target reads the
// text whole and in pieces, and then lets the bytes choose tokens under the mask of verbatim
// quotes.
#include <algorithm>
#include <memory>

#include "checkpoint/synth_tokenizer.h"
#include "rag/quote_constraint.h"
#include "rag/trace_parser.h"
#include "target.h"

namespace merope {
namespace {

constexpr int64_t kVocabulary = 1024;
constexpr int kSteps = 64;

struct Shared {
  Tokenizer tokenizer = *Tokenizer::FromJson(SynthTokenizer(kVocabulary).dump(), "tokenizer.json");
  RagTokens tokens = RagTokens::Find(tokenizer);
  std::shared_ptr<const TokenSpellings> spellings =
      std::make_shared<TokenSpellings>(tokenizer, kVocabulary);
};

void CheckShown(const CitedAnswer& answer, const QuotedSources& sources) {
  for (const Citation& one : answer.citations) {
    CHECK(one.grounding.shown && !one.cited_text.empty());
    const QuoteText& source = sources.sources()[static_cast<size_t>(one.grounding.source - 1)];
    for (const TextSpan& piece : one.grounding.pieces)
      CHECK(source.StartsAt(piece.begin) && source.EndsAt(piece.end));
  }
  for (const Citation& one : answer.unsupported) CHECK(!one.grounding.shown && one.number == 0);
}

void ReadInPieces(std::string_view text, const QuotedSources& sources) {
  const CitedAnswer whole = ParseTrace(text, sources, Section::kAnswer, false);
  CheckShown(whole, sources);
  TraceParser parser(sources, {.open = Section::kAnswer, .tokens_in_text = true});
  for (size_t at = 0; at < text.size();) {
    const size_t n = 1 + static_cast<uint8_t>(text[at]) % 5;
    parser.Text(text.substr(at, n));
    at += n;
  }
  parser.Finish(false);
  CHECK(parser.answer().clean_answer == whole.clean_answer);
  CHECK(parser.answer().answer == whole.answer);
  CHECK(parser.answer().citations.size() == whole.citations.size());
  CHECK(parser.answer().state == whole.state);
  std::string streamed;
  for (const TraceEvent& event : parser.Take())
    if (event.kind == TraceEvent::Kind::kText && event.section == Section::kAnswer)
      streamed += event.text;
  CHECK(streamed == whole.clean_answer);
}

void Follow(std::shared_ptr<const QuotedSources> sources, std::string_view chooser) {
  static const Shared shared;
  static const std::vector<std::string> barriers = {"<ref", "</ref", "<|answer_end|>"};
  const auto quotable = std::make_shared<Quotable>(sources, barriers, shared.spellings);
  QuoteConstraint constraint(
      quotable,
      {.tokens = shared.tokens, .eos_token_ids = {2}, .in_answer = true, .cite = CiteRule::kOnce});
  std::string text;
  for (int step = 0; step < kSteps; ++step) {
    CHECK(constraint.Prepare(TokenConstraint::kNoLimit));
    std::vector<int32_t> allowed;
    for (int32_t id = 0; id < kVocabulary; ++id)
      if ((constraint.mask()[static_cast<size_t>(id) / 32] >> (id % 32) & 1) != 0)
        allowed.push_back(id);
    CHECK(!allowed.empty());
    const auto choice =
        chooser.empty() ? 0
                        : static_cast<uint8_t>(chooser[static_cast<size_t>(step) % chooser.size()]);
    int32_t chosen = allowed[(choice + static_cast<size_t>(step) * 7) % allowed.size()];
    // References open often.
    for (const int32_t id : allowed)
      if (choice % 2 == 0 && shared.spellings->Bytes(id) == "<") chosen = id;
    constraint.Accept(chosen);
    text += shared.spellings->Bytes(chosen);
  }
  const CitedAnswer answer = ParseTrace(text, *sources, Section::kAnswer, true);
  CheckShown(answer, *sources);
}

}  // namespace
}  // namespace merope

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merope;
  const std::string_view input = AsText(data, size);
  const size_t zero = std::min(input.find('\0'), input.size());
  const std::string source(input.substr(0, zero));
  const std::string_view text = input.substr(std::min(zero + 1, input.size()));
  const auto sources = std::make_shared<QuotedSources>(std::vector<std::string>{source, "Yes."});
  ReadInPieces(text, *sources);
  Follow(sources, text);
  return 0;
}
