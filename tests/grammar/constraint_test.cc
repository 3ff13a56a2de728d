// Structured output: masks, ends of texts, the cache, and grammars that are refused or too large.
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "grammar/grammar_compiler.h"
#include "tests/grammar/grammar.h"

namespace merope {
namespace {

bool Finished(GrammarConstraint& constraint) {
  EXPECT_TRUE(constraint.Prepare(TokenConstraint::kNoLimit));
  return constraint.finished();
}

TEST(Constraint, AChoiceIsOneOfTheTexts) {
  TestGrammars grammars({"yes", "ye", "no", "yesno", "nothing"});
  const auto grammar = grammars.Must({.choice = {{"yes", "no", "été"}}});
  for (const char* text : {"yes", "no", "été"})
    EXPECT_TRUE(grammars.Accepts(grammar, text)) << text;
  for (const char* text : {"", "ye", "yesno", "nothing", "Yes"}) {
    EXPECT_FALSE(grammars.Accepts(grammar, text)) << text;
  }
  grammars.ExpectMaskAgreesWithBytes(grammar, "");
  grammars.ExpectMaskAgreesWithBytes(grammar, "y");
  grammars.ExpectMaskAgreesWithBytes(grammar, "\xC3");
}

TEST(Constraint, EndsWhereTheTextIsWhole) {
  TestGrammars grammars;
  const auto grammar = grammars.Must({.regex = "ab?"});
  GrammarConstraint constraint(grammar);
  EXPECT_FALSE(Finished(constraint));
  const auto byte = [](char c) { return kTestFirstByte + static_cast<int32_t>(c); };
  EXPECT_EQ(grammars.Allowed(constraint), std::vector<int32_t>{byte('a')});
  constraint.Accept(byte('a'));
  EXPECT_FALSE(Finished(constraint));
  EXPECT_EQ(grammars.Allowed(constraint),
            (std::vector<int32_t>{kTestEos, kTestOtherEos, byte('b')}));
  constraint.Accept(byte('b'));
  EXPECT_TRUE(Finished(constraint));
  EXPECT_EQ(grammars.Allowed(constraint), (std::vector<int32_t>{kTestEos, kTestOtherEos}));
  constraint.Accept(kTestOtherEos);
  EXPECT_TRUE(Finished(constraint));
  EXPECT_EQ(grammars.Allowed(constraint), (std::vector<int32_t>{kTestEos, kTestOtherEos}));
}

TEST(Constraint, TheEndMayComeBeforeMore) {
  TestGrammars grammars;
  GrammarConstraint constraint(grammars.Must({.regex = "a*"}));
  constraint.Accept(kTestEos);
  EXPECT_TRUE(Finished(constraint));
}

TEST(Constraint, AModelWithoutAnEndOfTextIsConstrainedToo) {
  const Tokenizer tokenizer = TestTokenizer({});
  GrammarCompiler compiler(tokenizer, tokenizer.vocab_size(), {});
  const auto grammar = compiler.Compile({.choice = {{"a"}}});
  ASSERT_TRUE(grammar) << ErrorOf(grammar);
  GrammarConstraint constraint(*grammar);
  constraint.Accept(kTestFirstByte + 'a');
  EXPECT_TRUE(Finished(constraint));
}

// Prepare may run out of work at any point. A later call with enough work finds the same mask as a
// call without a limit.
TEST(Constraint, PreparesWithinTheWorkItIsGiven) {
  TestGrammars grammars({"ab", "abc", "cab", "bca"});
  const auto grammar = grammars.Must({.grammar = "root ::= \"x\" | root root | [a-z]"});
  GrammarConstraint whole(grammar);
  GrammarConstraint bounded(grammar);
  std::mt19937 random(1);
  int64_t last = 0;
  int stops = 0;
  for (int step = 0; step < 25; ++step) {
    const std::vector<int32_t> allowed = grammars.Allowed(whole);
    for (int64_t work = 1; !bounded.Prepare(work); work *= 2) {
      EXPECT_FALSE(bounded.prepared());
      ++stops;
    }
    EXPECT_TRUE(std::ranges::equal(bounded.mask(), whole.mask())) << step;
    EXPECT_EQ(bounded.finished(), whole.finished());
    EXPECT_GE(whole.work(), last);
    last = whole.work();
    const int32_t token = allowed[random() % allowed.size()];
    whole.Accept(token);
    bounded.Accept(token);
  }
  EXPECT_GT(stops, 25);
  EXPECT_GT(bounded.work(), whole.work());
}

// Each token takes more work than the token before. The work for the whole text is cubic.
TEST(Constraint, AnAmbiguousGrammarGoesBeyondAnyBound) {
  TestGrammars grammars;
  GrammarConstraint constraint(grammars.Must({.grammar = "root ::= \"\" | root root | [a-z]"}));
  int tokens = 0;
  while (tokens < 1000 && constraint.Prepare(1'000'000)) {
    constraint.Accept(kTestFirstByte + 'a');
    ++tokens;
  }
  EXPECT_GT(tokens, 5);
  EXPECT_LT(tokens, 1000);
}

TEST(Constraint, MasksAgreeWithBytes) {
  TestGrammars grammars({"{\"",      "\":",  "\": ",  "\",",   "\"}",       "\", \"", "12",
                         "3,",       "true", "ab",    "abc\"", "a\": 1}",   "  ",     "\n  ",
                         "}\n",      "[1,",  "null]", "\\n",   "\\u00",     "é",      "日本",
                         "\xE6\x97", "-1",   "1.5",   "e+",    "abcabcabc", "\\\"",   "\xF0\x9F"});
  const auto schema = grammars.Must({.json = R"({"type":"object","properties":{
          "abc":{"type":"string","maxLength":5},
          "n":{"type":"integer","minimum":-12,"maximum":123},
          "list":{"type":"array","items":{"type":["number","null","boolean"]},"maxItems":3},
          "text":{"type":"string"}},"required":["abc"]})"});
  for (const char* after :
       {"", "{", "{\"abc\": ", "{\"abc\":\"", "{\"abc\":\"ab", "{\"abc\":\"abcab", "{\"abc\":\"\\",
        "{\"abc\":\"a\",", "{\"abc\":\"a\",\n  \"n\":", "{\"abc\":\"a\",\"n\":12",
        "{\"abc\":\"a\",\"list\":[1, ", "{\"abc\":\"a\",\"text\":\"\\u",
        "{\"abc\":\"a\",\"text\":\"\xE6", "{\"abc\":\"a\" ", "{\"abc\":\"a\"}"}) {
    grammars.ExpectMaskAgreesWithBytes(schema, after);
  }
  const auto regex = grammars.Must({.regex = "(abc){2,3}|[a-c]+\"|.{2,4}"});
  for (const char* after : {"", "a", "ab", "abca", "abcabc", "é", "日\xE6"}) {
    grammars.ExpectMaskAgreesWithBytes(regex, after);
  }
  const auto grammar = grammars.Must({.grammar = "root ::= \"(\" (root | [a-c]+)* \")\""});
  for (const char* after : {"", "(", "((abc", "(()"}) {
    grammars.ExpectMaskAgreesWithBytes(grammar, after);
  }
  const auto object = grammars.Must({.json_object = true});
  for (const char* after : {"", "{", "{\"abc\":[1,{\"a", "{\"a\":1"}) {
    grammars.ExpectMaskAgreesWithBytes(object, after);
  }
}

TEST(Constraint, TextsAreUtf8) {
  TestGrammars grammars;
  for (const StructuredOutputs& outputs :
       {StructuredOutputs{.regex = "[^a]*"}, StructuredOutputs{.grammar = "root ::= [^a]*"}}) {
    const auto grammar = grammars.Must(outputs);
    for (const char* text : {"b\n", "\x7F", "\u0080", "\u07FF", "\u0800", "\uD7FF", "\uE000",
                             "\uFFFF", "\U00010000", "\U0010FFFF"}) {
      EXPECT_TRUE(grammars.Accepts(grammar, text)) << text;
    }
    for (const char* text :
         {"\x80", "\xC0\x80", "\xC1\xBF", "\xE0\x80\x80", "\xE0\x9F\xBF", "\xED\xA0\x80",
          "\xF0\x80\x80\x80", "\xF4\x90\x80\x80", "\xF5", "\xFF"}) {
      EXPECT_FALSE(grammars.Accepts(grammar, text)) << testing::PrintToString(std::string(text));
    }
  }
}

TEST(Constraint, ExactlyOneIsAskedFor) {
  TestGrammars grammars;
  EXPECT_EQ(
      ErrorOf(grammars.Compile({})),
      "structured_outputs: expected one of json, regex, choice, grammar and json_object, found 0");
  EXPECT_EQ(
      ErrorOf(grammars.Compile({.regex = "a", .json_object = true})),
      "structured_outputs: expected one of json, regex, choice, grammar and json_object, found 2");
  EXPECT_EQ(ErrorOf(grammars.Compile({.structural_tag = "{}"})),
            "structured_outputs: structural_tag is not supported");
  EXPECT_EQ(ErrorOf(grammars.Compile({.choice = std::vector<std::string>{}})),
            "choice: expected at least one, found none");
  EXPECT_EQ(ErrorOf(grammars.Compile({.regex = "a\xFF"})), "regex: not UTF-8 at byte 1");
}

TEST(GrammarCompiler, CompilesEachGrammarOnce) {
  TestGrammars grammars;
  const StructuredOutputs outputs = {.regex = "[a-z]{1,20}"};
  std::vector<std::shared_ptr<const Grammar>> found(8);
  std::vector<std::thread> threads;
  for (auto& one : found) {
    threads.emplace_back([&] { one = grammars.Must(outputs); });
  }
  for (std::thread& thread : threads) thread.join();
  for (const auto& one : found) EXPECT_EQ(one, found[0]);
  EXPECT_NE(grammars.Must({.choice = {{"[a-z]{1,20}"}}}), found[0]);
  // Two lists with the same joined text are different grammars.
  EXPECT_NE(grammars.Must({.choice = {{"ab", "c"}}}), grammars.Must({.choice = {{"a", "bc"}}}));
}

TEST(GrammarCompiler, ForgetsTheGrammarsUsedLongestAgo) {
  TestGrammars grammars;
  const StructuredOutputs first = {.choice = {{"first"}}}, second = {.choice = {{"second"}}};
  const std::weak_ptr<const Grammar> kept = grammars.Must(first), forgotten = grammars.Must(second);
  for (int i = 0; i < 300; ++i) {
    grammars.Must({.choice = {{std::to_string(i)}}});
    grammars.Must(first);
  }
  EXPECT_FALSE(kept.expired());
  EXPECT_TRUE(forgotten.expired());
}

// Each grammar is refused or compiled, within seconds and without a crash.
TEST(GrammarCompiler, HostileGrammarsAreBounded) {
  TestGrammars grammars;
  std::string chain = "root ::= r0\n", definitions;
  for (int i = 0; i < 5000; ++i) chain += fmt::format("r{} ::= \"a\" r{} | \"b\"\n", i, i + 1);
  chain += "r5000 ::= \"c\"";
  std::string begins = "root ::= r0\n", doubles = begins,
              options = "root ::= " + Repeated("a? ", 3000);
  for (int i = 0; i < 5000; ++i) begins += fmt::format("r{} ::= r{} | \"b{}\"\n", i, i + 1, i);
  begins += "r5000 ::= \"c\"";
  for (int i = 0; i < 40; ++i) doubles += fmt::format("r{} ::= r{} r{}\n", i, i + 1, i + 1);
  doubles += "r40 ::= \"c\"";
  for (int i = 0; i < 3000; ++i) {
    definitions += fmt::format("\"d{}\":{{\"$ref\":\"#/$defs/d{}\"}},", i, i + 1);
  }
  std::string values = "\"0\"";
  for (int i = 1; i < 30000; ++i) values += fmt::format(",\"{}\"", i);
  std::string properties = "\"p\":{}";
  for (int i = 0; i < 5000; ++i) properties += fmt::format(",\"p{}\":{{\"type\":\"integer\"}}", i);
  const std::pair<const char*, StructuredOutputs> hostile[] = {
      {"counts of counts", {.regex = "((a{1,1000}){1,1000}){1,1000}"}},
      {"a large count", {.regex = "[^x]{100000}"}},
      {"many wide places", {.regex = "(.{0,4000}x){3}"}},
      {"an exponential automaton", {.regex = "(a|b)*a(a|b){30}"}},
      {"many stars", {.regex = Repeated("(a*)*", 2000) + "b"}},
      {"many optional parts", {.regex = Repeated("a?", 3000) + Repeated("a", 3000)}},
      {"deep groups", {.regex = Repeated("(", 50000) + Repeated(")", 50000)}},
      {"many alternatives", {.regex = "(" + Repeated("(a|b|ab)|", 20000) + "c)*"}},
      {"a large text", {.regex = Repeated("abc", 200000)}},
      {"many choices", {.choice = std::vector<std::string>(200000, "abcdef")}},
      {"deep schemas", {.json = Repeated("{\"items\":", 100000)}},
      {"a chain of references",
       {.json = "{\"$ref\":\"#/$defs/d0\",\"$defs\":{" + definitions + "\"d3000\":{}}}"}},
      {"references in a circle",
       {.json =
            R"({"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/b"},"b":{"$ref":"#/$defs/a"}}})"}},
      {"a schema of itself", {.json = R"({"allOf":[{"$ref":"#"}]})"}},
      {"schemas that grow", {.json = R"({"allOf":[{"$ref":"#/$defs/b"}],
          "$defs":{"b":{"properties":{"x":{"allOf":[{"$ref":"#"},{"$ref":"#/$defs/b"}]}}}}})"}},
      {"no finite document",
       {.json = R"({"type":"object","properties":{"a":{"$ref":"#"}},"required":["a"]})"}},
      {"a huge enum", {.json = "{\"enum\":[" + values + "]}"}},
      {"many properties", {.json = "{\"properties\":{" + properties + "}}"}},
      {"long arrays", {.json = R"({"items":{"type":"string"},"minItems":4096})"}},
      {"an array of arrays",
       {.json =
            R"({"items":{"items":{"items":{"maxItems":4000},"maxItems":4000},"maxItems":4000}})"}},
      {"long strings", {.json = R"({"type":"string","maxLength":4000})"}},
      {"counted properties", {.json = R"({"minProperties":4000,"maxProperties":4096})"}},
      {"numbers out of range", {.json = R"({"type":"number","minimum":1e-300,"maximum":1e300})"}},
      {"a long chain of rules", {.grammar = chain}},
      {"rules that begin with each other", {.grammar = begins}},
      {"rules that double", {.grammar = doubles}},
      {"optional parts of a grammar", {.grammar = options + "\na ::= \"x\""}},
      {"left recursion", {.grammar = "root ::= root | root root | \"a\""}},
      {"only itself", {.grammar = "root ::= root"}},
      {"empty loops", {.grammar = "root ::= ((\"\"*)*)* \"a\""}},
      {"deep brackets", {.grammar = "root ::= " + Repeated("(", 100000) + "\"a\""}},
      {"large repetitions", {.grammar = "root ::= a{4000}\na ::= b{4000}\nb ::= [^x]{4000}"}},
  };
  for (const auto& [name, outputs] : hostile) {
    const auto start = std::chrono::steady_clock::now();
    const auto grammar = grammars.Compile(outputs);
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
    // The development machine takes less than a second. Sanitizers and busy machines take several
    // times as long.
    EXPECT_LT(took.count(), 30) << name;
    printf("%-28s %6.3f s  %.100s\n", name, took.count(),
           grammar ? "compiled" : grammar.error().message.c_str());
    if (!grammar) continue;
    GrammarConstraint constraint(*grammar);
    for (int i = 0; i < 200; ++i) {
      const auto allowed = grammars.Allowed(constraint);
      ASSERT_FALSE(allowed.empty()) << name;
      constraint.Accept(allowed.back());
    }
  }
}

TEST(GrammarCompiler, LongRepetitionsAreCounted) {
  TestGrammars grammars({"aa", "aaaaaaa", "a;", "aaa;", "id-a", "-a", "éa"});
  struct Case {
    const char *regex, *begin, *end;
    int min, max;
  };
  const Case cases[] = {
      {"[a-z]{0,1000}", "", "", 0, 1000},
      {"id-[a-z]{0,1000};", "id-", ";", 0, 1000},
      {"([0-9]{3}|[a-é]{200,})!", "", "!", 200, -1},
      {".{130,2000}aaa", "", "aaa", 130, 2000},
      {"(-[a-z]{150,300})*", "-a", "", 149, 299},
  };
  for (const auto& [regex, begin, end, min, max] : cases) {
    const auto grammar = grammars.Must({.regex = regex});
    ASSERT_TRUE(grammar) << regex;
    for (const int at :
         {0, 1, 31, 32, 33, min - 1, min, min + 1, min + 32, max - 1, max, max + 1}) {
      if (at < 0) continue;
      const std::string text = begin + std::string(static_cast<size_t>(at), 'a') + end;
      EXPECT_EQ(grammars.Accepts(grammar, text), at >= min && (max < 0 || at <= max))
          << regex << ": " << at;
    }
  }
  const auto twice = grammars.Must({.regex = "[a-z]{129}-a{129}b{0,500}"});
  const std::string once(129, 'a'), many(500, 'b');
  EXPECT_TRUE(grammars.Accepts(twice, once + "-" + once));
  EXPECT_TRUE(grammars.Accepts(twice, once + "-" + once + many));
  EXPECT_FALSE(grammars.Accepts(twice, once + "-" + once + many + "b"));
  EXPECT_FALSE(grammars.Accepts(twice, once + "a-" + once + many));
}

}  // namespace
}  // namespace merope
