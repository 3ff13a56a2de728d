// Whether packed weights are read faster than plain ones on this machine, now.
#pragma once

#include "backend/cpu/ops.h"
#include "backend/cpu/packed.h"
#include "base/threads.h"

namespace merope::cpu {

// A model without a matrix of this size is at home in the caches, and not asked.
inline constexpr int64_t kTellingBytes = int64_t{16} << 20;  // in plain form

// Times a product with one row over kTellingBytes of the packed matrix, which has at least as many,
// and over the same in plain form, from memory, in turns, on the whole team: some 10 ms.
bool PackedIsFaster(const PackedMatrix& matrix, const Ops& ops, ThreadTeam& team);

}  // namespace merope::cpu
