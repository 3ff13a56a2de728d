// Chooses the files of a model that merope and transformers read.
#pragma once

#include <set>
#include <span>
#include <string>
#include <vector>

#include "base/error.h"
#include "hub/listing.h"

namespace merope {

// Without globs: the configuration and tokenizer files, and model.safetensors or the index of
// shards; without either, the only .gguf file. Errors name the files that there are. With globs
// (fnmatch, on the whole path): the files that match one; a glob without a match is an error.
Result<std::vector<HubFile>> SelectFiles(const HubListing& listing,
                                         std::span<const std::string> globs);

// The names of the shards in an index. text: model.safetensors.index.json.
Result<std::set<std::string>> ShardNames(const std::string& text, const std::string& place);

// The shards that an index names. text: model.safetensors.index.json.
Result<std::vector<HubFile>> SelectShards(const HubListing& listing, const std::string& text,
                                          const std::string& place);

inline constexpr const char* kShardIndex = "model.safetensors.index.json";

}  // namespace merope
