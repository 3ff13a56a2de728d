// From a checkpoint's weights to the panels of a PackedMatrix: decoded, rounded and packed a panel
// at a time, on every thread of the team. Owned by the CPU back end; called by the thread that
// loads.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "backend/backend.h"
#include "backend/cpu/kernels/kernels.h"
#include "backend/cpu/packed.h"
#include "base/aligned.h"
#include "base/threads.h"

namespace merope::cpu {

class Packer {
 public:
  Packer(const MatMulKernels& kernels, ThreadTeam& team);

  // Non-finite weights are an error that names the tensor.
  Result<std::unique_ptr<PackedMatrix>> Pack(std::span<const MatrixPart> parts, Stacking stacking,
                                             WeightForm form);
  // Lets go of the memory that was to take the next packed panels: with what was packed into it so
  // far, where the matrices are gone.
  void DropRoom();

 private:
  // What a matrix's panels are made from.
  enum class Source : uint8_t { kBf16, kIntegers, kValues };
  struct Job {
    std::span<const MatrixPart> parts;
    Source source;
    int64_t stride;  // a row's values, padded to whole steps
    PackedMatrix* matrix;
  };
  struct Thread {
    std::vector<float> values;           // (panel, stride)
    std::vector<const std::byte*> rows;  // (panel) as the checkpoint stores them
    std::vector<uint32_t> plain;         // a bf16 panel that is to be packed
    // Packed panels lie one behind the other, of whatever matrix they are: where each has memory of
    // its own, that begins and ends in pages of the small kind.
    std::shared_ptr<PageArray<uint8_t>> room;
    int64_t used = 0;
    std::vector<std::shared_ptr<const PageArray<uint8_t>>> filled;  // by the current matrix
    int64_t bytes = 0;                                              // of it
  };

  Status PackPanel(const Job& job, int64_t p, Thread& thread) const;
  Status PackBf16(const Job& job, int64_t p, Thread& thread, uint32_t* out) const;
  Status PackIntegers(const Job& job, int64_t p, Thread& thread, uint8_t* out) const;
  Status Decode(const Job& job, int64_t p, Thread& thread) const;
  void Compress(const Job& job, int64_t p, Thread& thread) const;

  const MatMulKernels& kernels_;
  ThreadTeam& team_;
  std::vector<Thread> threads_;
};

}  // namespace merope::cpu
