#include "checkpoint/config.h"

#include "base/error.h"
#include "target.h"

// The input is config.json, and after a NUL generation_config.json.
int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merope;
  const std::string_view text = AsText(data, size);
  const size_t divide = text.find('\0');
  auto config = ParseConfig(text.substr(0, divide), "config.json");
  if (!config) return 0;
  CHECK(config->num_heads > 0 && config->num_kv_heads > 0 &&
        config->num_heads % config->num_kv_heads == 0);
  CHECK(config->head_dim > 0 && config->head_dim % 2 == 0 && config->num_layers > 0);
  CHECK(config->KvBytesPerToken(4) > 0);
  if (divide != std::string_view::npos)
    (void)ApplyGenerationConfig(text.substr(divide + 1), "generation_config.json", &*config);
  return 0;
}
