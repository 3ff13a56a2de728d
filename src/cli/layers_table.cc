#include "cli/layers_table.h"

#include <algorithm>
#include <span>
#include <string_view>

#include "verify/digits.h"
#include "verify/token_text.h"

namespace merope {
namespace {

// "layers.3.mlp.act_fn" → "layers.3"; another name as it is.
std::string_view GroupOf(std::string_view name) {
  if (!name.starts_with("layers.")) return name;
  return name.substr(0, name.find('.', std::string_view("layers.").size()));
}

std::string Cells(double error, double format, double ratio, double limit, std::string_view point) {
  return fmt::format("{} {} {} {}", FitWidth(Number(error), 10), FitWidth(Number(format), 10),
                     FitWidth(Number(ratio) + (ratio > limit ? " !" : ""), 10),
                     FitWidth(point, 24));
}

std::string Line(std::span<const LayerPoint> group, double limit) {
  const std::string_view name = GroupOf(group.front().name);
  const auto short_name = [&](const LayerPoint& p) {
    const std::string_view rest = std::string_view(p.name).substr(name.size());
    return rest.empty() ? (name == p.name && group.size() > 1 ? "output" : "") : rest.substr(1);
  };
  const LayerPoint& own = *std::ranges::max_element(group, {}, &LayerPoint::ratio_alone);
  const LayerPoint& grown = *std::ranges::max_element(group, {}, &LayerPoint::ratio);
  std::string line = fmt::format("  {} ", FitWidth(name, 14));
  line += Cells(own.target_alone.relative_l2, own.emulated_alone.relative_l2, own.ratio_alone,
                limit, short_name(own)) +
          " ";
  line += Cells(grown.target.relative_l2, grown.emulated.relative_l2, grown.ratio, limit,
                short_name(grown));
  line.erase(line.find_last_not_of(' ') + 1);
  return line + "\n";
}

std::string CulpritText(const Culprit& c, double limit) {
  return fmt::format(
      "culprit: {} ({}): {} error {}, {} times the format's {}; first at position {} of prompt {}\n"
      "         (limit: {} times)\n",
      c.point, c.op, c.alone ? "its own" : "accumulated", Number(c.error), Number(c.ratio),
      Number(c.band), c.position, c.prompt, limit);
}

}  // namespace

std::string LayersTable(const LayersResult& result, bool color) {
  std::string text =
      fmt::format("merope verify --layers\n  model     {}\n  target    {}\n  numerics  {}\n\n",
                  result.model, result.target, result.numerics);
  const std::string head =
      fmt::format("{} {} {} {}", FitWidth("error", 10), FitWidth("format's", 10),
                  FitWidth("ratio", 10), FitWidth("worst op", 24));
  text += fmt::format("  {} {} {}\n", FitWidth("", 14), FitWidth("own error, on exact inputs", 57),
                      "accumulated error");
  text += fmt::format("  {} {} {}worst op\n", FitWidth("", 14), head, head.substr(0, 33));
  const std::span<const LayerPoint> points(result.points);
  for (size_t begin = 0, end = 0; begin < points.size(); begin = end) {
    const std::string_view group = GroupOf(points[begin].name);
    while (end < points.size() && GroupOf(points[end].name) == group) ++end;
    text += Line(points.subspan(begin, end - begin), result.limit);
  }
  text += "\n";
  if (result.culprit) text += CulpritText(*result.culprit, result.limit);
  if (result.decode)
    text += result.decode->identical
                ? "token by token: bit-identical to a prefill\n"
                : fmt::format(
                      "token by token: other bits than in a prefill: {} at position {} of "
                      "prompt {}\n",
                      result.decode->point, result.decode->position, result.decode->prompt);
  const bool passed = result.verdict == Verdict::kPass;
  const std::string verdict(VerdictName(result.verdict));
  return text +
         fmt::format("{}  ({} ops, {} positions of {} prompts, {:.1f} s)\n",
                     color ? fmt::format("\x1b[{}m{}\x1b[0m", passed ? 32 : 31, verdict) : verdict,
                     result.points.size(), result.positions, result.prompts, result.seconds);
}

}  // namespace merope
