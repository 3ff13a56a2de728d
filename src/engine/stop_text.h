// Searches a text that arrives in pieces for stop strings. Holds back text that may be the start of
// a stop string. Each Generation owns one StopText and uses it on the engine's thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace merope {

class StopText {
 public:
  // stops must outlive this object, and no stop string may be empty. include: the text ends after
  // the stop string, not before it.
  explicit StopText(const std::vector<std::string>& stops, bool include = false)
      : stops_(stops), include_(include) {}

  // Takes the next piece and returns the text that this piece makes certain. If several stop
  // strings are found, the first one to be complete counts. If several are complete at the same
  // place, the one that began first counts. So the borders of the pieces do not matter. After a
  // stop string, Push returns nothing. If `searched` is false, a stop string that ends in this
  // piece does not count.
  std::string Push(std::string_view piece, bool searched = true);
  // No more pieces follow. Returns the text that was held back.
  std::string Finish();
  // The stop string that ended the text.
  const std::optional<std::string>& stopped_by() const { return stopped_by_; }

 private:
  const std::vector<std::string>& stops_;
  bool include_;
  std::string held_;
  std::optional<std::string> stopped_by_;
};

}  // namespace merope
