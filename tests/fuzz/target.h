// Helpers for all fuzz targets. A target is one file with LLVMFuzzerTestOneInput. libFuzzer drives
// the targets (preset fuzz). Without libFuzzer, replay.cc drives the targets. Returned errors are
// expected. A target finds crashes, errors that a sanitizer reports, and broken promises of the
// interface (CHECK).
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

// Every byte of a tensor that a reader accepted must be readable.
inline void ReadAllRows(const TensorView& tensor) {
  if (tensor.elements() == 0) return;  // the other dimensions may have any size
  std::vector<float> row(static_cast<size_t>(tensor.cols()));
  for (int64_t i = 0; i < tensor.rows(); ++i) tensor.DecodeRow(i, row);
}

}  // namespace merope
