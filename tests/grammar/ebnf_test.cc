// Grammars in EBNF.
#include "grammar/rules/ebnf.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "tests/grammar/grammar.h"

namespace merope {
namespace {

struct Case {
  std::string grammar;
  std::vector<std::string> yes, no;
};

TEST(Ebnf, DescribesTexts) {
  TestGrammars grammars;
  const Case cases[] = {
      {"root ::= \"a\" \"b\" | \"c\"", {"ab", "c"}, {"a", "abc"}},
      {"root ::= \"a\"* \"b\"+ \"c\"?", {"b", "aabbc"}, {"a", "acc"}},
      {"root ::= [a-c]{2} [^a-c\\n]{1,2}", {"abx", "cc-é"}, {"abc", "ab", "ab\n"}},
      {"root ::= (\"a\" | \"b\" (\"c\" | \"d\")){2,3}", {"aa", "bcbda"}, {"a", "bb", "aaaa"}},
      {"root ::= \"a\"{2,}", {"aa", "aaaaa"}, {"a"}},
      {"root ::= . .", {"éa"}, {"a\n", "a"}},
      {"# a comment\nroot ::= item (\",\" item)* # more\n\nitem ::= [0-9]+ | nested\n"
       "nested ::= \"(\" root \")\"\n# the end",
       {"1,22,(3,(4))", "(1)"},
       {"()", "1,", "(1"}},
      {"root ::= \"\\\"\\\\\\n\\x41\\u00e9\\U0001F600\" \"é\"", {"\"\\\nAé😀é"}, {}},
      {"root ::= [\\]\\-\\\\^\"] [a\\-z] [-a]", {"]a-", "-z-", "^-a", "\"-a"}, {"bab"}},
      {"root ::= \"\" | \"a\" root", {"", "aaa"}, {"b"}},
      {"root ::= root \"a\" | \"b\"", {"b", "baaa"}, {"a", ""}},
      {"root ::= (\"a\"*)* \"b\"", {"b", "aab"}, {"a"}},
      {"root ::= one.two-3\none.two-3 ::= \"x\"", {"x"}, {}},
      {"root ::=\n  \"a\"\n  | \"b\"", {"a", "b"}, {}},
      {"root ::= dead | \"a\"\ndead ::= \"b\" dead", {"a"}, {"b"}},
  };
  for (const Case& one : cases) {
    const auto grammar = grammars.Must({.grammar = one.grammar});
    ASSERT_TRUE(grammar) << one.grammar;
    for (const std::string& text : one.yes) {
      EXPECT_TRUE(grammars.Accepts(grammar, text)) << one.grammar << "\n" << text;
    }
    for (const std::string& text : one.no) {
      EXPECT_FALSE(grammars.Accepts(grammar, text)) << one.grammar << "\n" << text;
    }
  }
}

// The grammar accepts the texts of balanced brackets and no other text. The test counts brackets.
TEST(Ebnf, RecursionCounts) {
  TestGrammars grammars({"((", "))", "()", ")(", "(()"});
  const auto grammar = grammars.Must({.grammar = "root ::= (\"(\" root \")\")*"});
  for (int bits = 0; bits < 1 << 10; ++bits) {
    std::string text;
    int depth = 0;
    bool balanced = true;
    for (int i = 0; i < 10; ++i) {
      text.push_back((bits >> i & 1) != 0 ? '(' : ')');
      depth += text.back() == '(' ? 1 : -1;
      balanced = balanced && depth >= 0;
    }
    EXPECT_EQ(grammars.Accepts(grammar, text), balanced && depth == 0) << text;
  }
  for (const char* after : {"", "(", "(()", "()(("})
    grammars.ExpectMaskAgreesWithBytes(grammar, after);
}

TEST(Ebnf, ErrorsNameTheLine) {
  TestGrammars grammars;
  const std::pair<const char*, const char*> cases[] = {
      {"", "grammar: expected a rule named root, found none"},
      {"a ::= \"b\"", "grammar: expected a rule named root, found none"},
      {"root ::= a", "grammar: \"a\" is not defined"},
      {"root ::= \"a\"\n\nroot ::= \"b\"", "grammar: line 3: \"root\" is defined twice"},
      {"root = \"a\"", "grammar: line 1: expected ::= after \"root\""},
      {"root ::= \"a", "grammar: line 1: a text without end"},
      {"root ::= [a", "grammar: line 1: a character class without end"},
      {"root ::= []", "grammar: line 1: a character class without characters"},
      {"root ::= [b-a]", "grammar: line 1: a bad range of characters"},
      {"root ::= (\"a\"", "grammar: line 1: a group without end"},
      {"root ::= \"a\" )", "grammar: line 1: expected a rule, found ')'"},
      {"root ::= \"a\"{x}", "grammar: line 1: expected a number of repetitions"},
      {"root ::= \"a\"{3,2}", "grammar: line 1: a repetition of 3 to 2"},
      {"root ::= \"a\"{9999}", "grammar: line 1: a repetition of more than 4096"},
      {"root ::= \"a\" (= \"b\")", "grammar: line 1: a lookahead is not supported"},
      {"root ::= \"\\q\"", "grammar: line 1: escape '\\q' is not supported"},
      {"root ::= \"\\ud800\"", "grammar: line 1: a code that no character has"},
      {"root ::= root", "grammar: nothing can match it"},
      {"root ::= *", "grammar: line 1: unexpected '*'"},
  };
  for (const auto& [grammar, message] : cases) {
    EXPECT_EQ(ErrorOf(grammars.Compile({.grammar = grammar})), message) << grammar;
  }
}

}  // namespace
}  // namespace merope
