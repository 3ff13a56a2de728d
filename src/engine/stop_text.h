// Watches a text that comes in pieces for stop strings. What might be the start of one is held
// back.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace merope {

class StopText {
 public:
  // stops must outlive this, and none may be empty. include: the text ends after the stop string,
  // not before it.
  explicit StopText(const std::vector<std::string>& stops, bool include = false)
      : stops_(stops), include_(include) {}

  // The text that this piece makes certain. Of several stop strings the one that is complete first
  // counts, of those the one that began first: where the pieces divide does not matter. Once
  // stopped, nothing comes any more. A stop string that ends in a piece that is not searched does
  // not count.
  std::string Push(std::string_view piece, bool searched = true);
  // No more pieces: what was held back.
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
