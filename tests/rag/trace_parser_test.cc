#include "rag/trace_parser.h"

#include <gtest/gtest.h>

#include <random>

namespace merope {
namespace {

const std::vector<std::string> kSources = {
    "The Eiffel Tower was completed in 1889 for the World\u2019s Fair. It is 330 metres tall.",
    "Mount Fuji is the highest mountain in Japan.\nIt last erupted in 1707\u20131708."};

CitedAnswer Parse(std::string_view text, std::optional<Section> open = Section::kLanguage,
                  bool cut = false) {
  return ParseTrace(text, QuotedSources(kSources), open, cut);
}
CitedAnswer ParseAnswer(std::string_view text) { return Parse(text, Section::kAnswer); }

// A whole trace in the form that the models' authors publish.
constexpr std::string_view kTrace =
    "English\n<|language_end|>\n\n<|query_analysis_start|>\nAsks for a year.\n"
    "<|query_analysis_end|>\n\n<|query_report_start|>\nAnswerable\n<|query_report_end|>\n\n"
    "<|source_analysis_start|>\n<|source_id|>1 tells it.\n<|source_analysis_end|>\n\n"
    "<|source_report_start|>\nbasic\n<|source_report_end|>\n\n"
    "<|draft_start|>\nIn 1889.<ref name=\"1\">draft</ref>\n<|draft_end|>\n\n<|answer_start|>\n"
    "It was completed in 1889.<ref name=\"<|source_id|>1\">The Eiffel Tower was completed in 1889"
    "</ref> Fuji is higher.<ref name=\"2\">highest mountain in Japan.\nIt last erupted</ref> It is "
    "blue.<ref name=\"1\">The tower is blue as the sky</ref> Really.\n<|answer_end|>";

TEST(TraceParser, ReadsEverySection) {
  const CitedAnswer answer = Parse(kTrace);
  EXPECT_EQ(answer.language, "English");
  EXPECT_EQ(answer.query_analysis, "Asks for a year.");
  EXPECT_EQ(answer.query_report, "Answerable");
  EXPECT_EQ(answer.source_analysis, "<|source_id|>1 tells it.");
  EXPECT_EQ(answer.source_report, "basic");
  EXPECT_EQ(answer.draft, "In 1889.<ref name=\"1\">draft</ref>");
  EXPECT_TRUE(answer.answer.starts_with("It was completed in 1889.<ref name=\"<|source_id|>1\">"));
  EXPECT_EQ(answer.clean_answer,
            "It was completed in 1889.[1] Fuji is higher.[2] It is blue.[unsupported] Really.");
  EXPECT_EQ(answer.state, AnswerState::kAnswered);
  ASSERT_EQ(answer.citations.size(), 2u);
  EXPECT_EQ(answer.citations[0].cited_source, 1);
  EXPECT_EQ(answer.citations[0].cited_text, "The Eiffel Tower was completed in 1889");
  EXPECT_EQ(answer.citations[0].supported_text, "It was completed in 1889.");
  EXPECT_EQ(answer.citations[1].number, 2);
  EXPECT_EQ(answer.citations[1].supported_text, "Fuji is higher.");
  ASSERT_EQ(answer.unsupported.size(), 1u);
  EXPECT_EQ(answer.unsupported[0].number, 0);
  EXPECT_EQ(answer.unsupported[0].grounding.verdict, QuoteVerdict::kAbsent);
  EXPECT_EQ(answer.without_reference, std::vector<std::string>{"Really."});
}

TEST(TraceParser, ATrivialQuestionNeedsNoSource) {
  const CitedAnswer answer = Parse(
      "English\n<|language_end|>\n\n<|query_report_start|>\nTrivial\n<|query_report_end|>\n\n"
      "<|answer_start|>\nHello!\n<|answer_end|>");
  EXPECT_EQ(answer.state, AnswerState::kTrivial);
  EXPECT_EQ(answer.answer, "Hello!");
}

TEST(TraceParser, ReadsOccRag) {
  const CitedAnswer answer = Parse(
      "Find it.<|query_analysis_end|>\n<|source_analysis_start|>None.<|source_analysis_end|>"
      "<|reasoning_start|>So no.<|reasoning_end|><|status_start|>UNANSWERABLE<|status_end|>"
      "<|answer_start|>Not enough information<|answer_end|>",
      Section::kQueryAnalysis);
  EXPECT_EQ(answer.query_analysis, "Find it.");
  EXPECT_EQ(answer.reasoning, "So no.");
  EXPECT_EQ(answer.status, "UNANSWERABLE");
  EXPECT_EQ(answer.state, AnswerState::kInfeasible);
}

TEST(TraceParser, TellsTheStates) {
  const auto state = [](std::string_view reports, std::string_view answer, bool cut = false) {
    const std::string text = std::string(reports) + "<|answer_start|>" + std::string(answer) +
                             (cut ? "" : "<|answer_end|>");
    return AnswerStateName(Parse(text, Section::kLanguage, cut).state);
  };
  const std::string good = "Yes.<ref name=\"2\">Mount Fuji is the highest</ref>";
  EXPECT_EQ(state("", good), "answered");
  EXPECT_EQ(state("", "Yes."), "no_citation");
  EXPECT_EQ(state("", "Yes.<ref name=\"1\">Mount Etna is the highest</ref>"), "unsupported");
  EXPECT_EQ(state("", good, true), "truncated");
  EXPECT_EQ(state("<|query_report_start|>Refused<|query_report_end|>", "No."), "refused");
  EXPECT_EQ(state("<|query_report_start|>unclear query<|query_report_end|>", "No."), "refused");
  EXPECT_EQ(state("<|query_report_start|>Reformulation<|query_report_end|>", "?"), "reformulated");
  EXPECT_EQ(state("<|source_report_start|>Infeasible<|source_report_end|>", good), "infeasible");
}

// The official library loses an answer that max_tokens cuts.
TEST(TraceParser, ASectionThatIsCutIsKept) {
  const std::string_view text = kTrace.substr(0, kTrace.find(" Fuji is higher"));
  const CitedAnswer answer = Parse(text, Section::kLanguage, true);
  EXPECT_EQ(answer.clean_answer, "It was completed in 1889.[1]");
  EXPECT_EQ(answer.state, AnswerState::kTruncated);
  const CitedAnswer inside = ParseAnswer("Yes.<ref name=\"2\">Mount Fuji is the hi");
  EXPECT_EQ(inside.clean_answer, "Yes.[unsupported]");
  ASSERT_EQ(inside.unsupported.size(), 1u);
  EXPECT_EQ(inside.unsupported[0].grounding.verdict, QuoteVerdict::kCut);
  EXPECT_EQ(inside.unsupported[0].quote, "Mount Fuji is the hi");
}

TEST(TraceParser, OddReferencesAreNeverCitations) {
  const auto clean = [](std::string_view text) { return ParseAnswer(text).clean_answer; };
  const std::string quote = "Mount Fuji is the highest mountain</ref>";
  EXPECT_EQ(clean("A <ref>" + quote), "A [unsupported]");
  EXPECT_EQ(clean("A <ref name=2>" + quote), "A [unsupported]");
  EXPECT_EQ(clean("A <ref name=\"two\">" + quote), "A [unsupported]");
  EXPECT_EQ(clean("A <ref name=\"-2\">" + quote), "A [unsupported]");
  EXPECT_EQ(clean("A <ref name=\"99999999999999999999\">" + quote), "A [unsupported]");
  EXPECT_EQ(clean("A <ref name=\"" + std::string(200, '2') + "\">" + quote), "A [unsupported]");
  EXPECT_EQ(clean("A <ref name=\"2\">Mount Fuji <ref name=\"2\">" + quote), "A [unsupported][1]");
  EXPECT_EQ(clean("A </ref> b"), "A  b");
  EXPECT_EQ(clean("A <reference> <b> < 3 </p>"), "A <reference> <b> < 3 </p>");
  EXPECT_EQ(clean("A <ref"), "A <ref");
}

TEST(TraceParser, SupportedTextIsTheSentenceBefore) {
  const auto supported = [](const std::string& before) {
    return ParseAnswer(before + "<ref name=\"9\">x</ref>").unsupported.at(0).supported_text;
  };
  EXPECT_EQ(supported("One. Two is it"), "Two is it");
  EXPECT_EQ(supported("One. Two is it. "), "Two is it.");
  EXPECT_EQ(supported("Line\nnext"), "next");
  EXPECT_EQ(supported("第一。第二"), "第二");
  EXPECT_EQ(supported(""), "");
  EXPECT_EQ(supported(std::string(200, 'a')), std::string(150, 'a'));
}

// "Raw text": nothing is taken for a citation.
TEST(TraceParser, WithoutReferencesTheAnswerIsRawText) {
  const QuotedSources sources(kSources);
  TraceParser parser(sources, {.open = Section::kAnswer, .references = false});
  parser.Text("A <ref name=\"2\">Mount Fuji is the highest</ref>");
  parser.Finish(false);
  EXPECT_EQ(parser.answer().clean_answer, "A <ref name=\"2\">Mount Fuji is the highest</ref>");
  EXPECT_TRUE(parser.answer().citations.empty());
}

// A document or a model that spells a token forges nothing where tokens are ids.
TEST(TraceParser, TextIsNoTokenWhereTokensAreIds) {
  const QuotedSources sources(kSources);
  TraceParser parser(sources, {.open = Section::kAnswer});
  parser.Text("A <|answer_end|><|language_start|>b");
  parser.Finish(false);
  EXPECT_EQ(parser.answer().answer, "A <|answer_end|><|language_start|>b");
  EXPECT_EQ(parser.answer().language, "");
}

std::string Joined(const CitedAnswer& answer) {
  std::string all;
  for (const std::string& part :
       {answer.language, answer.query_analysis, answer.query_report, answer.source_analysis,
        answer.source_report, answer.draft, answer.reasoning, answer.status, answer.answer,
        answer.clean_answer, std::string(AnswerStateName(answer.state))})
    all += part + "\x1f";
  for (const auto* list : {&answer.citations, &answer.unsupported})
    for (const Citation& one : *list)
      all += std::to_string(one.number) + "|" + std::to_string(one.cited_source) + "|" + one.quote +
             "|" + one.cited_text + "|" + one.supported_text + "|" +
             std::string(QuoteVerdictName(one.grounding.verdict)) + "\x1f";
  for (const std::string& sentence : answer.without_reference) all += sentence + "\x1f";
  return all;
}

std::string RandomTrace(std::mt19937_64& random) {
  static const std::vector<std::string> pieces = {"The Eiffel Tower was completed in 1889",
                                                  "It is 330 metres tall.",
                                                  "<ref name=\"1\">",
                                                  "<ref name=\"<|source_id|>2\">",
                                                  "<ref name=\"7\">",
                                                  "</ref>",
                                                  "Mount Fuji is the highest",
                                                  " ",
                                                  "\n",
                                                  ". ",
                                                  "é",
                                                  "第一。",
                                                  "<",
                                                  "<r",
                                                  "<re",
                                                  "</",
                                                  "(…)",
                                                  "<|",
                                                  "<|answer",
                                                  "<ref ",
                                                  "<|language_end|>",
                                                  "<|query_report_start|>",
                                                  "Trivial",
                                                  "<|query_report_end|>",
                                                  "<|answer_start|>",
                                                  "<|answer_end|>",
                                                  "<|draft_start|>",
                                                  "<|draft_end|>",
                                                  "<|source_id|>1"};
  std::string text;
  for (uint64_t i = random() % 40; i-- > 0;) text += pieces[random() % pieces.size()];
  return text;
}

// Every split of a trace gives the result of the whole, and the events add up to it.
TEST(TraceParser, PiecesAddUp) {
  std::mt19937_64 random(1);
  const QuotedSources sources(kSources);
  for (int trace = 0; trace < 200; ++trace) {
    const std::string text = trace == 0 ? std::string(kTrace) : RandomTrace(random);
    for (size_t length = 0; length <= text.size(); ++length) {
      const std::string_view part = std::string_view(text).substr(0, length);
      const std::string whole = Joined(ParseTrace(part, sources, Section::kLanguage, true));
      TraceParser parser(sources, {.open = Section::kLanguage, .tokens_in_text = true});
      for (size_t at = 0; at < part.size();) {
        const size_t n = 1 + random() % 7;
        parser.Text(part.substr(at, n));
        at += n;
      }
      parser.Finish(true);
      ASSERT_EQ(Joined(parser.answer()), whole) << part;

      CitedAnswer streamed;
      size_t citations = 0;
      for (const TraceEvent& event : parser.Take()) {
        if (event.kind == TraceEvent::Kind::kText)
          (event.section == Section::kAnswer ? streamed.clean_answer
                                             : streamed.section(event.section)) += event.text;
        citations += event.kind == TraceEvent::Kind::kCitation && event.citation.number > 0;
      }
      CitedAnswer wanted = parser.answer();
      EXPECT_EQ(citations, wanted.citations.size());
      for (Citation& one : wanted.citations)
        EXPECT_TRUE(kSources[static_cast<size_t>(one.grounding.source - 1)].contains(
            one.cited_text.substr(0, one.cited_text.find(" (…) "))));
      EXPECT_EQ(streamed.clean_answer, wanted.clean_answer);
      EXPECT_EQ(streamed.language, wanted.language);
      EXPECT_EQ(streamed.draft, wanted.draft);
      EXPECT_EQ(streamed.query_report, wanted.query_report);
    }
  }
}

}  // namespace
}  // namespace merope
