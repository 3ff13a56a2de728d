// The benchmarks' results as JSON: seconds, bytes, tokens and operations a second.
#pragma once

#include "base/json.h"
#include "bench/latency.h"
#include "bench/roofline.h"
#include "bench/throughput.h"

namespace merope {

Json ToJson(const LatencyResult& result);
Json ToJson(const RooflineResult& result);
Json ToJson(const ThroughputResult& result);

}  // namespace merope
