// Text to token ids and back, exactly as HF tokenizers does it, for byte-level BPE and
// SentencePiece-style BPE vocabularies. Immutable once made: any number of threads may encode and
// decode at once.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/error.h"
#include "text/added_tokens.h"

namespace merope {

// A vocabulary as a GGUF file holds it (its tokenizer.ggml.* keys), filled by the checkpoint
// reader.
struct GgufVocabulary {
  std::string model;  // "gpt2" (BPE by merges), "gemma4" (the same, split as its name says) or
                      // "llama" (SentencePiece-style)
  std::string pre;    // which split: "smollm", "llama-bpe", …; empty where the key is absent
  std::vector<std::string> tokens;
  std::vector<float> scores;        // (n_tokens), or empty
  std::vector<int32_t> types;       // (n_tokens) llama.cpp's token types, or empty
  std::vector<std::string> merges;  // "a b"
  std::optional<int32_t> bos, eos, unknown, padding;
  std::optional<bool> add_bos, add_eos, add_space_prefix;
};

struct EncodeOptions {
  bool parse_special =
      true;  // special tokens written out in the text become their ids; false: plain text
  bool add_special = false;  // what the post-processor puts around the text (BOS and the like)
};

// What other files than tokenizer.json say of a tokenizer.
struct TokenizerAdditions {
  struct Token {
    AddedToken token;  // its id is left open: that of the vocabulary, or the next
    bool replaces;     // whether it takes the place of an added token of the same content
  };
  std::vector<Token> tokens;
  bool split_special = false;  // special tokens written out in a text are plain text
  // add_prefix_space of a tokenizer_class that has it: of ByteLevel, or as a prepend_scheme of the
  // Metaspace with which transformers builds Llama's class.
  std::optional<bool> byte_level_prefix;
  std::optional<std::string> metaspace_scheme;
};

class Tokenizer {
 public:
  // file names the source in errors. What tokenizer.json asks for and this class lacks is refused
  // by name.
  static Result<Tokenizer> FromJson(std::string_view tokenizer_json, const std::string& file,
                                    const TokenizerAdditions& additions = {});
  static Result<Tokenizer> FromGguf(GgufVocabulary vocabulary, const std::string& file);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // text must be valid UTF-8; the error gives the offset of the first byte that is not.
  Result<std::vector<int32_t>> Encode(std::string_view text, EncodeOptions options = {}) const;
  // Ids outside the vocabulary are an error.
  Result<std::string> Decode(std::span<const int32_t> ids, bool skip_special = true) const;

  // Ids lie in [0, vocab_size()).
  int32_t vocab_size() const;
  std::optional<int32_t> TokenToId(std::string_view token) const;
  // The vocabulary's own spelling ("Ġthe", "▁the", "<0x0A>"); empty for an id that no token has.
  std::string_view IdToToken(int32_t id) const;
  bool IsSpecial(int32_t id) const;
  // Ids that the post-processor puts before a text under add_special (BOS or, with this model
  // family, others).
  std::vector<int32_t> PrefixIds() const;
  // The bytes that the token stands for inside a text (never those of a whole decode: no
  // leading-space stripping).
  std::string TokenBytes(int32_t id) const;

 private:
  friend class StreamDecoder;
  struct State;
  explicit Tokenizer(std::unique_ptr<const State> state);
  std::unique_ptr<const State> state_;
};

struct DecodeState;

// Decodes ids as they come. The pieces, joined, are Decode of all the ids (with U+FFFD for bytes
// that are no UTF-8); a piece never ends inside a character. With ids that came before, the pieces
// are what is added to their text, from the first character that ends in the stream. The tokenizer
// must outlive it; ids outside the vocabulary are passed over.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = true,
                         std::span<const int32_t> before = {});
  StreamDecoder(StreamDecoder&&) noexcept;
  ~StreamDecoder();
  std::string Push(int32_t id);
  std::string Finish();  // what was held back

 private:
  // Empty where the id has no text.
  std::string_view TokenOf(int32_t id) const;
  const Tokenizer& tokenizer_;
  bool skip_special_;
  std::unique_ptr<DecodeState> state_;
};

}  // namespace merope
