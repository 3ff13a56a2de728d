// A model on disk: a Hugging Face directory (config.json, safetensors, tokenizer.json) or one GGUF
// file, opened, checked and memory-mapped. Owns the mappings; everything handed out is a view into
// them. Used by the loading thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"
#include "checkpoint/config.h"
#include "checkpoint/tensor_view.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace merope {

enum class CheckpointFormat : uint8_t { kSafetensors, kGguf };

class Checkpoint {
 public:
  // path: a directory, or a .gguf file. Every structural fault of the files is an error here;
  // missing or mis-shaped tensors are not: CheckWeights finds them, and Require refuses them.
  static Result<Checkpoint> Open(const std::string& path);

  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;
  ~Checkpoint();

  const std::string& path() const;
  CheckpointFormat format() const;
  const ModelConfig& config() const;
  // The model is one of a context of so many tokens from here on: 1 to max_position_embeddings.
  Status LimitContext(int64_t tokens);
  std::span<const TensorView> tensors() const;  // in the files' order
  const TensorView* Find(std::string_view name) const;
  // The tensor of that name and shape; the error says what was expected and found.
  Result<const TensorView*> Require(std::string_view name, std::span<const int64_t> shape) const;
  std::span<const MappedFile> files() const;  // of weights
  // Tensors in the files that are not needed and not handed out, with the reason where it is not
  // plain.
  std::span<const std::string> ignored() const;
  // Where the weights decided against the config, for people.
  std::span<const std::string> notes() const;
  // The mapped pages of this tensor are not needed any more.
  void Drop(const TensorView& tensor) const;

  // Whether the files hold a tokenizer of any kind; LoadTokenizer refuses those that it cannot
  // read.
  bool has_tokenizer() const;
  // tokenizer.json, or the GGUF's vocabulary.
  Result<Tokenizer> LoadTokenizer() const;
  // nullopt where the checkpoint carries none. The special token texts are those of the tokenizer
  // configuration.
  Result<std::optional<ChatTemplate>> LoadChatTemplate() const;
  const SpecialTokens& special_tokens() const;
  std::string bos_token() const;  // as text; empty where there is none
  std::string eos_token() const;
  std::string pad_token() const;
  std::string unk_token() const;
  // Whether a prompt gets the tokenizer's prefix (BOS) by default, and which file says so, for
  // people.
  const std::string& bos_rule() const;

 private:
  struct State;
  explicit Checkpoint(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Writes what LoadTokenizer, LoadChatTemplate and the generation defaults are read from into
// another directory: the files, or of a GGUF file all but its tensors, as tokenizer.gguf.
Status CopyTokenizer(const Checkpoint& checkpoint, const std::string& directory);

// The tokenizer alone: of a directory with a tokenizer.json, or of a GGUF file, be it of another
// architecture or without weights.
Result<Tokenizer> LoadTokenizerFrom(const std::string& path);

}  // namespace merope
