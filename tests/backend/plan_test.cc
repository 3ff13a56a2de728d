// Plans of any ops: a random sequence of ops gives the same bits op by op and as a replayed plan.
#include <algorithm>
#include <deque>
#include <functional>
#include <random>

#include "tests/backend/support.h"

namespace merope {
namespace {

constexpr int64_t kHidden = 64, kHeads = 4, kKvHeads = 2, kHeadDim = 16, kInner = 96, kVocab = 70;
constexpr int64_t kQ = kHeads * kHeadDim, kKv = kKvHeads * kHeadDim;

struct Form {
  Precision precision;
  WeightStorage weights = WeightStorage::kPlain;
  int threads = 2;
};

// A back end, and the weights and tensors of a small model. Two machines of the same form are
// identical.
class Machine {
 public:
  Machine(const Form& form, int64_t rows, int64_t logit_rows)
      : backend_(MakeCpuBackend({form.precision, form.threads, form.weights})),
        kv_(*backend_->AllocateKv({2, kKvHeads, kHeadDim}, 16)),
        table_(Load({{kVocab, kHidden}})),
        square_(Load({{kHidden, kHidden}})),
        qkv_weight_(Load({{kQ, kHidden}, {kKv, kHidden}, {kKv, kHidden}})),
        gate_up_weight_(Load({{kInner, kHidden}, {kInner, kHidden}}, Stacking::kPaired)),
        down_(Load({{kHidden, kInner}})),
        gain_(*backend_->LoadVector(MemoryTensor("gain", {kHidden}, Values(kHidden)).view())),
        head_gain_(
            *backend_->LoadVector(MemoryTensor("gain", {kHeadDim}, Values(kHeadDim)).view())),
        rows_(rows),
        logit_rows_(logit_rows) {
    for (Tensor& x : x_) x = *backend_->Allocate(rows, kHidden);
    for (Tensor& x : logits_) x = *backend_->Allocate(logit_rows, kHidden);
    qkv_ = *backend_->Allocate(rows, kQ + 2 * kKv);
    attended_ = *backend_->Allocate(rows, kQ);
    gate_up_ = *backend_->Allocate(rows, 2 * kInner);
    inner_ = *backend_->Allocate(rows, kInner);
  }

  Backend& backend() { return *backend_; }
  KvMemory& kv() { return *kv_; }

  // One op or a sequence of ops on randomly chosen tensors, and the tensor to compare afterwards.
  struct Made {
    std::function<void(int64_t rows, int64_t logits)> run;
    std::function<Tensor(int64_t rows, int64_t logits)> written;
  };
  Made Random(std::mt19937_64& random, int* kv_state) {
    const auto pick = [&random](size_t n) { return static_cast<size_t>(random() % n); };
    const Tensor a = x_[pick(3)];
    Tensor b = x_[pick(3)];
    while (b.data == a.data) b = x_[pick(3)];
    const auto rows_of = [](const Tensor& t) {
      return [t](int64_t rows, int64_t) { return t.Rows(0, rows); };
    };
    Backend& be = *backend_;
    const auto head = [](const Tensor& t, int64_t n) { return t.Rows(0, n); };
    switch (pick(20)) {
      case 0:
        return {[=, &be, this](int64_t n, int64_t) { be.Embed(*table_, head(a, n)); }, rows_of(a)};
      case 1:
        return {[=, &be, this](int64_t n, int64_t) {
                  be.RmsNorm(head(a, n), gain_, 1e-5f, head(b, n));
                },
                rows_of(b)};
      case 2:
        return {[=, &be, this](int64_t n, int64_t) { be.MatMul(head(a, n), *square_, head(b, n)); },
                rows_of(b)};
      case 3:
        return {[=, &be](int64_t n, int64_t) { be.Add(head(a, n), head(b, n)); }, rows_of(a)};
      case 4:
        return {[=, &be](int64_t n, int64_t) { be.Hadamard(head(a, n), 64, {}, false); },
                rows_of(a)};
      case 5:
        return {[=, &be, this](int64_t n, int64_t) {
                  be.MatMul(head(a, n), *gate_up_weight_, head(gate_up_, n));
                },
                rows_of(gate_up_)};
      case 6:
        return {
            [=, &be, this](int64_t n, int64_t) { be.SwiGlu(head(gate_up_, n), head(inner_, n)); },
            rows_of(inner_)};
      case 7:
        return {
            [=, &be, this](int64_t n, int64_t) { be.MatMul(head(inner_, n), *down_, head(a, n)); },
            rows_of(a)};
      case 8:
        return {[=, &be, this](int64_t n, int64_t) {
                  be.MatMul(head(a, n), *qkv_weight_, head(qkv_, n));
                },
                rows_of(qkv_)};
      case 9:
        return {[=, &be, this](int64_t n, int64_t) {
                  be.Rope(head(qkv_.Cols(0, kQ + kKv), n), kHeadDim);
                },
                rows_of(qkv_)};
      case 10: {
        const auto layer = static_cast<int64_t>(pick(2));
        *kv_state |= 1 << layer;
        return {[=, &be, this](int64_t n, int64_t) {
                  be.StoreKv(layer, head(qkv_.Cols(kQ, kKv), n), head(qkv_.Cols(kQ + kKv, kKv), n));
                },
                rows_of(qkv_)};
      }
      case 11: {
        const auto layer = static_cast<int64_t>(pick(2));
        if ((*kv_state >> layer & 1) == 0) return Random(random, kv_state);
        return {[=, &be, this](int64_t n, int64_t) {
                  be.Attention(layer, head(qkv_.Cols(0, kQ), n), 0.25f, head(attended_, n));
                },
                rows_of(attended_)};
      }
      case 12:
        return {[=, &be, this](int64_t n, int64_t) {
                  be.MatMul(head(attended_, n), *square_, head(a, n));
                },
                rows_of(a)};
      // Sequences of ops of a model. The back end fuses these ops if no other op needs the results
      // in between.
      case 13:
      case 14:
        return {[=, &be, this](int64_t n, int64_t) {
                  be.RmsNorm(head(a, n), gain_, 1e-5f, head(b, n));
                  be.MatMul(head(b, n), *gate_up_weight_, head(gate_up_, n));
                  be.SwiGlu(head(gate_up_, n), head(inner_, n));
                  be.Hadamard(head(inner_, n), 32, {}, false);
                  be.MatMul(head(inner_, n), *down_, head(b, n));
                  be.Add(head(a, n), head(b, n));
                },
                rows_of(a)};
      case 15:
      case 16: {
        *kv_state |= 2;
        return {[=, &be, this](int64_t n, int64_t) {
                  be.RmsNorm(head(a, n), gain_, 1e-5f, head(b, n));
                  be.MatMul(head(b, n), *qkv_weight_, head(qkv_, n));
                  be.Rope(head(qkv_.Cols(0, kQ + kKv), n), kHeadDim);
                  be.StoreKv(1, head(qkv_.Cols(kQ, kKv), n), head(qkv_.Cols(kQ + kKv, kKv), n));
                  be.Attention(1, head(qkv_.Cols(0, kQ), n), 0.25f, head(attended_, n));
                },
                rows_of(attended_)};
      }
      // The same with norms of the heads of q and k.
      case 17: {
        *kv_state |= 2;
        constexpr std::string_view kNorms[] = {"q", "k", "qk", "kq", "qq", "kkq"};
        const std::string_view norms = kNorms[pick(std::size(kNorms))];
        return {[=, &be, this](int64_t n, int64_t) {
                  const Tensor q = head(qkv_.Cols(0, kQ), n), k = head(qkv_.Cols(kQ, kKv), n);
                  be.RmsNorm(head(a, n), gain_, 1e-5f, head(b, n));
                  be.MatMul(head(b, n), *qkv_weight_, head(qkv_, n));
                  for (const char norm : norms)
                    be.HeadNorm(norm == 'q' ? q : k, head_gain_, norm == 'q' ? 1e-5f : 1e-3f);
                  be.Rope(head(qkv_.Cols(0, kQ + kKv), n), kHeadDim);
                  be.StoreKv(1, k, head(qkv_.Cols(kQ + kKv, kKv), n));
                  be.Attention(1, q, 0.25f, head(attended_, n));
                },
                rows_of(attended_)};
      }
      case 18: {
        const Tensor part = pick(2) == 0 ? qkv_.Cols(0, kQ) : qkv_.Cols(kQ, kKv);
        return {
            [=, &be, this](int64_t n, int64_t) { be.HeadNorm(head(part, n), head_gain_, 1e-5f); },
            rows_of(qkv_)};
      }
      default: {
        const Tensor from = logits_[0], to = logits_[1];
        const auto rows_of_logits = [](const Tensor& t) {
          return [t](int64_t, int64_t logits) { return t.Rows(0, logits); };
        };
        switch (pick(3)) {
          case 0:
            return {[=, &be](int64_t n, int64_t logits) {
                      be.GatherRows(head(a, n), head(from, logits));
                    },
                    rows_of_logits(from)};
          case 1:
            return {[=, &be, this](int64_t, int64_t logits) {
                      be.RmsNorm(head(from, logits), gain_, 1e-5f, head(to, logits));
                    },
                    rows_of_logits(to)};
          default:
            return {[=, &be, this](int64_t, int64_t logits) {
                      be.MatMul(head(from, logits), *square_, head(to, logits));
                    },
                    rows_of_logits(to)};
        }
      }
    }
  }

  // Runs the ops of a model's layer, so that every tensor has values.
  void Begin(int64_t n, int64_t logits) {
    Backend& be = *backend_;
    const auto head = [](const Tensor& t, int64_t rows) { return t.Rows(0, rows); };
    for (const Tensor& x : x_) be.Embed(*table_, head(x, n));
    be.MatMul(head(x_[0], n), *qkv_weight_, head(qkv_, n));
    be.MatMul(head(x_[0], n), *gate_up_weight_, head(gate_up_, n));
    be.SwiGlu(head(gate_up_, n), head(inner_, n));
    be.MatMul(head(inner_, n), *down_, head(x_[1], n));
    be.Rope(head(qkv_.Cols(0, kQ + kKv), n), kHeadDim);
    be.StoreKv(0, head(qkv_.Cols(kQ, kKv), n), head(qkv_.Cols(kQ + kKv, kKv), n));
    be.Attention(0, head(qkv_.Cols(0, kQ), n), 0.25f, head(attended_, n));
    for (const Tensor& x : logits_) be.GatherRows(head(x_[1], n), head(x, logits));
  }

  int64_t rows() const { return rows_; }
  int64_t logit_rows() const { return logit_rows_; }

 private:
  std::vector<float> Values(int64_t n) { return RandomValues(n, seed_++, 0.1f); }
  const Matrix* Load(std::vector<std::pair<int64_t, int64_t>> shapes,
                     Stacking stacking = Stacking::kStacked) {
    std::deque<MemoryTensor> tensors;
    for (const auto& [out, in] : shapes)
      tensors.emplace_back("w", std::vector{out, in}, Values(out * in));
    std::vector<MatrixPart> parts;
    for (const MemoryTensor& tensor : tensors) parts.push_back({&tensor.view(), nullptr});
    return *backend_->LoadMatrix(parts, stacking, {});
  }

  uint64_t seed_ = 1;
  std::unique_ptr<Backend> backend_;
  std::unique_ptr<KvMemory> kv_;
  const Matrix *table_, *square_, *qkv_weight_, *gate_up_weight_, *down_;
  Tensor gain_, head_gain_;
  int64_t rows_, logit_rows_;
  Tensor x_[3], logits_[2], qkv_, attended_, gate_up_, inner_;
};

// A step of up to three sequences, with its tokens, angles, pages and logit rows.
struct TestStep {
  std::vector<int32_t> tokens, logit_rows, pages = {3, 1, 0, 2, 5, 4, 9, 7, 6, 8};
  std::vector<float> cos, sin;
  std::vector<SequenceRows> sequences;
  Step step;

  TestStep(int64_t rows, int64_t logits, KvMemory& kv) {
    std::mt19937_64 random(static_cast<uint64_t>(rows));
    for (int64_t i = 0; i < rows; ++i) {
      tokens.push_back(static_cast<int32_t>(random() % kVocab));
      for (int64_t j = 0; j < kHeadDim / 2; ++j) {
        const auto angle = static_cast<float>(i * (j + 1)) / 10;
        cos.push_back(std::cos(angle));
        sin.push_back(std::sin(angle));
      }
    }
    const int64_t first = rows / 3, second = (rows - first) / 2;
    int64_t at = 0;
    for (const auto& [n, page] : {std::pair{first, 0}, {second, 3}, {rows - first - second, 6}}) {
      if (n > 0)
        sequences.push_back({at, n, 0, std::span(pages).subspan(static_cast<size_t>(page), 3)});
      at += n;
    }
    for (int64_t i = 0; i < logits; ++i)
      logit_rows.push_back(static_cast<int32_t>((i + 1) * rows / logits - 1));
    step = {tokens, cos, sin, sequences, logit_rows, &kv};
  }
};

class PlanTest : public testing::TestWithParam<Form> {};

TEST_P(PlanTest, RandomOpsGiveTheSameBitsAsOneByOne) {
  constexpr int64_t kRows = 150, kLogits = 5;
  int64_t fused = 0, alone = 0;
  for (uint64_t seed = 0; seed < 60; ++seed) {
    SCOPED_TRACE(seed);
    Machine eager(GetParam(), kRows, kLogits), planned(GetParam(), kRows, kLogits);
    std::vector<Machine::Made> ops, same;
    std::mt19937_64 random(seed), again(seed);
    int kv_state = 1, kv_again = 1;
    for (uint64_t i = 0; i < 3 + seed % 20; ++i) {
      ops.push_back(eager.Random(random, &kv_state));
      same.push_back(planned.Random(again, &kv_again));
    }
    const auto plan =
        planned.backend().Capture({kRows, kLogits, 200}, {2, kKvHeads, kHeadDim}, [&] {
          planned.Begin(kRows, kLogits);
          for (const Machine::Made& op : same) op.run(kRows, kLogits);
        });
    ASSERT_NE(plan, nullptr);
    EXPECT_GE(plan->ops, 12 + std::ssize(ops));
    fused += plan->ops - plan->steps;
    alone += plan->steps;
    // A step of few rows is split by panels, a step of many rows by rows.
    for (const auto& [rows, logits] : {std::pair{1, 1}, {7, 2}, {150, 5}}) {
      const TestStep step(rows, logits, eager.kv()), replayed(rows, logits, planned.kv());
      eager.backend().BeginStep(step.step);
      eager.Begin(rows, logits);
      for (const Machine::Made& op : ops) op.run(rows, logits);
      eager.backend().EndStep();
      planned.backend().BeginStep(replayed.step);
      planned.backend().Replay(*plan);
      planned.backend().EndStep();
      EXPECT_EQ(FromBackend(eager.backend(), ops.back().written(rows, logits)),
                FromBackend(planned.backend(), same.back().written(rows, logits)))
          << rows;
    }
  }
  EXPECT_GT(fused, 100);  // both kinds of ops occurred
  EXPECT_GT(alone, 100);
}
INSTANTIATE_TEST_SUITE_P(
    Forms, PlanTest,
    testing::Values(Form{Precision::kFp32}, Form{Precision::kBf16, WeightStorage::kPacked, 3},
                    Form{Precision::kInt8}, Form{Precision::kInt4, WeightStorage::kPlain, 1}),
    [](const auto& suite_info) { return std::string(PrecisionName(suite_info.param.precision)); });

}  // namespace
}  // namespace merope
