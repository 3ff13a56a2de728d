// Reads a checkpoint from a Hugging Face directory.
#include <algorithm>
#include <filesystem>
#include <map>
#include <set>

#include "base/json.h"
#include "checkpoint/contents.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/tokenizer_files.h"
#include "checkpoint/weight_check.h"

namespace merope {
namespace {

namespace fs = std::filesystem;

bool Exists(const std::string& path) {
  std::error_code error;
  return fs::exists(path, error);
}

// The alphabetically first file of the directory with one of these endings. Empty if there is none.
std::string FindByEnding(const std::string& directory, std::initializer_list<const char*> endings) {
  std::vector<std::string> found;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    for (const char* ending : endings)
      if (name.ends_with(ending)) found.push_back(name);
  }
  return found.empty() ? "" : *std::min_element(found.begin(), found.end());
}

// A tokenizer in another form than tokenizer.json. Empty if there is none.
std::string OtherTokenizer(const std::string& directory) {
  return FindByEnding(directory, {"tokenizer.model", "spiece.model", "vocab.json"});
}

Result<ModelConfig> ReadConfig(const std::string& directory) {
  const std::string file = directory + "/config.json";
  if (!Exists(file)) {
    if (const auto gguf = FindByEnding(directory, {".gguf"}); !gguf.empty())
      return Err("{}: no such file; to run {}, name that file itself", file, gguf);
    if (Exists(directory + "/adapter_config.json"))
      return Err(
          "{}: no such file, but an adapter_config.json: an adapter alone is not supported: "
          "merge it into its base model first",
          file);
  }
  TRY_ASSIGN(const std::string text, ReadFile(file));
  TRY_ASSIGN(ModelConfig config, ParseConfig(text, file));
  const std::string generation = directory + "/generation_config.json";
  if (Exists(generation)) {
    TRY_ASSIGN(const std::string generation_text, ReadFile(generation));
    TRY(ApplyGenerationConfig(generation_text, generation, &config));
  }
  return config;
}

// The weight_map of an index: tensor → file.
Result<std::map<std::string, std::string>> ReadIndex(const std::string& file) {
  TRY_ASSIGN(const Json json, ReadJsonFile(file));
  const Json* map = JsonFields(json, file).Find("weight_map");
  if (map == nullptr || !map->is_object() || map->empty())
    return Err("{}: weight_map: expected an object, found {}", file,
               map == nullptr ? "nothing" : Describe(*map));
  std::map<std::string, std::string> shards;
  for (const auto& [name, shard] : map->items()) {
    // A shard must lie beside its index, because a path could lead anywhere.
    if (!shard.is_string() ||
        fs::path(shard.get<std::string>()).filename() != shard.get<std::string>() ||
        !shard.get<std::string>().ends_with(".safetensors"))
      return Err("{}: weight_map: {}: expected the name of a .safetensors file, found {}", file,
                 name, Describe(shard));
    shards[name] = shard.get<std::string>();
  }
  return shards;
}

// A matrix that `merope quantize` wrote is stored as bytes: rows of blocks. Checks its shape and
// makes its view a matrix of integers.
Status ReadIntegers(SafetensorsEntry& entry, const ModelConfig& config, const std::string& path) {
  const auto expected = ExpectedTensors(config);
  const auto found = std::ranges::find(expected, entry.view.name, &ExpectedTensor::name);
  const std::string where = fmt::format("{}: tensor \"{}\"", path, entry.view.name);
  if (found == expected.end() || found->shape.size() != 2)
    return Err("{}: expected only matrices of the config's model, found this one", where);
  if (entry.dtype_name != "U8")
    return Err("{}: dtype: expected U8 (blocks of {}), found {}", where, DTypeName(config.dtype),
               entry.dtype_name);
  const int64_t bytes = RowBytes(config.dtype, found->shape[1]);
  if (entry.view.shape != std::vector{found->shape[0], bytes})
    return Err("{}: shape: expected ({}, {}), a row of {} in blocks of {}, found ({})", where,
               found->shape[0], bytes, found->shape[1], DTypeName(config.dtype),
               fmt::join(entry.view.shape, ", "));
  entry.view.shape = found->shape;
  entry.view.dtype = config.dtype;
  return {};
}

Status AddFile(const std::string& path, CheckpointContents* contents) {
  TRY_ASSIGN(MappedFile file, MappedFile::Open(path));
  TRY_ASSIGN(auto entries, ParseSafetensors(file.bytes(), path));
  for (SafetensorsEntry& entry : entries) {
    if (IsIgnorable(entry.view.name)) {
      contents->ignored.push_back(entry.view.name);
    } else if (IsOwnInteger(contents->config.dtype) && entry.view.shape.size() == 2) {
      TRY(ReadIntegers(entry, contents->config, path));
      contents->tensors.push_back(std::move(entry.view));
    } else if (!entry.supported) {
      return Err("{}: tensor \"{}\": dtype: expected F32, F16 or BF16, found {}", path,
                 entry.view.name, entry.dtype_name);
    } else {
      contents->tensors.push_back(std::move(entry.view));
    }
  }
  contents->files.push_back(std::move(file));
  return {};
}

Status AddShards(const std::string& directory, const std::string& index,
                 CheckpointContents* contents) {
  TRY_ASSIGN(const auto shard_of, ReadIndex(index));
  std::set<std::string> shards, found;
  for (const auto& [name, shard] : shard_of) shards.insert(shard);
  for (const std::string& shard : shards) {
    const size_t first = contents->tensors.size();
    TRY(AddFile(directory + "/" + shard, contents));
    for (size_t i = first; i < contents->tensors.size(); ++i) {
      const std::string& name = contents->tensors[i].name;
      const auto said = shard_of.find(name);
      if (said == shard_of.end() || said->second != shard)
        return Err("{}: weight_map: {}: expected {} (it holds that tensor), found {}", index, name,
                   shard, said == shard_of.end() ? "nothing" : said->second);
      found.insert(name);
    }
  }
  for (const auto& [name, shard] : shard_of) {
    if (!found.contains(name) && !IsIgnorable(name))
      return Err("{}: tensor \"{}\": expected (the index names this file for it), found nothing",
                 directory + "/" + shard, name);
  }
  return {};
}

Status AddWeights(const std::string& directory, CheckpointContents* contents) {
  const std::string single = directory + "/model.safetensors", index = single + ".index.json";
  if (Exists(single)) return AddFile(single, contents);
  if (Exists(index)) return AddShards(directory, index, contents);
  if (const auto pickle = FindByEnding(directory, {".bin", ".pth", ".pt", ".bin.index.json"});
      !pickle.empty())
    return Err(
        "{}: PyTorch pickles are not supported (they can run code): convert the model with "
        "transformers' save_pretrained, which writes model.safetensors",
        directory + "/" + pickle);
  return Err("{}: no such file, and no model.safetensors.index.json", single);
}

// Follows transformers 5. A head that is stored with other values than the embedding is not tied,
// whatever the config says. If the head is tied, the file may store the head or the embedding.
void SettleHead(CheckpointContents* contents) {
  if (!contents->config.tie_word_embeddings) return;
  constexpr const char* kEmbedding = "model.embed_tokens.weight";
  const auto find = [&](std::string_view name) {
    return std::ranges::find(contents->tensors, name, &TensorView::name);
  };
  const auto none = contents->tensors.end(), embedding = find(kEmbedding),
             head = find("lm_head.weight");
  if (head == none) return;
  if (embedding == none) {
    head->name = kEmbedding;
    contents->notes.emplace_back(
        "lm_head.weight: the config ties it to the embedding, which is not stored: it is both");
  } else if (head->dtype != embedding->dtype || head->shape != embedding->shape ||
             !std::ranges::equal(head->bytes, embedding->bytes)) {
    contents->config.tie_word_embeddings = false;
    contents->notes.emplace_back(
        "lm_head.weight: the config ties it to the embedding, which has other values: it is run as "
        "it is stored, untied");
  }
}

// A special token of tokenizer_config.json or special_tokens_map.json. The value is a string, or an
// object with the content. Empty if there is none.
std::string TokenText(const Json& json, const char* field) {
  const Json* value = JsonFields(json, "").Find(field);
  if (value != nullptr && value->is_object()) value = JsonFields(*value, "").Find("content");
  return value != nullptr && value->is_string() ? value->get<std::string>() : "";
}

// Adds the special tokens that transformers names, except names that are already in *tokens.
void AddSpecialTokens(const Json& json, SpecialTokens* tokens) {
  for (const char* name : {"bos_token", "eos_token", "unk_token", "sep_token", "pad_token",
                           "cls_token", "mask_token"}) {
    const std::string text = TokenText(json, name);
    if (!text.empty() &&
        std::ranges::find(*tokens, name, &SpecialTokens::value_type::first) == tokens->end())
      tokens->emplace_back(name, text);
  }
}

// Reads chat_template: a string, or a list of named templates. From a list, the function takes
// "default" and "tool_use".
Status AddTemplates(const Json& config, const std::string& file, CheckpointContents* contents) {
  const JsonFields fields(config, file);
  const Json* value = fields.Find("chat_template");
  contents->chat_template_file = file + ": chat_template";
  if (value == nullptr || !value->is_array()) {
    TRY_ASSIGN(contents->chat_template, fields.String("chat_template"));
    return {};
  }
  for (const Json& named : *value) {
    const JsonFields entry(named, file + ": chat_template");
    if (!named.is_object())
      return Err("{}: chat_template: expected objects in the list, found {}", file,
                 Describe(named));
    TRY_ASSIGN(const auto name, entry.String("name"));
    if (name == "default") {
      TRY_ASSIGN(contents->chat_template, entry.String("template"));
    } else if (name == "tool_use") {
      TRY_ASSIGN(contents->tool_use_template, entry.String("template"));
    }
  }
  if (contents->chat_template) return {};
  return Err("{}: chat_template: expected one named \"default\" in the list, found none", file);
}

Status AddText(const std::string& directory, CheckpointContents* contents) {
  if (const std::string vocabulary = directory + "/" + kVocabularyFile; Exists(vocabulary)) {
    TRY_ASSIGN(const MappedFile mapped, MappedFile::Open(vocabulary));
    return AddGgufText(mapped, contents);
  }
  contents->has_tokenizer =
      Exists(directory + "/tokenizer.json") || !OtherTokenizer(directory).empty();
  contents->bos_rule = "tokenizer.json: post_processor";
  const std::string jinja = directory + "/chat_template.jinja";
  if (Exists(jinja)) {
    TRY_ASSIGN(contents->chat_template, ReadFile(jinja));
    contents->chat_template_file = jinja;
  }
  if (const std::string tool_use = directory + "/" + kToolUseTemplate; Exists(tool_use)) {
    TRY_ASSIGN(contents->tool_use_template, ReadFile(tool_use));
  }
  for (const char* name : {"/tokenizer_config.json", "/special_tokens_map.json"}) {
    const std::string file = directory + name;
    if (!Exists(file)) continue;
    TRY_ASSIGN(const Json json, ReadJsonFile(file));
    AddSpecialTokens(json, &contents->special_tokens);
    if (!contents->chat_template) TRY(AddTemplates(json, file, contents));
  }
  return {};
}

}  // namespace

bool IsIgnorable(std::string_view name) {
  // Older versions of transformers saved these tables as buffers. The config determines their
  // values.
  return name.ends_with(".rotary_emb.inv_freq") || name.ends_with(".rotary_emb.cos_cached") ||
         name.ends_with(".rotary_emb.sin_cached") || name.ends_with(".self_attn.masked_bias");
}

Result<CheckpointContents> OpenDirectory(const std::string& directory) {
  CheckpointContents contents;
  contents.path = directory;
  contents.format = CheckpointFormat::kSafetensors;
  TRY_ASSIGN(contents.config, ReadConfig(directory));
  TRY(AddWeights(directory, &contents));
  SettleHead(&contents);
  TRY(AddText(directory, &contents));
  return contents;
}

Result<Tokenizer> LoadDirectoryTokenizer(const std::string& directory) {
  const std::string file = directory + "/tokenizer.json";
  if (!Exists(file)) {
    if (const std::string vocabulary = directory + "/" + kVocabularyFile; Exists(vocabulary)) {
      TRY_ASSIGN(const MappedFile mapped, MappedFile::Open(vocabulary));
      return LoadGgufTokenizer(mapped);
    }
    if (const auto other = OtherTokenizer(directory); !other.empty())
      return Err(
          "{}: this form of tokenizer is not supported: write a tokenizer.json with "
          "transformers' AutoTokenizer.from_pretrained(…).save_pretrained(…)",
          directory + "/" + other);
  }
  TRY_ASSIGN(const std::string text, ReadFile(file));
  TRY_ASSIGN(const TokenizerAdditions additions, ReadTokenizerAdditions(directory));
  return Tokenizer::FromJson(text, file, additions);
}

}  // namespace merope
