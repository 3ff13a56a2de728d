#include "template/value.h"

#include <algorithm>

#include "text/strings.h"

namespace merope::jinja {
namespace {

constexpr size_t kMaxItems = 100'000;
constexpr int kMaxValueDepth = 64;

int Depth(const Value& value) {
  if (const Sequence* sequence = value.sequence()) return sequence->depth;
  if (const Mapping* mapping = value.mapping()) return mapping->depth;
  return 0;
}

Status CheckSize(size_t items, int depth) {
  if (items > kMaxItems) return Err("a value of more than {} items", kMaxItems);
  if (depth > kMaxValueDepth) return Err("a value nested deeper than {} levels", kMaxValueDepth);
  return {};
}

Result<Value> MakeSequence(Sequence::Kind kind, std::vector<Value> items) {
  auto sequence = std::make_shared<Sequence>(kind, std::move(items));
  for (const Value& item : sequence->items)
    sequence->depth = std::max(sequence->depth, Depth(item) + 1);
  TRY(CheckSize(sequence->items.size(), sequence->depth));
  return Value(Value::Data(std::shared_ptr<const Sequence>(std::move(sequence))));
}

template <class T>
const T* Shared(const Value::Data& data) {
  const auto* pointer = std::get_if<std::shared_ptr<const T>>(&data);
  return pointer == nullptr ? nullptr : pointer->get();
}

bool SameSequence(const Sequence& a, const Sequence& b) {
  return a.kind == b.kind && a.indexable() &&
         std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(), Equal);
}

bool SameMapping(const Mapping& a, const Mapping& b) {
  return a.entries.size() == b.entries.size() &&
         std::all_of(a.entries.begin(), a.entries.end(), [&b](const auto& entry) {
           const Value* other = b.Find(entry.first);
           return other != nullptr && Equal(entry.second, *other);
         });
}

}  // namespace

Result<Value> Value::List(std::vector<Value> items) {
  return MakeSequence(Sequence::Kind::kList, std::move(items));
}
Result<Value> Value::Tuple(std::vector<Value> items) {
  return MakeSequence(Sequence::Kind::kTuple, std::move(items));
}
Result<Value> Value::View(std::vector<Value> items) {
  return MakeSequence(Sequence::Kind::kView, std::move(items));
}
Result<Value> Value::Generator(std::vector<Value> items) {
  return MakeSequence(Sequence::Kind::kGenerator, std::move(items));
}

Result<Value> Value::Map(std::vector<std::pair<Value, Value>> entries) {
  auto mapping = std::make_shared<Mapping>();
  for (auto& [key, value] : entries) {
    if (key.mapping() != nullptr ||
        (key.sequence() != nullptr && key.sequence()->kind != Sequence::Kind::kTuple))
      return Err("a {} as the key of a dict", key.TypeName());
    mapping->depth = std::max({mapping->depth, Depth(key) + 1, Depth(value) + 1});
    if (const Value* known = mapping->Find(key)) {
      *const_cast<Value*>(known) = std::move(value);  // nothing else refers to the mapping yet
    } else {
      mapping->entries.emplace_back(std::move(key), std::move(value));
    }
  }
  TRY(CheckSize(mapping->entries.size(), mapping->depth));
  return Value(Data(std::shared_ptr<const Mapping>(std::move(mapping))));
}

const std::string* Value::text() const {
  if (const auto* markup = std::get_if<Markup>(&data_)) return markup->text.get();
  const auto* text = std::get_if<Text>(&data_);
  return text == nullptr ? nullptr : text->get();
}
const Sequence* Value::sequence() const { return Shared<Sequence>(data_); }
const Mapping* Value::mapping() const { return Shared<Mapping>(data_); }
const Callable* Value::callable() const { return Shared<Callable>(data_); }
Namespace* Value::name_space() const {
  const auto* found = std::get_if<Namespace*>(&data_);
  return found == nullptr ? nullptr : *found;
}

std::optional<bool> Value::AsBool() const {
  const auto* value = std::get_if<bool>(&data_);
  return value == nullptr ? std::nullopt : std::optional(*value);
}

std::optional<int64_t> Value::AsInt() const {
  if (const auto* value = std::get_if<int64_t>(&data_)) return *value;
  if (const auto* value = std::get_if<bool>(&data_)) return *value ? 1 : 0;
  return std::nullopt;
}

std::optional<double> Value::AsNumber() const {
  if (const auto* value = std::get_if<double>(&data_)) return *value;
  if (const auto value = AsInt()) return static_cast<double>(*value);
  return std::nullopt;
}

bool Value::Truthy() const {
  if (is_undefined() || is_none()) return false;
  if (const auto number = AsNumber()) return *number != 0;
  if (const std::string* string = text()) return !string->empty();
  if (const Sequence* items = sequence())
    return items->kind == Sequence::Kind::kGenerator || !items->items.empty();
  if (const Mapping* map = mapping()) return !map->entries.empty();
  return true;
}

std::string Value::TypeName() const {
  if (const auto* undefined = std::get_if<Undefined>(&data_))
    return undefined->name == nullptr ? "undefined" : "undefined " + *undefined->name;
  if (is_none()) return "None";
  if (AsBool()) return "bool";
  if (std::holds_alternative<int64_t>(data_)) return "int";
  if (std::holds_alternative<double>(data_)) return "float";
  if (text() != nullptr) return "str";
  if (mapping() != nullptr) return "dict";
  if (name_space() != nullptr) return "namespace";
  if (callable() != nullptr) return "function";
  switch (sequence()->kind) {
    case Sequence::Kind::kList:
      return "list";
    case Sequence::Kind::kTuple:
      return "tuple";
    case Sequence::Kind::kView:
      return "dict view";
    case Sequence::Kind::kGenerator:
      return "generator";
  }
  return "?";
}

const Value* Mapping::Find(const Value& key) const {
  for (const auto& [known, value] : entries)
    if (Equal(known, key)) return &value;
  return nullptr;
}

const Value* Mapping::Find(std::string_view key) const {
  for (const auto& [known, value] : entries)
    if (known.text() != nullptr && *known.text() == key) return &value;
  return nullptr;
}

Value* Namespace::Find(std::string_view name) {
  for (auto& [known, value] : fields)
    if (known == name) return &value;
  return nullptr;
}

bool Equal(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    const auto left = a.AsInt(), right = b.AsInt();
    return left && right ? *left == *right : *a.AsNumber() == *b.AsNumber();
  }
  if (a.text() != nullptr && b.text() != nullptr) return *a.text() == *b.text();
  if (a.data().index() != b.data().index()) return false;
  if (a.is_undefined() || a.is_none()) return true;
  if (a.sequence() != nullptr)
    return a.sequence() == b.sequence() || SameSequence(*a.sequence(), *b.sequence());
  if (a.mapping() != nullptr) return SameMapping(*a.mapping(), *b.mapping());
  if (a.name_space() != nullptr) return a.name_space() == b.name_space();
  return a.callable() == b.callable();
}

Result<bool> Less(const Value& a, const Value& b) {
  if (a.is_number() && b.is_number()) {
    const auto left = a.AsInt(), right = b.AsInt();
    return left && right ? *left < *right : *a.AsNumber() < *b.AsNumber();
  }
  // The order of UTF-8 bytes is the order of the code points.
  if (a.text() != nullptr && b.text() != nullptr) return *a.text() < *b.text();
  const Sequence *left = a.sequence(), *right = b.sequence();
  if (left != nullptr && right != nullptr && left->kind == right->kind && left->indexable()) {
    const size_t n = std::min(left->items.size(), right->items.size());
    for (size_t i = 0; i < n; ++i)
      if (!Equal(left->items[i], right->items[i])) return Less(left->items[i], right->items[i]);
    return left->items.size() < right->items.size();
  }
  return Err("{} and {} have no order", a.TypeName(), b.TypeName());
}

Result<std::vector<Value>> Items(const Value& value) {
  std::vector<Value> items;
  if (value.is_undefined()) return items;
  if (const std::string* text = value.text()) {
    if (text->size() > kMaxItems)
      return Err("a string of more than {} bytes, to iterate", kMaxItems);
    for (size_t at = 0; at < text->size();) {
      const size_t n = strings::CharacterBytes(*text, at);
      items.push_back(Value::String(text->substr(at, n)));
      at += n;
    }
    return items;
  }
  if (const Sequence* sequence = value.sequence()) {
    if (sequence->kind != Sequence::Kind::kGenerator) return sequence->items;
    if (std::exchange(sequence->spent, true)) return items;
    return sequence->items;
  }
  if (const Mapping* mapping = value.mapping()) {
    for (const auto& entry : mapping->entries) items.push_back(entry.first);
    return items;
  }
  return Err("{} cannot be iterated", value.TypeName());
}

Result<int64_t> Length(const Value& value) {
  if (value.is_undefined()) return 0;
  if (const std::string* text = value.text()) return strings::CountCharacters(*text);
  if (const Mapping* mapping = value.mapping()) return std::ssize(mapping->entries);
  if (const Sequence* sequence = value.sequence();
      sequence != nullptr && sequence->kind != Sequence::Kind::kGenerator)
    return std::ssize(sequence->items);
  return Err("{} has no length", value.TypeName());
}

}  // namespace merope::jinja
