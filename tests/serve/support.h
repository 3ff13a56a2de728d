// A served model without a model: a tokenizer of bytes (the byte b is the token 4 + b, and a text
// begins with token 2), and a small chat template.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/synth_tokenizer.h"
#include "serve/openai_request.h"
#include "serve/served_model.h"

namespace merope {

using Ids = std::vector<int32_t>;

inline constexpr std::string_view kTemplate =
    "{% for m in messages %}[{{ m.role }}]{{ m.content | trim }}\n{% endfor %}"
    "{% if add_generation_prompt %}[assistant]{% endif %}";

class Served {
 public:
  Served()
      : tokenizer_(*Tokenizer::FromJson(SynthTokenizer(kSmallestSynthVocabulary).dump(), "t.json")),
        model_{.name = "m",
               .names = {},
               .tokenizer = tokenizer_,
               .chat_template = *ChatTemplate::Parse(kTemplate, "template"),
               .defaults = {},
               .max_model_len = 100} {}

  ServedModel& model() { return model_; }
  std::expected<OpenAiRequest, ApiError> Parse(Endpoint endpoint, const std::string& body) const {
    const Result<Json> json = ParseJson(body, "test");
    EXPECT_TRUE(json) << body;
    return ParseOpenAiRequest(endpoint, *json, body, model_);
  }
  // Of a body with these members and a prompt, or a message.
  std::expected<OpenAiRequest, ApiError> Completion(const std::string& members) const {
    return Parse(Endpoint::kCompletions, R"({"prompt": "ab", )" + members + "}");
  }
  std::expected<OpenAiRequest, ApiError> Chat(const std::string& members) const {
    return Parse(Endpoint::kChatCompletions,
                 R"({"messages": [{"role": "user", "content": "Hi"}], )" + members + "}");
  }

 private:
  Tokenizer tokenizer_;
  ServedModel model_;
};

// The tokens of a text's bytes.
inline Ids Bytes(std::string_view text, Ids before = {}) {
  for (const char c : text) before.push_back(4 + static_cast<unsigned char>(c));
  return before;
}

}  // namespace merope
