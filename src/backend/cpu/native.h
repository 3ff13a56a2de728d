// A native matrix: the weights are the integers that a GGUF file stores, moved into panels
// (kernels/native.h describes the form). Every part of a stack keeps its own type and starts on a
// new panel. The packer makes native matrices on the loading thread; products read them on any
// thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backend/cpu/kernels/native.h"
#include "backend/matrix.h"
#include "base/aligned.h"
#include "base/threads.h"

namespace merope::cpu {

struct NativePart {
  NativeForm form;
  int64_t first_row = 0, rows = 0;
  int64_t panels = 0;
  int64_t at = 0;  // the offset of the first panel in NativePanels::bytes
  int64_t panel_bytes = 0;
  int64_t panel_stride = 0;  // bytes from one panel to the next; the panels of a pair alternate
};

struct NativePanels {
  int64_t panel = 0;  // output features per panel
  std::vector<NativePart> parts;
  bool paired = false;  // even panels belong to the first part, odd panels to the second part
  PageArray<uint8_t> bytes;

  struct Place {
    const NativePart* part;
    int64_t index;  // of the panel within its part
  };
  int64_t panels() const;
  Place At(int64_t p) const;
  int64_t FirstRow(int64_t p) const;
  int64_t Rows(int64_t p) const;
  const uint8_t* Panel(int64_t p) const;
  // The end of the run of panels that starts at p. The panels of a run have one form and follow
  // each other in memory and in columns.
  int64_t RunEnd(int64_t p) const;
  // Writes one row as fp32 (in_features values), with the values that the checkpoint's dequantizer
  // gives.
  void UnpackRow(int64_t row, int64_t in_features, float* out) const;
};

// Packs parts that are all quantized. Non-finite weights are an error that names the tensor.
Result<NativePanels> PackNative(std::span<const MatrixPart> parts, Stacking stacking, int64_t panel,
                                ThreadTeam& team);

}  // namespace merope::cpu
