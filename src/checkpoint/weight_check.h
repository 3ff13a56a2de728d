// The weight check of the reference report: what the config says must be there, against what the
// files hold.
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
// Every tensor a checkpoint of this config must hold (lm_head.weight only where the head is not
// tied), in HF's order.
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
  std::vector<std::pair<std::string, int64_t>> dtypes;  // dtype name, tensors of it
  bool tied = false;
  std::vector<std::string> missing, extra,
      wrong_shape;                   // each a sentence's worth: name, expected, found
  std::vector<std::string> ignored;  // tensors in the files that are neither needed nor wrong
  std::vector<std::string> notes;    // where the weights decided against the config
  int64_t nan_count = 0, inf_count = 0;
  std::vector<std::string> not_finite;  // names of the tensors with NaN or Inf
  std::vector<FileHash> files;
  bool ok() const {
    return missing.empty() && extra.empty() && wrong_shape.empty() && nan_count == 0 &&
           inf_count == 0;
  }
};

// Of a checkpoint of INT8: the signs that its weights were turned with.
inline constexpr const char* kSignsTensor = "model.rotation_signs";

// Reads every weight once, on DefaultThreads() where n_threads is 0. progress(done, total) counts
// bytes.
Result<WeightReport> CheckWeights(const Checkpoint& checkpoint,
                                  const std::function<void(int64_t, int64_t)>& progress = {},
                                  int n_threads = 0);

}  // namespace merope
