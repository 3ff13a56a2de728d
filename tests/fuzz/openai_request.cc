// Parses request bodies for both endpoints, and makes answers to the accepted requests.
#include "serve/openai_request.h"

#include "checkpoint/synth_tokenizer.h"
#include "serve/openai_response.h"
#include "target.h"

namespace merope {
namespace {

const ServedModel& Model() {
  static const Tokenizer tokenizer =
      *Tokenizer::FromJson(SynthTokenizer(kSmallestSynthVocabulary).dump(), "tokenizer.json");
  static const ServedModel model = {
      .name = "m",
      .names = {},
      .tokenizer = tokenizer,
      .chat_template = *ChatTemplate::Parse(
          "{% for m in messages %}{{ m.role }}: {{ m.content | trim }}\n{% endfor %}", "template"),
      .defaults = {},
      .max_model_len = 64};
  return model;
}

// The only event of a sequence: one token, with log-probabilities if the request asks for them.
Event Answer(const OpenAiRequest& request, size_t prompt, int64_t index) {
  const int32_t id = static_cast<int32_t>(index % kSmallestSynthVocabulary);
  const PositionLogprobs position = {{.id = id, .logprob = -1, .rank = 1}};
  Event event;
  event.index = index;
  event.ids = {id};
  if (request.params.logprobs) event.logprobs = {position};
  if (request.params.prompt_logprobs && index == 0 && !request.prompts[prompt].ids.empty())
    event.prompt_logprobs.assign(request.prompts[prompt].ids.size() - 1, position);
  event.finish_reason = FinishReason::kStop;
  return event;
}

}  // namespace
}  // namespace merope

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merope;
  const std::string_view text = AsText(data, size);
  const Result<Json> body = ParseJson(text, "body");
  if (!body || !body->is_object()) return 0;
  for (const Endpoint endpoint : {Endpoint::kCompletions, Endpoint::kChatCompletions}) {
    auto request = ParseOpenAiRequest(endpoint, *body, text, Model());
    if (!request || std::ssize(request->prompts) * request->params.n > 64) continue;
    OpenAiAnswer answer(*request, Model(), 0), stream(*request, Model(), 0);
    for (size_t prompt = 0; prompt < request->prompts.size(); ++prompt)
      for (int64_t index = 0; index < request->params.n; ++index)
        for (OpenAiAnswer* to : {&answer, &stream})
          to->Add(prompt, Answer(*request, prompt, index));
    CHECK(answer.whole());
    CHECK(ParseJson(*answer.Body(), "answer").has_value());
    for (const std::string& chunk : stream.Chunks()) CHECK(ParseJson(chunk, "chunk").has_value());
  }
  return 0;
}
