// A forward pass as a plan: the recorded ops, fused into a few steps (fuse.h). A team of threads
// runs the steps together. The threads synchronize only where one thread needs data that another
// thread has written. The CPU back end makes a plan at load and runs it in each step; the thread
// that calls the back end is thread 0 of the team.
//
// A step of few rows is split by panels of the weights. Every thread prepares the product's whole
// input for itself, which is cheaper than to synchronize. A step of many rows is split by rows.
// Each thread takes its own rows from product to product and synchronizes only around attention.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "backend/cpu/fuse.h"
#include "backend/cpu/ops.h"
#include "backend/matrix.h"
#include "backend/step.h"
#include "base/threads.h"

namespace merope::cpu {

class CpuPlan : public Plan {
 public:
  // Takes any ops. All attention ops must have the same number of query heads per K/V head.
  CpuPlan(const std::vector<Op>& recorded, const PlanLimits& limits, const KvShape& kv,
          Ops& cpu_ops, ThreadTeam& team);

  void Run();  // on the current step of cpu_ops

 private:
  struct Scratch {
    PageArray<uint32_t> input;     // the prepared rows of a product
    PageArray<float> row;          // a row after norms and Hadamard transforms
    PageArray<float> gate, up;     // (rows, panel)
    PageArray<uint32_t> unpacked;  // one panel in plain form
    AttentionScratch attention;
  };

  void RunThread(int thread);
  void RunOp(const FusedStep& step, int thread);
  void RunProduct(const FusedStep& step, int thread);
  void RunPanels(const FusedStep& step, const ProductInput& input, Range rows, Range panels,
                 Scratch& scratch);
  void RunAttention(const FusedStep& step, int thread);
  // Normalizes and rotates heads of q and k in one of the step's rows.
  void FinishHeads(const FusedStep& step, const Tensor& q, const Tensor& k, int64_t row) const;
  void StoreKv(int64_t layer, const Tensor& k, const Tensor& v, int thread) const;
  // Takes the step's items that no other thread has taken. Calls prepare(item), then attention.
  template <class Prepare>
  void Attend(const FusedStep& step, int64_t layer, const Tensor& q, float scale, const Tensor& out,
              int thread, const Prepare& prepare);
  void SetGroup(const Tensor& q, const KvShape& kv);
  int64_t MostByPanels() const;  // maximum rows of a step split by panels
  int64_t Rows(const FusedStep& step) const;
  bool ByRows(const FusedStep& step) const;

  Ops& ops_;
  ThreadTeam& team_;
  std::vector<FusedStep> steps_;
  std::vector<Scratch> scratch_;                // one per thread
  int64_t kv_heads_, group_ = 0;                // group_: query heads per K/V head; 0: no attention
  int64_t row_unit_;                            // rows are split at multiples of this number
  std::vector<AttentionItem> items_;            // of the current step
  std::vector<std::atomic<size_t>> next_item_;  // (steps), used by attention steps
  // For each product, how many of each thread's panels are begun (steps, threads). A thread that
  // has finished its own panels takes panels of another thread, because threads do not read memory
  // equally fast.
  struct alignas(64) Begun {
    std::atomic<int64_t> panels = 0;
  };
  std::vector<Begun> begun_;
};

}  // namespace merope::cpu
