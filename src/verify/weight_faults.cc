// Faults of the config and of the weights.
#include <algorithm>
#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "backend/weights.h"
#include "verify/fault.h"

namespace merope {
namespace {

using TensorResult = Result<std::unique_ptr<const WeightTensor>>;

std::string MiddleLayer(const ModelConfig& config) {
  return fmt::format("model.layers.{}.", config.num_layers / 2);
}

// Row i of a matrix, or value i of a vector, is that of `place(i)`. The rows of a matrix keep their
// stored form.
using Place = std::function<int64_t(int64_t)>;
class PlacedTensor : public WeightTensor {
 public:
  PlacedTensor(std::unique_ptr<const WeightTensor> stored, Place place)
      : WeightTensor(stored->name, stored->shape, stored->dtype),
        stored_(std::move(stored)),
        place_(std::move(place)) {}
  std::span<const std::byte> Row(int64_t row) const override {
    if (shape.size() < 2) return {};
    return stored_->Row(place_(row));
  }
  void DecodeRow(int64_t row, std::span<float> out) const override {
    if (shape.size() >= 2) return stored_->DecodeRow(place_(row), out);
    std::vector<float> values(out.size());
    stored_->DecodeRow(row, values);
    for (size_t i = 0; i < out.size(); ++i)
      out[i] = values[static_cast<size_t>(place_(static_cast<int64_t>(i)))];
  }

 private:
  std::unique_ptr<const WeightTensor> stored_;
  Place place_;
};

TensorResult Placed(TensorResult tensor, Place place) {
  if (!tensor) return tensor;
  return std::make_unique<const PlacedTensor>(std::move(*tensor), std::move(place));
}

class ConfigFault : public Fault {
 public:
  explicit ConfigFault(std::function<void(ModelConfig*)> change) : change_(std::move(change)) {}
  void ChangeConfig(ModelConfig* config) const override { change_(config); }

 private:
  std::function<void(ModelConfig*)> change_;
};

class FiveBits : public Fault {
 public:
  TensorResult Open(const std::string& name, const OpenTensorByName& open) const override {
    TRY_ASSIGN(std::unique_ptr<const WeightTensor> tensor, open(name));
    if (tensor->shape.size() < 2 || !name.starts_with("model.layers.")) return tensor;
    const int64_t rows = tensor->rows(), cols = tensor->cols();
    std::vector<float> values(static_cast<size_t>(rows * cols));
    const std::array parts = {MatrixPart{tensor.get(), nullptr}};
    for (int64_t row = 0; row < rows; ++row) {
      const std::span out(values.data() + row * cols, static_cast<size_t>(cols));
      TRY(DecodeStackedRow(parts, row, out));
      for (size_t begin = 0; begin < out.size(); begin += kGroup)
        Round(out.subspan(begin, std::min(kGroup, out.size() - begin)));
    }
    return std::make_unique<const ValuesTensor>(name, tensor->shape, std::move(values));
  }

 private:
  static constexpr size_t kGroup = 32;
  static void Round(std::span<float> group) {
    float most = 0;
    for (const float value : group) most = std::max(most, std::fabs(value));
    const float scale = most / 15;  // integers from −15 to 15
    if (scale > 0)
      for (float& value : group) value = std::round(value / scale) * scale;
  }
};

// down_proj's last row is the row before.
class RowOfNeighbour : public Fault {
 public:
  explicit RowOfNeighbour(const ModelConfig& config)
      : matrix_(MiddleLayer(config) + "mlp.down_proj.weight"), last_(config.hidden_size - 1) {}
  TensorResult Open(const std::string& name, const OpenTensorByName& open) const override {
    if (name != matrix_) return open(name);
    return Placed(open(name), [last = last_](int64_t row) { return row == last ? row - 1 : row; });
  }

 private:
  std::string matrix_;
  int64_t last_;
};

class GateUpSwapped : public Fault {
 public:
  explicit GateUpSwapped(const ModelConfig& config) : mlp_(MiddleLayer(config) + "mlp.") {}
  TensorResult Open(const std::string& name, const OpenTensorByName& open) const override {
    for (const char* end : {"weight", "bias"}) {
      const std::string gate = mlp_ + "gate_proj." + end, up = mlp_ + "up_proj." + end;
      if (name == gate) return open(up);
      if (name == up) return open(gate);
    }
    return open(name);
  }

 private:
  std::string mlp_;
};

class NormGainDropped : public Fault {
 public:
  explicit NormGainDropped(const ModelConfig& config)
      : norm_(MiddleLayer(config) + "input_layernorm.weight") {}
  TensorResult Open(const std::string& name, const OpenTensorByName& open) const override {
    TRY_ASSIGN(std::unique_ptr<const WeightTensor> tensor, open(name));
    if (name != norm_) return tensor;
    return std::make_unique<const ValuesTensor>(
        name, tensor->shape, std::vector<float>(static_cast<size_t>(tensor->cols()), 1));
  }

 private:
  std::string norm_;
};

// A rotation of the pairs (2i, 2i + 1) of a head is the rotation of the halves' pairs
// (i, i + d/2), if the head's values are reordered before: RoPE's own result is then reordered,
// too, in q and in k alike, and the scores do not see that. So this fault is a wrong order of rows,
// as a converter makes it.
class RopeInterleaved : public Fault {
 public:
  explicit RopeInterleaved(const ModelConfig& config) : head_dim_(config.head_dim) {}
  TensorResult Open(const std::string& name, const OpenTensorByName& open) const override {
    for (const char* part : {"q_proj.", "k_proj.", "q_norm.", "k_norm."})
      if (name.find(part) != name.npos)
        return Placed(open(name), [d = head_dim_](int64_t row) {
          const int64_t head = row / d, in_head = row % d, half = d / 2;
          return head * d + (in_head % half) * 2 + in_head / half;
        });
    return open(name);
  }

 private:
  int64_t head_dim_;
};

class KvHeadSwapped : public Fault {
 public:
  explicit KvHeadSwapped(const ModelConfig& config)
      : attention_(MiddleLayer(config) + "self_attn."), head_dim_(config.head_dim) {}
  TensorResult Open(const std::string& name, const OpenTensorByName& open) const override {
    for (const char* part : {"k_proj.", "v_proj."})
      if (name.starts_with(attention_ + part))
        return Placed(open(name), [d = head_dim_](int64_t row) {
          return row < d ? row + d : row < 2 * d ? row - d : row;
        });
    return open(name);
  }

 private:
  std::string attention_;
  int64_t head_dim_;
};

}  // namespace

std::unique_ptr<Fault> MakeWeightFault(std::string_view key, const ModelConfig& config) {
  if (key == "weights-5-bit") return std::make_unique<FiveBits>();
  if (key == "row-of-neighbour") return std::make_unique<RowOfNeighbour>(config);
  if (key == "gate-up-swapped") return std::make_unique<GateUpSwapped>(config);
  if (key == "norm-gain-dropped") return std::make_unique<NormGainDropped>(config);
  if (key == "rope-interleaved") return std::make_unique<RopeInterleaved>(config);
  if (key == "kv-head-swapped") return std::make_unique<KvHeadSwapped>(config);
  if (key == "rope-theta")
    return std::make_unique<ConfigFault>(
        [](ModelConfig* c) { c->rope_theta = c->rope_theta == 10'000 ? 500'000 : 10'000; });
  if (key == "eps")  // a GGUF file has 1e-5 as a float, which is a little less
    return std::make_unique<ConfigFault>(
        [](ModelConfig* c) { c->rms_norm_eps = c->rms_norm_eps < 5e-6 ? 1e-5 : 1e-6; });
  return nullptr;
}

}  // namespace merope
