// A checkpoint quantized once, for good: the same integers that loading it with that dtype makes,
// in a directory of its own. Called by `merope quantize`, on its thread.
//
//   config.json         the model's, with quantization_config: what was done, and by which version
//   model.safetensors   matrices as rows of blocks (checkpoint/integer_blocks.h), U8; norms and
//                       biases in F32. Of int8 turned (rotation.h), with the signs, norms' gains
//                       folded into the matrices after them
//   tokenizer files     as they were; of a GGUF file tokenizer.gguf, all of it but its tensors
#pragma once

#include <string>

#include "backend/matrix.h"
#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "model/llama_weights.h"

namespace merope {

struct QuantizeOptions {
  Precision precision = Precision::kInt8;  // or kInt4
  int threads = 0;                         // 0: DefaultThreads()
  bool force = false;                      // replace a checkpoint that is there
};

struct QuantizeResult {
  int64_t source_bytes = 0, bytes = 0;  // of weights
};

// Written beside the directory under another name, which it gets when it is whole; what fails
// leaves nothing behind.
Result<QuantizeResult> Quantize(const Checkpoint& checkpoint, const std::string& directory,
                                const QuantizeOptions& options, const LoadProgress& progress = {});

}  // namespace merope
