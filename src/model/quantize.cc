#include "model/quantize.h"

#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <deque>
#include <filesystem>
#include <memory>
#include <utility>
#include <vector>

#include "backend/integer.h"
#include "backend/weights.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "base/threads.h"
#include "checkpoint/config_json.h"
#include "checkpoint/weight_check.h"

namespace merope {
namespace {

namespace fs = std::filesystem;

struct CloseFile {
  void operator()(FILE* file) const { std::fclose(file); }
};

// Writes tensors as they come. The header is written last, into room left for it.
class FileTarget : public WeightTarget {
 public:
  FileTarget(std::string path, Precision precision, int threads, size_t n_tensors)
      : path_(std::move(path)),
        precision_(precision),
        team_(threads > 0 ? threads : DefaultThreads()),
        file_(std::fopen(path_.c_str(), "wb")),
        header_bytes_((n_tensors + 4) * 256 / 8 * 8) {}

  Precision precision() const override { return precision_; }

  Status Begin() {
    if (file_ == nullptr) return Fault();
    return Write(std::string(8 + header_bytes_, ' ').data(), 8 + header_bytes_);
  }

  Result<const Matrix*> LoadMatrix(
      std::span<const MatrixPart> parts, Stacking,
      const std::function<void(const TensorView&)>& consumed) override {
    TRY_ASSIGN(const int64_t rows, StackedRows(parts));
    for (const MatrixPart& part : parts) {
      TRY(AddMatrix(part));
      if (part.bias != nullptr) {
        TRY_ASSIGN(const Tensor bias, LoadVector(*part.bias));
        static_cast<void>(bias);
      }
      if (consumed) consumed(*part.weight);
    }
    Matrix& matrix = matrices_.emplace_back();
    matrix.out_features = rows;
    matrix.in_features = parts[0].weight->cols();
    return &matrix;
  }

  Result<Tensor> LoadVector(const TensorView& vector) override {
    TRY_ASSIGN(const std::vector<float> values, DecodeVector(vector));
    TRY(Add(vector.name, "F32", {std::ssize(values)}, std::as_bytes(std::span(values))));
    return Tensor{};
  }

  // All tensors are there. metadata: strings by name.
  Status Finish(const Json& metadata) {
    header_["__metadata__"] = metadata;
    std::string text = header_.dump();
    CHECK(text.size() <= header_bytes_);
    text.resize(header_bytes_, ' ');
    const uint64_t length = header_bytes_;
    if (std::fseek(file_.get(), 0, SEEK_SET) != 0) return Fault();
    TRY(Write(&length, sizeof(length)));
    TRY(Write(text.data(), text.size()));
    if (std::fflush(file_.get()) != 0) return Fault();
    return {};
  }

  int64_t bytes() const { return bytes_; }

 private:
  Status AddMatrix(const MatrixPart& part) {
    const DType dtype = IntegerType(precision_);
    const int64_t rows = part.weight->rows(), cols = part.weight->cols();
    const int64_t row_bytes = RowBytes(dtype, cols), group = BlockElements(dtype);
    const int64_t blocks = row_bytes / BlockBytes(dtype);
    std::vector<std::byte> out(static_cast<size_t>(rows * row_bytes));
    FirstError failed;
    team_.ForRanges(rows, [&](int64_t begin, int64_t end) {
      std::vector<float> row(static_cast<size_t>(blocks * group));
      std::vector<uint8_t> codes(static_cast<size_t>(group));
      for (int64_t i = begin; i < end; ++i) {
        const std::span values(row.data(), static_cast<size_t>(cols));
        if (Status decoded = DecodeStackedRow(std::span(&part, 1), i, values); !decoded)
          return failed.Record(i, std::move(decoded).error());
        for (int64_t b = 0; b < blocks; ++b) {
          const float scale =
              QuantizeWeights(std::span(row).subspan(static_cast<size_t>(b * group), codes.size()),
                              precision_, codes.data());
          WriteIntegerBlock(dtype, F32ToBF16(scale), codes.data(),
                            out.data() + i * row_bytes + b * BlockBytes(dtype));
        }
      }
    });
    if (failed.error()) return std::unexpected(std::move(*failed.error()));
    return Add(part.weight->name, "U8", {rows, row_bytes}, out);
  }

  Status Add(const std::string& name, const char* dtype, const std::vector<int64_t>& shape,
             std::span<const std::byte> data) {
    const int64_t end = bytes_ + std::ssize(data);
    header_[name] = {{"dtype", dtype}, {"shape", shape}, {"data_offsets", {bytes_, end}}};
    bytes_ = end;
    return Write(data.data(), data.size());
  }

  Status Write(const void* data, size_t size) {
    if (std::fwrite(data, 1, size, file_.get()) == size) return {};
    return Fault();
  }

  std::unexpected<Error> Fault() const {
    return Err("{}: cannot write: {}", path_, std::strerror(errno));
  }

  std::string path_;
  Precision precision_;
  ThreadTeam team_;
  std::unique_ptr<FILE, CloseFile> file_;
  size_t header_bytes_;
  int64_t bytes_ = 0;
  Json header_ = Json::object();
  std::deque<Matrix> matrices_;
};

// A directory that goes again unless it is kept.
class TemporaryDirectory {
 public:
  explicit TemporaryDirectory(std::string path) : path_(std::move(path)) {}
  ~TemporaryDirectory() {
    std::error_code error;
    fs::remove_all(path_, error);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

// The model's config.json with a note of what was done.
Result<Json> QuantizedConfig(const Checkpoint& checkpoint, const Json& quantization) {
  Json config;
  if (checkpoint.format() == CheckpointFormat::kSafetensors) {
    TRY_ASSIGN(config, ReadJsonFile(checkpoint.path() + "/config.json"));
  } else {
    if (!checkpoint.config().rope_divisors.empty())
      return Err("{}: rope_freqs: a config.json cannot say them: quantize the original checkpoint",
                 checkpoint.path());
    config = ConfigJson(checkpoint.config(), DType::kF32);
  }
  config["quantization_config"] = quantization;
  return config;
}

Status CheckOutput(const std::string& directory, bool force) {
  std::error_code error;
  const auto status = fs::symlink_status(directory, error);
  if (!fs::exists(status)) return {};
  if (!force) return Err("{}: expected nothing there (or --force), found a file", directory);
  const bool ours = fs::is_directory(status) && (fs::is_empty(directory, error) ||
                                                 fs::exists(directory + "/config.json", error));
  if (!ours)
    return Err("{}: --force: expected a model's directory, found something else", directory);
  return {};
}

// The new directory in the place of an old one, if there is one.
Status Replace(const std::string& made, const std::string& directory) {
  std::error_code error;
  const TemporaryDirectory old(made + ".old");
  if (fs::exists(directory, error)) fs::rename(directory, old.path(), error);
  if (!error) fs::rename(made, directory, error);
  if (error) return Err("{}: cannot rename {} to it: {}", directory, made, error.message());
  return {};
}

std::string SourceTypes(const Checkpoint& checkpoint) {
  std::string types;
  for (const TensorView& tensor : checkpoint.tensors())
    if (const std::string name(DTypeName(tensor.dtype)); types.find(name) == types.npos)
      types += (types.empty() ? "" : ", ") + name;
  return types;
}

}  // namespace

Result<QuantizeResult> Quantize(const Checkpoint& checkpoint, const std::string& directory,
                                const QuantizeOptions& options, const LoadProgress& progress) {
  const ModelConfig& c = checkpoint.config();
  if (IsOwnInteger(c.dtype))
    return Err("{}: its weights are quantized to {} already: expected the original checkpoint",
               checkpoint.path(), DTypeName(c.dtype));
  std::string target = directory;
  while (target.size() > 1 && target.back() == '/') target.pop_back();
  TRY(CheckOutput(target, options.force));
  const std::string name(PrecisionName(options.precision));
  const IntegerFormat format = FormatOf(options.precision);
  const bool turned = options.precision == Precision::kInt8;
  const std::string source = SourceTypes(checkpoint);
  TRY_ASSIGN(const Json config, QuantizedConfig(checkpoint, {{"quant_method", "merope"},
                                                             {"version", 1},
                                                             {"dtype", name},
                                                             {"group_size", format.group},
                                                             {"scales", "bf16"},
                                                             {"turned", turned},
                                                             {"source", source},
                                                             {"merope_version", MEROPE_VERSION}}));

  const TemporaryDirectory made(fmt::format("{}.partial-{}", target, ::getpid()));
  std::error_code error;
  fs::create_directories(made.path(), error);
  if (error) return Err("{}: cannot create the directory: {}", made.path(), error.message());
  QuantizeResult result;
  {
    FileTarget file(made.path() + "/model.safetensors", options.precision, options.threads,
                    ExpectedTensors(c).size() + 1);
    TRY(file.Begin());
    TRY_ASSIGN(const LlamaWeights weights, LoadLlamaWeights(checkpoint, file, progress));
    static_cast<void>(weights);
    TRY(file.Finish({{"format", "merope"}, {"dtype", name}, {"merope_version", MEROPE_VERSION}}));
    result.bytes = file.bytes();
  }
  for (const TensorView& tensor : checkpoint.tensors())
    result.source_bytes += std::ssize(tensor.bytes);
  TRY(CopyTokenizer(checkpoint, made.path()));
  if (checkpoint.format() == CheckpointFormat::kGguf) {
    TRY(WriteFile(made.path() + "/generation_config.json", GenerationJson(c).dump(2) + "\n"));
  }
  TRY(WriteFile(made.path() + "/config.json", config.dump(2) + "\n"));
  TRY(Replace(made.path(), target));
  return result;
}

}  // namespace merope
