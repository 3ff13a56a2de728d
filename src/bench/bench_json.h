// Converts the benchmarks' results to JSON. Units: seconds, bytes, and bytes, tokens or operations
// per second. Called by `merope bench` and `merope report`. Pure functions: any thread may call
// them.
#pragma once

#include "base/json.h"
#include "bench/endpoint_latency.h"
#include "bench/latency.h"
#include "bench/roofline.h"
#include "bench/serve.h"
#include "bench/throughput.h"

namespace merope {

Json ToJson(const LatencyResult& result);
Json ToJson(const RooflineResult& result);
Json ToJson(const ThroughputResult& result);
Json ToJson(const EndpointLatencyCase& c);
Json ToJson(const ServeBenchResult& result);

}  // namespace merope
