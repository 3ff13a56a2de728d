#include "tests/report/markup.h"

#include <cctype>
#include <vector>

namespace merope {
namespace {

std::string At(std::string_view what, std::string_view rest) {
  return std::string(what) + " at: " + std::string(rest.substr(0, 60));
}

// Whether each attribute of a tag is name="value", with a value without <.
bool AttributesAreFine(std::string_view text) {
  while (!text.empty()) {
    const size_t start = text.find_first_not_of(" \n");
    if (start == text.npos) return true;
    text.remove_prefix(start);
    const size_t equals = text.find('=');
    if (equals == text.npos || equals == 0 || text.substr(equals + 1, 1) != "\"") return false;
    const size_t end = text.find('"', equals + 2);
    if (end == text.npos || text.substr(0, equals).find_first_of(" <\"") != text.npos) return false;
    if (text.substr(equals, end - equals).find('<') != text.npos) return false;
    text.remove_prefix(end + 1);
  }
  return true;
}

}  // namespace

std::string MarkupFault(std::string_view markup) {
  std::vector<std::string> open;
  while (!markup.empty()) {
    const size_t next = markup.find_first_of("<>&");
    if (next == markup.npos) break;
    markup.remove_prefix(next);
    if (markup[0] == '>') return At("stray >", markup);
    if (markup[0] == '&') {
      const size_t semicolon = markup.find(';');
      if (semicolon > 8) return At("bare &", markup);
      markup.remove_prefix(semicolon + 1);
      continue;
    }
    const size_t end = markup.find('>');
    if (end == markup.npos) return At("unclosed tag", markup);
    std::string_view tag = markup.substr(1, end - 1);
    const std::string_view here = markup;
    markup.remove_prefix(end + 1);
    if (tag.starts_with("!DOCTYPE")) continue;
    if (tag.starts_with('/')) {
      if (open.empty() || open.back() != tag.substr(1)) return At("closes what is not open", here);
      open.pop_back();
      continue;
    }
    const bool closed = tag.ends_with('/');
    if (closed) tag.remove_suffix(1);
    size_t name = 0;
    while (name < tag.size() && std::isalnum(static_cast<unsigned char>(tag[name])) != 0) ++name;
    if (name == 0 || !AttributesAreFine(tag.substr(name))) return At("malformed tag", here);
    const std::string element(tag.substr(0, name));
    if (element == "style") {  // the text of style is CSS
      markup.remove_prefix(std::min(markup.find("</style>"), markup.size()));
    }
    if (!closed && element != "meta" && element != "br") open.push_back(element);
  }
  return open.empty() ? "" : "left open: " + open.back();
}

}  // namespace merope
