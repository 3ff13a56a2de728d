#include "target.h"
#include "text/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merope;
  const auto tokenizer = Tokenizer::FromJson(AsText(data, size), "tokenizer.json");
  if (!tokenizer) return 0;
  for (const char* text : {"", "Hello, world! It's 12345 o'clock.",
                           "  \n\t é e\u0301 中文 👩‍👩‍👧 <|x|></s>"}) {
    const auto ids = tokenizer->Encode(text, {.parse_special = true, .add_special = true});
    if (!ids) continue;
    for (const int32_t id : *ids) CHECK(id >= 0 && id < tokenizer->vocab_size(), "id {}", id);
    const auto decoded = tokenizer->Decode(*ids);
    CHECK(decoded.has_value(), "{}", decoded.error().message);
  }
  return 0;
}
