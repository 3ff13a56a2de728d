#include "text/chat_template.h"

#include "target.h"

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merope;
  const auto chat = ChatTemplate::Parse(AsText(data, size), "chat_template.jinja");
  if (!chat) return 0;
  const ChatMessage messages[] = {
      {"system", "Be brief."}, {"user", "¿Qué? "}, {"assistant", "\n<b>"}};
  const ChatTemplateOptions options{
      .add_generation_prompt = true, .bos_token = "<s>", .eos_token = "</s>"};
  (void)chat->Render(messages, options);
  (void)chat->Render({}, {});
  return 0;
}
