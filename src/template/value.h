// Value: a value in a chat template. A Value behaves like a Python value, as far as templates need.
// Values are immutable, except namespaces. The renderer owns the namespaces. Values share sequences
// and mappings. Sequences and mappings have no cycles, and their size and depth are limited.
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
// The result of a look-up that finds nothing. An undefined value is false and empty, and any other
// use is an error. name: the name that was looked up, for the error.
struct Undefined {
  Text name;
};
struct None {};
// Text that the filters safe and escape have marked. Text that is joined to markup is escaped.
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
  // Errors: too many items, or values that are nested too deeply.
  static Result<Value> List(std::vector<Value> items);
  static Result<Value> Tuple(std::vector<Value> items);
  static Result<Value> View(std::vector<Value> items);
  static Result<Value> Generator(std::vector<Value> items);
  // If keys are equal, the mapping has the value of the last key at the position of the first key.
  static Result<Value> Map(std::vector<std::pair<Value, Value>> entries);

  bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
  bool is_none() const { return std::holds_alternative<None>(data_); }
  bool is_number() const { return AsNumber().has_value(); }  // bool included, as in Python
  // The content if the value has this type, otherwise nullptr (or nullopt).
  const std::string* text() const;  // of a string or of markup
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
      const;  // Python's name, such as "str"; for an undefined value, the name that was looked up
  const Data& data() const { return data_; }

 private:
  Data data_;
};

// Returns text as markup if other is markup, otherwise as a string.
inline Value LikeText(const Value& other, std::string text) {
  return other.is_markup() ? Value::Safe(std::move(text)) : Value::String(std::move(text));
}

// A list, a tuple, a view (of a dict's items) or a generator (the result of a filter such as map).
// Templates can iterate views and generators, but cannot index them. A template can iterate a
// generator only once.
struct Sequence {
  enum class Kind : uint8_t { kList, kTuple, kView, kGenerator };
  Kind kind;
  std::vector<Value> items;
  int depth = 1;
  mutable bool spent = false;  // the generator has already been iterated

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
// A named function, a method with its object, a macro, or the body of a call block. A template can
// call the body of a call block only while that block runs.
struct Callable {
  std::string name;
  std::optional<Value> self;
  const MacroNode* macro = nullptr;
  int64_t call_block = 0;  // the number of the call block; 0: not the body of a call block
};

// Python's ==. Equal never fails.
bool Equal(const Value& a, const Value& b);
// Python's <. Types without an order are an error.
Result<bool> Less(const Value& a, const Value& b);
// The items of a value that can be iterated: the items of a sequence, the characters of a string or
// the keys of a mapping.
Result<std::vector<Value>> Items(const Value& value);
// Python's len(). A value without a length is an error.
Result<int64_t> Length(const Value& value);

// Python's str(), repr() and json.dumps(ensure_ascii=False).
Result<std::string> ToText(const Value& value);
Result<std::string> ToRepr(const Value& value);
struct JsonStyle {
  std::optional<int> indent;
  std::string item_separator = ", ", key_separator = ": ";
  bool sort_keys = false, ensure_ascii = false;
};
Result<std::string> ToJson(const Value& value, const JsonStyle& style);

}  // namespace merope::jinja
