#include "rag/quote_text.h"

#include <gtest/gtest.h>

namespace merope {
namespace {

// The text with "|" where a quote may start and "!" where it may end.
std::string Marked(const std::string& text) {
  const QuoteText quoted(text);
  std::string marked;
  for (size_t at = 0; at <= text.size(); ++at) {
    if (quoted.EndsAt(at)) marked += '!';
    if (quoted.StartsAt(at)) marked += '|';
    if (at < text.size()) marked += text[at];
  }
  return marked;
}

TEST(QuoteText, StartsAndEndsAtTheBordersOfWords) {
  EXPECT_EQ(Marked("unable to fly."), "|unable! |to! |fly!|.!");
  EXPECT_EQ(Marked("  a b\n"), "  |a! |b!\n");
  EXPECT_EQ(Marked(""), "");
  EXPECT_EQ(Marked("snake_case"), "|snake_case!");
}

TEST(QuoteText, ANumberIsOneWord) {
  EXPECT_EQ(Marked("1,000.5 x"), "|1,000.5! |x!");
  EXPECT_EQ(Marked("at 10:30, 7."), "|at! |10:30!|,! |7!|.!");
  EXPECT_EQ(Marked("-5 to x-7"), "|-5! |to! |x!|-!|7!");
  EXPECT_EQ(Marked("\u22125"), "|\u22125!");
}

TEST(QuoteText, ACharacterOfChineseOrJapaneseIsAWord) {
  EXPECT_EQ(Marked("北京abc"), "|北!|京!|abc!");
  EXPECT_EQ(Marked("カタ"), "|カ!|タ!");
}

TEST(QuoteText, AMarkStaysWithItsCharacter) {
  EXPECT_EQ(Marked("e\u0301a"), "|e\u0301a!");
  EXPECT_EQ(Marked(".\u0301 a"), "|.\u0301! |a!");
}

TEST(QuoteText, AQuoteHasALength) {
  const auto long_enough = [](const std::string& quote) {
    return QuoteText(quote + " and more text").IsLongEnough(0, quote.size());
  };
  EXPECT_FALSE(long_enough("elevenchars"));
  EXPECT_TRUE(long_enough("twelve_chars"));
  EXPECT_TRUE(long_enough("a b"));
  EXPECT_FALSE(long_enough("北京市"));
  EXPECT_TRUE(long_enough("北京市人"));
  EXPECT_FALSE(long_enough("............"));
  EXPECT_FALSE(long_enough(""));
}

TEST(QuoteText, TheWholeTextIsLongEnough) {
  const QuoteText text(" Yes. ");
  EXPECT_TRUE(text.IsLongEnough(1, 5));
  EXPECT_FALSE(text.IsLongEnough(1, 4));
  EXPECT_FALSE(text.HasLength(1, 5));
  EXPECT_FALSE(QuoteText("...").IsLongEnough(0, 3)) << "only punctuation";
}

TEST(QuoteText, BadUtf8BecomesReplacementCharacters) {
  EXPECT_EQ(QuoteText("a\xFF\xE4").text(), "a\uFFFD\uFFFD");
}

}  // namespace
}  // namespace merope
