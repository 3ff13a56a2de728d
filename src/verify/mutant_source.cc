#include "verify/mutant_source.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "base/threads.h"
#include "model/llama.h"
#include "model/rotation.h"
#include "verify/fault.h"

namespace merope {
namespace {

class MutantLogits : public LogitSource {
 public:
  MutantLogits(MutantModel mutant, Feed feed)
      : mutant_(std::move(mutant)), sequence_(mutant_.model->kv()), feed_(feed) {}

  std::string name() const override {
    return fmt::format("{}, {}", mutant_.backend->name(),
                       PrecisionName(mutant_.backend->precision()));
  }

  Status Rows(const VerifyPrompt& prompt, int64_t begin, int64_t end,
              std::span<float> rows) override {
    if (begin == 0) sequence_.Clear();
    CHECK(sequence_.length() == begin);
    const int64_t decoded = feed_ == Feed::kChunks ? end : std::ssize(prompt.ids) / 2;
    for (int64_t at = begin; at < end;) {
      const int64_t n = at < decoded ? std::min(decoded, end) - at : 1;
      const auto tokens =
          std::span(prompt.ids).subspan(static_cast<size_t>(at), static_cast<size_t>(n));
      TRY(mutant_.model->Extend(
          &sequence_, tokens, n, [&](int64_t position, std::span<const float> logits) {
            std::ranges::copy(logits, rows.begin() + (position - begin) * std::ssize(logits));
          }));
      at += n;
    }
    return {};
  }

 private:
  MutantModel mutant_;
  Sequence sequence_;
  Feed feed_;
};

Feed FeedOf(const Mutant* mutant) { return mutant == nullptr ? Feed::kChunks : mutant->feed; }

}  // namespace

Result<MutantModel> LoadMutantModel(const Checkpoint& checkpoint, const Mutant* mutant,
                                    const MutantOptions& options) {
  const OpRounding rounding = options.numerics.rounding;
  // The CPU back end has no fp16 products. Its fp32 holds all products of fp16 values.
  const bool half = rounding == OpRounding::kFp16;
  BackendOptions made;
  made.precision = half ? Precision::kFp32 : options.numerics.precision;
  made.threads = options.threads > 0 ? options.threads : DefaultThreads();
  made.kv = options.kv;
  ModelConfig config = checkpoint.config();
  std::unique_ptr<Fault> fault = MakeFault(mutant, config, made.threads);
  fault->ChangeConfig(&config);
  const Fault& planted = *fault;
  TRY_ASSIGN(std::unique_ptr<Backend> inner, MakeBackend(kCpuBackend, made));
  auto backend = std::make_unique<FaultyBackend>(std::move(inner), std::move(fault), rounding);

  LlamaOptions llama;
  llama.max_batch_tokens = kLogitChunk;
  // With a spare page (step_faults.cc).
  llama.kv_tokens = options.sequences * (options.longest + kPageTokens) + kPageTokens;
  llama.max_model_len = options.longest;
  // A plan records only ops.
  llama.eager =
      rounding != OpRounding::kNone || (mutant != nullptr && FeedOf(mutant) != Feed::kGraphDecode);

  const CheckpointWeights plain(checkpoint);
  const FaultySource faulty(plain, planted, half);
  const RotatedWeights rotated(faulty, config.hidden_size);
  const bool rotate = made.precision == Precision::kInt8 && !IsOwnInteger(config.dtype);
  TRY_ASSIGN(std::unique_ptr<Llama> model,
             Llama::Load(config, rotate ? static_cast<const WeightSource&>(rotated) : faulty,
                         *backend, llama));
  return MutantModel{std::move(backend), std::move(model)};
}

Result<std::unique_ptr<LogitSource>> LoadMutant(const Checkpoint& checkpoint, const Mutant* mutant,
                                                const MutantOptions& options) {
  TRY_ASSIGN(MutantModel loaded, LoadMutantModel(checkpoint, mutant, options));
  return std::make_unique<MutantLogits>(std::move(loaded), FeedOf(mutant));
}

}  // namespace merope
