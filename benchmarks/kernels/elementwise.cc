#include "benchmarks/kernels/support.h"

namespace merope {
namespace {

void RmsNorm(benchmark::State& state) {
  const int64_t rows = state.range(0), hidden = Shape().hidden_size;
  Bench bench(Precision::kBf16, rows);
  const Tensor x = bench.Random(rows, hidden), weight = bench.Random(1, hidden);
  const Tensor out = *bench.backend().Allocate(rows, hidden);
  for (auto _ : state) bench.backend().RmsNorm(x, weight, 1e-5f, out);
  SetRate(state, "bytes/s", 2 * 4 * rows * hidden);
}

void Rope(benchmark::State& state) {
  const int64_t rows = state.range(0), width = Shape().num_heads * Shape().head_dim;
  Bench bench(Precision::kBf16, rows);
  const Tensor x = bench.Random(rows, width);
  for (auto _ : state) bench.backend().Rope(x, Shape().head_dim);
  SetRate(state, "bytes/s", 2 * 4 * rows * width);
}

void SwiGlu(benchmark::State& state) {
  const int64_t rows = state.range(0), width = Shape().intermediate_size;
  Bench bench(Precision::kBf16, rows);
  const Tensor x = bench.Random(rows, 2 * width), out = *bench.backend().Allocate(rows, width);
  for (auto _ : state) bench.backend().SwiGlu(x, out);
  SetRate(state, "bytes/s", 3 * 4 * rows * width);
}

void Add(benchmark::State& state) {
  const int64_t rows = state.range(0), hidden = Shape().hidden_size;
  Bench bench(Precision::kBf16, rows);
  const Tensor x = bench.Random(rows, hidden), y = bench.Random(rows, hidden);
  for (auto _ : state) bench.backend().Add(x, y);
  SetRate(state, "bytes/s", 3 * 4 * rows * hidden);
}

void Rows(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgName("rows")->Arg(1)->Arg(32)->Arg(512)->UseRealTime()->Unit(
      benchmark::kMicrosecond);
}
BENCHMARK(RmsNorm)->Name("rms_norm")->Apply(Rows);
BENCHMARK(Rope)->Name("rope")->Apply(Rows);
BENCHMARK(SwiGlu)->Name("swiglu")->Apply(Rows);
BENCHMARK(Add)->Name("add")->Apply(Rows);

}  // namespace
}  // namespace merope
