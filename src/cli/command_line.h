// What CLI11 leaves to us: texts that stay as they were typed, numbers that are refused where they
// do not fit, and errors that name what was meant.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"

namespace merope {

// An option or argument whose value is any text: brackets, braces and "" are nothing special.
template <class T>
CLI::Option* AddText(CLI::App& command, const std::string& name, T* text, const std::string& help) {
  const CLI::callback_t take = [text](const CLI::results_t& found) {
    *text = found.back();
    return true;
  };
  return command.add_option(name, take, help)->type_name("TEXT");
}
// The same, given once for each of several.
template <class T>
CLI::Option* AddTexts(CLI::App& command, const std::string& name, T* texts,
                      const std::string& help) {
  const CLI::callback_t take = [texts](const CLI::results_t& found) {
    *texts = found;
    return true;
  };
  return command.add_option(name, take, help)
      ->type_name("TEXT")
      ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
}

// Makes bytes of "512", "8M", "8MiB" or "8 mb" (1024 each); an option's transform.
CLI::Validator Bytes();

// The check of a whole number, or of each in a list.
CLI::Validator AtLeast(int64_t least);
CLI::Validator Between(int64_t least, int64_t most);

// The check of a text that parse makes a value of. Its error begins with a name, as "dtype: …"; the
// option's, which CLI11 puts first, takes the place of it.
template <class Parse>
CLI::Validator Parses(Parse parse) {
  return {[parse](const std::string& text) -> std::string {
            const auto parsed = parse(text);
            if (parsed) return "";
            const std::string& message = parsed.error().message;
            return message.substr(message.find(": ") + 2);
          },
          ""};
}

// For a command's callback, of what its options' values are together: an error of the field top_p
// makes the command line a wrong one, and names --top-p.
void RequireValid(const Status& valid);

std::vector<CLI::App*> Subcommands(CLI::App& command);
// Those of its groups, too.
void ForEachOption(CLI::App& command, const std::function<void(CLI::Option*)>& each);
// Every option whose values are numbers takes decimal ones alone, and none that would have to be
// cut.
void RefuseBadNumbers(CLI::App& app);

// The command that the command line chose: app itself, where it named none.
CLI::App& ChosenCommand(CLI::App& app);
// "merope bench latency".
std::string CommandPath(const CLI::App& command);
// What was wrong with the command line, with the nearest name there is in place of an unknown one.
std::string Explain(CLI::App& app, const CLI::ParseError& error);

}  // namespace merope
