// Writes GGUF files for tests, with any keys and tensors. A test can set wrong offsets and counts.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>
#include <vector>

namespace merope {

class GgufWriter {
 public:
  uint32_t version = 3;
  uint32_t alignment = 32;
  int64_t extra_keys = 0, extra_tensors = 0;  // counted in the header, but not written

  void Uint32(std::string_view key, uint32_t value) { Scalar(key, 4, value); }
  void Int32(std::string_view key, int32_t value) { Scalar(key, 5, value); }
  void Float32(std::string_view key, float value) { Scalar(key, 6, value); }
  void Bool(std::string_view key, bool value) { Scalar(key, 7, static_cast<uint8_t>(value)); }
  void Uint64(std::string_view key, uint64_t value) { Scalar(key, 10, value); }
  void String(std::string_view key, std::string_view value) {
    Begin(key, 8);
    PutString(&keys_, value);
  }
  void Strings(std::string_view key, const std::vector<std::string>& values) {
    BeginArray(key, 8, values.size());
    for (const std::string& value : values) PutString(&keys_, value);
  }
  template <class T>
  void Array(std::string_view key, uint32_t element_type, const std::vector<T>& values) {
    BeginArray(key, element_type, values.size());
    for (const T& value : values) Put(&keys_, value);
  }
  // A key with any type number, followed by any bytes.
  void Raw(std::string_view key, uint32_t type, std::string_view bytes) {
    Begin(key, type);
    keys_ += bytes;
  }

  struct Tensor {
    std::string name;
    uint32_t type = 0;            // ggml's number
    std::vector<uint64_t> shape;  // innermost first
    std::string bytes;
    int64_t offset_error = 0;  // added to the written offset
  };
  void Add(Tensor tensor) { tensors_.push_back(std::move(tensor)); }

  std::string Bytes() const {
    std::string file = "GGUF";
    Put(&file, version);
    Put(&file, static_cast<uint64_t>(static_cast<int64_t>(tensors_.size()) + extra_tensors));
    Put(&file, static_cast<uint64_t>(n_keys_ + extra_keys));
    file += keys_;
    std::string data;
    for (const Tensor& tensor : tensors_) {
      PutString(&file, tensor.name);
      Put(&file, static_cast<uint32_t>(tensor.shape.size()));
      for (const uint64_t size : tensor.shape) Put(&file, size);
      Put(&file, tensor.type);
      Put(&file, static_cast<uint64_t>(static_cast<int64_t>(data.size()) + tensor.offset_error));
      data += tensor.bytes;
      Align(&data);
    }
    Align(&file);
    return file + data;
  }

 private:
  template <class T>
  static void Put(std::string* to, T value) {
    char bytes[sizeof(T)];
    std::memcpy(bytes, &value, sizeof(T));
    to->append(bytes, sizeof(T));
  }
  static void PutString(std::string* to, std::string_view text) {
    Put(to, static_cast<uint64_t>(text.size()));
    *to += text;
  }
  void Align(std::string* bytes) const {
    bytes->append((alignment - bytes->size() % alignment) % alignment, '\0');
  }
  void Begin(std::string_view key, uint32_t type) {
    ++n_keys_;
    PutString(&keys_, key);
    Put(&keys_, type);
  }
  void BeginArray(std::string_view key, uint32_t element_type, uint64_t count) {
    Begin(key, 9);
    Put(&keys_, element_type);
    Put(&keys_, count);
  }
  template <class T>
  void Scalar(std::string_view key, uint32_t type, T value) {
    Begin(key, type);
    Put(&keys_, value);
  }

  int64_t n_keys_ = 0;
  std::string keys_;
  std::vector<Tensor> tensors_;
};

}  // namespace merope
