#include <algorithm>
#include <array>
#include <utility>

#include "backend/weights.h"
#include "base/dtype.h"
#include "verify/fault.h"

namespace merope {
namespace {

float RoundTo(OpRounding rounding, float value) {
  return rounding == OpRounding::kFp16 ? F16ToF32(F32ToF16(value)) : RoundToBF16(value);
}

// A matrix whose values are rounded to fp16.
class HalfTensor : public WeightTensor {
 public:
  explicit HalfTensor(std::unique_ptr<const WeightTensor> exact)
      : WeightTensor(exact->name, exact->shape, DType::kF32), exact_(std::move(exact)) {}
  std::span<const std::byte> Row(int64_t) const override { return {}; }
  void DecodeRow(int64_t row, std::span<float> out) const override {
    exact_->DecodeRow(row, out);
    for (float& value : out) value = RoundTo(OpRounding::kFp16, value);
  }

 private:
  std::unique_ptr<const WeightTensor> exact_;
};

}  // namespace

void Fault::Run(const Op& op, FaultyBackend& backend) { backend.inner().Run(op); }

std::unique_ptr<Fault> MakeFault(const Mutant* mutant, const ModelConfig& config, int threads) {
  if (mutant == nullptr) return std::make_unique<Fault>();
  std::unique_ptr<Fault> fault = MakeWeightFault(mutant->key, config);
  if (fault == nullptr) fault = MakeStepFault(mutant->key, config);
  if (fault == nullptr) fault = MakeValueFault(mutant->key, threads);
  if (fault != nullptr) return fault;
  CHECK(false, "mutant {} has no fault", mutant->key);
}

Result<std::unique_ptr<const WeightTensor>> FaultySource::Open(
    const std::string& name, std::span<const int64_t> shape) const {
  TRY_ASSIGN(
      std::unique_ptr<const WeightTensor> tensor,
      fault_.Open(name, [&](const std::string& other) { return plain_.Open(other, shape); }));
  if (!half_ || tensor->shape.size() < 2) return tensor;
  return std::make_unique<const HalfTensor>(std::move(tensor));
}

void FaultyBackend::RunWith(const Step& other, const Op& op) {
  inner_->EndStep();
  inner_->BeginStep(other);
  inner_->Run(op);
  inner_->EndStep();
  inner_->BeginStep(step_);
}

Result<const Matrix*> FaultyBackend::LoadMatrix(
    std::span<const MatrixPart> parts, Stacking stacking,
    const std::function<void(const WeightTensor&)>& consumed) {
  TRY(fault_->BeforeLoad(parts, precision()));
  TRY_ASSIGN(const Matrix* matrix, inner_->LoadMatrix(parts, stacking, consumed));
  names_[matrix] = parts[0].weight->name;
  return matrix;
}

Result<Tensor> FaultyBackend::LoadVector(const WeightTensor& vector) {
  TRY_ASSIGN(const Tensor tensor, inner_->LoadVector(vector));
  names_[tensor.data] = vector.name;
  return tensor;
}

void FaultyBackend::BeginStep(const Step& step) {
  step_ = fault_->ChangeStep(step, *this);
  if (rounding_ != OpRounding::kNone) {
    const auto rounded = [this](std::span<const float> exact, std::vector<float>* out) {
      out->assign(exact.begin(), exact.end());
      for (float& value : *out) value = RoundTo(rounding_, value);
      return std::span<const float>(*out);
    };
    step_.rope_cos = rounded(step_.rope_cos, &rope_cos_);
    step_.rope_sin = rounded(step_.rope_sin, &rope_sin_);
  }
  inner_->BeginStep(step_);
}

void FaultyBackend::Run(const Op& op) {
  if (op.kind == OpKind::kMatMul) last_product_ = NameOf(op.matrix);
  fault_->Run(op, *this);
  if (rounding_ == OpRounding::kNone) return;
  const Tensor result = op.written();
  if (result.data == nullptr) return;
  for (int64_t row = 0; row < result.rows; ++row)
    for (float& value :
         std::span(result.data + row * result.stride, static_cast<size_t>(result.cols)))
      value = RoundTo(rounding_, value);
}

}  // namespace merope
