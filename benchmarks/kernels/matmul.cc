#include "benchmarks/kernels/support.h"

namespace merope {
namespace {

void MatMul(benchmark::State& state, Precision precision, int64_t out_features,
            int64_t in_features) {
  const int64_t rows = state.range(0);
  // Packing takes long, so all row counts and all repetitions use the same matrices.
  static std::unique_ptr<Bench> bench;
  static std::string for_shape;
  const std::string shape =
      fmt::format("{} {} {}", PrecisionName(precision), out_features, in_features);
  if (shape != for_shape) {
    bench.reset();
    bench = std::make_unique<Bench>(precision, 1);
    for_shape = shape;
  }
  const Tensor x = bench->Random(rows, in_features);
  const Tensor out = *bench->backend().Allocate(rows, out_features);
  const int64_t bytes = bench->NextMatrix(out_features, in_features).bytes;  // packed, untimed
  for (auto _ : state)
    bench->backend().MatMul(x, bench->NextMatrix(out_features, in_features), out);
  SetRate(state, "FLOP/s", 2 * rows * out_features * in_features);
  SetRate(state, "weight bytes/s", bytes);
}

void Register(const char* name, int64_t out_features, int64_t in_features) {
  for (const Precision precision :
       {Precision::kBf16, Precision::kInt8, Precision::kInt4, Precision::kFp32})
    benchmark::RegisterBenchmark(
        fmt::format("matmul/{}/{}", PrecisionName(precision), name).c_str(),
        [=](benchmark::State& state) { MatMul(state, precision, out_features, in_features); })
        ->ArgName("rows")
        ->Arg(1)
        ->Arg(8)
        ->Arg(32)
        ->Arg(128)
        ->Arg(512)
        ->UseRealTime()
        ->Unit(benchmark::kMicrosecond);
}

const bool kRegistered = [] {
  const ModelConfig& shape = Shape();
  const int64_t heads = shape.num_heads * shape.head_dim,
                kv_heads = shape.num_kv_heads * shape.head_dim;
  Register("qkv", heads + 2 * kv_heads, shape.hidden_size);
  Register("o", shape.hidden_size, heads);
  Register("gate_up", 2 * shape.intermediate_size, shape.hidden_size);
  Register("down", shape.hidden_size, shape.intermediate_size);
  return true;
}();

}  // namespace
}  // namespace merope
