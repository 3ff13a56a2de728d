// A llama model out of a GGUF file: its hyperparameters, HF's names for its tensors, its
// vocabulary.
#pragma once

#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoint/config.h"
#include "checkpoint/gguf.h"
#include "checkpoint/tensor_view.h"
#include "text/tokenizer.h"

namespace merope {

// Refuses split files and architectures other than llama by name.
Result<ModelConfig> GgufConfig(const GgufFile& gguf);
// The tensors under HF's names; those that the config has taken up (rope_freqs) go to *ignored. A
// name that is no llama tensor's stays as it is.
std::vector<TensorView> GgufTensors(const GgufFile& gguf, const ModelConfig& config,
                                    std::vector<std::string>* ignored);
// Also for files of another architecture, or of a vocabulary alone.
Result<GgufVocabulary> ReadGgufVocabulary(const GgufFile& gguf);

}  // namespace merope
