#include "checkpoint/safetensors.h"

#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merope;
  const auto entries = ParseSafetensors(AsBytes(data, size), "fuzz.safetensors");
  if (!entries) return 0;
  for (const SafetensorsEntry& entry : *entries)
    if (entry.supported) ReadAllRows(entry.view);
  return 0;
}
