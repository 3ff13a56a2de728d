#include "report/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"

namespace merope {
namespace {

// Length of the UTF-8 sequence that text starts with; 0 where it starts with none (overlong forms
// and surrogates are none).
size_t SequenceLength(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  size_t length = 0;
  if (lead < 0x80)
    length = 1;
  else if (lead >= 0xc2 && lead < 0xe0)
    length = 2;
  else if (lead >= 0xe0 && lead < 0xf0)
    length = 3;
  else if (lead >= 0xf0 && lead < 0xf5)
    length = 4;
  if (length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i)
    if ((byte(i) & 0xc0) != 0x80) return 0;
  if ((lead == 0xe0 && byte(1) < 0xa0) || (lead == 0xed && byte(1) >= 0xa0) ||
      (lead == 0xf0 && byte(1) < 0x90) || (lead == 0xf4 && byte(1) >= 0x90))
    return 0;
  return length;
}

}  // namespace

std::string EscapeMarkup(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
    const auto lead = static_cast<unsigned char>(text[0]);
    const bool control =
        (lead < 0x20 && lead != '\n' && lead != '\t' && lead != '\r') || lead == 0x7f;
    if (length == 0 || control)
      out += "\xef\xbf\xbd";
    else if (lead == '&')
      out += "&amp;";
    else if (lead == '<')
      out += "&lt;";
    else if (lead == '>')
      out += "&gt;";
    else if (lead == '"')
      out += "&quot;";
    else
      out += text.substr(0, length);
    text.remove_prefix(std::max<size_t>(1, length));
  }
  return out;
}

std::string Visible(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t length = SequenceLength(text);
    const auto lead = static_cast<unsigned char>(text[0]);
    if (lead == '\n')
      out += "\\n";
    else if (lead == '\t')
      out += "\\t";
    else if (lead == '\r')
      out += "\\r";
    else if (length == 0 || lead < 0x20 || lead == 0x7f)
      out += fmt::format("\\x{:02x}", lead);
    else
      out += text.substr(0, length);
    text.remove_prefix(std::max<size_t>(1, length));
  }
  return out;
}

Run Code(std::string_view text) { return {Visible(text), Style::kCode}; }

Inline Rich(std::string_view pattern, const Inline& arguments) {
  Inline runs;
  std::string text;
  Style style = Style::kPlain;
  const auto flush = [&] {
    if (!text.empty()) runs.emplace_back(std::move(text), style);
    text.clear();
  };
  const auto toggle = [&](Style other) {
    flush();
    style = style == other ? Style::kPlain : other;
  };
  for (size_t i = 0; i < pattern.size(); ++i) {
    if (pattern.substr(i).starts_with("**")) {
      toggle(Style::kStrong);
      ++i;
    } else if (pattern[i] == '`') {
      toggle(Style::kCode);
    } else if (pattern[i] == '{') {
      const size_t end = pattern.find('}', i);
      CHECK(end != pattern.npos, "{}", pattern);
      size_t index = arguments.size();
      std::from_chars(pattern.data() + i + 1, pattern.data() + end, index);
      CHECK(index < arguments.size(), "{} with {} arguments", pattern, arguments.size());
      const Run& argument = arguments[index];
      if (argument.style == Style::kPlain) {
        text += style == Style::kCode ? Visible(argument.text) : argument.text;
      } else {
        flush();
        runs.push_back(argument);
      }
      i = end;
    } else {
      text += pattern[i];
    }
  }
  flush();
  return runs;
}

void Document::AddHeading(int level, std::string_view text) {
  if (level == 1) {
    ++section_;
    subsection_ = 0;
    return Add(Heading{level, std::string(text), std::to_string(section_)});
  }
  ++subsection_;
  Add(Heading{level, std::string(text), fmt::format("{}.{}", section_, subsection_)});
}

}  // namespace merope
