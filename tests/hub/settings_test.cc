#include "hub/settings.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <map>

namespace merope {
namespace {

// The environment has exactly these of the variables that SettingsOfEnvironment reads.
HubSettings With(std::map<std::string, std::string> variables) {
  variables.try_emplace("HOME", "/home/ada");
  for (const char* name :
       {"HOME", "XDG_CACHE_HOME", "HF_HOME", "HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_ENDPOINT",
        "HF_TOKEN", "HF_TOKEN_PATH", "HF_HUB_DISABLE_IMPLICIT_TOKEN", "HF_HUB_OFFLINE",
        "TRANSFORMERS_OFFLINE", "HF_HUB_DOWNLOAD_TIMEOUT", "MODELSCOPE_CACHE",
        "MODELSCOPE_ENDPOINT", "MODELSCOPE_API_TOKEN"})
    if (const auto found = variables.find(name); found != variables.end())
      setenv(name, found->second.c_str(), 1);
    else
      unsetenv(name);
  return SettingsOfEnvironment();
}

// The order of huggingface_hub 2.4's constants.py and modelscope_hub 0.5's config.py.
TEST(HubSettings, Caches) {
  EXPECT_EQ(With({}).cache, "/home/ada/.cache/huggingface/hub");
  EXPECT_EQ(With({{"XDG_CACHE_HOME", "/x"}}).cache, "/x/huggingface/hub");
  EXPECT_EQ(With({{"XDG_CACHE_HOME", "/x"}, {"HF_HOME", "~/hf"}}).cache, "/home/ada/hf/hub");
  EXPECT_EQ(With({{"HF_HOME", "/h"}, {"HUGGINGFACE_HUB_CACHE", "/old"}}).cache, "/old");
  EXPECT_EQ(With({{"HUGGINGFACE_HUB_CACHE", "/old"}, {"HF_HUB_CACHE", "/new"}}).cache, "/new");
  EXPECT_EQ(With({}).modelscope_cache, "/home/ada/.cache/modelscope");
  EXPECT_EQ(With({{"MODELSCOPE_CACHE", "~/m"}}).modelscope_cache, "/home/ada/m");
}

TEST(HubSettings, Endpoints) {
  EXPECT_EQ(With({}).hugging_face, "https://huggingface.co");
  EXPECT_EQ(With({{"HF_ENDPOINT", "http://mirror/"}}).hugging_face, "http://mirror");
  EXPECT_EQ(With({{"MODELSCOPE_ENDPOINT", "www.modelscope.ai"}}).modelscope,
            "https://www.modelscope.ai");
}

TEST(HubSettings, Tokens) {
  EXPECT_EQ(With({{"HF_TOKEN", " a\n"}}).hugging_face_token, "a");
  EXPECT_EQ(With({{"HF_TOKEN", "a"}, {"HF_HUB_DISABLE_IMPLICIT_TOKEN", "1"}}).hugging_face_token,
            "");
  EXPECT_EQ(With({{"HF_TOKEN_PATH", "/no/such/file"}}).hugging_face_token, "");
  EXPECT_EQ(With({{"MODELSCOPE_API_TOKEN", "b"}}).modelscope_token, "b");
}

TEST(HubSettings, Offline) {
  EXPECT_EQ(With({}).offline, "");
  EXPECT_EQ(With({{"HF_HUB_OFFLINE", "0"}}).offline, "");
  for (const char* yes : {"1", "true", "Yes", "ON"})
    EXPECT_EQ(With({{"HF_HUB_OFFLINE", yes}}).offline, "HF_HUB_OFFLINE");
  EXPECT_EQ(With({{"TRANSFORMERS_OFFLINE", "1"}}).offline, "TRANSFORMERS_OFFLINE");
}

TEST(HubSettings, Timeout) {
  EXPECT_EQ(With({}).stall_seconds, 30);
  EXPECT_EQ(With({{"HF_HUB_DOWNLOAD_TIMEOUT", "7"}}).stall_seconds, 7);
  EXPECT_EQ(With({{"HF_HUB_DOWNLOAD_TIMEOUT", "-7"}}).stall_seconds, 30);
}

}  // namespace
}  // namespace merope
