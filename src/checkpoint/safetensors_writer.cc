#include "checkpoint/safetensors_writer.h"

namespace merope {

Result<SafetensorsWriter> SafetensorsWriter::Create(const std::string& path,
                                                    std::span<const SafetensorsTensor> tensors,
                                                    const Json& metadata) {
  TRY_ASSIGN(PartFile file, PartFile::Create(path));
  SafetensorsWriter writer(std::move(file));
  OrderedJson header;
  header["__metadata__"] = metadata;
  for (const SafetensorsTensor& tensor : tensors) {
    const int64_t end = writer.bytes_ + tensor.bytes;
    header[tensor.name] = {
        {"dtype", tensor.dtype}, {"shape", tensor.shape}, {"data_offsets", {writer.bytes_, end}}};
    writer.places_[tensor.name] = {writer.bytes_, tensor.bytes};
    writer.bytes_ = end;
  }
  std::string text = DumpJson(header);
  text.resize((text.size() + 7) / 8 * 8, ' ');  // aligns the data to 8 bytes
  const uint64_t length = text.size();
  TRY(writer.file_.WriteAt(0, std::as_bytes(std::span(&length, 1))));
  TRY(writer.file_.WriteAt(sizeof(length), std::as_bytes(std::span(text))));
  for (auto& [name, place] : writer.places_)
    place.begin += static_cast<int64_t>(sizeof(length) + length);
  return writer;
}

Status SafetensorsWriter::Write(std::string_view tensor, int64_t offset,
                                std::span<const std::byte> data) {
  const auto found = places_.find(tensor);
  CHECK(found != places_.end(), "{}", tensor);
  const auto [begin, bytes] = found->second;
  CHECK(offset >= 0 && offset + std::ssize(data) <= bytes, "{}", tensor);
  written_ += std::ssize(data);
  return file_.WriteAt(begin + offset, data);
}

Status SafetensorsWriter::Finish() {
  CHECK(written_ == bytes_, "{} of {} bytes", written_, bytes_);
  return file_.Finish();
}

}  // namespace merope
