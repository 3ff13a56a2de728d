#include "report/collect.h"

#include <algorithm>
#include <ctime>

#include "base/stopwatch.h"
#include "engine/load.h"
#include "prompt/encode_prompt.h"
#include "report/generation.h"
#include "report/identity.h"
#include "report/workload.h"
#include "verify/prompts.h"
#include "verify/user_prompts.h"

namespace merope {
namespace {

// The reference report (the public adaptation report of Pleias-RAG-350M on an Ascend NPU) shows the
// texts of the first two questions.
constexpr std::string_view kQuestions[] = {
    "What is RAG in AI?",
    "How does retrieval work in a RAG pipeline?",
    "Explain why the sky is blue in two sentences.",
    "What is the capital of France, and what is it known for?",
    "List three uses of a paper clip.",
    "Write a short poem about the sea.",
};

std::string Now() {
  const std::time_t now = std::time(nullptr);
  std::tm utc = {};
  gmtime_r(&now, &utc);
  char text[32];
  std::strftime(text, sizeof(text), "%Y-%m-%d %H:%M UTC", &utc);
  return text;
}

// Runs fp32 and the target alternately, so that a change of the machine's speed affects both.
Result<SpeedComparison> CompareSpeed(Llama& baseline, Llama& target, const LatencyOptions& grid,
                                     const std::function<void(int64_t, int64_t)>& progress) {
  constexpr int kRounds = 4;
  LatencyOptions options = grid;
  options.input_lengths = {std::ranges::max(grid.input_lengths) / 2 + 1};
  options.output_lengths = {grid.output_lengths.front()};
  options.warmup = options.repeats = 1;
  SpeedComparison comparison{
      options.input_lengths[0], options.output_lengths[0], {}, {}, {}, {}, {}, {}};
  std::vector<double> baseline_tpot, target_tpot;
  for (int round = 0; round < kRounds; ++round) {
    const bool baseline_first = round % 2 == 0;  // A B, B A, …
    for (const bool is_baseline : {baseline_first, !baseline_first}) {
      TRY_ASSIGN(LatencyResult result, MeasureLatency(is_baseline ? baseline : target, options));
      (is_baseline ? baseline_tpot : target_tpot).push_back(result.cases[0].tpot.p50);
      (is_baseline ? comparison.baseline : comparison.target) = std::move(result);
    }
    comparison.ratios.push_back(comparison.baseline.cases[0].latency.p50 /
                                comparison.target.cases[0].latency.p50);
    progress(round + 1, kRounds);
  }
  comparison.baseline_tpot = Summarize(std::move(baseline_tpot));
  comparison.target_tpot = Summarize(std::move(target_tpot));
  comparison.ratio = Summarize(comparison.ratios);
  return comparison;
}

// Loads the model in one dtype, with no other model in memory, and measures its speed on one case
// of the grid. Collect fills row.verify.
Result<DtypeRow> MeasureDtype(const Checkpoint& checkpoint, const LatencyOptions& grid,
                              RuntimeOptions runtime_options, Precision precision) {
  DtypeRow row;
  row.precision = precision;
  runtime_options.precision = precision;
  runtime_options.backend = kCpuBackend;
  TRY_ASSIGN(const Runtime runtime, LoadRuntime(checkpoint, runtime_options));
  LatencyOptions options = grid;
  options.input_lengths = {std::ranges::max(grid.input_lengths)};
  options.output_lengths = {grid.output_lengths.front()};
  options.progress = {};
  TRY_ASSIGN(const LatencyResult result, MeasureLatency(*runtime.model, options));
  row.weight_bytes = runtime.model->weight_bytes();
  row.prefill_tokens_per_second = result.cases[0].prefill_speed.p50;
  row.decode_tokens_per_second = 1 / result.cases[0].tpot.p50;
  return row;
}

}  // namespace

Status ReadModel(const Checkpoint& checkpoint, const Tokenizer& tokenizer,
                 const ReportOptions& options, ReportData* data) {
  data->options = options;
  data->date = Now();
  data->machine = ReadMachine();
  data->config = checkpoint.config();
  if (!options.prompts.empty()) {  // reports a bad prompts file now, not after minutes of work
    std::vector<VerifyPrompt> own;
    TRY(AddUserPrompts(options.prompts, tokenizer, data->config.max_position_embeddings, &own));
  }
  data->format = checkpoint.format();
  data->prefix_rule = checkpoint.bos_rule();
  for (const int32_t id : tokenizer.PrefixIds())
    data->prefix.emplace_back(tokenizer.IdToToken(id), id);
  data->tokenizer_vocab = tokenizer.vocab_size();
  data->parameters = CountParameters(data->config);
  TRY_ASSIGN(data->identity, ReadIdentity(checkpoint));
  TRY_ASSIGN(const std::optional<ChatTemplate> chat, LoadChatTemplate(checkpoint));
  data->has_chat_template = chat.has_value();
  return {};
}

std::span<const std::string_view> Questions(VerifyMode mode) {
  return std::span(kQuestions).first(mode == VerifyMode::kQuick ? 3 : std::size(kQuestions));
}

Result<ReportData> Collect(const ReportOptions& options, const ReportProgress& progress) {
  const Stopwatch watch;
  const auto phase = [&](std::string_view name) {
    return [&progress, name](int64_t done, int64_t total) {
      if (progress.update) progress.update(name, done, total);
    };
  };
  const bool quick = options.mode == VerifyMode::kQuick;
  ReportData data;
  // Loads first, so that the load time and the memory figures contain no other work.
  const Stopwatch open_watch;
  TRY_ASSIGN(const Checkpoint checkpoint, OpenLimited(options.model, options.limit));
  TRY(CheckVocabulary(checkpoint));
  data.load.open_seconds = open_watch.Seconds();
  const Stopwatch tokenizer_watch;
  TRY_ASSIGN(const Tokenizer tokenizer, checkpoint.LoadTokenizer());
  data.load.tokenizer_seconds = tokenizer_watch.Seconds();
  TRY(ReadModel(checkpoint, tokenizer, options, &data));

  LatencyOptions grid = ReportGrid(data.config.max_position_embeddings, quick);
  RuntimeOptions runtime_options;
  runtime_options.precision = options.target;
  runtime_options.threads = options.threads;
  // The report's own prompts and texts are shorter. The verification loads its own models.
  runtime_options.llama.max_model_len =
      std::min<int64_t>(data.config.max_position_embeddings, 1024);
  data.load.resident_before = ResidentBytes();
  TRY_ASSIGN(Runtime target, LoadRuntime(checkpoint, runtime_options));
  grid.threads = target.threads;
  data.load.backend = target.backend->name();
  data.load.load_seconds = target.load_seconds;
  data.load.weight_bytes = target.model->weight_bytes();
  data.load.resident_after = ResidentBytes();
  data.load.peak = PeakResidentBytes();
  if (const Plan* plan = target.model->plan()) {
    data.load.captured_ops = plan->ops;
    data.load.captured_steps = plan->steps;
    data.load.captured_bytes = plan->bytes;
  }
  data.load.capture_seconds = target.model->capture_seconds();
  data.load.kv_token_bytes = target.model->kv_token_bytes();
  data.load.kv_pages = target.model->kv().free_pages();

  grid.progress = phase("performance");
  TRY_ASSIGN(data.latency, MeasureLatency(*target.model, grid));
  TRY_ASSIGN(data.modes,
             MeasureLatency(*target.model, EagerBesideCompiled(grid, phase("eager, compiled"))));
  TRY_ASSIGN(data.weights, CheckWeights(checkpoint, phase("weights"), options.threads));
  data.weight_rounding = WeightRoundingError(checkpoint);

  {
    // The baseline of an fp32 target is the reference back end, which sums in double precision. Its
    // speed is not compared.
    const bool fast_baseline = options.target != Precision::kFp32;
    runtime_options.precision = Precision::kFp32;
    if (!fast_baseline) runtime_options.backend = kReferenceBackend;
    TRY_ASSIGN(const Runtime baseline, LoadRuntime(checkpoint, runtime_options));
    data.load.matrices_fp32_bytes = baseline.model->weight_bytes();
    grid.progress = {};
    if (fast_baseline) {
      TRY_ASSIGN(data.comparison,
                 CompareSpeed(*baseline.model, *target.model, grid, phase("comparison")));
    }
    TRY_ASSIGN(data.generation,
               CompareGeneration({checkpoint, tokenizer, *baseline.model}, *target.model,
                                 Questions(options.mode), quick ? 48 : 96, phase("generation")));
    std::vector<std::vector<int32_t>> prompts;
    for (const std::string_view text : ReportPrompts()) {
      TRY_ASSIGN(std::vector<int32_t> ids, EncodePrompt(tokenizer, text));
      ids.resize(std::min(ids.size(), static_cast<size_t>(baseline.model->max_model_len())));
      if (!ids.empty()) prompts.push_back(std::move(ids));
    }
    TRY_ASSIGN(data.errors,
               MeasureErrors(*baseline.model, *target.model, prompts, phase("errors")));
  }
  target.model.reset();  // the verification loads its own model
  target.backend.reset();

  VerifyOptions verify{.mode = options.mode,
                       .target = options.target,
                       .threads = options.threads,
                       .against = "",
                       .prompts = options.prompts,
                       .progress = progress.update};
  TRY_ASSIGN(data.verify, Verify(checkpoint, tokenizer, verify));
  if (!options.others.empty()) {
    std::vector<Precision> all = {options.target};
    all.insert(all.end(), options.others.begin(), options.others.end());
    for (const Precision precision : all) {
      TRY_ASSIGN(DtypeRow row, MeasureDtype(checkpoint, grid, runtime_options, precision));
      verify.target = precision;
      if (precision == options.target) {
        row.verify = data.verify;
      } else {
        TRY_ASSIGN(row.verify, Verify(checkpoint, tokenizer, verify));
      }
      data.dtypes.push_back(std::move(row));
    }
  }
  data.seconds = watch.Seconds();
  return data;
}

}  // namespace merope
