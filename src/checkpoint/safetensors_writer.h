// Writes a safetensors file: first the header with all tensors, then their bytes in any order. Only
// one thread at a time may use a writer. The quantize, synth and verify code use the writer.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "base/part_file.h"

namespace merope {

struct SafetensorsTensor {
  std::string name;
  std::string dtype;  // as the format spells it: "F32", "BF16", "U8", …
  std::vector<int64_t> shape;
  int64_t bytes = 0;
};

class SafetensorsWriter {
 public:
  // The data of the tensors lies in the file in this order. metadata: strings by name. The file
  // appears at its path only after Finish.
  static Result<SafetensorsWriter> Create(const std::string& path,
                                          std::span<const SafetensorsTensor> tensors,
                                          const Json& metadata);

  // Writes bytes of this tensor, from byte `offset` of the tensor on.
  Status Write(std::string_view tensor, int64_t offset, std::span<const std::byte> data);
  Status Finish();  // every tensor must be written completely

  int64_t bytes() const { return bytes_; }  // of all tensors

 private:
  struct Place {
    int64_t begin = 0, bytes = 0;  // begin: offset in the file
  };
  explicit SafetensorsWriter(PartFile file) : file_(std::move(file)) {}

  PartFile file_;
  std::map<std::string, Place, std::less<>> places_;
  int64_t bytes_ = 0, written_ = 0;
};

}  // namespace merope
