// Unicode tables, normalization forms and UTF-8.
#include "text/unicode.h"

#include <gtest/gtest.h>

#include "text/utf8.h"

namespace merope {
namespace {

using unicode::Form;

TEST(Unicode, Categories) {
  EXPECT_EQ(unicode::CategoryOf('A'), unicode::kLu);
  EXPECT_EQ(unicode::CategoryOf(0x31350), unicode::kLo);  // of Unicode 15
  EXPECT_TRUE(unicode::IsNumber(0xBD));
  EXPECT_TRUE(unicode::IsWhiteSpace(0x3000));
  EXPECT_FALSE(unicode::IsWhiteSpace(0x180E));
  EXPECT_FALSE(unicode::IsWhiteSpace(0x200B));
  EXPECT_EQ(unicode::CategoryOf(0x10FFFF), unicode::kCn);
}

TEST(Unicode, NormalizationForms) {
  EXPECT_EQ(unicode::Normalize("e\u0301", Form::kNfc), "é");
  EXPECT_EQ(unicode::Normalize("é", Form::kNfd), "e\u0301");
  EXPECT_EQ(unicode::Normalize("\uFB01", Form::kNfkc), "fi");
  EXPECT_EQ(unicode::Normalize("\uFB01", Form::kNfc), "\uFB01");
  EXPECT_EQ(unicode::Normalize("\u1100\u1161\u11A8", Form::kNfc), "\uAC01");
  EXPECT_EQ(unicode::Normalize("\uAC01", Form::kNfkd), "\u1100\u1161\u11A8");
  EXPECT_EQ(unicode::Normalize("\u1E9B\u0323", Form::kNfc), "\u1E9B\u0323");
  EXPECT_EQ(unicode::Normalize("\u1E9B\u0323", Form::kNfkc), "\u1E69");
  EXPECT_EQ(unicode::Normalize("a\u0301\u0323", Form::kNfd), "a\u0323\u0301");
}

TEST(Unicode, LowerCase) { EXPECT_EQ(unicode::LowerCase("AÉΣ\u0130"), "aéσi\u0307"); }

TEST(Utf8, ValidPrefix) {
  EXPECT_EQ(utf8::ValidPrefix("aé€😀"), 10u);
  EXPECT_EQ(utf8::ValidPrefix("abcdefgh\x80"), 8u);
  EXPECT_EQ(utf8::ValidPrefix("a\xE2\x82"), 1u);
  EXPECT_EQ(utf8::ValidPrefix("\xED\xA0\x80"), 0u);
  EXPECT_EQ(utf8::ValidPrefix("\xF5\x80\x80\x80"), 0u);
}

TEST(Utf8, DrainLossyKeepsWhatMayBecomeWhole) {
  std::string pending = "a\xE2\x82", out;
  utf8::DrainLossy(&pending, false, &out);
  EXPECT_EQ(out, "a");
  EXPECT_EQ(pending, "\xE2\x82");
  pending += "z\xF0\x9F";
  utf8::DrainLossy(&pending, false, &out);
  EXPECT_EQ(out, "a\uFFFDz");
  utf8::DrainLossy(&pending, true, &out);
  EXPECT_EQ(out, "a\uFFFDz\uFFFD");
  EXPECT_TRUE(pending.empty());
}

}  // namespace
}  // namespace merope
