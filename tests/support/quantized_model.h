// Writes a small Llama with quantized weights as a GGUF file.
#pragma once

#include "base/mapped_file.h"
#include "checkpoint/synth.h"
#include "tests/support/expect.h"
#include "tests/support/gguf_convert.h"
#include "tests/support/gguf_quantize.h"
#include "tests/support/temp_dir.h"

namespace merope {

// Writes a model with random weights into the directory and returns the path of the file.
// type_of(name) is the type of a matrix in the file; a float type means bf16.
inline std::string WriteQuantizedModel(const TempDir& directory, const ModelConfig& config,
                                       float std_dev,
                                       const std::function<DType(const std::string&)>& type_of) {
  const std::string path = directory.File("quantized.gguf");
  const Status made =
      Synthesize(directory.path(), config,
                 {.seed = 3, .dtype = DType::kBF16, .std_dev = std_dev, .force = true});
  EXPECT_TRUE(made) << ErrorOf(made);
  const auto checkpoint = Checkpoint::Open(directory.path());
  EXPECT_TRUE(checkpoint) << ErrorOf(checkpoint);
  uint64_t seed = 20;
  const auto replace = [&](const TensorView& tensor) -> std::optional<GgufMatrix> {
    const DType type = type_of(tensor.name);
    if (!IsQuantized(type)) return std::nullopt;
    return GgufMatrix{GgmlType(type), RandomWeights(type, tensor.elements(), ++seed, std_dev)};
  };
  const Status written = WriteFile(path, ConvertToGguf(*checkpoint, replace).Bytes());
  EXPECT_TRUE(written) << ErrorOf(written);
  return path;
}

}  // namespace merope
