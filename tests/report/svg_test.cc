#include "report/svg.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>
#include <utility>

#include "tests/report/markup.h"

namespace merope {
namespace {

size_t Count(std::string_view text, std::string_view what) {
  size_t n = 0;
  for (size_t at = text.find(what); at != text.npos; at = text.find(what, at + 1)) ++n;
  return n;
}

Plot Sample() {
  return {.id = "sample",
          .title = "Title <1>",
          .description = "What is to be seen",
          .x = {.label = "x", .categories = {"a", "b", "c"}},
          .y = {.label = "y", .min = 1e-6, .max = 1, .log = true},
          .series =
              {{.name = "bars", .mark = Mark::kBars, .points = {{0, 0.1}, {1, 0.01, 0.005, 0.02}}},
               {.name = "line", .mark = Mark::kLine, .color = 1, .points = {{0, 0.5}, {2, 0.25}}},
               {.name = "points", .mark = Mark::kPoints, .color = 2, .points = {{2, 0}, {1, 5}}}},
          .rules = {{.label = "limit", .y = 0.01}}};
}

TEST(MarkupFault, FindsFaults) {
  EXPECT_EQ(MarkupFault("<p>a &amp; b<br></p>"), "");
  for (const char* bad :
       {"<p>", "</p>", "<p><b></p></b>", "a & b", "<p a=1></p>", "<p", "<p a=\"<\"></p>", "a > b"})
    EXPECT_NE(MarkupFault(bad), "") << bad;
}

TEST(Svg, WellFormedAndNamedForReaders) {
  for (const bool standalone : {false, true}) {
    const std::string svg = ToSvg(Sample(), standalone);
    EXPECT_EQ(MarkupFault(svg), "");
    EXPECT_NE(svg.find("role=\"img\" aria-labelledby=\"sample-title sample-desc\""),
              std::string::npos);
    EXPECT_NE(svg.find("<title id=\"sample-title\">Title &lt;1&gt;</title>"), std::string::npos);
    EXPECT_NE(svg.find("<desc id=\"sample-desc\">"), std::string::npos);
    EXPECT_EQ(svg.find("<style>") != std::string::npos, standalone);
  }
}

TEST(Svg, DrawsEveryMark) {
  const std::string svg = ToSvg(Sample(), false);
  EXPECT_EQ(Count(svg, "<rect"), 2u + 1u);    // bars, and the legend's square
  EXPECT_EQ(Count(svg, "<circle"), 2u + 1u);  // points, and the legend's
  EXPECT_EQ(Count(svg, "<path"), 1u);
  EXPECT_EQ(Count(svg, "class=\"rule\""), 1u);
  EXPECT_EQ(Count(svg, "class=\"whisker\""), 3u);
  EXPECT_EQ(Count(svg, "nan"), 0u);
  EXPECT_EQ(Count(svg, "inf"), 0u);
}

// A bar's top goes where its value is: on a linear axis from 0 to 10, half of the plot's height
// for 5.
TEST(Svg, ScalesLinearly) {
  const auto height = [](double value) {
    Plot plot{.id = "p",
              .x = {.categories = {"a"}},
              .y = {.min = 0, .max = 10},
              .series = {{.points = {{0, value}}}}};
    const std::string svg = ToSvg(plot, false);
    const size_t at = svg.find("height=\"", svg.find("<rect"));
    return std::stod(svg.substr(at + 8));
  };
  EXPECT_NEAR(height(5), height(10) / 2, 0.11);
  EXPECT_EQ(height(0), 0);
  EXPECT_EQ(height(20), height(10));  // clipped
}

TEST(Svg, ScalesLogarithmically) {
  const auto height = [](double value) {
    Plot plot{.id = "p",
              .x = {.categories = {"a"}},
              .y = {.min = 1e-4, .max = 1, .log = true},
              .series = {{.points = {{0, value}}}}};
    const std::string svg = ToSvg(plot, false);
    return std::stod(svg.substr(svg.find("height=\"", svg.find("<rect")) + 8));
  };
  EXPECT_NEAR(height(1e-2), height(1) / 2, 0.11);
  EXPECT_EQ(height(0), 0);
}

// However many and long: no two on one line touch, and the first is there. 6.2 of the plot's units
// a letter at least, 11 a Chinese character.
TEST(Svg, LabelsBelowDoNotTouch) {
  const std::pair<const char*, double> labels[] = {{"7", 6.2},
                                                   {"128 + 100", 9 * 6.2},
                                                   {"10⁻⁷ to 10⁻⁶ of all", 20 * 6.2},
                                                   {"词嵌入与输出头", 77}};
  for (const auto& [label, width] : labels)
    for (const size_t n : {1u, 2u, 5u, 8u, 25u, 60u}) {
      Plot plot{.id = "p", .y = {.min = 0, .max = 1}, .series = {{.points = {{0, 1}}}}};
      plot.x.categories.assign(n, label);
      const std::string svg = ToSvg(plot, false), end = fmt::format(">{}</text>", label);
      std::map<std::string, double> last;  // by line
      size_t found = 0;
      for (size_t at = svg.find(end); at != svg.npos; at = svg.find(end, at + 1), ++found) {
        const size_t begin = svg.rfind("<text", at);
        const size_t x = svg.find(" x=\"", begin) + 4, y = svg.find(" y=\"", begin) + 4;
        const double center = std::stod(svg.substr(x));
        const auto [line, is_first] = last.try_emplace(svg.substr(y, svg.find('"', y) - y), center);
        EXPECT_TRUE(is_first || center - line->second >= width) << label << " " << n;
        line->second = center;
      }
      EXPECT_GE(found, std::min<size_t>(n, 5)) << label << " " << n;
      EXPECT_LE(last.size(), 2u) << label << " " << n;
    }
}

}  // namespace
}  // namespace merope
