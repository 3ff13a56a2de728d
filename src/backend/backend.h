// The interface between the model and the hardware: memory, weights and about a dozen ops. A back
// end owns its memory. It hands out handles, and only the back end may look behind a handle. One
// thread at a time uses a back end: the engine's thread or the loading thread.
//
// All activations are fp32. The result of an op for a row depends only on that row. The result is
// bit-identical whatever other rows the step has, and for any number of rows, any split into steps
// and any number of threads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "backend/matrix.h"
#include "backend/op.h"
#include "backend/step.h"
#include "base/error.h"

namespace merope {

class Backend : public WeightTarget, public OpRunner {
 public:
  virtual std::string name() const = 0;  // "cpu (AVX3_ZEN4, 2 threads)"
  // Whether the back end has this op when products use this precision. A model asks before it
  // loads.
  virtual bool Supports(Precision precision, OpKind op) const = 0;

  // Memory. Tensors and weights live as long as the back end. A new tensor holds zeros. Error: not
  // enough memory.
  virtual Result<Tensor> Allocate(int64_t rows, int64_t cols) = 0;
  virtual int64_t AvailableBytes() const = 0;  // about the bytes that can still be allocated
  virtual WeightSummary weights() const = 0;
  // Memory for n_pages pages, filled with zeros.
  virtual Result<std::unique_ptr<KvMemory>> AllocateKv(const KvShape& shape, int64_t n_pages) = 0;
  // The bytes of one position's K and V, without padding.
  virtual int64_t KvTokenBytes(const KvShape& shape) const = 0;
  // Copies page `from`, with every layer, to page `to`. Called between steps.
  virtual void CopyKvPage(KvMemory& kv, int32_t from, int32_t to) = 0;

  // Starts to copy a tensor to `to`: rows × cols values, dense. The values are those that the ops
  // issued so far leave in the tensor. `to` holds the values, and the caller may use `to`, only
  // after FinishCopies.
  virtual void StartCopyOut(const Tensor& from, std::span<float> to) = 0;
  virtual void FinishCopies() = 0;
  void CopyOut(const Tensor& from, std::span<float> to) {
    StartCopyOut(from, to);
    FinishCopies();
  }

  // A step's ops run between BeginStep and EndStep. The step's spans must stay valid until EndStep.
  virtual void BeginStep(const Step& step) = 0;
  virtual void EndStep() = 0;

  // The numbers of rows for which this back end wants one plan each, in ascending order. The last
  // number is `most`. A step uses the first plan that has enough rows. The list is empty if the
  // back end only runs ops one by one.
  virtual std::vector<int64_t> PlanRows(int64_t most) const = 0;
  // Records the ops that `forward` issues and does not run them. The plan is for steps within the
  // limits. Returns nullptr if the back end cannot record ops.
  virtual std::unique_ptr<Plan> Capture(const PlanLimits& limits, const KvShape& kv,
                                        const std::function<void()>& forward) = 0;
  // Runs the plan's ops on the current step. Results are bit-identical to running the ops one by
  // one. Only the plan's last op is certain to write its output tensor. Output tensors of earlier
  // ops may keep their old contents.
  virtual void Replay(Plan& plan) = 0;
};

}  // namespace merope
