// Binds `merope verify` with its other judgments, `merope bench latency` and `merope bench serve`.
// Each function takes the arguments as a dict, with the names of the package's functions, and
// starts a Job, whose result is the JSON that the command prints.
#include <string>
#include <utility>

#include "base/json.h"
#include "bench/run.h"
#include "convert.h"
#include "fields.h"
#include "job.h"
#include "verify/result_json.h"
#include "verify/verification.h"

namespace merope::python {
namespace {

using nb::literals::operator""_a;

// A text that may be absent: empty.
void ReadText(const nb::dict& fields, const char* name, std::string* text) {
  std::optional<std::string> found;
  ReadField(fields, name, &found);
  *text = found.value_or("");
}

// The options of a server; nullopt if `endpoint` is None.
std::optional<EndpointOptions> ReadEndpoint(const nb::dict& fields) {
  std::optional<std::string> url;
  Read(fields, "endpoint", "a URL or None", &url);
  if (!url) return std::nullopt;
  EndpointOptions options{.url = *url};
  ReadText(fields, "endpoint_model", &options.model);
  ReadText(fields, "api_key_env", &options.api_key_env);
  ReadField(fields, "timeout", &options.stall_seconds);
  return options;
}

EndpointOptions RequireEndpoint(const nb::dict& fields) {
  std::optional<EndpointOptions> options = ReadEndpoint(fields);
  if (!options) throw nb::type_error("endpoint: expected a URL, found None");
  return *std::move(options);
}

void Report(EndpointOptions* options, const JobReport& report) {
  options->say = report.say;
  options->stop = report.stop;
}

VerifyRequest ReadVerify(const nb::dict& fields) {
  VerifyRequest request;
  ReadField(fields, "model", &request.model);
  ReadText(fields, "baseline", &request.original);
  ReadText(fields, "dtype", &request.dtype);
  ReadField(fields, "kv_cache_dtype", &request.kv);
  ReadField(fields, "max_model_len", &request.limit.max_model_len);
  ReadField(fields, "kv_cache_memory_bytes", &request.limit.kv_cache_bytes);
  TargetRequest& target = request.target;
  ReadText(fields, "numerics", &target.numerics);
  if (std::optional<EndpointOptions> endpoint = ReadEndpoint(fields)) {
    Unwrap(CheckServerUrl("endpoint", endpoint->url));
    target.endpoint = *std::move(endpoint);
    std::optional<int64_t> most;
    ReadField(fields, "max_tokens_total", &most);
    if (most) target.endpoint.max_tokens_total = *most;
  }
  ReadText(fields, "endpoint_eager", &target.eager_url);
  if (!target.eager_url.empty()) Unwrap(CheckServerUrl("endpoint_eager", target.eager_url));
  ReadField(fields, "stability", &target.stability);
  ReadField(fields, "texts", &target.texts);
  ReadText(fields, "answers", &target.answers);
  ReadField(fields, "generate", &target.choices.generate);
  ReadField(fields, "top_logprobs", &target.choices.top_k);
  ReadField(fields, "concurrency", &target.choices.concurrency);
  VerifyOptions& options = request.options;
  bool quick = false, full = false;
  ReadField(fields, "quick", &quick);
  ReadField(fields, "full", &full);
  if (quick && full) throw nb::value_error("full: expected quick or full, found both");
  options.mode = quick ? VerifyMode::kQuick : full ? VerifyMode::kFull : VerifyMode::kDefault;
  ReadField(fields, "num_threads", &options.threads);
  ReadText(fields, "against", &options.against);
  ReadText(fields, "target", &options.target_file);
  ReadText(fields, "prompts", &options.prompts);
  return request;
}

Result<std::string> RunVerify(VerifyRequest request, const JobReport& report) {
  request.options.stop = report.stop;
  Report(&request.target.endpoint, report);
  TRY_ASSIGN(request.model, FindModel(request.model, report));
  if (!request.original.empty()) {
    TRY_ASSIGN(request.original, FindModel(request.original, report));
  }
  TRY_ASSIGN(Verification verification, Verification::Open(std::move(request)));
  TRY(report.stop.Check());
  TRY(verification.Prepare(report.progress, report.say));
  TRY_ASSIGN(const VerifyResult result, verification.Run(report.progress));
  return DumpJson(ToJson(result));
}

// A judgment other than the suite, by the name of its function in merope.audit.
struct AuditRequest {
  std::string audit;
  VerifyRequest verify;
  std::vector<std::string> mutants;
};

AuditRequest ReadAudit(const nb::dict& fields) {
  AuditRequest request{.audit = {}, .verify = ReadVerify(fields), .mutants = {}};
  ReadField(fields, "audit", &request.audit);
  std::string mutants;
  ReadText(fields, "mutants", &mutants);
  if (!mutants.empty()) request.mutants = Unwrap(ParseMutants(mutants));
  VerifyRequest& verify = request.verify;
  verify.layers = request.audit == "layers";
  verify.tokens = request.audit == "tokens";
  verify.self_test = request.audit == "self_test";
  return request;
}

Result<std::string> RunAudit(AuditRequest request, const JobReport& report) {
  VerifyRequest& verify = request.verify;
  verify.options.stop = report.stop;
  Report(&verify.target.endpoint, report);
  TRY_ASSIGN(verify.model, FindModel(verify.model, report));
  TRY_ASSIGN(Verification verification, Verification::Open(std::move(verify)));
  TRY(report.stop.Check());
  OrderedJson json;
  if (request.audit == "layers") {
    TRY_ASSIGN(const LayersResult result, verification.RunLayers(report.progress));
    json = ToJson(result);
  } else if (request.audit == "tokens") {
    TRY_ASSIGN(const TokensResult result, verification.RunTokens(report.progress));
    json = ToJson(result);
  } else if (request.audit == "self_test") {
    TRY_ASSIGN(const SelfTestResult result,
               verification.RunSelfTest(request.mutants, report.progress));
    json = ToJson(result);
  } else {
    TRY_ASSIGN(const InvarianceResult result, verification.RunInvariance(report.progress));
    json = ToJson(result);
  }
  return DumpJson(json);
}

LatencyRequest ReadLatency(const nb::dict& fields) {
  LatencyRequest request;
  ReadField(fields, "model", &request.model);
  ReadField(fields, "dtype", &request.dtypes);
  ReadField(fields, "mode", &request.modes);
  ReadField(fields, "weights", &request.weights);
  ReadField(fields, "kv_cache_dtype", &request.kv);
  ReadField(fields, "max_model_len", &request.max_model_len);
  ReadField(fields, "kv_cache_memory_bytes", &request.kv_cache_bytes);
  LatencyOptions& grid = request.grid;
  ReadField(fields, "input_len", &grid.input_lengths);
  ReadField(fields, "output_len", &grid.output_lengths);
  ReadField(fields, "batch_size", &grid.batch_sizes);
  ReadField(fields, "context", &grid.contexts);
  ReadField(fields, "warmup", &grid.warmup);
  ReadField(fields, "repeats", &grid.repeats);
  ReadField(fields, "seed", &grid.seed);
  ReadField(fields, "num_threads", &grid.threads);
  return request;
}

Result<std::string> MeasureModel(LatencyRequest request, const JobReport& report) {
  request.grid.stop = report.stop;
  TRY_ASSIGN(request.model, FindModel(request.model, report));
  TRY_ASSIGN(const LatencyRun run, RunLatency(request, report.progress));
  return DumpJson(ToJson(run));
}

EndpointLatencyRequest ReadEndpointLatency(const nb::dict& fields) {
  EndpointLatencyRequest request;
  ReadText(fields, "model", &request.model);
  request.endpoint = RequireEndpoint(fields);
  std::optional<std::string> eager;
  ReadField(fields, "endpoint_eager", &eager);
  if (eager) Unwrap(CheckServerUrl("endpoint_eager", *eager));
  request.eager_url = eager.value_or("");
  EndpointLatencyOptions& grid = request.grid;
  ReadField(fields, "input_len", &grid.input_lengths);
  ReadField(fields, "output_len", &grid.output_lengths);
  ReadField(fields, "warmup", &grid.warmup);
  ReadField(fields, "repeats", &grid.repeats);
  ReadField(fields, "seed", &grid.seed);
  return request;
}

Result<std::string> MeasureEndpoint(EndpointLatencyRequest request, const JobReport& report) {
  Report(&request.endpoint, report);
  if (!request.model.empty()) {
    TRY_ASSIGN(request.model, FindModel(request.model, report));
  }
  TRY_ASSIGN(const EndpointLatencyRun run, RunEndpointLatency(request, report.progress));
  return DumpJson(ToJson(run));
}

ServeRequest ReadServe(const nb::dict& fields) {
  ServeRequest request;
  ReadText(fields, "model", &request.model);
  request.endpoint = RequireEndpoint(fields);
  ServeBenchOptions& options = request.options;
  ReadField(fields, "num_prompts", &options.num_prompts);
  ReadField(fields, "input_len", &options.input_length);
  ReadField(fields, "output_len", &options.output_length);
  ReadField(fields, "request_rate", &options.request_rate);
  ReadField(fields, "burstiness", &options.burstiness);
  ReadField(fields, "max_concurrency", &options.max_concurrency);
  ReadField(fields, "num_warmups", &options.num_warmups);
  ReadField(fields, "temperature", &options.temperature);
  ReadField(fields, "seed", &options.seed);
  std::vector<std::string> limits;
  ReadField(fields, "goodput", &limits);
  for (const std::string& limit : limits) Unwrap(ParseGoodput(limit, &options.goodput));
  return request;
}

Result<std::string> MeasureServer(ServeRequest request, const JobReport& report) {
  Report(&request.endpoint, report);
  request.options.stop = report.stop;
  if (!request.model.empty()) {
    TRY_ASSIGN(request.model, FindModel(request.model, report));
  }
  TRY_ASSIGN(const ServeRun run, RunServe(request, report.progress));
  if (run.result.completed == 0) return Err("{}", run.result.first_failure);
  return DumpJson(ToJson(run));
}

// Starts a Job that works on the request.
template <class Request>
Job* Start(Request request, Result<std::string> (*work)(Request, const JobReport&)) {
  return new Job([request = std::move(request), work](const JobReport& report) {
    return work(request, report);
  });
}

}  // namespace

void BindMeasure(nb::module_& m) {
  m.def(
      "verify", [](const nb::dict& fields) { return Start(ReadVerify(fields), RunVerify); },
      "fields"_a, nb::sig("def verify(fields: dict[str, object]) -> Job"));
  m.def(
      "audit", [](const nb::dict& fields) { return Start(ReadAudit(fields), RunAudit); },
      "fields"_a, nb::sig("def audit(fields: dict[str, object]) -> Job"));
  m.def(
      "latency", [](const nb::dict& fields) { return Start(ReadLatency(fields), MeasureModel); },
      "fields"_a, nb::sig("def latency(fields: dict[str, object]) -> Job"));
  m.def(
      "endpoint_latency",
      [](const nb::dict& fields) { return Start(ReadEndpointLatency(fields), MeasureEndpoint); },
      "fields"_a, nb::sig("def endpoint_latency(fields: dict[str, object]) -> Job"));
  m.def(
      "serve", [](const nb::dict& fields) { return Start(ReadServe(fields), MeasureServer); },
      "fields"_a, nb::sig("def serve(fields: dict[str, object]) -> Job"));
}

}  // namespace merope::python
