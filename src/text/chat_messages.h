// What becomes of messages before a template sees them, and of the text that it makes of them: the
// rules of transformers' apply_chat_template. Pure functions.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "text/jinja_ast.h"

namespace merope {

// A list of objects with a role each. Fields that are null are left out; reasoning is found under
// each of its names.
Result<jinja::Value> ReadMessages(const jinja::Value& messages);
// Messages of OpenAI's API, see ChatTemplateOptions. Errors name the field.
Result<jinja::Value> ReadOpenAiMessages(const jinja::Value& messages, bool joins_parts);
// Whether a template goes through the parts of a content.
bool TakesParts(const jinja::Body& body);

// The messages with a mark where the last one's field ends, and what stood there.
struct MarkedMessages {
  jinja::Value messages;
  std::string last;
};
// source: the template, which must speak of the field.
Result<MarkedMessages> MarkEnd(const jinja::Value& messages, const std::string& field,
                               std::string_view source);
// Cuts the text at the mark; and what whitespace stands before it, if the template trimmed.
Status CutAtMark(std::string_view last, std::string* text);

}  // namespace merope
