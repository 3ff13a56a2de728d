#include "checkpoint/safetensors.h"

#include <vector>

#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const auto entries = merope::ParseSafetensors(merope::AsBytes(data, size), "fuzz.safetensors");
  if (!entries) return 0;
  for (const auto& entry : *entries) {
    if (!entry.supported) continue;
    // Whatever was accepted can be read to its last byte.
    std::vector<float> row(static_cast<size_t>(entry.view.cols()));
    for (int64_t i = 0; i < entry.view.rows() && !row.empty(); ++i) entry.view.DecodeRow(i, row);
  }
  return 0;
}
