#include <algorithm>
#include <cmath>

#include "template/jinja/functions.h"
#include "text/strings.h"

namespace merope::jinja {
namespace {

std::unexpected<Error> Mismatch(std::string_view op, const Value& a, const Value& b) {
  return Err("\"{}\" between {} and {}", op, a.TypeName(), b.TypeName());
}

Result<Value> IntArithmetic(std::string_view op, int64_t a, int64_t b) {
  int64_t result = 0;
  bool overflow = false;
  if (op == "+") {
    overflow = __builtin_add_overflow(a, b, &result);
  } else if (op == "-") {
    overflow = __builtin_sub_overflow(a, b, &result);
  } else if (op == "*") {
    overflow = __builtin_mul_overflow(a, b, &result);
  } else if (op == "**") {
    if (b < 0) return Value::Double(std::pow(static_cast<double>(a), static_cast<double>(b)));
    result = 1;
    for (int64_t i = 0; i < b && !overflow && (a > 1 || a < -1 || i < 2); ++i)
      overflow = __builtin_mul_overflow(result, a, &result);
    if (a == -1 && b > 2) result = b % 2 == 0 ? 1 : -1;
  } else {
    if (b == 0) return Err("division by zero");
    if (b == -1) return IntArithmetic(op == "%" ? "*" : "-", 0, a);  // INT64_MIN / −1 overflows
    const int64_t remainder = a % b;
    const bool down = remainder != 0 && (remainder < 0) != (b < 0);  // Python rounds down
    result = op == "//" ? a / b - (down ? 1 : 0) : remainder + (down ? b : 0);
  }
  if (overflow) return Err("\"{}\" gives a number of more than 64 bits", op);
  return Value::Int(result);
}

Result<Value> FloatArithmetic(std::string_view op, double a, double b) {
  if (op == "+") return Value::Double(a + b);
  if (op == "-") return Value::Double(a - b);
  if (op == "*") return Value::Double(a * b);
  if (op == "**") return Value::Double(std::pow(a, b));
  if (b == 0) return Err("division by zero");
  if (op == "/") return Value::Double(a / b);
  double remainder = std::fmod(a, b);
  if (remainder != 0 && (remainder < 0) != (b < 0)) remainder += b;
  if (op == "%") return Value::Double(remainder);
  return Value::Double(std::floor((a - remainder) / b + 0.5));
}

Result<Value> Repeat(const Value& value, int64_t times) {
  if (const std::string* text = value.text()) {
    if (times > 0 && text->size() > strings::kMaxTextBytes / static_cast<size_t>(times))
      return Err("\"*\": a string of more than {} bytes", strings::kMaxTextBytes);
    std::string result;
    for (int64_t i = 0; i < times; ++i) result += *text;
    return LikeText(value, std::move(result));
  }
  std::vector<Value> items;
  const Sequence& sequence = *value.sequence();
  if (times > 0 && sequence.items.size() > size_t{100'000} / static_cast<size_t>(times))
    return Err("\"*\": a {} of more than 100000 items", value.TypeName());
  for (int64_t i = 0; i < times; ++i)
    items.insert(items.end(), sequence.items.begin(), sequence.items.end());
  return sequence.kind == Sequence::Kind::kTuple ? Value::Tuple(std::move(items))
                                                 : Value::List(std::move(items));
}

bool Repeatable(const Value& value) {
  return value.text() != nullptr || (value.sequence() != nullptr && value.sequence()->indexable());
}

Result<Value> Add(const Value& a, const Value& b) {
  if (a.text() != nullptr && b.text() != nullptr) {
    if (a.text()->size() + b.text()->size() > strings::kMaxTextBytes)
      return Err("\"+\": a string of more than {} bytes", strings::kMaxTextBytes);
    if (!a.is_markup() && !b.is_markup()) return Value::String(*a.text() + *b.text());
    TRY_ASSIGN(const Value left, Escaped(a));
    TRY_ASSIGN(const Value right, Escaped(b));
    return Value::Safe(*left.text() + *right.text());
  }
  const Sequence *left = a.sequence(), *right = b.sequence();
  if (left == nullptr || right == nullptr || left->kind != right->kind || !left->indexable())
    return Mismatch("+", a, b);
  std::vector<Value> items = left->items;
  items.insert(items.end(), right->items.begin(), right->items.end());
  return left->kind == Sequence::Kind::kTuple ? Value::Tuple(std::move(items))
                                              : Value::List(std::move(items));
}

}  // namespace

Result<Value> Arithmetic(std::string_view op, const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    const auto left = a.AsInt(), right = b.AsInt();
    if (left && right && op != "/") return IntArithmetic(op, *left, *right);
    return FloatArithmetic(op, *a.AsNumber(), *b.AsNumber());
  }
  if (op == "+") return Add(a, b);
  if (op == "*" && Repeatable(a) && b.AsInt()) return Repeat(a, *b.AsInt());
  if (op == "*" && Repeatable(b) && a.AsInt()) return Repeat(b, *a.AsInt());
  if (op == "%" && a.text() != nullptr) return PercentFormat(a, b);
  return Mismatch(op, a, b);
}

Result<Value> Sign(std::string_view op, const Value& value) {
  if (!value.is_number()) return Err("\"{}\" before {}", op, value.TypeName());
  if (const auto integer = value.AsInt()) return IntArithmetic(op, 0, *integer);
  return Value::Double(op == "-" ? -*value.AsNumber() : *value.AsNumber());
}

Result<bool> Contains(const Value& container, const Value& item) {
  if (const std::string* text = container.text()) {
    if (item.text() == nullptr) return Err("\"in\": {} in a str", item.TypeName());
    return text->find(*item.text()) != std::string::npos;
  }
  if (const Mapping* mapping = container.mapping()) return mapping->Find(item) != nullptr;
  TRY_ASSIGN(const std::vector<Value> items, Items(container));
  return std::ranges::any_of(items, [&item](const Value& other) { return Equal(item, other); });
}

Result<Value> Slice(const Value& value, const std::optional<Value>& start,
                    const std::optional<Value>& stop, const std::optional<Value>& step) {
  const std::string* text = value.text();
  const Sequence* sequence = value.sequence();
  if (text == nullptr && (sequence == nullptr || !sequence->indexable()))
    return Err("a slice of {}", value.TypeName());
  std::vector<size_t> offsets;
  if (text != nullptr) offsets = strings::CharacterOffsets(*text);
  const int64_t n = text != nullptr ? std::ssize(offsets) - 1 : std::ssize(sequence->items);
  TRY_ASSIGN(const int64_t by, IntArgument("slice", step, 1));
  if (by == 0) return Err("slice: a step of 0");
  // Python's rules: negative positions count from the end, and positions outside the value are
  // clamped.
  const int64_t low = by > 0 ? 0 : -1, high = by > 0 ? n : n - 1;
  const auto place = [&](const std::optional<Value>& given, int64_t fallback) -> Result<int64_t> {
    if (!given || given->is_none()) return fallback;
    TRY_ASSIGN(const int64_t at, IntArgument("slice", given, 0));
    return std::clamp(at < 0 ? std::max(at, -n - 1) + n : at, low, high);
  };
  TRY_ASSIGN(const int64_t begin, place(start, by > 0 ? low : high));
  TRY_ASSIGN(const int64_t end, place(stop, by > 0 ? high : low));
  std::string characters;
  std::vector<Value> items;
  for (int64_t i = begin; by > 0 ? i < end : i > end;) {
    const auto at = static_cast<size_t>(i);
    if (text != nullptr) {
      characters.append(*text, offsets[at], offsets[at + 1] - offsets[at]);
    } else {
      items.push_back(sequence->items[at]);
    }
    if (by > 0 ? by >= end - i : by <= end - i) break;
    i += by;
  }
  if (text != nullptr) return LikeText(value, std::move(characters));
  return sequence->kind == Sequence::Kind::kTuple ? Value::Tuple(std::move(items))
                                                  : Value::List(std::move(items));
}

Result<Value> Item(const Value& value, const Value& key) {
  if (value.is_undefined()) return Err("{} has no items", value.TypeName());
  const auto missing = [&]() -> Result<Value> {
    if (key.text() != nullptr) return Value::UndefinedNamed(*key.text());
    TRY_ASSIGN(const std::string name, ToRepr(key));
    return Value::UndefinedNamed("[" + name + "]");
  };
  if (const Mapping* mapping = value.mapping()) {
    const Value* found = mapping->Find(key);
    return found == nullptr ? missing() : *found;
  }
  if (Namespace* space = value.name_space(); space != nullptr && key.text() != nullptr) {
    const Value* found = space->Find(*key.text());
    return found == nullptr ? missing() : *found;
  }
  const auto index = key.AsInt();
  if (!index) return missing();
  if (const Sequence* sequence = value.sequence(); sequence != nullptr && sequence->indexable()) {
    const int64_t n = std::ssize(sequence->items), at = *index < 0 ? *index + n : *index;
    return at < 0 || at >= n ? missing() : sequence->items[static_cast<size_t>(at)];
  }
  if (const std::string* text = value.text()) {
    const std::vector<size_t> offsets = strings::CharacterOffsets(*text);
    const int64_t n = std::ssize(offsets) - 1, at = *index < 0 ? *index + n : *index;
    if (at < 0 || at >= n) return missing();
    const size_t begin = offsets[static_cast<size_t>(at)],
                 end = offsets[static_cast<size_t>(at) + 1];
    return LikeText(value, text->substr(begin, end - begin));
  }
  return missing();
}

}  // namespace merope::jinja
