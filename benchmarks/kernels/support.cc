#include "benchmarks/kernels/support.h"

#include <algorithm>
#include <cmath>
#include <random>

#include "base/dtype.h"
#include "base/machine.h"
#include "checkpoint/synth.h"

namespace merope {
namespace {

// Calls store(i, x) for each i in [0, n). x is a random number, uniform in [−1, 1].
template <class Store>
void ForRandom(int64_t n, const Store& store) {
  std::minstd_rand random(1);
  for (int64_t i = 0; i < n; ++i)
    store(i, 2 * static_cast<float>(random()) / static_cast<float>(std::minstd_rand::max()) - 1);
}

}  // namespace

const ModelConfig& Shape() {
  static const ModelConfig config = *KnownConfig("pleias-rag-350m");
  return config;
}

Bench::Bench(Precision precision, int64_t n_rows)
    : backend_(MakeCpuBackend({.precision = precision, .threads = 0})),
      rope_(static_cast<size_t>(n_rows * Shape().head_dim / 2), std::sqrt(0.5f)) {
  backend_->BeginStep({.tokens = {},
                       .rope_cos = rope_,
                       .rope_sin = rope_,
                       .sequences = {},
                       .logit_rows = {},
                       .kv = nullptr});
}

Bench::~Bench() { backend_->EndStep(); }

Tensor Bench::Random(int64_t rows, int64_t cols) {
  const Tensor tensor = *backend_->Allocate(rows, cols);
  ForRandom(rows * cols, [&](int64_t i, float value) {
    tensor.data[i / cols * tensor.stride + i % cols] = value;
  });
  return tensor;
}

const Matrix& Bench::NextMatrix(int64_t out_features, int64_t in_features) {
  if (matrices_.empty()) {
    std::vector<uint16_t> values(static_cast<size_t>(out_features * in_features));
    ForRandom(std::ssize(values),
              [&](int64_t i, float value) { values[static_cast<size_t>(i)] = F32ToBF16(value); });
    TensorView view;
    view.name = "random";
    view.dtype = DType::kBF16;
    view.shape = {out_features, in_features};
    view.bytes = std::as_bytes(std::span(values));
    const auto weight = OpenTensor(view);
    const MatrixPart part = {weight.get(), nullptr};
    const int64_t wanted = 4 * std::max<int64_t>(ReadMachine().l3_bytes, 16 << 20);
    for (int64_t bytes = 0; bytes < wanted; bytes += matrices_.back()->bytes) {
      const auto loaded = backend_->LoadMatrix(std::span(&part, 1), Stacking::kStacked, {});
      CHECK(loaded, "{}", loaded.error().message);
      matrices_.push_back(*loaded);
    }
  }
  next_ = (next_ + 1) % matrices_.size();
  return *matrices_[next_];
}

void SetRate(benchmark::State& state, const char* name, int64_t an_iteration) {
  state.counters[name] = benchmark::Counter(static_cast<double>(an_iteration),
                                            benchmark::Counter::kIsIterationInvariantRate);
}

}  // namespace merope

BENCHMARK_MAIN();
