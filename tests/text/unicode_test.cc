// Unicode tables, normalization forms and UTF-8.
#include "text/unicode.h"

#include <gtest/gtest.h>

#include "base/utf8.h"

namespace merope {
namespace {

using unicode::Form;

TEST(Unicode, Categories) {
  EXPECT_EQ(unicode::CategoryOf('A'), unicode::kLu);
  EXPECT_EQ(unicode::CategoryOf(0x31350), unicode::kLo);  // new in Unicode 15
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

// The expected letters follow from the arithmetic in section 3.12 of the Unicode Standard.
TEST(Unicode, HangulSyllables) {
  for (char32_t syllable = 0xAC00; syllable <= 0xD7A3; ++syllable) {
    const char32_t index = syllable - 0xAC00;
    std::string composed, letters;
    utf8::Append(syllable, &composed);
    utf8::Append(0x1100 + index / 588, &letters);
    utf8::Append(0x1161 + index % 588 / 28, &letters);
    if (index % 28 != 0) utf8::Append(0x11A7 + index % 28, &letters);
    ASSERT_EQ(unicode::Normalize(composed, Form::kNfd), letters);
    ASSERT_EQ(unicode::Normalize(letters, Form::kNfc), composed);
  }
  // These code points are just outside the ranges that compose.
  for (const char* text :
       {"\u10FF\u1161", "\u1113\u1161", "\u1100\u1160", "\u1100\u1176", "\uAC00\u11A7",
        "\uAC00\u11C3", "\uAC01\u11A8", "\uABFF\u11A8", "\uD7A4\u11A8", "\uABFF", "\uD7A4"})
    EXPECT_EQ(unicode::Normalize(text, Form::kNfc), text);
}

TEST(Unicode, WhatComposesAndWhatDoesNot) {
  EXPECT_EQ(unicode::Normalize("\u0301", Form::kNfc), "\u0301");  // nothing to compose with
  EXPECT_EQ(unicode::Normalize("a\u0328\u0301", Form::kNfc), "\u0105\u0301");
  EXPECT_EQ(unicode::Normalize("a\u0305\u0301", Form::kNfc), "a\u0305\u0301");  // blocked
  EXPECT_EQ(unicode::Normalize("a\u0301\u0327", Form::kNfc), "\u00E1\u0327");   // not blocked
  EXPECT_EQ(unicode::Normalize("e\u0301e\u0301", Form::kNfc), "éé");
  EXPECT_EQ(unicode::Normalize("\u0340", Form::kNfc), "\u0300");
  EXPECT_EQ(unicode::Normalize("\u09C7\u09BE", Form::kNfc), "\u09CB");  // two starters
  EXPECT_EQ(unicode::Normalize("\u00A0", Form::kNfkc), " ");
  EXPECT_EQ(unicode::Normalize("\u00A0", Form::kNfd), "\u00A0");
}

TEST(Unicode, Words) {
  for (const char32_t c : {U'a', U'_', U'9', U'é', U'\u0301', U'\u200C', U'\u200D', U'\u24B6',
                           U'\u24E9', U'\U0001F130', U'\U0001F149', U'\U0001F150', U'\U0001F169',
                           U'\U0001F170', U'\U0001F189', U'\u2160', U'\u203F'})
    EXPECT_TRUE(unicode::IsWord(c)) << static_cast<uint32_t>(c);
  for (const char32_t c :
       {U' ', U'-', U'\u00BD', U'\u200B', U'\u200E', U'\u24B5', U'\u24EA', U'\U0001F12F',
        U'\U0001F14A', U'\U0001F14F', U'\U0001F16A', U'\U0001F16F', U'\U0001F18A', U'\u2014'})
    EXPECT_FALSE(unicode::IsWord(c)) << static_cast<uint32_t>(c);
}

TEST(Unicode, Classes) {
  for (const char32_t c : {U'\t', U'\r', U' ', U'\u0085', U'\u00A0', U'\u2028', U'\u2029'})
    EXPECT_TRUE(unicode::IsWhiteSpace(c)) << static_cast<uint32_t>(c);
  for (const char32_t c : {U'\b', U'\x0E', U'\x1F', U'!', U'\u0084', U'\u0086', U'\u009F'})
    EXPECT_FALSE(unicode::IsWhiteSpace(c)) << static_cast<uint32_t>(c);
  EXPECT_TRUE(unicode::IsMark(0x0300) && unicode::IsMark(0x0903) && unicode::IsMark(0x20DD));
  EXPECT_FALSE(unicode::IsMark('a') || unicode::IsMark('0'));
  EXPECT_TRUE(unicode::IsNumber('0') && unicode::IsNumber(0x2160) && unicode::IsNumber(0xB2));
  EXPECT_FALSE(unicode::IsNumber('_') || unicode::IsNumber(0x20DD));
  EXPECT_TRUE(unicode::IsPunctuation('_') && unicode::IsPunctuation('!'));
  EXPECT_FALSE(unicode::IsPunctuation('+') || unicode::IsPunctuation(0xB2));
  EXPECT_TRUE(unicode::IsLetter('a') && unicode::IsLetter(0x65E5) && !unicode::IsLetter(0x0300));
}

TEST(Unicode, LowerCase) { EXPECT_EQ(unicode::LowerCase("AÉΣ\u0130"), "aéσi\u0307"); }

// Encodes and decodes every character below U+11000, and every 61st character above.
TEST(Utf8, EveryCharacter) {
  for (char32_t c = 0; c <= 0x10FFFF; c += c < 0x11000 ? 1 : 61) {
    if (c >= 0xD800 && c < 0xE000) continue;
    std::string text;
    utf8::Append(c, &text);
    ASSERT_EQ(text.size(), c < 0x80 ? 1u : c < 0x800 ? 2u : c < 0x10000 ? 3u : 4u);
    size_t at = 0, end = text.size();
    ASSERT_EQ(utf8::Next(text, &at), c);
    ASSERT_EQ(at, text.size());
    ASSERT_EQ(utf8::Previous(text, &end), c);
    ASSERT_EQ(end, 0u);
    ASSERT_EQ(utf8::ValidPrefix(text), text.size());
    ASSERT_TRUE(utf8::IsOneCharacter(text));
    ASSERT_FALSE(utf8::IsOneCharacter(text + "a"));
    ASSERT_EQ(utf8::ValidPrefix(text.substr(0, text.size() - 1)), 0u);
  }
  EXPECT_FALSE(utf8::IsOneCharacter(""));
}

// The borders of table 3-7 of the Unicode Standard.
TEST(Utf8, BordersOfWhatIsWellFormed) {
  for (const char* valid :
       {"\xC2\x80", "\xDF\xBF", "\xE0\xA0\x80", "\xE1\x80\x80", "\xED\x9F\xBF", "\xEE\x80\x80",
        "\xEF\xBF\xBF", "\xF0\x90\x80\x80", "\xF1\x80\x80\x80", "\xF4\x8F\xBF\xBF"})
    EXPECT_EQ(utf8::ValidPrefix(valid), std::string_view(valid).size());
  for (const char* wrong : {"\x80", "\xC1\xBF", "\xC2\x7F", "\xC2\xC0", "\xE0\x9F\xBF",
                            "\xED\xA0\x80", "\xE1\x80\x7F", "\xE1\x80\xC0", "\xF0\x8F\xBF\xBF",
                            "\xF4\x90\x80\x80", "\xF5\x80\x80\x80", "\xF1\x80\x80\xC0", "\xFF"})
    EXPECT_EQ(utf8::ValidPrefix(wrong), 0u);
  // One U+FFFD replaces each maximal part of an ill-formed sequence.
  const auto drained = [](std::string text) {
    std::string out;
    utf8::DrainLossy(&text, true, &out);
    return out;
  };
  EXPECT_EQ(drained("\xE0\x9F\xBF"), "\uFFFD\uFFFD\uFFFD");
  EXPECT_EQ(drained("\xE1\x80\x7F"), "\uFFFD\x7F");
  EXPECT_EQ(drained("\xF1\x80\x80\xC0"), "\uFFFD\uFFFD");
  for (size_t before = 0; before < 20; ++before)  // ValidPrefix checks eight bytes at once
    EXPECT_EQ(utf8::ValidPrefix(std::string(before, 'a') + "é\x80"), before + 2);
}

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
