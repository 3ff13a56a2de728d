#include "verify/invariance.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>
#include <memory>
#include <span>
#include <utility>

#include "base/stopwatch.h"
#include "base/threads.h"
#include "engine/load.h"
#include "verify/free_run.h"

namespace merope {
namespace {

constexpr int64_t kTokens = 8;
constexpr int64_t kLargestStep = 512;  // rows of a step
constexpr int64_t kOddChunk = 7;

// A prompt, its greedy tokens, and the rows that chose them.
struct Text {
  std::string id;
  std::vector<int32_t> ids;  // the prompt, then the generated tokens but the last
  int64_t asked = 0;
  std::vector<float> rows;  // (kTokens, vocab)
};

class InvarianceRuns {
 public:
  InvarianceRuns(const Checkpoint& checkpoint, const InvarianceOptions& options)
      : checkpoint_(checkpoint),
        options_(options),
        threads_(options.threads > 0 ? options.threads : DefaultThreads()),
        vocab_(static_cast<size_t>(checkpoint.config().vocab_size)) {}

  Result<InvarianceResult> Run(const std::vector<VerifyPrompt>& prompts) {
    const Stopwatch watch;
    Choose(prompts);
    if (texts_.empty())
      return Err("{}: max_position_embeddings: expected room for a prompt and {} tokens, found {}",
                 checkpoint_.path(), kTokens, checkpoint_.config().max_position_embeddings);
    TRY(RunAlone());
    TRY(WithOneModel());
    TRY(WithOtherModels());
    result_.model = checkpoint_.path();
    result_.dtype = PrecisionName(options_.precision);
    result_.threads = threads_;
    result_.prompts = std::ssize(texts_);
    result_.tokens = kTokens;
    for (const InvarianceRow& row : result_.rows)
      if (row.different > 0) result_.verdict = Verdict::kFail;
    result_.seconds = watch.Seconds();
    return std::move(result_);
  }

 private:
  void Choose(const std::vector<VerifyPrompt>& prompts) {
    const bool quick = options_.mode == VerifyMode::kQuick;
    const int64_t longest = checkpoint_.config().max_position_embeddings - kTokens;
    const auto add = [&](std::string id, std::vector<int32_t> ids) {
      Text& text = texts_.emplace_back();
      text.id = std::move(id);
      text.asked = std::ssize(ids);
      text.ids = std::move(ids);
      longest_ = std::max(longest_, text.asked + kTokens);
    };
    std::vector<int32_t> all;
    for (const VerifyPrompt& p : prompts) {
      all.insert(all.end(), p.ids.begin(), p.ids.end());
      if (std::ssize(texts_) < (quick ? 4 : 25) && !p.ids.empty() && std::ssize(p.ids) <= longest)
        add(p.id, p.ids);
    }
    constexpr int64_t kQuickSizes[] = {64}, kSizes[] = {16, 64, 128, 256, 512};
    for (const int64_t size : quick ? std::span<const int64_t>(kQuickSizes) : kSizes)
      for (const int64_t length : {size - 1, size, size + 1})
        if (length <= std::min(longest, std::ssize(all))) {
          result_.lengths.push_back(length);
          add(fmt::format("length-{}", length), {all.begin(), all.begin() + length});
        }
  }

  Result<Runtime> Load(int threads, WeightStorage weights = WeightStorage::kAuto) const {
    RuntimeOptions options;
    options.precision = options_.precision;
    options.backend = options_.backend;
    options.threads = threads;
    options.weights = weights;
    options.kv = options_.kv;
    options.llama.max_batch_tokens = kLargestStep;
    options.llama.max_model_len = longest_;
    int64_t tokens = 0;  // all texts at the same time, each in pages of its own
    for (const Text& text : texts_)
      tokens += (text.asked + kTokens + kPageTokens - 1) / kPageTokens * kPageTokens;
    options.llama.kv_tokens = tokens + longest_ + kPageTokens;
    return LoadRuntime(checkpoint_, options);
  }

  // The answers that all conditions are compared with.
  Status RunAlone() {
    TRY_ASSIGN(runtime_, Load(threads_));
    result_.target = runtime_.backend->name();
    for (Text& text : texts_) {
      Sequence sequence(runtime_.model->kv());
      const auto keep = [&](int64_t, std::span<const float> row) {
        text.rows.insert(text.rows.end(), row.begin(), row.end());
        if (std::ssize(text.rows) < kTokens * std::ssize(row)) text.ids.push_back(GreedyToken(row));
      };
      TRY(runtime_.model->Extend(&sequence, text.ids, 1, keep));
      while (std::ssize(text.rows) < kTokens * static_cast<int64_t>(vocab_)) {
        const int32_t last = text.ids.back();
        TRY(runtime_.model->Extend(&sequence, std::span(&last, 1), 1, keep));
      }
      TRY(Progress("alone"));
    }
    return {};
  }

  Status Progress(std::string_view phase) {
    if (options_.progress)
      options_.progress(phase, ++done_ % std::ssize(texts_), std::ssize(texts_));
    return options_.stop.Check();
  }

  InvarianceRow& Begin(std::string_view key, std::string_view label) {
    return result_.rows.emplace_back(
        InvarianceRow{.key = std::string(key), .label = std::string(label)});
  }

  // Compares the row after the token at this position of the text.
  void Compare(const Text& text, int64_t position, std::span<const float> row,
               InvarianceRow* found) const {
    const int64_t at = position - (text.asked - 1);
    const std::span expected(&text.rows[static_cast<size_t>(at) * vocab_], vocab_);
    ++found->rows;
    if (std::memcmp(row.data(), expected.data(), expected.size_bytes()) == 0) return;
    if (found->different++ == 0) {
      found->prompt = text.id;
      found->position = position;
    }
    for (size_t i = 0; i < row.size(); ++i) {
      const double delta = std::abs(static_cast<double>(row[i]) - expected[i]);
      if (!(delta <= found->largest)) found->largest = std::isnan(delta) ? HUGE_VAL : delta;
    }
  }

  // Runs each text alone: the prompt and `more` generated tokens in steps of `step` tokens, the
  // rest one by one.
  Status RunTexts(Llama& model, std::string_view key, std::string_view label, int64_t more,
                  int64_t step, bool adopt = false) {
    InvarianceRow& found = Begin(key, label);
    for (const Text& text : texts_) {
      Sequence sequence(model.kv());
      if (adopt) {
        Sequence before(model.kv());
        TRY(model.Extend(&before, text.ids, 0, {}));
        model.kv().Publish(&before, text.ids, "");
        model.kv().Adopt(&sequence, text.ids, "", text.asked - 1);
      }
      const int64_t n = std::ssize(text.ids), prefilled = std::min(n, text.asked + more);
      while (sequence.length() < n) {
        const int64_t at = sequence.length();
        const int64_t tokens = at < prefilled ? std::min(step, prefilled - at) : 1;
        const int64_t logits = std::clamp<int64_t>(at + tokens - (text.asked - 1), 0, tokens);
        TRY(model.Extend(
            &sequence,
            std::span(text.ids).subspan(static_cast<size_t>(at), static_cast<size_t>(tokens)),
            logits, [&](int64_t position, std::span<const float> row) {
              Compare(text, position, row, &found);
            }));
      }
      TRY(Progress(key));
    }
    if (adopt) model.kv().ResetPrefixes();
    return {};
  }

  // Runs all texts at the same time: their prefills in steps that several of them share, then one
  // token of each in every step.
  Status RunTogether(Llama& model, std::string_view key, std::string_view label, bool reversed) {
    InvarianceRow& found = Begin(key, label);
    std::deque<Sequence> sequences;
    std::vector<const Text*> order;
    for (const Text& text : texts_) {
      order.push_back(&text);
      sequences.emplace_back(model.kv());
    }
    if (reversed) std::ranges::reverse(order);
    for (bool more = true; more;) {
      more = false;
      std::vector<SequenceStep> steps;
      std::vector<size_t> of;
      int64_t room = kLargestStep, logits = model.max_logit_rows();
      for (size_t i = 0; i < order.size() && room > 0 && logits > 0; ++i) {
        const Text& text = *order[i];
        const int64_t at = sequences[i].length(), n = std::ssize(text.ids);
        if (at == n) continue;
        const int64_t tokens = at < text.asked ? std::min(room, text.asked - at) : 1;
        const bool last = at + tokens >= text.asked;
        steps.push_back(
            {&sequences[i],
             std::span(text.ids).subspan(static_cast<size_t>(at), static_cast<size_t>(tokens)),
             last ? 1 : 0});
        of.push_back(i);
        room -= tokens;
        logits -= last;
      }
      if (steps.empty()) break;
      more = true;
      std::vector<float> rows;
      TRY(model.Forward(steps, &rows));
      size_t row = 0;
      for (size_t i = 0; i < steps.size(); ++i) {
        if (steps[i].n_logits == 0) continue;
        Compare(*order[of[i]], sequences[of[i]].length() - 1,
                std::span<const float>(rows).subspan(row++ * vocab_, vocab_), &found);
      }
      TRY(Progress(key));
    }
    return {};
  }

  Status WithOneModel() {
    Llama& model = *runtime_.model;
    TRY(RunTexts(model, "again", "the same again", 0, kLargestStep));
    TRY(RunTexts(model, "one_prefill", "prompt and generated tokens in one prefill", kTokens,
                 kLargestStep));
    TRY(RunTexts(model, "resumed", "resumed after half of the generated tokens", kTokens / 2,
                 kLargestStep));
    TRY(RunTexts(model, "chunks", "prefill in chunks of 7 tokens", 0, kOddChunk));
    TRY(RunTexts(model, "token_by_token", "all tokens one by one", 0, 1));
    TRY(RunTexts(model, "cached_prefix", "the prompt's pages from the prefix cache", 0,
                 kLargestStep, true));
    TRY(RunTogether(model, "company", "all texts at the same time", false));
    TRY(RunTogether(model, "company_reversed", "all texts at the same time, in reversed order",
                    true));
    model.set_eager(true);
    TRY(RunTexts(model, "eager", "op by op, without a captured plan", 0, kLargestStep));
    model.set_eager(false);
    return {};
  }

  Status WithOtherModels() {
    runtime_ = {};  // one model in memory at a time
    const auto run = [&](Result<Runtime> runtime, std::string_view key,
                         std::string_view label) -> Status {
      TRY_ASSIGN(const Runtime loaded, std::move(runtime));
      return RunTexts(*loaded.model, key, label, 0, kLargestStep);
    };
    for (const int threads : {1, 2, 3})
      if (threads != threads_)
        TRY(run(Load(threads), fmt::format("threads_{}", threads),
                fmt::format("{} thread{}", threads, threads == 1 ? "" : "s")));
    if (options_.precision == Precision::kBf16) {
      TRY(run(Load(threads_, WeightStorage::kPlain), "plain", "bf16 weights stored in 16 bits"));
      TRY(run(Load(threads_, WeightStorage::kPacked), "packed", "bf16 weights stored in 12 bits"));
    }
    return {};
  }

  const Checkpoint& checkpoint_;
  const InvarianceOptions& options_;
  const int threads_;
  const size_t vocab_;
  std::vector<Text> texts_;
  int64_t longest_ = 0, done_ = 0;
  Runtime runtime_;
  InvarianceResult result_;
};

}  // namespace

Result<InvarianceResult> MeasureInvariance(const Checkpoint& checkpoint,
                                           const std::vector<VerifyPrompt>& prompts,
                                           const InvarianceOptions& options) {
  return InvarianceRuns(checkpoint, options).Run(prompts);
}

OrderedJson ToJson(const InvarianceResult& r) {
  OrderedJson rows = OrderedJson::array();
  for (const InvarianceRow& row : r.rows) {
    OrderedJson json = {{"key", row.key},
                        {"label", row.label},
                        {"rows", row.rows},
                        {"different", row.different},
                        {"largest", row.largest}};
    if (row.different > 0) json.update({{"prompt", row.prompt}, {"position", row.position}});
    rows.push_back(std::move(json));
  }
  return {{"model", r.model},     {"target", r.target},   {"dtype", r.dtype},
          {"threads", r.threads}, {"prompts", r.prompts}, {"tokens", r.tokens},
          {"lengths", r.lengths}, {"conditions", rows},   {"verdict", VerdictName(r.verdict)},
          {"seconds", r.seconds}};
}

}  // namespace merope
