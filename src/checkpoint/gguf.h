// The GGUF container, versions 2 and 3: typed keys and values, then a directory of tensors, then
// the bytes of the tensors. A GgufFile holds views into the mapped file. The file is not trusted:
// every count and offset is checked against the file before use. Only one thread uses a GgufFile.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/dtype.h"
#include "base/error.h"

namespace merope {

enum class GgufType : uint32_t {
  kUint8,
  kInt8,
  kUint16,
  kInt16,
  kUint32,
  kInt32,
  kFloat32,
  kBool,
  kString,
  kArray,
  kUint64,
  kInt64,
  kFloat64
};

struct GgufValue {
  GgufType type = GgufType::kUint8;  // of the value, or of the elements of an array
  bool is_array = false;
  uint64_t count = 1;                     // number of elements
  std::span<const std::byte> bytes;       // numbers and bools, little endian
  std::vector<std::string_view> strings;  // set if the type is kString
};

struct GgufTensor {
  std::string name;
  DType dtype = DType::kF32;
  std::vector<int64_t> shape;  // outermost first (the file stores the innermost first)
  std::span<const std::byte> bytes;
};

class GgufFile {
 public:
  // file: name of the source in errors. A tensor type that this engine lacks, a big-endian file and
  // version 1 are refused, and the error names the reason.
  static Result<GgufFile> Parse(std::span<const std::byte> bytes, std::string file);

  const std::vector<GgufTensor>& tensors() const { return tensors_; }  // in the order of their data
  const std::string& file() const { return file_; }
  size_t directory_at() const { return directory_at_; }  // offset of the end of the keys

  // Has: whether the file has the key. Integer, Number, Bool and String return nullopt if the key
  // is absent. They return an error that names file and key if the value has another type. Integer
  // and Number also return such an error if the value lies outside [min, max].
  bool Has(const std::string& key) const { return values_.contains(key); }
  Result<std::optional<int64_t>> Integer(const std::string& key, int64_t min, int64_t max) const;
  Result<std::optional<double>> Number(const std::string& key, double min, double max) const;
  Result<std::optional<bool>> Bool(const std::string& key) const;
  Result<std::optional<std::string>> String(const std::string& key) const;
  // Arrays. Empty if the key is absent.
  Result<std::vector<std::string>> Strings(const std::string& key) const;
  Result<std::vector<float>> Floats(const std::string& key) const;
  Result<std::vector<int32_t>> Integers(const std::string& key) const;

 private:
  const GgufValue* Find(const std::string& key) const;
  std::unexpected<Error> WrongType(const std::string& key, const char* expected) const;

  std::string file_;
  size_t directory_at_ = 0;
  std::map<std::string, GgufValue, std::less<>> values_;
  std::vector<GgufTensor> tensors_;
};

}  // namespace merope
