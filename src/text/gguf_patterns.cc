#include "text/gguf_patterns.h"

#include <algorithm>
#include <array>

namespace merope {
namespace {

#define CONTRACTION "'(?:[sStTmMdD]|[rR][eE]|[vV][eE]|[lL][lL])"
#define LETTERS "[^\\r\\n\\p{L}\\p{N}]?\\p{L}+"
#define OTHERS "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*"
#define SPACES "|\\s+(?!\\S)|\\s+"
#define NEWLINES "|\\s*[\\r\\n]+" SPACES
#define IDEOGRAPHS "[\u4E00-\u9FA5\u3040-\u309F\u30A0-\u30FF]+"
#define ASCII_SYMBOL "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~]"
#define SYMBOL_OR_WORD \
  ASCII_SYMBOL "[A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+"
#define WORDS_OF_BLOOM " ?[^(\\s|.,!?\u2026\u3002\uFF0C\u3001\u0964\u06D4\u060C)]+"
#define GPT2 "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+" SPACES
#define MARKED_WORD "[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+(?:" CONTRACTION ")?"
#define OTHERS_OR_SLASHES "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*"
// The ranges of Han characters, as llama.cpp lists them.
#define HAN                                 \
  "\u3400-\u4DBF\u4E00-\u9FFF\uF900-\uFAFF" \
  "\U00020000-\U0002A6DF\U0002A700-\U0002EBEF\U0002F800-\U0002FA1F"
// The letters with a case, as DeepSeek LLM's tokenizer lists them.
#define CASED_LETTERS                                                    \
  "A-Za-z"                                                               \
  "µÀ-ÖØ-öø-ƺƼ-ƿǄ-ʓʕ-ʯͰ-ͳͶͷͻ-ͽͿΆΈ-ΊΌΎ-ΡΣ-ϵϷ-ҁҊ-ԯԱ-ՖႠ-ჅᎠ-Ᏽᏸ-ᏽᲐ-ᲺᲽ-Ჿ"      \
  "ᴀ-ᴫᵫ-ᵷᵹ-ᶚḀ-ἕἘ-Ἕἠ-ὅὈ-Ὅὐ-ὗὙὛὝὟ-ώᾀ-ᾴᾶ-ᾼιῂ-ῄῆ-ῌῐ-ΐῖ-Ίῠ-Ῥῲ-ῴῶ-ῼℂℇℊ-ℓ"      \
  "ℕℙ-ℝℤΩℨK-ℭℯ-ℴℹℼ-ℿⅅ-ⅉⅎↃↄⰀ-ⱻⱾ-ⳤⳫ-ⳮⳲⳳꙀ-ꙭꚀ-ꚛꜢ-ꝯꝱ-ꞇꞋ-ꞎꭰ-ꮿﬀ-ﬆﬓ-ﬗＡ-Ｚａ-ｚ" \
  "𐐀-𐑏𐒰-𐓓𐓘-𐓻𐲀-𐲲𐳀-𐳲𑢠-𑣟𞤀-𞥃"

// llama.cpp replaces white space beyond ASCII by a vertical tab before it matches. No range below
// contains the vertical tab, so llama.cpp's pattern never matches such white space. "&&\\S" removes
// the white space from the ranges.
#define EAST_ASIAN "[\u4E00-\u9FA5\u0800-\u4E00\uAC00-\uD7FF&&\\S]+"

constexpr auto kPatterns = std::to_array<GgufPatterns>({
    {.names = {"deepseek-llm"},
     .patterns = {"[\\r\\n]", "\\s?[" CASED_LETTERS "]+",
                  "\\s?[!-/:-~\uFF01-\uFF0F\uFF1A-\uFF5E\u2018-\u201F\u3001\u3002]+", "\\s+\\z",
                  EAST_ASIAN, "\\p{N}+"}},
    {.names = {"deepseek-coder"},
     .patterns = {"[\\r\\n]", "\\s?\\p{L}+", "\\s?\\p{P}+", EAST_ASIAN, "\\p{N}"}},
    {.names = {"deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"},
     .patterns = {"\\p{N}{1,3}", IDEOGRAPHS, SYMBOL_OR_WORD "[\\r\\n]*" NEWLINES}},
    {.names = {"spark2_5"},
     .patterns = {"\\p{N}{1,3}", IDEOGRAPHS, SYMBOL_OR_WORD "|[\\r\\n]" SPACES, "\\p{N}"}},
    // The third range starts at U+8C48, as in llama.cpp. The intended start is U+F900.
    {.names = {"afmoe"},
     .patterns =
         {"[\u4E00-\u9FFF\u3400-\u4DBF\u8C48-\uFAFF\u3040-\u30FF\uFF65-\uFF9F\u2F00-\u2FDF"
          "\u0E40-\u0EFF\u1780-\u17FF\u1000-\u109F\uAA60-\uAA7F\uA9E0-\uA9FF\u1100-\u11FF]+",
          SYMBOL_OR_WORD "[\\r\\n]*" NEWLINES},
     .trailing_triples = true},
    {.names = {"tiny_aya", "cohere2moe"},
     .patterns = {MARKED_WORD "|\\p{N}{1,3}" OTHERS_OR_SLASHES NEWLINES},
     .trailing_triples = true},
    {.names = {"kimi-k2"},
     .patterns = {"[" HAN "]+|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}&&[^" HAN "]]+(?:" CONTRACTION
                  ")?|\\p{N}{1,3}" OTHERS NEWLINES}},
    {.names = {"youtu"},
     .patterns = {"[\uAC00-\uD7A3\u3131-\u318E]+|[\uFF01\u2026\u201C\u201D\u2018\u2019\u2014\uFF1A"
                  "\uFF1B\uFF0C\u3001-\u303F\uFE30-\uFE4F]+|[\u3105-\u312F]+|" IDEOGRAPHS,
                  MARKED_WORD "|\\p{N}" OTHERS_OR_SLASHES NEWLINES},
     .ignore_merges = true},
    {.names = {"jais-2"},
     .patterns =
         {CONTRACTION
          "|" LETTERS "|\\p{N}{1,3}" OTHERS
          "|\\s*[\\r\\n]+|\\s{512}(?!\\S)|\\s{256}(?!\\S)|\\s{128}(?!\\S)|\\s{64}(?!\\S)"
          "|\\s{32}(?!\\S)|\\s{16}(?!\\S)|\\s{8}(?!\\S)|\\s{4}(?!\\S)|\\s{1,2}(?!\\S)|\\s"}},
    {.names = {"qwen35"},
     .patterns = {CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}]+|\\p{N}"
                              "| ?[^\\s\\p{L}\\p{M}\\p{N}]+[\\r\\n]*" NEWLINES}},
    {.names = {"poro-chat", "bloom", "gpt3-finnish"}, .patterns = {WORDS_OF_BLOOM}},
    {.names = {"viking"}, .patterns = {WORDS_OF_BLOOM, "\\p{N}"}},
    {.names = {"chameleon"},
     .patterns = {"<sentinel:[0-9]+>", "IMGIMG[A-I]{1,4}Z", "[\\t\\n]|    |  ", "\\p{N}",
                  "[\\p{P}!-/:-@\\[-`{-~]", GPT2},
     .add_bos = true},
    {.names = {"granite-embed-multi-97m"},
     .patterns =
         {"[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}&&[^a-z]]*[\\p{L}\\p{M}&&[^A-Z]]+(?:" CONTRACTION
          ")?|[^\\r\\n\\p{L}\\p{N}]?[\\p{L}\\p{M}&&[^a-z]]+[\\p{L}\\p{M}&&[^A-Z]]*(?:" CONTRACTION
          ")?|\\p{N}{1,3}" OTHERS_OR_SLASHES NEWLINES},
     .ignore_merges = true},
    {.names = {"superbpe"}, .patterns = {"\\p{N}+", "(?=([0-9]{3})+(?![0-9]))"}},
    {.names = {"bailingmoe", "bailingmoe2", "llada-moe"},
     .patterns = {CONTRACTION "|" LETTERS "|\\p{N}" OTHERS "|\\s*[\\r\\n]" SPACES}},
    {.names = {"seed-coder"},
     .patterns = {CONTRACTION "|" LETTERS "|\\p{N}| ?[^\\s\\p{L}\\p{N}\\r\\n]+" NEWLINES}},
    {.names = {"ufakzeka"}, .patterns = {LETTERS "|\\p{N}" OTHERS NEWLINES}},
    {.names = {"laguna"},
     .patterns = {"[^\\n]+|\\n+", CONTRACTION "|" LETTERS "|\\p{N}" OTHERS NEWLINES}},
    {.names = {"exaone-moe"},
     .patterns = {CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?(?:\\p{L}\\p{M}*(?: \\p{L}\\p{M}*)*)+|\\p{N}"
                              "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]?|\\s*[\\r\\n]" SPACES}},
});

}  // namespace

const GgufPatterns* FindGgufPatterns(std::string_view name) {
  const auto* found = std::ranges::find_if(kPatterns, [name](const GgufPatterns& patterns) {
    return std::ranges::find(patterns.names, name) != patterns.names.end();
  });
  return name.empty() || found == kPatterns.end() ? nullptr : found;
}

}  // namespace merope
