// Encodes any text with tokenizers of every kind, and decodes any ids. The first byte chooses the
// tokenizer and the options.
#include <array>
#include <vector>

#include "base/utf8.h"
#include "checkpoint/synth_tokenizer.h"
#include "target.h"
#include "text/tokenizer.h"

namespace {

using namespace merope;

struct Subject {
  Tokenizer tokenizer;
  // Decode gives back every encoded text without special tokens. If metaspace is set, this does not
  // hold for texts with U+2581.
  bool lossless;
  bool metaspace = false;  // tokens spell a space as U+2581
};

Tokenizer Make(const Json& json) {
  auto tokenizer = Tokenizer::FromJson(json.dump(), "fixed");
  CHECK(tokenizer.has_value(), "{}", tokenizer.error().message);
  return *std::move(tokenizer);
}

constexpr const char* kLlama3 =
    "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| "
    "?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|"
    "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

Json Split(const char* regex, const char* behavior, bool invert = false) {
  return {{"type", "Split"},
          {"pattern", {{"Regex", regex}}},
          {"behavior", behavior},
          {"invert", invert}};
}
Json ByteLevel() {
  return {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
}

// Byte-level BPE. The pre-tokenizers `before` and the normalizer run before the byte-level step.
Json ByteLevelWith(std::vector<Json> before, Json normalizer = nullptr) {
  Json json = SynthTokenizer(600);
  before.push_back(ByteLevel());
  json["pre_tokenizer"] = {{"type", "Sequence"}, {"pretokenizers", Json(before)}};
  json["normalizer"] = std::move(normalizer);
  // A token that is matched after normalization and only as a whole word. The match includes the
  // white space around the token.
  Json stripped = json["added_tokens"][0];
  for (const char* flag : {"lstrip", "rstrip", "single_word", "normalized"}) stripped[flag] = true;
  stripped["content"] = "Tok En";
  stripped["id"] = 600;
  json["added_tokens"].push_back(stripped);
  return json;
}

// BPE in the style of SentencePiece with byte fallback, as in Llama 2.
Json SentencePiece() {
  Json vocabulary = Json::object(), merges = Json::array();
  int id = 0;
  for (const char* special : {"<unk>", "<s>", "</s>"}) vocabulary[special] = id++;
  for (int byte = 0; byte < 256; ++byte) vocabulary[fmt::format("<0x{:02X}>", byte)] = id++;
  for (const char* token : {"\u2581", "a", "b", "\u00e9", "\u2581a", "ab", "\u2581\u2581", "aab"})
    vocabulary[token] = id++;
  for (const auto& [left, right] :
       {std::pair{"\u2581", "a"}, {"a", "b"}, {"\u2581", "\u2581"}, {"a", "ab"}})
    merges.push_back({left, right});
  return {{"added_tokens", Json::array()},
          {"normalizer",
           {{"type", "Sequence"},
            {"normalizers",
             {{{"type", "Prepend"}, {"prepend", "\u2581"}},
              {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\u2581"}}}}}},
          {"decoder",
           {{"type", "Sequence"},
            {"decoders",
             {{{"type", "Replace"}, {"pattern", {{"String", "\u2581"}}}, {"content", " "}},
              {{"type", "ByteFallback"}},
              {{"type", "Fuse"}},
              {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}}},
          {"model",
           {{"type", "BPE"},
            {"unk_token", "<unk>"},
            {"fuse_unk", true},
            {"byte_fallback", true},
            {"vocab", vocabulary},
            {"merges", merges}}}};
}

Json Type(const char* type) { return Json{{"type", type}}; }

const std::vector<Subject>& Subjects() {
  static const auto* subjects = [] {
    auto* made = new std::vector<Subject>;
    const Json digits = {{"type", "Digits"}, {"individual_digits", true}};
    const Json strip = {{"type", "Strip"}, {"strip_left", true}, {"strip_right", true}};
    const Json metaspace = {
        {"type", "Metaspace"}, {"replacement", "\u2581"}, {"prepend_scheme", "first"}};
    Json normalizers = Type("Sequence");
    normalizers["normalizers"] = std::vector<Json>{Type("NFKD"), Type("StripAccents"),
                                                   Type("Lowercase"), Type("NFC"), strip};
    const auto add = [made](const Json& json, bool lossless) {
      made->push_back({Make(json), lossless});
    };
    add(SynthTokenizer(600), true);
    add(ByteLevelWith({Split(kLlama3, "Isolated")}), false);
    add(ByteLevelWith({digits, Type("Punctuation")}, Type("NFC")), false);
    add(ByteLevelWith({Type("BertPreTokenizer")}, normalizers), false);
    // There is no hand-written splitter for these expressions, so Oniguruma matches them.
    add(ByteLevelWith({Split("\\p{Lu}?[a-z]+|(\\s+)+$", "MergedWithPrevious"),
                       Split("[^ab]", "Contiguous", true), metaspace},
                      Type("NFKC")),
        false);
    made->push_back({Make(SentencePiece()), true, true});
    return made;
  }();
  return *subjects;
}

void CheckStream(const Tokenizer& tokenizer, std::span<const int32_t> ids, bool skip_special) {
  const auto whole = tokenizer.Decode(ids, skip_special);
  CHECK(whole.has_value());
  StreamDecoder stream(tokenizer, skip_special);
  std::string joined;
  const auto add = [&joined](const std::string& piece) {
    CHECK(utf8::ValidPrefix(piece) == piece.size(), "a piece ends inside a character");
    joined += piece;
  };
  for (const int32_t id : ids) add(stream.Push(id));
  add(stream.Finish());
  CHECK(joined == *whole);
}

}  // namespace

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size == 0) return 0;
  const Subject& subject = Subjects()[(data[0] >> 3) % Subjects().size()];
  const Tokenizer& tokenizer = subject.tokenizer;
  const EncodeOptions options{.parse_special = (data[0] & 1) != 0,
                              .add_special = (data[0] & 2) != 0};
  const std::string_view text = AsText(data + 1, size - 1);

  if ((data[0] & 4) != 0) {  // the bytes are ids
    std::vector<int32_t> ids;
    for (size_t i = 1; i + 1 < size; i += 2)
      ids.push_back((data[i] << 8 | data[i + 1]) % tokenizer.vocab_size());
    CheckStream(tokenizer, ids, options.parse_special);
    return 0;
  }
  const auto ids = tokenizer.Encode(text, options);
  CHECK(ids.has_value() || utf8::ValidPrefix(text) < text.size() || !subject.lossless);
  if (!ids) return 0;
  for (const int32_t id : *ids) CHECK(id >= 0 && id < tokenizer.vocab_size());
  CheckStream(tokenizer, *ids, false);
  const bool plain = !options.add_special && (!subject.metaspace || !options.parse_special);
  if (subject.lossless && plain && (!subject.metaspace || text.find("\u2581") == text.npos))
    CHECK(*tokenizer.Decode(*ids, false) == text);
  return 0;
}
