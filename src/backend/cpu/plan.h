// A forward pass as a plan: the ops that were recorded, fused into a few steps that one team of
// threads walks through together. Each product takes its norm before it and its rotation, gate or
// residual sum after it into one step; the threads meet only where one needs what another wrote.
//
// A step of few rows is split by panels of the weights: every thread prepares the product's input
// for itself, which is cheaper than meeting. One of many rows is split by rows: each thread takes
// its own from product to product, meeting only around attention.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "backend/cpu/ops.h"
#include "backend/matrix.h"
#include "backend/step.h"
#include "base/threads.h"

namespace merope::cpu {

struct Op {
  enum class Kind : uint8_t {
    kEmbed,
    kRmsNorm,
    kMatMul,
    kRope,
    kStoreKv,
    kAttention,
    kSwiGlu,
    kHadamard,
    kAdd,
    kGatherRows
  };
  Kind kind = {};
  Tensor x = {}, y = {}, out = {};  // as the seam's parameters; for kStoreKv x is k, y is v
  const PackedMatrix* matrix = nullptr;
  int64_t layer = 0, head_dim = 0, block = 0;
  float value = 0;  // eps, or the scale of scores
  bool inverse = false;
};

// What becomes of a row on its way into a product.
struct RowTurn {
  Tensor norm = {};  // a norm with this gain; or, where data is null, a Hadamard transform
  float eps = 0;
  int64_t block = 0;
  Tensor signs = {};
  bool inverse = false;
};

struct FusedStep {
  enum class Kind : uint8_t { kEmbed, kProduct, kAttention };
  enum class Then : uint8_t { kStore, kAdd, kRope, kSwiGlu };
  Kind kind = {};
  // kProduct: out = Then(turns(x) · matrixᵀ).
  bool gathered = false;  // its rows are the step's logit rows of x
  Tensor x = {};
  std::vector<RowTurn> turns = {};
  const PackedMatrix* matrix = nullptr;  // of kEmbed, too
  Then then = Then::kStore;
  Tensor out = {};
  Tensor turned = {};  // kRope, and kAttention after it: the columns of out to turn
  int64_t head_dim = 0;
  // kAttention: x is q.
  int64_t layer = 0;
  Tensor k = {}, v = {};
  float scale = 0;
};

class CpuPlan : public Plan {
 public:
  // The ops must be those of a forward pass of the Llama kind: others are a broken invariant.
  CpuPlan(const std::vector<Op>& recorded, const PlanLimits& limits, const KvShape& kv,
          Ops& cpu_ops, ThreadTeam& team);

  void Run();  // on the ops' current step

 private:
  struct Scratch {
    PageArray<uint32_t> input;     // a product's prepared rows
    PageArray<float> row;          // turned
    PageArray<float> gate, up;     // (rows, panel)
    PageArray<uint32_t> unpacked;  // a panel in its plain form
    AttentionScratch attention;
  };

  void RunThread(int thread);
  void RunEmbed(const FusedStep& step, int thread);
  void RunProduct(const FusedStep& step, int thread);
  void RunPanels(const FusedStep& step, const ProductInput& input, Range rows, Range panels,
                 Scratch& scratch);
  void RunAttention(const FusedStep& step, int thread);
  int64_t Rows(const FusedStep& step) const;
  bool ByRows(const FusedStep& step) const;

  Ops& ops_;
  ThreadTeam& team_;
  std::vector<FusedStep> steps_;
  std::vector<Scratch> scratch_;                // one a thread
  int64_t kv_heads_, group_ = 1;                // query heads a K/V head
  int64_t row_unit_;                            // at whose multiples threads share rows
  std::vector<AttentionItem> items_;            // of the current step
  std::vector<std::atomic<size_t>> next_item_;  // one a layer
  // Of each product, how many of each thread's panels are begun (steps, threads): who is done with
  // its own goes on with another's, since no two threads read memory equally fast.
  struct alignas(64) Begun {
    std::atomic<int64_t> panels = 0;
  };
  std::vector<Begun> begun_;
};

}  // namespace merope::cpu
