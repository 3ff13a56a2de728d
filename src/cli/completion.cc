// merope completion: prints the script that completes merope's commands and options in a shell. The
// script comes from the same declarations as the command line.
#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <string>
#include <vector>

#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/output.h"

namespace merope {
namespace {

struct Word {
  std::string text, help;  // an option with its dashes, or a command
  bool takes_value = false;
};
struct Command {
  std::string path;  // "merope bench latency"
  std::vector<Word> commands, options;
};

// The first part of a help text, without the characters ' \ : and line breaks, which have a meaning
// in the shell script.
std::string Short(const std::string& help) {
  std::string text = help.substr(0, std::min({help.find(" ("), help.find(';'), help.find(": ")}));
  std::erase_if(text, [](char c) { return c == '\'' || c == '\\' || c == ':' || c == '\n'; });
  return text;
}

void Collect(CLI::App& app, std::vector<Command>* all) {
  Command command{.path = CommandPath(app), .commands = {}, .options = {}};
  for (const CLI::App* sub : Subcommands(app))
    command.commands.push_back({sub->get_name(), Short(sub->get_description())});
  ForEachOption(app, [&command](const CLI::Option* option) {
    const std::string help = Short(option->get_description());
    const bool value = option->get_items_expected_max() > 0;
    for (const std::string& name : option->get_lnames())
      command.options.push_back({"--" + name, help, value});
    for (const std::string& name : option->get_snames())
      command.options.push_back({"-" + name, help, value});
  });
  all->push_back(std::move(command));
  for (CLI::App* sub : Subcommands(app)) Collect(*sub, all);
}

std::string Join(const std::vector<Word>& words) {
  std::string text;
  for (const Word& word : words) text += (text.empty() ? "" : " ") + word.text;
  return text;
}

// The shell code that finds the command, the same in bash and zsh. Each word that is a subcommand
// of the command so far extends the command.
std::string PathCases(const std::vector<Command>& all, const char* words) {
  std::string cases;
  for (const Command& command : all)
    for (const Word& sub : command.commands)
      cases += fmt::format("{}\"{} {}\"", cases.empty() ? "" : "|", command.path, sub.text);
  return fmt::format(
      "  local command=merope word\n  for word in {}; do\n    case \"$command $word\" in\n      "
      "{}) command+=\" $word\" ;;\n    esac\n  done\n",
      words, cases);
}

std::string Bash(const std::vector<Command>& all) {
  std::string script = "# source <(merope completion bash)\n_merope() {\n" +
                       PathCases(all, "\"${COMP_WORDS[@]:1:COMP_CWORD-1}\"") +
                       "  local current=${COMP_WORDS[COMP_CWORD]} commands= options=\n"
                       "  case $command in\n";
  for (const Command& command : all)
    script += fmt::format("    \"{}\") commands=\"{}\" options=\"{}\" ;;\n", command.path,
                          Join(command.commands), Join(command.options));
  return script +
         "  esac\n  [[ $current == -* ]] && commands=$options\n"
         "  COMPREPLY=($(compgen -W \"$commands\" -- \"$current\"))\n}\n"
         "complete -o default -F _merope merope\n";
}

std::string ZshWords(const std::vector<Word>& words) {
  std::string text;
  for (const Word& word : words) text += fmt::format(" '{}:{}'", word.text, word.help);
  return text;
}

std::string Zsh(const std::vector<Command>& all) {
  std::string script =
      "#compdef merope\n# merope completion zsh > a directory of $fpath/_merope\n"
      "_merope() {\n" +
      PathCases(all, "\"${(@)words[2,CURRENT-1]}\"") +
      "  local -a commands options\n  case $command in\n";
  for (const Command& command : all)
    script += fmt::format("    \"{}\")\n      commands=({})\n      options=({}) ;;\n", command.path,
                          ZshWords(command.commands), ZshWords(command.options));
  return script +
         "  esac\n  if [[ $PREFIX == -* ]]; then\n    _describe option options\n"
         "  elif (( $#commands )); then\n    _describe command commands\n  else\n    _files\n  fi\n"
         "}\ncompdef _merope merope\n";
}

std::string Fish(const std::vector<Command>& all) {
  std::string script = "# merope completion fish > ~/.config/fish/completions/merope.fish\n";
  for (const Command& command : all) {
    // condition: the line has all words of the path. inside: the line has no subcommand of command.
    std::string condition, inside;
    for (size_t at = command.path.find(' '); at != std::string::npos;) {
      const size_t next = command.path.find(' ', at + 1);
      condition +=
          fmt::format("{}__fish_seen_subcommand_from {}", condition.empty() ? "" : "; and ",
                      command.path.substr(at + 1, next - at - 1));
      at = next;
    }
    if (!command.commands.empty())
      inside = fmt::format("{}not __fish_seen_subcommand_from {}",
                           condition.empty() ? "" : "; and ", Join(command.commands));
    const auto add = [&](const std::string& what, const Word& word) {
      script += fmt::format("complete -c merope -n '{}{}' {} -d '{}'\n", condition, inside, what,
                            word.help);
    };
    for (const Word& word : command.commands) add("-f -a " + word.text, word);
    for (const Word& word : command.options) {
      const bool is_long = word.text.starts_with("--");
      add(fmt::format("{} {}{}", is_long ? "-l" : "-s", word.text.substr(is_long ? 2 : 1),
                      word.takes_value ? " -r" : ""),
          word);
    }
  }
  return script;
}

}  // namespace

void AddCompletion(CLI::App& app, Action* chosen) {
  CLI::App* completion =
      app.add_subcommand("completion", "Print the completion script for a shell");
  const auto shell = std::make_shared<std::string>();
  completion->add_option("SHELL", *shell, "Name of the shell: bash, zsh or fish")
      ->required()
      ->check(CLI::IsMember({"bash", "zsh", "fish"}));
  completion->footer("Example: source <(merope completion bash)");
  completion->callback([shell, chosen, &app] {
    *chosen = [shell, &app]() -> Result<int> {
      std::vector<Command> all;
      Collect(app, &all);
      TRY(WriteOutput(*shell == "bash" ? Bash(all) : *shell == "zsh" ? Zsh(all) : Fish(all)));
      return 0;
    };
  });
}

}  // namespace merope
