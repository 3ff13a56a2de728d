#include "verify/logit_source.h"

#include <algorithm>
#include <utility>

#include "model/kv_cache.h"

namespace merope {
namespace {

class ModelLogits : public LogitSource {
 public:
  explicit ModelLogits(Runtime runtime)
      : runtime_(std::move(runtime)), sequence_(runtime_.model->kv()) {}

  std::string name() const override {
    return fmt::format("{}, {}", runtime_.backend->name(),
                       PrecisionName(runtime_.backend->precision()));
  }

  Status Rows(const VerifyPrompt& prompt, int64_t begin, int64_t end,
              std::span<float> rows) override {
    if (begin == 0) sequence_.Clear();
    CHECK(sequence_.length() == begin);
    const auto tokens =
        std::span(prompt.ids).subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
    return runtime_.model->Extend(
        &sequence_, tokens, end - begin, [&](int64_t position, std::span<const float> logits) {
          std::ranges::copy(logits, rows.begin() + (position - begin) * std::ssize(logits));
        });
  }

 private:
  Runtime runtime_;
  Sequence sequence_;
};

}  // namespace

Result<std::unique_ptr<LogitSource>> LoadLogitSource(const Checkpoint& checkpoint,
                                                     std::string_view backend, Precision precision,
                                                     KvStorage kv, int threads, int64_t kv_tokens,
                                                     OpRounding rounding, uint64_t rounding_seed) {
  RuntimeOptions options;
  options.precision = precision;
  options.kv = kv;
  options.op_rounding = rounding;
  options.rounding_seed = rounding_seed;
  options.backend = backend;
  options.threads = threads;
  options.llama.max_batch_tokens = kLogitChunk;
  options.llama.kv_tokens = kv_tokens;
  TRY_ASSIGN(Runtime runtime, LoadRuntime(checkpoint, options));
  return std::make_unique<ModelLogits>(std::move(runtime));
}

}  // namespace merope
