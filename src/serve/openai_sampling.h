// Reads the sampling fields of a request's body. Called by ParseOpenAiRequest. A pure function; any
// thread may call it.
#pragma once

#include <string_view>

#include "base/json.h"
#include "checkpoint/config.h"
#include "engine/sampling_params.h"

namespace merope {

// text: the text that body was parsed from. An absent field has the checkpoint's default, or else
// vLLM's default. Reads the fields that both endpoints have, except the lengths and the logprobs.
Result<SamplingParams> ReadSamplingParams(const JsonFields& body, std::string_view text,
                                          const GenerationDefaults& defaults);

}  // namespace merope
