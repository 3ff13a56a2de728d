// What a model may quote: for each source, the places where a quote may start, how far it may go,
// and which tokens may begin one. Made for each question; immutable then, so any thread may use it.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

#include "rag/grounding.h"
#include "rag/token_spellings.h"

namespace merope {

// One source.
class QuotableText {
 public:
  // barriers: texts that no quote may contain, such as "</ref>" and the spellings of special
  // tokens.
  QuotableText(const QuoteText& text, std::span<const std::string> barriers,
               const TokenSpellings& spellings);

  std::string_view text() const { return text_->text(); }
  // Whether a quote may hold the bytes from `start` to `at`. It may then go on to a place where it
  // may end, if it goes on byte by byte.
  bool MayHold(size_t start, size_t at) const { return at <= limits_[start]; }
  // The same, where a token ends at `at`: tokens can spell the rest.
  bool MayStand(size_t start, size_t at) const {
    return MayHold(start, at) && reach_[at] >= at && text_->IsLongEnough(start, reach_[at]);
  }
  bool MayEnd(size_t start, size_t at) const {
    return at > start && text_->EndsAt(at) && text_->IsLongEnough(start, at);
  }
  std::span<const uint32_t> starts() const { return starts_; }
  // Bit i % 32 of word i / 32: token i may be the first one of a quote. A token that also holds
  // what follows the quote is not among them.
  std::span<const uint32_t> first_tokens() const { return first_tokens_; }

 private:
  const QuoteText* text_;
  std::vector<uint32_t> limits_;  // (size + 1): the last end before the next barrier
  std::vector<uint32_t> reach_;   // (size + 1): the last end that tokens can spell; 0: none
  std::vector<uint32_t> starts_;
  std::vector<uint32_t> first_tokens_;
};

class Quotable {
 public:
  Quotable(std::shared_ptr<const QuotedSources> sources, std::span<const std::string> barriers,
           std::shared_ptr<const TokenSpellings> spellings);

  const TokenSpellings& spellings() const { return *spellings_; }
  int64_t sources() const { return std::ssize(texts_); }
  const QuotableText& source(int64_t number) const {
    return texts_[static_cast<size_t>(number - 1)];
  }
  // Whether the vocabulary can spell a reference, and the source holds a quote.
  bool MayCite(int64_t number) const {
    return number >= 1 && number <= sources() && spells_references_ &&
           !source(number).starts().empty();
  }
  bool MayCite() const { return may_cite_; }  // any source
  // Whether a number that begins with these digits may be cited.
  bool MayBegin(int64_t digits) const;

 private:
  std::shared_ptr<const QuotedSources> quoted_;
  std::shared_ptr<const TokenSpellings> spellings_;
  std::vector<QuotableText> texts_;
  bool spells_references_ = true, may_cite_ = false;
};

}  // namespace merope
