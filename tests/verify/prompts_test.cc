#include "verify/prompts.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>

#include "base/digest.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/synth.h"
#include "tests/support/expect.h"
#include "tests/support/llama_config.h"
#include "tests/support/temp_dir.h"
#include "verify/token_text.h"

namespace merope {
namespace {

// A byte-level vocabulary without merges: each token is a byte. special: names of special tokens.
Tokenizer ByteTokenizer(const std::vector<std::string>& special) {
  const auto utf8 = [](int c) {
    return c < 0x80 ? std::string(1, static_cast<char>(c))
                    : std::string{static_cast<char>(0xc0 | c >> 6),
                                  static_cast<char>(0x80 | (c & 0x3f))};
  };
  nlohmann::json vocab, added = nlohmann::json::array();
  for (int byte = 0, shifted = 0; byte < 256; ++byte) {
    const bool printable = (byte > 32 && byte < 127) || (byte > 160 && byte != 173);
    vocab[utf8(printable ? byte : 256 + shifted)] = byte;
    shifted += !printable;
  }
  for (const std::string& name : special)
    added.push_back({{"id", 256 + added.size()},
                     {"content", fmt::format("<|{}|>", name)},
                     {"special", true},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false}});
  const nlohmann::json json = {
      {"version", "1.0"},
      {"added_tokens", added},
      {"normalizer", nullptr},
      {"pre_tokenizer",
       {{"type", "ByteLevel"},
        {"add_prefix_space", false},
        {"trim_offsets", true},
        {"use_regex", true}}},
      {"post_processor", nullptr},
      {"decoder",
       {{"type", "ByteLevel"},
        {"add_prefix_space", true},
        {"trim_offsets", true},
        {"use_regex", true}}},
      {"model", {{"type", "BPE"}, {"vocab", vocab}, {"merges", nlohmann::json::array()}}}};
  auto tokenizer = Tokenizer::FromJson(json.dump(), "test");
  if (!tokenizer) ADD_FAILURE() << tokenizer.error().message;
  return std::move(*tokenizer);
}

// With or without the special tokens of the RAG protocol.
Tokenizer ByteTokenizer(bool protocol) {
  if (!protocol) return ByteTokenizer(std::vector<std::string>());
  return ByteTokenizer({"query_start", "query_end", "source_start", "source_id", "source_end",
                        "language_start", "language_end", "query_report_start", "query_report_end",
                        "answer_start", "answer_end"});
}

int64_t Positions(const std::vector<VerifyPrompt>& prompts) {
  int64_t n = 0;
  for (const VerifyPrompt& p : prompts) n += std::ssize(p.ids);
  return n;
}

std::vector<VerifyPrompt> Build(const Tokenizer& tokenizer, VerifyMode mode,
                                int64_t context = 8192) {
  auto prompts = BuildPrompts(tokenizer, context, mode);
  if (!prompts) {
    ADD_FAILURE() << prompts.error().message;
    return {};
  }
  return std::move(*prompts);
}

void CheckSets(const Tokenizer& tokenizer) {
  const std::vector<VerifyPrompt> quick = Build(tokenizer, VerifyMode::kQuick),
                                  standard = Build(tokenizer, VerifyMode::kDefault),
                                  full = Build(tokenizer, VerifyMode::kFull);
  ASSERT_GE(full.size(), 25u + 200u);
  EXPECT_GE(Positions(quick), 320);
  EXPECT_GE(Positions(standard), 3000);
  EXPECT_GE(Positions(full), 10000);
  for (const auto* smaller : {&quick, &standard})
    for (size_t i = 0; i < smaller->size(); ++i)
      EXPECT_EQ((*smaller)[i].ids, full[i].ids) << full[i].id;

  std::set<std::string> ids, languages;
  std::set<std::vector<int32_t>> contents;
  std::set<size_t> lengths;
  for (const VerifyPrompt& p : full) {
    EXPECT_TRUE(ids.insert(p.id).second) << p.id;
    EXPECT_TRUE(contents.insert(p.ids).second) << p.id;
    EXPECT_FALSE(p.text.empty()) << p.id;
    languages.insert(p.language);
    lengths.insert(p.ids.size());
    if (p.kind == "report") continue;
    EXPECT_GE(p.ids.size(), 16u) << p.id;
    EXPECT_LE(p.ids.size(), 4096u) << p.id;
  }
  for (const char* language : {"en", "fr", "de", "es", "it", "zh", "ja", "ar", "ru", "code"})
    EXPECT_TRUE(languages.contains(language)) << language;
  for (const size_t length : {16, 127, 128, 129, 1025, 4096})
    EXPECT_TRUE(lengths.contains(length)) << length;

  // The longest prompt does not repeat the same long lines.
  const auto longest =
      std::ranges::max_element(full, {}, [](const VerifyPrompt& p) { return p.ids.size(); });
  std::map<std::string, int> lines;
  for (size_t begin = 0; begin < longest->text.size();) {
    const size_t end = std::min(longest->text.find('\n', begin), longest->text.size());
    if (end - begin > 60) ++lines[longest->text.substr(begin, end - begin)];
    begin = end + 1;
  }
  EXPECT_GT(lines.size(), 5u);
  for (const auto& [line, count] : lines) EXPECT_LE(count, 2) << line;
}

TEST(Prompts, SetsWithAByteVocabulary) { CheckSets(ByteTokenizer(false)); }

TEST(Prompts, SetsWithARealVocabulary) {
  const char* path = std::getenv("MEROPE_SMOLLM2");
  if (path == nullptr)
    GTEST_SKIP() << "MEROPE_SMOLLM2 is not set: the path of SmolLM2-135M-Instruct as .gguf";
  const auto checkpoint = Checkpoint::Open(path);
  ASSERT_TRUE(checkpoint) << checkpoint.error().message;
  const auto tokenizer = checkpoint->LoadTokenizer();
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  CheckSets(*tokenizer);
}

// The figures of two versions must come from the same prompts. Whoever changes the prompts on
// purpose must change this hash, too.
TEST(Prompts, AreWhatTheyHaveBeen) {
  Sha256 digest;
  for (const VerifyPrompt& p : Build(ByteTokenizer(true), VerifyMode::kFull)) {
    for (const std::string& part : {p.id, p.kind, p.language, p.text})
      digest.Add(std::as_bytes(std::span(part.c_str(), part.size() + 1)));
    digest.Add(std::as_bytes(std::span(p.ids)));
  }
  EXPECT_EQ(digest.Hex(), "64ce781a851ba5b50afadcbc53a234ce0cd6545f97cb36e250fd244ff70b2d29");
}

TEST(Prompts, TheReportsComeFirst) {
  const Tokenizer tokenizer = ByteTokenizer(false);
  const auto prompts = Build(tokenizer, VerifyMode::kQuick);
  ASSERT_EQ(ReportPrompts().size(), 25u);
  ASSERT_GT(prompts.size(), 25u);
  for (size_t i = 0; i < 25; ++i) EXPECT_EQ(prompts[i].text, ReportPrompts()[i]);
  EXPECT_EQ(prompts[0].text, "What is RAG in AI?");
  EXPECT_EQ(prompts[24].text, "What is the future of retrieval-augmented generation?");
  EXPECT_NE(prompts[25].kind, "report");
}

TEST(Prompts, ListsAreInventoriesAndTablesInTurns) {
  int lists = 0;
  for (const VerifyPrompt& p : Build(ByteTokenizer(false), VerifyMode::kFull)) {
    if (p.kind != "list") continue;
    EXPECT_TRUE(p.text.starts_with(lists % 2 == 0 ? "Inventory of shed " : "| date |")) << p.id;
    EXPECT_EQ(p.id, fmt::format("list-{:02}", ++lists));
    EXPECT_EQ(std::ssize(p.ids), 10 + 10 * lists);
  }
  EXPECT_EQ(lists, 12);
}

TEST(TokenText, EscapesWhatIsNoTextAndNothingElse) {
  for (const char* same : {"a b", "é", "日本", "😀", "\u00e9", "~"})
    EXPECT_EQ(EscapeText(same), same);
  const std::pair<const char*, const char*> escaped[] = {
      {"\n\t", R"(\n\t)"},
      {"\x1b[0m", R"(\x1b[0m)"},
      {"\x7f", R"(\x7f)"},
      {"\xc3", R"(\xc3)"},
      {"a\xa9", R"(a\xa9)"},
      {"\xe6\x97", R"(\xe6\x97)"},
      {"\xc1\x81", R"(\xc1\x81)"},
      {"\xe0\x81\x81", R"(\xe0\x81\x81)"},          // overlong
      {"\xed\xa0\x80", R"(\xed\xa0\x80)"},          // a surrogate
      {"\xf4\x90\x80\x80", R"(\xf4\x90\x80\x80)"},  // beyond U+10FFFF
      {"\xf5\x80\x80\x80", R"(\xf5\x80\x80\x80)"}};
  for (const auto& [bytes, text] : escaped) EXPECT_EQ(EscapeText(bytes), text);
  EXPECT_EQ(DisplayWidth("aé日😀e\u0301"), 7);
  EXPECT_EQ(FitWidth("日本語", 5), "日本…");
  EXPECT_EQ(FitWidth("ab", 4), "ab  ");
}

TEST(Prompts, ProtocolPromptsWhereTheVocabularyHasTheTokens) {
  const auto is_rag = [](const VerifyPrompt& p) { return p.kind == "rag"; };
  const auto without = Build(ByteTokenizer(false), VerifyMode::kFull),
             with = Build(ByteTokenizer(true), VerifyMode::kFull);
  EXPECT_EQ(std::ranges::count_if(without, is_rag), 0);
  EXPECT_EQ(std::ranges::count_if(with, is_rag), 24);
  const auto quick = Build(ByteTokenizer(true), VerifyMode::kQuick);
  const auto first = std::ranges::find_if(quick, is_rag);
  ASSERT_NE(first, quick.end());
  EXPECT_EQ(first->id, "rag-1-1");
  EXPECT_TRUE(first->text.starts_with(
      "<|query_start|>How long does the ferry to Sandholm take in winter?<|query_end|>\n"
      "<|source_start|><|source_id|>1 The ferry"))
      << first->text;
  EXPECT_TRUE(first->text.ends_with("<|source_end|>\n<|language_start|>\n")) << first->text;
}

// Other RAG models mark queries and sources with tokens of the same names.
TEST(Prompts, OtherProtocolsGetNoProtocolPrompts) {
  const auto prompts = Build(
      ByteTokenizer({"query_start", "query_end", "source_start", "source_id", "source_end",
                     "query_analysis_start", "reasoning_start", "status_start", "answer_start"}),
      VerifyMode::kFull);
  EXPECT_FALSE(prompts.empty());
  EXPECT_EQ(std::ranges::count(prompts, "rag", &VerifyPrompt::kind), 0);
}

TEST(Prompts, AreTheSameOnAnyDay) {
  const TempDir directory;
  const std::string path = directory.File("model");
  SynthOptions options;
  const Status made =
      Synthesize(path, LlamaConfig({.hidden = 32, .head_dim = 16, .vocabulary = 384}), options);
  ASSERT_TRUE(made) << ErrorOf(made);
  std::ofstream(path + "/chat_template.jinja")
      << "{{ strftime_now('%F %T') }} {{ messages[0].content }}";
  const auto checkpoint = Checkpoint::Open(path);
  ASSERT_TRUE(checkpoint) << ErrorOf(checkpoint);
  const auto tokenizer = checkpoint->LoadTokenizer();
  ASSERT_TRUE(tokenizer) << ErrorOf(tokenizer);
  const auto first = [&] {
    const auto prompts = BuildPrompts(*checkpoint, *tokenizer, VerifyMode::kDefault);
    if (!prompts) return prompts.error().message;
    const auto chat = std::ranges::find(*prompts, "chat-01", &VerifyPrompt::id);
    return chat == prompts->end() ? "none" : chat->text;
  };
  unsetenv("MEROPE_DATE");
  EXPECT_EQ(first(), "2026-01-01 00:00:00 What is RAG in AI?");
  setenv("MEROPE_DATE", "2024-02-29T12:30:00", 1);
  EXPECT_EQ(first(), "2024-02-29 12:30:00 What is RAG in AI?");
  setenv("MEROPE_DATE", "soon", 1);
  EXPECT_TRUE(first().starts_with("MEROPE_DATE: expected a date")) << first();
  unsetenv("MEROPE_DATE");
}

TEST(Prompts, AChatTemplateThatSaysNothingIsRefused) {
  const auto prompts = BuildPrompts(ByteTokenizer(false), 64, VerifyMode::kDefault,
                                    [](std::string_view) -> Result<std::string> { return ""; });
  EXPECT_EQ(ErrorOf(prompts), "chat template: prompt chat-01: expected tokens, found none");
}

TEST(Prompts, AreCutToTheContext) {
  for (const VerifyPrompt& p : Build(ByteTokenizer(true), VerifyMode::kFull, 50))
    EXPECT_LE(p.ids.size(), 50u) << p.id;
}

}  // namespace
}  // namespace merope
