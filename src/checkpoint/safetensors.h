// Reads the safetensors container: an 8-byte length, a JSON header, then the bytes of the tensors.
// A pure function. The checkpoint reader and verify/logits_file.cc call it.
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
  TensorView view;         // its dtype is valid only if `supported`
  bool supported = false;  // F32, F16 or BF16
  std::string dtype_name;  // as the file spells it
};

// The tensors of a file, in the order of their data. Every value of the header is checked against
// the size of the file. file: name of the source in errors.
Result<std::vector<SafetensorsEntry>> ParseSafetensors(std::span<const std::byte> bytes,
                                                       const std::string& file);

}  // namespace merope
