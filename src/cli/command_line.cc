#include "cli/command_line.h"

#include <fmt/format.h>

#include <CLI/Config.hpp>
#include <CLI/Formatter.hpp>
#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdint>
#include <limits>
#include <numeric>
#include <optional>
#include <string_view>
#include <utility>

namespace merope {
namespace {

// The whole text as a number. nullopt if the text is not a number or does not fit T.
template <class T>
std::optional<T> Number(std::string_view text) {
  T value = {};
  if (text.starts_with('+')) text.remove_prefix(1);
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

template <class T>
std::string Whole(std::string& text) {
  if (const std::optional<T> value = Number<T>(text)) {
    text = fmt::to_string(*value);  // CLI11 would read 010 as octal, which is 8
    return "";
  }
  const size_t sign = text.starts_with('-') || text.starts_with('+') ? 1 : 0;
  if (text.size() == sign || text.find_first_not_of("0123456789", sign) != text.npos)
    return fmt::format("expected a whole number, found \"{}\"", text);
  return fmt::format("expected a whole number from {} to {}, found {}",
                     std::numeric_limits<T>::min(), std::numeric_limits<T>::max(), text);
}

std::string Real(std::string& text) {
  const std::optional<double> value = Number<double>(text);
  if (!value || !std::isfinite(*value)) return fmt::format("expected a number, found \"{}\"", text);
  return "";
}

std::string ReadBytes(std::string& text) {
  const size_t digits = std::min(text.find_first_not_of("0123456789"), text.size());
  std::string unit = text.substr(std::min(text.find_first_not_of(' ', digits), text.size()));
  std::ranges::transform(unit, unit.begin(), [](unsigned char c) { return std::tolower(c); });
  for (const std::string_view end : {"ib", "b"})
    if (unit.ends_with(end)) {
      unit.resize(unit.size() - end.size());
      break;
    }
  const std::optional<uint64_t> count = Number<uint64_t>(std::string_view(text).substr(0, digits));
  const size_t power = unit.empty() ? 0 : std::string_view(" kmgt").find(unit);
  if (!count || unit.size() > 1 || power == std::string_view::npos)
    return fmt::format("expected bytes, as 512M or 8GiB, found \"{}\"", text);
  const auto shift = static_cast<unsigned>(10 * power);
  if (*count > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) >> shift)
    return fmt::format("expected fewer than 2^63 bytes, found \"{}\"", text);
  text = fmt::to_string(*count << shift);
  return "";
}

// The edit distance of two names: insertions, deletions and changes of a character.
size_t Distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  std::iota(row.begin(), row.end(), size_t{0});
  for (size_t i = 0; i < a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i + 1);
    for (size_t j = 0; j < b.size(); ++j) {
      const size_t change = diagonal + (a[i] != b[j]);
      diagonal = row[j + 1];
      row[j + 1] = std::min({change, row[j] + 1, diagonal + 1});
    }
  }
  return row.back();
}

// "; did you mean X?", or an empty string if no known name is near.
std::string Nearest(std::string_view name, const std::vector<std::string>& known) {
  const std::string* best = nullptr;
  size_t least = std::max<size_t>(2, name.size() / 3) + 1;
  for (const std::string& candidate : known) {
    const size_t distance =
        name.size() > 3 && candidate.starts_with(name) ? 1 : Distance(name, candidate);
    if (distance < least) {
      least = distance;
      best = &candidate;
    }
  }
  return best == nullptr ? "" : fmt::format("; did you mean {}?", *best);
}

std::string UnknownArgument(CLI::App& command, const std::string& argument) {
  std::vector<std::string> known;
  if (argument.starts_with('-')) {
    ForEachOption(command, [&known](const CLI::Option* option) {
      for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
      for (const std::string& name : option->get_snames()) known.push_back("-" + name);
    });
    const std::string name = argument.substr(0, argument.find('='));
    return fmt::format(
        "unknown option {}{}", name,
        name.contains(' ') ? " (a text that begins with - comes after --)" : Nearest(name, known));
  }
  for (const CLI::App* sub : Subcommands(command)) known.push_back(sub->get_name());
  if (known.empty())
    return fmt::format("unexpected argument \"{}\" (a text of several words needs quotes)",
                       argument);
  return fmt::format("unknown command \"{}\"{}", argument, Nearest(argument, known));
}

}  // namespace

std::vector<CLI::App*> Subcommands(CLI::App& command) {
  return command.get_subcommands([](CLI::App* sub) { return !sub->get_name().empty(); });
}

CLI::Validator Bytes() { return CLI::Validator(ReadBytes, ""); }

CLI::Validator AtLeast(int64_t least) {
  return {[least](const std::string& text) -> std::string {
            if (Number<int64_t>(text).value_or(least - 1) >= least) return "";
            return fmt::format("expected {} or more, found {}", least, text);
          },
          ""};
}

CLI::Validator Between(int64_t least, int64_t most) {
  return {[least, most](const std::string& text) -> std::string {
            const int64_t value = Number<int64_t>(text).value_or(least - 1);
            if (value >= least && value <= most) return "";
            return fmt::format("expected {} to {}, found {}", least, most, text);
          },
          ""};
}

void RequireValid(const Status& valid) {
  if (valid) return;
  std::string message = valid.error().message;
  const size_t name = std::min(message.find(':'), message.size());
  std::replace(message.begin(), message.begin() + static_cast<ptrdiff_t>(name), '_', '-');
  throw CLI::ValidationError("--" + message);
}

void ForEachOption(CLI::App& command, const std::function<void(CLI::Option*)>& each) {
  for (CLI::Option* option : command.get_options()) each(option);
  for (CLI::App* group : command.get_subcommands([](CLI::App* a) { return a->get_name().empty(); }))
    ForEachOption(*group, each);
}

void RefuseBadNumbers(CLI::App& app) {
  ForEachOption(app, [](CLI::Option* option) {
    const std::string type = option->get_type_name();
    if (type.starts_with("INT")) option->transform(CLI::Validator(Whole<int64_t>, ""));
    if (type.starts_with("UINT")) option->transform(CLI::Validator(Whole<uint64_t>, ""));
    if (type.starts_with("FLOAT")) option->transform(CLI::Validator(Real, ""));
  });
  for (CLI::App* sub : Subcommands(app)) RefuseBadNumbers(*sub);
}

CLI::App& ChosenCommand(CLI::App& app) {
  CLI::App* chosen = &app;
  while (true) {
    const std::vector<CLI::App*> parsed = chosen->get_subcommands();
    if (parsed.empty()) return *chosen;
    chosen = parsed.front();
  }
}

std::string CommandPath(const CLI::App& command) {
  const CLI::App* parent = command.get_parent();
  return (parent == nullptr ? "" : CommandPath(*parent) + " ") + command.get_name();
}

std::string Explain(CLI::App& app, const CLI::ParseError& error) {
  std::vector<std::string> unknown = app.remaining(true);
  std::erase(unknown, "--");
  if (unknown.empty()) return error.what();
  const auto option =
      std::ranges::find_if(unknown, [](const std::string& a) { return a.starts_with('-'); });
  return UnknownArgument(ChosenCommand(app), option == unknown.end() ? unknown.front() : *option);
}

}  // namespace merope
