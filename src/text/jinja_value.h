// The values that a chat template computes with: Python's, as far as templates use them. Immutable
// but for namespaces, which the renderer owns; sequences and mappings are shared, never cyclic, and
// bounded in size and depth.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "base/error.h"

namespace merope::jinja {

struct Sequence;
struct Mapping;
struct Namespace;
struct Callable;

using Text = std::shared_ptr<const std::string>;
// What a look-up that found nothing gives: false, empty, and an error in all else. The name is for
// that error.
struct Undefined {
  Text name;
};
struct None {};
// Text that the filters safe and escape marked: what is joined to it is escaped.
struct Markup {
  Text text;
};

class Value {
 public:
  using Data = std::variant<Undefined, None, bool, int64_t, double, Text, Markup,
                            std::shared_ptr<const Sequence>, std::shared_ptr<const Mapping>,
                            Namespace*, std::shared_ptr<const Callable>>;

  Value() : data_(Undefined{}) {}
  explicit Value(Data data) : data_(std::move(data)) {}
  static Value Bool(bool value) { return Value(Data(value)); }
  static Value Int(int64_t value) { return Value(Data(value)); }
  static Value Double(double value) { return Value(Data(value)); }
  static Value String(std::string value) {
    return Value(Data(std::make_shared<const std::string>(std::move(value))));
  }
  static Value Safe(std::string value) {
    return Value(Data(Markup{std::make_shared<const std::string>(std::move(value))}));
  }
  static Value NoneValue() { return Value(Data(None{})); }
  static Value UndefinedNamed(std::string name) {
    return Value(Data(Undefined{std::make_shared<const std::string>(std::move(name))}));
  }
  // Errors: too many items, or nested too deeply.
  static Result<Value> List(std::vector<Value> items);
  static Result<Value> Tuple(std::vector<Value> items);
  static Result<Value> View(std::vector<Value> items);
  static Result<Value> Generator(std::vector<Value> items);
  // Of equal keys the last counts, at the place of the first.
  static Result<Value> Map(std::vector<std::pair<Value, Value>> entries);

  bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
  bool is_none() const { return std::holds_alternative<None>(data_); }
  bool is_number() const { return AsNumber().has_value(); }  // bool included, as in Python
  // The content where the value is of that type; otherwise nullptr (or nullopt).
  const std::string* text() const;  // marked or not
  bool is_markup() const { return std::holds_alternative<Markup>(data_); }
  const Sequence* sequence() const;
  const Mapping* mapping() const;
  Namespace* name_space() const;
  const Callable* callable() const;
  std::optional<bool> AsBool() const;
  std::optional<int64_t> AsInt() const;  // bool and int
  std::optional<double> AsNumber() const;

  bool Truthy() const;
  std::string TypeName()
      const;  // "str", "list", … as Python calls it; for an undefined one, what was looked up
  const Data& data() const { return data_; }

 private:
  Data data_;
};

// A string that is markup where the other is.
inline Value LikeText(const Value& other, std::string text) {
  return other.is_markup() ? Value::Safe(std::move(text)) : Value::String(std::move(text));
}

// Views (of a dict's items) and generators (of filters like map) can be iterated, but not indexed;
// a generator only once.
struct Sequence {
  enum class Kind : uint8_t { kList, kTuple, kView, kGenerator };
  Kind kind;
  std::vector<Value> items;
  int depth = 1;
  mutable bool spent = false;  // a generator that was iterated

  bool indexable() const { return kind == Kind::kList || kind == Kind::kTuple; }
};

struct Mapping {
  std::vector<std::pair<Value, Value>> entries;  // in the order of insertion
  int depth = 1;

  const Value* Find(const Value& key) const;
  const Value* Find(std::string_view key) const;
};

struct Namespace {
  std::vector<std::pair<std::string, Value>> fields;
  Value* Find(std::string_view name);
};

struct MacroNode;
// A function by name, a method bound to its object, a macro, or the body of a call block, which
// can be called while that block runs.
struct Callable {
  std::string name;
  std::optional<Value> self;
  const MacroNode* macro = nullptr;
  int64_t call_block = 0;  // its number
};

// Python's ==; never an error.
bool Equal(const Value& a, const Value& b);
// Python's <; an error where the types have no order.
Result<bool> Less(const Value& a, const Value& b);
// The items of anything that can be iterated: characters of a string, keys of a mapping.
Result<std::vector<Value>> Items(const Value& value);
// len(); an error for what has none.
Result<int64_t> Length(const Value& value);

// str(), repr() and json.dumps(ensure_ascii=False).
Result<std::string> ToText(const Value& value);
Result<std::string> ToRepr(const Value& value);
struct JsonStyle {
  std::optional<int> indent;
  std::string item_separator = ", ", key_separator = ": ";
  bool sort_keys = false, ensure_ascii = false;
};
Result<std::string> ToJson(const Value& value, const JsonStyle& style);

}  // namespace merope::jinja
