#include "report/environment.h"

#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "base/mapped_file.h"

namespace merope {

Result<std::vector<std::pair<std::string, std::string>>> ReadEnvironment(const std::string& path) {
  constexpr size_t kMost = size_t{1} << 20;
  TRY_ASSIGN(const MappedFile file, MappedFile::Open(path));
  const std::span<const std::byte> bytes = file.bytes();
  if (bytes.size() > kMost)
    return Err("{}: expected at most {} bytes, found {}", path, kMost, bytes.size());
  std::vector<std::pair<std::string, std::string>> fields;
  try {
    const YAML::Node root =
        YAML::Load(std::string(reinterpret_cast<const char*>(bytes.data()), bytes.size()));
    if (root.IsNull()) return fields;
    if (!root.IsMap()) return Err("{}: expected lines of NAME: VALUE", path);
    for (const auto& entry : root) {
      const int line = entry.first.Mark().line + 1;
      if (!entry.first.IsScalar())
        return Err("{}:{}: expected a name, found a list or a mapping", path, line);
      const std::string& name = entry.first.Scalar();
      if (!entry.second.IsScalar())
        return Err("{}:{}: {}: expected one value, found {}", path, line, name,
                   entry.second.IsNull() ? "none" : "a list or a mapping");
      if (std::ranges::find(fields, name, &std::pair<std::string, std::string>::first) !=
          fields.end())
        return Err("{}:{}: {}: expected each name once, found it twice", path, line, name);
      fields.emplace_back(name, entry.second.Scalar());
    }
  } catch (const YAML::Exception& error) {
    return Err("{}:{}: expected YAML: {}", path, error.mark.line + 1, error.msg);
  }
  return fields;
}

}  // namespace merope
