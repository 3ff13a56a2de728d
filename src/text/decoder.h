// From tokens back to text, token by token: a whole decode and a stream run the same code.
// Immutable: safe on any thread.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace merope {

// What the decode of one text carries from token to token.
struct DecodeState {
  bool at_start = true;    // no token yet
  size_t to_strip = 0;     // characters that may still be stripped from the start
  std::string byte_run;    // bytes of <0xNN> tokens in a row
  std::string pending;     // the start of a character that is not yet whole
  bool inherited = false;  // byte_run and pending are of the text that the stream goes on from
};

class Decoder {
 public:
  // Rewrites one token; first: the first of the text.
  using TokenStep = std::function<void(std::string* token, bool first)>;

  // In this order:
  std::vector<TokenStep> steps;
  bool byte_level = false;     // tokens are spelled in the byte-level alphabet
  bool byte_fallback = false;  // runs of <0xNN> tokens are bytes
  std::string strip;           // the character stripped from the start of the whole text…
  size_t strip_count = 0;      // …at most so many times
  std::string separator;       // between tokens

  void Start(DecodeState* state) const;
  // What was pushed so far is the text before the stream: of it, only the start of a character that
  // the next token completes is still to come out.
  static void BeginStream(DecodeState* state);
  // Appends to *out what is known of the text once this token is added.
  void Push(std::string_view token, DecodeState* state, std::string* out) const;
  void Finish(DecodeState* state, std::string* out) const;

  // The bytes that a token stands for inside a text.
  std::string TokenBytes(std::string_view token) const;

 private:
  static void Continue(std::string_view bytes, DecodeState* state);
  void EndByteRun(DecodeState* state, std::string* out) const;
  void Emit(std::string_view text, DecodeState* state, std::string* out) const;
};

// For tokens with U+2581 for the space; strip_first: the first space of the text is not its own.
Decoder SentencePieceDecoder(bool strip_first);

}  // namespace merope
