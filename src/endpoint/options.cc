#include "endpoint/options.h"

#include <cstdlib>

namespace merope {

Status CheckServerUrl(std::string_view field, std::string_view url) {
  for (const std::string_view scheme : {"http://", "https://"})
    if (url.starts_with(scheme) && url.size() > scheme.size()) return {};
  return FieldErr(field, "expected http://HOST:PORT or https://HOST:PORT, found \"{}\"", url);
}

Result<std::string> CheckOptions(const EndpointOptions& options) {
  TRY(CheckServerUrl("endpoint", options.url));
  if (options.stall_seconds < 1 || options.stall_seconds > kMaxStallSeconds)
    return FieldErr("timeout", "expected 1 to {} seconds, found {}", kMaxStallSeconds,
                    options.stall_seconds);
  if (options.max_tokens_total < 1)
    return FieldErr("max-tokens-total", "expected 1 or more, found {}", options.max_tokens_total);
  if (options.api_key_env.empty()) return "";
  const char* key = std::getenv(options.api_key_env.c_str());
  if (key == nullptr || *key == '\0')
    return FieldErr("api-key-env", "expected the environment variable {} to hold a key, found none",
                    options.api_key_env);
  return key;
}

}  // namespace merope
