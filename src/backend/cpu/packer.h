// Turns a checkpoint's weights into the panels of a PackedMatrix. Every thread of the team decodes,
// rounds and packs one panel at a time. The CPU back end owns the packer; the loading thread calls
// it.
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
  // Releases the memory that was to hold the next packed panels. The memory is freed if no matrix
  // has panels in it.
  void DropRoom();

 private:
  // The form of the weights that a matrix's panels are made from.
  enum class Source : uint8_t { kBf16, kIntegers, kValues };
  struct Job {
    std::span<const MatrixPart> parts;
    Source source;
    int64_t stride;  // values per row, padded to whole steps or groups
    PackedMatrix* matrix;
  };
  struct Thread {
    std::vector<float> values;           // (panel, stride)
    std::vector<const std::byte*> rows;  // (panel) as the checkpoint stores them
    std::vector<uint32_t> plain;         // a bf16 panel that is to be packed
    // The memory for packed panels. Panels of all matrices lie one behind the other. If each panel
    // had its own memory, this memory would begin and end in small pages, not in huge pages.
    std::shared_ptr<PageArray<uint8_t>> room;
    int64_t used = 0;
    // The memory that holds panels of the current matrix, and the bytes of these panels.
    std::vector<std::shared_ptr<const PageArray<uint8_t>>> filled;
    int64_t bytes = 0;
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
