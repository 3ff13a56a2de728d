// Template: a Jinja template that is parsed once and rendered any number of times. Template
// supports the part of Jinja that the chat templates of checkpoints need. An unsupported feature is
// an error that names the feature. src/prompt calls Template. A Template is immutable after Parse.
#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "template/value.h"

namespace merope::jinja {

using Variables = std::vector<std::pair<std::string, Value>>;

class Template {
 public:
  // file: the name of the template, for errors. Errors also give the line.
  static Result<Template> Parse(std::string_view source, std::string file);

  // Render limits the steps, the memory and the output. raise_exception in the template becomes an
  // Error. date: the time for strftime_now. If date is nullopt, strftime_now uses MEROPE_DATE, or
  // the current time if MEROPE_DATE is not set.
  Result<std::string> Render(const Variables& variables, const std::optional<std::tm>& date) const;

  // Whether a for statement of the template iterates over a variable, attribute or item of this
  // name.
  bool IteratesOver(std::string_view name) const;

 private:
  struct Program;
  explicit Template(std::shared_ptr<const Program> program) : program_(std::move(program)) {}
  std::shared_ptr<const Program> program_;
};

}  // namespace merope::jinja
