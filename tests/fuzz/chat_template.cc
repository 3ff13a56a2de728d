#include "prompt/chat_template.h"

#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merope;
  const auto chat = ChatTemplate::Parse(AsText(data, size), "chat_template.jinja");
  if (!chat) return 0;
  const ChatMessage messages[] = {
      {"system", "Be brief."}, {"user", "¿Qué? "}, {"assistant", "\n<b>"}};
  (void)chat->Render(messages, {});
  (void)chat->Render({}, {});
  (void)chat->RenderJson(R"([{"role": "user", "content": [{"type": "text", "text": " a|"}]}])",
                         "{}", {.add_generation_prompt = false, .continue_final = "content"});
  return 0;
}
