// Reads the intermediate results of a model that another program ran. Used by TraceLayers, on its
// thread.
//
// A safetensors file: for each prompt, "<id>.ids", I32 (tokens), and for each point that the
// program knows, "<id>.<point>", F32, BF16 or F16 (tokens, width):
// "report-01.layers.3.self_attn.q_proj".
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"
#include "checkpoint/config.h"
#include "checkpoint/safetensors.h"
#include "verify/prompts.h"

namespace merope {

class LayerFile {
 public:
  // Errors: no such file, not safetensors, no prompt, ids that the model does not have, a prompt
  // longer than the context, a tensor of no prompt.
  static Result<std::unique_ptr<LayerFile>> Open(const std::string& path,
                                                 const ModelConfig& config);

  const std::string& path() const { return file_.path(); }
  const std::vector<VerifyPrompt>& prompts() const { return prompts_; }  // in the order of the file
  // Tells whether a point is known; used to refuse names of no point.
  Status CheckPoints(const std::vector<std::string>& points) const;
  // The rows [begin, end) of the point; nullopt if the file lacks it. Error: another shape.
  Result<std::optional<std::vector<float>>> Rows(const VerifyPrompt& prompt, std::string_view point,
                                                 int64_t begin, int64_t end, int64_t width) const;

 private:
  LayerFile(MappedFile file, std::map<std::string, SafetensorsEntry> tensors)
      : file_(std::move(file)), tensors_(std::move(tensors)) {}

  MappedFile file_;
  std::map<std::string, SafetensorsEntry> tensors_;
  std::vector<VerifyPrompt> prompts_;
};

}  // namespace merope
