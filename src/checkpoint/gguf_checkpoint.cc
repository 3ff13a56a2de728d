// Reads a checkpoint from a GGUF file.
#include <filesystem>

#include "checkpoint/contents.h"
#include "checkpoint/gguf.h"
#include "checkpoint/gguf_model.h"

namespace merope {
namespace {

// The text of the token whose id is the value of a key. Empty if there is none.
Result<std::string> TokenText(const GgufFile& gguf, const std::vector<std::string>& tokens,
                              const char* key) {
  if (tokens.empty()) return std::string();
  TRY_ASSIGN(const auto id, gguf.Integer(key, 0, static_cast<int64_t>(tokens.size()) - 1));
  return id ? tokens[static_cast<size_t>(*id)] : std::string();
}

Result<std::string> BosRule(const GgufFile& gguf) {
  const std::string file = std::filesystem::path(gguf.file()).filename().string();
  if (gguf.Has("tokenizer.ggml.add_bos_token")) return file + ": tokenizer.ggml.add_bos_token";
  TRY_ASSIGN(const auto model, gguf.String("tokenizer.ggml.model"));
  return fmt::format("{}: tokenizer.ggml.model \"{}\" (there is no tokenizer.ggml.add_bos_token)",
                     file, model.value_or(""));
}

Status AddText(const GgufFile& gguf, CheckpointContents* contents) {
  contents->has_tokenizer = gguf.Has("tokenizer.ggml.model");
  TRY_ASSIGN(const auto tokens, gguf.Strings("tokenizer.ggml.tokens"));
  for (const auto& [name, key] : {std::pair{"bos_token", "tokenizer.ggml.bos_token_id"},
                                  {"eos_token", "tokenizer.ggml.eos_token_id"},
                                  {"unk_token", "tokenizer.ggml.unknown_token_id"},
                                  // GGUF spells this key "seperator".
                                  {"sep_token", "tokenizer.ggml.seperator_token_id"},
                                  {"pad_token", "tokenizer.ggml.padding_token_id"},
                                  {"cls_token", "tokenizer.ggml.cls_token_id"},
                                  {"mask_token", "tokenizer.ggml.mask_token_id"}}) {
    TRY_ASSIGN(std::string token, TokenText(gguf, tokens, key));
    if (!token.empty()) contents->special_tokens.emplace_back(name, std::move(token));
  }
  TRY_ASSIGN(contents->bos_rule, BosRule(gguf));
  TRY_ASSIGN(contents->chat_template, gguf.String("tokenizer.chat_template"));
  TRY_ASSIGN(contents->tool_use_template, gguf.String("tokenizer.chat_template.tool_use"));
  contents->chat_template_file = gguf.file() + ": tokenizer.chat_template";
  return {};
}

}  // namespace

Status AddGgufText(const MappedFile& file, CheckpointContents* contents) {
  TRY_ASSIGN(const GgufFile gguf, GgufFile::Parse(file.bytes(), file.path()));
  return AddText(gguf, contents);
}

Result<CheckpointContents> OpenGguf(const std::string& file) {
  CheckpointContents contents;
  contents.path = file;
  contents.format = CheckpointFormat::kGguf;
  TRY_ASSIGN(MappedFile mapped, MappedFile::Open(file));
  TRY_ASSIGN(const GgufFile gguf, GgufFile::Parse(mapped.bytes(), file));
  TRY_ASSIGN(contents.config, GgufConfig(gguf));
  if (gguf.tensors().empty())
    return Err("{}: tensor count: expected a model's tensors, found a vocabulary alone", file);
  contents.tensors = GgufTensors(gguf, contents.config, &contents.ignored);
  TRY(AddText(gguf, &contents));
  contents.files.push_back(std::move(mapped));
  return contents;
}

Result<Tokenizer> LoadGgufTokenizer(const MappedFile& file) {
  TRY_ASSIGN(const GgufFile gguf, GgufFile::Parse(file.bytes(), file.path()));
  TRY_ASSIGN(GgufVocabulary vocabulary, ReadGgufVocabulary(gguf));
  return Tokenizer::FromGguf(std::move(vocabulary), file.path());
}

Status CopyTokenizer(const Checkpoint& checkpoint, const std::string& directory) {
  namespace fs = std::filesystem;
  if (checkpoint.format() == CheckpointFormat::kGguf) {
    const MappedFile& file = checkpoint.files().front();
    TRY_ASSIGN(const GgufFile gguf, GgufFile::Parse(file.bytes(), file.path()));
    // Copies the magic, the version, the tensor count, the key count and the keys. The tensor count
    // becomes 0.
    std::string text(reinterpret_cast<const char*>(file.bytes().data()), gguf.directory_at());
    text.replace(8, 8, std::string(8, '\0'));
    return WriteFile(directory + "/" + kVocabularyFile, text);
  }
  for (const char* name :
       {"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
        "chat_template.jinja", kToolUseTemplate, "generation_config.json", kVocabularyFile}) {
    const std::string from = checkpoint.path() + "/" + name;
    std::error_code error;
    if (!fs::exists(from, error)) continue;
    const std::string to = directory + "/" + name;
    fs::create_directories(fs::path(to).parent_path(), error);
    fs::copy_file(from, to, error);
    if (error) return Err("{}: cannot copy to {}: {}", from, directory, error.message());
  }
  return {};
}

}  // namespace merope
