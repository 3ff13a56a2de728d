// What every fuzz target shares. A target is one file with LLVMFuzzerTestOneInput; libFuzzer drives
// it (preset fuzz), and replay.cc where there is no libFuzzer. Returned errors are what a target
// expects; it looks for crashes, sanitizers' findings, and broken promises of the interface
// (CHECK).
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "checkpoint/tensor_view.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

namespace merope {

inline std::string_view AsText(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const char*>(data), size};
}

inline std::span<const std::byte> AsBytes(const uint8_t* data, size_t size) {
  return {reinterpret_cast<const std::byte*>(data), size};
}

// Whatever a reader accepted can be read to its last byte.
inline void ReadAllRows(const TensorView& tensor) {
  if (tensor.elements() == 0) return;  // whose other dimensions may be of any size
  std::vector<float> row(static_cast<size_t>(tensor.cols()));
  for (int64_t i = 0; i < tensor.rows(); ++i) tensor.DecodeRow(i, row);
}

}  // namespace merope
