// The form that a request demands of the generated text. Plain values. The serve and cli layers
// fill them, and the engine gives them to GrammarCompiler.
#pragma once

#include <optional>
#include <string>
#include <vector>

namespace merope {

// Exactly one field is set. The generated text must be:
struct StructuredOutputs {
  std::optional<std::string> json = {};  // a document that is valid for this JSON schema
  std::optional<std::string> regex = {};
  std::optional<std::vector<std::string>> choice = {};  // one of these texts
  std::optional<std::string> grammar = {};              // a text of this EBNF grammar's root rule
  bool json_object = false;                             // any JSON object
  std::optional<std::string> structural_tag = {};
};

}  // namespace merope
