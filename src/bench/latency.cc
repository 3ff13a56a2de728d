#include "bench/latency.h"

#include <algorithm>
#include <memory>
#include <random>
#include <utility>

#include "base/machine.h"
#include "base/stopwatch.h"
#include "base/threads.h"
#include "bench/probes.h"

namespace merope {
namespace {

// The times of one run, in seconds since its start. Each time is the end of one round of tokens; a
// round has one token per sequence.
using TokenTimes = std::vector<double>;

int32_t Greedy(std::span<const float> logits) {
  return static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin());
}

// A batch of sequences. Run takes all sequences together from their prompts to output_length
// tokens; Run may be called many times. FillContext puts the first `context` tokens of each prompt
// into the KV cache before the first Run.
class Batch {
 public:
  Batch(Llama& model, std::vector<std::vector<int32_t>> prompts, int64_t context)
      : model_(model), prompts_(std::move(prompts)), context_(context), last_(prompts_.size()) {
    for (size_t i = 0; i < prompts_.size(); ++i)
      sequences_.push_back(std::make_unique<Sequence>(model.kv()));
  }

  Status FillContext() {
    for (size_t i = 0; i < prompts_.size() && context_ > 0; ++i)
      TRY(model_.Extend(sequences_[i].get(), Context(i), 0, {}));
    return {};
  }

  Result<TokenTimes> Run(int64_t output_length, const StopFlag& stop) {
    for (const auto& sequence : sequences_) sequence->Truncate(context_);
    const Stopwatch watch;
    TokenTimes times;
    TRY(Prefill());
    times.push_back(watch.Seconds());
    while (std::ssize(times) < output_length) {
      TRY(stop.Check());
      TRY(Decode());
      times.push_back(watch.Seconds());
    }
    return times;
  }

 private:
  // Runs the prompts one after the other. Each forward pass has at most max_batch_tokens tokens.
  Status Prefill() {
    for (size_t i = 0; i < prompts_.size(); ++i) {
      TRY(model_.Extend(
          sequences_[i].get(), std::span(prompts_[i]).subspan(Context(i).size()), 1,
          [&](int64_t, std::span<const float> logits) { last_[i] = Greedy(logits); }));
    }
    return {};
  }

  Status Decode() {
    steps_.clear();
    for (size_t i = 0; i < last_.size(); ++i)
      steps_.push_back({sequences_[i].get(), std::span(&last_[i], 1), 1});
    TRY(model_.Forward(steps_, &logits_));
    const auto vocab = static_cast<size_t>(model_.config().vocab_size);
    std::span<const float> rows = logits_;
    for (int32_t& last : last_) {
      last = Greedy(rows.first(vocab));
      rows = rows.subspan(vocab);
    }
    return {};
  }

  std::span<const int32_t> Context(size_t i) const {
    return std::span(prompts_[i]).first(static_cast<size_t>(context_));
  }

  Llama& model_;
  const std::vector<std::vector<int32_t>> prompts_;
  const int64_t context_;
  std::vector<std::unique_ptr<Sequence>> sequences_;
  std::vector<int32_t> last_;
  std::vector<SequenceStep> steps_;
  std::vector<float> logits_;
};

// The figures of all counted runs of one case.
struct LatencySamples {
  std::vector<double> latency, throughput, ttft, tpot, report_tpot, inter_token, prefill_speed,
      bandwidth_share, peak_share;

  void Add(const TokenTimes& times, const LatencyCase& shape, const Probes& probes) {
    const double latency_s = times.back(), first = times.front();
    const auto outputs = static_cast<double>(shape.output_length);
    const auto batch = static_cast<double>(shape.batch_size);
    const double step = outputs > 1 ? (latency_s - first) / (outputs - 1) : 0;
    latency.push_back(latency_s);
    throughput.push_back(batch * outputs / latency_s);
    ttft.push_back(first);
    tpot.push_back(step);
    report_tpot.push_back(latency_s / outputs);
    prefill_speed.push_back(batch * static_cast<double>(shape.input_length) / first);
    peak_share.push_back(static_cast<double>(shape.prefill_flops) / first / probes.peak());
    for (size_t i = 1; i < times.size(); ++i) inter_token.push_back(times[i] - times[i - 1]);
    if (step > 0)
      bandwidth_share.push_back(static_cast<double>(shape.decode_bytes) / step /
                                probes.bandwidth());
  }

  void MoveInto(LatencyCase* result) {
    result->latency = Summarize(std::move(latency));
    result->throughput = Summarize(std::move(throughput));
    result->ttft = Summarize(std::move(ttft));
    result->tpot = Summarize(std::move(tpot));
    result->report_tpot = Summarize(std::move(report_tpot));
    result->prefill_speed = Summarize(std::move(prefill_speed));
    result->peak_share = Summarize(std::move(peak_share));
    if (!inter_token.empty()) result->inter_token = Summarize(std::move(inter_token));
    if (!bandwidth_share.empty()) result->bandwidth_share = Summarize(std::move(bandwidth_share));
  }
};

int64_t LongestSequence(const LatencyOptions& options) {
  return std::ranges::max(options.contexts) + std::ranges::max(options.input_lengths) +
         std::ranges::max(options.output_lengths);
}

// The points of the grid. Each point has its decode_bytes and its prefill_flops.
std::vector<LatencyCase> Grid(const Llama& model, const LatencyOptions& options) {
  const int64_t kv_token = model.kv_token_bytes();
  std::vector<LatencyCase> cases;
  for (const int64_t batch : options.batch_sizes)
    for (const int64_t context : options.contexts)
      for (const int64_t output : options.output_lengths)
        for (const int64_t input : options.input_lengths) {
          LatencyCase& shape = cases.emplace_back();
          shape.batch_size = batch;
          shape.context = context;
          shape.input_length = input;
          shape.output_length = output;
          // There are output − 1 decode steps. Step i attends to context + input + i positions.
          shape.decode_bytes =
              model.step_weight_bytes() + batch * kv_token * (context + input + output / 2);
          shape.prefill_flops = batch * PrefillFlops(model.config(), context, input);
        }
  return cases;
}

std::vector<std::vector<int32_t>> RandomPrompts(const LatencyCase& shape, int64_t vocab_size,
                                                std::mt19937_64& random) {
  std::vector<std::vector<int32_t>> prompts(static_cast<size_t>(shape.batch_size));
  for (auto& prompt : prompts)
    for (int64_t i = 0; i < shape.context + shape.input_length; ++i)
      prompt.push_back(static_cast<int32_t>(random() % static_cast<uint64_t>(vocab_size)));
  return prompts;
}

}  // namespace

Status CheckValues(std::string_view option, std::span<const int64_t> values, int64_t least,
                   int64_t most) {
  if (values.empty()) return FieldErr(option, "expected at least one, found none");
  for (const int64_t value : values)
    if (value < least || value > most)
      return FieldErr(option, "expected {} to {}, found {}", least, most, value);
  return {};
}

Status CheckRuns(int warmup, int repeats) {
  if (warmup < 0) return FieldErr("warmup", "expected 0 or more runs, found {}", warmup);
  if (repeats < 1) return FieldErr("repeats", "expected 1 or more runs, found {}", repeats);
  return {};
}

Status Validate(const LatencyOptions& options, int64_t max_model_len) {
  if (options.threads < 0 || options.threads > 1024)
    return FieldErr("threads", "expected 0 (the usable cores) to 1024, found {}", options.threads);
  TRY(CheckValues("input-len", options.input_lengths, 1, kMaxPositions));
  TRY(CheckValues("output-len", options.output_lengths, 1, kMaxPositions));
  TRY(CheckValues("context", options.contexts, 0, kMaxPositions));
  TRY(CheckValues("batch-size", options.batch_sizes, 1, kMaxBatchSize));
  if (LongestSequence(options) > max_model_len)
    return Err(
        "context {} with input-len {} and output-len {}: expected at most {} tokens together (the "
        "model's context)",
        std::ranges::max(options.contexts), std::ranges::max(options.input_lengths),
        std::ranges::max(options.output_lengths), max_model_len);
  return CheckRuns(options.warmup, options.repeats);
}

int64_t KvTokens(const LatencyOptions& options) {
  const int64_t pages = (LongestSequence(options) + kPageTokens - 1) / kPageTokens;
  return std::ranges::max(options.batch_sizes) * pages * kPageTokens;
}

int64_t PrefillFlops(const ModelConfig& config, int64_t context, int64_t tokens) {
  const int64_t hidden = config.hidden_size, heads = config.num_heads * config.head_dim;
  const int64_t kv_heads = config.num_kv_heads * config.head_dim;
  const int64_t weights = hidden * (heads + 2 * kv_heads)           // q, k, v
                          + heads * hidden                          // o
                          + 3 * hidden * config.intermediate_size;  // gate, up, down
  const int64_t attended = tokens * context + tokens * (tokens + 1) / 2;
  return config.num_layers * (2 * tokens * weights + 4 * heads * attended) +
         2 * config.vocab_size * hidden;
}

Result<LatencyResult> MeasureLatency(Llama& model, const LatencyOptions& options) {
  TRY(Validate(options, model.max_model_len()));
  LatencyResult result;
  result.backend = model.backend().name();
  result.precision = PrecisionName(model.backend().precision());
  result.threads = options.threads > 0 ? options.threads : DefaultThreads();
  result.warmup = options.warmup;
  result.repeats = options.repeats;
  result.seed = options.seed;
  result.weight_bytes = model.weight_bytes();
  result.step_weight_bytes = model.step_weight_bytes();
  const int64_t peak_before = PeakResidentBytes();

  const bool compiled = model.plan() != nullptr, both = compiled && options.eager_too;
  Probes probes(result.threads, PeakOf(model.backend().precision()));
  std::mt19937_64 random(options.seed);
  const std::vector<LatencyCase> grid = Grid(model, options);
  const int64_t runs = options.warmup + options.repeats;
  int64_t done = 0;
  for (const LatencyCase& shape : grid) {
    Batch batch(model, RandomPrompts(shape, model.config().vocab_size, random), shape.context);
    TRY(options.stop.Check());
    TRY(batch.FillContext());
    LatencySamples samples[2];  // eager, compiled
    for (int64_t run = 0; run < runs; ++run) {
      const bool counts = run >= options.warmup;
      // Eager and compiled runs alternate, and so does the mode that comes first: eager, compiled,
      // compiled, eager, …
      for (int turn = 0; turn < (both ? 2 : 1); ++turn) {
        const bool eager = both ? turn == run % 2 : !compiled;
        if (counts && probes.empty()) probes.Measure();
        if (both) model.set_eager(eager);
        const auto times = batch.Run(shape.output_length, options.stop);
        if (both) model.set_eager(false);
        if (!times) return std::unexpected(times.error());
        if (counts) {
          probes.Measure();
          samples[eager ? 0 : 1].Add(*times, shape, probes);
        }
      }
      if (options.progress) options.progress(++done, runs * std::ssize(grid));
    }
    const std::vector<double> eager_latency = samples[0].latency;
    for (const bool eager : {true, false}) {
      if (!both && eager == compiled) continue;
      LatencyCase& measured = result.cases.emplace_back(shape);
      measured.mode = eager ? "eager" : "compiled";
      if (both && !eager) {
        std::vector<double> ratios;
        for (size_t i = 0; i < eager_latency.size(); ++i)
          ratios.push_back(eager_latency[i] / samples[1].latency[i]);
        measured.speedup = MeanOfRatios(ratios);
      }
      samples[eager ? 0 : 1].MoveInto(&measured);
      measured.bandwidth = probes.bandwidths();
      measured.peak = probes.peaks();
    }
    probes.Clear();
  }
  // The probe's buffer stays resident until here, so subtract it from the peak of now. The peak
  // from before the buffer existed may be higher than this difference.
  result.peak_resident_bytes = std::max(peak_before, PeakResidentBytes() - probes.buffer_bytes());
  return result;
}

}  // namespace merope
