// A matrix whose weights are the integers that a GGUF file stores, moved into panels
// (kernels/stored.h describes the form). Every part of a stack keeps its own type, and starts on a
// panel of its own.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backend/cpu/kernels/stored.h"
#include "backend/matrix.h"
#include "base/aligned.h"
#include "base/threads.h"

namespace merope::cpu {

struct StoredPart {
  StoredForm form;
  int64_t first_row = 0, rows = 0;
  int64_t panels = 0;
  int64_t at = 0;  // in the bytes, of its first panel
  int64_t panel_bytes = 0;
  int64_t panel_stride = 0;  // between its panels: of a pair, they lie between the other's
};

struct StoredPanels {
  int64_t panel = 0;  // output features a panel
  std::vector<StoredPart> parts;
  bool paired = false;  // even panels are the first part's, odd ones the second's
  PageArray<uint8_t> bytes;

  struct Place {
    const StoredPart* part;
    int64_t index;  // of the panel, in its part
  };
  int64_t panels() const;
  Place At(int64_t p) const;
  int64_t FirstRow(int64_t p) const;
  int64_t Rows(int64_t p) const;
  const uint8_t* Panel(int64_t p) const;
  // The end of the panels from p on that follow each other in memory and in columns, in one form.
  int64_t RunEnd(int64_t p) const;
  // One row back as fp32 (in_features values), as the checkpoint dequantizes it.
  void UnpackRow(int64_t row, int64_t in_features, float* out) const;
};

// Of parts that are all quantized. Non-finite weights are an error that names the tensor.
Result<StoredPanels> PackStored(std::span<const MatrixPart> parts, Stacking stacking, int64_t panel,
                                ThreadTeam& team);

}  // namespace merope::cpu
