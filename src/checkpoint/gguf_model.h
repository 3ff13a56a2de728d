// Reads a model from a GGUF file: the hyperparameters, the tensors under HF's names, and the
// vocabulary. Pure functions.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoint/config.h"
#include "checkpoint/gguf.h"
#include "checkpoint/tensor_view.h"
#include "text/tokenizer.h"

namespace merope {

// Refuses split files, models with experts or with attention windows, and other architectures. The
// error names the reason.
Result<ModelConfig> GgufConfig(const GgufFile& gguf);
// The tensors under HF's names. A tensor whose values the config holds (rope_freqs) is not
// returned; its name is added to *ignored. A tensor that no supported architecture has keeps its
// name.
std::vector<TensorView> GgufTensors(const GgufFile& gguf, const ModelConfig& config,
                                    std::vector<std::string>* ignored);
// Also reads files of another architecture, and files with only a vocabulary.
Result<GgufVocabulary> ReadGgufVocabulary(const GgufFile& gguf);

}  // namespace merope
