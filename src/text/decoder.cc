#include "text/decoder.h"

#include "base/utf8.h"
#include "text/pieces.h"

namespace merope {
namespace {

// The byte of a <0xNN> token, or -1.
int ByteOf(std::string_view token) {
  if (token.size() != 6 || !token.starts_with("<0x") || token[5] != '>') return -1;
  int byte = 0;
  for (const char c : token.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                             : -1;
    if (digit < 0) return -1;
    byte = byte * 16 + digit;
  }
  return byte;
}

}  // namespace

void Decoder::Start(DecodeState* state) const {
  *state = DecodeState();
  state->to_strip = strip_count;
}

void Decoder::BeginStream(DecodeState* state) {
  std::string before;
  utf8::DrainLossy(&state->byte_run, /*end=*/false, &before);
  state->inherited = !state->byte_run.empty() || !state->pending.empty();
}

// bytes: the next bytes of the stream. If bytes do not continue the inherited incomplete character,
// Continue drops that character, because the character belongs to the text before the stream.
void Decoder::Continue(std::string_view bytes, DecodeState* state) {
  if (!state->inherited || bytes.empty()) return;
  state->inherited = false;
  if (utf8::IsContinuation(bytes[0])) return;
  state->byte_run.clear();
  state->pending.clear();
}

void Decoder::Push(std::string_view token, DecodeState* state, std::string* out) const {
  const bool first = state->at_start;
  state->at_start = false;
  std::string text(token);
  for (const TokenStep& step : steps) step(&text, first);
  if (byte_fallback) {
    if (const int byte = ByteOf(text); byte >= 0) {
      const auto c = static_cast<char>(byte);
      Continue({&c, 1}, state);
      state->byte_run.push_back(c);
      return;
    }
  }
  if (!first) text.insert(0, separator);
  std::string bytes;
  if (byte_level && byte_level::Unmap(text, &bytes)) text.swap(bytes);
  Continue(text, state);
  EndByteRun(state, out);
  Emit(text, state, out);
}

void Decoder::Finish(DecodeState* state, std::string* out) const {
  if (state->inherited) *state = DecodeState();
  EndByteRun(state, out);
  utf8::DrainLossy(&state->pending, /*end=*/true, out);
}

std::string Decoder::TokenBytes(std::string_view token) const {
  std::string text(token);
  for (const TokenStep& step : steps) step(&text, /*first=*/false);
  if (byte_fallback) {
    if (const int byte = ByteOf(text); byte >= 0) return std::string(1, static_cast<char>(byte));
  }
  std::string bytes;
  return byte_level && byte_level::Unmap(text, &bytes) ? bytes : text;
}

// Does the same as HF tokenizers: if a run is not valid UTF-8, each byte of the run becomes U+FFFD.
void Decoder::EndByteRun(DecodeState* state, std::string* out) const {
  if (state->byte_run.empty()) return;
  if (utf8::ValidPrefix(state->byte_run) == state->byte_run.size()) {
    Emit(state->byte_run, state, out);
  } else {
    for (size_t i = 0; i < state->byte_run.size(); ++i) Emit("\xEF\xBF\xBD", state, out);
  }
  state->byte_run.clear();
}

void Decoder::Emit(std::string_view text, DecodeState* state, std::string* out) const {
  while (state->to_strip > 0 && !text.empty()) {
    if (!text.starts_with(strip)) {
      state->to_strip = 0;
    } else {
      text.remove_prefix(strip.size());
      --state->to_strip;
    }
  }
  state->pending.append(text);
  utf8::DrainLossy(&state->pending, /*end=*/false, out);
}

Decoder SentencePieceDecoder(bool strip_first) {
  Decoder decoder;
  decoder.steps.push_back([](std::string* token, bool) {
    constexpr std::string_view kMark = "\xE2\x96\x81";
    for (size_t at = token->find(kMark); at != token->npos; at = token->find(kMark, at + 1)) {
      (*token)[at] = ' ';
      token->erase(at + 1, kMark.size() - 1);
    }
  });
  decoder.byte_fallback = true;
  decoder.strip.assign(1, ' ');
  decoder.strip_count = strip_first ? 1 : 0;
  return decoder;
}

}  // namespace merope
