// What a report measures and counts, as far as the model's configuration decides it. Called by
// Collect.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "bench/latency.h"
#include "checkpoint/config.h"
#include "report/report_data.h"

namespace merope {

// Parameters by group; groups that have none are left out.
std::vector<ParameterGroup> CountParameters(const ModelConfig& config);

// The reference report's grid, cut to what the model's context holds.
LatencyOptions ReportGrid(int64_t context, bool quick);

// The shortest and the longest prompt of the grid, op by op and along the plan in turns.
LatencyOptions EagerBesideCompiled(LatencyOptions grid,
                                   std::function<void(int64_t, int64_t)> progress);

}  // namespace merope
