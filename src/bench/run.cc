#include "bench/run.h"

#include <algorithm>
#include <fstream>
#include <utility>

#include "base/stopwatch.h"
#include "bench/bench_json.h"
#include "checkpoint/checkpoint.h"
#include "engine/load.h"

namespace merope {
namespace {

// Resets the Linux kernel's record of the process's peak memory, so that each dtype has a peak of
// its own.
void RestartPeakMemory() { std::ofstream("/proc/self/clear_refs") << "5"; }

Status CheckModes(const std::vector<std::string>& modes) {
  if (modes.empty()) return FieldErr("mode", "expected eager, compiled or both, found none");
  for (const std::string& mode : modes)
    if (mode != "eager" && mode != "compiled")
      return FieldErr("mode", "expected eager, compiled or both, found \"{}\"", mode);
  return {};
}

Result<LatencyOfDtype> MeasureDtype(const Checkpoint& checkpoint, const std::string& dtype,
                                    const LatencyRequest& request, const BenchProgress& progress) {
  LatencyOptions grid = request.grid;
  RuntimeOptions options;
  TRY_ASSIGN(options.precision, ParsePrecision(dtype));
  TRY_ASSIGN(options.weights, ParseWeightStorage(request.weights));
  TRY_ASSIGN(options.kv, ParseKvStorage(request.kv));
  const std::string phase =
      "measuring " +
      std::string(PrecisionName(options.precision.value_or(DefaultPrecision(checkpoint))));
  options.llama.eager = std::ranges::find(request.modes, "compiled") == request.modes.end();
  grid.eager_too = request.modes.size() > 1;
  options.threads = grid.threads;
  options.llama.kv_tokens = KvTokens(grid);
  options.llama.max_model_len = request.max_model_len;
  options.kv_cache_bytes = request.kv_cache_bytes;
  RestartPeakMemory();
  TRY_ASSIGN(const Runtime runtime, LoadRuntime(checkpoint, options));
  grid.threads = runtime.threads;
  grid.progress = [&](int64_t done, int64_t total) {
    if (progress) progress(phase, done, total);
  };
  LatencyOfDtype measured{.load_seconds = runtime.load_seconds, .result = {}};
  TRY_ASSIGN(measured.result, MeasureLatency(*runtime.model, grid));
  return measured;
}

Result<int64_t> VocabSize(const std::string& model) {
  TRY_ASSIGN(const Checkpoint checkpoint, Checkpoint::Open(model));
  return checkpoint.config().vocab_size;
}

}  // namespace

Result<LatencyRun> RunLatency(const LatencyRequest& request, const BenchProgress& progress) {
  TRY(CheckModes(request.modes));
  if (request.dtypes.empty()) return FieldErr("dtype", "expected at least one, found none");
  for (const std::string& dtype : request.dtypes) TRY(ParsePrecision(dtype));
  const Stopwatch open_watch;
  TRY_ASSIGN(const Checkpoint checkpoint, OpenLimited(request.model, {request.max_model_len, {}}));
  LatencyRun run{.model = checkpoint.path(), .open_seconds = open_watch.Seconds(), .dtypes = {}};
  TRY(Validate(request.grid, checkpoint.config().max_position_embeddings));
  for (const std::string& dtype : request.dtypes) {
    TRY_ASSIGN(LatencyOfDtype measured, MeasureDtype(checkpoint, dtype, request, progress));
    run.dtypes.push_back(std::move(measured));
  }
  return run;
}

Result<EndpointLatencyRun> RunEndpointLatency(EndpointLatencyRequest request,
                                              const BenchProgress& progress) {
  TRY(Validate(request.grid));
  if (!request.eager_url.empty()) TRY(CheckServerUrl("endpoint-eager", request.eager_url));
  if (!request.model.empty()) {
    TRY_ASSIGN(request.grid.vocab_size, VocabSize(request.model));
  }
  TRY_ASSIGN(Endpoint endpoint, Endpoint::Open(request.endpoint));
  std::optional<Endpoint> eager;
  if (!request.eager_url.empty()) {
    request.endpoint.url = request.eager_url;
    request.endpoint.label = "second ";
    TRY_ASSIGN(eager, Endpoint::Open(request.endpoint));
  }
  request.grid.progress = [&](int64_t done, int64_t total) {
    if (progress) progress("measuring", done, total);
  };
  EndpointLatencyRun run{.server = endpoint.facts(), .grid = request.grid, .cases = {}};
  TRY_ASSIGN(run.cases, MeasureEndpointLatency(endpoint, eager ? &*eager : nullptr, request.grid));
  run.grid.progress = {};
  return run;
}

Result<ServeRun> RunServe(ServeRequest request, const BenchProgress& progress) {
  TRY(Validate(request.options));
  if (!request.model.empty()) {
    TRY_ASSIGN(request.options.vocab_size, VocabSize(request.model));
  }
  TRY_ASSIGN(Endpoint endpoint, Endpoint::Open(request.endpoint));
  request.options.progress = [&](int64_t done, int64_t total) {
    if (progress) progress("requests", done, total);
  };
  ServeRun run{.server = endpoint.facts(), .result = {}};
  TRY_ASSIGN(run.result, MeasureServing(endpoint, request.options));
  return run;
}

Json ToJson(const LatencyRun& run) {
  Json results = Json::array();
  for (const LatencyOfDtype& measured : run.dtypes) {
    Json& json = results.emplace_back(ToJson(measured.result));
    json["load_s"] = measured.load_seconds;
  }
  return {{"model", run.model},
          {"open_s", run.open_seconds},
          {"version", MEROPE_VERSION},
          {"results", results}};
}

Json ToJson(const EndpointLatencyRun& run) {
  Json cases = Json::array();
  for (const EndpointLatencyCase& c : run.cases) cases.push_back(ToJson(c));
  return {{"endpoint", run.server.url}, {"software", run.server.software},
          {"model", run.server.model},  {"version", MEROPE_VERSION},
          {"warmup", run.grid.warmup},  {"repeats", run.grid.repeats},
          {"seed", run.grid.seed},      {"cases", cases}};
}

Json ToJson(const ServeRun& run) {
  Json json = ToJson(run.result);
  json["endpoint"] = run.server.url;
  json["software"] = run.server.software;
  json["model"] = run.server.model;
  json["version"] = MEROPE_VERSION;
  return json;
}

}  // namespace merope
