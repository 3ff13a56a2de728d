#include "bench/latency.h"

#include <algorithm>
#include <memory>
#include <random>

#include "base/machine.h"
#include "base/stopwatch.h"
#include "base/threads.h"
#include "bench/bandwidth.h"

namespace merope {
namespace {

// Times of one run, in seconds since its start: when each round of tokens (one a sequence) was
// complete.
using TokenTimes = std::vector<double>;

int32_t Greedy(std::span<const float> logits) {
  return static_cast<int32_t>(std::ranges::max_element(logits) - logits.begin());
}

// A batch of sequences that go from their prompts to output_length tokens together.
class Batch {
 public:
  Batch(Llama& model, const std::vector<std::vector<int32_t>>& prompts)
      : model_(model), prompts_(prompts), last_(prompts.size()) {
    for (size_t i = 0; i < prompts.size(); ++i)
      sequences_.push_back(std::make_unique<Sequence>(model.kv()));
  }

  Result<TokenTimes> Run(int64_t output_length) {
    const Stopwatch watch;
    TokenTimes times;
    TRY(Prefill());
    times.push_back(watch.Seconds());
    while (std::ssize(times) < output_length) {
      TRY(Decode());
      times.push_back(watch.Seconds());
    }
    return times;
  }

 private:
  // Each prompt in passes of at most max_batch_tokens.
  Status Prefill() {
    for (size_t i = 0; i < prompts_.size(); ++i) {
      TRY(model_.Extend(
          sequences_[i].get(), prompts_[i], 1,
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
    for (size_t i = 0; i < last_.size(); ++i)
      last_[i] = Greedy(std::span<const float>(logits_).subspan(i * vocab, vocab));
    return {};
  }

  Llama& model_;
  const std::vector<std::vector<int32_t>>& prompts_;
  std::vector<std::unique_ptr<Sequence>> sequences_;
  std::vector<int32_t> last_;
  std::vector<SequenceStep> steps_;
  std::vector<float> logits_;
};

// Everything that the runs of one case gave.
struct Samples {
  std::vector<double> latency, throughput, ttft, tpot, report_tpot, inter_token, prefill_speed,
      bandwidth, bandwidth_share;

  void Add(const TokenTimes& times, const LatencyCase& shape, double batch, double probed) {
    const double latency_s = times.back(), first = times.front();
    const auto outputs = static_cast<double>(shape.output_length);
    const double step = outputs > 1 ? (latency_s - first) / (outputs - 1) : 0;
    latency.push_back(latency_s);
    throughput.push_back(batch * outputs / latency_s);
    ttft.push_back(first);
    tpot.push_back(step);
    report_tpot.push_back(latency_s / outputs);
    prefill_speed.push_back(batch * static_cast<double>(shape.input_length) / first);
    for (size_t i = 1; i < times.size(); ++i) inter_token.push_back(times[i] - times[i - 1]);
    if (step > 0)
      bandwidth_share.push_back(static_cast<double>(shape.decode_bytes) / step / probed);
  }

  void Into(LatencyCase* result) {
    result->latency = Summarize(std::move(latency));
    result->throughput = Summarize(std::move(throughput));
    result->ttft = Summarize(std::move(ttft));
    result->tpot = Summarize(std::move(tpot));
    result->report_tpot = Summarize(std::move(report_tpot));
    result->prefill_speed = Summarize(std::move(prefill_speed));
    result->bandwidth = Summarize(std::move(bandwidth));
    if (!inter_token.empty()) result->inter_token = Summarize(std::move(inter_token));
    if (!bandwidth_share.empty()) result->bandwidth_share = Summarize(std::move(bandwidth_share));
  }
};

}  // namespace

Status Validate(const LatencyOptions& options, int64_t max_model_len) {
  for (const auto* lengths : {&options.input_lengths, &options.output_lengths}) {
    const char* name = lengths == &options.input_lengths ? "input-len" : "output-len";
    if (lengths->empty()) return Err("{}: expected at least one length, found none", name);
    for (const int64_t length : *lengths)
      if (length < 1) return Err("{}: expected lengths of 1 and more, found {}", name, length);
  }
  const int64_t input = std::ranges::max(options.input_lengths);
  const int64_t output = std::ranges::max(options.output_lengths);
  if (input > max_model_len || output > max_model_len - input)
    return Err(
        "input-len {} with output-len {}: expected at most {} tokens together (the model's "
        "context)",
        input, output, max_model_len);
  if (options.batch_size < 1 || options.batch_size > 128)
    return Err("batch-size: expected 1 to 128, found {}", options.batch_size);
  if (options.warmup < 0) return Err("warmup: expected 0 or more runs, found {}", options.warmup);
  if (options.repeats < 1)
    return Err("repeats: expected 1 or more runs, found {}", options.repeats);
  return {};
}

int64_t KvTokens(const LatencyOptions& options) {
  const int64_t longest =
      std::ranges::max(options.input_lengths) + std::ranges::max(options.output_lengths);
  return options.batch_size * ((longest + kPageTokens - 1) / kPageTokens) * kPageTokens;
}

int64_t StepWeightBytes(const Llama& model) {
  const ModelConfig& config = model.config();
  if (config.tie_word_embeddings) return model.weight_bytes();
  const int64_t element = model.backend().precision() == Precision::kBf16 ? 2 : 4;
  return model.weight_bytes() - config.vocab_size * config.hidden_size * element;
}

Result<LatencyResult> MeasureLatency(Llama& model, const LatencyOptions& options) {
  TRY(Validate(options, model.max_model_len()));
  LatencyResult result;
  result.backend = model.backend().name();
  result.precision = PrecisionName(model.backend().precision());
  result.threads = options.threads > 0 ? options.threads : DefaultThreads();
  result.batch_size = options.batch_size;
  result.warmup = options.warmup;
  result.repeats = options.repeats;
  result.seed = options.seed;
  result.weight_bytes = model.weight_bytes();
  result.step_weight_bytes = StepWeightBytes(model);
  const int64_t peak_before = PeakResidentBytes();
  const int64_t kv_token = model.config().KvBytesPerToken(model.backend().KvElementBytes());

  BandwidthProbe probe(result.threads);
  std::mt19937_64 random(options.seed);
  const int64_t runs = options.warmup + options.repeats;
  const int64_t total =
      runs * std::ssize(options.input_lengths) * std::ssize(options.output_lengths);
  int64_t done = 0;
  for (const int64_t output : options.output_lengths) {
    for (const int64_t input : options.input_lengths) {
      LatencyCase& shape = result.cases.emplace_back();
      shape.input_length = input;
      shape.output_length = output;
      // Step i of the output − 1 attends to input + i positions.
      shape.decode_bytes =
          result.step_weight_bytes + options.batch_size * kv_token * (input + output / 2);
      std::vector<std::vector<int32_t>> prompts(static_cast<size_t>(options.batch_size));
      for (auto& prompt : prompts)
        for (int64_t i = 0; i < input; ++i)
          prompt.push_back(
              static_cast<int32_t>(random() % static_cast<uint64_t>(model.config().vocab_size)));

      Samples samples;
      for (int64_t run = 0; run < runs; ++run) {
        const bool counts = run >= options.warmup;
        if (counts && samples.bandwidth.empty()) samples.bandwidth.push_back(probe.Measure());
        TRY_ASSIGN(const TokenTimes times, Batch(model, prompts).Run(output));
        if (counts) {
          const double before = samples.bandwidth.back(), after = probe.Measure();
          samples.bandwidth.push_back(after);
          samples.Add(times, shape, static_cast<double>(options.batch_size), (before + after) / 2);
        }
        if (options.progress) options.progress(++done, total);
      }
      samples.Into(&shape);
    }
  }
  // The probe's buffer was resident throughout: a peak from before it can only have been higher.
  result.peak_resident_bytes = std::max(peak_before, PeakResidentBytes() - probe.buffer_bytes());
  return result;
}

}  // namespace merope
