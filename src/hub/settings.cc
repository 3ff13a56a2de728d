#include "hub/settings.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdlib>
#include <string_view>

#include "base/mapped_file.h"

namespace merope {
namespace {

std::string Variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? "" : value;
}

std::string Or(std::string value, std::string otherwise) {
  return value.empty() ? std::move(otherwise) : std::move(value);
}

bool IsTrue(const char* name) {
  std::string value = Variable(name);
  std::ranges::transform(value, value.begin(), [](unsigned char c) { return std::toupper(c); });
  return value == "1" || value == "ON" || value == "YES" || value == "TRUE";
}

// "~/x" as the shell reads it.
std::string Expanded(const std::string& path) {
  return path == "~" || path.starts_with("~/") ? Variable("HOME") + path.substr(1) : path;
}

std::string Endpoint(const char* variable, std::string otherwise) {
  std::string url = Or(Variable(variable), std::move(otherwise));
  while (url.ends_with('/')) url.pop_back();
  return url;
}

// A token becomes a part of a header, so it ends at white space.
std::string FirstWord(const std::string& text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string::npos) return "";
  return text.substr(first, text.find_first_of(kSpace, first) - first);
}

// Empty if the file cannot be read.
std::string TokenIn(const std::string& path) {
  constexpr size_t kMost = 4096;
  const auto text = ReadFile(path, kMost);
  return text ? FirstWord(*text) : "";
}

}  // namespace

HubSettings SettingsOfEnvironment() {
  HubSettings settings;
  const std::string home = Variable("HOME");
  const std::string caches = Or(Variable("XDG_CACHE_HOME"), home + "/.cache");
  const std::string hf_home = Expanded(Or(Variable("HF_HOME"), caches + "/huggingface"));
  settings.hugging_face = Endpoint("HF_ENDPOINT", settings.hugging_face);
  settings.modelscope = Endpoint("MODELSCOPE_ENDPOINT", settings.modelscope);
  if (!settings.modelscope.contains("://")) settings.modelscope = "https://" + settings.modelscope;
  settings.cache = Expanded(
      Or(Variable("HF_HUB_CACHE"), Or(Variable("HUGGINGFACE_HUB_CACHE"), hf_home + "/hub")));
  settings.modelscope_cache =
      Expanded(Or(Variable("MODELSCOPE_CACHE"), home + "/.cache/modelscope"));
  if (!IsTrue("HF_HUB_DISABLE_IMPLICIT_TOKEN"))
    settings.hugging_face_token =
        Or(FirstWord(Variable("HF_TOKEN")),
           TokenIn(Expanded(Or(Variable("HF_TOKEN_PATH"), hf_home + "/token"))));
  settings.modelscope_token = FirstWord(Variable("MODELSCOPE_API_TOKEN"));
  for (const char* name : {"HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"})
    if (settings.offline.empty() && IsTrue(name)) settings.offline = name;
  const std::string stall = Variable("HF_HUB_DOWNLOAD_TIMEOUT");
  int seconds = 0;
  if (std::from_chars(stall.data(), stall.data() + stall.size(), seconds).ec == std::errc() &&
      seconds > 0)
    settings.stall_seconds = seconds;
  return settings;
}

}  // namespace merope
