// Formats strings as Python does with "…" % values and "…".format(…), and escapes text as markup.
#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "template/jinja/functions.h"
#include "text/strings.h"

namespace merope::jinja {
namespace {

constexpr int64_t kMaxWidth = 1000;

// [[fill]align][sign][#][0][width][grouping][.precision][type]
struct Spec {
  std::string_view fill = " ";
  char align = 0, sign = '-', grouping = 0, type = 0;
  bool alternate = false;
  int64_t width = 0, precision = -1;
};

bool IsDecimal(char c) { return c >= '0' && c <= '9'; }

Result<int64_t> TakeNumber(std::string_view* text) {
  int64_t number = 0;
  while (!text->empty() && IsDecimal(text->front()) && number <= kMaxWidth) {
    number = number * 10 + (text->front() - '0');
    text->remove_prefix(1);
  }
  if (number > kMaxWidth) return Err("format: a width of more than {} is not supported", kMaxWidth);
  return number;
}

bool SkipCharacter(std::string_view* text, char c) {
  if (text->empty() || text->front() != c) return false;
  text->remove_prefix(1);
  return true;
}

bool TakeAny(std::string_view* text, std::string_view characters, char* taken) {
  if (text->empty() || characters.find(text->front()) == characters.npos) return false;
  *taken = text->front();
  text->remove_prefix(1);
  return true;
}

Result<Spec> ParseSpec(std::string_view text) {
  Spec spec;
  const size_t first = text.empty() ? 0 : strings::CharacterBytes(text, 0);
  if (text.size() > first && std::string_view("<>^=").contains(text[first])) {
    spec.fill = text.substr(0, first);
    spec.align = text[first];
    text.remove_prefix(first + 1);
  } else {
    TakeAny(&text, "<>^=", &spec.align);
  }
  TakeAny(&text, "+- ", &spec.sign);
  spec.alternate = SkipCharacter(&text, '#');
  if (SkipCharacter(&text, '0') && spec.align == 0) {
    spec.fill = "0";
    spec.align = '=';
  }
  TRY_ASSIGN(spec.width, TakeNumber(&text));
  TakeAny(&text, ",_", &spec.grouping);
  if (SkipCharacter(&text, '.')) {
    if (text.empty() || !IsDecimal(text.front())) return Err("format: expected a precision");
    TRY_ASSIGN(spec.precision, TakeNumber(&text));
  }
  TakeAny(&text, "sdoxXbeEfFgG%", &spec.type);
  if (!text.empty()) return Err("format: the specification \"{}\" is not supported", text);
  return spec;
}

// Pads body to the width. With the alignment '=', sign (with the prefix) stands before the padding.
std::string Pad(std::string_view sign, std::string_view body, const Spec& spec, char align) {
  if (spec.align != 0) align = spec.align;
  const int64_t missing = std::max<int64_t>(
      0, spec.width - strings::CountCharacters(sign) - strings::CountCharacters(body));
  const int64_t left = align == '^' ? missing / 2 : align == '<' ? 0 : missing;
  std::string before, after;
  for (int64_t i = 0; i < missing; ++i) (i < left ? before : after) += spec.fill;
  if (align == '=') return fmt::format("{}{}{}", sign, before, body);
  return fmt::format("{}{}{}{}", before, sign, body, after);
}

std::string_view SignOf(bool negative, const Spec& spec) {
  return negative ? "-" : spec.sign == '+' ? "+" : spec.sign == ' ' ? " " : "";
}

// Inserts separators between groups of three digits before the decimal point.
void Group(char separator, std::string* body) {
  const auto end = std::ranges::find_if_not(*body, IsDecimal);
  for (auto i = end - body->begin() - 3; i > 0; i -= 3)
    body->insert(static_cast<size_t>(i), 1, separator);
}

Result<std::string> FormatInt(int64_t number, const Spec& spec) {
  if (spec.precision >= 0) return Err("format: a precision of a whole number is not supported");
  const int base = spec.type == 'o'                       ? 8
                   : spec.type == 'x' || spec.type == 'X' ? 16
                   : spec.type == 'b'                     ? 2
                                                          : 10;
  if (spec.grouping != 0 && (base != 10 || spec.align == '='))
    return Err("format: this grouping of digits is not supported");
  const uint64_t size = number < 0 ? -static_cast<uint64_t>(number) : static_cast<uint64_t>(number);
  char digits[64];
  std::string body(digits, std::to_chars(digits, digits + sizeof digits, size, base).ptr);
  if (spec.grouping != 0) Group(spec.grouping, &body);
  std::string sign(SignOf(number < 0, spec));
  if (spec.alternate && base != 10) sign += {'0', spec.type};
  if (spec.type == 'X')
    for (char& c : body) c = static_cast<char>(std::toupper(c));
  return Pad(sign, body, spec, '>');
}

Result<std::string> FormatFloat(double number, Spec spec) {
  if (spec.grouping != 0 && spec.align == '=')
    return Err("format: this grouping of digits is not supported");
  const bool percent = spec.type == '%';
  if (percent) {
    number *= 100;
    spec.type = 'f';
  }
  const char form[] = {'%', spec.alternate ? '#' : '0', '.', '*', spec.type, '\0'};
  const int precision = spec.precision < 0 ? 6 : static_cast<int>(spec.precision);
  std::string body(1400, '\0');
  const int n = std::snprintf(body.data(), body.size(), form, precision, std::fabs(number));
  body.resize(static_cast<size_t>(n));
  if (spec.grouping != 0) Group(spec.grouping, &body);
  if (percent) body += '%';
  return Pad(SignOf(std::signbit(number) && !std::isnan(number), spec), body, spec, '>');
}

std::string FormatText(std::string_view text, const Spec& spec) {
  if (spec.precision >= 0) {
    const std::vector<size_t> offsets = strings::CharacterOffsets(text);
    text =
        text.substr(0, offsets[std::min(offsets.size() - 1, static_cast<size_t>(spec.precision))]);
  }
  return Pad("", text, spec, '<');
}

// Python's format(value, specification).
Result<std::string> FormatValue(const Value& value, std::string_view specification) {
  if (specification.empty()) return ToText(value);
  TRY_ASSIGN(const Spec spec, ParseSpec(specification));
  const bool of_int = std::string_view("doxXb").contains(spec.type) || spec.type == 0;
  const bool of_float = std::string_view("eEfFgG%").contains(spec.type) && spec.type != 0;
  if (const std::string* text = value.text()) {
    if ((spec.type == 's' || spec.type == 0) && !spec.alternate && spec.sign == '-' &&
        spec.grouping == 0 && spec.align != '=' && !value.is_markup())
      return FormatText(*text, spec);
  } else if (const auto integer = value.AsInt(); integer && of_int) {
    return FormatInt(*integer, spec);
  } else if (const auto number = value.AsNumber(); number && of_float) {
    return FormatFloat(*number, spec);
  }
  return Err("format: the specification \"{}\" for {} is not supported", specification,
             value.TypeName());
}

Result<std::string> EscapedText(std::string text, bool escapes) {
  if (!escapes) return text;
  TRY_ASSIGN(const Value escaped, Escaped(Value::String(std::move(text))));
  return *escaped.text();
}

// Formats one conversion, whose text after the "%" starts at *rest. The value comes from next(), or
// from values by name.
template <class Next>
Result<std::string> FormatPercent(std::string_view* rest, const Value& values, bool escapes,
                                  Next next) {
  std::optional<Value> named;
  if (SkipCharacter(rest, '(')) {
    const size_t end = rest->find(')');
    if (end == rest->npos) return Err("format: expected \")\" after \"%(\"");
    if (values.mapping() == nullptr)
      return Err("format: expected a dict, found {}", values.TypeName());
    const Value* found = values.mapping()->Find(rest->substr(0, end));
    if (found == nullptr) return Err("format: no value \"{}\"", rest->substr(0, end));
    named = *found;
    rest->remove_prefix(end + 1);
  }
  Spec spec;
  bool left = false, zero = false;
  for (char flag; TakeAny(rest, "-+ #0", &flag);) {
    left |= flag == '-';
    zero |= flag == '0';
    spec.alternate |= flag == '#';
    if (flag == '+' || (flag == ' ' && spec.sign == '-')) spec.sign = flag;
  }
  if (!rest->empty() && rest->front() == '*') return Err("format: \"*\" is not supported");
  TRY_ASSIGN(spec.width, TakeNumber(rest));
  if (SkipCharacter(rest, '.')) {
    TRY_ASSIGN(spec.precision, TakeNumber(rest));
  }
  char length;
  TakeAny(rest, "hlL", &length);
  if (rest->empty()) return Err("format: expected a conversion after \"%\"");
  const char type = rest->front();
  rest->remove_prefix(1);
  if (type == '%') return "%";
  Value value;
  if (named) {
    value = *named;
  } else {
    TRY_ASSIGN(value, next());
  }
  spec.align = left ? '<' : '>';
  if (type == 's' || type == 'r') {
    TRY_ASSIGN(std::string text, type == 's' ? ToText(value) : ToRepr(value));
    if (!value.is_markup() || type == 'r') {
      TRY_ASSIGN(text, EscapedText(std::move(text), escapes));
    }
    return FormatText(text, spec);
  }
  if (zero && !left) {
    spec.fill = "0";
    spec.align = '=';
  }
  spec.type = type == 'i' || type == 'u' ? 'd' : type;
  const auto number = value.AsNumber();
  if (std::string_view("eEfFgG").contains(type) && number) return FormatFloat(*number, spec);
  if (std::string_view("doxX").contains(spec.type) && value.AsInt())
    return FormatInt(*value.AsInt(), spec);
  if (spec.type == 'd' && number && std::fabs(*number) < 0x1p63)
    return FormatInt(static_cast<int64_t>(*number), spec);
  return Err("format: \"%{}\" of {} is not supported", type, value.TypeName());
}

// Returns the value that a replacement field names: an argument, or an attribute or item of an
// argument.
Result<Value> FieldValue(std::string_view field, const Arguments& arguments, int64_t* automatic) {
  const size_t end = std::min(field.find_first_of(".["), field.size());
  const std::string_view first = field.substr(0, end);
  std::string_view rest = field.substr(end);
  Value value;
  if (first.empty() || std::ranges::all_of(first, IsDecimal)) {
    // *automatic: the number of fields without a number so far, or −1 after a field with a number.
    if (first.empty() ? *automatic < 0 : *automatic > 0)
      return Err("format: fields with and without a number");
    std::string_view digits = first;
    TRY_ASSIGN(int64_t index, TakeNumber(&digits));
    if (first.empty()) {
      index = (*automatic)++;
    } else {
      *automatic = -1;
    }
    if (index >= std::ssize(arguments.positional)) return Err("format: no argument {}", index);
    value = arguments.positional[static_cast<size_t>(index)];
  } else {
    const auto found =
        std::ranges::find(arguments.named, first, &std::pair<std::string, Value>::first);
    if (found == arguments.named.end()) return Err("format: no argument \"{}\"", first);
    value = found->second;
  }
  while (!rest.empty()) {
    if (SkipCharacter(&rest, '.')) {
      const size_t n = std::min(rest.find_first_of(".["), rest.size());
      TRY_ASSIGN(value, Attribute(value, std::string(rest.substr(0, n))));
      rest.remove_prefix(n);
      continue;
    }
    const size_t close = rest.find(']');
    if (rest.front() != '[' || close == rest.npos || close == 1)
      return Err("format: the field \"{}\" is not supported", field);
    std::string_view key = rest.substr(1, close - 1);
    if (std::ranges::all_of(key, IsDecimal)) {
      TRY_ASSIGN(const int64_t index, TakeNumber(&key));
      TRY_ASSIGN(value, Item(value, Value::Int(index)));
    } else {
      TRY_ASSIGN(value, Item(value, Value::String(std::string(key))));
    }
    rest.remove_prefix(close + 1);
  }
  return value;
}

}  // namespace

Result<Value> Escaped(const Value& value) {
  if (value.is_markup()) return value;
  TRY_ASSIGN(const std::string text, ToText(value));
  std::string escaped;
  for (const char c : text) {
    switch (c) {
      case '&':
        escaped += "&amp;";
        break;
      case '<':
        escaped += "&lt;";
        break;
      case '>':
        escaped += "&gt;";
        break;
      case '"':
        escaped += "&#34;";
        break;
      case '\'':
        escaped += "&#39;";
        break;
      default:
        escaped += c;
    }
    if (escaped.size() > strings::kMaxTextBytes)
      return Err("a string of more than {} bytes", strings::kMaxTextBytes);
  }
  return Value::Safe(std::move(escaped));
}

Result<Value> PercentFormat(const Value& format, const Value& values) {
  const Sequence* sequence = values.sequence();
  const bool tuple = sequence != nullptr && sequence->kind == Sequence::Kind::kTuple;
  // All items of a tuple must be used. A single value must be used too, but a dict, another
  // sequence or an undefined value may stay unused.
  const bool checks =
      tuple || (values.mapping() == nullptr && sequence == nullptr && !values.is_undefined());
  const size_t n = tuple ? sequence->items.size() : 1;
  size_t used = 0;
  const auto next = [&]() -> Result<Value> {
    if (used == n) return Err("format: not enough values");
    ++used;
    return tuple ? sequence->items[used - 1] : values;
  };
  std::string text;
  for (std::string_view rest = *format.text(); !rest.empty();) {
    const size_t mark = std::min(rest.find('%'), rest.size());
    text += rest.substr(0, mark);
    rest.remove_prefix(mark);
    if (!SkipCharacter(&rest, '%')) break;
    TRY_ASSIGN(const std::string piece, FormatPercent(&rest, values, format.is_markup(), next));
    text += piece;
    if (text.size() > strings::kMaxTextBytes)
      return Err("a string of more than {} bytes", strings::kMaxTextBytes);
  }
  if (checks && used < n) return Err("format: more values than the format takes");
  return LikeText(format, std::move(text));
}

Result<Value> BraceFormat(const Value& format, const Arguments& arguments) {
  std::string text;
  int64_t automatic = 0;
  for (std::string_view rest = *format.text(); !rest.empty();) {
    const size_t mark = std::min(rest.find_first_of("{}"), rest.size());
    text += rest.substr(0, mark);
    rest.remove_prefix(mark);
    if (rest.empty()) break;
    const char brace = rest.front();
    rest.remove_prefix(1);
    if (SkipCharacter(&rest, brace)) {
      text += brace;
      continue;
    }
    const size_t end = rest.find_first_of("{}");
    if (brace == '}' || end == rest.npos) return Err("format: a brace that is alone");
    if (rest[end] == '{') return Err("format: a field inside of a field is not supported");
    std::string_view field = rest.substr(0, end), specification;
    rest.remove_prefix(end + 1);
    if (const size_t colon = field.find(':'); colon != field.npos) {
      specification = field.substr(colon + 1);
      field = field.substr(0, colon);
    }
    char conversion = 0;
    if (const size_t bang = field.find('!'); bang != field.npos) {
      if (bang + 2 != field.size() || !std::string_view("sr").contains(field[bang + 1]))
        return Err("format: the conversion \"{}\" is not supported", field.substr(bang));
      conversion = field[bang + 1];
      field = field.substr(0, bang);
    }
    TRY_ASSIGN(Value value, FieldValue(field, arguments, &automatic));
    if (conversion != 0) {
      TRY_ASSIGN(std::string converted, conversion == 's' ? ToText(value) : ToRepr(value));
      value = Value::String(std::move(converted));
    }
    TRY_ASSIGN(std::string piece, FormatValue(value, specification));
    if (!value.is_markup()) {
      TRY_ASSIGN(piece, EscapedText(std::move(piece), format.is_markup()));
    }
    text += piece;
    if (text.size() > strings::kMaxTextBytes)
      return Err("a string of more than {} bytes", strings::kMaxTextBytes);
  }
  return LikeText(format, std::move(text));
}

}  // namespace merope::jinja
