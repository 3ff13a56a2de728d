#include "rag/token_spellings.h"

#include <algorithm>

namespace merope {
namespace {

// Ideographic ends of sentences (U+3002, U+FF01, U+FF1F) end with one of these bytes.
constexpr std::string_view kSentenceEnds = ".!?\n\x82\x81\x9F";

}  // namespace

TokenSpellings::TokenSpellings(const Tokenizer& tokenizer, int64_t vocab_size)
    : vocab_size_(vocab_size) {
  begins_.reserve(static_cast<size_t>(vocab_size) + 1);
  for (int32_t id = 0; id < vocab_size; ++id) {
    begins_.push_back(static_cast<uint32_t>(bytes_.size()));
    if (id >= tokenizer.vocab_size() || tokenizer.IsSpecial(id)) continue;
    const std::string bytes = tokenizer.TokenBytes(id);
    if (bytes.empty()) continue;
    bytes_ += bytes;
    order_.push_back(id);
    if (bytes.contains('<')) with_bracket_.push_back(id);
    if (bytes.find_first_of(kSentenceEnds) < bytes.size() - 1) beyond_sentence_.push_back(id);
    if (bytes.size() == 1) has_byte_[static_cast<unsigned char>(bytes[0])] = true;
  }
  begins_.push_back(static_cast<uint32_t>(bytes_.size()));
  std::ranges::sort(order_, [this](int32_t a, int32_t b) {
    const int order = Bytes(a).compare(Bytes(b));
    return order != 0 ? order < 0 : a < b;
  });
}

TokenSpellings::Node TokenSpellings::Child(const Node& node, char next) const {
  const auto byte = static_cast<unsigned char>(next);
  const auto at_depth = [this, &node](int32_t id) {  // -1: the token has no further byte
    const std::string_view bytes = Bytes(id);
    return bytes.size() <= node.depth ? -1 : int{static_cast<unsigned char>(bytes[node.depth])};
  };
  const std::span<const int32_t> tokens = Tokens(node);
  const auto first = std::ranges::lower_bound(tokens, int{byte}, {}, at_depth);
  const auto last = std::ranges::upper_bound(first, tokens.end(), int{byte}, {}, at_depth);
  return {node.first + static_cast<uint32_t>(first - tokens.begin()),
          node.first + static_cast<uint32_t>(last - tokens.begin()), node.depth + 1};
}

}  // namespace merope
