#include "rag/grounding.h"

#include <gtest/gtest.h>

namespace merope {
namespace {

const std::vector<std::string> kSources = {
    "The Eiffel Tower was completed in 1889 for the World\u2019s Fair. It is 330 metres tall.",
    "Mount Fuji is the highest mountain in Japan. It last erupted in 1707\u20131708.", "Yes."};

std::string Verdict(int64_t source, std::string_view quote,
                    const std::vector<std::string>& sources = kSources) {
  return std::string(QuoteVerdictName(QuotedSources(sources).Check(source, quote).verdict));
}

TEST(Grounding, FindsAQuoteByteByByte) {
  const QuotedSources sources(kSources);
  const Grounding found = sources.Check(1, " completed in 1889 ");
  EXPECT_EQ(found.verdict, QuoteVerdict::kExact);
  EXPECT_TRUE(found.shown);
  EXPECT_EQ(found.source, 1);
  ASSERT_EQ(found.pieces.size(), 1u);
  EXPECT_EQ(kSources[0].substr(found.pieces[0].begin, found.pieces[0].end - found.pieces[0].begin),
            "completed in 1889");
  EXPECT_EQ(sources.Text(found), "completed in 1889");
}

TEST(Grounding, ForgivesOnlyTheStatedDifferences) {
  EXPECT_EQ(Verdict(1, "for the World's Fair"), "equivalent");
  EXPECT_EQ(Verdict(1, "\u201Cfor the World\u2019s  Fair\u201D"), "equivalent");
  EXPECT_EQ(Verdict(2, "erupted in 1707-1708"), "equivalent");
  EXPECT_EQ(Verdict(1, "for the Worlds Fair"), "absent") << "an apostrophe inside a word counts";
  EXPECT_EQ(Verdict(1, "the eiffel tower was"), "absent") << "case counts";
  EXPECT_EQ(Verdict(1, "completed in 1888"), "absent") << "digits count";
  EXPECT_EQ(Verdict(1, "is 330 m tall"), "absent");
}

TEST(Grounding, ForgivesCompositionLigaturesAndSoftHyphens) {
  const std::vector<std::string> sources = {
      "A caf\u00E9 in Gen\u00E8ve, of\uFB01ce of soft\u00ADware."};
  EXPECT_EQ(Verdict(1, "A cafe\u0301 in Gene\u0300ve", sources), "equivalent");
  EXPECT_EQ(Verdict(1, "office of software", sources), "equivalent");
  EXPECT_EQ(Verdict(1, "A cafe in Geneve", sources), "absent");
  EXPECT_EQ(Verdict(1, "x\u00B2 of two", {"x2 of two"}), "absent") << "NFKC is not applied";
}

TEST(Grounding, NeverCutsAWordOrANumber) {
  EXPECT_EQ(Verdict(1, "able to fly", {"Penguins are unable to fly."}), "absent");
  EXPECT_EQ(Verdict(1, "000 people came", {"1,000 people came."}), "absent");
  EXPECT_EQ(Verdict(1, "5 degrees at night", {"It was -5 degrees at night."}), "absent");
}

TEST(Grounding, FindsALaterPlaceIfTheFirstCutsAWord) {
  const QuotedSources sources({"unable to go, able to go"});
  const Grounding found = sources.Check(1, "able to go");
  ASSERT_EQ(found.verdict, QuoteVerdict::kExact);
  EXPECT_EQ(found.pieces[0].begin, 14u);
}

TEST(Grounding, ASourceThatDoesNotHaveTheQuote) {
  const Grounding other = QuotedSources(kSources).Check(1, "the highest mountain in Japan");
  EXPECT_EQ(other.verdict, QuoteVerdict::kOtherSource);
  EXPECT_EQ(other.source, 2);
  EXPECT_TRUE(other.shown) << "it stands there exactly";
  const Grounding equivalent = QuotedSources(kSources).Check(1, "erupted in 1707-1708");
  EXPECT_EQ(equivalent.verdict, QuoteVerdict::kOtherSource);
  EXPECT_FALSE(equivalent.shown) << "it does not stand there exactly";
}

// Complaint 6: an answer cites [5] where three sources exist.
TEST(Grounding, ASourceThatDoesNotExist) {
  for (const int64_t source : {int64_t{0}, int64_t{-1}, int64_t{4}, INT64_MAX}) {
    const Grounding found = QuotedSources(kSources).Check(source, "the highest mountain in Japan");
    EXPECT_EQ(found.verdict, QuoteVerdict::kNoSource);
    EXPECT_FALSE(found.shown);
    EXPECT_EQ(found.source, 2) << "the source that has it is named";
  }
  EXPECT_EQ(Verdict(1, "the highest mountain", {}), "no_source");
}

TEST(Grounding, PiecesFollowOneAnother) {
  for (const std::string_view gap : {"(…)", "(...)", "[…]", "[...]"}) {
    const std::string quote = "The Eiffel Tower " + std::string(gap) + " for the World's Fair";
    const QuotedSources sources(kSources);
    const Grounding found = sources.Check(1, quote);
    EXPECT_EQ(found.verdict, QuoteVerdict::kStitched) << gap;
    EXPECT_TRUE(found.shown);
    EXPECT_EQ(sources.Text(found), "The Eiffel Tower (…) for the World\u2019s Fair");
  }
  EXPECT_EQ(Verdict(1, "for the World's Fair (…) The Eiffel Tower"), "absent") << "wrong order";
  EXPECT_EQ(Verdict(1, "The Eiffel Tower (…) Fair"), "absent") << "a piece is too short";
  EXPECT_EQ(Verdict(1, "The Eiffel Tower (…) in Japan it is"), "absent");
  EXPECT_EQ(Verdict(1, "(…) completed in 1889"), "equivalent");
  EXPECT_EQ(Verdict(1, "quoted (…) as it is", {"It was quoted (…) as it is."}), "exact");
}

TEST(Grounding, AShortQuoteIsNone) {
  EXPECT_EQ(Verdict(1, "1889"), "too_short");
  EXPECT_EQ(Verdict(1, ""), "too_short");
  EXPECT_EQ(Verdict(1, "(…)"), "too_short");
  EXPECT_EQ(Verdict(3, "Yes."), "exact") << "it is the whole source";
}

// Complaint 4: the verdicts tell an absent quote from an artefact of extraction.
TEST(Grounding, VerdictsHaveNames) {
  EXPECT_EQ(QuoteVerdictName(QuoteVerdict::kExact), "exact");
  EXPECT_EQ(QuoteVerdictName(QuoteVerdict::kCut), "cut");
}

TEST(Grounding, TakesLinearTime) {
  const std::string text = std::string(200'000, 'a') + " b";
  EXPECT_EQ(Verdict(1, std::string(100'000, 'a') + "b", {text}), "absent");
  EXPECT_EQ(Verdict(1, std::string(200'000, '"'), {std::string(200'000, '"')}), "too_short");
}

}  // namespace
}  // namespace merope
