#include "engine/stop_text.h"

#include <gtest/gtest.h>

#include <random>

namespace merope {
namespace {

// Returns the whole text that StopText gives, and the stop string that ended the text.
std::pair<std::string, std::string> Feed(const std::vector<std::string>& stops,
                                         const std::vector<std::string>& pieces) {
  StopText text(stops);
  std::string all;
  for (const std::string& piece : pieces) all += text.Push(piece);
  all += text.Finish();
  return {all, text.stopped_by().value_or("")};
}

using Outcome = std::pair<std::string, std::string>;

TEST(StopTextTest, EndsBeforeTheStopString) {
  EXPECT_EQ(Feed({"END"}, {"abcEN", "Dxyz", "more"}), (Outcome{"abc", "END"}));
  EXPECT_EQ(Feed({"END"}, {"ENEN", "D"}), (Outcome{"EN", "END"}));
  EXPECT_EQ(Feed({"END"}, {"abc EN"}), (Outcome{"abc EN", ""}));
  EXPECT_EQ(Feed({}, {"abc"}), (Outcome{"abc", ""}));
}

TEST(StopTextTest, HoldsBackOnlyWhatMayBeginOne) {
  const std::vector<std::string> stops = {"\nUser:", "###"};
  StopText text(stops);
  EXPECT_EQ(text.Push("hello"), "hello");
  EXPECT_EQ(text.Push("\nUs"), "");
  EXPECT_EQ(text.Push("e it"), "\nUse it");
  EXPECT_EQ(text.Push(" a#"), " a");
  EXPECT_EQ(text.Push("#b"), "##b");
}

TEST(StopTextTest, TheFirstToBeCompleteCounts) {
  EXPECT_EQ(Feed({"abc", "b"}, {"xabc"}), (Outcome{"xa", "b"}));
  EXPECT_EQ(Feed({"bc", "abc"}, {"xabc"}), (Outcome{"x", "abc"}));
}

TEST(StopTextTest, IncludedWhereAskedFor) {
  const std::vector<std::string> stops = {"END"};
  StopText text(stops, true);
  EXPECT_EQ(text.Push("abcENDxyz"), "abcEND");
  EXPECT_EQ(text.stopped_by(), "END");
  EXPECT_EQ(text.Push("more"), "");
}

TEST(StopTextTest, OnlySearchedPiecesEndIt) {
  const std::vector<std::string> stops = {"END", "N"};
  StopText text(stops);
  EXPECT_EQ(text.Push("abcENDx", false), "abcENDx");
  EXPECT_EQ(text.Push("EN", false), "");  // the start of "END", and all of "N"
  EXPECT_EQ(text.Push("Dy"), "");
  EXPECT_EQ(text.stopped_by(), "END");
}

// However the text is cut into pieces, the outcome is the same as with pieces of one character.
TEST(StopTextTest, PiecesDoNotMatter) {
  std::mt19937 random(3);
  const auto letters = [&random](size_t n) {
    std::string text;
    for (size_t i = 0; i < n; ++i) text += "ab"[random() % 2];
    return text;
  };
  int stopped = 0;
  for (int round = 0; round < 2000; ++round) {
    std::vector<std::string> stops;
    for (size_t i = 0, n = 1 + random() % 3; i < n; ++i) stops.push_back(letters(2 + random() % 6));
    const std::string text = letters(random() % 30);
    std::vector<std::string> single, pieces;
    for (const char c : text) single.emplace_back(1, c);
    for (size_t at = 0; at < text.size(); at += pieces.back().size())
      pieces.push_back(text.substr(at, 1 + random() % 7));
    const Outcome outcome = Feed(stops, single);
    EXPECT_EQ(Feed(stops, pieces), outcome) << text;
    stopped += !outcome.second.empty();
    for (const std::string& stop : stops) EXPECT_EQ(outcome.first.find(stop), std::string::npos);
  }
  EXPECT_GT(stopped, 500);
  EXPECT_LT(stopped, 1900);
}

}  // namespace
}  // namespace merope
