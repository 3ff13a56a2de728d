#include "verify/numerics.h"

#include <optional>

#include "engine/load.h"

namespace merope {

Result<Numerics> ParseNumerics(std::string_view name) {
  for (const OpRounding rounding : {OpRounding::kBf16, OpRounding::kFp16})
    if (name == NumericsName(Precision::kBf16, rounding)) return Numerics{.rounding = rounding};
  const auto precision = ParsePrecision(name);
  if (name == "auto" || !precision)
    return FieldErr("numerics",
                    "expected bf16, bf16-ops, fp16-ops, fp32, int8, int4 or native, found "
                    "\"{}\"",
                    name);
  return Numerics{.precision = **precision};
}

std::string NumericsName(Precision precision, OpRounding rounding) {
  switch (rounding) {
    case OpRounding::kNone:
      return std::string(PrecisionName(precision));
    case OpRounding::kBf16:
      return "bf16-ops";
    case OpRounding::kFp16:
      return "fp16-ops";
  }
  return "";
}

}  // namespace merope
