// A set of characters: what one place of a grammar may hold. A value, of any thread.
#pragma once

#include <cstddef>
#include <vector>

namespace merope {

// Unicode's code points but surrogates, which no text holds, and NUL, which no text should.
class CharSet {
 public:
  struct Range {
    char32_t first = 0, last = 0;
    friend bool operator==(const Range&, const Range&) = default;
    friend auto operator<=>(const Range&, const Range&) = default;
  };

  CharSet() = default;
  CharSet(std::vector<Range> ranges);  // in any order, overlapping or not
  static CharSet One(char32_t c) { return CharSet({{c, c}}); }
  static const CharSet& All();

  bool empty() const { return ranges_.empty(); }
  // In order, with gaps between them.
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
