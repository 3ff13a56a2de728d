#include "checkpoint/safetensors.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <string_view>

#include "base/json.h"

namespace merope {
namespace {

constexpr uint64_t kMaxHeader = 100'000'000;  // the limit of the format

// Bytes of an element. 0 for a dtype that is not in the format. Checkpoints do not use dtypes of
// less than a byte, so these also give 0.
int64_t ElementBytes(std::string_view dtype) {
  struct Size {
    std::string_view name;
    int64_t bytes;
  };
  static constexpr Size kSizes[] = {
      {"F64", 8}, {"I64", 8},  {"U64", 8},     {"C64", 8},     {"F32", 4},    {"I32", 4},
      {"U32", 4}, {"F16", 2},  {"BF16", 2},    {"I16", 2},     {"U16", 2},    {"I8", 1},
      {"U8", 1},  {"BOOL", 1}, {"F8_E4M3", 1}, {"F8_E5M2", 1}, {"F8_E8M0", 1}};
  for (const Size& size : kSizes)
    if (size.name == dtype) return size.bytes;
  return 0;
}

// The value as a whole number ≥ 0 that fits an int64_t, else nullopt.
std::optional<int64_t> AsCount(const Json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  const auto count = value.get<uint64_t>();
  if (count > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) return std::nullopt;
  return static_cast<int64_t>(count);
}

Result<SafetensorsEntry> ParseEntry(const std::string& name, const Json& value,
                                    std::span<const std::byte> data, const std::string& where) {
  if (!value.is_object()) return Err("{}: expected an object, found {}", where, Describe(value));
  const JsonFields fields(value, where);
  SafetensorsEntry entry;
  entry.view.name = name;
  TRY_ASSIGN(auto dtype, fields.String("dtype"));
  entry.dtype_name = dtype.value_or("");
  const int64_t element_bytes = ElementBytes(entry.dtype_name);
  if (element_bytes == 0)
    return Err("{}: dtype: expected F32, F16 or BF16, found \"{}\"", where, entry.dtype_name);
  const auto known = DTypeFromName(entry.dtype_name);
  entry.supported = known.has_value();
  entry.view.dtype = known.value_or(DType::kF32);

  const Json* shape = fields.Find("shape");
  if (shape == nullptr || !shape->is_array() || shape->size() > 8)
    return Err("{}: shape: expected a list of at most 8 sizes, found {}", where,
               shape == nullptr ? "nothing" : Describe(*shape));
  int64_t size = element_bytes;
  for (const Json& dimension : *shape) {
    const auto n = AsCount(dimension);
    if (!n || *n == 0)
      return Err("{}: shape: expected positive whole numbers, found {}", where,
                 Describe(dimension));
    if (__builtin_mul_overflow(size, *n, &size))
      return Err("{}: shape: the product of the sizes overflows", where);
    entry.view.shape.push_back(*n);
  }

  const Json* offsets = fields.Find("data_offsets");
  const bool pair = offsets != nullptr && offsets->is_array() && offsets->size() == 2;
  const auto begin = pair ? AsCount((*offsets)[0]) : std::nullopt;
  const auto end = pair ? AsCount((*offsets)[1]) : std::nullopt;
  if (!begin || !end || *begin > *end)
    return Err("{}: data_offsets: expected [begin, end], found {}", where,
               offsets == nullptr ? "nothing" : offsets->dump());
  if (static_cast<uint64_t>(*end) > data.size())
    return Err(
        "{}: data_offsets: expected an end within the file's {} bytes of data, found {} (a "
        "truncated file?)",
        where, data.size(), *end);
  if (*end - *begin != size)
    return Err("{}: data_offsets: expected {} bytes for {} of shape {}, found {}", where, size,
               entry.dtype_name, shape->dump(), *end - *begin);
  entry.view.bytes = data.subspan(static_cast<size_t>(*begin), static_cast<size_t>(size));
  return entry;
}

// The tensors must cover the data without gaps or overlaps. A gap or an overlap means that an
// offset is wrong.
Status CheckCoverage(const std::vector<SafetensorsEntry>& entries, std::span<const std::byte> data,
                     const std::string& file) {
  size_t expected = 0;
  for (const auto& [view, supported, dtype_name] : entries) {
    const auto begin = static_cast<size_t>(view.bytes.data() - data.data());
    if (begin != expected)
      return Err(
          "{}: tensor \"{}\": data_offsets: expected to begin at {}, where the tensor before "
          "it ends, found {}",
          file, view.name, expected, begin);
    expected += view.bytes.size();
  }
  if (expected != data.size())
    return Err("{}: header: the tensors take {} bytes of data, but the file holds {}", file,
               expected, data.size());
  return {};
}

}  // namespace

Result<std::vector<SafetensorsEntry>> ParseSafetensors(std::span<const std::byte> bytes,
                                                       const std::string& file) {
  uint64_t length = 0;
  if (bytes.size() < sizeof(length))
    return Err("{}: header length: expected 8 bytes, found a file of {}", file, bytes.size());
  std::memcpy(&length, bytes.data(), sizeof(length));
  if (length > kMaxHeader || length > bytes.size() - sizeof(length))
    return Err("{}: header length: expected at most the {} bytes that follow, found {}", file,
               bytes.size() - sizeof(length), length);
  const auto data = bytes.subspan(sizeof(length) + length);
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + sizeof(length), length);
  TRY_ASSIGN(const Json header, ParseJson(text, file + ": header"));
  if (!header.is_object())
    return Err("{}: header: expected an object, found {}", file, Describe(header));

  std::vector<SafetensorsEntry> entries;
  for (const auto& [name, value] : header.items()) {
    if (name == "__metadata__") continue;
    TRY_ASSIGN(auto entry,
               ParseEntry(name, value, data, fmt::format("{}: tensor \"{}\"", file, name)));
    entries.push_back(std::move(entry));
  }
  std::sort(entries.begin(), entries.end(), [](const auto& a, const auto& b) {
    const auto &x = a.view.bytes, &y = b.view.bytes;
    return x.data() != y.data() ? x.data() < y.data() : x.size() < y.size();
  });
  TRY(CheckCoverage(entries, data, file));
  return entries;
}

}  // namespace merope
