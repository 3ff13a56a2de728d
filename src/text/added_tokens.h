// Finds added tokens (special tokens and other tokens) in a text, before the pre-tokenizers cut the
// text into pieces. Tokenizer::Encode calls AddedTokenFinder::Split. Immutable after the last Add,
// and then safe on any thread.
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
  bool lstrip = false, rstrip = false;  // the token includes the white space on that side
  bool single_word = false;             // the token does not match inside a word
  bool normalized = false;              // the finder searches the normalized text for the token
  bool special = false;
};

// A part of a text: an added token, or the text between added tokens (id < 0).
struct TextPart {
  size_t begin, end;
  int32_t id;
};

// Searches a text from left to right and finds the longest token at each position.
class AddedTokenFinder {
 public:
  AddedTokenFinder() : nodes_(1) {}
  // pattern: the text to find, already normalized if token.normalized is set. An empty pattern is
  // never found. If two patterns are equal, the finder keeps the first.
  void Add(const AddedToken& token, std::string_view pattern);
  // Appends parts that cover the whole text. special: whether special tokens become parts of their
  // own; false: special tokens stay text.
  void Split(std::string_view text, bool special, std::vector<TextPart>* parts) const;

 private:
  struct Edge {
    unsigned char byte;
    int32_t node;
  };
  struct Node {
    std::vector<Edge> edges;
    int32_t token = -1;  // index in tokens_, or -1
  };
  int32_t Child(int32_t node, char byte) const;
  std::vector<Node> nodes_;
  std::vector<int32_t> roots_ = std::vector<int32_t>(256, -1);  // the children of the root
  std::vector<AddedToken> tokens_;
};

}  // namespace merope
