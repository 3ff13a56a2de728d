// A model on disk: a Hugging Face directory (config.json, safetensors, tokenizer.json) or one GGUF
// file. A Checkpoint opens, checks and memory-maps the files, and owns the mappings. Tensors and
// spans of bytes are views into the mappings. The loading thread opens and uses a Checkpoint.
// Meanwhile, a second thread may call LoadTokenizer.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/mapped_file.h"
#include "checkpoint/config.h"
#include "checkpoint/tensor_view.h"
#include "text/tokenizer.h"

namespace merope {

// Pairs of a name and a text. The name is the one that chat templates use ("bos_token"). Only
// tokens that exist are listed.
using SpecialTokens = std::vector<std::pair<std::string, std::string>>;

// A chat template as stored. prompt/chat_template.h parses it.
struct ChatTemplateSource {
  std::string text;
  std::string file;                     // name of the source in errors
  std::optional<std::string> tool_use;  // a second template, for conversations with tools
  SpecialTokens special_tokens = {};
};

enum class CheckpointFormat : uint8_t { kSafetensors, kGguf };

class Checkpoint {
 public:
  // path: a directory, or a .gguf file. Every structural fault of the files is an error. Missing or
  // mis-shaped tensors are not errors here: CheckWeights finds them, and Require refuses them.
  static Result<Checkpoint> Open(const std::string& path);

  Checkpoint(Checkpoint&&) noexcept;
  Checkpoint& operator=(Checkpoint&&) noexcept;
  ~Checkpoint();

  const std::string& path() const;
  CheckpointFormat format() const;
  const ModelConfig& config() const;
  // Sets max_position_embeddings to `tokens`. tokens: 1 to the present max_position_embeddings.
  Status LimitContext(int64_t tokens);
  std::span<const TensorView> tensors() const;  // in the files' order
  const TensorView* Find(std::string_view name) const;
  // The tensor with this name and shape. The error says the expected shape and the shape in the
  // file.
  Result<const TensorView*> Require(std::string_view name, std::span<const int64_t> shape) const;
  std::span<const MappedFile> files() const;  // the files that hold the weights
  // Tensors in the files that are not needed and not in tensors(). The reason is given if it is not
  // obvious.
  std::span<const std::string> ignored() const;
  // Texts for people: where the weights overrule the config.
  std::span<const std::string> notes() const;
  // Tells the kernel that the mapped pages of this tensor are not needed any more.
  void Drop(const TensorView& tensor) const;

  // True if the files hold a tokenizer of any kind. LoadTokenizer refuses the kinds that it cannot
  // read.
  bool has_tokenizer() const;
  // Reads tokenizer.json, or the vocabulary of the GGUF file.
  Result<Tokenizer> LoadTokenizer() const;
  std::optional<ChatTemplateSource> chat_template() const;  // nullopt: there is none
  const SpecialTokens& special_tokens() const;              // from the tokenizer's configuration
  std::string bos_token() const;                            // as text; empty if there is none
  std::string eos_token() const;
  std::string pad_token() const;
  std::string unk_token() const;
  // A text for people: the file and field that decide whether a prompt gets the tokenizer's prefix
  // (BOS) by default.
  const std::string& bos_rule() const;

 private:
  struct State;
  explicit Checkpoint(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Copies to another directory the data from which LoadTokenizer, the chat template and the
// generation defaults are read. For a directory, CopyTokenizer copies the files. For a GGUF file,
// CopyTokenizer writes tokenizer.gguf: the GGUF file without its tensors. `merope quantize` calls
// CopyTokenizer.
Status CopyTokenizer(const Checkpoint& checkpoint, const std::string& directory);

// Loads only the tokenizer, from a directory with a tokenizer.json or tokenizer.gguf, or from a
// GGUF file. The GGUF file may have another architecture or no weights.
Result<Tokenizer> LoadTokenizerFrom(const std::string& path);

}  // namespace merope
