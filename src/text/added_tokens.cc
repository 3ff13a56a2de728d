#include "text/added_tokens.h"

#include <algorithm>

#include "base/utf8.h"
#include "text/unicode.h"

namespace merope {
namespace {

bool EndsWithWord(std::string_view text) {
  size_t at = text.size();
  return at > 0 && unicode::IsWord(utf8::Previous(text, &at));
}

bool StartsWithWord(std::string_view text) {
  size_t at = 0;
  return !text.empty() && unicode::IsWord(utf8::Next(text, &at));
}

// Returns the start of the white space at the end of text[0, end), but at least from.
size_t SpaceBefore(std::string_view text, size_t from, size_t end) {
  while (end > from) {
    size_t before = end;
    if (!unicode::IsWhiteSpace(utf8::Previous(text, &before))) break;
    end = before;
  }
  return end;
}

size_t SpaceAfter(std::string_view text, size_t at) {
  while (at < text.size()) {
    size_t next = at;
    if (!unicode::IsWhiteSpace(utf8::Next(text, &next))) break;
    at = next;
  }
  return at;
}

}  // namespace

int32_t AddedTokenFinder::Child(int32_t node, char byte) const {
  const auto key = static_cast<unsigned char>(byte);
  if (node == 0) return roots_[key];
  for (const Edge& edge : nodes_[static_cast<size_t>(node)].edges) {
    if (edge.byte == key) return edge.node;
  }
  return -1;
}

void AddedTokenFinder::Add(const AddedToken& token, std::string_view pattern) {
  if (pattern.empty()) return;
  int32_t node = 0;
  for (const char byte : pattern) {
    int32_t child = Child(node, byte);
    if (child < 0) {
      child = static_cast<int32_t>(nodes_.size());
      nodes_.emplace_back();
      const auto key = static_cast<unsigned char>(byte);
      if (node == 0) {
        roots_[key] = child;
      } else {
        nodes_[static_cast<size_t>(node)].edges.push_back({key, child});
      }
    }
    node = child;
  }
  Node& last = nodes_[static_cast<size_t>(node)];
  if (last.token >= 0) return;
  last.token = static_cast<int32_t>(tokens_.size());
  tokens_.push_back(token);
}

void AddedTokenFinder::Split(std::string_view text, bool special,
                             std::vector<TextPart>* parts) const {
  size_t done = 0;  // the parts cover the text up to here
  for (size_t at = 0; at < text.size() && !tokens_.empty();) {
    int32_t found = -1;
    size_t end = at;
    int32_t node = 0;
    for (size_t next = at; next < text.size(); ++next) {
      node = Child(node, text[next]);
      if (node < 0) break;
      if (nodes_[static_cast<size_t>(node)].token >= 0) {
        found = nodes_[static_cast<size_t>(node)].token;
        end = next + 1;
      }
    }
    if (found < 0) {
      ++at;
      continue;
    }
    const size_t begin = at;
    at = end;
    const AddedToken& token = tokens_[static_cast<size_t>(found)];
    if (token.special && !special) continue;
    if (token.single_word &&
        (EndsWithWord(text.substr(0, begin)) || StartsWithWord(text.substr(end)))) {
      continue;
    }
    const size_t first = token.lstrip ? SpaceBefore(text, done, begin) : begin;
    const size_t last = token.rstrip ? SpaceAfter(text, end) : end;
    if (done < first) parts->push_back({done, first, -1});
    parts->push_back({first, last, token.id});
    done = last;
  }
  if (done < text.size()) parts->push_back({done, text.size(), -1});
}

}  // namespace merope
