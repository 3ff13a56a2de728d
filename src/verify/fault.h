// Fault: what a mutant changes. A fault changes the config, the weights, the inputs of a step, or
// single ops. No production code knows of faults: FaultySource stands between the checkpoint and
// the model, and FaultyBackend stands between the model and its back end. The self-test uses them
// on its thread.
//
// Some faults change the values of activations. They read and write tensors by their addresses, so
// the back end must be a HostBackend. The CPU back end and the reference are.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/registry.h"
#include "checkpoint/weight_source.h"
#include "verify/mutants.h"

namespace merope {

class FaultyBackend;

// Without a derived class, a Fault changes nothing.
class Fault {
 public:
  virtual ~Fault() = default;

  virtual void ChangeConfig(ModelConfig* /*config*/) const {}

  // The tensor that the model gets when it opens the tensor `name`. Open calls `open` for the
  // tensors that the change needs.
  using OpenTensorByName =
      std::function<Result<std::unique_ptr<const WeightTensor>>(const std::string& name)>;
  virtual Result<std::unique_ptr<const WeightTensor>> Open(const std::string& name,
                                                           const OpenTensorByName& open) const {
    return open(name);
  }
  // The back end loads a matrix from these parts. The matrix is not yet made.
  virtual Status BeforeLoad(std::span<const MatrixPart> /*parts*/, Precision) { return {}; }

  // The inputs with which the step runs. `step` is valid until the step ends. What the result
  // refers to must be valid for as long.
  virtual Step ChangeStep(const Step& step, FaultyBackend&) { return step; }
  // Runs the op on the inner back end, or does something else. A fault that runs host code here
  // must run op by op: a plan would not record it (Feed::kGraphDecode).
  virtual void Run(const Op& op, FaultyBackend& backend);
};

// The fault of a mutant, with this number of threads for its own loops; the mutant must be one of
// Mutants(). nullptr: a Fault that changes nothing.
std::unique_ptr<Fault> MakeFault(const Mutant* mutant, const ModelConfig& config, int threads);
// Parts of MakeFault; nullptr: not a fault of this kind.
std::unique_ptr<Fault> MakeWeightFault(std::string_view key, const ModelConfig& config);
std::unique_ptr<Fault> MakeStepFault(std::string_view key, const ModelConfig& config);
std::unique_ptr<Fault> MakeValueFault(std::string_view key, int threads);

// The weights of `plain`, as the fault changes them. Rounds the values of matrices to fp16 first,
// if `half` is set. All referenced objects must outlive the source.
class FaultySource : public WeightSource {
 public:
  FaultySource(const WeightSource& plain, const Fault& fault, bool half)
      : plain_(plain), fault_(fault), half_(half) {}
  bool rotated() const override { return plain_.rotated(); }
  Result<std::unique_ptr<const WeightTensor>> Open(const std::string& name,
                                                   std::span<const int64_t> shape) const override;
  void Release(const std::string& name) const override { plain_.Release(name); }

 private:
  const WeightSource& plain_;
  const Fault& fault_;
  bool half_;
};

// A back end that passes all calls on, and lets a fault change steps and ops. With a rounding, it
// rounds the result of each op, and RoPE's cosines and sines, to nearest: so it computes as the
// engines do that OpRounding describes, on the inner back end's kernels.
class FaultyBackend : public Backend {
 public:
  FaultyBackend(std::unique_ptr<Backend> inner, std::unique_ptr<Fault> fault, OpRounding rounding)
      : inner_(std::move(inner)), fault_(std::move(fault)), rounding_(rounding) {}

  // For faults.
  Backend& inner() { return *inner_; }
  const Step& step() const { return step_; }
  // Runs an op in a step with other inputs.
  void RunWith(const Step& other, const Op& op);
  // The name of the matrix's first part ("model.layers.3.mlp.gate_proj.weight"), or of a vector.
  std::string_view NameOf(const Matrix* matrix) const { return names_.at(matrix); }
  std::string_view NameOf(const Tensor& vector) const { return names_.at(vector.data); }
  // The name of the last product's matrix. An Add adds this product.
  std::string_view last_product() const { return last_product_; }
  const Fault& fault() const { return *fault_; }

  std::string name() const override { return inner_->name(); }
  Precision precision() const override { return inner_->precision(); }
  bool Supports(Precision precision, OpKind op) const override {
    return inner_->Supports(precision, op);
  }
  Result<Tensor> Allocate(int64_t rows, int64_t cols) override {
    return inner_->Allocate(rows, cols);
  }
  int64_t AvailableBytes() const override { return inner_->AvailableBytes(); }
  WeightSummary weights() const override { return inner_->weights(); }
  Result<const Matrix*> LoadMatrix(
      std::span<const MatrixPart> parts, Stacking stacking,
      const std::function<void(const WeightTensor&)>& consumed) override;
  Result<Tensor> LoadVector(const WeightTensor& vector) override;
  Result<std::unique_ptr<KvMemory>> AllocateKv(const KvShape& shape, int64_t n_pages) override {
    return inner_->AllocateKv(shape, n_pages);
  }
  int64_t KvTokenBytes(const KvShape& shape) const override { return inner_->KvTokenBytes(shape); }
  void CopyKvPage(KvMemory& kv, int32_t from, int32_t to) override {
    inner_->CopyKvPage(kv, from, to);
  }
  void StartCopyOut(const Tensor& from, std::span<float> to) override {
    inner_->StartCopyOut(from, to);
  }
  void FinishCopies() override { inner_->FinishCopies(); }
  void BeginStep(const Step& step) override;
  void EndStep() override { inner_->EndStep(); }
  std::vector<int64_t> PlanRows(int64_t most) const override { return inner_->PlanRows(most); }
  std::unique_ptr<Plan> Capture(const PlanLimits& limits, const KvShape& kv,
                                const std::function<void()>& forward) override {
    return inner_->Capture(limits, kv, forward);
  }
  void Replay(Plan& plan) override { inner_->Replay(plan); }
  void Run(const Op& op) override;

 private:
  std::unique_ptr<Backend> inner_;
  std::unique_ptr<Fault> fault_;
  OpRounding rounding_;
  Step step_;                               // as the fault changed it
  std::vector<float> rope_cos_, rope_sin_;  // rounded
  std::map<const void*, std::string> names_;
  std::string_view last_product_;
};

}  // namespace merope
