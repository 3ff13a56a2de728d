// Converts a config to JSON as transformers writes it: the inverse of ParseConfig. Pure functions,
// called by the inspect, report, quantize and synth code.
#pragma once

#include "base/json.h"
#include "checkpoint/config.h"

namespace merope {

// The hyperparameters under their names in config.json, whichever file they came from.
OrderedJson ConfigJson(const ModelConfig& config);

// The contents of whole files. dtype: F32, F16 or BF16.
Json ConfigFile(const ModelConfig& config, DType dtype);
Json GenerationConfigFile(const ModelConfig& config);

}  // namespace merope
