// The arithmetic of a target that another engine computed. The suite emulates it on the reference
// back end, and the gates compare the target with the emulation's noise. Used by the suite and by
// `merope verify`, on any thread.
#pragma once

#include <string>
#include <string_view>

#include "backend/registry.h"
#include "base/error.h"

namespace merope {

struct Numerics {
  Precision precision = Precision::kBf16;
  OpRounding rounding = OpRounding::kNone;
};

// Reads the value of --numerics: the name of a precision, as merope computes it, or "bf16-ops" or
// "fp16-ops", in which the result of every op is rounded.
Result<Numerics> ParseNumerics(std::string_view name);
std::string NumericsName(Precision precision, OpRounding rounding);

}  // namespace merope
