#include "grammar/rules/char_set.h"

#include <algorithm>
#include <utility>

namespace merope {
namespace {

constexpr CharSet::Range kCharacters[] = {{0x1, 0xD7FF}, {0xE000, 0x10FFFF}};

}  // namespace

CharSet::CharSet(std::vector<Range> ranges) {
  std::ranges::sort(ranges);
  for (const Range& range : ranges) {
    for (const Range& valid : kCharacters) {
      const Range part = {std::max(range.first, valid.first), std::min(range.last, valid.last)};
      if (part.first > part.last) continue;
      if (!ranges_.empty() && part.first <= ranges_.back().last + 1) {
        ranges_.back().last = std::max(ranges_.back().last, part.last);
      } else {
        ranges_.push_back(part);
      }
    }
  }
}

const CharSet& CharSet::All() {
  static const CharSet all({{0, 0x10FFFF}});
  return all;
}

bool CharSet::Contains(char32_t c) const {
  const auto after = std::ranges::upper_bound(ranges_, c, {}, &Range::first);
  return after != ranges_.begin() && c <= std::prev(after)->last;
}

CharSet operator|(const CharSet& a, const CharSet& b) {
  std::vector<CharSet::Range> ranges = a.ranges_;
  ranges.insert(ranges.end(), b.ranges_.begin(), b.ranges_.end());
  return CharSet(std::move(ranges));
}

CharSet operator&(const CharSet& a, const CharSet& b) {
  std::vector<CharSet::Range> ranges;
  for (size_t i = 0, j = 0; i < a.ranges_.size() && j < b.ranges_.size();) {
    const CharSet::Range &x = a.ranges_[i], &y = b.ranges_[j];
    const CharSet::Range both = {std::max(x.first, y.first), std::min(x.last, y.last)};
    if (both.first <= both.last) ranges.push_back(both);
    x.last < y.last ? ++i : ++j;
  }
  return CharSet(std::move(ranges));
}

CharSet operator-(const CharSet& a, const CharSet& b) {
  std::vector<CharSet::Range> gaps;
  char32_t next = 0;
  for (const CharSet::Range& range : b.ranges_) {
    if (range.first > next) gaps.push_back({next, range.first - 1});
    next = range.last + 1;
  }
  gaps.push_back({next, 0x10FFFF});
  return a & CharSet(std::move(gaps));
}

}  // namespace merope
