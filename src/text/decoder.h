// Turns tokens back into text, token by token. A decode of a whole text and a stream run the same
// code. Tokenizer and StreamDecoder call Decoder. A Decoder does not change after it is filled, so
// it is safe on any thread. Each text has its own DecodeState.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace merope {

// The state of the decode of one text, kept from token to token.
struct DecodeState {
  bool at_start = true;    // no token so far
  size_t to_strip = 0;     // number of characters that Emit may still strip from the start
  std::string byte_run;    // the bytes of consecutive <0xNN> tokens
  std::string pending;     // the first bytes of a character that is not yet complete
  bool inherited = false;  // byte_run and pending belong to the text before the stream
};

class Decoder {
 public:
  // Rewrites one token. first: the token is the first token of the text.
  using TokenStep = std::function<void(std::string* token, bool first)>;

  // Push applies steps (in order) to a token, then byte_fallback, separator, byte_level and strip.
  std::vector<TokenStep> steps;
  bool byte_level = false;     // tokens are spelled in the byte-level alphabet
  bool byte_fallback = false;  // a run of <0xNN> tokens stands for bytes
  std::string strip;           // the character to strip from the start of the whole text
  size_t strip_count = 0;      // the maximum number of stripped characters
  std::string separator;       // the text between two tokens

  void Start(DecodeState* state) const;
  // Declares the text pushed so far to be the text before the stream. Push then outputs nothing of
  // that text, except the first bytes of a character that the next token completes.
  static void BeginStream(DecodeState* state);
  // Adds a token, and appends to *out the text that is now complete.
  void Push(std::string_view token, DecodeState* state, std::string* out) const;
  void Finish(DecodeState* state, std::string* out) const;

  // The bytes that a token stands for inside a text.
  std::string TokenBytes(std::string_view token) const;

 private:
  static void Continue(std::string_view bytes, DecodeState* state);
  void EndByteRun(DecodeState* state, std::string* out) const;
  void Emit(std::string_view text, DecodeState* state, std::string* out) const;
};

// Returns the decoder for tokens that spell a space as U+2581. strip_first: the decoder strips one
// space at the start of the text, because the encoder has added that space.
Decoder SentencePieceDecoder(bool strip_first);

}  // namespace merope
