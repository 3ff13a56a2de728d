#include "checkpoint/checkpoint.h"

#include <algorithm>
#include <filesystem>
#include <unordered_map>
#include <utility>

#include "checkpoint/contents.h"

namespace merope {
namespace {

enum class Kind : uint8_t { kDirectory, kGguf };

std::string TokenOf(const SpecialTokens& tokens, std::string_view name) {
  const auto found = std::ranges::find(tokens, name, &SpecialTokens::value_type::first);
  return found == tokens.end() ? "" : found->second;
}

// Decides by the type of the path and, for a file, by the ending of the name.
Result<Kind> KindOf(const std::string& path) {
  std::error_code error;
  const auto status = std::filesystem::status(path, error);
  if (!std::filesystem::exists(status))
    return Err(
        "{}: no such file or directory; expected a Hugging Face model's directory or a .gguf "
        "file",
        path);
  if (std::filesystem::is_directory(status)) return Kind::kDirectory;
  if (path.ends_with(".safetensors") || path.ends_with(".json"))
    return Err("{}: expected a directory or a .gguf file: name the directory that holds it", path);
  for (const char* ending : {".bin", ".pt", ".pth", ".ckpt"}) {
    if (path.ends_with(ending))
      return Err(
          "{}: PyTorch pickles are not supported (they can run code): convert the model with "
          "transformers' save_pretrained, which writes model.safetensors",
          path);
  }
  if (path.ends_with(".onnx") || path.ends_with(".model"))
    return Err("{}: expected a Hugging Face model's directory or a .gguf file", path);
  return Kind::kGguf;
}

}  // namespace

struct Checkpoint::State {
  CheckpointContents contents;
  std::unordered_map<std::string_view, const TensorView*> by_name;
};

Result<Checkpoint> Checkpoint::Open(const std::string& path) {
  TRY_ASSIGN(const Kind kind, KindOf(path));
  auto state = std::make_unique<State>();
  TRY_ASSIGN(state->contents, kind == Kind::kDirectory ? OpenDirectory(path) : OpenGguf(path));
  for (const TensorView& tensor : state->contents.tensors) {
    if (!state->by_name.emplace(tensor.name, &tensor).second)
      return Err("{}: tensor \"{}\": expected once, found twice", path, tensor.name);
  }
  return Checkpoint(std::move(state));
}

Checkpoint::Checkpoint(std::unique_ptr<State> state) : state_(std::move(state)) {}
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;
Checkpoint::~Checkpoint() = default;

const std::string& Checkpoint::path() const { return state_->contents.path; }
CheckpointFormat Checkpoint::format() const { return state_->contents.format; }
const ModelConfig& Checkpoint::config() const { return state_->contents.config; }
Status Checkpoint::LimitContext(int64_t tokens) {
  int64_t& context = state_->contents.config.max_position_embeddings;
  if (tokens < 1 || tokens > context)
    return Err(
        "max_model_len: expected 1 to {} (the checkpoint's max_position_embeddings), found {}",
        context, tokens);
  context = tokens;
  return {};
}
std::span<const TensorView> Checkpoint::tensors() const { return state_->contents.tensors; }
std::span<const MappedFile> Checkpoint::files() const { return state_->contents.files; }
std::span<const std::string> Checkpoint::ignored() const { return state_->contents.ignored; }
std::span<const std::string> Checkpoint::notes() const { return state_->contents.notes; }
bool Checkpoint::has_tokenizer() const { return state_->contents.has_tokenizer; }
const SpecialTokens& Checkpoint::special_tokens() const { return state_->contents.special_tokens; }
std::string Checkpoint::bos_token() const { return TokenOf(special_tokens(), "bos_token"); }
std::string Checkpoint::eos_token() const { return TokenOf(special_tokens(), "eos_token"); }
std::string Checkpoint::pad_token() const { return TokenOf(special_tokens(), "pad_token"); }
std::string Checkpoint::unk_token() const { return TokenOf(special_tokens(), "unk_token"); }
const std::string& Checkpoint::bos_rule() const { return state_->contents.bos_rule; }

const TensorView* Checkpoint::Find(std::string_view name) const {
  const auto found = state_->by_name.find(name);
  return found == state_->by_name.end() ? nullptr : found->second;
}

Result<const TensorView*> Checkpoint::Require(std::string_view name,
                                              std::span<const int64_t> shape) const {
  const TensorView* tensor = Find(name);
  if (tensor == nullptr)
    return Err("{}: tensor \"{}\": expected shape ({}), found no such tensor", path(), name,
               fmt::join(shape, ", "));
  if (!std::equal(shape.begin(), shape.end(), tensor->shape.begin(), tensor->shape.end()))
    return Err("{}: tensor \"{}\": expected shape ({}), found ({})", path(), name,
               fmt::join(shape, ", "), fmt::join(tensor->shape, ", "));
  return tensor;
}

void Checkpoint::Drop(const TensorView& tensor) const {
  for (const MappedFile& file : files()) {
    const auto all = file.bytes();
    const auto* begin = tensor.bytes.data();
    if (begin >= all.data() && begin < all.data() + all.size()) return file.Drop(tensor.bytes);
  }
}

Result<Tokenizer> Checkpoint::LoadTokenizer() const {
  return format() == CheckpointFormat::kGguf ? LoadGgufTokenizer(files().front())
                                             : LoadDirectoryTokenizer(path());
}

std::optional<ChatTemplateSource> Checkpoint::chat_template() const {
  const CheckpointContents& contents = state_->contents;
  if (!contents.chat_template) return std::nullopt;
  return ChatTemplateSource{.text = *contents.chat_template,
                            .file = contents.chat_template_file,
                            .tool_use = contents.tool_use_template,
                            .special_tokens = contents.special_tokens};
}

Result<Tokenizer> LoadTokenizerFrom(const std::string& path) {
  TRY_ASSIGN(const Kind kind, KindOf(path));
  if (kind == Kind::kDirectory) return LoadDirectoryTokenizer(path);
  TRY_ASSIGN(const MappedFile file, MappedFile::Open(path));
  return LoadGgufTokenizer(file);
}

}  // namespace merope
