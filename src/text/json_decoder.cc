#include "base/utf8.h"
#include "text/json_steps.h"

namespace merope {
namespace {

// The limit of a Replace's content: each token may contain the content many times.
constexpr size_t kMaxContentBytes = 1024;

void ReplaceAll(std::string_view from, std::string_view to, std::string* token) {
  size_t at = token->find(from);
  if (at == std::string::npos || from.empty()) return;
  std::string out;
  size_t done = 0;
  for (; at != std::string::npos; at = token->find(from, done)) {
    out.append(*token, done, at - done).append(to);
    done = at + from.size();
  }
  out.append(*token, done);
  token->swap(out);
}

void StripToken(const std::string& c, size_t start, size_t stop, std::string* token) {
  for (size_t i = 0; i < start && token->starts_with(c); ++i) token->erase(0, c.size());
  for (size_t i = 0; i < stop && token->ends_with(c); ++i) token->resize(token->size() - c.size());
}

Result<std::string> RequireCharacter(const JsonFields& fields, const char* field) {
  TRY_ASSIGN(auto text, RequireString(fields, field));
  if (!utf8::IsOneCharacter(text)) {
    return Err("{}: {}: expected one character, found \"{}\"", fields.where(), field, text);
  }
  return text;
}

Status AddMetaspace(const JsonFields& fields, Decoder* decoder) {
  TRY_ASSIGN(const auto replacement, RequireCharacter(fields, "replacement"));
  TRY_ASSIGN(const auto scheme, fields.String("prepend_scheme"));
  TRY_ASSIGN(const auto add_prefix_space, fields.Bool("add_prefix_space"));
  const bool prepended = scheme ? *scheme != "never" : add_prefix_space.value_or(true);
  decoder->steps.push_back([=](std::string* token, bool first) {
    ReplaceAll(replacement, std::string_view(" ", first && prepended ? 0 : 1), token);
  });
  return {};
}

Status AddReplace(const JsonFields& fields, Decoder* decoder) {
  TRY_ASSIGN(const auto content, RequireString(fields, "content"));
  if (content.size() > kMaxContentBytes) {
    return Err("{}: content: expected at most {} bytes, found {}", fields.where(), kMaxContentBytes,
               content.size());
  }
  TRY_ASSIGN(const auto literal, ReadLiteral(fields));
  if (!literal) return Err("{}: pattern: Regex is not supported here", fields.where());
  decoder->steps.push_back([=](std::string* token, bool) { ReplaceAll(*literal, content, token); });
  return {};
}

}  // namespace

Status ReadDecoder(const Json* json, const std::string& where, Decoder* decoder) {
  if (json == nullptr || json->is_null()) {
    decoder->separator.assign(1, ' ');
    return {};
  }
  TRY_ASSIGN(const auto flat, FlattenSequence(*json, "decoders", where));
  // bytes: ByteFallback came before. fused: Fuse or ByteLevel came before.
  bool bytes = false, fused = false;
  for (const Json* element : flat) {
    const JsonFields fields(*element, where);
    TRY_ASSIGN(const auto type, RequireString(fields, "type"));
    if (type == "Strip" && (fused || !bytes)) {
      TRY_ASSIGN(const auto content, RequireCharacter(fields, "content"));
      TRY_ASSIGN(const auto start, fields.Integer("start", 0, INT32_MAX));
      TRY_ASSIGN(const auto stop, fields.Integer("stop", 0, INT32_MAX));
      const auto from_start = static_cast<size_t>(start.value_or(0));
      const auto from_end = static_cast<size_t>(stop.value_or(0));
      if (!fused) {
        decoder->steps.push_back(
            [=](std::string* token, bool) { StripToken(content, from_start, from_end, token); });
      } else if (from_end == 0 && decoder->strip_count == 0) {
        decoder->strip = content;
        decoder->strip_count = from_start;
      } else {
        return Err("{}: Strip: at the end of a text, or twice, is not supported", where);
      }
    } else if (type == "Fuse") {
      fused = true;
    } else if (type == "ByteLevel" && !bytes && !fused) {
      decoder->byte_level = true;
      fused = true;
    } else if (type == "ByteFallback" && !fused) {
      decoder->byte_fallback = true;
      bytes = true;
    } else if (type == "Metaspace" && !bytes && !fused) {
      TRY(AddMetaspace(fields, decoder));
    } else if (type == "Replace" && !bytes && !fused) {
      TRY(AddReplace(fields, decoder));
    } else {
      return Err("{}: the decoder {}{} is not supported", where, type,
                 bytes || fused ? " at this place of the sequence" : "");
    }
  }
  return {};
}

}  // namespace merope
