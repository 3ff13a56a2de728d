#include "report/svg.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

#include "base/utf8.h"
#include "report/markup.h"

namespace merope {
namespace {

constexpr double kWidth = 760, kLeft = 74, kRight = 18, kTop = 34, kBottom = 50;

std::string Superscript(int value) {
  constexpr std::string_view kDigits[] = {"⁰", "¹", "²", "³", "⁴", "⁵", "⁶", "⁷", "⁸", "⁹"};
  std::string text = value < 0 ? "⁻" : "";
  for (const char digit : std::to_string(std::abs(value))) text += kDigits[digit - '0'];
  return text;
}

struct Tick {
  double at;
  std::string label;
};

// An axis on the page: maps values to coordinates and places the ticks.
class Scale {
 public:
  Scale(const Axis& axis, double from, double to) : axis_(axis), from_(from), to_(to) {
    low_ = axis.categories.empty() ? Map(axis.min) : -0.5;
    high_ =
        axis.categories.empty() ? Map(axis.max) : static_cast<double>(axis.categories.size()) - 0.5;
    if (!(high_ > low_)) high_ = low_ + 1;
  }

  double operator()(double value) const {
    const double share = std::clamp((Map(value) - low_) / (high_ - low_), 0.0, 1.0);
    return from_ + share * (to_ - from_);
  }
  double unit() const { return std::abs(to_ - from_) / (high_ - low_); }

  std::vector<Tick> Ticks() const {
    std::vector<Tick> ticks;
    if (!axis_.categories.empty()) {
      for (size_t i = 0; i < axis_.categories.size(); ++i)
        ticks.push_back({static_cast<double>(i), axis_.categories[i]});
    } else if (axis_.log) {
      const int first = static_cast<int>(std::ceil(low_ - 1e-9));
      const int last = static_cast<int>(std::floor(high_ + 1e-9));
      const int step = std::max(1, (last - first + 7) / 8);
      for (int exponent = first; exponent <= last; exponent += step)
        ticks.push_back(
            {std::pow(10.0, exponent), exponent == 0 ? "1" : "10" + Superscript(exponent)});
    } else {
      const double rough = (high_ - low_) / 5;
      const double decade = std::pow(10, std::floor(std::log10(rough))), lead = rough / decade;
      const double step = decade * (lead < 1.5 ? 1 : lead < 3.5 ? 2 : lead < 7.5 ? 5 : 10);
      for (double k = std::ceil(low_ / step - 1e-9); k * step <= high_ + step * 1e-9; ++k)
        ticks.push_back({k * step, fmt::format("{:.6g}", k == 0 ? 0 : k * step * axis_.factor)});
    }
    return ticks;
  }

 private:
  double Map(double value) const { return axis_.log ? std::log10(std::max(value, 1e-300)) : value; }

  const Axis& axis_;
  double from_, to_, low_, high_;
};

std::string Line(std::string_view style, double x1, double y1, double x2, double y2) {
  return fmt::format(R"(<line class="{}" x1="{:.1f}" y1="{:.1f}" x2="{:.1f}" y2="{:.1f}"/>)", style,
                     x1, y1, x2, y2);
}

std::string Label(std::string_view style, double x, double y, std::string_view anchor,
                  std::string_view text, std::string_view more = "") {
  return fmt::format(R"(<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}"{}>{}</text>)",
                     style, x, y, anchor, more, EscapeMarkup(text));
}

// The estimated width of a text, in SVG units. A CJK character is about twice as wide as a Latin
// character.
double TextWidth(std::string_view text) {
  double width = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (!utf8::IsContinuation(c)) width += byte >= 0xe3 ? 12.5 : 6.6;
  }
  return width;
}

// Labels that would touch are placed alternately on two lines. If two lines are not enough, only
// every n-th label is drawn.
void DrawXLabels(const std::vector<Tick>& ticks, const Scale& x, double bottom, std::string* out) {
  double need = 0;
  for (const Tick& tick : ticks) need = std::max(need, TextWidth(tick.label) + 6);
  const double room = ticks.size() > 1 ? x(ticks[1].at) - x(ticks[0].at) : kWidth;
  const size_t lines = need > room ? 2 : 1;
  const auto step = static_cast<size_t>(
      std::max(1.0, std::ceil(need / (static_cast<double>(lines) * std::max(room, 1.0)))));
  for (size_t i = 0; i < ticks.size(); i += step) {
    const double line = static_cast<double>(i / step % lines);
    *out += Label("tick", x(ticks[i].at), bottom + 15 + 12 * line, "middle", ticks[i].label);
  }
}

void DrawAxes(const Plot& plot, const Scale& x, const Scale& y, std::string* out) {
  const double bottom = plot.height - kBottom, right = kWidth - kRight;
  for (const Tick& tick : y.Ticks()) {
    const double at = y(tick.at);
    *out +=
        Line("grid", kLeft, at, right, at) + Label("tick", kLeft - 8, at + 4, "end", tick.label);
  }
  DrawXLabels(x.Ticks(), x, bottom, out);
  *out += Line("axis", kLeft, bottom, right, bottom);
  *out += Label("label", (kLeft + right) / 2, plot.height - 7, "middle", plot.x.label);
  const double middle = (kTop + bottom) / 2;
  *out += Label("label", 16, middle, "middle", plot.y.label,
                fmt::format(" transform=\"rotate(-90 16 {:.1f})\"", middle));
}

void DrawLegend(const Plot& plot, std::string* out) {
  double at = kLeft;
  for (const PlotSeries& series : plot.series) {
    if (series.name.empty()) continue;
    const std::string color = std::to_string(series.color);
    if (series.mark == Mark::kLine)
      *out += Line("l" + color, at, 15, at + 14, 15);
    else if (series.mark == Mark::kPoints)
      *out += fmt::format(R"(<circle class="s{}" cx="{:.1f}" cy="15" r="4"/>)", color, at + 7);
    else
      *out += fmt::format(R"(<rect class="s{}" x="{:.1f}" y="9" width="12" height="12" rx="2"/>)",
                          color, at);
    *out += Label("legend", at + 20, 19, "start", series.name);
    at += 44 + TextWidth(series.name);
  }
}

void DrawWhisker(const PlotPoint& point, double center, const Scale& y, std::string* out) {
  if (!(point.low < point.high)) return;
  const double low = y(point.low), high = y(point.high);
  *out += Line("whisker", center, low, center, high);
  *out += Line("whisker", center - 3, low, center + 3, low);
  *out += Line("whisker", center - 3, high, center + 3, high);
}

void DrawBars(const Plot& plot, const PlotSeries& series, std::pair<int, int> place, const Scale& x,
              const Scale& y, std::string* out) {
  const auto [index, count] = place;
  const double floor = plot.height - kBottom;
  const double group = x.unit() * plot.bar_width * (plot.x.categories.empty() ? 1 : 0.78);
  const double width = group / count;
  for (const PlotPoint& point : series.points) {
    const double left = x(point.x) - group / 2 + width * index, top = y(point.y);
    *out +=
        fmt::format(R"(<rect class="s{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}"/>)",
                    series.color, left, top, std::max(0.5, width - 1), std::max(0.0, floor - top));
    DrawWhisker(point, left + width / 2, y, out);
  }
}

void DrawSeries(const Plot& plot, const Scale& x, const Scale& y, std::string* out) {
  const auto is_bars = [](const PlotSeries& series) { return series.mark == Mark::kBars; };
  const auto bars = static_cast<int>(std::ranges::count_if(plot.series, is_bars));
  int bar = 0;
  for (const PlotSeries& series : plot.series) {
    if (series.mark == Mark::kBars) {
      DrawBars(plot, series, {bar++, bars}, x, y, out);
    } else if (series.mark == Mark::kLine) {
      std::string path;
      for (const PlotPoint& point : series.points)
        path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", x(point.x), y(point.y));
      *out += fmt::format(R"(<path class="l{}" d="{}"/>)", series.color, path);
    } else {
      for (const PlotPoint& point : series.points) {
        *out += fmt::format(R"(<circle class="s{}" cx="{:.1f}" cy="{:.1f}" r="2.6"/>)",
                            series.color, x(point.x), y(point.y));
        DrawWhisker(point, x(point.x), y, out);
      }
    }
  }
}

}  // namespace

std::string_view PlotColors() {
  return R"(:root{--ink:#1c2430;--muted:#5b6675;--line:#dfe4ea;--c0:#2f6fde;--c1:#e08a1e;--c2:#c43d4b;--c3:#2c9a6b}
@media (prefers-color-scheme:dark){:root{--ink:#e6eaf0;--muted:#9aa6b5;--line:#303a47;--c0:#6ea0ff;--c1:#f0ab4f;--c2:#f0707c;--c3:#57c795}}
)";
}

std::string_view PlotStyle() {
  return R"(svg.plot{font:12px system-ui,-apple-system,"Segoe UI",Roboto,"Noto Sans","PingFang SC","Microsoft YaHei","Noto Sans CJK SC",sans-serif}
.plot text{fill:var(--ink)}.plot .tick{fill:var(--muted);font-size:11px}.plot .label{fill:var(--muted)}
.plot .grid{stroke:var(--line)}.plot .axis{stroke:var(--muted)}
.plot .rule{stroke:var(--c2);stroke-dasharray:5 4;stroke-width:1.4}.plot .rulelabel{fill:var(--c2);font-size:11px}
.plot .whisker{stroke:var(--ink);opacity:.65}
.plot .s0{fill:var(--c0)}.plot .s1{fill:var(--c1)}.plot .s2{fill:var(--c2)}.plot .s3{fill:var(--c3)}
.plot circle{fill-opacity:.72}
.plot .l0,.plot .l1,.plot .l2,.plot .l3{fill:none;stroke-width:2}
.plot .l0{stroke:var(--c0)}.plot .l1{stroke:var(--c1)}.plot .l2{stroke:var(--c2)}.plot .l3{stroke:var(--c3)}
)";
}

std::string ToSvg(const Plot& plot, bool standalone) {
  const Scale x(plot.x, kLeft, kWidth - kRight), y(plot.y, plot.height - kBottom, kTop);
  const std::string id = EscapeMarkup(plot.id);
  std::string out = fmt::format(
      R"(<svg class="plot" xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {} {}" role="img" aria-labelledby="{}-title {}-desc">)",
      kWidth, plot.height, id, id);
  out += fmt::format(R"(<title id="{}-title">{}</title><desc id="{}-desc">{}</desc>)", id,
                     EscapeMarkup(plot.title), id, EscapeMarkup(plot.description));
  if (standalone) out += fmt::format("<style>{}{}</style>", PlotColors(), PlotStyle());
  DrawAxes(plot, x, y, &out);
  DrawSeries(plot, x, y, &out);
  for (const PlotRule& rule : plot.rules) {
    const double at = y(rule.y), right = kWidth - kRight;
    out += Line("rule", kLeft, at, right, at);
    out += Label("rulelabel", right - 4, at - 5, "end", rule.label);
  }
  DrawLegend(plot, &out);
  return out + "</svg>\n";
}

}  // namespace merope
