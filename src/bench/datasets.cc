#include "bench/datasets.h"

#include <algorithm>
#include <array>
#include <limits>
#include <random>
#include <span>
#include <string_view>

#include "prompt/chat_template.h"
#include "prompt/encode_prompt.h"
#include "template/date.h"

namespace merope {
namespace {

constexpr std::array<std::string_view, 5> kPassages = {
    "The lighthouse at Gull Point was built in 1871 from granite quarried eleven miles inland. Its "
    "lamp burned whale oil for nine years, then paraffin, and from 1926 on electricity. The last "
    "keeper, Maren Holt, left the island in the autumn of 1984, when the light was made automatic. "
    "Since then the tower has been looked after by a society of volunteers, who open it to "
    "visitors on the first Sunday of every month between April and September.",
    "Sourdough begins with nothing but flour and water. Wild yeasts and lactic bacteria, which "
    "live "
    "on the grain, multiply when the two are mixed and kept warm. After about a week of daily "
    "feeding the mixture rises and falls on a regular schedule, and it can leaven a loaf. A young "
    "starter tastes of yoghurt; an older one is sharper, because acetic acid gathers in it when it "
    "is kept cool or stiff.",
    "The river Ansel rises in a peat bog at 640 metres and reaches the sea after 143 kilometres. "
    "In "
    "its upper course it falls steeply, and four small power stations use the drop. Below the "
    "market town of Brede it turns slow and brown, and barges once carried slate and timber down "
    "to the harbour. Salmon returned to the lower river in 2009, after two weirs had been taken "
    "out and a third had been given a ladder.",
    "A pendulum clock keeps time by the length of its rod. When the rod grows longer in summer the "
    "clock loses, by about half a second a day for each degree if the rod is of brass. George "
    "Graham hung a jar of mercury at the end of the rod in 1721: the mercury rose as the rod sank, "
    "and the two very nearly cancelled. John Harrison reached the same end with a grid of brass "
    "and steel rods, which pull against each other.",
    "The council met on 14 March and agreed to close the old swimming pool at the end of June. "
    "Repairs to the roof would have cost 2.3 million crowns, and the building loses more heat in a "
    "winter than all the town's schools together. A new pool of 25 metres is to open beside the "
    "sports ground in two years. Until then the school classes will travel to Lindholm by bus, "
    "which costs 180,000 crowns a year."};

constexpr std::array<std::string_view, 2> kAsks = {
    "Repeat the following text word for word, and add nothing:\n\n{}",
    "Copy the text below exactly as it is written.\n\nText: {}"};

constexpr std::array<std::string_view, 10> kStories = {
    "Write a short story about a baker who finds a letter in a sack of flour.",
    "Describe a walk through a harbour town on a foggy morning.",
    "Tell me how a bicycle stays upright.",
    "Write a letter from a retired teacher to a former pupil.",
    "Explain what makes a good map.",
    "Describe the inside of a clockmaker's workshop.",
    "Write a dialogue between two gardeners who disagree about roses.",
    "Tell the story of the first frost of a year from the view of a fox.",
    "Explain why bread goes stale.",
    "Describe a market at the end of the day, when the stalls are being taken down."};

class Maker {
 public:
  Maker(uint64_t seed, int64_t vocab_size) : random_(seed), vocab_size_(vocab_size) {}

  std::vector<int32_t> Tokens(int64_t n) {
    std::vector<int32_t> ids(static_cast<size_t>(n));
    std::uniform_int_distribution<int32_t> any(0, static_cast<int32_t>(vocab_size_ - 1));
    for (int32_t& id : ids) id = any(random_);
    return ids;
  }

 private:
  std::mt19937_64 random_;
  int64_t vocab_size_;
};

// Encodes the text as a user message of the chat template. Without a template, encodes the plain
// text.
Result<std::vector<int32_t>> FormPrompt(const Tokenizer& tokenizer,
                                        const std::optional<ChatTemplate>& chat,
                                        const std::string& text) {
  if (!chat) return EncodePrompt(tokenizer, text);
  const ChatMessage message{"user", text};
  TRY_ASSIGN(const std::tm date, OwnPromptsDate());
  return EncodeChat(tokenizer, *chat, std::span(&message, 1), {.date = date});
}

std::string Text(const std::string& dataset, size_t i) {
  if (dataset == "stories") return std::string(kStories[i % kStories.size()]);
  return fmt::format(fmt::runtime(kAsks[i / kPassages.size() % kAsks.size()]),
                     kPassages[i % kPassages.size()]);
}

Status Validate(const DatasetOptions& o, int64_t max_model_len) {
  if (std::ranges::find(kDatasets, o.name) == std::end(kDatasets))
    return Err("dataset: expected random, shared-prefix, quoting or stories, found \"{}\"", o.name);
  const struct {
    const char* name;
    int64_t value, most;
  } counts[] = {{"num-prompts", o.num_prompts, kMaxRequests},
                {"input-len", o.input_length, kMaxPositions},
                {"output-len", o.output_length, kMaxPositions},
                {"prefix-len", o.prefix_length, kMaxPositions},
                {"num-prefixes", o.num_prefixes, kMaxRequests}};
  for (const auto& count : counts)
    if (count.value < 1 || count.value > count.most)
      return Err("{}: expected 1 to {}, found {}", count.name, count.most, count.value);
  const int64_t prompt = o.input_length + (o.name == "shared-prefix" ? o.prefix_length : 0);
  if ((o.name == "random" || o.name == "shared-prefix") && prompt + o.output_length > max_model_len)
    return Err(
        "{} tokens of prompt and {} of output: expected at most {} together, the model's length",
        prompt, o.output_length, max_model_len);
  return {};
}

}  // namespace

Result<std::vector<Request>> MakeRequests(const DatasetOptions& options,
                                          const Checkpoint& checkpoint, const Tokenizer& tokenizer,
                                          int64_t max_model_len) {
  TRY(Validate(options, max_model_len));
  TRY_ASSIGN(const std::optional<ChatTemplate> chat, LoadChatTemplate(checkpoint));
  Maker make(options.seed, checkpoint.config().vocab_size);
  const bool texts = options.name == "quoting" || options.name == "stories";
  std::vector<std::vector<int32_t>> prefixes;
  if (options.name == "shared-prefix")
    for (int64_t i = 0; i < options.num_prefixes; ++i)
      prefixes.push_back(make.Tokens(options.prefix_length));
  std::vector<Request> requests;
  for (int64_t i = 0; i < options.num_prompts; ++i) {
    Request& request = requests.emplace_back();
    if (texts) {
      TRY_ASSIGN(request.prompt,
                 FormPrompt(tokenizer, chat, Text(options.name, static_cast<size_t>(i))));
    } else {
      if (!prefixes.empty()) request.prompt = prefixes[static_cast<size_t>(i) % prefixes.size()];
      const std::vector<int32_t> ids = make.Tokens(options.input_length);
      request.prompt.insert(request.prompt.end(), ids.begin(), ids.end());
    }
    request.params = {.temperature = options.temperature,
                      .seed = static_cast<int64_t>((options.seed + static_cast<uint64_t>(i)) &
                                                   std::numeric_limits<int64_t>::max()),
                      .max_tokens = options.output_length,
                      .ignore_eos = !texts,
                      .detokenize = texts,
                      .output_kind = OutputKind::kDelta};
  }
  return requests;
}

}  // namespace merope
