// The latency benchmark's result as JSON: seconds, bytes, tokens a second.
#pragma once

#include "base/json.h"
#include "bench/latency.h"

namespace merope {

Json ToJson(const LatencyResult& result);

}  // namespace merope
