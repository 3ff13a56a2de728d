#include <cmath>
#include <numeric>

#include "benchmarks/kernels/support.h"

namespace merope {
namespace {

// One layer's attention: `batch` sequences, each with `rows` new tokens after `context` earlier
// tokens.
void Attention(benchmark::State& state, Precision precision) {
  const int64_t batch = state.range(0), context = state.range(1), rows = state.range(2);
  const ModelConfig& shape = Shape();
  const int64_t total = context + rows, pages = (total + kPageTokens - 1) / kPageTokens;
  const int64_t width = shape.num_heads * shape.head_dim;
  const int64_t kv_width = shape.num_kv_heads * shape.head_dim;
  // The KV cache has as many layers as the model. So each call reads its keys and values from
  // memory, not from a processor cache.
  const KvShape kv_shape{shape.num_layers, shape.num_kv_heads, shape.head_dim};

  const std::unique_ptr<Backend> backend = MakeCpuBackend({.precision = precision, .threads = 0});
  auto kv = backend->AllocateKv(kv_shape, batch * pages);
  CHECK(kv, "{}", kv.error().message);
  std::vector<int32_t> all_pages(static_cast<size_t>(batch * pages));
  std::iota(all_pages.begin(), all_pages.end(), 0);
  const auto step = [&](int64_t at, int64_t n) {
    std::vector<SequenceRows> sequences;
    for (int64_t i = 0; i < batch; ++i)
      sequences.push_back({i * n, n, at,
                           std::span(all_pages).subspan(static_cast<size_t>(i * pages),
                                                        static_cast<size_t>(pages))});
    return sequences;
  };
  const auto begin = [&](const std::vector<SequenceRows>& sequences) {
    backend->BeginStep({.tokens = {},
                        .rope_cos = {},
                        .rope_sin = {},
                        .sequences = sequences,
                        .logit_rows = {},
                        .kv = kv->get()});
  };
  const auto random = [&](int64_t n, int64_t cols) {
    const Tensor tensor = *backend->Allocate(n, cols);
    for (int64_t i = 0; i < n; ++i)
      for (int64_t j = 0; j < cols; ++j)
        tensor.data[i * tensor.stride + j] = static_cast<float>((i * 31 + j * 17) % 64) / 32 - 1;
    return tensor;
  };

  const Tensor keys = random(batch * kPageTokens, kv_width);
  for (int64_t at = 0; at < total; at += kPageTokens) {
    const int64_t n = std::min(kPageTokens, total - at);
    const auto sequences = step(at, n);
    begin(sequences);
    for (int64_t layer = 0; layer < shape.num_layers; ++layer)
      backend->StoreKv(layer, keys.Rows(0, batch * n), keys.Rows(0, batch * n));
    backend->EndStep();
  }
  const Tensor q = random(batch * rows, width), out = *backend->Allocate(batch * rows, width);
  const float scale = 1 / std::sqrt(static_cast<float>(shape.head_dim));
  const auto sequences = step(context, rows);
  begin(sequences);
  int64_t layer = 0;
  for (auto _ : state) {
    backend->Attention(layer, q, scale, out);
    layer = (layer + 1) % shape.num_layers;
  }
  backend->EndStep();
  const int64_t attended = rows * context + rows * (rows + 1) / 2;
  SetRate(state, "FLOP/s", batch * 4 * width * attended);
  SetRate(state, "K and V bytes/s",
          batch * total * backend->KvTokenBytes({1, shape.num_kv_heads, shape.head_dim}));
}

void Shapes(benchmark::internal::Benchmark* benchmark) {
  benchmark->ArgNames({"batch", "context", "rows"});
  for (const int64_t context : {127, 511, 2047}) benchmark->Args({1, context, 1});
  benchmark->Args({8, 511, 1})->Args({32, 511, 1});
  benchmark->Args({1, 0, 128})->Args({1, 0, 512})->Args({1, 1536, 512});
  benchmark->UseRealTime()->Unit(benchmark::kMicrosecond);
}
BENCHMARK_CAPTURE(Attention, bf16, Precision::kBf16)->Name("attention/bf16")->Apply(Shapes);
BENCHMARK_CAPTURE(Attention, fp32, Precision::kFp32)->Name("attention/fp32")->Apply(Shapes);

}  // namespace
}  // namespace merope
