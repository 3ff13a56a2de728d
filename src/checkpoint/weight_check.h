// Compares the tensors that the config requires with the tensors in the files. This is the weight
// check of the reference report: the public adaptation report of Pleias-RAG-350M on an Ascend NPU.
// `merope inspect` and `merope report` call CheckWeights, which starts its own threads.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace merope {

struct ExpectedTensor {
  std::string name;
  std::vector<int64_t> shape;
};
// Every tensor that a checkpoint of this config must hold, in HF's order. lm_head.weight is
// included only if the head is not tied. kSignsTensor is included for INT8.
std::vector<ExpectedTensor> ExpectedTensors(const ModelConfig& config);

struct FileHash {
  std::string file;    // relative to the checkpoint
  std::string sha256;  // hex
  int64_t bytes = 0;
};

struct WeightReport {
  int64_t expected_tensors = 0, found_tensors = 0;
  int64_t expected_parameters = 0, parameters = 0;
  int64_t bytes = 0;                                    // of tensor data
  std::vector<std::pair<std::string, int64_t>> dtypes;  // dtype name, number of tensors
  bool tied = false;
  std::vector<std::string> missing, extra,
      wrong_shape;                   // one text per tensor: name, expected, found
  std::vector<std::string> ignored;  // tensors in the files that are neither needed nor wrong
  std::vector<std::string> notes;    // where the weights overrule the config
  int64_t nan_count = 0, inf_count = 0;
  std::vector<std::string> not_finite;  // names of the tensors with NaN or Inf
  std::vector<FileHash> files;
  bool ok() const {
    return missing.empty() && extra.empty() && wrong_shape.empty() && nan_count == 0 &&
           inf_count == 0;
  }
};

// The tensor of an INT8 checkpoint that holds the signs of the rotation of its weights.
inline constexpr const char* kSignsTensor = "model.rotation_signs";

// Looks for NaN and infinity in every weight, and hashes every file. Uses n_threads threads, or
// DefaultThreads() if n_threads is 0. progress(done, total) counts the bytes of the tensors plus
// the bytes of the files.
Result<WeightReport> CheckWeights(const Checkpoint& checkpoint,
                                  const std::function<void(int64_t, int64_t)>& progress = {},
                                  int n_threads = 0);

}  // namespace merope
