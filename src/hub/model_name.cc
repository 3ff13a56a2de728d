#include "hub/model_name.h"

#include <algorithm>
#include <cctype>
#include <string_view>

namespace merope {
namespace {

// A part of a name that is safe as a part of a path.
bool IsPart(std::string_view text) {
  constexpr size_t kMost = 96;  // huggingface_hub's limit
  return !text.empty() && text.size() <= kMost &&
         std::isalnum(static_cast<unsigned char>(text[0])) && !text.contains("..") &&
         std::ranges::all_of(text, [](unsigned char c) {
           return std::isalnum(c) != 0 || c == '.' || c == '_' || c == '-';
         });
}

bool IsRevision(std::string_view text) {
  while (true) {
    const size_t slash = text.find('/');
    if (!IsPart(text.substr(0, slash))) return false;
    if (slash == std::string_view::npos) return true;
    text.remove_prefix(slash + 1);
  }
}

}  // namespace

Result<ModelName> ParseModelName(const std::string& text) {
  const size_t at = text.find('@');
  const std::string id = text.substr(0, at);
  const size_t slash = id.find('/');
  if (slash == std::string::npos || !IsPart(id.substr(0, slash)) || !IsPart(id.substr(slash + 1)))
    return Err("model: expected ORG/NAME or ORG/NAME@REVISION, found \"{}\"", text);
  if (at == std::string::npos) return ModelName{id, ""};
  const std::string revision = text.substr(at + 1);
  if (!IsRevision(revision))
    return Err("model: {}: expected a branch, tag or commit after @, found \"{}\"", id, revision);
  return ModelName{id, revision};
}

}  // namespace merope
