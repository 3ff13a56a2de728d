// A set of characters that may stand at one place of a grammar. The rules and terms of this folder
// contain these sets. A CharSet is a value: any thread may use a copy.
#pragma once

#include <cstddef>
#include <vector>

namespace merope {

// The members are code points of Unicode. Surrogates are excluded, because no text contains them.
// NUL is excluded, because no text should contain it.
class CharSet {
 public:
  struct Range {
    char32_t first = 0, last = 0;
    friend bool operator==(const Range&, const Range&) = default;
    friend auto operator<=>(const Range&, const Range&) = default;
  };

  CharSet() = default;
  CharSet(std::vector<Range> ranges);  // in any order; ranges may overlap
  static CharSet One(char32_t c) { return CharSet({{c, c}}); }
  static const CharSet& All();

  bool empty() const { return ranges_.empty(); }
  // Sorted, with gaps between the ranges.
  const std::vector<Range>& ranges() const { return ranges_; }
  bool Contains(char32_t c) const;
  bool ContainsAll(const CharSet& other) const { return (other - *this).empty(); }

  friend CharSet operator|(const CharSet& a, const CharSet& b);
  friend CharSet operator&(const CharSet& a, const CharSet& b);
  friend CharSet operator-(const CharSet& a, const CharSet& b);
  friend bool operator==(const CharSet&, const CharSet&) = default;
  friend auto operator<=>(const CharSet&, const CharSet&) = default;

 private:
  std::vector<Range> ranges_;
};

}  // namespace merope
