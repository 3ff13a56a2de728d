#include "prompt/chat_messages.h"

#include <algorithm>
#include <array>
#include <utility>
#include <vector>

#include "template/json.h"
#include "text/strings.h"

namespace merope {
namespace {

using jinja::Value;
using Entries = std::vector<std::pair<Value, Value>>;

// The names of the field that holds a message's reasoning. Newer templates use the first name.
constexpr std::array<std::string_view, 3> kReasoning = {"reasoning_content", "thinking",
                                                        "reasoning"};
constexpr std::string_view kEndMark = "CONTINUE_FINAL_MESSAGE_TAG ";

std::string Shown(const Value* value) {
  if (value == nullptr) return "none";
  const auto text = ToJson(*value, {});
  return text ? text->substr(0, 60) : value->TypeName();
}

void Put(std::string_view key, Value value, Entries* entries) {
  for (auto& [known, old] : *entries)
    if (known.text() != nullptr && *known.text() == key) {
      old = std::move(value);
      return;
    }
  entries->emplace_back(Value::String(std::string(key)), std::move(value));
}

// Calls change for each object of a list and returns the list of the results.
template <class Change>
Result<Value> EachObject(const Value& list, const std::string& where, Change change) {
  if (list.sequence() == nullptr)
    return FieldErr(where, "expected an array, found {}", Shown(&list));
  std::vector<Value> changed;
  for (const Value& item : list.sequence()->items) {
    const std::string place = fmt::format("{}[{}]", where, changed.size());
    if (item.mapping() == nullptr)
      return FieldErr(place, "expected an object, found {}", Shown(&item));
    TRY_ASSIGN(Value value, change(*item.mapping(), place));
    changed.push_back(std::move(value));
  }
  return Value::List(std::move(changed));
}

Result<Value> ReadMessage(const jinja::Mapping& message, const std::string& where) {
  const Value* role = message.Find("role");
  if (role == nullptr || role->text() == nullptr)
    return FieldErr(where + ".role", "expected a string, found {}", Shown(role));
  Entries entries;
  std::ranges::copy_if(message.entries, std::back_inserter(entries),
                       [](const auto& entry) { return !entry.second.is_none(); });
  for (const std::string_view name : kReasoning) {
    const Value* reasoning = message.Find(name);
    if (reasoning == nullptr || reasoning->is_none()) continue;
    const bool thinks = std::ranges::any_of(
        entries, [](const auto& entry) { return *entry.first.text() == "thinking"; });
    const Value told = *reasoning;
    if (!thinks) entries.emplace(entries.begin(), Value::String("thinking"), told);
    Put(kReasoning[0], told, &entries);
    break;
  }
  return Value::Map(std::move(entries));
}

Result<Value> JoinParts(const Value& content, const std::string& where, bool joins) {
  if (content.text() != nullptr) return content;
  if (content.sequence() == nullptr)
    return FieldErr(where, "expected a string or an array of parts, found {}", Shown(&content));
  std::string text;
  size_t n = 0;
  TRY(EachObject(content, where,
                 [&](const jinja::Mapping& part, const std::string& place) -> Result<Value> {
                   const Value* type = part.Find("type");
                   if (type == nullptr || type->text() == nullptr || *type->text() != "text")
                     return FieldErr(place + ".type", "expected \"text\", found {}", Shown(type));
                   const Value* piece = part.Find("text");
                   if (piece == nullptr || piece->text() == nullptr)
                     return FieldErr(place + ".text", "expected a string, found {}", Shown(piece));
                   if (n++ > 0) text += '\n';
                   text += *piece->text();
                   return *piece;
                 }));
  return joins ? Value::String(std::move(text)) : content;
}

// The call, with its arguments as an object. A string is parsed as JSON. Missing or empty arguments
// become an object without members.
Result<Value> ReadToolCall(const jinja::Mapping& call, const std::string& where) {
  const Value* function = call.Find("function");
  if (function == nullptr || function->mapping() == nullptr)
    return FieldErr(where + ".function", "expected an object, found {}", Shown(function));
  Entries members = function->mapping()->entries;
  const Value* given = function->mapping()->Find("arguments");
  if (given == nullptr || !given->Truthy()) {
    TRY_ASSIGN(Value none, Value::Map({}));
    Put("arguments", std::move(none), &members);
  } else if (given->text() != nullptr) {
    TRY_ASSIGN(Value read, jinja::FromJson(*given->text(), where + ".function.arguments"));
    Put("arguments", std::move(read), &members);
  }
  TRY_ASSIGN(Value changed, Value::Map(std::move(members)));
  Entries entries = call.entries;
  Put("function", std::move(changed), &entries);
  return Value::Map(std::move(entries));
}

Result<Value> ReadOpenAiMessage(const jinja::Mapping& message, const std::string& where,
                                bool joins_parts) {
  const Value *role = message.Find("role"), *content = message.Find("content"),
              *calls = message.Find("tool_calls");
  if (role == nullptr || role->text() == nullptr)
    return FieldErr(where + ".role", "expected a string, found {}", Shown(role));
  if (const Value* audio = message.Find("audio"); audio != nullptr && !audio->is_none())
    return FieldErr(where + ".audio", "not supported");
  Entries entries = message.entries;
  if (content != nullptr && !content->is_none()) {
    TRY_ASSIGN(Value joined, JoinParts(*content, where + ".content", joins_parts));
    Put("content", std::move(joined), &entries);
  } else if (*role->text() != "assistant") {
    return FieldErr(where + ".content", "expected a string, found none");
  }
  if (calls != nullptr && !calls->is_none()) {
    TRY_ASSIGN(Value read, EachObject(*calls, where + ".tool_calls", ReadToolCall));
    if (read.sequence()->items.empty()) read = Value::NoneValue();  // the template sees no list
    Put("tool_calls", std::move(read), &entries);
  }
  return Value::Map(std::move(entries));
}

}  // namespace

Result<Value> ReadMessages(const Value& messages) {
  return EachObject(messages, "messages", ReadMessage);
}

Result<Value> ReadOpenAiMessages(const Value& messages, bool joins_parts) {
  return EachObject(messages, "messages",
                    [&](const jinja::Mapping& message, const std::string& where) {
                      return ReadOpenAiMessage(message, where, joins_parts);
                    });
}

Result<MarkedMessages> MarkEnd(const Value& messages, const std::string& field,
                               std::string_view source) {
  const auto fail = [](const std::string& expected) {
    return FieldErr("continue_final_message", "expected {}", expected);
  };
  std::vector<Value> items = messages.sequence()->items;
  if (items.empty()) return fail("a message, found none");
  const jinja::Mapping& message = *items.back().mapping();
  const Value* given = message.Find(field);
  if (given == nullptr) return fail(fmt::format("\"{}\" in the last message, found none", field));
  const Value last = *given;
  // ReadMessages has copied the reasoning to other names. A template may read any of these names,
  // so the mark goes into all of them.
  std::vector<std::string> fields = {field};
  if (std::ranges::find(kReasoning, field) != kReasoning.end()) {
    fields.clear();
    for (const std::string_view name : kReasoning)
      if (const Value* same = message.Find(name); same != nullptr && Equal(*same, last))
        fields.emplace_back(name);
  }
  if (std::ranges::none_of(fields, [&](const auto& name) { return source.contains(name); }))
    return fail(fmt::format("a chat template that reads \"{}\", found none", field));

  MarkedMessages marked;
  Value changed;
  if (last.text() != nullptr) {
    marked.last = *last.text();
    changed = Value::String(marked.last + std::string(kEndMark));
  } else if (last.sequence() != nullptr) {
    std::vector<Value> parts = last.sequence()->items;
    const auto part = std::find_if(parts.rbegin(), parts.rend(), [](const Value& value) {
      return value.mapping() != nullptr && value.mapping()->Find("text") != nullptr;
    });
    if (part == parts.rend() || part->mapping()->Find("text")->text() == nullptr)
      return fail("text in the last message, found none");
    marked.last = *part->mapping()->Find("text")->text();
    Entries entries = part->mapping()->entries;
    Put("text", Value::String(marked.last + std::string(kEndMark)), &entries);
    TRY_ASSIGN(*part, Value::Map(std::move(entries)));
    TRY_ASSIGN(changed, Value::List(std::move(parts)));
  } else {
    return fail(fmt::format("text as \"{}\" of the last message, found {}", field, Shown(&last)));
  }
  Entries entries = message.entries;
  for (const std::string& name : fields) Put(name, changed, &entries);
  TRY_ASSIGN(items.back(), Value::Map(std::move(entries)));
  TRY_ASSIGN(marked.messages, Value::List(std::move(items)));
  return marked;
}

Status CutAtMark(std::string_view last, std::string* text) {
  const std::string_view bare = kEndMark.substr(0, kEndMark.size() - 1);
  const size_t at = text->rfind(bare);
  if (at == text->npos || !text->contains(strings::Strip(last, true, true)))
    return FieldErr("continue_final_message",
                    "expected the chat template to give the last message as it is, "
                    "found it changed");
  const bool trimmed = std::string_view(*text).substr(at, kEndMark.size()) != kEndMark;
  text->resize(at);
  if (trimmed) text->resize(strings::Strip(*text, false, true).size());
  return {};
}

}  // namespace merope
