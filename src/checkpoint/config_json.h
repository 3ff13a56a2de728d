// A config as transformers writes it. The inverse of ParseConfig.
#pragma once

#include "base/json.h"
#include "checkpoint/config.h"

namespace merope {

// dtype: F32, F16 or BF16.
Json ConfigJson(const ModelConfig& config, DType dtype);
Json GenerationJson(const ModelConfig& config);

}  // namespace merope
