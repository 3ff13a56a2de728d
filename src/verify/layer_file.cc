#include "verify/layer_file.h"

#include <algorithm>
#include <cstring>
#include <span>
#include <utility>

#include "checkpoint/weight_source.h"

namespace merope {
namespace {

constexpr std::string_view kIds = ".ids";

Result<std::vector<int32_t>> ReadIds(const SafetensorsEntry& entry, const ModelConfig& config,
                                     const std::string& path) {
  const TensorView& view = entry.view;
  if (entry.dtype_name != "I32" || view.shape.size() != 1 || view.shape[0] < 1)
    return Err("{}: tensor \"{}\": expected I32 of shape (tokens), found {} of shape ({})", path,
               view.name, entry.dtype_name, fmt::join(view.shape, ", "));
  if (view.shape[0] > config.max_position_embeddings)
    return Err("{}: tensor \"{}\": expected at most {} tokens (the context), found {}", path,
               view.name, config.max_position_embeddings, view.shape[0]);
  std::vector<int32_t> ids(static_cast<size_t>(view.shape[0]));
  std::memcpy(ids.data(), view.bytes.data(), view.bytes.size());
  for (const int32_t id : ids)
    if (id < 0 || id >= config.vocab_size)
      return Err("{}: tensor \"{}\": expected token ids from 0 to {}, found {}", path, view.name,
                 config.vocab_size - 1, id);
  return ids;
}

}  // namespace

Result<std::unique_ptr<LayerFile>> LayerFile::Open(const std::string& path,
                                                   const ModelConfig& config) {
  TRY_ASSIGN(MappedFile file, MappedFile::Open(path));
  TRY_ASSIGN(std::vector<SafetensorsEntry> entries, ParseSafetensors(file.bytes(), path));
  std::vector<VerifyPrompt> prompts;
  std::map<std::string, SafetensorsEntry> tensors;
  for (SafetensorsEntry& entry : entries) {
    std::string name = entry.view.name;
    if (name.ends_with(kIds)) {
      TRY_ASSIGN(std::vector<int32_t> ids, ReadIds(entry, config, path));
      prompts.push_back({.id = name.substr(0, name.size() - kIds.size()), .ids = std::move(ids)});
    } else {
      tensors.emplace(std::move(name), std::move(entry));
    }
  }
  if (prompts.empty())
    return Err("{}: expected a tensor \"<prompt>.ids\" for each prompt, found none", path);
  std::unique_ptr<LayerFile> opened(new LayerFile(std::move(file), std::move(tensors)));
  opened->prompts_ = std::move(prompts);
  return opened;
}

Status LayerFile::CheckPoints(const std::vector<std::string>& points) const {
  for (const auto& tensor : tensors_) {
    const std::string& name = tensor.first;
    const bool known = std::ranges::any_of(prompts_, [&](const VerifyPrompt& p) {
      return name.starts_with(p.id + ".") &&
             std::ranges::find(points, name.substr(p.id.size() + 1)) != points.end();
    });
    if (!known)
      return Err(
          "{}: tensor \"{}\": expected \"<prompt>.<point>\", with a prompt that has ids and a "
          "point "
          "such as \"{}\"",
          path(), name, points.back());
  }
  return {};
}

Result<std::optional<std::vector<float>>> LayerFile::Rows(const VerifyPrompt& prompt,
                                                          std::string_view point, int64_t begin,
                                                          int64_t end, int64_t width) const {
  const auto found = tensors_.find(fmt::format("{}.{}", prompt.id, point));
  if (found == tensors_.end()) return std::nullopt;
  const SafetensorsEntry& entry = found->second;
  const std::vector<int64_t> shape = {std::ssize(prompt.ids), width};
  if (!entry.supported || entry.view.shape != shape)
    return Err("{}: tensor \"{}\": expected F32, BF16 or F16 of shape ({}), found {} of shape ({})",
               path(), entry.view.name, fmt::join(shape, ", "), entry.dtype_name,
               fmt::join(entry.view.shape, ", "));
  const auto tensor = OpenTensor(entry.view);
  std::vector<float> rows(static_cast<size_t>((end - begin) * width));
  for (int64_t row = begin; row < end; ++row)
    tensor->DecodeRow(row, std::span(rows).subspan(static_cast<size_t>((row - begin) * width),
                                                   static_cast<size_t>(width)));
  return rows;
}

}  // namespace merope
