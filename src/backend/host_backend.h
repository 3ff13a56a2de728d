// HostBackend: the memory of a back end whose tensors the host can address. The CPU back end and
// the reference back end derive from it.
#pragma once

#include <algorithm>
#include <deque>
#include <new>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "backend/weights.h"
#include "base/aligned.h"
#include "base/machine.h"

namespace merope {

class HostBackend : public Backend {
 public:
  Result<Tensor> Allocate(int64_t rows, int64_t cols) final {
    try {
      return Tensor{tensors_.emplace_back(rows * cols).data(), rows, cols, cols};
    } catch (const std::bad_alloc&) {
      return Err("expected memory for {} values, found none", rows * cols);
    }
  }
  int64_t AvailableBytes() const final { return ReadMachine().UsableMemory(); }

  Result<Tensor> LoadVector(const WeightTensor& vector) final {
    TRY_ASSIGN(const std::vector<float> values, DecodeVector(vector));
    TRY_ASSIGN(const Tensor tensor, Allocate(1, static_cast<int64_t>(values.size())));
    std::copy(values.begin(), values.end(), tensor.data);
    return tensor;
  }

  void FinishCopies() final {}  // StartCopyOut copies at once
  void StartCopyOut(const Tensor& from, std::span<float> to) final {
    for (int64_t row = 0; row < from.rows; ++row)
      std::copy_n(from.data + row * from.stride, from.cols, to.data() + row * from.cols);
  }

 private:
  std::deque<PageArray<float>> tensors_;
};

}  // namespace merope
