// Splits the body of a streamed answer into events, as the HTML standard defines them (section 9.2,
// "Server-sent events"). One thread uses one EventStream.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace merope {

class EventStream {
 public:
  // data: the data of an event, its lines joined by line feeds.
  using Take = std::function<Status(std::string_view data)>;

  // Takes the next bytes, which may end anywhere, and passes on the events that they complete. An
  // event without data is dropped. Errors: those of `take`; an event of more than 16 MiB.
  Status Feed(std::string_view bytes, const Take& take);

 private:
  Status TakeLine(std::string_view line, const Take& take);

  static constexpr size_t kMaxEvent = size_t{16} << 20;
  std::string line_, data_;
  bool has_data_ = false;
  bool after_cr_ = false;  // a line feed that follows belongs to the line end before
};

}  // namespace merope
