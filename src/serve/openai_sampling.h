// The fields of a request's body that say how to sample. Pure functions of any thread.
#pragma once

#include <string_view>

#include "base/json.h"
#include "checkpoint/config.h"
#include "engine/sampling_params.h"

namespace merope {

// text: what the body was parsed from. What is not given is as the checkpoint has it. Reads what
// both endpoints have, but for the lengths and logprobs.
Result<SamplingParams> ReadSamplingParams(const JsonFields& body, std::string_view text,
                                          const GenerationDefaults& defaults);

}  // namespace merope
