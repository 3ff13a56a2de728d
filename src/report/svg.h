// Draws plots as SVG: bars, lines and points over linear, logarithmic or named axes. The style
// sheet of the page sets the colors, so a plot follows the light or dark scheme of the page. A
// standalone plot contains its own style sheet. Called by WriteReport and ToHtml, on the caller's
// thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace merope {

struct Axis {
  std::string label = {};
  double min = 0, max = 1;  // range of the values; a logarithmic axis needs both positive
  bool log = false;
  std::vector<std::string> categories = {};  // names of the positions 0, 1, 2 … instead of a scale
  double factor = 1;                         // tick labels show value · factor (100: per cent)
};

struct PlotPoint {
  double x = 0, y = 0;
  double low = 0, high = 0;  // ends of a whisker; no whisker if they are equal
};

enum class Mark : uint8_t { kBars, kLine, kPoints };

struct PlotSeries {
  std::string name = {};  // in the legend
  Mark mark = Mark::kBars;
  int color = 0;  // 0 … 3
  std::vector<PlotPoint> points = {};
};

// A labelled horizontal line across the plot, for a threshold.
struct PlotRule {
  std::string label = {};
  double y = 0;
};

struct Plot {
  std::string id = {};           // unique in its document
  std::string title = {};        // the subject; a screen reader says the title first
  std::string description = {};  // one sentence about the content
  Axis x = {}, y = {};
  std::vector<PlotSeries> series = {};
  std::vector<PlotRule> rules = {};
  double bar_width = 1;  // in x units
  int height = 300;
};

// standalone: the SVG is a separate file and contains its style sheet.
std::string ToSvg(const Plot& plot, bool standalone);
// The style rules of plots. The rules use the variables --ink, --muted, --line, --c0 … --c3.
std::string_view PlotStyle();
// The values of these variables, for the light and the dark scheme.
std::string_view PlotColors();

}  // namespace merope
