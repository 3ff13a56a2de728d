// Measures whether this machine reads packed weights faster than plain weights. Called by the CPU
// back end, on the loading thread.
#pragma once

#include "backend/cpu/ops.h"
#include "backend/cpu/packed.h"
#include "base/threads.h"

namespace merope::cpu {

// The size of the measured weights in plain form. A model without a matrix of this size fits into
// the caches and is not measured.
inline constexpr int64_t kTellingBytes = int64_t{16} << 20;

// Measures a product with one row on kTellingBytes of the packed matrix, and on the same weights in
// plain form, alternately. Both are read from memory, on the whole team. The matrix has at least
// kTellingBytes in plain form. Takes about 10 ms.
bool PackedIsFaster(const PackedMatrix& matrix, const Ops& ops, ThreadTeam& team);

}  // namespace merope::cpu
