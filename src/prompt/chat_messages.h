// Prepares messages for a chat template, and edits the text that the template makes of the
// messages. The rules are those of transformers' apply_chat_template. ChatTemplate calls these pure
// functions.
#pragma once

#include <string>
#include <string_view>

#include "base/error.h"
#include "template/value.h"

namespace merope {

// Reads a list of objects that each have a role. Leaves out fields that are null. Copies a
// message's reasoning to "reasoning_content", and to "thinking" if this field is missing.
Result<jinja::Value> ReadMessages(const jinja::Value& messages);
// Reads messages of OpenAI's API, see ChatTemplateOptions. Errors name the field. If joins_parts,
// the text parts of a content become one string.
Result<jinja::Value> ReadOpenAiMessages(const jinja::Value& messages, bool joins_parts);

// The messages with a mark at the end of one field of the last message, and the text of that field
// without the mark.
struct MarkedMessages {
  jinja::Value messages;
  std::string last;
};
// source: the text of the template, which must contain the name of the field.
Result<MarkedMessages> MarkEnd(const jinja::Value& messages, const std::string& field,
                               std::string_view source);
// Cuts the text at the mark. If the template trimmed the field, also cuts the whitespace before the
// mark. last: MarkedMessages::last.
Status CutAtMark(std::string_view last, std::string* text);

}  // namespace merope
