#include "text/gguf_splits.h"

#include <algorithm>
#include <array>

#include "text/gguf_patterns.h"
#include "text/splitters.h"

namespace merope {
namespace {

using pre_tokenizers::Split;
using pre_tokenizers::SplitCharacters;

enum class Kind : uint8_t {
  kGpt2,
  kGpt2Digits,  // each digit alone
  kLlama3,
  kGlm4,       // as kLlama3, with ignore_merges
  kLlama3Bos,  // as kLlama3, with ignore_merges, and with BOS by default
  kQwen2,
  kMiniCpm,
  kTekken,
  kGpt4o,
  kFalcon,
  kSarvam,  // runs of newlines, and the text between these runs
  kGemma4,  // as kSarvam, with whole_newlines, and always with BOS
  kDefault,
};

struct Name {
  std::string_view name;
  Kind kind;
};

// The names in llama.cpp's list of pre-tokenizers that have one of the splits above.
constexpr auto kNames = std::to_array<Name>({
    {"", Kind::kDefault},
    {"default", Kind::kDefault},
    {"falcon", Kind::kFalcon},
    {"gpt-2", Kind::kGpt2},
    {"phi-2", Kind::kGpt2},
    {"jina-es", Kind::kGpt2},
    {"jina-de", Kind::kGpt2},
    {"jina-v2-es", Kind::kGpt2},
    {"jina-v2-de", Kind::kGpt2},
    {"jina-v1-en", Kind::kGpt2},
    {"jina-v2-code", Kind::kGpt2},
    {"roberta-bpe", Kind::kGpt2},
    {"gigachat", Kind::kGpt2},
    {"a.x-4.0", Kind::kGpt2},
    {"mellum", Kind::kGpt2},
    {"modern-bert", Kind::kGpt2},
    {"mpt", Kind::kGpt2},
    {"olmo", Kind::kGpt2},
    {"jais", Kind::kGpt2},
    {"trillion", Kind::kGpt2},
    {"granite-docling", Kind::kGpt2},
    {"exaone4", Kind::kGpt2},
    {"smollm", Kind::kGpt2Digits},
    {"starcoder", Kind::kGpt2Digits},
    {"refact", Kind::kGpt2Digits},
    {"command-r", Kind::kGpt2Digits},
    {"codeshell", Kind::kGpt2Digits},
    {"exaone", Kind::kGpt2Digits},
    {"minerva-7b", Kind::kGpt2Digits},
    {"mellum2", Kind::kGpt2Digits},
    {"llama3", Kind::kLlama3Bos},
    {"llama-v3", Kind::kLlama3Bos},
    {"llama-bpe", Kind::kLlama3Bos},
    {"falcon3", Kind::kLlama3Bos},
    {"falcon-h1", Kind::kLlama3Bos},
    {"pixtral", Kind::kLlama3Bos},
    {"midm-2.0", Kind::kLlama3Bos},
    {"lfm2", Kind::kLlama3Bos},
    {"jina-v5-nano", Kind::kLlama3Bos},
    {"dbrx", Kind::kLlama3},
    {"smaug-bpe", Kind::kLlama3},
    {"glm4", Kind::kGlm4},
    {"glm5", Kind::kGlm4},
    {"chatglm-bpe", Kind::kLlama3},
    {"qwen2", Kind::kQwen2},
    {"deepseek-r1-qwen", Kind::kQwen2},
    {"kormo", Kind::kQwen2},
    {"f2llmv2", Kind::kQwen2},
    {"megrez", Kind::kQwen2},
    {"stablelm2", Kind::kQwen2},
    {"hunyuan", Kind::kQwen2},
    {"solar-open", Kind::kQwen2},
    {"grok-2", Kind::kQwen2},
    {"minicpm5", Kind::kMiniCpm},
    {"tekken", Kind::kTekken},
    {"gpt-4o", Kind::kGpt4o},
    {"llama4", Kind::kGpt4o},
    {"kanana2", Kind::kGpt4o},
    {"talkie", Kind::kGpt4o},
    {"minimax-m2", Kind::kGpt4o},
    {"sarvam-moe", Kind::kSarvam},
    {"gemma4", Kind::kGemma4},
    {"granite-embed-multi-311m", Kind::kGemma4},
});

PreTokenizer Isolate(Matcher matcher) {
  return Split(std::move(matcher), SplitBehavior::kIsolated, /*invert=*/false);
}

bool IsDefaultPunctuation(char32_t c) {
  return unicode::IsPunctuation(c) ||
         (c < 0x80 && std::string_view("$+<=>^~|").contains(static_cast<char>(c)));
}
bool IsFalconPunctuation(char32_t c) { return IsDefaultPunctuation(c) || c == '`'; }

PreTokenizer Triples(bool (*is_digit)(char32_t), bool whole_only) {
  return Isolate(DigitRuns(is_digit, 3, whole_only));
}

bool IsNewline(char32_t c) { return c == '\n'; }
bool IsAsciiDigit(char32_t c) { return c >= '0' && c <= '9'; }

std::vector<PreTokenizer> StepsOf(Kind kind) {
  // llama.cpp does not treat 'ſ as a contraction, and gives only ASCII letters a case.
  switch (kind) {
    case Kind::kGpt2:
      return {Isolate(Gpt2Splitter())};
    case Kind::kGpt2Digits:
      return {SplitCharacters(unicode::IsNumber, SplitBehavior::kIsolated),
              Isolate(Gpt2Splitter())};
    case Kind::kLlama3:
    case Kind::kGlm4:
    case Kind::kLlama3Bos:
      return {Isolate(Llama3Splitter({.max_digits = 3, .long_s = false}))};
    case Kind::kQwen2:
      return {Isolate(Llama3Splitter({.max_digits = 1, .long_s = false}))};
    case Kind::kMiniCpm:
      return {Triples(unicode::IsNumber, /*whole_only=*/false),
              Isolate(Llama3Splitter({.max_digits = SIZE_MAX, .long_s = false}))};
    case Kind::kTekken:
      return {Isolate(CasedSplitter({.max_digits = 1, .ascii_case = true}))};
    case Kind::kGpt4o:
      return {Isolate(CasedSplitter(
          {.max_digits = 3, .contractions = true, .long_s = false, .ascii_case = true}))};
    case Kind::kFalcon:
      return {SplitCharacters(IsFalconPunctuation, SplitBehavior::kContiguous),
              Isolate(Gpt2Splitter()), Triples(IsAsciiDigit, /*whole_only=*/true)};
    case Kind::kSarvam:
    case Kind::kGemma4:
      return {SplitCharacters(IsNewline, SplitBehavior::kContiguous)};
    case Kind::kDefault:
      return {SplitCharacters(IsDefaultPunctuation, SplitBehavior::kContiguous),
              Isolate(Gpt2Splitter()),
              SplitCharacters(unicode::IsNumber, SplitBehavior::kContiguous),
              Triples(IsAsciiDigit, /*whole_only=*/true)};
  }
  return {};
}

}  // namespace

Result<GgufSplit> ReadGgufSplit(std::string_view name, const std::string& file) {
  if (const GgufPatterns* patterns = FindGgufPatterns(name)) {
    GgufSplit split{
        .steps = {}, .ignore_merges = patterns->ignore_merges, .add_bos = patterns->add_bos};
    if (patterns->trailing_triples) split.steps.push_back(Isolate(TrailingTriples()));
    for (const std::string_view pattern : patterns->patterns) {
      if (pattern.empty()) break;
      TRY_ASSIGN(auto matcher, RegexMatcher(std::string(pattern), file + ": tokenizer.ggml.pre"));
      split.steps.push_back(Isolate(std::move(matcher)));
    }
    return split;
  }
  const auto* found = std::ranges::find(kNames, name, &Name::name);
  if (found == kNames.end()) {
    return Err("{}: tokenizer.ggml.pre: the split \"{}\" is not supported", file, name);
  }
  const bool whole_words = found->kind == Kind::kLlama3Bos || found->kind == Kind::kTekken;
  return GgufSplit{
      .steps = StepsOf(found->kind),
      .ignore_merges = whole_words || found->kind == Kind::kMiniCpm || found->kind == Kind::kGlm4,
      .add_bos = whole_words,
      .always_bos = found->kind == Kind::kGemma4,
      .byte_level = found->kind != Kind::kSarvam && found->kind != Kind::kGemma4,
      .whole_newlines = found->kind == Kind::kGemma4};
}

}  // namespace merope
