#include <algorithm>
#include <array>

#include "template/date.h"
#include "template/jinja/renderer.h"
#include "text/strings.h"

namespace merope::jinja {
namespace {

using Kind = Expression::Kind;

// The functions of Jinja and transformers. An unsupported function is an error only when a template
// calls the function.
constexpr std::array<std::string_view, 8> kFunctions = {
    "raise_exception", "range", "namespace", "dict", "strftime_now", "cycler", "joiner", "lipsum"};
constexpr std::array<std::string_view, 2> kUnsupportedNames = {"self", "super"};

}  // namespace

Result<Value> Renderer::Evaluate(const Expression& expression) {
  if (Status paid = Spend(1); !paid) return At(expression.line, std::move(paid).error());
  Result<Value> value = EvaluateKind(expression);
  if (!value) return At(expression.line, std::move(value).error());
  const bool made = expression.kind != Kind::kConstant && expression.kind != Kind::kName &&
                    expression.kind != Kind::kAttribute && expression.kind != Kind::kItem;
  if (!made) return value;
  if (Status paid = Charge(*value); !paid) return At(expression.line, std::move(paid).error());
  return value;
}

Result<Value> Renderer::EvaluateKind(const Expression& expression) {
  const auto operand = [&](size_t i) { return Evaluate(*expression.children[i]); };
  switch (expression.kind) {
    case Kind::kConstant:
      return expression.value;
    case Kind::kName:
      return Name(expression);
    case Kind::kList:
    case Kind::kTuple:
    case Kind::kDict:
      return Items_(expression);
    case Kind::kNot: {
      TRY_ASSIGN(const Value value, operand(0));
      return Value::Bool(!value.Truthy());
    }
    case Kind::kUnary: {
      TRY_ASSIGN(const Value value, operand(0));
      return Sign(expression.name, value);
    }
    case Kind::kBinary: {
      TRY_ASSIGN(const Value left, operand(0));
      TRY_ASSIGN(const Value right, operand(1));
      return Arithmetic(expression.name, left, right);
    }
    case Kind::kConcat:
      return Concat(expression);
    case Kind::kAnd:
    case Kind::kOr: {
      TRY_ASSIGN(Value left, operand(0));
      if (left.Truthy() == (expression.kind == Kind::kOr)) return left;
      return operand(1);
    }
    case Kind::kCompare:
      return Compare(expression);
    case Kind::kConditional: {
      TRY_ASSIGN(const Value condition, operand(1));
      if (condition.Truthy()) return operand(0);
      if (expression.children.size() > 2) return operand(2);
      return Value::UndefinedNamed("\"else\" of a conditional");
    }
    case Kind::kAttribute: {
      const Expression& owner = *expression.children[0];
      if (owner.kind == Kind::kName && owner.name == "loop" && FindLoop() != nullptr)
        return LoopAttribute(expression);
      TRY_ASSIGN(const Value value, operand(0));
      return Attribute(value, expression.name);
    }
    case Kind::kItem: {
      TRY_ASSIGN(const Value value, operand(0));
      TRY_ASSIGN(const Value key, operand(1));
      return Item(value, key);
    }
    case Kind::kSlice:
      return SliceOf(expression);
    case Kind::kCall:
      return Call(expression);
    case Kind::kFilter: {
      TRY_ASSIGN(const Value value, operand(0));
      TRY_ASSIGN(const Arguments arguments, EvaluateArguments(expression));
      return ApplyFilter(expression.name, value, arguments);
    }
    case Kind::kTest: {
      TRY_ASSIGN(const Value value, operand(0));
      TRY_ASSIGN(const Arguments arguments, EvaluateArguments(expression));
      TRY_ASSIGN(const bool holds, ApplyTest(expression.name, value, arguments));
      return Value::Bool(holds);
    }
  }
  return Value();
}

Result<Value> Renderer::Name(const Expression& expression) const {
  const std::string& name = expression.name;
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
    for (const auto& [known, value] : scope->names)
      if (known == name) return value;
    if (scope->loop != nullptr && name == "loop")
      return Err("\"loop\" without an attribute is not supported");
  }
  for (const auto& [known, value] : globals_)
    if (known == name) return value;
  if (std::ranges::find(kFunctions, name) != kFunctions.end())
    return Value(Value::Data(std::make_shared<const Callable>(name)));
  if (std::ranges::find(kUnsupportedNames, name) != kUnsupportedNames.end())
    return Err("\"{}\" is not supported", name);
  return Value::UndefinedNamed(name);
}

Result<Value> Renderer::Items_(const Expression& expression) {
  std::vector<Value> items;
  for (const ExpressionPtr& child : expression.children) {
    TRY_ASSIGN(Value item, Evaluate(*child));
    items.push_back(std::move(item));
  }
  if (expression.kind == Kind::kList) return Value::List(std::move(items));
  if (expression.kind == Kind::kTuple) return Value::Tuple(std::move(items));
  std::vector<std::pair<Value, Value>> entries;
  for (size_t i = 0; i < items.size(); i += 2)
    entries.emplace_back(std::move(items[i]), std::move(items[i + 1]));
  return Value::Map(std::move(entries));
}

// a < b < c holds if every pair holds. After a pair that does not hold, Compare does not evaluate
// the remaining operands.
Result<Value> Renderer::Compare(const Expression& expression) {
  TRY_ASSIGN(Value left, Evaluate(*expression.children[0]));
  for (size_t i = 0; i < expression.names.size(); ++i) {
    const std::string& op = expression.names[i];
    TRY_ASSIGN(Value right, Evaluate(*expression.children[i + 1]));
    Result<bool> holds = false;
    if (op == "==" || op == "!=") {
      holds = Equal(left, right) == (op == "==");
    } else if (op == "in" || op == "not in") {
      holds = Contains(right, left);
      if (holds) holds = *holds == (op == "in");
    } else if (op == "<" || op == ">") {
      holds = op == "<" ? Less(left, right) : Less(right, left);
    } else {
      holds = op == "<=" ? Less(right, left) : Less(left, right);
      if (holds) holds = !*holds;
    }
    if (!holds) return std::unexpected(std::move(holds).error());
    if (!*holds) return Value::Bool(false);
    left = std::move(right);
  }
  return Value::Bool(true);
}

Result<Value> Renderer::Concat(const Expression& expression) {
  std::vector<Value> parts;
  for (const ExpressionPtr& child : expression.children) {
    TRY_ASSIGN(Value part, Evaluate(*child));
    parts.push_back(std::move(part));
  }
  TRY_ASSIGN(std::string text, Join(parts, ""));
  return Value::String(std::move(text));
}

Result<Value> Renderer::SliceOf(const Expression& expression) {
  TRY_ASSIGN(const Value value, Evaluate(*expression.children[0]));
  std::array<std::optional<Value>, 3> parts;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (expression.children[i + 1] == nullptr) continue;
    TRY_ASSIGN(parts[i], Evaluate(*expression.children[i + 1]));
  }
  return Slice(value, parts[0], parts[1], parts[2]);
}

Result<Arguments> Renderer::EvaluateArguments(const Expression& expression) {
  Arguments arguments;
  for (size_t i = 1; i < expression.children.size(); ++i) {
    TRY_ASSIGN(Value value, Evaluate(*expression.children[i]));
    arguments.positional.push_back(std::move(value));
  }
  for (const auto& [name, child] : expression.keywords) {
    TRY_ASSIGN(Value value, Evaluate(*child));
    arguments.named.emplace_back(name, std::move(value));
  }
  if (expression.spread != nullptr) {
    TRY_ASSIGN(const Value value, Evaluate(*expression.spread));
    TRY_ASSIGN(const std::vector<Value> items, Items(value));
    arguments.positional.insert(arguments.positional.end(), items.begin(), items.end());
  }
  if (expression.named_spread != nullptr) {
    TRY_ASSIGN(const Value value, Evaluate(*expression.named_spread));
    if (value.mapping() == nullptr)
      return Err("\"**\": expected a dict, found {}", value.TypeName());
    for (const auto& [key, item] : value.mapping()->entries) {
      if (key.text() == nullptr) return Err("\"**\": a {} as a name", key.TypeName());
      arguments.named.emplace_back(*key.text(), item);
    }
  }
  for (size_t i = 0; i < arguments.named.size(); ++i)
    for (size_t j = 0; j < i; ++j)
      if (arguments.named[i].first == arguments.named[j].first)
        return Err("the argument \"{}\" is given twice", arguments.named[i].first);
  return arguments;
}

Result<Value> Renderer::Call(const Expression& expression, const Value* caller) {
  const Expression& callee = *expression.children[0];
  const bool of_loop = callee.kind == Kind::kAttribute && callee.children[0]->kind == Kind::kName &&
                       callee.children[0]->name == "loop" && FindLoop() != nullptr;
  if (of_loop && callee.name == "cycle") {
    TRY_ASSIGN(const Arguments arguments, EvaluateArguments(expression));
    const std::vector<Value>& values = arguments.positional;
    if (values.empty()) return Err("loop.cycle: expected arguments");
    return values[FindLoop()->index % values.size()];
  }
  TRY_ASSIGN(const Value function, Evaluate(callee));
  TRY_ASSIGN(Arguments arguments, EvaluateArguments(expression));
  if (caller != nullptr) arguments.named.emplace_back("caller", *caller);
  const Callable* callable = function.callable();
  if (callable == nullptr) return Err("{} cannot be called", function.TypeName());
  if (callable->macro != nullptr) return CallMacro(*callable, arguments);
  if (callable->name == "joiner" && callable->self) {
    // The first call returns an empty string. Each later call returns the separator.
    TRY(Bind("joiner", arguments, {}, 0));
    Namespace& joiner = *callable->self->name_space();
    const bool used = std::exchange(joiner.fields[0].second, Value::Bool(true)).Truthy();
    return used ? joiner.fields[1].second : Value::String("");
  }
  if (callable->self) return CallMethod(*callable->self, callable->name, arguments);
  return CallFunction(callable->name, arguments);
}

Result<Value> Renderer::CallFunction(const std::string& name, const Arguments& arguments) {
  if (name == "raise_exception") {
    TRY_ASSIGN(const Bound bound, Bind(name, arguments, {"message"}, 1));
    TRY_ASSIGN(const std::string message, ToText(*bound[0]));
    return Err("the template refuses these messages: {}", message);
  }
  if (name == "strftime_now") {
    TRY_ASSIGN(const Bound bound, Bind(name, arguments, {"format"}, 1));
    TRY_ASSIGN(const auto format, TextArgument(name, bound[0]));
    if (!format) return Err("strftime_now: expected a format, found None");
    TRY_ASSIGN(std::string text, FormatDate(date_, *format));
    return Value::String(std::move(text));
  }
  if (name == "range") {
    TRY_ASSIGN(const Bound bound, Bind(name, arguments, {"start", "stop", "step"}, 1));
    TRY_ASSIGN(int64_t start, IntArgument(name, bound[0], 0));
    TRY_ASSIGN(int64_t stop, IntArgument(name, bound[1], start));
    TRY_ASSIGN(const int64_t step, IntArgument(name, bound[2], 1));
    if (!bound[1]) start = 0;
    if (step == 0) return Err("range: a step of 0");
    constexpr int64_t kMaxRange = 100'000;  // the limit of Jinja's sandbox
    std::vector<Value> items;
    for (int64_t i = start; step > 0 ? i < stop : i > stop;) {
      if (std::ssize(items) == kMaxRange) return Err("range: more than {} items", kMaxRange);
      items.push_back(Value::Int(i));
      if (__builtin_add_overflow(i, step, &i)) break;
    }
    return Value::List(std::move(items));
  }
  if (name == "joiner") {
    TRY_ASSIGN(const Bound bound, Bind(name, arguments, {"sep"}, 0));
    Namespace& joiner = namespaces_.emplace_back();
    joiner.fields = {{"used", Value::Bool(false)}, {"sep", bound[0].value_or(Value::String(", "))}};
    return Value(Value::Data(std::make_shared<const Callable>(name, Value(Value::Data(&joiner)))));
  }
  if (name != "namespace" && name != "dict")
    return Err("the function \"{}\" is not supported", name);
  std::vector<std::pair<Value, Value>> entries;
  if (arguments.positional.size() > 1)
    return Err("{}: expected at most 1 argument without a name", name);
  if (!arguments.positional.empty()) {
    const Mapping* mapping = arguments.positional.front().mapping();
    if (mapping == nullptr)
      return Err("{}: expected a dict, found {}", name, arguments.positional.front().TypeName());
    entries = mapping->entries;
  }
  for (const auto& [field, value] : arguments.named)
    entries.emplace_back(Value::String(field), value);
  TRY_ASSIGN(Value map, Value::Map(std::move(entries)));
  if (name == "dict") return map;
  Namespace& space = namespaces_.emplace_back();
  for (const auto& [field, value] : map.mapping()->entries) {
    if (field.text() == nullptr) continue;
    if (field.text()->starts_with('_'))
      return Err("namespace: \"{}\" begins with _", *field.text());
    space.fields.emplace_back(*field.text(), value);
  }
  return Value(Value::Data(&space));
}

const Renderer::Loop* Renderer::FindLoop() const {
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->parent) {
    if (scope->loop != nullptr) return scope->loop;
    for (const auto& [name, value] : scope->names)
      if (name == "loop") return nullptr;  // a variable has the name "loop"
  }
  return nullptr;
}

Result<Value> Renderer::LoopAttribute(const Expression& expression) const {
  const std::string& name = expression.name;
  const Loop& loop = *FindLoop();
  const int64_t n = std::ssize(*loop.items), i = static_cast<int64_t>(loop.index);
  if (name == "index") return Value::Int(i + 1);
  if (name == "index0") return Value::Int(i);
  if (name == "revindex") return Value::Int(n - i);
  if (name == "revindex0") return Value::Int(n - i - 1);
  if (name == "first") return Value::Bool(i == 0);
  if (name == "last") return Value::Bool(i == n - 1);
  if (name == "length") return Value::Int(n);
  if (name == "depth") return Value::Int(1);  // only recursive loops have a larger depth
  if (name == "depth0") return Value::Int(0);
  if (name == "previtem")
    return i == 0 ? Value::UndefinedNamed("loop.previtem") : (*loop.items)[loop.index - 1];
  if (name == "nextitem")
    return i == n - 1 ? Value::UndefinedNamed("loop.nextitem") : (*loop.items)[loop.index + 1];
  return Err("loop.{} is not supported", name);
}

}  // namespace merope::jinja
