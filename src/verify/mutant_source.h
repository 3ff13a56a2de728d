// Loads a mutant: a model with one fault planted, alone or as a source of logit rows. Used by the
// self-test, on its thread.
#pragma once

#include <cstdint>
#include <memory>

#include "backend/registry.h"
#include "checkpoint/checkpoint.h"
#include "model/llama.h"
#include "verify/logit_source.h"
#include "verify/mutants.h"
#include "verify/numerics.h"

namespace merope {

struct MutantOptions {
  Numerics numerics;
  KvStorage kv = KvStorage::kAuto;
  int threads = 0;        // 0: DefaultThreads()
  int64_t longest = 0;    // tokens of the longest prompt
  int64_t sequences = 1;  // that the KV cache has room for
};

struct MutantModel {
  std::unique_ptr<Backend> backend;  // first, because the model uses the back end
  std::unique_ptr<Llama> model;
};

// The model on the CPU back end, with the fault of `mutant`; nullptr: no fault, which gives the
// rows of the honest target. Numerics that round every op run on the same kernels: the result of
// each op is rounded afterwards, and in fp16 the weights are rounded before. The checkpoint must
// outlive the source.
Result<MutantModel> LoadMutantModel(const Checkpoint& checkpoint, const Mutant* mutant,
                                    const MutantOptions& options);
Result<std::unique_ptr<LogitSource>> LoadMutant(const Checkpoint& checkpoint, const Mutant* mutant,
                                                const MutantOptions& options);

}  // namespace merope
