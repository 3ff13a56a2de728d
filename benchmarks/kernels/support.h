// The CPU back end's ops in the shapes of Pleias-RAG-350M, on all usable cores. Times are of one op
// (one layer's); FLOP/s and bytes/s stand beside what `merope bench roofline` prints.
#pragma once

#include <benchmark/benchmark.h>

#include <memory>
#include <vector>

#include "backend/backend.h"
#include "checkpoint/config.h"

namespace merope {

const ModelConfig& Shape();

// A back end with a step of n rows open, turned by 45 degrees at all positions.
class Bench {
 public:
  Bench(Precision precision, int64_t n_rows);
  ~Bench();

  Backend& backend() { return *backend_; }
  // Random values.
  Tensor Random(int64_t rows, int64_t cols);
  // A random matrix, the next of as many as together exceed the caches: each call reads its own
  // from memory, as the layers of a model do.
  const Matrix& NextMatrix(int64_t out_features, int64_t in_features);

 private:
  std::unique_ptr<Backend> backend_;
  std::vector<float> rope_;
  std::vector<const Matrix*> matrices_;
  size_t next_ = 0;
};

// A rate beside the time: FLOP/s or bytes/s.
void SetRate(benchmark::State& state, const char* name, int64_t an_iteration);

}  // namespace merope
