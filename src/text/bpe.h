// Byte-pair encoding of one piece of text. O(n log n) in the length of the piece. Immutable once
// made: safe on any thread.
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

// Pairs of ids that become one: the lowest rank first, the leftmost of equal ones.
class MergeTable {
 public:
  struct Merge {
    int32_t rank, result;
  };

  explicit MergeTable(size_t expected = 0);
  // A pair that is there already gets the new merge.
  void Set(int32_t left, int32_t right, Merge merge);
  // nullptr where the pair does not merge.
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
  bool ignore_merges = false;      // a piece that is a token is that token
  bool whole_newlines = false;     // as ignore_merges, for pieces of newlines
  bool byte_fallback = false;      // unknown characters become <0x00>… tokens
  bool fuse_unknown = false;       // neighbouring unknown characters become one
  std::optional<int32_t> unknown;  // what else an unknown character becomes; absent: nothing
  // Ids from here on are parts of tokens that are no tokens: left over, they are unknown
  // characters.
  int32_t first_part = INT32_MAX;
};

class Bpe {
 public:
  // tokens: by id, empty where an id has none.
  Bpe(std::vector<std::string> tokens, MergeTable merges, BpeOptions options);
  Bpe(const Bpe&) = delete;
  Bpe& operator=(const Bpe&) = delete;

  // The memory of Encode, to be used again.
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

  // The id of the token <0xNN>, or -1.
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
  std::vector<std::string> pieces_;  // by id: the piece that is spelled by this token, or empty
  StringIndex piece_index_;
  std::vector<bool> whole_;  // by id: merging the token's own piece gives the token
  int32_t byte_tokens_[256];
  int32_t symbol_of_byte_[256];  // byte_level
};

}  // namespace merope
