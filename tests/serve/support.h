// A ServedModel for tests, without weights. Its tokenizer maps the byte b to the token 4 + b and
// begins a text with token 2. It has a small chat template.
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
  Result<OpenAiRequest> Parse(Endpoint endpoint, const std::string& body) const {
    const Result<Json> json = ParseJson(body, "test");
    EXPECT_TRUE(json) << body;
    return ParseOpenAiRequest(endpoint, *json, body, model_);
  }
  // Parse a body with these members and a prompt (Completion) or a user message (Chat).
  Result<OpenAiRequest> Completion(const std::string& members) const {
    return Parse(Endpoint::kCompletions, R"({"prompt": "ab", )" + members + "}");
  }
  Result<OpenAiRequest> Chat(const std::string& members) const {
    return Parse(Endpoint::kChatCompletions,
                 R"({"messages": [{"role": "user", "content": "Hi"}], )" + members + "}");
  }

 private:
  Tokenizer tokenizer_;
  ServedModel model_;
};

// Appends the tokens of the text's bytes to `before`.
inline Ids Bytes(std::string_view text, Ids before = {}) {
  for (const char c : text) before.push_back(4 + static_cast<unsigned char>(c));
  return before;
}

}  // namespace merope
