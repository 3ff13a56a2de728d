#include "engine/stop_text.h"

#include <algorithm>
#include <utility>

namespace merope {

std::string StopText::Push(std::string_view piece, bool searched) {
  if (stopped_by_) return {};
  const size_t before = held_.size();
  held_ += piece;
  size_t first_end = std::string::npos, begin = 0;
  for (const std::string& stop : stops_) {
    if (!searched) break;
    const size_t at = held_.find(stop, before + 1 - std::min(before + 1, stop.size()));
    if (at == std::string::npos) continue;
    const size_t end = at + stop.size();
    if (end > first_end || (end == first_end && at >= begin)) continue;
    first_end = end;
    begin = at;
    stopped_by_ = stop;
  }
  if (stopped_by_) {
    held_.resize(include_ ? first_end : begin);
    return std::exchange(held_, {});
  }
  size_t hold = 0;  // length of the longest end of held_ that is the start of a stop string
  for (const std::string& stop : stops_) {
    for (size_t n = std::min(held_.size(), stop.size() - 1); n > hold; --n)
      if (held_.ends_with(std::string_view(stop).substr(0, n))) hold = n;
  }
  std::string certain = held_.substr(0, held_.size() - hold);
  held_.erase(0, certain.size());
  return certain;
}

std::string StopText::Finish() { return std::exchange(held_, {}); }

}  // namespace merope
