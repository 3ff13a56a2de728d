#include "checkpoint/weight_source.h"

#include <algorithm>
#include <utility>

namespace merope {
namespace {

class FileTensor : public WeightTensor {
 public:
  explicit FileTensor(const TensorView& view)
      : WeightTensor(view.name, view.shape, view.dtype), view_(view) {}
  std::span<const std::byte> Row(int64_t row) const override { return view_.Row(row); }
  void DecodeRow(int64_t row, std::span<float> out) const override { view_.DecodeRow(row, out); }

 private:
  TensorView view_;
};

// A tensor whose rows a GGUF file stores in GGUF's own order. The tensor may also be a bias, whose
// values are stored in this order. Within a head, HF's order is (2, d/2), and GGUF's order is
// (d/2, 2).
class DepermutedTensor : public WeightTensor {
 public:
  DepermutedTensor(std::unique_ptr<const WeightTensor> stored, int64_t heads)
      : WeightTensor(stored->name, stored->shape, stored->dtype),
        stored_(std::move(stored)),
        head_dim_(shape[0] / heads) {}

  std::span<const std::byte> Row(int64_t row) const override {
    if (shape.size() < 2) return {};
    return stored_->Row(Place(row));
  }
  void DecodeRow(int64_t row, std::span<float> out) const override {
    if (shape.size() >= 2) return stored_->DecodeRow(Place(row), out);
    std::vector<float> values(out.size());
    stored_->DecodeRow(row, values);
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = values[static_cast<size_t>(Place(static_cast<int64_t>(i)))];
  }

 private:
  int64_t Place(int64_t row) const {
    const int64_t head = row / head_dim_, in_head = row % head_dim_, half = head_dim_ / 2;
    return head * head_dim_ + (in_head % half) * 2 + in_head / half;
  }

  std::unique_ptr<const WeightTensor> stored_;
  int64_t head_dim_;
};

}  // namespace

std::unique_ptr<const WeightTensor> OpenTensor(const TensorView& view) {
  auto tensor = std::make_unique<const FileTensor>(view);
  if (view.permuted_heads == 0) return tensor;
  return std::make_unique<const DepermutedTensor>(std::move(tensor), view.permuted_heads);
}

Result<std::unique_ptr<const WeightTensor>> CheckpointWeights::Open(
    const std::string& name, std::span<const int64_t> shape) const {
  TRY_ASSIGN(const TensorView* view, checkpoint_.Require(name, shape));
  return OpenTensor(*view);
}

void CheckpointWeights::Release(const std::string& name) const {
  const TensorView* view = checkpoint_.Find(name);
  if (view == nullptr) return;
  checkpoint_.Drop(*view);
  if (released_) released_(std::ssize(view->bytes));
}

std::span<const float> ValuesTensor::At(int64_t row) const {
  return std::span(values_).subspan(static_cast<size_t>(row * cols()), static_cast<size_t>(cols()));
}
std::span<const std::byte> ValuesTensor::Row(int64_t row) const { return std::as_bytes(At(row)); }
void ValuesTensor::DecodeRow(int64_t row, std::span<float> out) const {
  std::ranges::copy(At(row), out.begin());
}

}  // namespace merope
