// Byte-pair encoding (BPE) of one piece of text. The cost is O(n log n) for a piece of length n.
// Tokenizer::Encode calls Bpe. A Bpe is immutable after construction, so it is safe on any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "text/string_index.h"

namespace merope {

// The table of merges. A merge replaces a pair of ids by one id. Bpe applies the merge with the
// lowest rank first. If ranks are equal, Bpe merges the leftmost pair first.
class MergeTable {
 public:
  struct Merge {
    int32_t rank, result;
  };

  explicit MergeTable(size_t expected = 0);
  // If the pair already has a merge, Set replaces the merge.
  void Set(int32_t left, int32_t right, Merge merge);
  // Returns nullptr if the pair does not merge.
  const Merge* Find(int32_t left, int32_t right) const;

 private:
  struct Entry {
    uint64_t key;
    Merge merge;
  };
  size_t SlotOf(uint64_t key) const;
  size_t size_ = 0;
  std::vector<Entry> entries_;
};

struct BpeOptions {
  bool byte_level = false;  // pieces are bytes, and tokens are spelled in the byte-level alphabet
  bool ignore_merges = false;   // a piece that equals a token becomes that token, without merges
  bool whole_newlines = false;  // as ignore_merges, but only for pieces of newlines
  bool byte_fallback = false;   // an unknown character becomes one <0xNN> token per byte
  bool fuse_unknown = false;    // neighbouring unknown characters become one unknown token
  // The id for an unknown character that byte_fallback does not replace. If absent, the character
  // is dropped.
  std::optional<int32_t> unknown;
  // Ids from first_part on are parts of tokens, but not tokens. If such an id remains after the
  // merges, Encode treats the part as an unknown character.
  int32_t first_part = INT32_MAX;
};

class Bpe {
 public:
  // tokens: the tokens by id. The token is empty if the id has no token.
  Bpe(std::vector<std::string> tokens, MergeTable merges, BpeOptions options);
  Bpe(const Bpe&) = delete;
  Bpe& operator=(const Bpe&) = delete;

  // The working memory of Encode. The caller reuses it for the next piece.
  struct Scratch {
    struct Symbol {
      int32_t id, previous, next;  // previous, next: positions, -1 at the ends
    };
    struct Candidate {
      int32_t rank, at, result;
    };
    std::vector<Symbol> symbols;
    std::vector<Candidate> heap;
  };
  // Appends the ids of the piece.
  void Encode(std::string_view piece, Scratch* scratch, std::vector<int32_t>* ids) const;

  const std::vector<std::string>& tokens() const { return tokens_; }
  int32_t Find(std::string_view token) const { return index_.Find(token); }

  // The id of the token <0xNN> for this byte, or -1.
  int32_t ByteToken(uint8_t byte) const { return byte_tokens_[byte]; }

 private:
  void Append(std::string_view piece, Scratch* scratch) const;
  void AppendUnknown(std::string_view character, std::optional<int32_t>* pending,
                     Scratch* scratch) const;
  void TakeApart(std::string_view character, std::vector<int32_t>* ids) const;
  void Merge(Scratch* scratch) const;

  std::vector<std::string> tokens_;
  StringIndex index_;
  MergeTable merges_;
  BpeOptions options_;
  std::vector<std::string> pieces_;  // by id: the text piece that the token stands for, or empty
  StringIndex piece_index_;
  std::vector<bool> whole_;  // by id: whether merging the token's own piece gives the token
  int32_t byte_tokens_[256];
  int32_t symbol_of_byte_[256];  // used only if byte_level is set
};

}  // namespace merope
