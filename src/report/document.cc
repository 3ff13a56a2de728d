#include "report/document.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "base/error.h"
#include "base/utf8.h"

namespace merope {

std::string Visible(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t length = utf8::CharacterBytes(text);
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
