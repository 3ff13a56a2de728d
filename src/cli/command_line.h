// Additions to CLI11: options that keep a text as typed, checks that refuse numbers that do not
// fit, and errors that suggest the nearest known name. Called by Main and the commands, on the main
// thread.
#pragma once

#include <CLI/App.hpp>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "base/error.h"

namespace merope {

// Adds an option or argument whose value is any text. Brackets, braces and "" have no special
// meaning.
template <class T>
CLI::Option* AddText(CLI::App& command, const std::string& name, T* text, const std::string& help) {
  const CLI::callback_t take = [text](const CLI::results_t& found) {
    *text = found.back();
    return true;
  };
  return command.add_option(name, take, help)->type_name("TEXT");
}
// Adds an option that can be given several times, with one text each time. The texts are used as in
// AddText.
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

// A transform of an option: turns "512", "8M", "8MiB" or "8 mb" into a number of bytes. Units are
// powers of 1024.
CLI::Validator Bytes();

// A check of a whole number, or of each whole number in a list.
CLI::Validator AtLeast(int64_t least);
CLI::Validator Between(int64_t least, int64_t most);

// A check that accepts a text if parse(text) succeeds. The error of parse begins with a name, such
// as "dtype: …". The check removes this name, because CLI11 puts the option's name first.
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

// Called by a command's callback after a check of its options together. Throws a
// CLI::ValidationError if valid is an error. An error of the field top_p then names --top-p.
void RequireValid(const Status& valid);

std::vector<CLI::App*> Subcommands(CLI::App& command);
// Visits the command's options, including the options of its groups.
void ForEachOption(CLI::App& command, const std::function<void(CLI::Option*)>& each);
// Makes each numeric option of app and its subcommands accept only decimal numbers, and refuse a
// number that does not fit its type.
void RefuseBadNumbers(CLI::App& app);

// The command that the user chose; app itself if the command line names no command.
CLI::App& ChosenCommand(CLI::App& app);
// "merope bench latency".
std::string CommandPath(const CLI::App& command);
// The message for an error in the command line. For an unknown name, the message suggests the
// nearest known name.
std::string Explain(CLI::App& app, const CLI::ParseError& error);

}  // namespace merope
