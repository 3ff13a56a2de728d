// The parts of a report's workload that depend on the model's config: the parameter counts and the
// latency grids. Called by Collect, on the caller's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "bench/latency.h"
#include "checkpoint/config.h"
#include "report/report_data.h"

namespace merope {

// The parameters of each group. Leaves out groups without parameters.
std::vector<ParameterGroup> CountParameters(const ModelConfig& config);

// The grid of the reference report: the public adaptation report of Pleias-RAG-350M on an Ascend
// NPU. If the model's context holds fewer than 128 + 100 tokens, the lengths are a quarter and a
// half of the context. quick: fewer warm-up runs and repeats.
LatencyOptions ReportGrid(int64_t context, bool quick);

// The shortest and the longest prompt of the grid. The runs are alternately eager (op by op) and
// compiled (the captured plan).
LatencyOptions EagerBesideCompiled(LatencyOptions grid,
                                   std::function<void(int64_t, int64_t)> progress);

}  // namespace merope
