#include "base/utf8.h"
#include "text/json_steps.h"
#include "text/splitters.h"

namespace merope {
namespace {

bool IsAsciiPunctuation(char32_t c) {
  return (c >= '!' && c <= '/') || (c >= ':' && c <= '@') || (c >= '[' && c <= '`') ||
         (c >= '{' && c <= '~');
}

bool IsAnyPunctuation(char32_t c) { return IsAsciiPunctuation(c) || unicode::IsOldPunctuation(c); }
bool IsSymbol(char32_t c) { return !unicode::IsWord(c) && !unicode::IsWhiteSpace(c); }

// Matches runs of word characters, and runs of characters that are neither word characters nor
// white space.
Status SplitWords(std::string_view text, std::vector<TextRange>* matches) {
  for (size_t at = 0; at < text.size();) {
    const size_t begin = at;
    const char32_t c = utf8::Next(text, &at);
    if (unicode::IsWhiteSpace(c)) continue;
    const bool symbol = IsSymbol(c);
    while (at < text.size()) {
      size_t next = at;
      const char32_t other = utf8::Next(text, &next);
      if (unicode::IsWhiteSpace(other) || IsSymbol(other) != symbol) break;
      at = next;
    }
    matches->push_back({begin, at});
  }
  return {};
}

Result<SplitBehavior> ReadBehavior(const JsonFields& fields, SplitBehavior otherwise) {
  TRY_ASSIGN(const auto name, fields.String("behavior"));
  if (!name) return otherwise;
  if (*name == "Removed") return SplitBehavior::kRemoved;
  if (*name == "Isolated") return SplitBehavior::kIsolated;
  if (*name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (*name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (*name == "Contiguous") return SplitBehavior::kContiguous;
  return Err("{}: behavior: {} is not supported", fields.where(), *name);
}

Status AppendByteLevel(const JsonFields& fields, std::vector<PreTokenizer>* steps) {
  TRY_ASSIGN(const auto add_prefix_space, fields.Bool("add_prefix_space"));
  TRY_ASSIGN(const auto use_regex, fields.Bool("use_regex"));
  if (add_prefix_space.value_or(true)) steps->push_back(pre_tokenizers::AddPrefixSpace());
  if (use_regex.value_or(true)) {
    steps->push_back(pre_tokenizers::Split(Gpt2Splitter(), SplitBehavior::kIsolated, false));
  }
  steps->push_back(pre_tokenizers::MapBytes());
  return {};
}

Status AppendMetaspace(const JsonFields& fields, std::vector<PreTokenizer>* steps) {
  TRY_ASSIGN(auto replacement, RequireString(fields, "replacement"));
  TRY_ASSIGN(const auto scheme, fields.String("prepend_scheme"));
  TRY_ASSIGN(const auto add_prefix_space, fields.Bool("add_prefix_space"));
  TRY_ASSIGN(const auto split, fields.Bool("split"));
  if (!utf8::IsOneCharacter(replacement)) {
    return Err("{}: replacement: expected one character, found \"{}\"", fields.where(),
               replacement);
  }
  auto prepend = pre_tokenizers::Prepend::kAlways;
  if (scheme == "never" || (!scheme && add_prefix_space == false)) {
    prepend = pre_tokenizers::Prepend::kNever;
  } else if (scheme == "first") {
    prepend = pre_tokenizers::Prepend::kFirst;
  } else if (scheme && scheme != "always") {
    return Err("{}: prepend_scheme: {} is not supported", fields.where(), *scheme);
  }
  steps->push_back(
      pre_tokenizers::Metaspace(std::move(replacement), prepend, split.value_or(true)));
  return {};
}

Status AppendPreTokenizer(const JsonFields& fields, std::vector<PreTokenizer>* steps) {
  TRY_ASSIGN(const auto type, RequireString(fields, "type"));
  if (type == "ByteLevel") {
    TRY(AppendByteLevel(fields, steps));
  } else if (type == "Metaspace") {
    TRY(AppendMetaspace(fields, steps));
  } else if (type == "Split") {
    TRY_ASSIGN(auto matcher, ReadPattern(fields));
    TRY_ASSIGN(const auto behavior, ReadBehavior(fields, SplitBehavior::kIsolated));
    TRY_ASSIGN(const auto invert, fields.Bool("invert"));
    steps->push_back(pre_tokenizers::Split(std::move(matcher), behavior, invert.value_or(false)));
  } else if (type == "Digits") {
    TRY_ASSIGN(const auto individual, fields.Bool("individual_digits"));
    steps->push_back(pre_tokenizers::SplitCharacters(
        unicode::IsNumber,
        individual.value_or(false) ? SplitBehavior::kIsolated : SplitBehavior::kContiguous));
  } else if (type == "Punctuation") {
    TRY_ASSIGN(const auto behavior, ReadBehavior(fields, SplitBehavior::kIsolated));
    steps->push_back(pre_tokenizers::SplitCharacters(IsAnyPunctuation, behavior));
  } else if (type == "WhitespaceSplit") {
    steps->push_back(
        pre_tokenizers::SplitCharacters(unicode::IsWhiteSpace, SplitBehavior::kRemoved));
  } else if (type == "Whitespace") {
    steps->push_back(pre_tokenizers::Split(SplitWords, SplitBehavior::kRemoved, /*invert=*/true));
  } else if (type == "BertPreTokenizer") {
    steps->push_back(
        pre_tokenizers::SplitCharacters(unicode::IsWhiteSpace, SplitBehavior::kRemoved));
    steps->push_back(pre_tokenizers::SplitCharacters(IsAnyPunctuation, SplitBehavior::kIsolated));
  } else if (type == "CharDelimiterSplit") {
    TRY_ASSIGN(auto delimiter, RequireString(fields, "delimiter"));
    steps->push_back(pre_tokenizers::Split(LiteralMatcher(std::move(delimiter)),
                                           SplitBehavior::kRemoved, /*invert=*/false));
  } else {
    return Err("{}: the pre-tokenizer {} is not supported", fields.where(), type);
  }
  return {};
}

}  // namespace

Status ReadPreTokenizer(const Json* json, const std::string& where, PreTokenizerSteps* out) {
  if (json == nullptr || json->is_null()) return {};
  TRY_ASSIGN(const auto flat, FlattenSequence(*json, "pretokenizers", where));
  for (const Json* element : flat) {
    const JsonFields fields(*element, where);
    TRY(AppendPreTokenizer(fields, &out->steps));
    out->ends_in_bytes = (*element)["type"] == "ByteLevel";
  }
  return {};
}

}  // namespace merope
