#include <fmt/ranges.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <functional>
#include <iostream>
#include <iterator>
#include <vector>

#include "base/json.h"
#include "base/mapped_file.h"
#include "checkpoint/checkpoint.h"
#include "cli/command_line.h"
#include "cli/commands.h"
#include "cli/hub_model.h"
#include "cli/output.h"
#include "text/tokenizer.h"

namespace merope {
namespace {

struct TokenizeOptions {
  std::string model;
  std::optional<std::string> text;
  std::string lines;
  bool json = false, no_special = false, add_special = false;

  EncodeOptions encode() const {
    return {.parse_special = !no_special, .add_special = add_special};
  }
};

std::string StandardInput() {
  return {std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>()};
}

// The text as a JSON string. Bytes that are not UTF-8 become U+FFFD.
std::string Quoted(std::string_view text) { return DumpJson(text); }

Result<int> PrintTokens(const TokenizeOptions& o, const Tokenizer& tokenizer) {
  const std::string text = o.text && *o.text != "-" ? *o.text : StandardInput();
  TRY_ASSIGN(const std::vector<int32_t> ids, tokenizer.Encode(text, o.encode()));
  if (o.json) {
    std::vector<std::string> pieces;
    for (const int32_t id : ids) pieces.emplace_back(tokenizer.IdToToken(id));
    fmt::print("{}\n", Json{{"ids", ids}, {"pieces", pieces}}.dump());
    return 0;
  }
  for (const int32_t id : ids) fmt::print("{:>7}  {}\n", id, Quoted(tokenizer.IdToToken(id)));
  return 0;
}

// Calls each(line) for every line of a file. Each line is a JSON value. Prints each result on one
// line. Writes the number of lines and the total time of the calls to standard error.
Result<int> ForEachLine(const std::string& path,
                        const std::function<Result<std::string>(const Json&)>& each) {
  TRY_ASSIGN(const std::string content, ReadFile(path));
  std::chrono::duration<double> spent{};
  std::string out;
  size_t number = 0;
  for (size_t at = 0; at < content.size();) {
    const size_t end = std::min(content.find('\n', at), content.size());
    const std::string where = fmt::format("{}:{}", path, ++number);
    TRY_ASSIGN(const Json line, ParseJson(std::string_view(content).substr(at, end - at), where));
    at = end + 1;
    const auto start = std::chrono::steady_clock::now();
    const Result<std::string> result = each(line);
    spent += std::chrono::steady_clock::now() - start;
    if (!result) return Within(where, result.error());
    out.append(*result).push_back('\n');
    if (out.size() > 1 << 20) {
      std::fwrite(out.data(), 1, out.size(), stdout);
      out.clear();
    }
  }
  std::fwrite(out.data(), 1, out.size(), stdout);
  fmt::print(stderr, "lines: {}, seconds: {:.6f}\n", number, spent.count());
  return 0;
}

Result<int> TokenizeLines(const TokenizeOptions& o, const Tokenizer& tokenizer) {
  return ForEachLine(o.lines, [&](const Json& line) -> Result<std::string> {
    if (!line.is_string()) return Err("expected a JSON string, found {}", Describe(line));
    TRY_ASSIGN(const auto ids, tokenizer.Encode(line.get_ref<const std::string&>(), o.encode()));
    return fmt::format("[{}]", fmt::join(ids, ","));
  });
}

struct DetokenizeOptions {
  std::string model;
  std::vector<int32_t> ids;
  std::string lines;
  bool json = false, skip_special = false;
};

Result<int> DetokenizeLines(const DetokenizeOptions& o, const Tokenizer& tokenizer) {
  return ForEachLine(o.lines, [&](const Json& line) -> Result<std::string> {
    std::vector<int32_t> ids;
    for (const Json& id : line) {
      if (!id.is_number_unsigned() || id.get<uint64_t>() > INT32_MAX) {
        return Err("expected an array of token ids, found {}", Describe(line));
      }
      ids.push_back(id.get<int32_t>());
    }
    TRY_ASSIGN(const std::string text, tokenizer.Decode(ids, o.skip_special));
    return Quoted(text);
  });
}

}  // namespace

void AddTokenize(CLI::App& app, Action* chosen) {
  CLI::App* tokenize = app.add_subcommand("tokenize", "Show the token ids and pieces of a text");
  auto o = std::make_shared<TokenizeOptions>();
  tokenize
      ->add_option("MODEL", o->model,
                   "Directory with a tokenizer.json, or .gguf file (also without weights), or "
                   "ORG/NAME[@REVISION] on Hugging Face")
      ->required();
  AddText(*tokenize, "TEXT", &o->text,
          "Text to tokenize; - or no text: the text comes from standard input");
  tokenize->add_flag("--json", o->json, "Print one JSON object: {\"ids\": […], \"pieces\": […]}");
  tokenize->add_flag("--no-special", o->no_special, "Treat special tokens as plain text");
  tokenize->add_flag("--add-special", o->add_special,
                     "Add the tokens that the post-processor adds (for example BOS)");
  tokenize->add_option(
      "--lines", o->lines,
      "Tokenize the lines of a file; input: one JSON string per line, output: one JSON array of "
      "ids per line");
  tokenize->footer("Example: merope tokenize models/SmolLM2 \"Hello, world\"");
  tokenize->callback([o, chosen] {
    *chosen = [o]() -> Result<int> {
      TRY_ASSIGN(const std::string model, FindModel(o->model));
      TRY_ASSIGN(const Tokenizer tokenizer, LoadTokenizerFrom(model));
      return o->lines.empty() ? PrintTokens(*o, tokenizer) : TokenizeLines(*o, tokenizer);
    };
  });

  CLI::App* detokenize = app.add_subcommand("detokenize", "Show the text of token ids");
  auto d = std::make_shared<DetokenizeOptions>();
  detokenize->add_option("MODEL", d->model, "Directory or .gguf file, as for tokenize")->required();
  detokenize->add_option("IDS", d->ids, "Token ids")->check(Between(0, INT32_MAX));
  detokenize->add_option(
      "--lines", d->lines,
      "Detokenize the lines of a file; input: one JSON array of ids per line, output: one JSON "
      "string per line");
  detokenize->add_flag("--json", d->json, "Print one JSON object: {\"text\": …}");
  detokenize->add_flag("--skip-special", d->skip_special, "Leave out special tokens");
  detokenize->footer("Example: merope detokenize models/SmolLM2 19556 28 905");
  detokenize->callback([d, chosen] {
    *chosen = [d]() -> Result<int> {
      TRY_ASSIGN(const std::string model, FindModel(d->model));
      TRY_ASSIGN(const Tokenizer tokenizer, LoadTokenizerFrom(model));
      if (!d->lines.empty()) return DetokenizeLines(*d, tokenizer);
      TRY_ASSIGN(const std::string text, tokenizer.Decode(d->ids, d->skip_special));
      TRY(WriteOutput(d->json ? fmt::format("{{\"text\":{}}}\n", Quoted(text)) : text + "\n"));
      return 0;
    };
  });
}

}  // namespace merope
