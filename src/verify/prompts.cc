#include "verify/prompts.h"

#include <algorithm>
#include <array>
#include <random>
#include <utility>

#include "prompt/chat_template.h"
#include "prompt/encode_prompt.h"
#include "prompt/rag_protocol.h"
#include "template/date.h"
#include "verify/prompt_texts.h"

namespace merope {
namespace {

constexpr std::string_view kReport[] = {
    "What is RAG in AI?",
    "Explain the difference between RAG and fine-tuning.",
    "What are the main components of a RAG system?",
    "How does retrieval work in a RAG pipeline?",
    "What are the benefits of using RAG over traditional LLMs?",
    "Define the term 'information retrieval' in NLP.",
    "How does a dense retriever differ from a sparse retriever?",
    "What is the role of the generator in a RAG model?",
    "Explain the concept of retrieval-augmented generation.",
    "What are the challenges in RAG systems?",
    "How does BM25 work in information retrieval?",
    "What is a neural retriever?",
    "How can RAG improve factual accuracy in LLMs?",
    "What is the difference between open-domain and closed-domain QA?",
    "Explain how vector search works for RAG.",
    "What is a knowledge base in RAG?",
    "How does relevance scoring work in retrieval?",
    "What are the ethical concerns with RAG systems?",
    "How is RAG used in enterprise applications?",
    "Compare RAG with prompt engineering.",
    "What is multi-hop retrieval in RAG?",
    "How does RAG handle out-of-domain queries?",
    "What are the key metrics for evaluating RAG systems?",
    "Explain RAG fusion and re-ranking.",
    "What is the future of retrieval-augmented generation?"};

// Random draws that are the same on every platform: the C++ standard fixes the generator's output.
// It does not fix the order of a call's arguments, so a call has at most one draw among them.
class Draws {
 public:
  explicit Draws(uint32_t seed) : random_(seed) {}
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(uint64_t{random_()} * n >> 32); }
  template <class Range>
  auto& Pick(const Range& range) {
    return range[Below(static_cast<uint32_t>(std::size(range)))];
  }

 private:
  std::mt19937 random_;
};

std::string Inventory(uint32_t seed) {
  constexpr std::string_view kKinds[] = {"brass",    "oak",     "spare",       "rusty",
                                         "unopened", "painted", "left-handed", "borrowed"};
  constexpr std::string_view kThings[] = {
      "hinges",  "paint brushes", "door knobs", "coils of rope", "picture frames",
      "candles", "flower pots",   "fuses",      "tent pegs",     "sacks of lime"};
  Draws draws(seed);
  std::string text = fmt::format("Inventory of shed {}, {} items:\n", draws.Below(90) + 1, 12);
  for (int i = 1; i <= 12; ++i) {
    const uint32_t place = draws.Below(20) + 1;
    const auto shelf = static_cast<char>('A' + draws.Below(8));
    const std::string_view thing = draws.Pick(kThings), kind = draws.Pick(kKinds);
    text += fmt::format("{}. {} {} {} (shelf {}{})\n", i, draws.Below(480) + 2, kind, thing, shelf,
                        place);
  }
  return text + "\n";
}

std::string Readings(uint32_t seed) {
  constexpr std::string_view kStations[] = {"harbour-east", "mill-weir", "north-lock",
                                            "old-bridge"};
  Draws draws(seed);
  std::string text = "| date | station | level (cm) | flow (m3/s) |\n|---|---|---|---|\n";
  for (int i = 0; i < 10; ++i) {
    const uint32_t tenths = draws.Below(10), flow = draws.Below(95) + 3;
    const uint32_t level = draws.Below(400) + 80;
    const std::string_view station = draws.Pick(kStations);
    const uint32_t day = draws.Below(28) + 1, month = draws.Below(12) + 1;
    text += fmt::format("| {}-{:02}-{:02} | {} | {} | {}.{} |\n", 1990 + draws.Below(35), month,
                        day, station, level, flow, tenths);
  }
  return text + "\n";
}

std::string Dialogue(uint32_t seed) {
  constexpr std::string_view kNames[] = {"Anna", "Piotr", "Li Wei", "Farid", "Ingrid", "Tomás"};
  Draws draws(seed);
  const uint32_t first = draws.Below(6), second = (first + 1 + draws.Below(5)) % 6;
  const uint32_t start = draws.Below(12), offset = draws.Below(12);
  std::string text;
  for (uint32_t i = 0; i < 6; ++i)
    text += fmt::format("{}: {}\n{}: {}\n", kNames[first],
                        DialogueQuestions()[(start + 5 * i) % DialogueQuestions().size()],
                        kNames[second],
                        DialogueReplies()[(start + offset + 7 * i) % DialogueReplies().size()]);
  return text + "\n";
}

std::string Generated(uint32_t seed) {
  switch (seed % 3) {
    case 0:
      return Inventory(seed);
    case 1:
      return Dialogue(seed);
    default:
      return Readings(seed);
  }
}

std::string PlainRetrieval(const RetrievalCase& c) {
  return fmt::format("Question: {}\n\nSource 1: {}\nSource 2: {}\nSource 3: {}\n\nAnswer: {} [1]\n",
                     c.query, c.sources[0], c.sources[1], c.sources[2], c.answer);
}

// Returns at least `bytes` bytes: first the passages in order, from index `first` on and wrapping
// around, then generated text. No passage occurs twice.
std::string Continue(std::span<const Passage> passages, size_t first, size_t bytes, uint32_t seed) {
  std::string text;
  for (size_t i = 0; i < passages.size() && text.size() < bytes; ++i)
    text += std::string(passages[(first + i) % passages.size()].text) + "\n\n";
  while (text.size() < bytes) text += Generated(seed++);
  return text;
}

// Returns at least `bytes` bytes of prose, code, retrieval prompts and generated text, in shuffled
// order.
std::string Mixture(size_t bytes, uint32_t seed) {
  std::vector<std::string> sections;
  for (const Passage& p : ProsePassages()) sections.push_back(std::string(p.text) + "\n\n");
  for (const Passage& p : CodePassages())
    sections.push_back(fmt::format("```{}\n{}```\n\n", p.language, p.text));
  for (const RetrievalCase& c : RetrievalCases()) sections.push_back(PlainRetrieval(c) + "\n");
  for (uint32_t i = 0; i < 12; ++i) sections.push_back(Generated(seed * 100 + i));
  Draws draws(seed);
  std::string text;
  for (size_t left = sections.size(); left > 0 && text.size() < bytes; --left) {
    std::swap(sections[draws.Below(static_cast<uint32_t>(left))], sections[left - 1]);
    text += sections[left - 1];
  }
  for (uint32_t i = seed * 100 + 12; text.size() < bytes; ++i) text += Generated(i);
  return text;
}

class Builder {
 public:
  Builder(const Tokenizer& tokenizer, int64_t context, VerifyMode mode, const ChatWording& chat)
      : tokenizer_(tokenizer), context_(context), mode_(mode), chat_(chat) {}

  Result<std::vector<VerifyPrompt>> Build() {
    for (size_t i = 0; i < std::size(kReport); ++i)
      TRY(AddText(VerifyMode::kQuick, fmt::format("report-{:02}", i + 1), "report", "en",
                  std::string(kReport[i])));
    TRY(AddChat());
    TRY(AddProse());
    TRY(AddCode());
    TRY(AddLists());
    TRY(AddLengths());
    TRY(AddRetrieval());
    // The prompts of a mode are the first prompts of the next larger mode.
    std::vector<VerifyPrompt> prompts;
    for (const VerifyMode tier : {VerifyMode::kQuick, VerifyMode::kDefault, VerifyMode::kFull})
      for (auto& [own_tier, prompt] : prompts_)
        if (own_tier == tier) prompts.push_back(std::move(prompt));
    return prompts;
  }

 private:
  // The rendered template contains its own prefix, so EncodePrompt adds no prefix (BOS).
  Status AddChat() {
    if (!chat_ || mode_ < VerifyMode::kDefault) return {};
    for (size_t i = 0; i < std::size(kReport); ++i) {
      TRY_ASSIGN(std::string text, chat_(kReport[i]));
      TRY_ASSIGN(std::vector<int32_t> ids, EncodePrompt(tokenizer_, text, false));
      const std::string id = fmt::format("chat-{:02}", i + 1);
      if (ids.empty()) return Err("chat template: prompt {}: expected tokens, found none", id);
      TRY(Add(VerifyMode::kDefault, {id, "chat", "en", std::move(text), std::move(ids)}, false));
    }
    return {};
  }

  // tokens > 0: the prompt is cut after this number of tokens. The prompt is left out if `tier` is
  // above the mode.
  Status AddText(VerifyMode tier, std::string id, std::string kind, std::string_view language,
                 std::string text, int64_t tokens = 0) {
    if (tier > mode_) return {};
    TRY_ASSIGN(std::vector<int32_t> ids, EncodePrompt(tokenizer_, text));
    if (ids.empty()) return Err("tokenizer: prompt {}: expected tokens, found none", id);
    // The tokens of an unusual vocabulary may be very long, and the text may then have fewer
    // tokens.
    const bool cut = tokens > 0 && std::ssize(ids) > tokens;
    if (cut) ids.resize(static_cast<size_t>(tokens));
    return Add(
        tier,
        {std::move(id), std::move(kind), std::string(language), std::move(text), std::move(ids)},
        cut);
  }

  Status Add(VerifyMode tier, VerifyPrompt prompt, bool cut) {
    if (std::ssize(prompt.ids) > context_) {
      prompt.ids.resize(static_cast<size_t>(context_));
      cut = true;
    }
    if (cut) {
      TRY_ASSIGN(prompt.text, tokenizer_.Decode(prompt.ids, false));
    }
    prompts_.emplace_back(tier, std::move(prompt));
    return {};
  }

  // A number of bytes that contains at least n tokens: the tokens of a natural text have fewer than
  // 8 bytes on average.
  static size_t BytesFor(int64_t n) { return static_cast<size_t>(n) * 8 + 64; }

  Status AddProse() {
    constexpr int64_t kLengths[] = {16, 24, 32, 48, 64, 96, 120};
    std::vector<std::string_view> languages;
    for (const Passage& p : ProsePassages())
      if (languages.empty() || languages.back() != p.language) languages.push_back(p.language);
    for (size_t l = 0; l < languages.size(); ++l) {
      std::vector<Passage> own;
      std::copy_if(ProsePassages().begin(), ProsePassages().end(), std::back_inserter(own),
                   [&](const Passage& p) { return p.language == languages[l]; });
      for (size_t k = 0; k < std::size(kLengths); ++k) {
        const VerifyMode tier = kLengths[k] == 24   ? VerifyMode::kQuick
                                : kLengths[k] <= 64 ? VerifyMode::kDefault
                                                    : VerifyMode::kFull;
        TRY(AddText(tier, fmt::format("prose-{}-{}", languages[l], k + 1), "prose", languages[l],
                    Continue(own, k, BytesFor(kLengths[k]), static_cast<uint32_t>(10 * l + k)),
                    kLengths[k]));
      }
    }
    return {};
  }

  Status AddCode() {
    constexpr std::pair<int64_t, VerifyMode> kLengths[] = {
        {32, VerifyMode::kDefault}, {64, VerifyMode::kDefault}, {128, VerifyMode::kFull}};
    for (size_t i = 0; i < CodePassages().size(); ++i) {
      for (const auto& [length, tier] : kLengths) {
        const bool quick = length == 32 && i < 2;
        TRY(AddText(quick ? VerifyMode::kQuick : tier,
                    fmt::format("code-{}-{}", CodePassages()[i].language, length), "code", "code",
                    Continue(CodePassages(), i, BytesFor(length), static_cast<uint32_t>(i)),
                    length));
      }
    }
    return {};
  }

  Status AddLists() {
    for (uint32_t i = 0; i < 12; ++i) {
      const VerifyMode tier = i == 0  ? VerifyMode::kQuick
                              : i < 8 ? VerifyMode::kDefault
                                      : VerifyMode::kFull;
      const int64_t length = 20 + 10 * i;
      const auto lengthened = [&](std::string (*make)(uint32_t), uint32_t seed) {
        std::string text;
        while (text.size() < BytesFor(length)) text += make(seed++);
        return text;
      };
      TRY(AddText(tier, fmt::format("list-{:02}", i + 1), "list", "en",
                  lengthened(i % 2 == 0 ? Inventory : Readings, 1000 + 10 * i), length));
      TRY(AddText(tier, fmt::format("dialogue-{:02}", i + 1), "dialogue", "en",
                  lengthened(Dialogue, 2000 + 10 * i), length));
    }
    return {};
  }

  // Adds prompts with lengths around the sizes at which an implementation takes another path (a
  // page, a block, a chunk), and long prompts.
  Status AddLengths() {
    constexpr int64_t kBoundaries[] = {31,  32,  33,  63,  64,  65,  127,  128,  129,
                                       255, 256, 257, 511, 512, 513, 1023, 1024, 1025};
    for (const int64_t n : kBoundaries) {
      const VerifyMode tier = n == 65    ? VerifyMode::kQuick
                              : n <= 129 ? VerifyMode::kDefault
                                         : VerifyMode::kFull;
      TRY(AddText(tier, fmt::format("boundary-{}", n), "boundary", "mixed",
                  Mixture(BytesFor(n), static_cast<uint32_t>(n)), n));
    }
    constexpr int64_t kLong[] = {200, 300, 400, 600, 800, 1500, 2047, 2048, 2049, 3000, 4095, 4096};
    for (const int64_t n : kLong) {
      const VerifyMode tier = n <= 400 ? VerifyMode::kDefault : VerifyMode::kFull;
      TRY(AddText(tier, fmt::format("long-{}", n), "long", "mixed",
                  Mixture(BytesFor(n), static_cast<uint32_t>(n)), n));
    }
    return {};
  }

  Status AddRetrieval() {
    const auto cases = RetrievalCases();
    for (size_t i = 0; i < cases.size(); ++i)
      TRY(AddText(VerifyMode::kDefault, fmt::format("sources-{}", i + 1), "sources",
                  cases[i].language, PlainRetrieval(cases[i])));
    if (FindRagProtocol(tokenizer_) != RagProtocol::kPleias) return {};
    for (size_t i = 0; i < cases.size(); ++i) {
      // Variant 0: one source. Variant 1: three sources. Variant 2: three sources and the answer,
      // in the form that the model is trained to write.
      for (const int variant : {0, 1, 2}) {
        const VerifyMode tier = i < 2 && variant != 1 ? VerifyMode::kQuick : VerifyMode::kDefault;
        if (tier > mode_) continue;
        const RetrievalCase& c = cases[i];
        TRY_ASSIGN(
            std::vector<int32_t> ids,
            EncodeRagPrompt(tokenizer_, c.query, std::span(c.sources).first(variant == 0 ? 1 : 3)));
        if (variant == 2) {
          TRY_ASSIGN(const std::vector<int32_t> answer,
                     EncodeRagAnswer(tokenizer_, {c.language, c.answer, c.quote}));
          ids.insert(ids.end(), answer.begin(), answer.end());
        }
        VerifyPrompt prompt{fmt::format("rag-{}-{}", i + 1, variant + 1), "rag",
                            std::string(c.language), "", std::move(ids)};
        TRY(Add(tier, std::move(prompt), true));
      }
    }
    return {};
  }

  const Tokenizer& tokenizer_;
  int64_t context_;
  VerifyMode mode_;
  const ChatWording& chat_;
  std::vector<std::pair<VerifyMode, VerifyPrompt>> prompts_;
};

}  // namespace

std::string_view VerifyModeName(VerifyMode mode) {
  constexpr std::string_view kNames[] = {"quick", "default", "full"};
  return kNames[static_cast<size_t>(mode)];
}

std::span<const std::string_view> ReportPrompts() { return kReport; }

Result<std::vector<VerifyPrompt>> BuildPrompts(const Tokenizer& tokenizer, int64_t context,
                                               VerifyMode mode, const ChatWording& chat) {
  return Builder(tokenizer, context, mode, chat).Build();
}

Result<std::vector<VerifyPrompt>> BuildPrompts(const Checkpoint& checkpoint,
                                               const Tokenizer& tokenizer, VerifyMode mode) {
  const auto chat = LoadChatTemplate(checkpoint);
  ChatTemplateOptions options;
  ChatWording wording;
  // Ignores a chat template that cannot be used; `merope inspect` reports the error.
  if (chat && chat->has_value()) {
    TRY_ASSIGN(options.date, OwnPromptsDate());
    wording = [&](std::string_view message) {
      const ChatMessage said{"user", std::string(message)};
      return (**chat).Render(std::span(&said, 1), options);
    };
  }
  return BuildPrompts(tokenizer, checkpoint.config().max_position_embeddings, mode, wording);
}

}  // namespace merope
