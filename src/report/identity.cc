#include "report/identity.h"

#include <filesystem>

#include "base/mapped_file.h"
#include "checkpoint/gguf.h"

namespace merope {
namespace {

std::string_view Trim(std::string_view text, std::string_view what) {
  const size_t begin = text.find_first_not_of(what);
  if (begin == text.npos) return "";
  return text.substr(begin, text.find_last_not_of(what) - begin + 1);
}

}  // namespace

std::string FrontMatter(std::string_view readme, std::string_view key) {
  bool inside = false;
  while (!readme.empty()) {
    const size_t end = std::min(readme.find('\n'), readme.size());
    const std::string_view line = Trim(readme.substr(0, end), "\r");
    readme.remove_prefix(std::min(end + 1, readme.size()));
    if (line == "---") {
      if (inside) break;
      inside = true;
    } else if (!inside) {
      break;
    } else if (line.starts_with(key) && line.substr(key.size()).starts_with(':')) {
      return std::string(Trim(line.substr(key.size() + 1), " \t\"'"));
    }
  }
  return "";
}

Result<ModelIdentity> ReadIdentity(const Checkpoint& checkpoint) {
  ModelIdentity identity;
  const std::filesystem::path path =
      std::filesystem::absolute(checkpoint.path()).lexically_normal();
  if (checkpoint.format() == CheckpointFormat::kGguf) {
    TRY_ASSIGN(const MappedFile file, MappedFile::Open(checkpoint.path()));
    TRY_ASSIGN(const GgufFile gguf, GgufFile::Parse(file.bytes(), checkpoint.path()));
    TRY_ASSIGN(const auto name, gguf.String("general.name"));
    TRY_ASSIGN(const auto license, gguf.String("general.license"));
    identity.name = name.value_or("");
    identity.license = license.value_or("");
    if (license) identity.license_source = "general.license";
    if (identity.name.empty()) identity.name = path.stem();
    return identity;
  }
  identity.name = (path.has_filename() ? path : path.parent_path()).filename();
  const auto readme = ReadFile((path / "README.md").string(), 16 << 20);
  if (readme) {
    identity.license = FrontMatter(*readme, "license");
    if (!identity.license.empty()) identity.license_source = "README.md";
  }
  return identity;
}

}  // namespace merope
