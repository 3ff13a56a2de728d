#include "rag/quotable.h"

#include <algorithm>
#include <string>
#include <utility>

namespace merope {
namespace {

constexpr std::string_view kReferenceBytes = "<ref name=\"0123456789\"></ref>";

void SetBit(std::vector<uint32_t>* mask, int32_t id) {
  (*mask)[static_cast<size_t>(id) / 32] |= uint32_t{1} << (id % 32);
}

}  // namespace

QuotableText::QuotableText(const QuoteText& text, std::span<const std::string> barriers,
                           const TokenSpellings& spellings)
    : text_(&text), limits_(text.size() + 1), reach_(text.size() + 1) {
  const std::string& bytes = text.text();
  std::vector<bool> barrier(bytes.size() + 1);
  for (const std::string& one : barriers)
    for (size_t at = bytes.find(one); !one.empty() && at != bytes.npos;
         at = bytes.find(one, at + 1))
      barrier[at] = true;

  const bool all_bytes =
      std::ranges::all_of(bytes, [&spellings](char byte) { return spellings.HasByte(byte); });
  size_t last = 0;  // the last end before the next barrier; 0: none
  for (size_t at = bytes.size() + 1; at-- > 0;) {
    // A quote may end before a barrier, not go into it.
    if (at == bytes.size() || barrier[at]) last = text.EndsAt(at) ? at : 0;
    if (last == 0 && text.EndsAt(at)) last = at;
    limits_[at] = static_cast<uint32_t>(last);
    if (all_bytes) {
      reach_[at] = limits_[at];
      continue;
    }
    size_t furthest = text.EndsAt(at) ? at : 0;
    TokenSpellings::Node node = spellings.root();
    for (size_t end = at; end < last;) {
      node = spellings.Child(node, bytes[end++]);
      if (node.empty()) break;
      if (spellings.IsWhole(node, spellings.Tokens(node).front()))
        furthest = std::max<size_t>(furthest, reach_[end]);
    }
    reach_[at] = static_cast<uint32_t>(furthest);
  }

  first_tokens_.resize(static_cast<size_t>(spellings.vocab_size() + 31) / 32);
  for (size_t start = 0; start < bytes.size(); ++start) {
    if (!text.StartsAt(start) || !MayStand(start, start)) continue;
    starts_.push_back(static_cast<uint32_t>(start));
    TokenSpellings::Node node = spellings.root();
    for (size_t at = start; at < limits_[start];) {
      node = spellings.Child(node, bytes[at++]);
      if (node.empty()) break;
      if (!MayStand(start, at)) continue;
      for (const int32_t id : spellings.Tokens(node)) {
        if (!spellings.IsWhole(node, id)) break;
        SetBit(&first_tokens_, id);
      }
    }
  }
}

Quotable::Quotable(std::shared_ptr<const QuotedSources> sources,
                   std::span<const std::string> barriers,
                   std::shared_ptr<const TokenSpellings> spellings)
    : quoted_(std::move(sources)), spellings_(std::move(spellings)) {
  for (const char byte : kReferenceBytes)
    spells_references_ = spells_references_ && spellings_->HasByte(byte);
  texts_.reserve(quoted_->sources().size());
  for (const QuoteText& text : quoted_->sources()) texts_.emplace_back(text, barriers, *spellings_);
  for (int64_t number = 1; number <= this->sources(); ++number)
    may_cite_ = may_cite_ || MayCite(number);
}

bool Quotable::MayBegin(int64_t digits) const {
  for (int64_t first = digits, last = digits; first <= sources() && first > 0;
       first *= 10, last = last * 10 + 9)
    for (int64_t number = first; number <= std::min(last, sources()); ++number)
      if (MayCite(number)) return true;
  return false;
}

}  // namespace merope
