#include <algorithm>
#include <charconv>
#include <cmath>

#include "template/value.h"
#include "text/strings.h"

namespace merope::jinja {
namespace {

// Python's repr of a float: the shortest digits that read back as the same float. Values of at
// least 1e16 or below 0.0001 use the scientific form, such as 1e+16.
std::string FloatText(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[64];
  const double size = std::fabs(value);
  const bool scientific = size != 0 && (size < 1e-4 || size >= 1e16);
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value,
                    scientific ? std::chars_format::scientific : std::chars_format::fixed);
  std::string text(buffer, end.ptr);
  if (!scientific && text.find('.') == text.npos) text += ".0";
  return text;
}

std::string StringRepr(std::string_view text) {
  const bool single = text.find('\'') == text.npos || text.find('"') != text.npos;
  const char quote = single ? '\'' : '"';
  std::string result(1, quote);
  for (size_t at = 0; at < text.size();) {
    const std::string_view character = text.substr(at, strings::CharacterBytes(text, at));
    at += character.size();
    const char c = character[0];
    if (c == quote || c == '\\') {
      result += {'\\', c};
    } else if (c == '\n' || c == '\r' || c == '\t') {
      result += {'\\', c == '\n' ? 'n' : c == '\r' ? 'r' : 't'};
    } else if (strings::IsPrintable(character)) {
      result += character;
    } else {
      const uint32_t code = strings::CodePoint(character);
      result += code < 0x100     ? fmt::format("\\x{:02x}", code)
                : code < 0x10000 ? fmt::format("\\u{:04x}", code)
                                 : fmt::format("\\U{:08x}", code);
    }
  }
  return result + quote;
}

void AppendJsonString(std::string_view text, bool ensure_ascii, std::string* out) {
  *out += '"';
  for (size_t at = 0; at < text.size();) {
    const std::string_view c = text.substr(at, strings::CharacterBytes(text, at));
    at += c.size();
    const char first = c[0];
    constexpr std::string_view kShort = "\"\\\n\r\t\b\f", kLetters = "\"\\nrtbf";
    if (const size_t i = kShort.find(first); i != kShort.npos) {
      *out += {'\\', kLetters[i]};
    } else if (static_cast<unsigned char>(first) < 0x20 || (ensure_ascii && first == 0x7F)) {
      *out += fmt::format("\\u{:04x}", static_cast<int>(first));
    } else if (ensure_ascii && c.size() > 1) {
      const uint32_t code = strings::CodePoint(c);
      if (code < 0x10000) {
        *out += fmt::format("\\u{:04x}", code);
      } else {
        *out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + ((code - 0x10000) >> 10),
                            0xDC00 + ((code - 0x10000) & 0x3FF));
      }
    } else {
      *out += c;
    }
  }
  *out += '"';
}

Status CheckLength(const std::string& text) {
  if (text.size() > strings::kMaxTextBytes)
    return Err("a string of more than {} bytes", strings::kMaxTextBytes);
  return {};
}

Status AppendRepr(const Value& value, std::string* out) {
  TRY(CheckLength(*out));
  if (const std::string* text = value.text()) {
    *out += value.is_markup() ? "Markup(" + StringRepr(*text) + ")" : StringRepr(*text);
  } else if (const Mapping* mapping = value.mapping()) {
    *out += '{';
    for (size_t i = 0; i < mapping->entries.size(); ++i) {
      if (i > 0) *out += ", ";
      TRY(AppendRepr(mapping->entries[i].first, out));
      *out += ": ";
      TRY(AppendRepr(mapping->entries[i].second, out));
    }
    *out += '}';
  } else if (const Sequence* sequence = value.sequence()) {
    if (!sequence->indexable()) return Err("a {} as text is not supported", value.TypeName());
    const bool list = sequence->kind == Sequence::Kind::kList;
    *out += list ? '[' : '(';
    for (size_t i = 0; i < sequence->items.size(); ++i) {
      if (i > 0) *out += ", ";
      TRY(AppendRepr(sequence->items[i], out));
    }
    *out += list ? "]" : sequence->items.size() == 1 ? ",)" : ")";
  } else if (value.is_undefined()) {
    *out += "Undefined";
  } else {
    TRY_ASSIGN(const std::string scalar, ToText(value));
    *out += scalar;
  }
  return {};
}

class JsonWriter {
 public:
  JsonWriter(const JsonStyle& style, std::string* out) : style_(style), out_(*out) {}

  Status Write(const Value& value, int level) {
    TRY(CheckLength(out_));
    if (value.is_none()) {
      out_ += "null";
    } else if (const auto boolean = value.AsBool()) {
      out_ += *boolean ? "true" : "false";
    } else if (const auto integer = value.AsInt()) {
      out_ += std::to_string(*integer);
    } else if (const auto number = value.AsNumber()) {
      out_ += std::isnan(*number)   ? "NaN"
              : std::isinf(*number) ? (*number > 0 ? "Infinity" : "-Infinity")
                                    : FloatText(*number);
    } else if (const std::string* text = value.text()) {
      AppendJsonString(*text, style_.ensure_ascii, &out_);
    } else if (const Mapping* mapping = value.mapping()) {
      return WriteMapping(*mapping, level);
    } else if (const Sequence* sequence = value.sequence();
               sequence != nullptr && sequence->indexable()) {
      return WriteSequence(*sequence, level);
    } else {
      return Err("{} is no JSON", value.TypeName());
    }
    return {};
  }

 private:
  Status WriteSequence(const Sequence& sequence, int level) {
    if (sequence.items.empty()) return out_ += "[]", Status();
    out_ += '[';
    for (size_t i = 0; i < sequence.items.size(); ++i) {
      Separate(i > 0, level + 1);
      TRY(Write(sequence.items[i], level + 1));
    }
    NewLine(level);
    out_ += ']';
    return {};
  }

  Status WriteMapping(const Mapping& mapping, int level) {
    if (mapping.entries.empty()) return out_ += "{}", Status();
    std::vector<std::pair<std::string, const Value*>> entries;
    for (const auto& [key, value] : mapping.entries) {
      if (key.text() == nullptr) return Err("{} as the key of a JSON object", key.TypeName());
      entries.emplace_back(*key.text(), &value);
    }
    if (style_.sort_keys)
      std::ranges::sort(entries, {}, [](const auto& entry) { return entry.first; });
    out_ += '{';
    for (size_t i = 0; i < entries.size(); ++i) {
      Separate(i > 0, level + 1);
      AppendJsonString(entries[i].first, style_.ensure_ascii, &out_);
      out_ += style_.key_separator;
      TRY(Write(*entries[i].second, level + 1));
    }
    NewLine(level);
    out_ += '}';
    return {};
  }

  void Separate(bool comma, int level) {
    // With an indent, json.dumps writes no space before the end of the line. The caller (JsonOf)
    // sets an item separator without a space for this case.
    if (comma) out_ += style_.item_separator;
    NewLine(level);
  }

  void NewLine(int level) {
    if (style_.indent)
      out_.append("\n").append(static_cast<size_t>(*style_.indent) * static_cast<size_t>(level),
                               ' ');
  }

  const JsonStyle& style_;
  std::string& out_;
};

}  // namespace

Result<std::string> ToText(const Value& value) {
  if (const std::string* text = value.text()) return *text;
  if (value.is_undefined()) return "";
  if (value.is_none()) return "None";
  if (const auto boolean = value.AsBool()) return *boolean ? "True" : "False";
  if (const auto integer = value.AsInt()) return std::to_string(*integer);
  if (const auto number = value.AsNumber()) return FloatText(*number);
  if (value.sequence() == nullptr && value.mapping() == nullptr)
    return Err("a {} as text is not supported", value.TypeName());
  return ToRepr(value);
}

Result<std::string> ToRepr(const Value& value) {
  std::string text;
  TRY(AppendRepr(value, &text));
  TRY(CheckLength(text));
  return text;
}

Result<std::string> ToJson(const Value& value, const JsonStyle& style) {
  std::string text;
  TRY(JsonWriter(style, &text).Write(value, 0));
  TRY(CheckLength(text));
  return text;
}

}  // namespace merope::jinja
