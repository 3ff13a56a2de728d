#include "checkpoint/gguf.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <unordered_set>

namespace merope {
namespace {

static_assert(std::endian::native == std::endian::little, "GGUF is read as it lies");

constexpr uint64_t kMaxDimensions = 4;
constexpr uint32_t kDefaultAlignment = 32, kMaxAlignment = 1 << 20;
constexpr size_t kTypeCount = 13;
constexpr std::array<size_t, kTypeCount> kTypeBytes = {1, 1, 2, 2, 4, 4, 4, 1, 0, 0, 8, 8, 8};
constexpr std::array<const char*, kTypeCount> kTypeNames = {
    "uint8", "int8",   "uint16", "int16",  "uint32", "int32",  "float32",
    "bool",  "string", "array",  "uint64", "int64",  "float64"};

size_t BytesOf(GgufType type) { return kTypeBytes[static_cast<size_t>(type)]; }

// ggml's numbers for tensor types. Types without a DType are listed so that an error can name them.
struct TensorType {
  uint32_t number;
  const char* name;
};
constexpr TensorType kTensorTypes[] = {
    {0, "F32"},         {1, "F16"},         {2, "Q4_0"},   {3, "Q4_1"},    {6, "Q5_0"},
    {7, "Q5_1"},        {8, "Q8_0"},        {9, "Q8_1"},   {10, "Q2_K"},   {11, "Q3_K"},
    {12, "Q4_K"},       {13, "Q5_K"},       {14, "Q6_K"},  {15, "Q8_K"},   {16, "IQ2_XXS"},
    {17, "IQ2_XS"},     {18, "IQ3_XXS"},    {19, "IQ1_S"}, {20, "IQ4_NL"}, {21, "IQ3_S"},
    {22, "IQ2_S"},      {23, "IQ4_XS"},     {24, "I8"},    {25, "I16"},    {26, "I32"},
    {27, "I64"},        {28, "F64"},        {29, "IQ1_M"}, {30, "BF16"},   {31, "Q4_0_4_4"},
    {32, "Q4_0_4_8"},   {33, "Q4_0_8_8"},   {34, "TQ1_0"}, {35, "TQ2_0"},  {36, "IQ4_NL_4_4"},
    {37, "IQ4_NL_4_8"}, {38, "IQ4_NL_8_8"}, {39, "MXFP4"}, {40, "NVFP4"},  {41, "Q1_0"}};

Result<DType> ToDType(uint32_t number, const std::string& where) {
  for (const TensorType& type : kTensorTypes) {
    if (type.number != number) continue;
    if (const auto dtype = DTypeFromName(type.name)) return *dtype;
    return Err(
        "{}: type: {} is not supported: take a file of F32, F16, BF16, Q8_0, Q4_0, Q4_1, "
        "Q5_0, Q5_1, Q4_K, Q5_K or Q6_K tensors",
        where, type.name);
  }
  return Err("{}: type: expected a ggml tensor type, found {}", where, number);
}

bool Printable(std::string_view name) {
  return !name.empty() &&
         std::all_of(name.begin(), name.end(), [](char c) { return c > ' ' && c < 127; });
}

// Reads forward. Every read is checked against the bytes that are left.
class Cursor {
 public:
  Cursor(std::span<const std::byte> bytes, const std::string& file) : bytes_(bytes), file_(file) {}

  size_t left() const { return bytes_.size() - at_; }
  size_t at() const { return at_; }

  Result<std::span<const std::byte>> ReadBytes(uint64_t size, const std::string& what) {
    if (size > left())
      return Err("{}: {}: expected {} bytes at offset {}, found {} (a truncated file?)", file_,
                 what, size, at_, left());
    const auto taken = bytes_.subspan(at_, size);
    at_ += size;
    return taken;
  }
  template <class T>
  Result<T> Read(const std::string& what) {
    TRY_ASSIGN(const auto taken, ReadBytes(sizeof(T), what));
    T value;
    std::memcpy(&value, taken.data(), sizeof(T));
    return value;
  }
  Result<std::string_view> String(const std::string& what) {
    TRY_ASSIGN(const auto size, Read<uint64_t>(what));
    TRY_ASSIGN(const auto taken, ReadBytes(size, what));
    return std::string_view(reinterpret_cast<const char*>(taken.data()), taken.size());
  }
  // Reads a count of items that take at least `least` bytes each.
  Result<uint64_t> Count(const std::string& what, size_t least) {
    TRY_ASSIGN(const auto count, Read<uint64_t>(what));
    if (count > left() / least)
      return Err("{}: {}: expected at most {} (the file has {} bytes left), found {}", file_, what,
                 left() / least, left(), count);
    return count;
  }

 private:
  std::span<const std::byte> bytes_;
  const std::string& file_;
  size_t at_ = 0;
};

Result<GgufType> ReadType(Cursor* cursor, const std::string& key, const std::string& file) {
  TRY_ASSIGN(const auto type, cursor->Read<uint32_t>(key));
  if (type >= kTypeCount)
    return Err("{}: {}: expected a value type from 0 to {}, found {}", file, key, kTypeCount - 1,
               type);
  return static_cast<GgufType>(type);
}

Result<GgufValue> ReadValue(Cursor* cursor, const std::string& key, const std::string& file) {
  GgufValue value;
  TRY_ASSIGN(value.type, ReadType(cursor, key, file));
  if (value.type == GgufType::kArray) {
    value.is_array = true;
    TRY_ASSIGN(value.type, ReadType(cursor, key, file));
    if (value.type == GgufType::kArray)
      return Err("{}: {}: arrays of arrays are not supported", file, key);
    const bool strings = value.type == GgufType::kString;
    TRY_ASSIGN(value.count, cursor->Count(key, strings ? sizeof(uint64_t) : BytesOf(value.type)));
  }
  if (value.type != GgufType::kString) {
    TRY_ASSIGN(value.bytes, cursor->ReadBytes(value.count * BytesOf(value.type), key));
    return value;
  }
  value.strings.reserve(value.count);
  for (uint64_t i = 0; i < value.count; ++i) {
    TRY_ASSIGN(const auto text, cursor->String(key));
    value.strings.push_back(text);
  }
  return value;
}

// The number at an index, of any numeric type.
template <class T>
T At(const GgufValue& value, uint64_t index) {
  const auto load = [&]<class U>(U number) {
    std::memcpy(&number, value.bytes.data() + index * sizeof(U), sizeof(U));
    return static_cast<T>(number);
  };
  switch (value.type) {
    case GgufType::kUint8:
    case GgufType::kBool:
      return load(uint8_t{});
    case GgufType::kInt8:
      return load(int8_t{});
    case GgufType::kUint16:
      return load(uint16_t{});
    case GgufType::kInt16:
      return load(int16_t{});
    case GgufType::kUint32:
      return load(uint32_t{});
    case GgufType::kInt32:
      return load(int32_t{});
    case GgufType::kUint64:
      return load(uint64_t{});
    case GgufType::kInt64:
      return load(int64_t{});
    case GgufType::kFloat32:
      return load(float{});
    case GgufType::kFloat64:
      return load(double{});
    default:
      CHECK(false);
      return T{};
  }
}

bool IsFloat(GgufType type) { return type == GgufType::kFloat32 || type == GgufType::kFloat64; }
bool IsInteger(GgufType type) {
  return !IsFloat(type) && type != GgufType::kString && type != GgufType::kBool;
}

struct DirectoryEntry {
  GgufTensor tensor;
  uint64_t offset = 0, size = 0;
};

Result<DirectoryEntry> ReadDirectoryEntry(Cursor* cursor, const std::string& file) {
  TRY_ASSIGN(const auto name, cursor->String("tensor name"));
  if (!Printable(name))
    return Err("{}: tensor name: expected printable ASCII, found other bytes", file);
  DirectoryEntry entry;
  entry.tensor.name = name;
  const std::string where = fmt::format("{}: tensor \"{}\"", file, name);
  TRY_ASSIGN(const auto n_dimensions, cursor->Read<uint32_t>("tensor dimensions"));
  if (n_dimensions > kMaxDimensions)
    return Err("{}: dimensions: expected at most {}, found {}", where, kMaxDimensions,
               n_dimensions);
  int64_t elements = 1;
  for (uint32_t i = 0; i < n_dimensions; ++i) {
    TRY_ASSIGN(const auto size, cursor->Read<uint64_t>("tensor shape"));
    if (size == 0 || size > static_cast<uint64_t>(std::numeric_limits<int64_t>::max()) ||
        __builtin_mul_overflow(elements, static_cast<int64_t>(size), &elements))
      return Err("{}: shape: expected positive sizes whose product fits 63 bits, found {}", where,
                 size);
    entry.tensor.shape.insert(entry.tensor.shape.begin(), static_cast<int64_t>(size));
  }
  TRY_ASSIGN(const auto type, cursor->Read<uint32_t>("tensor type"));
  TRY_ASSIGN(entry.tensor.dtype, ToDType(type, where));
  const DType dtype = entry.tensor.dtype;
  const int64_t cols = n_dimensions == 0 ? 1 : entry.tensor.shape.back();
  if (cols % BlockElements(dtype) != 0)
    return Err("{}: shape: expected rows of a multiple of {} elements for {}, found {}", where,
               BlockElements(dtype), DTypeName(dtype), cols);
  int64_t bytes = 0;
  if (__builtin_mul_overflow(elements / BlockElements(dtype), int64_t{BlockBytes(dtype)}, &bytes))
    return Err("{}: shape: its bytes overflow", where);
  entry.size = static_cast<uint64_t>(bytes);
  TRY_ASSIGN(entry.offset, cursor->Read<uint64_t>("tensor offset"));
  return entry;
}

}  // namespace

Result<GgufFile> GgufFile::Parse(std::span<const std::byte> bytes, std::string file) {
  GgufFile gguf;
  gguf.file_ = std::move(file);
  const std::string& name = gguf.file_;
  Cursor cursor(bytes, name);
  TRY_ASSIGN(const auto magic, cursor.ReadBytes(4, "magic"));
  if (std::memcmp(magic.data(), "GGUF", 4) != 0)
    return Err("{}: magic: expected \"GGUF\", found other bytes", name);
  TRY_ASSIGN(const auto version, cursor.Read<uint32_t>("version"));
  if (version != 2 && version != 3)
    return Err("{}: version: expected 2 or 3 (little endian), found {}{}", name, version,
               version == 1u << 24 || version == 2u << 24 || version == 3u << 24
                   ? ", a big-endian file: convert it with gguf-convert-endian"
                   : "");
  // The smallest entries: a tensor with an empty name and no dimensions (24 bytes), and a key with
  // an empty name and a value of one byte (13 bytes).
  TRY_ASSIGN(const uint64_t n_tensors, cursor.Count("tensor count", 24));
  TRY_ASSIGN(const uint64_t n_keys, cursor.Count("key count", 13));

  for (uint64_t i = 0; i < n_keys; ++i) {
    TRY_ASSIGN(const auto key_view, cursor.String(fmt::format("key {} of {}", i, n_keys)));
    if (!Printable(key_view))
      return Err("{}: key {} of {}: expected printable ASCII, found other bytes", name, i, n_keys);
    const std::string key(key_view);
    TRY_ASSIGN(auto value, ReadValue(&cursor, key, name));
    if (!gguf.values_.emplace(key, std::move(value)).second)
      return Err("{}: {}: expected once, found twice", name, key);
  }

  gguf.directory_at_ = cursor.at();
  std::vector<DirectoryEntry> entries;
  std::unordered_set<std::string> names;
  for (uint64_t i = 0; i < n_tensors; ++i) {
    TRY_ASSIGN(auto entry, ReadDirectoryEntry(&cursor, name));
    if (!names.insert(entry.tensor.name).second)
      return Err("{}: tensor \"{}\": expected once, found twice", name, entry.tensor.name);
    entries.push_back(std::move(entry));
  }

  TRY_ASSIGN(const auto alignment, gguf.Integer("general.alignment", 1, kMaxAlignment));
  const auto align = static_cast<uint64_t>(alignment.value_or(kDefaultAlignment));
  if (!std::has_single_bit(align))
    return Err("{}: general.alignment: expected a power of two, found {}", name, align);
  const uint64_t data_begin = (cursor.at() + align - 1) / align * align;
  const uint64_t data_size = data_begin <= bytes.size() ? bytes.size() - data_begin : 0;
  std::sort(entries.begin(), entries.end(),
            [](const auto& a, const auto& b) { return a.offset < b.offset; });
  uint64_t end = 0;
  for (DirectoryEntry& entry : entries) {
    const std::string where = fmt::format("{}: tensor \"{}\"", name, entry.tensor.name);
    if (entry.offset % align != 0)
      return Err("{}: offset: expected a multiple of {}, found {}", where, align, entry.offset);
    if (entry.offset < end)
      return Err("{}: offset: expected at least {}, where the tensor before it ends, found {}",
                 where, end, entry.offset);
    if (entry.offset > data_size || entry.size > data_size - entry.offset)
      return Err(
          "{}: data: expected {} bytes at offset {}, but the file holds {} bytes of data (a "
          "truncated file?)",
          where, entry.size, entry.offset, data_size);
    end = entry.offset + entry.size;
    entry.tensor.bytes = bytes.subspan(data_begin + entry.offset, entry.size);
    gguf.tensors_.push_back(std::move(entry.tensor));
  }
  return gguf;
}

const GgufValue* GgufFile::Find(const std::string& key) const {
  const auto found = values_.find(key);
  return found == values_.end() ? nullptr : &found->second;
}

std::unexpected<Error> GgufFile::WrongType(const std::string& key, const char* expected) const {
  const GgufValue& value = *Find(key);
  return Err("{}: {}: expected {}, found {}{}", file_, key, expected,
             value.is_array ? "an array of " : "", kTypeNames[static_cast<size_t>(value.type)]);
}

Result<std::optional<int64_t>> GgufFile::Integer(const std::string& key, int64_t min,
                                                 int64_t max) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_array || !IsInteger(value->type)) return WrongType(key, "a whole number");
  const auto number = At<int64_t>(*value, 0);
  const bool wrapped = value->type == GgufType::kUint64 && number < 0;
  if (wrapped || number < min || number > max)
    return Err("{}: {}: expected a whole number from {} to {}, found {}", file_, key, min, max,
               wrapped ? fmt::to_string(static_cast<uint64_t>(number)) : fmt::to_string(number));
  return number;
}

Result<std::optional<double>> GgufFile::Number(const std::string& key, double min,
                                               double max) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_array || (!IsFloat(value->type) && !IsInteger(value->type)))
    return WrongType(key, "a number");
  const auto number = At<double>(*value, 0);
  if (!(number >= min && number <= max))
    return Err("{}: {}: expected a number from {:g} to {:g}, found {:g}", file_, key, min, max,
               number);
  return number;
}

Result<std::optional<bool>> GgufFile::Bool(const std::string& key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_array || value->type != GgufType::kBool) return WrongType(key, "a bool");
  return At<int>(*value, 0) != 0;
}

Result<std::optional<std::string>> GgufFile::String(const std::string& key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return std::nullopt;
  if (value->is_array || value->type != GgufType::kString) return WrongType(key, "a string");
  return std::string(value->strings.front());
}

Result<std::vector<std::string>> GgufFile::Strings(const std::string& key) const {
  const GgufValue* value = Find(key);
  if (value == nullptr) return std::vector<std::string>{};
  if (!value->is_array || value->type != GgufType::kString)
    return WrongType(key, "an array of strings");
  return std::vector<std::string>(value->strings.begin(), value->strings.end());
}

Result<std::vector<float>> GgufFile::Floats(const std::string& key) const {
  std::vector<float> numbers;
  const GgufValue* value = Find(key);
  if (value == nullptr) return numbers;
  if (!value->is_array || !IsFloat(value->type)) return WrongType(key, "an array of floats");
  numbers.reserve(value->count);
  for (uint64_t i = 0; i < value->count; ++i) numbers.push_back(At<float>(*value, i));
  return numbers;
}

Result<std::vector<int32_t>> GgufFile::Integers(const std::string& key) const {
  std::vector<int32_t> numbers;
  const GgufValue* value = Find(key);
  if (value == nullptr) return numbers;
  if (!value->is_array || !IsInteger(value->type))
    return WrongType(key, "an array of whole numbers");
  numbers.reserve(value->count);
  for (uint64_t i = 0; i < value->count; ++i) {
    const auto number = At<int64_t>(*value, i);
    if (number < std::numeric_limits<int32_t>::min() ||
        number > std::numeric_limits<int32_t>::max())
      return Err("{}: {}: expected 32-bit numbers, found {}", file_, key, number);
    numbers.push_back(static_cast<int32_t>(number));
  }
  return numbers;
}

}  // namespace merope
