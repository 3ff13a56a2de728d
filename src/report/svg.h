// Plots as SVG: bars, lines and points over linear, logarithmic or named axes. Coloured by the
// page's style sheet, so that they follow its light or dark scheme; a plot that stands alone
// carries the sheet itself.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace merope {

struct Axis {
  std::string label = {};
  double min = 0, max = 1;  // of the values; both positive where logarithmic
  bool log = false;
  std::vector<std::string> categories = {};  // named positions 0, 1, 2 … instead of a scale
  double factor = 1;                         // tick labels show value · factor (100: per cent)
};

struct PlotPoint {
  double x = 0, y = 0;
  double low = 0, high = 0;  // a whisker from low to high, where they differ
};

enum class Mark : uint8_t { kBars, kLine, kPoints };

struct PlotSeries {
  std::string name = {};  // in the legend
  Mark mark = Mark::kBars;
  int color = 0;  // 0 … 3
  std::vector<PlotPoint> points = {};
};

// A labelled line across the plot: a threshold.
struct PlotRule {
  std::string label = {};
  double y = 0;
};

struct Plot {
  std::string id = {};           // unique in its document
  std::string title = {};        // what it shows; what a screen reader says first
  std::string description = {};  // what is to be seen in it, in a sentence
  Axis x = {}, y = {};
  std::vector<PlotSeries> series = {};
  std::vector<PlotRule> rules = {};
  double bar_width = 1;  // in x units
  int height = 300;
};

// standalone: an SVG file of its own.
std::string ToSvg(const Plot& plot, bool standalone);
// The style rules of plots, over the variables --ink, --muted, --line, --c0 … --c3.
std::string_view PlotStyle();
// The variables themselves, light and dark.
std::string_view PlotColors();

// & < > " as entities; what is no UTF-8 or no XML character as U+FFFD.
std::string EscapeMarkup(std::string_view text);

}  // namespace merope
