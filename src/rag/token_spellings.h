// The tokens of a vocabulary in the order of their bytes, so that the tokens that spell a given
// text are found quickly. Made once for a model, and shared. Immutable: any thread may use it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace merope {

class TokenSpellings {
 public:
  // Special tokens and tokens without bytes spell nothing. vocab_size: the model's, which may be
  // larger than the tokenizer's.
  TokenSpellings(const Tokenizer& tokenizer, int64_t vocab_size);

  int64_t vocab_size() const { return vocab_size_; }
  // The bytes of a token inside a text; empty for a token that spells nothing.
  std::string_view Bytes(int32_t id) const {
    const auto i = static_cast<size_t>(id);
    return std::string_view(bytes_).substr(begins_[i], begins_[i + 1] - begins_[i]);
  }

  // The tokens that begin with the same `depth` bytes.
  struct Node {
    uint32_t first = 0, last = 0;  // in the order of bytes; none if first == last
    uint32_t depth = 0;
    bool empty() const { return first == last; }
  };
  Node root() const { return {0, static_cast<uint32_t>(order_.size()), 0}; }
  // The tokens that have the byte `next` after those.
  Node Child(const Node& node, char next) const;
  // All tokens of a node. Those of exactly `depth` bytes come first.
  std::span<const int32_t> Tokens(const Node& node) const {
    return std::span(order_).subspan(node.first, node.last - node.first);
  }
  bool IsWhole(const Node& node, int32_t id) const { return Bytes(id).size() == node.depth; }

  // The tokens that have a "<", and those that go on after a full stop, an exclamation mark, a
  // question mark or a line end.
  std::span<const int32_t> with_bracket() const { return with_bracket_; }
  std::span<const int32_t> beyond_sentence() const { return beyond_sentence_; }

  bool HasByte(char byte) const { return has_byte_[static_cast<unsigned char>(byte)]; }

 private:
  int64_t vocab_size_;
  std::string bytes_;             // of all tokens, by id
  std::vector<uint32_t> begins_;  // (vocab_size + 1)
  std::vector<int32_t> order_;    // the ids in the order of their bytes
  std::vector<int32_t> with_bracket_, beyond_sentence_;
  bool has_byte_[256] = {};  // whether a token is exactly this byte
};

}  // namespace merope
