// Weights that a back end loads or a file receives. A WeightSource opens tensors by Hugging Face's
// names. A WeightTensor gives its rows as fp32 values or in their stored form. Some sources and
// tensors change another source or tensor: here they change the order of rows, in model/rotation.h
// they rotate the weights. Each of them holds the source or tensor that it changes, so changes can
// be combined. The loading thread uses sources. Several threads may read the rows of one tensor.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "base/dtype.h"
#include "base/error.h"
#include "checkpoint/checkpoint.h"

namespace merope {

class WeightTensor {
 public:
  // dtype: the type of the rows that Row returns; F32 if the rows are computed.
  WeightTensor(std::string tensor_name, std::vector<int64_t> tensor_shape, DType tensor_dtype)
      : name(std::move(tensor_name)), shape(std::move(tensor_shape)), dtype(tensor_dtype) {}
  virtual ~WeightTensor() = default;
  WeightTensor(const WeightTensor&) = delete;
  WeightTensor& operator=(const WeightTensor&) = delete;

  const std::string name;
  const std::vector<int64_t> shape;  // (out_features, in_features) or (n)
  const DType dtype;

  int64_t rows() const { return shape.size() < 2 ? 1 : shape[0]; }
  int64_t cols() const { return shape.back(); }
  int64_t elements() const { return rows() * cols(); }

  // The stored bytes of a row. Empty if rows are computed.
  virtual std::span<const std::byte> Row(int64_t row) const = 0;
  // Converts a row to fp32 (out: cols() values).
  virtual void DecodeRow(int64_t row, std::span<float> out) const = 0;
};

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  // True if the weights are rotated (model/rotation.h). The source then has the tensor
  // kSignsTensor.
  virtual bool rotated() const = 0;
  // Errors: no such tensor, another shape, or, if Open computes the values, a value in the file
  // that is not finite. The tensor must not outlive the source.
  virtual Result<std::unique_ptr<const WeightTensor>> Open(
      const std::string& name, std::span<const int64_t> shape) const = 0;
  // Call Release after the tensor is read and destroyed. The source may then drop the data that the
  // tensor was read from.
  virtual void Release(const std::string& name) const = 0;
};

// The tensors of a checkpoint in HF's form: the rows of q and k in a GGUF file are put in HF's
// order.
class CheckpointWeights : public WeightSource {
 public:
  // released, if set, is called with the bytes of each tensor that is released.
  explicit CheckpointWeights(const Checkpoint& checkpoint,
                             std::function<void(int64_t bytes)> released = {})
      : checkpoint_(checkpoint), released_(std::move(released)) {}

  bool rotated() const override { return checkpoint_.config().dtype == DType::kInt8; }
  Result<std::unique_ptr<const WeightTensor>> Open(const std::string& name,
                                                   std::span<const int64_t> shape) const override;
  void Release(const std::string& name) const override;

 private:
  const Checkpoint& checkpoint_;
  std::function<void(int64_t bytes)> released_;
};

// A tensor of a file, with rows in HF's order. The file must outlive the tensor.
std::unique_ptr<const WeightTensor> OpenTensor(const TensorView& view);

// A tensor of values in memory.
class ValuesTensor : public WeightTensor {
 public:
  ValuesTensor(std::string tensor_name, std::vector<int64_t> tensor_shape,
               std::vector<float> tensor_values)
      : WeightTensor(std::move(tensor_name), std::move(tensor_shape), DType::kF32),
        values_(std::move(tensor_values)) {}
  std::span<const std::byte> Row(int64_t row) const override;
  void DecodeRow(int64_t row, std::span<float> out) const override;

 private:
  std::span<const float> At(int64_t row) const;
  std::vector<float> values_;
};

}  // namespace merope
