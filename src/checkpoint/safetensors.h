// The safetensors container: an 8-byte length, a JSON header, then the tensors' bytes.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoint/tensor_view.h"

namespace merope {

struct SafetensorsEntry {
  TensorView view;         // its dtype counts only where `supported`
  bool supported = false;  // F32, F16 or BF16
  std::string dtype_name;  // as the file spells it
};

// The tensors of a file, in the order of their data. Everything in the header is checked against
// the file's size; file names it in errors.
Result<std::vector<SafetensorsEntry>> ParseSafetensors(std::span<const std::byte> bytes,
                                                       const std::string& file);

}  // namespace merope
