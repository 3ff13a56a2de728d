#include "hub/select.h"

#include <fmt/ranges.h>
#include <fnmatch.h>

#include <algorithm>
#include <array>
#include <set>
#include <string_view>

#include "base/json.h"

namespace merope {
namespace {

constexpr std::array<std::string_view, 12> kSmallFiles = {
    "config.json",       "generation_config.json",  "tokenizer.json",      "tokenizer_config.json",
    "added_tokens.json", "special_tokens_map.json", "vocab.json",          "vocab.txt",
    "merges.txt",        "tokenizer.model",         "chat_template.jinja", "chat_template.json"};

bool IsSmallFile(const HubFile& file) {
  return std::ranges::find(kSmallFiles, file.path) != kSmallFiles.end() ||
         (file.path.starts_with("additional_chat_templates/") && file.path.ends_with(".jinja"));
}

// "a.gguf (120.5 MB), b.gguf (80.1 MB), and 3 more".
std::string Names(std::span<const HubFile> files) {
  constexpr size_t kShown = 12;
  std::vector<std::string> names;
  for (const HubFile& file : files.first(std::min(files.size(), kShown)))
    names.push_back(fmt::format("{} ({:.1f} MB)", file.path, static_cast<double>(file.size) / 1e6));
  std::string text = fmt::format("{}", fmt::join(names, ", "));
  if (files.size() > kShown) text += fmt::format(", and {} more", files.size() - kShown);
  return files.empty() ? "no files" : text;
}

std::vector<HubFile> Matching(const HubListing& listing, const std::string& glob) {
  std::vector<HubFile> found;
  std::ranges::copy_if(listing.files, std::back_inserter(found), [&glob](const HubFile& file) {
    return fnmatch(glob.c_str(), file.path.c_str(), 0) == 0;
  });
  return found;
}

const HubFile* Find(const HubListing& listing, std::string_view path) {
  const auto found = std::ranges::find(listing.files, path, &HubFile::path);
  return found == listing.files.end() ? nullptr : &*found;
}

}  // namespace

Result<std::vector<HubFile>> SelectFiles(const HubListing& listing,
                                         std::span<const std::string> globs) {
  std::vector<HubFile> files;
  for (const std::string& glob : globs) {
    const std::vector<HubFile> found = Matching(listing, glob);
    if (found.empty())
      return Err("--file: expected a file like \"{}\", found {}", glob, Names(listing.files));
    for (const HubFile& file : found)
      if (std::ranges::find(files, file.path, &HubFile::path) == files.end()) files.push_back(file);
  }
  if (!globs.empty()) return files;

  std::ranges::copy_if(listing.files, std::back_inserter(files), IsSmallFile);
  for (const char* weights : {"model.safetensors", kShardIndex})
    if (const HubFile* file = Find(listing, weights)) {
      if (Find(listing, "config.json") == nullptr)
        return Err("expected config.json beside {}, found {}", weights, Names(listing.files));
      files.push_back(*file);
      return files;
    }
  std::vector<HubFile> ggufs = Matching(listing, "*.gguf");
  if (ggufs.empty())
    return Err("expected model.safetensors, {} or a .gguf file, found {}", kShardIndex,
               Names(listing.files));
  if (ggufs.size() > 1)
    return Err("expected one .gguf file, found {}; choose one with --file", Names(ggufs));
  return ggufs;
}

Result<std::set<std::string>> ShardNames(const std::string& text, const std::string& place) {
  TRY_ASSIGN(const Json json, ParseJson(text, place));
  const auto map = json.is_object() ? json.find("weight_map") : json.end();
  if (!json.is_object() || map == json.end() || !map->is_object())
    return Err("{}: weight_map: expected an object", place);
  std::set<std::string> names;
  for (const auto& [tensor, shard] : map->items()) {
    if (!shard.is_string())
      return Err("{}: weight_map: {}: expected a file name, found {}", place, tensor,
                 Describe(shard));
    names.insert(shard.get<std::string>());
  }
  return names;
}

Result<std::vector<HubFile>> SelectShards(const HubListing& listing, const std::string& text,
                                          const std::string& place) {
  TRY_ASSIGN(const std::set<std::string> names, ShardNames(text, place));
  std::vector<HubFile> files;
  for (const std::string& name : names) {
    const HubFile* file = Find(listing, name);
    if (file == nullptr) return Err("{}: the hub has no {}", place, Describe(Json(name)));
    files.push_back(*file);
  }
  return files;
}

}  // namespace merope
