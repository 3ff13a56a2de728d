#include "rag/quote_constraint.h"

#include <gtest/gtest.h>

#include <bit>
#include <cstdlib>
#include <random>

#include "base/utf8.h"
#include "checkpoint/checkpoint.h"
#include "checkpoint/synth_tokenizer.h"
#include "tests/support/allocations.h"

namespace merope {
namespace {

Tokenizer ProtocolTokenizer() {
  auto tokenizer = Tokenizer::FromJson(SynthTokenizer(4096).dump(), "t.json");
  CHECK(tokenizer.has_value());
  return std::move(*tokenizer);
}

// The protocol's tokenizer without the tokens of some bytes.
Tokenizer TokenizerWithout(std::string_view symbols) {
  Json json = SynthTokenizer(4096);
  Json& model = json["model"];
  Json vocabulary = Json::object();
  for (const auto& [token, id] : model["vocab"].items())
    if (token.size() != 1 || !symbols.contains(token)) vocabulary[token] = id;
  model["vocab"] = vocabulary;
  Json merges = Json::array();
  for (const Json& merge : model["merges"]) {
    const auto has = [&](const Json& part) { return vocabulary.contains(part.get<std::string>()); };
    if (has(merge[0]) && has(merge[1])) merges.push_back(merge);
  }
  model["merges"] = merges;
  auto tokenizer = Tokenizer::FromJson(json.dump(), "t.json");
  CHECK(tokenizer.has_value(), "{}", tokenizer.error().message);
  return std::move(*tokenizer);
}

class Writer {
 public:
  Writer(const Tokenizer& tokenizer, const std::vector<std::string>& sources,
         CiteRule cite = CiteRule::kFree)
      : tokenizer_(tokenizer),
        quoted_(std::make_shared<QuotedSources>(sources)),
        spellings_(std::make_shared<TokenSpellings>(tokenizer, tokenizer.vocab_size())),
        constraint_(std::make_shared<Quotable>(quoted_, kBarriers, spellings_),
                    {.tokens = RagTokens::Find(tokenizer),
                     .eos_token_ids = {2},
                     .in_answer = true,
                     .cite = cite}) {}

  bool Allows(int32_t id) {
    EXPECT_TRUE(constraint_.Prepare(TokenConstraint::kNoLimit));
    return (constraint_.mask()[static_cast<size_t>(id) / 32] >> (id % 32) & 1) != 0;
  }
  // Writes the text byte by byte, or says where it may not go on.
  std::string Write(std::string_view text) {
    for (size_t at = 0; at < text.size(); ++at) {
      const auto id = ByteToken(text[at]);
      if (!id || !Allows(*id)) return std::string(text.substr(0, at));
      Accept(*id);
    }
    return "all";
  }
  void Accept(int32_t id) {
    constraint_.Accept(id);
    text_ += spellings_->Bytes(id);
  }
  std::optional<int32_t> ByteToken(char byte) const {
    for (const int32_t id : spellings_->Tokens(spellings_->Child(spellings_->root(), byte)))
      if (spellings_->Bytes(id).size() == 1) return id;
    return std::nullopt;
  }
  std::vector<int32_t> Allowed() {
    std::vector<int32_t> ids;
    EXPECT_TRUE(constraint_.Prepare(TokenConstraint::kNoLimit));
    const auto mask = constraint_.mask();
    for (size_t word = 0; word < mask.size(); ++word)
      for (uint32_t bits = mask[word]; bits != 0; bits &= bits - 1)
        ids.push_back(static_cast<int32_t>(32 * word) + std::countr_zero(bits));
    return ids;
  }
  QuoteConstraint& constraint() { return constraint_; }
  const std::string& text() const { return text_; }
  const TokenSpellings& spellings() const { return *spellings_; }

  static inline const std::vector<std::string> kBarriers = {"<ref", "</ref", "<|answer_end|>"};

 private:
  const Tokenizer& tokenizer_;
  std::shared_ptr<QuotedSources> quoted_;
  std::shared_ptr<TokenSpellings> spellings_;
  QuoteConstraint constraint_;
  std::string text_;
};

const std::vector<std::string> kTexts = {"The tower is 1,889 feet tall, unable to move.",
                                         "Mount Fuji is high. A </ref> stands here, and more.", ""};

TEST(QuoteConstraint, OnlyAPartOfTheNamedSourceFollows) {
  const Tokenizer tokenizer = ProtocolTokenizer();
  EXPECT_EQ(Writer(tokenizer, kTexts).Write("It is.<ref name=\"1\">tower is 1,889 feet</ref> So."),
            "all");
  EXPECT_EQ(Writer(tokenizer, kTexts).Write("x<ref name=\"2\">tower"), "x<ref name=\"2\">");
  EXPECT_EQ(Writer(tokenizer, kTexts).Write("<ref name=\"1\">able to"), "<ref name=\"1\">");
  EXPECT_EQ(Writer(tokenizer, kTexts).Write("<ref name=\"1\">889 feet"), "<ref name=\"1\">");
  EXPECT_EQ(Writer(tokenizer, kTexts).Write("<ref name=\"1\">tower</ref>"), "<ref name=\"1\">tower")
      << "too short";
  EXPECT_EQ(Writer(tokenizer, kTexts).Write("<ref name=\"1\">tower is 1,8</ref>"),
            "<ref name=\"1\">tower is 1,8")
      << "inside a number";
}

TEST(QuoteConstraint, OnlySourcesThatHoldAQuoteCanBeNamed) {
  const Tokenizer tokenizer = ProtocolTokenizer();
  EXPECT_EQ(Writer(tokenizer, kTexts).Write("<ref name=\"3\">"), "<ref name=\"");
  EXPECT_EQ(Writer(tokenizer, kTexts).Write("<ref name=\"01\">"), "<ref name=\"");
  EXPECT_EQ(Writer(tokenizer, kTexts).Write("<ref name=\"12\">"), "<ref name=\"1");
  EXPECT_EQ(Writer(tokenizer, {"", "x"}).Write("a <red <ref name=\"2\">x</ref>"), "all")
      << "\"x\" is a whole source";
  EXPECT_EQ(Writer(tokenizer, {}).Write("a <ref"), "a <re");
}

TEST(QuoteConstraint, AQuoteStopsAtWhatItMayNotContain) {
  const Tokenizer tokenizer = ProtocolTokenizer();
  EXPECT_EQ(Writer(tokenizer, kTexts).Write("<ref name=\"2\">high. A </ref>"),
            "<ref name=\"2\">high. A")
      << "a quote does not end in a space, and cannot cross";
  EXPECT_EQ(Writer(tokenizer, kTexts).Write("<ref name=\"2\">high. A</ref> and"), "all");
  EXPECT_EQ(
      Writer(tokenizer, {"before here <|answer_end|> behind it"}).Write("<ref name=\"1\">here <|a"),
      "<ref name=\"1\">")
      << "\"here\" alone is too short, and it cannot go on";
}

TEST(QuoteConstraint, NothingEndsInsideAReference) {
  const Tokenizer tokenizer = ProtocolTokenizer();
  Writer writer(tokenizer, kTexts);
  const int32_t answer_end = *tokenizer.TokenToId("<|answer_end|>");
  EXPECT_TRUE(writer.Allows(2));
  EXPECT_TRUE(writer.Allows(answer_end));
  for (const char byte : std::string_view("<ref name=\"1\">The tower is")) {
    writer.Accept(*writer.ByteToken(byte));
    const bool open = writer.text().size() >= 4;
    EXPECT_EQ(writer.Allows(2), !open) << writer.text();
    EXPECT_EQ(writer.Allows(answer_end), !open);
    EXPECT_EQ(writer.constraint().may_end(), !open);
  }
  EXPECT_EQ(writer.Write("</ref>"), "all");
  EXPECT_TRUE(writer.Allows(2));
  EXPECT_TRUE(writer.constraint().may_end());
}

TEST(QuoteConstraint, TheNumberMayFollowTheProtocolsToken) {
  const Tokenizer tokenizer = ProtocolTokenizer();
  const int32_t source_id = *tokenizer.TokenToId("<|source_id|>");
  Writer writer(tokenizer, kTexts);
  EXPECT_EQ(writer.Write("<ref name=\""), "all");
  ASSERT_TRUE(writer.Allows(source_id));
  writer.Accept(source_id);
  EXPECT_FALSE(writer.Allows(source_id)) << "once";
  EXPECT_EQ(writer.Write("2\">Mount Fuji</ref>"), "all");
}

TEST(QuoteConstraint, OutsideTheAnswerNothingIsForbidden) {
  const Tokenizer tokenizer = ProtocolTokenizer();
  Writer writer(tokenizer, kTexts);
  writer.Accept(*tokenizer.TokenToId("<|answer_end|>"));
  EXPECT_EQ(writer.Write("<ref name=\"9\">invented</ref>"), "all");
  EXPECT_EQ(writer.Allowed().size(), static_cast<size_t>(tokenizer.vocab_size()));
  writer.Accept(*tokenizer.TokenToId("<|draft_start|>"));
  EXPECT_EQ(writer.Write("<ref name=\"9\">"), "<ref name=\"") << "a draft is bound, too";
}

TEST(QuoteConstraint, ATokenMayHoldTheEndOfAQuoteAndMore) {
  // The vocabulary of the synthetic tokenizer has all pairs of bytes.
  const Tokenizer tokenizer = *Tokenizer::FromJson(SynthTokenizer(66'000).dump(), "t.json");
  Writer writer(tokenizer, kTexts);
  EXPECT_EQ(writer.Write("<ref name=\"1\">The tower"), "all");
  const auto pair = [&](std::string_view bytes) {
    TokenSpellings::Node node = writer.spellings().root();
    for (const char byte : bytes) node = writer.spellings().Child(node, byte);
    CHECK(!node.empty());
    return writer.spellings().Tokens(node).front();
  };
  EXPECT_TRUE(writer.Allows(pair(" i")));
  EXPECT_TRUE(writer.Allows(pair("</")));
  EXPECT_FALSE(writer.Allows(pair(" <")));
  EXPECT_FALSE(writer.Allows(pair("<r")));
  EXPECT_EQ(writer.Write(" is"), "all");
  EXPECT_FALSE(writer.Allows(pair("s<")));
  EXPECT_EQ(writer.Write("</ref"), "all");
  EXPECT_TRUE(writer.Allows(pair(">.")));
  EXPECT_TRUE(writer.Allows(pair("><"))) << "the next reference";
}

TEST(QuoteConstraint, TheFirstSentenceEndsInAReferenceIfAsked) {
  const Tokenizer tokenizer = ProtocolTokenizer();
  Writer writer(tokenizer, kTexts, CiteRule::kOnce);
  EXPECT_FALSE(writer.Allows(2)) << "no end before a reference";
  EXPECT_EQ(writer.Write("The U.S. tower is 3.5 m high."), "all");
  EXPECT_FALSE(writer.Allows(*writer.ByteToken(' ')));
  EXPECT_FALSE(writer.Allows(2));
  EXPECT_EQ(writer.Write(")<ref name=\"1\">The tower</ref> More. And more."), "all");
  EXPECT_TRUE(writer.Allows(2));
  Writer year(tokenizer, kTexts, CiteRule::kOnce);
  EXPECT_EQ(year.Write("It dates from 1889. The"), "It dates from 1889. ");
  EXPECT_EQ(year.Write("<ref name=\"1\">The tower</ref>"), "all");
  EXPECT_TRUE(Writer(tokenizer, {""}, CiteRule::kOnce).Allows(2)) << "there is nothing to quote";
}

TEST(QuoteConstraint, RollbackForgetsTokens) {
  const Tokenizer tokenizer = ProtocolTokenizer();
  Writer writer(tokenizer, kTexts);
  EXPECT_EQ(writer.Write("<ref name=\"1\">The tower"), "all");
  const std::vector<int32_t> before = writer.Allowed();
  EXPECT_EQ(writer.Write(" is 1,8"), "all");
  EXPECT_NE(writer.Allowed(), before);
  writer.constraint().Rollback(7);
  EXPECT_EQ(writer.Allowed(), before);
  writer.constraint().Rollback(14 + 9);
  EXPECT_TRUE(writer.Allows(2));
}

TEST(QuoteConstraint, AWarmStepInsideAReferenceAllocatesNothing) {
  const Tokenizer tokenizer = ProtocolTokenizer();
  Writer writer(tokenizer, kTexts);
  EXPECT_EQ(writer.Write("<ref name=\"1\">The tower is</ref> <ref name=\"1\">The t"), "all");
  QuoteConstraint& constraint = writer.constraint();
  const std::string_view rest = "ower is 1,889</ref>";
  std::vector<int32_t> ids;
  for (const char byte : rest) ids.push_back(*writer.ByteToken(byte));
#ifdef MEROPE_COUNTS_ALLOCATIONS
  allocations = 0;
  counting_allocations = true;
#endif
  for (const int32_t id : ids) {
    constraint.Prepare(TokenConstraint::kNoLimit);
    constraint.Accept(id);
  }
#ifdef MEROPE_COUNTS_ALLOCATIONS
  counting_allocations = false;
  EXPECT_EQ(allocations, 0);
#endif
  EXPECT_TRUE(constraint.may_end());
}

// A random source: words, repeats, marks, CJK, barriers, bytes that the vocabulary may lack.
std::string RandomSource(std::mt19937_64& random) {
  static const std::vector<std::string> pieces = {
      "the ",    "tower ",         "a",      "1,000 ",  "-5 ",  ". ", "\n",   "é",
      "e\u0301", "北京",           "日本語", "😀",      "<b>",  "</", "<ref", "</ref>",
      "'",       "“quote” ",       "x<y ",   "of the ", "the ", "Ω ", "\t",   "…",
      "word",    "<|answer_end|>", "Ünï ",   "\u00AD"};
  std::string text;
  const uint64_t kind = random() % 8;
  const uint64_t n = kind == 0 ? 0 : kind == 1 ? 1 : random() % 60;
  for (uint64_t i = 0; i < n; ++i) text += pieces[random() % pieces.size()];
  return text;
}

// Opens a reference by force, lets random tokens follow, and compares the quote with the source.
void RandomReferences(const Tokenizer& tokenizer, int64_t wanted, uint64_t seed) {
  std::mt19937_64 random(seed);
  int64_t done = 0, none = 0;
  while (done < wanted) {
    std::vector<std::string> sources;
    for (uint64_t i = random() % 4; i-- > 0;) sources.push_back(RandomSource(random));
    Writer writer(tokenizer, sources);
    const bool by_token = random() % 2 == 0 && tokenizer.TokenToId("<|source_id|>");
    if (writer.Write("So:<ref name=\"") != "all") {
      ++none;
      ASSERT_LT(none, 100 * wanted);
      continue;
    }
    if (by_token) {
      ASSERT_TRUE(writer.Allows(*tokenizer.TokenToId("<|source_id|>")));
      writer.Accept(*tokenizer.TokenToId("<|source_id|>"));
    }
    // "…", then a short way to the end: tokens that close come first after a while.
    int64_t steps = 0;
    while (writer.constraint().may_end() == false) {
      const std::vector<int32_t> allowed = writer.Allowed();
      ASSERT_FALSE(allowed.empty()) << writer.text();
      ASSERT_LT(++steps, 2000) << writer.text();
      int32_t id = allowed[random() % allowed.size()];
      for (const int32_t other : allowed)
        if (steps > 30 && writer.spellings().Bytes(other).starts_with('<')) id = other;
      writer.Accept(id);
    }
    const std::string& text = writer.text();
    const size_t number_at = text.find("name=\"") + 6, quote_at = text.find("\">") + 2;
    const int64_t number = std::atoll(text.c_str() + number_at);
    ASSERT_TRUE(number >= 1 && number <= std::ssize(sources)) << text;
    const size_t end = text.find("</ref>", quote_at);
    ASSERT_NE(end, text.npos) << text;
    const std::string quote = text.substr(quote_at, end - quote_at);
    const std::string& source = sources[static_cast<size_t>(number - 1)];
    ASSERT_NE(source.find(quote), source.npos) << text << "\nsource: " << source;
    ASSERT_EQ(utf8::ValidPrefix(quote), quote.size()) << text;
    for (const std::string& barrier : Writer::kBarriers) ASSERT_FALSE(quote.contains(barrier));
    const Grounding found = QuotedSources(sources).Check(number, quote);
    ASSERT_EQ(found.verdict, QuoteVerdict::kExact) << text << "\nsource: " << source;
    ++done;
  }
}

int64_t References() { return std::getenv("MEROPE_WHOLE") != nullptr ? 10'000 : 500; }

TEST(QuoteConstraint, RandomReferencesAreVerbatim) {
  RandomReferences(ProtocolTokenizer(), References(), 1);
}

TEST(QuoteConstraint, RandomReferencesAreVerbatimWhereTheVocabularyLacksBytes) {
  RandomReferences(TokenizerWithout("Twçåé"), References() / 10, 2);
}

TEST(QuoteConstraint, RandomReferencesOfARealVocabularyAreVerbatim) {
  const char* path = std::getenv("MEROPE_SMOLLM2");
  if (path == nullptr) GTEST_SKIP() << "MEROPE_SMOLLM2 is not set: no real vocabulary";
  auto checkpoint = Checkpoint::Open(path);
  ASSERT_TRUE(checkpoint);
  auto tokenizer = checkpoint->LoadTokenizer();
  ASSERT_TRUE(tokenizer);
  RandomReferences(*tokenizer, References() / 10, 3);
}

}  // namespace
}  // namespace merope
