#include "report/markup.h"

#include <algorithm>

#include "base/utf8.h"

namespace merope {

std::string EscapeMarkup(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const size_t length = utf8::CharacterBytes(text);
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

}  // namespace merope
