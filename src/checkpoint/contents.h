// The data that the readers of the two formats give to Checkpoint. Internal to this layer. The
// loading thread calls the functions; the thread that reads the tokenizer calls
// LoadDirectoryTokenizer and LoadGgufTokenizer.
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
  std::vector<MappedFile> files;  // the files that hold the weights
  std::vector<TensorView> tensors;
  std::vector<std::string> ignored, notes;
  bool has_tokenizer = false;
  std::string bos_rule;
  SpecialTokens special_tokens;
  std::optional<std::string> chat_template, tool_use_template;
  std::string chat_template_file;
};

Result<CheckpointContents> OpenDirectory(const std::string& directory);
Result<CheckpointContents> OpenGguf(const std::string& file);

// Adds the facts about the tokenizer, the special tokens and the chat template from the keys of a
// GGUF file.
Status AddGgufText(const MappedFile& file, CheckpointContents* contents);
// The name of a GGUF file without tensors. `merope quantize` writes this file beside the weights if
// the original checkpoint was a GGUF file.
inline constexpr const char* kVocabularyFile = "tokenizer.gguf";
// The file in which transformers stores the chat template for conversations with tools.
inline constexpr const char* kToolUseTemplate = "additional_chat_templates/tool_use.jinja";

// Loads the tokenizer from a directory (tokenizer.json or kVocabularyFile), or from the vocabulary
// of a GGUF file.
Result<Tokenizer> LoadDirectoryTokenizer(const std::string& directory);
Result<Tokenizer> LoadGgufTokenizer(const MappedFile& file);

// True for tensors that some checkpoints contain although the config determines their values.
bool IsIgnorable(std::string_view name);

}  // namespace merope
