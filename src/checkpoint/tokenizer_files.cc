#include "checkpoint/tokenizer_files.h"

#include <algorithm>
#include <array>
#include <filesystem>
#include <map>
#include <vector>

#include "base/json.h"
#include "base/mapped_file.h"

namespace merope {
namespace {

constexpr std::array<std::string_view, 7> kNames = {
    "bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token", "mask_token"};
constexpr const char *kDecoder = "added_tokens_decoder", *kExtra = "extra_special_tokens",
                     *kOldExtra = "additional_special_tokens",
                     *kOfModel = "model_specific_special_tokens";

// The object of a file, in the order of the file, because tokens are added in this order. Empty if
// the file does not exist.
Result<OrderedJson> ReadObject(const std::string& file) {
  std::error_code error;
  if (!std::filesystem::exists(file, error)) return OrderedJson::object();
  TRY_ASSIGN(const std::string text, ReadFile(file));
  TRY_ASSIGN(const Json json, ParseJson(text, file));
  if (!json.is_object()) return Err("{}: expected an object, found {}", file, Describe(json));
  return OrderedJson::parse(text, nullptr, /*allow_exceptions=*/false);
}

// Reads a token from a string or an object. A string is a special token. special: an object is a
// special token too, whatever its field says.
Result<AddedToken> ReadToken(const OrderedJson& ordered, bool special, const std::string& where) {
  const Json json = ordered;
  AddedToken token;
  if (json.is_string()) {
    token.content = json.get<std::string>();
    token.special = true;
    return token;
  }
  if (!json.is_object()) return Err("{}: expected a token, found {}", where, Describe(json));
  const JsonFields fields(json, where);
  const auto flag = [&](const char* field, bool otherwise, bool* value) -> Status {
    TRY_ASSIGN(const auto found, fields.Bool(field));
    *value = found.value_or(otherwise);
    return {};
  };
  TRY_ASSIGN(auto content, fields.String("content"));
  if (!content) return Err("{}: content: expected a string, found nothing", where);
  token.content = *std::move(content);
  TRY(flag("special", false, &token.special));
  token.special |= special;
  TRY(flag("normalized", !token.special, &token.normalized));
  TRY(flag("lstrip", false, &token.lstrip));
  TRY(flag("rstrip", false, &token.rstrip));
  TRY(flag("single_word", false, &token.single_word));
  return token;
}

using Tokens = std::vector<AddedToken>;

Status AppendAll(const OrderedJson& list, const std::string& where, Tokens* tokens) {
  if (!list.is_array() && !list.is_object())
    return Err("{}: expected an array or an object of tokens, found {}", where,
               Describe(Json(list)));
  for (const OrderedJson& element : list) {
    TRY_ASSIGN(tokens->emplace_back(), ReadToken(element, /*special=*/true, where));
  }
  return {};
}

const OrderedJson* Find(const OrderedJson& object, std::string_view name) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(name);
  return found == object.end() || found->is_null() || (found->is_array() && found->empty())
             ? nullptr
             : &*found;
}

// Reads the tokens that have a name: first bos_token and the other kNames, then names that only
// this model has. An entry of `map` (special_tokens_map.json) overrides an entry of `config`
// (tokenizer_config.json).
Status ReadNamed(const OrderedJson& config, const OrderedJson& map, const std::string& directory,
                 Tokens* named) {
  const auto read = [&](std::string_view name) -> Status {
    const char* file = "special_tokens_map.json";
    const OrderedJson* value = Find(map, name);
    if (value == nullptr) {
      file = "tokenizer_config.json";
      value = Find(config, name);
    }
    const bool is_token = value != nullptr && (value->is_string() || Find(*value, "content"));
    if (!is_token) return {};
    const std::string where = fmt::format("{}/{}: {}", directory, file, name);
    TRY_ASSIGN(named->emplace_back(), ReadToken(*value, /*special=*/true, where));
    return {};
  };
  for (const std::string_view name : kNames) TRY(read(name));
  std::vector<std::string> others;
  for (const OrderedJson* object : {&config, &map}) {
    for (const auto& [name, value] : object->items()) {
      if (name.ends_with("_token") && std::ranges::find(kNames, name) == kNames.end())
        others.push_back(name);
    }
  }
  for (const std::string& name : others) TRY(read(name));
  // In transformers, the tokens of `others` replace these tokens.
  const OrderedJson* of_model = others.empty() ? Find(config, kOfModel) : nullptr;
  if (of_model != nullptr)
    TRY(AppendAll(*of_model, directory + "/tokenizer_config.json: " + kOfModel, named));
  return {};
}

Result<Tokens> ReadExtra(const OrderedJson& config, const OrderedJson& map,
                         const std::string& directory) {
  Tokens extra;
  const std::string where = directory + "/tokenizer_config.json: ";
  const std::string map_where = directory + "/special_tokens_map.json: ";
  if (const OrderedJson* list = Find(config, kExtra)) {
    TRY(AppendAll(*list, where + kExtra, &extra));
  } else if (const OrderedJson* old = Find(config, kOldExtra)) {
    TRY(AppendAll(*old, where + kOldExtra, &extra));
  }
  if (const OrderedJson* list = Find(map, kExtra))
    TRY(AppendAll(*list, map_where + kExtra, &extra));
  if (const OrderedJson* old = Find(map, kOldExtra); old != nullptr && extra.empty())
    TRY(AppendAll(*old, map_where + kOldExtra, &extra));
  return extra;
}

// The tokens by id. The ids only give the order in which the tokens are added.
Result<std::map<int64_t, AddedToken>> ReadDecoder(const OrderedJson& decoder,
                                                  const std::string& where) {
  std::map<int64_t, AddedToken> tokens;
  if (!decoder.is_object())
    return Err("{}: expected an object, found {}", where, Describe(Json(decoder)));
  for (const auto& [id, value] : decoder.items()) {
    if (id.empty() || id.size() > 9 ||
        !std::ranges::all_of(id, [](char c) { return c >= '0' && c <= '9'; }))
      return Err("{}: expected token ids, found \"{}\"", where, id);
    TRY_ASSIGN(tokens[std::stoll(id)], ReadToken(value, /*special=*/false, where + ": " + id));
  }
  return tokens;
}

Result<std::map<int64_t, AddedToken>> ReadAddedFile(const OrderedJson& added,
                                                    const std::string& where) {
  std::map<int64_t, AddedToken> tokens;
  for (const auto& [content, id] : added.items()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > INT32_MAX)
      return Err("{}: \"{}\": expected a token id, found {}", where, content, Describe(Json(id)));
    AddedToken& token = tokens[id.get<int64_t>()];
    token.content = content;
    token.normalized = true;
  }
  return tokens;
}

// The tokenizer classes of transformers (5.23, src/transformers/models/*/tokenization_*.py) for
// byte-level BPE that use add_prefix_space. PreTrainedTokenizerFast ignores add_prefix_space.
constexpr std::array<std::string_view, 4> kByteLevelClasses = {
    "GPT2Tokenizer", "Qwen2Tokenizer", "CodeGenTokenizer", "CohereTokenizer"};
constexpr std::string_view kMetaspaceClass = "LlamaTokenizer";

Status ReadPrefix(const JsonFields& config, TokenizerAdditions* additions) {
  TRY_ASSIGN(auto name, config.String("tokenizer_class"));
  TRY_ASSIGN(const auto prefix, config.Bool("add_prefix_space"));
  TRY_ASSIGN(const auto legacy, config.Bool("legacy"));
  if (!name) return {};
  if (name->ends_with("Fast")) name->resize(name->size() - 4);
  if (std::ranges::find(kByteLevelClasses, *name) != kByteLevelClasses.end())
    additions->byte_level_prefix = prefix;
  if (*name == kMetaspaceClass)
    additions->metaspace_scheme = prefix == false          ? "never"
                                  : legacy.value_or(false) ? "always"
                                                           : "first";
  return {};
}

}  // namespace

Result<TokenizerAdditions> ReadTokenizerAdditions(const std::string& directory) {
  const std::string file = directory + "/tokenizer_config.json";
  TRY_ASSIGN(const OrderedJson config, ReadObject(file));
  const OrderedJson* decoder = Find(config, kDecoder);
  OrderedJson map = OrderedJson::object(), added = OrderedJson::object();
  if (decoder == nullptr) {
    TRY_ASSIGN(map, ReadObject(directory + "/special_tokens_map.json"));
    TRY_ASSIGN(added, ReadObject(directory + "/added_tokens.json"));
  }
  Tokens named;
  TRY(ReadNamed(config, map, directory, &named));
  TRY_ASSIGN(Tokens extra, ReadExtra(config, map, directory));

  TokenizerAdditions additions;
  const auto content_is = [](const Tokens& tokens, const std::string& content) {
    return std::ranges::find(tokens, content, &AddedToken::content) != tokens.end();
  };
  if (decoder != nullptr) {
    TRY_ASSIGN(auto by_id, ReadDecoder(*decoder, file + ": " + kDecoder));
    for (auto& [id, token] : by_id) {
      token.special |= content_is(named, token.content);
      additions.tokens.push_back({std::move(token), /*replaces=*/true});
    }
  } else {
    TRY_ASSIGN(auto by_id, ReadAddedFile(added, directory + "/added_tokens.json"));
    for (auto& [id, token] : by_id) {
      token.special = content_is(named, token.content) || content_is(extra, token.content);
      token.normalized = !token.special;
      additions.tokens.push_back({std::move(token), /*replaces=*/false});
    }
  }
  for (Tokens* tokens : {&named, &extra}) {
    for (AddedToken& token : *tokens) additions.tokens.push_back({std::move(token), false});
  }
  const Json plain = config;
  const JsonFields fields(plain, file);
  TRY_ASSIGN(const auto split, fields.Bool("split_special_tokens"));
  additions.split_special = split.value_or(false);
  TRY(ReadPrefix(fields, &additions));
  return additions;
}

}  // namespace merope
