#include "verify/logits_file.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <set>
#include <utility>

#include "base/json.h"
#include "base/mapped_file.h"
#include "checkpoint/safetensors.h"
#include "checkpoint/safetensors_writer.h"
#include "verify/metrics.h"
#include "verify/top_row.h"

namespace merope {
namespace {

class FileLogits : public LogitSource {
 public:
  FileLogits(MappedFile file, std::map<std::string, SafetensorsEntry> tensors, int64_t vocab,
             int64_t top_k)
      : file_(std::move(file)), tensors_(std::move(tensors)), vocab_(vocab), top_k_(top_k) {}

  std::string name() const override {
    return top_k_ == 0 ? file_.path()
                       : fmt::format("{}, the {} most probable tokens", file_.path(), top_k_);
  }
  int64_t top_k() const override { return top_k_; }

  Result<TopRows> Top(const VerifyPrompt& prompt, int64_t begin, int64_t end) override {
    TRY(CheckIds(prompt, begin));
    const int64_t n = std::ssize(prompt.ids), k = top_k_;
    const std::string ids_name = prompt.id + ".top_ids",
                      logprobs_name = prompt.id + ".top_logprobs",
                      next_name = prompt.id + ".next_logprobs";
    TRY_ASSIGN(const TensorView* ids, Require(ids_name, "I32", {n, k}));
    TRY_ASSIGN(const TensorView* logprobs, Require(logprobs_name, "F32", {n, k}));
    TRY_ASSIGN(const TensorView* next, Require(next_name, "F32", {n - 1}));
    const int64_t next_end = std::min(end, n - 1);
    TopRows rows{.ids = Read<int32_t>(*ids, begin * k, end * k),
                 .logprobs = Read<float>(*logprobs, begin * k, end * k),
                 .next_logprob = Read<float>(*next, std::min(begin, next_end), next_end)};
    for (int64_t i = 0; i < end - begin; ++i) {
      const auto row = [&](const auto& all) {
        return std::span(all).subspan(static_cast<size_t>(i * k), static_cast<size_t>(k));
      };
      if (const auto fault = FindFault(row(rows.ids), row(rows.logprobs), vocab_))
        return Err("{}: {}: position {}: {}", file_.path(),
                   fault->of_ids ? ids_name : logprobs_name, begin + i, fault->message);
    }
    if (const auto bad = std::ranges::find_if_not(rows.next_logprob, IsLogprob);
        bad != rows.next_logprob.end())
      return Err("{}: {}: expected logarithms of probabilities, found {}", file_.path(), next_name,
                 *bad);
    rows.next_logprob.resize(static_cast<size_t>(end - begin));
    return rows;
  }

  Status Rows(const VerifyPrompt& prompt, int64_t begin, int64_t end,
              std::span<float> rows) override {
    const int64_t n = std::ssize(prompt.ids);
    TRY(CheckIds(prompt, begin));
    TRY_ASSIGN(const TensorView* logits, Require(prompt.id + ".logits", "F32", {n, vocab_}));
    const auto part = logits->bytes.subspan(static_cast<size_t>(begin * vocab_) * sizeof(float),
                                            rows.size_bytes());
    CHECK(std::ssize(rows) == (end - begin) * vocab_);
    std::memcpy(rows.data(), part.data(), part.size());
    file_.Drop(part);
    if (!std::ranges::all_of(rows, [](float z) { return std::isfinite(z); }))
      return Err("{}: {}.logits: expected finite numbers, found NaN or infinity", file_.path(),
                 prompt.id);
    return {};
  }

 private:
  Status CheckIds(const VerifyPrompt& prompt, int64_t begin) const {
    TRY_ASSIGN(const TensorView* ids, Require(prompt.id + ".ids", "I32", {std::ssize(prompt.ids)}));
    if (begin == 0 && std::memcmp(ids->bytes.data(), prompt.ids.data(), ids->bytes.size()) != 0)
      return Err("{}: {}.ids: expected the token ids of this model's tokenizer, found others",
                 file_.path(), prompt.id);
    return {};
  }

  template <class T>
  static std::vector<T> Read(const TensorView& tensor, int64_t begin, int64_t end) {
    std::vector<T> values(static_cast<size_t>(end - begin));
    if (!values.empty())
      std::memcpy(values.data(), tensor.bytes.data() + static_cast<size_t>(begin) * sizeof(T),
                  values.size() * sizeof(T));
    return values;
  }

  Result<const TensorView*> Require(const std::string& name, std::string_view dtype,
                                    const std::vector<int64_t>& shape) const {
    const auto found = tensors_.find(name);
    if (found == tensors_.end())
      return Err(
          "{}: tensor \"{}\": expected one for each prompt of this mode, found none (dump the "
          "logits of the prompts that "
          "--dump-prompts writes in the same mode)",
          file_.path(), name);
    const SafetensorsEntry& entry = found->second;
    if (entry.dtype_name != dtype || entry.view.shape != shape)
      return Err("{}: tensor \"{}\": expected {} of shape ({}), found {} of shape ({})",
                 file_.path(), name, dtype, fmt::join(shape, ", "), entry.dtype_name,
                 fmt::join(entry.view.shape, ", "));
    return &entry.view;
  }

  MappedFile file_;
  std::map<std::string, SafetensorsEntry> tensors_;
  int64_t vocab_, top_k_;
};

// Returns k of a file of top-k rows, taken from the file's first tensor of top ids. Returns 0 for a
// file of whole rows.
Result<int64_t> TopK(std::span<const SafetensorsEntry> entries, int64_t vocab,
                     const std::string& path) {
  for (const SafetensorsEntry& entry : entries) {
    const TensorView& tensor = entry.view;
    if (!tensor.name.ends_with(".top_ids")) continue;
    const int64_t least = std::min(vocab, TopMetrics::kTop);
    if (tensor.shape.size() != 2 || tensor.shape[1] < least || tensor.shape[1] > vocab)
      return Err("{}: tensor \"{}\": expected (positions, {} to {} tokens), found ({})", path,
                 tensor.name, least, vocab, fmt::join(tensor.shape, ", "));
    return tensor.shape[1];
  }
  return 0;
}

Result<VerifyPrompt> ParsePrompt(const Json& value, const std::string& where, int64_t vocab) {
  if (!value.is_object()) return Err("{}: expected an object, found {}", where, Describe(value));
  const JsonFields fields(value, where);
  VerifyPrompt prompt;
  TRY_ASSIGN(const auto id, fields.String("id"));
  if (!id || id->empty()) return Err("{}: id: expected a name, found none", where);
  prompt.id = *id;
  const auto text = [&](const char* field, std::string* to) -> Status {
    TRY_ASSIGN(const auto found, fields.String(field));
    *to = found.value_or("");
    return {};
  };
  TRY(text("kind", &prompt.kind));
  TRY(text("language", &prompt.language));
  TRY(text("text", &prompt.text));
  const Json* ids = fields.Find("ids");
  if (ids == nullptr || !ids->is_array() || ids->empty())
    return Err("{}: ids: expected a list of token ids, found {}", where,
               ids == nullptr ? "nothing" : Describe(*ids));
  for (const Json& token : *ids) {
    if (!token.is_number_unsigned() || token.get<uint64_t>() >= static_cast<uint64_t>(vocab))
      return Err("{}: ids: expected token ids from 0 to {}, found {}", where, vocab - 1,
                 Describe(token));
    prompt.ids.push_back(token.get<int32_t>());
  }
  return prompt;
}

std::vector<SafetensorsTensor> LogitTensors(std::span<const VerifyPrompt> prompts, int64_t vocab) {
  std::vector<SafetensorsTensor> tensors;
  for (const VerifyPrompt& p : prompts) {
    const int64_t n = std::ssize(p.ids);
    tensors.push_back({p.id + ".ids", "I32", {n}, n * static_cast<int64_t>(sizeof(int32_t))});
    tensors.push_back(
        {p.id + ".logits", "F32", {n, vocab}, n * vocab * static_cast<int64_t>(sizeof(float))});
  }
  return tensors;
}

}  // namespace

Status WritePrompts(const std::string& path, std::span<const VerifyPrompt> prompts) {
  OrderedJson list = OrderedJson::array();
  for (const VerifyPrompt& p : prompts)
    list.push_back({{"id", p.id},
                    {"kind", p.kind},
                    {"language", p.language},
                    {"text", p.text},
                    {"ids", p.ids}});
  const OrderedJson root = {{"prompts", std::move(list)}};
  return WriteFile(path, DumpJson(root) + "\n");
}

Result<std::vector<VerifyPrompt>> ReadPrompts(const std::string& path, int64_t vocab) {
  TRY_ASSIGN(const Json root, ReadJsonFile(path));
  const auto list = root.is_object() ? root.find("prompts") : root.end();
  if (list == root.end() || !list->is_array() || list->empty())
    return Err("{}: prompts: expected a list, found {}", path,
               list == root.end() ? "nothing" : Describe(*list));
  std::vector<VerifyPrompt> prompts;
  std::set<std::string> ids;
  for (const Json& value : *list) {
    TRY_ASSIGN(VerifyPrompt prompt,
               ParsePrompt(value, fmt::format("{}: prompts[{}]", path, prompts.size()), vocab));
    if (!ids.insert(prompt.id).second)
      return Err("{}: prompts[{}]: id: expected one of its own, found \"{}\" again", path,
                 prompts.size(), prompt.id);
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

Result<std::unique_ptr<LogitSource>> OpenLogitsFile(const std::string& path, int64_t vocab) {
  TRY_ASSIGN(MappedFile file, MappedFile::Open(path));
  TRY_ASSIGN(std::vector<SafetensorsEntry> entries, ParseSafetensors(file.bytes(), path));
  TRY_ASSIGN(const int64_t top_k, TopK(entries, vocab, path));
  std::map<std::string, SafetensorsEntry> tensors;
  for (SafetensorsEntry& entry : entries) {
    std::string name = entry.view.name;
    tensors.emplace(std::move(name), std::move(entry));
  }
  return std::make_unique<FileLogits>(std::move(file), std::move(tensors), vocab, top_k);
}

Status WriteLogits(const std::string& path, LogitSource& source,
                   std::span<const VerifyPrompt> prompts, int64_t vocab,
                   const std::function<void(int64_t done, int64_t total)>& progress) {
  TRY_ASSIGN(SafetensorsWriter file,
             SafetensorsWriter::Create(path, LogitTensors(prompts, vocab),
                                       {{"format", "merope-logits"}, {"source", source.name()}}));
  int64_t total = 0, done = 0;
  for (const VerifyPrompt& p : prompts) total += std::ssize(p.ids);
  std::vector<float> rows;
  for (const VerifyPrompt& prompt : prompts) {
    TRY(file.Write(prompt.id + ".ids", 0, std::as_bytes(std::span(prompt.ids))));
    const int64_t n = std::ssize(prompt.ids);
    for (int64_t begin = 0; begin < n; begin += kLogitChunk) {
      const int64_t end = std::min(n, begin + kLogitChunk);
      rows.resize(static_cast<size_t>((end - begin) * vocab));
      TRY(source.Rows(prompt, begin, end, rows));
      TRY(file.Write(prompt.id + ".logits", begin * vocab * static_cast<int64_t>(sizeof(float)),
                     std::as_bytes(std::span(rows))));
      progress(done += end - begin, total);
    }
  }
  return file.Finish();
}

}  // namespace merope
