// Faults of the inputs of a step: RoPE's angles, the mask, the K/V cache, and plans that read stale
// inputs; and ops that are left out.
#include <algorithm>
#include <utility>
#include <vector>

#include "base/dtype.h"
#include "model/rope.h"
#include "verify/fault.h"

namespace merope {
namespace {

// The self-test runs one sequence at a time.
const SequenceRows& Only(const Step& step) {
  CHECK(step.sequences.size() == 1, "{} sequences", step.sequences.size());
  return step.sequences[0];
}
bool IsDecode(const SequenceRows& rows) { return rows.n_rows == 1 && rows.context > 0; }
// A page that the sequence never gets: the self-test's cache has one page more than its longest
// prompt needs, and the pages that are used again come first. It holds zeros, or what a fault
// copies there.
int32_t SparePage(const Step& step) { return static_cast<int32_t>(step.kv->n_pages - 1); }

class RopeAnglesFault : public Fault {
 public:
  RopeAnglesFault(const ModelConfig& config, bool bf16, int64_t shift)
      : frequencies_(InverseFrequencies(config)),
        amplitude_(static_cast<float>(config.rope.attention_factor)),
        shift_(shift) {
    if (bf16)
      for (float& frequency : frequencies_) frequency = RoundToBF16(frequency);
  }
  Step ChangeStep(const Step& step, FaultyBackend&) override {
    const SequenceRows& rows = Only(step);
    const size_t half = frequencies_.size();
    cos_.resize(step.rope_cos.size());
    sin_.resize(step.rope_sin.size());
    for (int64_t i = 0; i < rows.n_rows; ++i) {
      const size_t at = static_cast<size_t>(i) * half;
      RopeAngles(frequencies_, rows.context + i + shift_, amplitude_, &cos_[at], &sin_[at]);
    }
    Step changed = step;
    changed.rope_cos = cos_;
    changed.rope_sin = sin_;
    return changed;
  }

 private:
  std::vector<float> frequencies_, cos_, sin_;
  float amplitude_;
  int64_t shift_;
};

// The angles that a decode step reads are those of the decode step before.
class StaleAngles : public Fault {
 public:
  Step ChangeStep(const Step& step, FaultyBackend&) override {
    Step changed = step;
    std::swap(cos_, used_cos_);
    std::swap(sin_, used_sin_);
    if (IsDecode(Only(step))) {
      cos_.assign(step.rope_cos.begin(), step.rope_cos.end());
      sin_.assign(step.rope_sin.begin(), step.rope_sin.end());
      if (!used_cos_.empty()) {
        changed.rope_cos = used_cos_;
        changed.rope_sin = used_sin_;
      }
    } else {
      cos_.clear();
      sin_.clear();
    }
    return changed;
  }

 private:
  std::vector<float> cos_, sin_, used_cos_, used_sin_;  // of this step, and of the one before
};

// Decode steps use the page table of the sequence's first decode step. Positions after its end fall
// into its last page.
class StalePages : public Fault {
 public:
  Step ChangeStep(const Step& step, FaultyBackend&) override {
    const SequenceRows& rows = Only(step);
    if (!IsDecode(rows)) {
      pages_.clear();
      return step;
    }
    if (pages_.empty()) pages_.assign(rows.pages.begin(), rows.pages.end());
    const int32_t last = pages_.back();
    pages_.resize(rows.pages.size(), last);
    sequence_ = rows;
    sequence_.pages = pages_;
    Step changed = step;
    changed.sequences = {&sequence_, 1};
    return changed;
  }

 private:
  std::vector<int32_t> pages_;
  SequenceRows sequence_;
};

// Steps behind the first page read the spare page in its place. Such a step writes no row of the
// first page. With `another`, the spare page holds what the first page held before this sequence.
class FirstPage : public Fault {
 public:
  explicit FirstPage(bool another) : another_(another) {}
  Step ChangeStep(const Step& step, FaultyBackend& backend) override {
    const SequenceRows& rows = Only(step);
    if (another_ && rows.context == 0)
      backend.inner().CopyKvPage(*step.kv, rows.pages[0], SparePage(step));
    if (rows.context < kPageTokens) return step;
    pages_.assign(rows.pages.begin(), rows.pages.end());
    pages_[0] = SparePage(step);
    sequence_ = rows;
    sequence_.pages = pages_;
    Step changed = step;
    changed.sequences = {&sequence_, 1};
    return changed;
  }

 private:
  bool another_;
  std::vector<int32_t> pages_;
  SequenceRows sequence_;
};

// Attention sees `more` positions more (or less) than it should, wherever it can.
class MaskFault : public Fault {
 public:
  MaskFault(int64_t more, bool decode_only) : more_(more), decode_only_(decode_only) {}
  void Run(const Op& op, FaultyBackend& backend) override {
    const SequenceRows& rows = Only(backend.step());
    if (op.kind != OpKind::kAttention || (decode_only_ && !IsDecode(rows)))
      return backend.inner().Run(op);
    // The rows whose mask stays right: the last row of a step has no next token, and the first row
    // of a sequence has nothing but itself.
    std::vector<SequenceRows> parts;
    const auto add = [&](int64_t first, int64_t n, int64_t context) {
      if (n > 0) parts.push_back({rows.first_row + first, n, context, rows.pages});
    };
    if (more_ > 0) {
      add(0, rows.n_rows - 1, rows.context + 1);
      add(rows.n_rows - 1, 1, rows.context + rows.n_rows - 1);
    } else if (rows.context == 0) {
      add(0, 1, 0);
      add(1, rows.n_rows - 1, 0);
    } else {
      add(0, rows.n_rows, rows.context - 1);
    }
    Step changed = backend.step();
    changed.sequences = parts;
    backend.RunWith(changed, op);
  }

 private:
  int64_t more_;
  bool decode_only_;
};

// A decode step stores K and V where the token before has them.
class SlotEarly : public Fault {
 public:
  void Run(const Op& op, FaultyBackend& backend) override {
    SequenceRows rows = Only(backend.step());
    if (op.kind != OpKind::kStoreKv || !IsDecode(rows)) return backend.inner().Run(op);
    --rows.context;
    Step changed = backend.step();
    changed.sequences = {&rows, 1};
    backend.RunWith(changed, op);
  }
};

class AttentionScale : public Fault {
 public:
  explicit AttentionScale(const ModelConfig& config) : layer_(config.num_layers / 2) {}
  void Run(const Op& op, FaultyBackend& backend) override {
    Op changed = op;
    if (op.kind == OpKind::kAttention && op.layer == layer_) changed.value *= op.value;
    backend.inner().Run(changed);
  }

 private:
  int64_t layer_;
};

// An Add of the middle layer adds only some rows of its product.
class AddFault : public Fault {
 public:
  // rows: how many of the step's rows the Add gets.
  using Rows = std::function<int64_t(const Step& step)>;
  AddFault(const ModelConfig& config, std::vector<std::string> products, Rows rows)
      : prefix_(fmt::format("model.layers.{}.", config.num_layers / 2)),
        products_(std::move(products)),
        rows_(std::move(rows)) {}
  void Run(const Op& op, FaultyBackend& backend) override {
    const bool hit =
        op.kind == OpKind::kAdd && std::ranges::any_of(products_, [&](const std::string& product) {
          return backend.last_product() == prefix_ + product;
        });
    if (!hit) return backend.inner().Run(op);
    const int64_t n = rows_(backend.step());
    if (n > 0) backend.inner().Add(op.x.Rows(0, n), op.y.Rows(0, n));
  }

 private:
  std::string prefix_;
  std::vector<std::string> products_;
  Rows rows_;
};

constexpr char kAttentionProduct[] = "self_attn.o_proj.weight",
               kMlpProduct[] = "mlp.down_proj.weight";

}  // namespace

std::unique_ptr<Fault> MakeStepFault(std::string_view key, const ModelConfig& config) {
  const AddFault::Rows none = [](const Step&) { return 0; };
  if (key == "rope-bf16-frequencies") return std::make_unique<RopeAnglesFault>(config, true, 0);
  if (key == "rope-shifted") return std::make_unique<RopeAnglesFault>(config, false, 1);
  if (key == "graph-stale-angles") return std::make_unique<StaleAngles>();
  if (key == "graph-stale-pages") return std::make_unique<StalePages>();
  if (key == "kv-lost-page") return std::make_unique<FirstPage>(false);
  if (key == "kv-prefix-of-another") return std::make_unique<FirstPage>(true);
  if (key == "mask-plus-one") return std::make_unique<MaskFault>(1, false);
  if (key == "mask-minus-one") return std::make_unique<MaskFault>(-1, false);
  if (key == "kv-stale-length") return std::make_unique<MaskFault>(-1, true);
  if (key == "kv-slot-early") return std::make_unique<SlotEarly>();
  if (key == "attention-scale") return std::make_unique<AttentionScale>(config);
  if (key == "residual-skipped")
    return std::make_unique<AddFault>(config, std::vector<std::string>{kAttentionProduct}, none);
  if (key == "layer-skipped")
    return std::make_unique<AddFault>(
        config, std::vector<std::string>{kAttentionProduct, kMlpProduct}, none);
  if (key == "prefill-multiple-of-4")
    return std::make_unique<AddFault>(config, std::vector<std::string>{kAttentionProduct},
                                      [](const Step& step) {
                                        const int64_t n = std::ssize(step.tokens);
                                        return n % 4 == 0 ? n - 4 : n;
                                      });
  return nullptr;
}

}  // namespace merope
