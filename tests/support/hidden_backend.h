// A back end whose memory the host cannot read. It implements backend.h only. Its handles are
// addresses of pages without access; the CPU back end holds the real data. FinishCopies performs
// all copies, as late as backend.h allows. PlanRows asks for plans for several numbers of rows.
// Allocations fail after a chosen number.
#pragma once

#include <sys/mman.h>

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "backend/registry.h"

namespace merope {

class HiddenBackend : public Backend {
 public:
  // allocations: the number of allocations that succeed.
  explicit HiddenBackend(const BackendOptions& options, int64_t allocations = 1 << 20)
      : inner_(MakeCpuBackend(options)), allocations_(allocations) {}
  ~HiddenBackend() override {
    for (const auto& [handle, region] : regions_) munmap(handle, region.bytes);
  }

  std::string name() const override { return "hidden " + inner_->name(); }
  Precision precision() const override { return inner_->precision(); }
  bool Supports(Precision precision, OpKind op) const override {
    return inner_->Supports(precision, op);
  }

  Result<Tensor> Allocate(int64_t rows, int64_t cols) override {
    if (allocations_-- <= 0) return Err("hidden memory: expected some, found none");
    TRY_ASSIGN(const Tensor tensor, inner_->Allocate(rows, cols));
    return Hide(tensor);
  }
  int64_t AvailableBytes() const override { return int64_t{64} << 20; }
  WeightSummary weights() const override { return inner_->weights(); }
  Result<const Matrix*> LoadMatrix(
      std::span<const MatrixPart> parts, Stacking stacking,
      const std::function<void(const WeightTensor&)>& consumed) override {
    if (allocations_-- <= 0) return Err("hidden memory: expected some, found none");
    return inner_->LoadMatrix(parts, stacking, consumed);
  }
  Result<Tensor> LoadVector(const WeightTensor& vector) override {
    if (allocations_-- <= 0) return Err("hidden memory: expected some, found none");
    TRY_ASSIGN(const Tensor tensor, inner_->LoadVector(vector));
    return Hide(tensor);
  }
  Result<std::unique_ptr<KvMemory>> AllocateKv(const KvShape& shape, int64_t n_pages) override {
    if (allocations_-- <= 0) return Err("hidden memory: expected some, found none");
    auto hidden = std::make_unique<HiddenKv>();
    TRY_ASSIGN(hidden->inner, inner_->AllocateKv(shape, n_pages));
    hidden->shape = shape;
    hidden->n_pages = n_pages;
    return hidden;
  }
  int64_t KvTokenBytes(const KvShape& shape) const override { return inner_->KvTokenBytes(shape); }
  void CopyKvPage(KvMemory& kv, int32_t from, int32_t to) override {
    inner_->CopyKvPage(*static_cast<HiddenKv&>(kv).inner, from, to);
  }

  void StartCopyOut(const Tensor& from, std::span<float> to) override {
    copies_.emplace_back(Real(from), to);
  }
  void FinishCopies() override {
    for (const auto& [from, to] : copies_) inner_->CopyOut(from, to);
    copies_.clear();
  }

  void BeginStep(const Step& step) override {
    Step inner = step;
    if (step.kv != nullptr) inner.kv = static_cast<HiddenKv*>(step.kv)->inner.get();
    inner_->BeginStep(inner);
  }
  void EndStep() override { inner_->EndStep(); }
  std::vector<int64_t> PlanRows(int64_t most) const override {
    std::vector<int64_t> rows;
    for (int64_t n = 1; n < most; n *= 4) rows.push_back(n);
    rows.push_back(most);
    return rows;
  }
  std::unique_ptr<Plan> Capture(const PlanLimits& limits, const KvShape& kv,
                                const std::function<void()>& forward) override {
    return inner_->Capture(limits, kv, forward);
  }
  void Replay(Plan& plan) override { inner_->Replay(plan); }

  void Run(const Op& op) override {
    Op real = op;
    for (Tensor* tensor : {&real.x, &real.y, &real.z, &real.out}) *tensor = Real(*tensor);
    inner_->Run(real);
  }

 private:
  struct HiddenKv : KvMemory {
    std::unique_ptr<KvMemory> inner;
  };
  struct Region {
    size_t bytes = 0;
    float* real = nullptr;
  };

  Tensor Hide(const Tensor& real) {
    const size_t bytes = static_cast<size_t>(real.rows * real.stride) * sizeof(float);
    void* handle =
        mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK(handle != MAP_FAILED);
    regions_[static_cast<float*>(handle)] = {bytes, real.data};
    return {static_cast<float*>(handle), real.rows, real.cols, real.stride};
  }
  Tensor Real(const Tensor& hidden) const {
    if (hidden.data == nullptr) return hidden;
    const auto region = std::prev(regions_.upper_bound(hidden.data));
    Tensor real = hidden;
    real.data = region->second.real + (hidden.data - region->first);
    return real;
  }

  std::unique_ptr<Backend> inner_;
  int64_t allocations_;
  std::map<float*, Region> regions_;
  std::vector<std::pair<Tensor, std::span<float>>> copies_;
};

}  // namespace merope
