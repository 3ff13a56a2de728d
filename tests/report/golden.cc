#include "tests/report/golden.h"

#include "tests/support/golden_verify.h"

namespace merope {
namespace {

Distribution Spread(Distinct* distinct) {
  Distribution d;
  for (double* value : {&d.mean, &d.min, &d.p10, &d.p50, &d.p90, &d.p99, &d.max})
    *value = 100 * distinct->Value();
  return d;
}

LatencyResult GoldenLatency(Distinct* distinct, bool modes) {
  LatencyResult r;
  r.backend = "cpu";
  r.precision = "bf16";
  r.threads = 2;
  r.repeats = 5;
  r.weight_bytes = 1024 * distinct->Count();
  for (int i = 0; i < 2; ++i) {
    LatencyCase& c = r.cases.emplace_back();
    c.mode = modes && i == 0 ? "eager" : "compiled";
    c.input_length = distinct->Count();
    c.output_length = distinct->Count();
    c.decode_bytes = 1000000 * distinct->Count();
    for (Distribution* d :
         {&c.latency, &c.throughput, &c.ttft, &c.tpot, &c.report_tpot, &c.inter_token,
          &c.prefill_speed, &c.bandwidth_share, &c.peak, &c.peak_share})
      *d = Spread(distinct);
    // Scales the figures so that their cells show enough digits.
    for (double* p : {&c.throughput.p50, &c.prefill_speed.p50, &c.latency.p50}) *p *= 3e5;
    for (Distribution* d : {&c.ttft, &c.tpot, &c.report_tpot, &c.inter_token})
      for (double* p : {&d->p10, &d->p50, &d->p90, &d->p99, &d->max}) *p *= 1e3;
    for (double* p : {&c.bandwidth_share.p50, &c.peak_share.p50}) *p *= 3e3;
    c.bandwidth = Spread(distinct);
    c.bandwidth.p50 *= 1e15;
    if (modes && i == 1) {
      const double ratio = distinct->Value();
      c.speedup = MeanRatio{ratio, 0.871 * ratio, 1.163 * ratio};
    }
  }
  return r;
}

}  // namespace

ReportData GoldenReport() {
  ReportData data;
  Distinct distinct;
  data.options = {.model = "model", .mode = VerifyMode::kQuick};
  data.date = "a day";
  data.identity.name = "a model";
  data.config.hidden_size = 1000;
  data.config.intermediate_size = 3000;
  data.config.num_layers = 12;
  data.config.num_heads = 8;
  data.config.num_kv_heads = 2;
  data.config.head_dim = 125;
  data.config.vocab_size = 5003;
  data.config.max_position_embeddings = 2051;
  data.machine.memory_total = int64_t{1} << 34;
  FileHash& file = data.weights.files.emplace_back();
  file.file = "weights";
  file.bytes = distinct.Count();
  file.sha256 = "sum";
  data.weights.expected_tensors = distinct.Count();
  data.weights.found_tensors = distinct.Count();
  data.weights.expected_parameters = distinct.Count();
  data.weights.parameters = distinct.Count();
  data.weights.bytes = 1000000 * distinct.Count();
  data.weights.missing = {"m"};
  data.weights.extra = {"e", "e"};
  data.weights.wrong_shape = {"w", "w", "w"};
  data.weights.nan_count = distinct.Count();
  data.weights.inf_count = distinct.Count();
  for (const char* key : {"embedding", "attention", "mlp", "norms"})
    data.parameters.push_back({key, distinct.Count()});
  LoadFacts& load = data.load;
  load.backend = "cpu";
  for (double* seconds : {&load.open_seconds, &load.tokenizer_seconds, &load.capture_seconds})
    *seconds = 1e3 * distinct.Value();
  load.load_seconds = 1234.56;
  for (int64_t* bytes : {&load.weight_bytes, &load.matrices_fp32_bytes, &load.resident_before,
                         &load.resident_after, &load.peak, &load.captured_bytes})
    *bytes = 1024 * distinct.Count();
  load.captured_ops = distinct.Count();
  load.captured_steps = distinct.Count();
  load.kv_pages = distinct.Count();
  load.kv_token_bytes = distinct.Count();
  GenerationPair& pair = data.generation.emplace_back();
  pair.prompt = "p";
  pair.form = "plain";
  pair.prompt_tokens = distinct.Count();
  pair.baseline_tokens = distinct.Count();
  pair.target_tokens = distinct.Count();
  data.verify = GoldenVerify();
  data.weight_rounding = distinct.Value();
  ErrorSample& e = data.errors;
  e.positions = distinct.Count();
  e.vocab_size = distinct.Count();
  e.histogram.assign(ErrorSample::kHistogram, 0.1);
  for (double* value : {&e.sigma, &e.logit_sigma, &e.mean_relative_l2, &e.max_relative_l2,
                        &e.mean_cosine, &e.mean_probability_l2, &e.max_probability_l2, &e.mean_kl,
                        &e.max_kl, &e.mean_kl_predicted, &e.beyond_4_sigma})
    *value = distinct.Value();
  for (const double high : {1.0, 0.1})
    e.bins.push_back({high, distinct.Count(), 10 * distinct.Value(), 10 * distinct.Value(),
                      10 * distinct.Value()});
  data.latency = GoldenLatency(&distinct, false);
  data.modes = GoldenLatency(&distinct, true);
  SpeedComparison& c = data.comparison;
  c.input_length = distinct.Count();
  c.output_length = distinct.Count();
  c.ratios = {1.5, 2.5};
  c.baseline_tpot.p50 = 0.0123;
  c.target_tpot.p50 = 0.0077;
  c.ratio = {.min = 1.52, .p50 = 2.04, .max = 2.56};
  c.baseline.weight_bytes = 1024 * distinct.Count();
  c.target.weight_bytes = 1024 * distinct.Count();
  for (const Precision precision : {Precision::kBf16, Precision::kInt8}) {
    DtypeRow& row = data.dtypes.emplace_back();
    row.precision = precision;
    row.verify = data.verify;
    if (precision == Precision::kInt8)
      for (PositionFigure& f : row.verify.positions.figures) f.mean *= 1.5, f.p99 *= 1.5;
    row.weight_bytes = 1000000 * distinct.Count();
    row.prefill_tokens_per_second = static_cast<double>(distinct.Count()) + 0.25;
    row.decode_tokens_per_second = static_cast<double>(distinct.Count()) + 0.5;
  }
  return data;
}

ReportData GoldenServerReport() {
  ReportData data = GoldenReport();
  Distinct distinct;
  for (int i = 0; i < 100; ++i) distinct.Value();  // other numbers than those of GoldenReport
  data.load = {};
  data.latency = data.modes = {};
  data.comparison = {};
  data.dtypes.clear();
  data.verify.target_rounding = OpRounding::kBf16;
  EndpointResult& endpoint = data.verify.endpoint.emplace();
  endpoint.server = {
      .url = "http://server", .model = "served", .software = "vLLM", .context = 2051};
  endpoint.probe.top_k = 20;
  endpoint.probe.findings = {{"stop", "stop strings are applied", Found::kYes, ""},
                             {"seed", "a seed repeats a sample", Found::kNo, "another text"},
                             {"top_p", "top_p is applied", Found::kWrong, "it is not"}};
  endpoint.numerics = "bf16-ops";
  endpoint.verdict = Verdict::kFail;
  Stability& stability = endpoint.stability.emplace();
  stability.prompts = distinct.Count();
  stability.tokens = distinct.Count();
  stability.lengths = {15, 16};
  for (const char* key : {"again", "salted", "company"})
    stability.rows.push_back({key, distinct.Count(), distinct.Value(), distinct.Value()});
  stability.most_distinct = 3;
  stability.most_distinct_prompt = "report-07";
  ServerPair& pair = endpoint.eager.emplace();
  for (int64_t* count :
       {&pair.prompts, &pair.same_texts, &pair.positions, &pair.flips, &pair.worst_position})
    *count = distinct.Count();
  for (double* value : {&pair.widest_flip, &pair.sigma, &pair.max_delta}) *value = distinct.Value();
  pair.worst_prompt = "a prompt";
  ServerReport& server = data.server.emplace();
  server.name = "a device";
  server.environment = {{"device", "a device"}, {"rack", "seven"}};
  for (const char* mode : {"eager", "compiled"}) {
    EndpointLatencyCase& c = server.latency.emplace_back();
    c.mode = mode;
    c.input_length = distinct.Count();
    c.output_length = distinct.Count();
    for (Distribution* d : {&c.latency, &c.throughput, &c.ttft, &c.tpot, &c.report_tpot})
      *d = Spread(&distinct);
    for (double* value : {&c.latency.p50, &c.throughput.p50}) *value *= 3e5;
    for (double* value : {&c.ttft.p50, &c.ttft.p99, &c.tpot.p50, &c.tpot.p99, &c.report_tpot.p50})
      *value *= 1e3;
  }
  const double ratio = 1000 * distinct.Value();
  server.latency[1].speedup = MeanRatio{ratio, 0.871 * ratio, 1.163 * ratio};
  server.serving_input = distinct.Count();
  server.serving_output = distinct.Count();
  for (const int64_t concurrency : {1, 4}) {
    ServeBenchResult& r = server.serving.emplace_back(ServingLevel{concurrency, {}}).result;
    r.completed = distinct.Count();
    r.failed = distinct.Count();
    r.first_failure = "a failure";
    r.output_throughput = 1e6 * distinct.Value();
    r.request_throughput = 1e6 * distinct.Value();
    r.ttft = Spread(&distinct);
    r.tpot = Spread(&distinct);
    for (double* value : {&r.ttft->mean, &r.ttft->p99, &r.tpot->mean, &r.tpot->p99}) *value *= 1e3;
  }
  return data;
}

}  // namespace merope
