// Regular expressions: the texts that match, and the expressions that are refused.
#include "grammar/rules/regex.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/support/expect.h"

namespace merope {
namespace {

struct Case {
  std::string regex;
  std::vector<std::string> yes, no;
};

TEST(Regex, MatchesWholeTexts) {
  const Case cases[] = {
      {"", {""}, {"a"}},
      {"abc", {"abc"}, {"", "ab", "abcd", "ABC"}},
      {"a|bc|", {"a", "bc", ""}, {"abc", "b"}},
      {"a*b+c?", {"b", "aabbc", "abc"}, {"", "a", "ac", "abcc"}},
      {"(ab){2,3}", {"abab", "ababab"}, {"ab", "abababab"}},
      {"a{2}", {"aa"}, {"a", "aaa"}},
      {"a{2,}", {"aa", "aaaaa"}, {"a"}},
      {"a{,2}", {"", "a", "aa"}, {"aaa"}},
      {"a{0}b", {"b"}, {"ab"}},
      {"a{x}{", {"a{x}{"}, {"a"}},
      {"{a}", {"{a}"}, {}},
      {"(?:a|b)(?P<name>c)", {"ac", "bc"}, {"c"}},
      {"a(?#comment)b", {"ab"}, {}},
      {"a*?b+?c??d{1,2}?", {"bd", "aabbcdd"}, {"ad"}},
      {"^abc$", {"abc"}, {"abcd"}},
      {"^a|b$", {"a", "b"}, {"ab"}},
      {"(^a|b)c$", {"ac", "bc"}, {"c"}},
      {"\\Aab\\Z", {"ab"}, {}},
      {"a.c", {"abc", "aéc", "a😀c", "a\rc"}, {"a\nc", "ac"}},
      {"(?s)a.c", {"a\nc"}, {}},
      {"(?s:.)a.", {"\nab"}, {"\na\n"}},
      {"(?i)aB[c-e]", {"abC", "ABe", "AbD"}, {"abf"}},
      {"(?i)[^k]", {"x", "j"}, {"k", "K", "\u212A"}},
      {"[abc]", {"a", "c"}, {"d", ""}},
      {"[^abc]", {"d", "é", "\n"}, {"a", ""}},
      {"[a-c1-3]+", {"a1b2"}, {"d", "4"}},
      {"[]a]+", {"]a"}, {"b"}},
      {"[^]a]", {"b"}, {"]", "a"}},
      {"[a\\-z]", {"-", "a", "z"}, {"b"}},
      {"[a-]", {"-", "a"}, {"b"}},
      {"[\\]\\\\^]", {"]", "\\", "^"}, {"a"}},
      {"[é-ü]", {"é", "ö"}, {"a", "z"}},
      {"\\d+", {"0", "123"}, {"a", ""}},
      {"\\D", {"a", "é", "-"}, {"1", "\u0661"}},
      {"\\w+", {"aZ_9", "été", "日本", "Привет"}, {"-", " ", "“"}},
      {"\\W+", {"-. ", "“€→"}, {"a", "é", "_", "\u0300", "\u0661"}},
      {"\\s", {" ", "\t", "\n", "\u00A0", "\u3000"}, {"a"}},
      {"\\S", {"a", "é"}, {" ", "\u00A0", "\u0085", "\u3000"}},
      {"[\\w.-]+", {"a.b-c"}, {"@"}},
      {"[^\\w]", {"-"}, {"a", "é"}},
      {"[^\\s\\d]+", {"ab"}, {" ", "1"}},
      {"(?a)\\w\\W", {"aé"}, {"éa"}},
      {"\\x41\\u00e9\\U0001F600\\n\\t\\\\\\.\\/\\\"", {"Aé😀\n\t\\./\""}, {}},
      {"[\\b\\x41-\\x43]", {"\b", "B"}, {"D"}},
      {"(((a)))", {"a"}, {}},
      {"(a|b)*abb", {"abb", "babaabb"}, {"ab"}},
      {"(a?){3}a{3}", {"aaa", "aaaaaa"}, {"aa", "aaaaaaa"}},
  };
  for (const Case& one : cases) {
    Regular regular;
    const auto language = ParseRegex(one.regex, &regular);
    ASSERT_TRUE(language) << one.regex << ": " << ErrorOf(language);
    for (const std::string& text : one.yes) {
      EXPECT_TRUE(regular.Holds(*language, text)) << one.regex << " : " << text;
    }
    for (const std::string& text : one.no) {
      EXPECT_FALSE(regular.Holds(*language, text)) << one.regex << " : " << text;
    }
  }
}

TEST(Regex, ASearchFindsAMatchAnywhere) {
  const Case cases[] = {
      {"b", {"b", "abc"}, {"", "ac"}},
      {"^b", {"b", "bc"}, {"ab"}},
      {"b$", {"b", "ab"}, {"bc"}},
      {"^b$", {"b"}, {"ab", "bc"}},
      {"^a|b$", {"ax", "xb"}, {"xax"}},
      {"^(?:a|b)+$", {"ab"}, {"abc"}},
      {"\\d", {"a1"}, {"\u0661"}},
      {"^\\w+$", {"a_1"}, {"é", ""}},
      {"^(?<name>a)$", {"a"}, {}},
      {"^.$", {"a"}, {"\n", "\r", "\u2028"}},
      {"", {"", "x"}, {}},
  };
  for (const Case& one : cases) {
    Regular regular;
    const auto language = ParseSearchRegex(one.regex, &regular);
    ASSERT_TRUE(language) << one.regex << ": " << ErrorOf(language);
    for (const std::string& text : one.yes) {
      EXPECT_TRUE(regular.Holds(*language, text)) << one.regex << " : " << text;
    }
    for (const std::string& text : one.no) {
      EXPECT_FALSE(regular.Holds(*language, text)) << one.regex << " : " << text;
    }
  }
}

TEST(Regex, WhatIsNotSupportedIsRefusedByName) {
  const std::pair<const char*, const char*> cases[] = {
      {"a(?=b)", "at 3: a lookahead is not supported"},
      {"a(?!b)", "at 3: a lookahead is not supported"},
      {"(?<=a)b", "at 2: a lookbehind is not supported"},
      {"(?<!a)b", "at 2: a lookbehind is not supported"},
      {"(a)\\1", "at 3: a backreference is not supported"},
      {"(?P<x>a)(?P=x)", "at 10: a backreference is not supported"},
      {"(a)?(?(1)b|c)", "at 6: a conditional group is not supported"},
      {"(?>a)", "at 2: an atomic group is not supported"},
      {"a*+", "at 2: a possessive quantifier is not supported"},
      {"\\bword", "at 0: a word boundary is not supported"},
      {"a\\B", "at 1: a word boundary is not supported"},
      {"\\p{L}", "at 0: escape '\\p' is not supported"},
      {"\\012", "at 0: an octal escape is not supported"},
      {"(?m)a", "at 2: flag 'm': expected a, i, s or u"},
      {"(?x) a", "at 2: flag 'x': expected a, i, s or u"},
      {"a(?i)b", "at 5: flags are supported only at the beginning"},
      {"a^b", "at 1: '^' is supported only at the beginning"},
      {"a$b", "at 2: '$' is supported only at the end"},
      {"(a$|b)c", "at 6: '$' is supported only at the end"},
      {"(^a)*", "at 5: a repeated '^' or '$' is not supported"},
      {"*a", "at 0: nothing to repeat"},
      {"a**", "at 2: a quantifier after a quantifier"},
      {"(a", "at 2: a group without end, from 0"},
      {"a)", "at 1: unbalanced ')'"},
      {"[a", "at 2: a character class without end"},
      {"[z-a]", "at 4: a bad range of characters"},
      {"[\\d-z]", "at 5: a bad range of characters"},
      {"a\\", "at 1: a backslash at the end"},
      {"\\xG0", "at 2: expected a hexadecimal digit"},
      {"a{3,2}", "at 6: a repetition of 3 to 2"},
      {"a{5000}", "at 7: a repetition of more than 4096"},
  };
  for (const auto& [regex, message] : cases) {
    Regular regular;
    EXPECT_EQ(ErrorOf(ParseRegex(regex, &regular)), message) << regex;
  }
}

TEST(Regular, LanguagesAreIntersectedAndComplemented) {
  Regular regular;
  const auto parse = [&](const char* regex) { return *ParseRegex(regex, &regular); };
  const auto both = regular.Both(parse("[a-c]*"), regular.Not(parse(".*ab.*")));
  EXPECT_TRUE(regular.Holds(both, "bacca"));
  EXPECT_FALSE(regular.Holds(both, "cab"));
  EXPECT_FALSE(regular.Holds(both, "d"));
  EXPECT_TRUE(*regular.HasText(both));
  EXPECT_FALSE(*regular.HasText(regular.Both(parse("a+"), parse("b+"))));
  EXPECT_FALSE(*regular.HasText(regular.Both(parse("(aa)+"), parse("a(aa)*"))));
  // Steps gives only steps that lead to a text. After 'a', a 'b' leads to no text.
  const auto dead = regular.Either({regular.Join(parse("ab"), Regular::kNothing), parse("ac")});
  const auto steps = regular.Steps(regular.Steps(dead)->front().next);
  ASSERT_EQ(steps->size(), 1u);
  EXPECT_EQ(steps->front().set, CharSet::One('c'));
}

TEST(Regular, ATextHasOneTerm) {
  Regular regular;
  const auto a = regular.Text("a"), b = regular.Text("b");
  EXPECT_EQ(regular.Set(CharSet()), Regular::kNothing);
  EXPECT_EQ(regular.Text(""), Regular::kEmpty);
  EXPECT_EQ(regular.Join(a, Regular::kNothing), Regular::kNothing);
  EXPECT_EQ(regular.Join(Regular::kEmpty, a), a);
  EXPECT_EQ(regular.Join(regular.Join(a, b), a), regular.Join(a, regular.Join(b, a)));
  EXPECT_EQ(regular.Either({a, b, a}), regular.Either({b, a}));
  EXPECT_EQ(regular.Either({a, Regular::kNothing}), a);
  EXPECT_EQ(regular.Repeat(a, 1, 1), a);
  EXPECT_EQ(regular.Repeat(a, 3, 0), Regular::kEmpty);
  EXPECT_EQ(regular.Repeat(Regular::kNothing, 0, 5), Regular::kEmpty);
  EXPECT_EQ(regular.Repeat(Regular::kNothing, 1, 5), Regular::kNothing);
}

TEST(Regular, WhatBeginsWithACount) {
  Regular regular;
  const auto parse = [&](const char* regex) { return *ParseRegex(regex, &regular); };
  const auto alone = regular.BeginsCounted(parse("[ab]{2,9}"));
  ASSERT_TRUE(alone);
  EXPECT_EQ(alone->set, CharSet({{'a', 'b'}}));
  EXPECT_EQ(std::pair(alone->min, alone->max), std::pair(int64_t{2}, int64_t{9}));
  EXPECT_EQ(alone->after, Regular::kEmpty);
  const auto before = regular.BeginsCounted(parse("x{3,}yz"));
  ASSERT_TRUE(before);
  EXPECT_EQ(before->max, Regular::kUnbounded);
  EXPECT_EQ(before->after, regular.Text("yz"));
  for (const char* none : {"", "a", "ab{3}", "(ab){3}", "a{3}|b"})
    EXPECT_FALSE(regular.BeginsCounted(parse(none))) << none;
}

TEST(Regular, MultiplesAreCounted) {
  Regular regular;
  const auto sevens = regular.Multiple(7);
  for (int number = 0; number < 1000; ++number) {
    EXPECT_EQ(regular.Holds(sevens, std::to_string(number)), number % 7 == 0) << number;
  }
}

TEST(Regular, AnAutomatonThatIsTooLargeIsRefused) {
  Regular regular;
  const auto language = ParseRegex("(a|b)*a(a|b){20}", &regular);
  ASSERT_TRUE(language);
  EXPECT_EQ(ErrorOf(regular.HasText(*language)),
            "too large: its automaton has more than 4096 states");
}

TEST(CharSet, OperationsAgreeWithMembership) {
  const CharSet a({{'a', 'f'}, {'x', 'z'}, {0xD000, 0xE010}}), b({{'c', 'h'}, {'z', 0xD7FF}});
  for (const char32_t c : {U'a', U'c', U'f', U'g', U'h', U'i', U'x', U'z', U'{', char32_t{0xD000},
                           char32_t{0xD7FF}, char32_t{0xD800}, char32_t{0xDFFF}, char32_t{0xE000},
                           char32_t{0xE010}, char32_t{0xE011}, char32_t{0}, char32_t{0x10FFFF}}) {
    const bool is_character = c != 0 && (c < 0xD800 || c > 0xDFFF);
    EXPECT_EQ((a | b).Contains(c), is_character && (a.Contains(c) || b.Contains(c)));
    EXPECT_EQ((a & b).Contains(c), a.Contains(c) && b.Contains(c));
    EXPECT_EQ((a - b).Contains(c), a.Contains(c) && !b.Contains(c));
    EXPECT_EQ(CharSet::All().Contains(c), is_character);
  }
  EXPECT_TRUE(a.ContainsAll(a & b));
  EXPECT_FALSE(a.ContainsAll(b));
}

}  // namespace
}  // namespace merope
