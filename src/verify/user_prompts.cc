#include "verify/user_prompts.h"

#include <algorithm>
#include <optional>
#include <string_view>
#include <utility>

#include "base/json.h"
#include "base/mapped_file.h"
#include "base/utf8.h"
#include "prompt/encode_prompt.h"

namespace merope {
namespace {

constexpr int64_t kMostPrompts = 10000;
constexpr size_t kMostBytes = size_t{64} << 20;

Result<std::string> PromptOf(std::string_view line, bool json, const std::string& where) {
  if (!json) {
    if (utf8::ValidPrefix(line) != line.size())
      return Err("{}: expected UTF-8, found other bytes at byte {}", where,
                 utf8::ValidPrefix(line) + 1);
    return std::string(line);
  }
  TRY_ASSIGN(const Json value, ParseJson(line, where));
  if (!value.is_object())
    return Err("{}: expected an object with the text \"prompt\", found {}", where, Describe(value));
  TRY_ASSIGN(std::optional<std::string> text, JsonFields(value, where).String("prompt"));
  if (!text || text->empty())
    return Err("{}: prompt: expected a text, found {}", where, text ? "an empty one" : "none");
  return *std::move(text);
}

}  // namespace

Status AddUserPrompts(const std::string& path, const Tokenizer& tokenizer, int64_t context,
                      std::vector<VerifyPrompt>* prompts) {
  if (path.ends_with(".json"))
    return Err("{}: expected .jsonl or .txt, found .json, whose token ids go with --dump-logits",
               path);
  TRY_ASSIGN(const std::string file, ReadFile(path, kMostBytes));
  const bool json = path.ends_with(".jsonl");
  int64_t n = 0, number = 0;
  for (std::string_view rest = file; !rest.empty();) {
    const size_t length = std::min(rest.find('\n'), rest.size());
    std::string_view line = rest.substr(0, length);
    rest.remove_prefix(std::min(length + 1, rest.size()));
    ++number;
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.find_first_not_of(" \t") == line.npos) continue;
    const std::string where = fmt::format("{}: line {}", path, number);
    if (++n > kMostPrompts)
      return Err("{}: expected at most {} prompts, found more", where, kMostPrompts);
    TRY_ASSIGN(std::string text, PromptOf(line, json, where));
    TRY_ASSIGN(std::vector<int32_t> ids, EncodePrompt(tokenizer, text));
    if (ids.empty()) return Err("{}: expected a prompt, found one without a token", where);
    if (std::ssize(ids) > context) ids.resize(static_cast<size_t>(context));
    prompts->push_back({fmt::format("user-{}", n), "user", "", std::move(text), std::move(ids)});
  }
  if (n == 0) return Err("{}: expected prompts, one a line, found none", path);
  return {};
}

Result<std::vector<VerifyPrompt>> AllPrompts(const Checkpoint& checkpoint,
                                             const Tokenizer& tokenizer, VerifyMode mode,
                                             const std::string& path) {
  TRY_ASSIGN(std::vector<VerifyPrompt> prompts, BuildPrompts(checkpoint, tokenizer, mode));
  if (!path.empty())
    TRY(AddUserPrompts(path, tokenizer, checkpoint.config().max_position_embeddings, &prompts));
  return prompts;
}

}  // namespace merope
