// Quantizes a checkpoint once and writes the result into a new directory. A back end makes the same
// integers if it loads the checkpoint with the dtype int8 or int4. The command `merope quantize`
// calls Quantize.
//
//   config.json         the model's config, plus quantization_config: the parameters of the
//                       quantization and the version that made it
//   model.safetensors   matrices as rows of blocks (checkpoint/integer_blocks.h), U8; norms and
//                       biases in F32. For int8, the weights are rotated (rotation.h), the file
//                       also has the signs, and the gains of each layer's norms are folded into
//                       the matrices after the norms
//   tokenizer files     unchanged; from a GGUF file: tokenizer.gguf, the file without its tensors
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
  bool force = false;                      // replace an existing checkpoint
};

struct QuantizeResult {
  int64_t source_bytes = 0, bytes = 0;  // of the weights before and after
};

// Writes into a temporary directory beside `directory`. Renames the temporary directory to
// `directory` when all files are complete. On an error, removes the temporary directory.
Result<QuantizeResult> Quantize(const Checkpoint& checkpoint, const std::string& directory,
                                const QuantizeOptions& options, const LoadProgress& progress = {});

}  // namespace merope
