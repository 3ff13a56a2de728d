// Small checkpoints for the tests of this layer.
#pragma once

#include <cstring>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/mapped_file.h"
#include "checkpoint/synth.h"
#include "tests/support/expect.h"
#include "tests/support/llama_config.h"
#include "tests/support/temp_dir.h"

namespace merope {

inline ModelConfig TinyConfig() {
  ModelConfig config = LlamaConfig(
      {.intermediate = 80, .head_dim = 6, .vocabulary = 300, .context = 256});  // 6 ≠ 48 / 4
  config.bos_token_id = 1;
  config.eos_token_ids = {2};
  return config;
}

// The content of a safetensors file with this header and this data.
inline std::string Safetensors(std::string_view header, std::string_view data) {
  const uint64_t length = header.size();
  std::string file(sizeof(length), '\0');
  std::memcpy(file.data(), &length, sizeof(length));
  file += header;
  return file += data;
}

inline void Write(const std::string& path, std::string_view content) {
  const Status written = WriteFile(path, content);
  ASSERT_TRUE(written) << written.error().message;
}

inline std::string Read(const std::string& path) {
  const auto content = ReadFile(path);
  EXPECT_TRUE(content) << content.error().message;
  return content.value_or("");
}

// Changes a field of a JSON file. Removes the field if there is no value.
inline void Patch(const std::string& path, const std::string& field, std::optional<Json> value) {
  Json json = *ParseJson(Read(path), path);
  if (value) {
    json[field] = *value;
  } else {
    json.erase(field);
  }
  Write(path, json.dump());
}

}  // namespace merope
