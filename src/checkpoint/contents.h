// What the readers of the two formats hand to Checkpoint. Internal to the layer.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "base/mapped_file.h"
#include "checkpoint/checkpoint.h"

namespace merope {

struct CheckpointContents {
  std::string path;
  CheckpointFormat format = CheckpointFormat::kSafetensors;
  ModelConfig config;
  std::vector<MappedFile> files;  // of weights; the tensors' bytes lie in them
  std::vector<TensorView> tensors;
  std::vector<std::string> ignored, notes;
  bool has_tokenizer = false;
  std::string bos_token, eos_token, pad_token, unk_token, bos_rule;
  std::optional<std::string> chat_template;
  std::string chat_template_file;
};

Result<CheckpointContents> OpenDirectory(const std::string& directory);
Result<CheckpointContents> OpenGguf(const std::string& file);

// The tokenizer, special tokens and chat template that a GGUF file's keys tell.
Status AddGgufText(const MappedFile& file, CheckpointContents* contents);
// A GGUF file without its tensors, beside weights quantized from it.
inline constexpr const char* kVocabularyFile = "tokenizer.gguf";

// tokenizer.json of a directory, and the vocabulary of a GGUF file.
Result<Tokenizer> LoadDirectoryTokenizer(const std::string& directory);
Result<Tokenizer> LoadGgufTokenizer(const MappedFile& file);

// Tensors that checkpoints carry though the config says all about them.
bool IsIgnorable(std::string_view name);

}  // namespace merope
