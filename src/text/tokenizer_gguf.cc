#include <algorithm>

#include "base/utf8.h"
#include "text/gguf_splits.h"
#include "text/tokenizer_state.h"

namespace merope {
namespace {

enum TokenType : int32_t { kNormal = 1, kUnknown = 2, kControl = 3, kUserDefined = 4 };

// The time to find the merges of a token is quadratic in its length, so a longer token is an error.
constexpr size_t kMaxScoredTokenBytes = 1024;
constexpr std::string_view kSpaceMark = "\xE2\x96\x81";

Status Check(const GgufVocabulary& v, const std::string& file) {
  const size_t n = v.tokens.size();
  if (n == 0 || n > INT32_MAX / 2) {
    return Err("{}: tokenizer.ggml.tokens: expected 1 to {} tokens, found {}", file, INT32_MAX / 2,
               n);
  }
  for (size_t id = 0; id < n; ++id) {
    if (utf8::ValidPrefix(v.tokens[id]) != v.tokens[id].size()) {
      return Err("{}: tokenizer.ggml.tokens[{}]: expected UTF-8, found other bytes", file, id);
    }
  }
  const auto check_size = [&](const char* name, size_t size) -> Status {
    if (size == 0 || size == n) return {};
    return Err("{}: tokenizer.ggml.{}: expected {} elements, found {}", file, name, n, size);
  };
  TRY(check_size("scores", v.scores.size()));
  TRY(check_size("token_type", v.types.size()));
  const auto check_id = [&](const char* name, std::optional<int32_t> id) -> Status {
    if (!id || (*id >= 0 && static_cast<size_t>(*id) < n)) return {};
    return Err("{}: tokenizer.ggml.{}_token_id: expected an id in [0, {}), found {}", file, name, n,
               *id);
  };
  TRY(check_id("bos", v.bos));
  TRY(check_id("eos", v.eos));
  TRY(check_id("unknown", v.unknown));
  return check_id("padding", v.padding);
}

Status CheckUnique(const std::vector<std::string>& tokens, const StringIndex& index,
                   const std::string& file) {
  for (size_t id = 0; id < tokens.size(); ++id) {
    const int32_t found = index.Find(tokens[id]);
    if (!tokens[id].empty() && found != static_cast<int32_t>(id)) {
      return Err("{}: tokenizer.ggml.tokens: \"{}\" is at {} and at {}", file, tokens[id], found,
                 id);
    }
  }
  return {};
}

Result<MergeTable> RankedMerges(const GgufVocabulary& v, const StringIndex& index,
                                const std::string& file) {
  MergeTable table(v.merges.size());
  for (size_t rank = 0; rank < v.merges.size(); ++rank) {
    const std::string& merge = v.merges[rank];
    const size_t space = merge.find(' ', 1);
    const auto refuse = [&](std::string_view found) {
      return Err(
          "{}: tokenizer.ggml.merges[{}]: expected two tokens of the vocabulary that make "
          "a third, found \"{}\"",
          file, rank, found);
    };
    if (space == std::string::npos || utf8::ValidPrefix(merge) != merge.size()) {
      return refuse("other text");
    }
    const std::string left = merge.substr(0, space), right = merge.substr(space + 1);
    const int32_t a = index.Find(left), b = index.Find(right), both = index.Find(left + right);
    if (a < 0 || b < 0 || both < 0) return refuse(merge);
    if (table.Find(a, b) == nullptr) table.Set(a, b, {static_cast<int32_t>(rank), both});
  }
  return table;
}

// Uses SentencePiece's order: the pair whose merged token has the highest score comes first. A
// character that occurs in a token but is not a token itself gets an id after the vocabulary. If
// the id remains after the merges, Bpe replaces the character by its byte tokens.
Result<MergeTable> ScoredMerges(const GgufVocabulary& v, const std::string& file,
                                std::vector<std::string>* tokens) {
  std::vector<std::string_view> characters;
  for (size_t id = 0; id < v.tokens.size(); ++id) {
    const std::string& token = v.tokens[id];
    if (token.size() > kMaxScoredTokenBytes) {
      return Err("{}: tokenizer.ggml.tokens[{}]: expected at most {} bytes, found {}", file, id,
                 kMaxScoredTokenBytes, token.size());
    }
    for (size_t at = 0; at < token.size();) {
      const size_t begin = at;
      utf8::Next(token, &at);
      characters.push_back(std::string_view(token).substr(begin, at - begin));
    }
  }
  std::ranges::sort(characters);
  const auto repeated = std::ranges::unique(characters);
  characters.erase(repeated.begin(), repeated.end());
  {
    const StringIndex known(v.tokens);
    for (const std::string_view c : characters) {
      if (known.Find(c) < 0) tokens->emplace_back(c);
    }
  }
  const StringIndex index(*tokens);

  std::vector<float> scores = v.scores;
  std::ranges::sort(scores, std::greater<>());
  MergeTable table(4 * v.tokens.size());
  for (size_t id = 0; id < v.tokens.size(); ++id) {
    const std::string_view token = v.tokens[id];
    const auto rank = static_cast<int32_t>(
        std::ranges::lower_bound(scores, v.scores[id], std::greater<>()) - scores.begin());
    for (size_t at = 0; at < token.size();) {
      utf8::Next(token, &at);
      if (at == token.size()) break;
      const int32_t left = index.Find(token.substr(0, at)), right = index.Find(token.substr(at));
      if (left >= 0 && right >= 0) table.Set(left, right, {rank, static_cast<int32_t>(id)});
    }
  }
  return table;
}

}  // namespace

Result<Tokenizer> Tokenizer::FromGguf(GgufVocabulary v, const std::string& file) {
  TRY(Check(v, file));
  auto state = std::make_unique<State>();
  state->file = file;
  state->vocab_size = static_cast<int32_t>(v.tokens.size());
  std::vector<std::string> tokens = v.tokens;
  BpeOptions options;
  MergeTable merges;
  bool add_bos = false;
  const auto escape_spaces = [&state] {
    state->normalizers.push_back(
        normalizers::Replace(LiteralMatcher(std::string(1, ' ')), std::string(kSpaceMark)));
  };
  const StringIndex index(v.tokens);
  TRY(CheckUnique(v.tokens, index, file));
  if (v.model == "gemma4") {
    v.model = "gpt2";
    v.pre = "gemma4";
  }
  if (v.model == "gpt2") {
    TRY_ASSIGN(const GgufSplit split, ReadGgufSplit(v.pre, file));
    TRY_ASSIGN(merges, RankedMerges(v, index, file));
    state->pre_tokenizers = split.steps;
    options.ignore_merges = split.ignore_merges;
    options.whole_newlines = split.whole_newlines;
    options.byte_level = split.byte_level;
    options.byte_fallback = !split.byte_level;
    options.unknown = std::nullopt;
    add_bos = split.add_bos && v.bos.has_value();
    if (split.always_bos) v.add_bos = true;
    if (split.byte_level) {
      state->decoder.byte_level = true;
    } else {
      escape_spaces();
      state->decoder = SentencePieceDecoder(/*strip_first=*/false);
    }
  } else if (v.model == "llama") {
    if (v.scores.empty()) return Err("{}: tokenizer.ggml.scores: expected, found nothing", file);
    if (!std::ranges::all_of(v.scores, [](float score) { return score == score; })) {
      return Err("{}: tokenizer.ggml.scores: expected numbers, found NaN", file);
    }
    TRY_ASSIGN(merges, ScoredMerges(v, file, &tokens));
    const bool space_first = v.add_space_prefix.value_or(true);
    if (space_first) state->normalizers.push_back(normalizers::Prepend(std::string(1, ' ')));
    escape_spaces();
    options.byte_fallback = true;
    options.unknown = v.unknown.value_or(0);
    options.first_part = state->vocab_size;
    add_bos = v.bos.has_value();
    state->decoder = SentencePieceDecoder(space_first);
  } else {
    return Err("{}: tokenizer.ggml.model: expected gpt2, gemma4 or llama, found \"{}\"", file,
               v.model);
  }
  for (size_t id = 0; id < v.types.size(); ++id) {
    const int32_t type = v.types[id];
    if ((type != kUnknown && type != kControl && type != kUserDefined) || v.tokens[id].empty()) {
      continue;
    }
    state->added.push_back(
        {.content = v.tokens[id], .id = static_cast<int32_t>(id), .special = type != kUserDefined});
  }
  add_bos = v.add_bos.value_or(add_bos);
  if (add_bos && !v.bos)
    return Err("{}: tokenizer.ggml.bos_token_id: expected, found nothing", file);
  if (add_bos) state->prefix.push_back(*v.bos);
  if (v.add_eos.value_or(false)) {
    if (!v.eos) return Err("{}: tokenizer.ggml.eos_token_id: expected, found nothing", file);
    state->suffix.push_back(*v.eos);
  }
  state->bpe = std::make_unique<const Bpe>(std::move(tokens), std::move(merges), options);
  TRY(state->FinishAdded());
  return Tokenizer(std::move(state));
}

}  // namespace merope
