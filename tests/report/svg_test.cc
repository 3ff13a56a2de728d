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
  EXPECT_EQ(Count(svg, "<rect"), 2u + 1u);    // two bars, one legend square
  EXPECT_EQ(Count(svg, "<circle"), 2u + 1u);  // two points, one legend circle
  EXPECT_EQ(Count(svg, "<path"), 1u);
  EXPECT_EQ(Count(svg, "class=\"rule\""), 1u);
  EXPECT_EQ(Count(svg, "class=\"whisker\""), 3u);
  EXPECT_EQ(Count(svg, "nan"), 0u);
  EXPECT_EQ(Count(svg, "inf"), 0u);
}

// The top of a bar is at its value. On a linear axis from 0 to 10, the value 5 is at half of the
// plot's height.
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

// For any number and length of labels, no two labels on one line touch, and the first label is
// there. A letter is at least 6.2 SVG units wide, a Chinese character 11.
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

// The attributes of each element with this name. The key "" holds the text of the element.
using Element = std::map<std::string, std::string>;
std::vector<Element> Elements(std::string_view svg, std::string_view name) {
  std::vector<Element> found;
  const std::string open = fmt::format("<{} ", name);
  for (size_t at = svg.find(open); at != svg.npos; at = svg.find(open, at + 1)) {
    const size_t end = svg.find('>', at);
    Element element;
    for (size_t i = svg.find(' ', at); i < end;) {
      const size_t equals = svg.find('=', i), close = svg.find('"', equals + 2);
      element[std::string(svg.substr(i + 1, equals - i - 1))] =
          svg.substr(equals + 2, close - equals - 2);
      i = svg.find_first_of(" />", close);
      if (svg[i] != ' ') break;
    }
    element[""] = svg.substr(end + 1, svg.find('<', end) - end - 1);
    found.push_back(std::move(element));
  }
  return found;
}
std::vector<Element> OfClass(std::string_view svg, std::string_view name, std::string_view which) {
  std::vector<Element> found = Elements(svg, name);
  std::erase_if(found, [&](Element& element) { return element["class"] != which; });
  return found;
}
// For each element, the values of these attributes, joined by spaces.
std::vector<std::string> Values(const std::vector<Element>& elements,
                                const std::vector<std::string>& names) {
  std::vector<std::string> out;
  for (const Element& element : elements) {
    std::string& text = out.emplace_back();
    for (const std::string& name : names)
      text += (text.empty() ? "" : " ") + (element.contains(name) ? element.at(name) : "absent");
  }
  return out;
}
using Texts = std::vector<std::string>;

// A plot of height 300 has its area at x from 74 to 742, and y from 250 (bottom) to 34 (top).
TEST(Svg, TicksAreRoundNumbersInPlace) {
  const Plot plot{.id = "p", .x = {.label = "across"}, .y = {.label = "up", .min = 0, .max = 10}};
  const std::string svg = ToSvg(plot, false);
  EXPECT_NE(svg.find("viewBox=\"0 0 760 300\""), svg.npos);
  EXPECT_EQ(Values(OfClass(svg, "line", "grid"), {"x1", "y1", "x2", "y2"}),
            (Texts{"74.0 250.0 742.0 250.0", "74.0 206.8 742.0 206.8", "74.0 163.6 742.0 163.6",
                   "74.0 120.4 742.0 120.4", "74.0 77.2 742.0 77.2", "74.0 34.0 742.0 34.0"}));
  const Texts ticks = Values(OfClass(svg, "text", "tick"), {"", "x", "y", "text-anchor"});
  ASSERT_EQ(ticks.size(), 12u);
  EXPECT_EQ(ticks[0], "0 66.0 254.0 end");
  EXPECT_EQ(ticks[5], "10 66.0 38.0 end");
  EXPECT_EQ(ticks[6], "0 74.0 265.0 middle");
  EXPECT_EQ(ticks[7], "0.2 207.6 265.0 middle");
  EXPECT_EQ(ticks[11], "1 742.0 265.0 middle");
  EXPECT_EQ(Values(OfClass(svg, "line", "axis"), {"x1", "y1", "x2", "y2"}),
            Texts{"74.0 250.0 742.0 250.0"});
  EXPECT_EQ(
      Values(OfClass(svg, "text", "label"), {"", "x", "y", "text-anchor", "transform"}),
      (Texts{"across 408.0 293.0 middle absent", "up 16.0 142.0 middle rotate(-90 16 142.0)"}));
}

TEST(Svg, TicksAreOneTwoOrFiveTimesAPowerOfTen) {
  const struct {
    Axis axis;
    Texts labels;
  } cases[] = {
      {{.min = 0, .max = 1}, {"0", "0.2", "0.4", "0.6", "0.8", "1"}},
      {{.min = 0, .max = 0.3}, {"0", "0.05", "0.1", "0.15", "0.2", "0.25", "0.3"}},
      {{.min = 0, .max = 0.45}, {"0", "0.1", "0.2", "0.3", "0.4"}},
      {{.min = 0, .max = 7.4}, {"0", "1", "2", "3", "4", "5", "6", "7"}},
      {{.min = 0, .max = 7.5}, {"0", "2", "4", "6"}},
      {{.min = 0, .max = 17.4}, {"0", "2", "4", "6", "8", "10", "12", "14", "16"}},
      {{.min = 0, .max = 17.5}, {"0", "5", "10", "15"}},
      {{.min = 0, .max = 37.4}, {"0", "5", "10", "15", "20", "25", "30", "35"}},
      {{.min = 0, .max = 37.5}, {"0", "10", "20", "30"}},
      {{.min = -4, .max = 4}, {"-4", "-2", "0", "2", "4"}},
      {{.min = 3, .max = 7}, {"3", "4", "5", "6", "7"}},
      {{.min = 0, .max = 0.02, .factor = 100}, {"0", "0.5", "1", "1.5", "2"}},
      {{.min = 1e-6, .max = 1, .log = true}, {"10⁻⁶", "10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²", "10⁻¹", "1"}},
      {{.min = 5e-4, .max = 30, .log = true}, {"10⁻³", "10⁻²", "10⁻¹", "1", "10¹"}},
      // Eight decades have nine ticks. With more decades, every second decade has a tick; from 16
      // decades on, every third.
      {{.min = 1e-8, .max = 1, .log = true},
       {"10⁻⁸", "10⁻⁷", "10⁻⁶", "10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²", "10⁻¹", "1"}},
      {{.min = 1e-9, .max = 1, .log = true}, {"10⁻⁹", "10⁻⁷", "10⁻⁵", "10⁻³", "10⁻¹"}},
      {{.min = 1, .max = 1e12, .log = true}, {"1", "10²", "10⁴", "10⁶", "10⁸", "10¹⁰", "10¹²"}},
      {{.min = 1, .max = 1e17, .log = true}, {"1", "10³", "10⁶", "10⁹", "10¹²", "10¹⁵"}}};
  for (const auto& c : cases) {
    const std::string svg = ToSvg({.id = "p", .x = {.categories = {"x"}}, .y = c.axis}, false);
    Texts labels = Values(OfClass(svg, "text", "tick"), {""});
    ASSERT_FALSE(labels.empty());
    labels.pop_back();  // the category
    EXPECT_EQ(labels, c.labels) << c.axis.min << " " << c.axis.max;
  }
}

TEST(Svg, DecadesAreEquallyFarApart) {
  const std::string svg =
      ToSvg({.id = "p", .y = {.min = 1e-3, .max = 1, .log = true}, .height = 400}, false);
  // From y = 350 to y = 34 in three equal steps.
  EXPECT_EQ(Values(OfClass(svg, "line", "grid"), {"y1"}),
            (Texts{"350.0", "244.7", "139.3", "34.0"}));
  EXPECT_EQ(Values(OfClass(svg, "line", "axis"), {"y1"}), Texts{"350.0"});
}

TEST(Svg, AnAxisWithoutExtentIsDrawn) {
  const std::string svg = ToSvg({.id = "p",
                                 .x = {.categories = {"a"}},
                                 .y = {.min = 3, .max = 3},
                                 .series = {{.points = {{0, 3}, {0, 3.5}, {0, 4}}}}},
                                false);
  EXPECT_EQ(Values(Elements(svg, "rect"), {"height"}), (Texts{"0.0", "108.0", "216.0"}));
}

// Three categories share a width of 668. Their middles are at 74 + 668/6, then every 668/3. A group
// of bars takes 0.78 of its third, which is 173.68. Each of two bars takes half of the group, minus
// 1 for the gap.
TEST(Svg, BarsStandBesideEachOtherAboveTheirCategory) {
  const Plot plot{
      .id = "p",
      .x = {.categories = {"a", "b", "c"}},
      .y = {.min = 0, .max = 10},
      .series = {{.points = {{0, 5}, {2, 10, 5, 7.5}}}, {.color = 3, .points = {{0, 1}}}}};
  const std::string svg = ToSvg(plot, false);
  EXPECT_EQ(
      Values(Elements(svg, "rect"), {"class", "x", "y", "width", "height"}),
      (Texts{"s0 98.5 142.0 85.8 108.0", "s0 543.8 34.0 85.8 216.0", "s3 185.3 228.4 85.8 21.6"}));
  // The whisker is in the middle of its bar. Its ends extend 3 to each side.
  EXPECT_EQ(Values(OfClass(svg, "line", "whisker"), {"x1", "y1", "x2", "y2"}),
            (Texts{"587.2 142.0 587.2 88.0", "584.2 142.0 590.2 142.0", "584.2 88.0 590.2 88.0"}));
}

TEST(Svg, BarsOfANumericAxisAreAsWideAsTheySay) {
  Plot plot{.id = "p",
            .x = {.min = 0, .max = 10},
            .y = {.min = 0, .max = 1},
            .series = {{.points = {{5, 1}}}},
            .bar_width = 2};
  // One x unit is 66.8 wide. The bar is two x units wide, around 408.
  EXPECT_EQ(Values(Elements(ToSvg(plot, false), "rect"), {"x", "width"}), Texts{"341.2 132.6"});
  plot.bar_width = 0.01;  // every bar is wide enough to see
  EXPECT_EQ(Values(Elements(ToSvg(plot, false), "rect"), {"width"}), Texts{"0.5"});
}

TEST(Svg, LinesAndPointsGoThroughTheirValues) {
  const Plot plot{.id = "p",
                  .x = {.min = 0, .max = 4},
                  .y = {.min = 0, .max = 10},
                  .series = {{.mark = Mark::kLine, .color = 1, .points = {{0, 0}, {2, 5}, {4, 10}}},
                             {.mark = Mark::kPoints, .color = 2, .points = {{1, 2.5, 0, 5}}}},
                  .rules = {{.label = "limit", .y = 7.5}}};
  const std::string svg = ToSvg(plot, false);
  EXPECT_EQ(Values(Elements(svg, "path"), {"class", "d"}),
            Texts{"l1 M74.0 250.0L408.0 142.0L742.0 34.0"});
  EXPECT_EQ(Values(Elements(svg, "circle"), {"class", "cx", "cy", "r"}),
            Texts{"s2 241.0 196.0 2.6"});
  EXPECT_EQ(
      Values(OfClass(svg, "line", "whisker"), {"x1", "y1", "x2", "y2"}),
      (Texts{"241.0 250.0 241.0 142.0", "238.0 250.0 244.0 250.0", "238.0 142.0 244.0 142.0"}));
  EXPECT_EQ(Values(OfClass(svg, "line", "rule"), {"x1", "y1", "x2", "y2"}),
            Texts{"74.0 88.0 742.0 88.0"});
  EXPECT_EQ(Values(OfClass(svg, "text", "rulelabel"), {"", "x", "y", "text-anchor"}),
            Texts{"limit 738.0 83.0 end"});
}

// The legend has a sign and a name for each series, from the left. The next sign is at a distance
// of 44 plus the width of the name: 6.6 per letter, 12.5 per Chinese character.
TEST(Svg, LegendNamesTheSeries) {
  const Plot plot{.id = "p",
                  .series = {{.name = "ab", .mark = Mark::kLine, .color = 1},
                             {.mark = Mark::kLine, .color = 3},
                             {.name = "汉é", .mark = Mark::kPoints, .color = 2},
                             {.name = "bars"}}};
  const std::string svg = ToSvg(plot, false);
  EXPECT_EQ(Values(OfClass(svg, "text", "legend"), {"", "x", "y", "text-anchor"}),
            (Texts{"ab 94.0 19.0 start", "汉é 151.2 19.0 start", "bars 214.3 19.0 start"}));
  EXPECT_EQ(Values(OfClass(svg, "line", "l1"), {"x1", "y1", "x2", "y2"}),
            Texts{"74.0 15.0 88.0 15.0"});
  EXPECT_TRUE(OfClass(svg, "line", "l3").empty());
  EXPECT_EQ(Values(Elements(svg, "circle"), {"class", "cx", "cy", "r"}), Texts{"s2 138.2 15 4"});
  EXPECT_EQ(Values(Elements(svg, "rect"), {"class", "x", "y", "width", "height"}),
            Texts{"s0 194.3 9 12 12"});
}

// The label "abcdef" needs a width of 6 · 6.6, plus 6 for the gap: 45.6. Each of 14 labels has
// 47.7, each of 15 has 44.5, and each of 30 has 22.3.
TEST(Svg, LabelsBelowTakeTwoLinesAndThenSkip) {
  const auto lines = [](size_t n) {
    Plot plot{.id = "p"};
    plot.x.categories.assign(n, "abcdef");
    Texts found;
    for (Element& label : OfClass(ToSvg(plot, false), "text", "tick"))
      if (label[""] == "abcdef") found.push_back(label["y"]);
    return found;
  };
  EXPECT_EQ(lines(1), Texts(1, "265.0"));
  EXPECT_EQ(lines(14), Texts(14, "265.0"));
  for (const size_t n : {15, 30}) {  // every second of 30 is left out
    const Texts found = lines(n);
    ASSERT_EQ(found.size(), 15u);
    for (size_t i = 0; i < found.size(); ++i) EXPECT_EQ(found[i], i % 2 == 0 ? "265.0" : "277.0");
  }
}

TEST(Svg, DefaultsOfAPlot) {
  const Plot plot;
  EXPECT_EQ(plot.height, 300);
  EXPECT_EQ(plot.bar_width, 1);
  EXPECT_EQ(plot.x.min, 0);
  EXPECT_EQ(plot.x.max, 1);
  EXPECT_EQ(plot.x.factor, 1);
  EXPECT_EQ(PlotSeries().color, 0);
}

}  // namespace
}  // namespace merope
