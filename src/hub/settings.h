// What the environment says about model hubs and their caches, with the names and rules of
// huggingface_hub and modelscope. Read once per command, on the main thread.
#pragma once

#include <string>

#include "base/stop.h"

namespace merope {

struct HubSettings {
  // HF_ENDPOINT and MODELSCOPE_ENDPOINT, without a final slash.
  std::string hugging_face = "https://huggingface.co", modelscope = "https://modelscope.cn";
  // HF_HUB_CACHE, else HF_HOME/hub, else XDG_CACHE_HOME/huggingface/hub, else
  // ~/.cache/huggingface/hub.
  std::string cache;
  // MODELSCOPE_CACHE, else ~/.cache/modelscope.
  std::string modelscope_cache;
  // HF_TOKEN, else the file HF_TOKEN_PATH or HF_HOME/token. HF_HUB_DISABLE_IMPLICIT_TOKEN turns the
  // token off. MODELSCOPE_API_TOKEN. Empty: none.
  std::string hugging_face_token, modelscope_token;
  // HF_HUB_OFFLINE or TRANSFORMERS_OFFLINE. The name of the variable, for messages; empty: online.
  std::string offline;
  int stall_seconds = 30;  // HF_HUB_DOWNLOAD_TIMEOUT
  StopFlag stop = {};      // not of the environment: ends a pull with an error
};

HubSettings SettingsOfEnvironment();

}  // namespace merope
