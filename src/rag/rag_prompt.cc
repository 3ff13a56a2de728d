#include "rag/rag_prompt.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <span>
#include <utility>

#include "base/utf8.h"
#include "prompt/encode_prompt.h"
#include "rag/quote_text.h"
#include "rag/sentences.h"
#include "text/unicode.h"

namespace merope {
namespace {

using Ids = std::vector<int32_t>;

void Append(Ids* ids, const Ids& more) { ids->insert(ids->end(), more.begin(), more.end()); }

Result<Ids> EncodePlain(const Tokenizer& tokenizer, std::string_view text) {
  return tokenizer.Encode(text, {.parse_special = false, .add_special = false});
}

// A prompt around its sources.
struct Frame {
  Ids before, after;
  std::function<Result<Ids>(int64_t number, std::string_view text)> source;
};

Result<Frame> PleiasFrame(const Tokenizer& tokenizer, const RagQuestion& question,
                          std::string_view language) {
  Frame frame;
  frame.before = tokenizer.PrefixIds();
  TRY_ASSIGN(const Ids query, EncodeRagQuery(tokenizer, question.query));
  Append(&frame.before, query);
  frame.source = [&tokenizer](int64_t number, std::string_view text) {
    return EncodeRagSource(tokenizer, number, text);
  };
  TRY_ASSIGN(frame.after, question.fast ? EncodeRagFastOpening(tokenizer, language)
                                        : EncodeRagOpening(tokenizer));
  return frame;
}

Result<Frame> OccFrame(const Tokenizer& tokenizer, const std::optional<ChatTemplate>& chat,
                       const RagQuestion& question) {
  if (!chat)
    return Err(
        "expected a chat template beside the tokens of OCC-RAG in the checkpoint, found "
        "none");
  TRY_ASSIGN(ChatFrame around, EncodeChatFrame(tokenizer, *chat, {}));
  Frame frame = {
      .before = std::move(around.before), .after = std::move(around.after), .source = {}};
  TRY_ASSIGN(const Ids query, EncodeRagQuery(tokenizer, question.query));
  Append(&frame.before, query);
  frame.source = [&tokenizer](int64_t number, std::string_view text) {
    return EncodeRagSource(tokenizer, number, text);
  };
  return frame;
}

Result<Frame> PlainFrame(const Tokenizer& tokenizer, const std::optional<ChatTemplate>& chat,
                         const RagQuestion& question) {
  ChatFrame around;
  if (chat) {
    TRY_ASSIGN(around, EncodeChatFrame(tokenizer, *chat, {}));
  } else {
    around.before = tokenizer.PrefixIds();
    TRY_ASSIGN(around.after, EncodePlain(tokenizer, "\n\nAnswer:"));
  }
  Frame frame = {.before = std::move(around.before), .after = {}, .source = {}};
  TRY_ASSIGN(frame.after, EncodePlain(tokenizer, fmt::format("{} Answer this question in one "
                                                             "sentence: {}",
                                                             PlainInstruction(), question.query)));
  Append(&frame.after, around.after);
  frame.source = [&tokenizer](int64_t number, std::string_view text) {
    return EncodePlain(tokenizer, fmt::format("Source {}: {}\n\n", number, Trim(text)));
  };
  return frame;
}

// The longest start of a source, in whole sentences, that fits; empty if not one does.
Result<std::string_view> CutSource(const Frame& frame, int64_t number, std::string_view text,
                                   int64_t room, Ids* ids) {
  const std::vector<TextSpan> sentences = SentencesOf(text);
  size_t fits = 0, too_many = sentences.size() + 1;  // numbers of sentences
  while (too_many - fits > 1) {
    const size_t half = fits + (too_many - fits) / 2;
    TRY_ASSIGN(Ids encoded, frame.source(number, Trim(text.substr(0, sentences[half - 1].end))));
    if (std::ssize(encoded) <= room) {
      fits = half;
      *ids = std::move(encoded);
    } else {
      too_many = half;
    }
  }
  return fits == 0 ? std::string_view() : Trim(text.substr(0, sentences[fits - 1].end));
}

struct LanguageWords {
  std::string_view name;
  std::span<const std::string_view> words;
};

constexpr std::string_view kFrench[] = {"le",   "la",     "les", "des",  "est", "une", "quel",
                                        "dans", "quelle", "qui", "pour", "du",  "que"};
constexpr std::string_view kGerman[] = {"der",  "die", "das",  "und",    "ist", "wie",  "ein",
                                        "eine", "wer", "wann", "welche", "von", "wird", "nicht"};
constexpr std::string_view kSpanish[] = {"el",  "los", "las", "una", "qué",  "cuál", "quién",
                                         "por", "en",  "del", "es",  "como", "cómo"};
constexpr std::string_view kItalian[] = {"il",  "gli", "della", "che", "chi",   "quale", "quando",
                                         "una", "di",  "per",   "è",   "quali", "sono"};
constexpr std::string_view kPortuguese[] = {"o",   "os",  "uma", "qual", "quem", "não", "em",
                                            "são", "por", "que", "da",   "do",   "como"};
constexpr std::string_view kDutch[] = {"de",   "het", "een",   "wie",     "wat",  "van",
                                       "niet", "hoe", "welke", "wanneer", "zijn", "voor"};
constexpr std::string_view kPolish[] = {"jest", "czy", "kto", "jak",   "kiedy", "w",
                                        "na",   "nie", "się", "który", "jaka",  "jakie"};
constexpr std::string_view kEnglish[] = {"the", "of",    "is",  "what", "who",   "when",
                                         "in",  "how",   "and", "was",  "which", "does",
                                         "are", "where", "why", "to",   "did",   "a"};
constexpr LanguageWords kLanguages[] = {
    {"English", kEnglish}, {"French", kFrench},         {"German", kGerman}, {"Spanish", kSpanish},
    {"Italian", kItalian}, {"Portuguese", kPortuguese}, {"Dutch", kDutch},   {"Polish", kPolish}};

}  // namespace

std::string_view PlainInstruction() {
  return "Use only the sources above. Quote the words that support your answer, like this: "
         "<ref name=\"1\">words of source 1</ref>.";
}

Result<RagPrompt> MakeRagPrompt(const Tokenizer& tokenizer, const std::optional<ChatTemplate>& chat,
                                const RagQuestion& question, int64_t most_tokens) {
  RagPrompt prompt = {.protocol = question.plain ? RagProtocol::kNone : FindRagProtocol(tokenizer)};
  Frame frame;
  if (prompt.protocol == RagProtocol::kPleias) {
    prompt.open = question.fast ? Section::kAnswer : Section::kLanguage;
    if (question.fast) prompt.language = QueryLanguage(question.query);
    TRY_ASSIGN(frame, PleiasFrame(tokenizer, question, prompt.language));
  } else if (prompt.protocol == RagProtocol::kOcc) {
    prompt.open = Section::kQueryAnalysis;
    TRY_ASSIGN(frame, OccFrame(tokenizer, chat, question));
  } else {
    prompt.open = Section::kAnswer;
    TRY_ASSIGN(frame, PlainFrame(tokenizer, chat, question));
  }
  const int64_t around = std::ssize(frame.before) + std::ssize(frame.after);
  if (around > most_tokens)
    return FieldErr("query", "expected at most {} tokens for the prompt without sources, found {}",
                    most_tokens, around);
  prompt.ids = std::move(frame.before);
  int64_t room = most_tokens - around;
  for (const std::string& source : question.sources) {
    const int64_t number = std::ssize(prompt.sources) + 1;
    TRY_ASSIGN(Ids ids, frame.source(number, source));
    std::string_view seen = source;
    if (std::ssize(ids) > room) {
      TRY_ASSIGN(seen, CutSource(frame, number, source, room, &ids));
      prompt.cut = !seen.empty();
      if (seen.empty()) break;
    }
    prompt.sources.emplace_back(seen);
    Append(&prompt.ids, ids);
    room -= std::ssize(ids);
    if (prompt.cut) break;
  }
  prompt.dropped = std::ssize(question.sources) - std::ssize(prompt.sources);
  Append(&prompt.ids, frame.after);
  return prompt;
}

std::string_view QueryLanguage(std::string_view query) {
  int64_t han = 0, kana = 0, hangul = 0, cyrillic = 0, arabic = 0, greek = 0;
  for (size_t at = 0; at < query.size();) {
    const char32_t c = utf8::Next(query, &at);
    kana += c >= 0x3040 && c <= 0x30FF;
    han += c >= 0x4E00 && c <= 0x9FFF;
    hangul += c >= 0xAC00 && c <= 0xD7AF;
    cyrillic += c >= 0x400 && c <= 0x4FF;
    arabic += c >= 0x600 && c <= 0x6FF;
    greek += c >= 0x370 && c <= 0x3FF;
  }
  if (kana > 0) return "Japanese";
  if (han > 0) return "Chinese";
  if (hangul > 0) return "Korean";
  if (cyrillic > 0) return "Russian";
  if (arabic > 0) return "Arabic";
  if (greek > 0) return "Greek";
  const std::string lower = unicode::LowerCase(query);
  int64_t counts[std::size(kLanguages)] = {};
  for (size_t at = 0; at < lower.size();) {
    const size_t begin = at;
    size_t end = at;
    while (at < lower.size()) {
      end = at;
      if (!unicode::IsWord(utf8::Next(lower, &at))) break;
      end = at;
    }
    const std::string_view word = std::string_view(lower).substr(begin, end - begin);
    for (size_t i = 0; i < std::size(kLanguages); ++i)
      counts[i] += std::ranges::count(kLanguages[i].words, word);
  }
  return kLanguages[std::ranges::max_element(counts) - counts].name;
}

}  // namespace merope
