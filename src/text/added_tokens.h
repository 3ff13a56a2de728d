// The tokens that are found in a text as written, before it is cut: special ones and others.
// Immutable once made.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace merope {

struct AddedToken {
  std::string content;
  int32_t id = 0;
  bool lstrip = false, rstrip = false;  // takes the white space on that side with it
  bool single_word = false;             // not inside a word
  bool normalized = false;              // looked for in the normalized text
  bool special = false;
};

// A part of a text: an added token, or text between them (id < 0).
struct TextPart {
  size_t begin, end;
  int32_t id;
};

// Finds the longest of a set of tokens at each place, from left to right.
class AddedTokenFinder {
 public:
  AddedTokenFinder() : nodes_(1) {}
  // pattern: what to look for, once normalized; empty ones are never found. The first of equal
  // patterns is kept.
  void Add(const AddedToken& token, std::string_view pattern);
  // Covers the text with parts. special: whether special tokens are looked for.
  void Split(std::string_view text, bool special, std::vector<TextPart>* parts) const;

 private:
  struct Edge {
    unsigned char byte;
    int32_t node;
  };
  struct Node {
    std::vector<Edge> edges;
    int32_t token = -1;  // in tokens_
  };
  int32_t Child(int32_t node, char byte) const;
  std::vector<Node> nodes_;
  std::vector<int32_t> roots_ = std::vector<int32_t>(256, -1);  // the children of the root
  std::vector<AddedToken> tokens_;
};

}  // namespace merope
