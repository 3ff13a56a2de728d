// Reads what a RAG model writes, piece by piece: sections, references, and the citations that pass
// their check. The joined events are equal to the result of the whole text, wherever the pieces
// end. Bytes that are not UTF-8 become U+FFFD; a piece may end inside a character. Who reads an
// answer owns a TraceParser. One thread at a time uses it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "rag/cited_answer.h"
#include "rag/grounding.h"

namespace merope {

struct TraceEvent {
  enum class Kind : uint8_t { kOpen, kText, kCitation, kClose };
  Kind kind = Kind::kText;
  Section section = Section::kAnswer;
  // kText: more text of the section. In the answer, references are replaced by "[n]" and
  // "[unsupported]".
  std::string text = {};
  Citation citation = {};  // kCitation: shown if its number is not 0; before the text "[n]"
  bool cut = false;        // kClose: the text ended before the section did
};

struct TraceOptions {
  // The section that the prompt has opened. nullopt: none.
  std::optional<Section> open = {};
  // Sections and source numbers are marked by tokens that are spelled out in the text. Otherwise
  // only Open, Close and SourceId mark them, and no text can.
  bool tokens_in_text = false;
  bool references = true;  // false: the answer is raw text without citations
};

class TraceParser {
 public:
  // The sources must outlive the parser.
  explicit TraceParser(const QuotedSources& sources, const TraceOptions& options = {});

  // The protocol's tokens.
  void Open(Section section);
  void Close(Section section);  // closes the open section, whichever that is
  void SourceId();
  void Text(std::string_view piece);

  // The events since the last call.
  std::vector<TraceEvent> Take();
  // Ends the text. A section that the text should have closed is then cut. cut: the text ended
  // because of a limit.
  void Finish(bool cut);
  // After Finish.
  const CitedAnswer& answer() const { return answer_; }

 private:
  enum class Place : uint8_t { kPlain, kHeader, kQuote };  // in the answer

  void Valid(std::string_view text);  // whole characters
  void EndCharacter();                // no more bytes follow before a token or the end
  void OpenSection(Section section);
  void AddSourceId();
  void Plain(std::string_view text);  // text without tokens
  void AnswerText(std::string_view text);
  void Emit(std::string_view text);  // text of the open section, for the reader
  void EndSection(bool cut);
  void EndReference(bool whole);
  void SettleState(bool cut);
  void FindSentencesWithoutReference();

  const QuotedSources& sources_;
  TraceOptions options_;
  std::optional<Section> open_;
  bool opened_by_token_ = false;
  std::string character_;  // the first bytes of a character
  std::string token_;      // the start of what may be a token in the text

  Place place_ = Place::kPlain;
  std::string held_;            // the start of what may be "<ref", "</ref>"
  std::string header_, quote_;  // of the reference that is open
  std::string spaces_;          // white space that is text only if more text follows
  bool section_has_text_ = false;
  bool answer_has_raw_text_ = false;
  // The answer without references, and where each reference stood in it.
  std::string bare_;
  std::vector<size_t> reference_places_;

  CitedAnswer answer_;
  std::vector<TraceEvent> events_;
};

// Parses a whole text whose tokens are spelled out.
CitedAnswer ParseTrace(std::string_view text, const QuotedSources& sources,
                       std::optional<Section> open, bool cut);

}  // namespace merope
