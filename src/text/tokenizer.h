// Tokenizer turns text into token ids and token ids into text. The results are the same as those of
// HF tokenizers, for byte-level BPE vocabularies and SentencePiece-style BPE vocabularies. The
// checkpoint readers make a Tokenizer. The engine, the server and the command-line tools use the
// Tokenizer. A Tokenizer is immutable after construction: any number of threads may encode and
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

// The vocabulary of a GGUF file (its tokenizer.ggml.* keys). The checkpoint reader fills this
// struct.
struct GgufVocabulary {
  // "gpt2" (BPE by merges), "gemma4" (the same, with the split "gemma4") or "llama"
  // (SentencePiece-style).
  std::string model;
  std::string pre;  // the name of the split: "smollm", "llama-bpe", …; empty if the key is absent
  std::vector<std::string> tokens;
  std::vector<float> scores;        // (n_tokens), or empty
  std::vector<int32_t> types;       // (n_tokens), llama.cpp's token types, or empty
  std::vector<std::string> merges;  // "a b"
  std::optional<int32_t> bos, eos, unknown, padding;
  std::optional<bool> add_bos, add_eos, add_space_prefix;
};

struct EncodeOptions {
  bool parse_special =
      true;  // special tokens written out in the text become their ids; false: plain text
  bool add_special = false;  // add the ids that the post-processor puts around the text (BOS, …)
};

// The settings of a tokenizer that come from files other than tokenizer.json.
struct TokenizerAdditions {
  struct Token {
    AddedToken token;  // token.id is ignored: the id is the vocabulary's id or the next free id
    bool replaces;     // whether token replaces an added token with the same content
  };
  std::vector<Token> tokens;
  bool split_special = false;  // special tokens written out in a text are plain text
  // Settings from tokenizer_config.json: whether a space goes before the first word. nullopt: there
  // is no such setting, or transformers' class for this tokenizer (tokenizer_class) does not use
  // the setting. byte_level_prefix: the add_prefix_space of the ByteLevel steps. metaspace_scheme:
  // the prepend_scheme of the Metaspace step that transformers' LlamaTokenizer makes.
  std::optional<bool> byte_level_prefix;
  std::optional<std::string> metaspace_scheme;
};

class Tokenizer {
 public:
  // file: the name of the source, for errors. If tokenizer.json needs a feature that Tokenizer does
  // not have, FromJson returns an error that names the feature.
  static Result<Tokenizer> FromJson(std::string_view tokenizer_json, const std::string& file,
                                    const TokenizerAdditions& additions = {});
  static Result<Tokenizer> FromGguf(GgufVocabulary vocabulary, const std::string& file);

  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // text must be valid UTF-8. Otherwise the error gives the offset of the first invalid byte.
  Result<std::vector<int32_t>> Encode(std::string_view text, EncodeOptions options = {}) const;
  // An id outside the vocabulary is an error.
  Result<std::string> Decode(std::span<const int32_t> ids, bool skip_special = true) const;

  // Ids are in [0, vocab_size()).
  int32_t vocab_size() const;
  std::optional<int32_t> TokenToId(std::string_view token) const;
  // The spelling in the vocabulary ("Ġthe", "▁the", "<0x0A>"). Empty if no token has this id.
  std::string_view IdToToken(int32_t id) const;
  bool IsSpecial(int32_t id) const;
  // The ids that the post-processor puts before a text if add_special is set (BOS, or other ids in
  // this model family).
  std::vector<int32_t> PrefixIds() const;
  // The bytes that the token stands for inside a text. TokenBytes never strips a leading space,
  // unlike Decode at the start of a text.
  std::string TokenBytes(int32_t id) const;

 private:
  friend class StreamDecoder;
  struct State;
  explicit Tokenizer(std::unique_ptr<const State> state);
  std::unique_ptr<const State> state_;
};

struct DecodeState;

// Decodes ids one at a time. The joined pieces equal Decode of all the ids (with U+FFFD for bytes
// that are not UTF-8). A piece never ends inside a character. before: the ids before the stream. If
// before is not empty, the pieces are the text that the stream adds to the text of before, from the
// first character that ends in the stream. The tokenizer must outlive the StreamDecoder. Ids
// outside the vocabulary are ignored. One thread at a time uses a StreamDecoder.
class StreamDecoder {
 public:
  explicit StreamDecoder(const Tokenizer& tokenizer, bool skip_special = true,
                         std::span<const int32_t> before = {});
  StreamDecoder(StreamDecoder&&) noexcept;
  ~StreamDecoder();
  std::string Push(int32_t id);
  std::string Finish();  // returns the text that Push has held back

 private:
  // Empty if the id has no text.
  std::string_view TokenOf(int32_t id) const;
  const Tokenizer& tokenizer_;
  bool skip_special_;
  std::unique_ptr<DecodeState> state_;
};

}  // namespace merope
