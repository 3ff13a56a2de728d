#include <algorithm>

#include "template/jinja/functions.h"
#include "text/strings.h"

namespace merope::jinja {
namespace {

struct Test {
  std::string_view name;
  size_t arguments;
  Result<bool> (*run)(const Value& value, const Bound& arguments);
};

Result<bool> SameAs(const Value& value, const Bound& arguments) {
  const Value& other = *arguments[0];
  if (value.data().index() != other.data().index()) return false;
  if (value.is_none() || value.AsBool()) return Equal(value, other);
  return Err("test sameas: only true, false and none are supported, found {}", value.TypeName());
}

Result<bool> Remainder(const Value& value, const Value& divisor, int64_t expected) {
  TRY_ASSIGN(const Value remainder, Arithmetic("%", value, divisor));
  return Equal(remainder, Value::Int(expected));
}

Result<bool> Negate(Result<bool> result) {
  if (result) *result = !*result;
  return result;
}

bool Iterable(const Value& value) {
  return value.is_undefined() || value.text() != nullptr || value.sequence() != nullptr ||
         value.mapping() != nullptr;
}

Result<bool> OneCase(const Value& value, bool upper) {
  TRY_ASSIGN(const std::string text, ToText(value));
  TRY_ASSIGN(const Value holds, CallMethod(Value::String(text), upper ? "isupper" : "islower", {}));
  return holds.Truthy();
}

using V = const Value&;
using B = const Bound&;
const Test kTests[] = {
    {"boolean", 0, [](V v, B) -> Result<bool> { return v.AsBool().has_value(); }},
    {"callable", 0, [](V v, B) -> Result<bool> { return v.callable() != nullptr; }},
    {"defined", 0, [](V v, B) -> Result<bool> { return !v.is_undefined(); }},
    {"divisibleby", 1, [](V v, B a) { return Remainder(v, *a[0], 0); }},
    {"even", 0, [](V v, B) { return Remainder(v, Value::Int(2), 0); }},
    {"odd", 0, [](V v, B) { return Remainder(v, Value::Int(2), 1); }},
    {"false", 0, [](V v, B) -> Result<bool> { return v.AsBool() == false; }},
    {"true", 0, [](V v, B) -> Result<bool> { return v.AsBool() == true; }},
    {"float", 0, [](V v, B) -> Result<bool> { return v.is_number() && !v.AsInt(); }},
    {"integer", 0, [](V v, B) -> Result<bool> { return v.AsInt() && !v.AsBool(); }},
    {"number", 0, [](V v, B) -> Result<bool> { return v.is_number(); }},
    {"in", 1, [](V v, B a) { return Contains(*a[0], v); }},
    {"escaped", 0, [](V v, B) -> Result<bool> { return v.is_markup(); }},
    {"iterable", 0, [](V v, B) -> Result<bool> { return Iterable(v); }},
    {"sequence", 0,
     [](V v, B) -> Result<bool> {
       return Iterable(v) && (v.sequence() == nullptr || v.sequence()->indexable());
     }},
    {"lower", 0, [](V v, B) { return OneCase(v, false); }},
    {"upper", 0, [](V v, B) { return OneCase(v, true); }},
    {"mapping", 0, [](V v, B) -> Result<bool> { return v.mapping() != nullptr; }},
    {"none", 0, [](V v, B) -> Result<bool> { return v.is_none(); }},
    {"sameas", 1, SameAs},
    {"string", 0, [](V v, B) -> Result<bool> { return v.text() != nullptr; }},
    {"undefined", 0, [](V v, B) -> Result<bool> { return v.is_undefined(); }},
    {"eq", 1, [](V v, B a) -> Result<bool> { return Equal(v, *a[0]); }},
    {"equalto", 1, [](V v, B a) -> Result<bool> { return Equal(v, *a[0]); }},
    {"==", 1, [](V v, B a) -> Result<bool> { return Equal(v, *a[0]); }},
    {"ne", 1, [](V v, B a) -> Result<bool> { return !Equal(v, *a[0]); }},
    {"!=", 1, [](V v, B a) -> Result<bool> { return !Equal(v, *a[0]); }},
    {"lt", 1, [](V v, B a) { return Less(v, *a[0]); }},
    {"lessthan", 1, [](V v, B a) { return Less(v, *a[0]); }},
    {"<", 1, [](V v, B a) { return Less(v, *a[0]); }},
    {"gt", 1, [](V v, B a) { return Less(*a[0], v); }},
    {"greaterthan", 1, [](V v, B a) { return Less(*a[0], v); }},
    {">", 1, [](V v, B a) { return Less(*a[0], v); }},
    {"le", 1, [](V v, B a) { return Negate(Less(*a[0], v)); }},
    {"<=", 1, [](V v, B a) { return Negate(Less(*a[0], v)); }},
    {"ge", 1, [](V v, B a) { return Negate(Less(v, *a[0])); }},
    {">=", 1, [](V v, B a) { return Negate(Less(v, *a[0])); }},
};

const Test* FindTest(std::string_view name) {
  const auto* found = std::ranges::find(kTests, name, &Test::name);
  return found == std::end(kTests) ? nullptr : found;
}

}  // namespace

bool HasTest(std::string_view name) { return FindTest(name) != nullptr; }

Result<bool> ApplyTest(std::string_view name, const Value& input, const Arguments& arguments) {
  const Test* test = FindTest(name);
  if (test == nullptr) return Err("the test \"{}\" is not supported", name);
  if (!arguments.named.empty() || arguments.positional.size() != test->arguments)
    return Err("test {}: expected {} arguments, found {}", name, test->arguments,
               arguments.positional.size() + arguments.named.size());
  return test->run(input, Bound(arguments.positional.begin(), arguments.positional.end()));
}

}  // namespace merope::jinja
