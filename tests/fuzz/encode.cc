// Any text through tokenizers of every kind: the first two bytes choose the normalizer and the
// pre-tokenizer.
#include <memory>
#include <nlohmann/json.hpp>
#include <vector>

#include "target.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace merope {
namespace {

using nlohmann::json;

constexpr const char* kNormalizers[] = {
    "null",
    R"({"type": "NFC"})",
    R"({"type": "NFKC"})",
    R"({"type": "Replace", "pattern": {"String": "a"}, "content": "aa"})",
    R"({"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "Prepend", "prepend": "b"}, {"type": "Lowercase"}]})",
};
constexpr const char* kByteLevel =
    R"({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true})";
constexpr const char* kPreTokenizers[] = {
    kByteLevel,
    R"({"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": true},
        {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true}]})",
    R"({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"},
         "behavior": "Isolated", "invert": false},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]})",
    R"({"type": "Sequence", "pretokenizers": [
        {"type": "Split", "pattern": {"Regex": "[a-f]+|\\d{1,2}"}, "behavior": "MergedWithPrevious", "invert": true},
        {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": false}]})",
};

json Vocabulary() {
  json vocabulary = json::object();
  int id = 0;
  unsigned next = 0x100;
  for (unsigned byte = 0; byte < 256; ++byte) {
    const bool printable =
        (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    std::string character;
    utf8::Append(printable ? byte : next++, &character);
    vocabulary[character] = id++;
  }
  for (const char* merged :
       {"aa", "aaaa", "ab", "aba", "\u0120a", "\u0120ab", "\u0120\u0120", "\u00e4\u00b8"})
    vocabulary[merged] = id++;
  return vocabulary;
}

Tokenizer Make(size_t normalizer, size_t pre_tokenizer) {
  const json merges = {"a a",      "aa aa",     "a b",           "ab a",
                       "\u0120 a", "\u0120 ab", "\u0120 \u0120", "\u00e4 \u00b8"};
  const json special = {{"id", 264},           {"content", "<|x|>"}, {"special", true},
                        {"normalized", false}, {"lstrip", true},     {"rstrip", false},
                        {"single_word", false}};
  const json word = {{"id", 265},          {"content", "bb"}, {"special", false},
                     {"normalized", true}, {"lstrip", false}, {"rstrip", true},
                     {"single_word", true}};
  const json tokenizer = {
      {"version", "1.0"},
      {"added_tokens", {special, word}},
      {"normalizer", json::parse(kNormalizers[normalizer])},
      {"pre_tokenizer", json::parse(kPreTokenizers[pre_tokenizer])},
      {"post_processor", nullptr},
      {"decoder", json::parse(kByteLevel)},
      {"model", {{"type", "BPE"}, {"vocab", Vocabulary()}, {"merges", merges}}}};
  auto made = Tokenizer::FromJson(tokenizer.dump(), "fuzz");
  CHECK(made.has_value(), "{}", made.error().message);
  return std::move(*made);
}

void Check(const Tokenizer& tokenizer, std::string_view text, EncodeOptions options,
           bool lossless) {
  const auto ids = tokenizer.Encode(text, options);
  if (!ids) return;  // not UTF-8
  for (const int32_t id : *ids) CHECK(id >= 0 && id < tokenizer.vocab_size(), "id {}", id);
  const auto decoded = tokenizer.Decode(*ids, false);
  CHECK(decoded.has_value(), "{}", decoded.error().message);
  if (lossless) CHECK(*decoded == text, "decoded to something else");
  StreamDecoder stream(tokenizer, false);
  std::string joined;
  for (const int32_t id : *ids) joined += stream.Push(id);
  joined += stream.Finish();
  CHECK(joined == *decoded, "streamed to something else");
}

}  // namespace
}  // namespace merope

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merope;
  static const std::vector<Tokenizer> tokenizers = [] {
    std::vector<Tokenizer> all;
    for (size_t n = 0; n < std::size(kNormalizers); ++n) {
      for (size_t p = 0; p < std::size(kPreTokenizers); ++p) all.push_back(Make(n, p));
    }
    return all;
  }();
  if (size < 2) return 0;
  const size_t normalizer = data[0] % std::size(kNormalizers),
               pre = data[1] % std::size(kPreTokenizers);
  const Tokenizer& tokenizer = tokenizers[normalizer * std::size(kPreTokenizers) + pre];
  const std::string_view text = AsText(data + 2, size - 2);
  // A prefix space or a normalizer changes the text; so do added tokens that strip.
  const bool lossless = normalizer == 0 && pre != 1 && text.find("bb") == std::string_view::npos;
  Check(tokenizer, text, {.parse_special = false}, lossless);
  Check(tokenizer, text, {.parse_special = true}, false);
  return 0;
}
