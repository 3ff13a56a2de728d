#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "text/json_steps.h"
#include "text/tokenizer_state.h"

namespace merope {
namespace {

// A vocabulary may have unused ids. FromJson limits the ids, so that a small file cannot use much
// memory.
constexpr size_t kMaxHoles = 65536;

struct Model {
  std::vector<std::string> tokens;
  const Json* merges = nullptr;
  BpeOptions options;
  std::optional<std::string> unknown;
};

Result<Model> ReadModel(const JsonFields& fields) {
  const std::string& where = fields.where();
  TRY_ASSIGN(const auto type, fields.String("type"));
  if (type.value_or("BPE") != "BPE") return Err("{}: the model {} is not supported", where, *type);
  for (const char* field : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    TRY_ASSIGN(const auto affix, fields.String(field));
    if (affix && !affix->empty()) return Err("{}: {} is not supported", where, field);
  }
  TRY_ASSIGN(const auto dropout, fields.Number("dropout"));
  if (dropout.value_or(0) != 0) return Err("{}: dropout is not supported", where);
  Model model;
  TRY_ASSIGN(const auto ignore_merges, fields.Bool("ignore_merges"));
  TRY_ASSIGN(const auto byte_fallback, fields.Bool("byte_fallback"));
  TRY_ASSIGN(const auto fuse_unknown, fields.Bool("fuse_unk"));
  TRY_ASSIGN(model.unknown, fields.String("unk_token"));
  model.options.ignore_merges = ignore_merges.value_or(false);
  model.options.byte_fallback = byte_fallback.value_or(false);
  model.options.fuse_unknown = fuse_unknown.value_or(false);
  model.merges = fields.Find("merges");
  if (model.merges == nullptr || !model.merges->is_array()) {
    return Err("{}: merges: expected an array", where);
  }
  return model;
}

// Puts token at id. Errors: id is not below limit, or another token has the id.
Status Place(std::string token, int64_t id, size_t limit, const std::string& where,
             std::vector<std::string>* tokens) {
  if (id < 0 || static_cast<size_t>(id) >= limit) {
    return Err("{}: \"{}\": expected an id in [0, {}), found {}", where, token, limit, id);
  }
  const auto at = static_cast<size_t>(id);
  if (at >= tokens->size()) tokens->resize(at + 1);
  std::string& place = (*tokens)[at];
  if (!place.empty() && place != token) {
    return Err("{}: the id {} is given to \"{}\" and to \"{}\"", where, id, place, token);
  }
  place = std::move(token);
  return {};
}

Status ReadVocabulary(const JsonFields& fields, size_t limit, std::vector<std::string>* tokens) {
  const std::string where = fields.where() + ": vocab";
  const Json* vocabulary = fields.Find("vocab");
  if (vocabulary == nullptr || !vocabulary->is_object()) {
    return Err("{}: expected an object", where);
  }
  for (const auto& [token, id] : vocabulary->items()) {
    if (!id.is_number_unsigned() || id.get<uint64_t>() > INT32_MAX) {
      return Err("{}: \"{}\": expected an id, found {}", where, token, Describe(id));
    }
    if (token.empty()) return Err("{}: expected no empty token", where);
    TRY(Place(token, id.get<int64_t>(), limit, where, tokens));
  }
  return {};
}

// Reads "a b" or ["a", "b"]. Returns nullopt for anything else.
std::optional<std::pair<std::string_view, std::string_view>> ReadMerge(const Json& merge) {
  if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
    return std::pair(std::string_view(merge[0].get_ref<const std::string&>()),
                     std::string_view(merge[1].get_ref<const std::string&>()));
  }
  if (merge.is_string()) {
    const std::string_view text = merge.get_ref<const std::string&>();
    const size_t space = text.find(' ');
    if (space != text.npos && text.find(' ', space + 1) == text.npos) {
      return std::pair(text.substr(0, space), text.substr(space + 1));
    }
  }
  return std::nullopt;
}

Result<MergeTable> ReadMerges(const Json& merges, const std::vector<std::string>& tokens,
                              const std::string& where) {
  const StringIndex index(tokens);
  MergeTable table(merges.size());
  std::string joined;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto pair = ReadMerge(merges[rank]);
    if (!pair) {
      return Err("{}: merges[{}]: expected a pair of tokens, found {}", where, rank,
                 Describe(merges[rank]));
    }
    const auto& [left, right] = *pair;
    joined.assign(left).append(right);
    int32_t ids[3];
    for (int i = 0; const std::string_view token : {left, right, std::string_view(joined)}) {
      ids[i] = index.Find(token);
      if (ids[i++] < 0) {
        return Err("{}: merges[{}]: expected tokens of the vocabulary, found \"{}\"", where, rank,
                   token);
      }
    }
    table.Set(ids[0], ids[1], {static_cast<int32_t>(rank), ids[2]});
  }
  return table;
}

Result<std::vector<AddedToken>> ReadAddedTokens(const JsonFields& fields) {
  std::vector<AddedToken> added;
  const Json* list = fields.Find("added_tokens");
  if (list == nullptr) return added;
  if (!list->is_array()) {
    return Err("{}: added_tokens: expected an array, found {}", fields.where(), Describe(*list));
  }
  for (const Json& element : *list) {
    const std::string where = fmt::format("{}: added_tokens[{}]", fields.where(), added.size());
    if (!element.is_object()) {
      return Err("{}: expected an object, found {}", where, Describe(element));
    }
    const JsonFields token(element, where);
    AddedToken t;
    TRY_ASSIGN(const auto id, token.Integer("id", 0, INT32_MAX));
    if (!id) return Err("{}: id: expected an integer, found nothing", where);
    t.id = static_cast<int32_t>(*id);
    TRY_ASSIGN(t.content, RequireString(token, "content"));
    if (t.content.empty()) return Err("{}: content: expected a token, found \"\"", where);
    const auto flag = [&](const char* field, bool* value) -> Status {
      TRY_ASSIGN(const auto found, token.Bool(field));
      *value = found.value_or(false);
      return {};
    };
    TRY(flag("lstrip", &t.lstrip));
    TRY(flag("rstrip", &t.rstrip));
    TRY(flag("single_word", &t.single_word));
    TRY(flag("normalized", &t.normalized));
    TRY(flag("special", &t.special));
    added.push_back(std::move(t));
  }
  return added;
}

Status PlaceAdded(const std::vector<AddedToken>& added, size_t limit, const std::string& file,
                  std::vector<std::string>* tokens) {
  const StringIndex index(*tokens);
  std::unordered_set<std::string_view> seen;
  std::vector<std::string> all = *tokens;
  for (const AddedToken& token : added) {
    const std::string where = file + ": added_tokens";
    if (!seen.insert(token.content).second) {
      return Err("{}: expected \"{}\" once", where, token.content);
    }
    const int32_t known = index.Find(token.content);
    if (known >= 0 && known != token.id) {
      return Err("{}: \"{}\": expected the id {} of the vocabulary, found {}", where, token.content,
                 known, token.id);
    }
    TRY(Place(token.content, token.id, limit, where, &all));
  }
  *tokens = std::move(all);
  return {};
}

// Adds tokens as HF tokenizers does: a token that the vocabulary does not have gets the next id.
Status AddTokens(const TokenizerAdditions& additions, size_t model_size, size_t limit,
                 const std::string& file, std::vector<AddedToken>* added,
                 std::vector<std::string>* tokens) {
  std::unordered_map<std::string, size_t> known;  // from the content to the position in added
  size_t next = model_size;
  for (size_t i = 0; i < added->size(); ++i) {
    known.emplace((*added)[i].content, i);
    next = std::max(next, static_cast<size_t>((*added)[i].id) + 1);
  }
  const auto is_new = [&](const auto& addition) { return !known.contains(addition.token.content); };
  std::optional<StringIndex> index;  // constructed only if an addition is new
  if (std::ranges::any_of(additions.tokens, is_new)) index.emplace(*tokens);
  const size_t first_new = added->size();
  for (const auto& [token, replaces] : additions.tokens) {
    if (token.content.empty()) continue;
    if (const auto found = known.find(token.content); found != known.end()) {
      AddedToken& old = (*added)[found->second];
      const int32_t id = old.id;
      const bool special = old.special;  // in HF tokenizers, a special token stays special
      if (replaces) old = token;
      old.id = id;
      old.special |= special;
      continue;
    }
    const int32_t old_id = index->Find(token.content);
    known.emplace(token.content, added->size());
    added->push_back(token);
    added->back().id = old_id >= 0 ? old_id : static_cast<int32_t>(next++);
  }
  for (size_t i = first_new; i < added->size(); ++i) {
    TRY(Place((*added)[i].content, (*added)[i].id, limit, file + ": added tokens", tokens));
  }
  return {};
}

// Replaces steps of tokenizer.json, as transformers does if tokenizer_config.json says whether a
// space goes before the first word. For a SentencePiece tokenizer, transformers' class for Llama
// keeps only the model. For a byte-level tokenizer (the file contains "ByteLevel" anywhere), the
// class keeps everything.
void SetPrefix(const TokenizerAdditions& additions, std::string_view file_text, Json* json) {
  std::vector<Json*> byte_level;
  const auto look_at = [&](Json& step) {
    if (step.is_object() && step.value("type", Json()) == "ByteLevel") byte_level.push_back(&step);
  };
  Json& pre_tokenizer = (*json)["pre_tokenizer"];
  look_at(pre_tokenizer);
  if (pre_tokenizer.is_object() && pre_tokenizer.contains("pretokenizers"))
    for (Json& step : pre_tokenizer["pretokenizers"]) look_at(step);
  if (additions.byte_level_prefix)
    for (Json* step : byte_level) (*step)["add_prefix_space"] = *additions.byte_level_prefix;
  if (!additions.metaspace_scheme || file_text.contains("\"ByteLevel\"")) return;
  constexpr const char* kSpace = "\u2581";
  Json decoders = {{{"type", "Replace"}, {"pattern", {{"String", kSpace}}}, {"content", " "}},
                   {{"type", "ByteFallback"}},
                   {{"type", "Fuse"}}};
  if (additions.metaspace_scheme != "never")
    decoders.push_back({{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}});
  (*json)["normalizer"] = nullptr;
  pre_tokenizer = {{"type", "Metaspace"},
                   {"replacement", kSpace},
                   {"prepend_scheme", *additions.metaspace_scheme},
                   {"split", false}};
  (*json)["decoder"] = {{"type", "Sequence"}, {"decoders", decoders}};
}

}  // namespace

// FromJson ignores the fields truncation and padding, because transformers sets these fields anew
// for each call, too.
Result<Tokenizer> Tokenizer::FromJson(std::string_view tokenizer_json, const std::string& file,
                                      const TokenizerAdditions& additions) {
  TRY_ASSIGN(Json json, ParseJson(tokenizer_json, file));
  if (!json.is_object()) return Err("{}: expected an object, found {}", file, Describe(json));
  SetPrefix(additions, tokenizer_json, &json);
  const JsonFields fields(json, file);
  const Json* model_json = fields.Find("model");
  if (model_json == nullptr || !model_json->is_object()) {
    return Err("{}: model: expected an object", file);
  }
  const JsonFields model_fields(*model_json, file + ": model");
  TRY_ASSIGN(Model model, ReadModel(model_fields));
  auto state = std::make_unique<State>();
  state->file = file;
  TRY_ASSIGN(state->added, ReadAddedTokens(fields));
  const Json* vocabulary = model_fields.Find("vocab");
  const size_t model_size = vocabulary == nullptr ? 0 : vocabulary->size();
  const size_t limit = 2 * (model_size + state->added.size() + additions.tokens.size()) + kMaxHoles;
  TRY(ReadVocabulary(model_fields, limit, &model.tokens));
  TRY_ASSIGN(MergeTable merges, ReadMerges(*model.merges, model.tokens, model_fields.where()));
  const StringIndex model_index(model.tokens);
  if (model.unknown) {
    const int32_t id = model_index.Find(*model.unknown);
    if (id >= 0) model.options.unknown = id;
  }
  TRY(PlaceAdded(state->added, limit, file, &model.tokens));
  TRY(AddTokens(additions, model_size, limit, file, &state->added, &model.tokens));
  // Special tokens come first: if a special token and another token have the same normalized text,
  // the finder keeps the special token.
  std::ranges::stable_partition(state->added, &AddedToken::special);
  state->split_special = additions.split_special;
  state->vocab_size = static_cast<int32_t>(model.tokens.size());

  TRY(ReadNormalizer(fields.Find("normalizer"), file + ": normalizer", &state->normalizers));
  PreTokenizerSteps steps;
  TRY(ReadPreTokenizer(fields.Find("pre_tokenizer"), file + ": pre_tokenizer", &steps));
  // A byte-level Bpe reads the bytes of the text directly, so the last step (MapBytes) is removed.
  if (steps.ends_in_bytes && !model.options.byte_fallback) {
    steps.steps.pop_back();
    model.options.byte_level = true;
  }
  state->pre_tokenizers = std::move(steps.steps);
  PostProcessor post;
  TRY(ReadPostProcessor(fields.Find("post_processor"), file + ": post_processor", &post));
  for (const auto* ids : {&post.prefix, &post.suffix}) {
    for (const int32_t id : *ids) {
      if (id >= state->vocab_size) {
        return Err("{}: post_processor: expected ids in [0, {}), found {}", file, state->vocab_size,
                   id);
      }
    }
  }
  state->prefix = std::move(post.prefix);
  state->suffix = std::move(post.suffix);
  TRY(ReadDecoder(fields.Find("decoder"), file + ": decoder", &state->decoder));
  state->bpe =
      std::make_unique<const Bpe>(std::move(model.tokens), std::move(merges), model.options);
  TRY(state->FinishAdded());
  return Tokenizer(std::move(state));
}

}  // namespace merope
