// Runs the CPU back end's ops in the shapes of Pleias-RAG-350M, on all usable cores. The kernel
// benchmarks call it on the main thread. A time is the time of one op of one layer. FLOP/s and
// bytes/s are comparable with the rates that `merope bench roofline` prints.
#pragma once

#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "backend/registry.h"
#include "checkpoint/config.h"

namespace merope {

const ModelConfig& Shape();

// A back end with an open step of n rows. The rotary angle is 45 degrees at all positions.
class Bench {
 public:
  Bench(Precision precision, int64_t n_rows);
  ~Bench();

  Backend& backend() { return *backend_; }
  // (rows, cols), random values.
  Tensor Random(int64_t rows, int64_t cols);
  // (out_features, in_features): the next one of several random matrices, which together exceed the
  // caches. Each call therefore reads its matrix from memory, as each layer of a model does.
  const Matrix& NextMatrix(int64_t out_features, int64_t in_features);

 private:
  std::unique_ptr<Backend> backend_;
  std::vector<float> rope_;
  std::vector<const Matrix*> matrices_;
  size_t next_ = 0;
};

// Reports a rate beside the time: FLOP/s or bytes/s. an_iteration: FLOPs or bytes per iteration.
void SetRate(benchmark::State& state, const char* name, int64_t an_iteration);

}  // namespace merope
