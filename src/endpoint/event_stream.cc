#include "endpoint/event_stream.h"

namespace merope {

Status EventStream::Feed(std::string_view bytes, const Take& take) {
  for (const char c : bytes) {
    if (c == '\n' && after_cr_) {
      after_cr_ = false;
      continue;
    }
    after_cr_ = c == '\r';
    if (c != '\n' && c != '\r') {
      line_ += c;
      if (line_.size() + data_.size() > kMaxEvent)
        return Err("expected events of up to 16 MiB, found a longer one");
      continue;
    }
    const std::string line = std::move(line_);
    line_.clear();
    TRY(TakeLine(line, take));
  }
  return {};
}

Status EventStream::TakeLine(std::string_view line, const Take& take) {
  if (line.empty()) {
    if (!has_data_) return {};
    const std::string data = std::move(data_);
    data_.clear();
    has_data_ = false;
    return take(data);
  }
  const size_t colon = line.find(':');
  if (line.substr(0, colon) != "data") return {};  // a comment, or another field
  std::string_view value = colon == std::string_view::npos ? "" : line.substr(colon + 1);
  if (value.starts_with(' ')) value.remove_prefix(1);
  if (has_data_) data_ += '\n';
  data_ += value;
  has_data_ = true;
  return {};
}

}  // namespace merope
