#include "model/quantize.h"

#include <unistd.h>

#include <deque>
#include <filesystem>
#include <utility>
#include <vector>

#include "backend/integer.h"
#include "backend/weights.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "base/threads.h"
#include "checkpoint/config_json.h"
#include "checkpoint/safetensors_writer.h"
#include "checkpoint/weight_check.h"

namespace merope {
namespace {

namespace fs = std::filesystem;

// The tensors of the quantized checkpoint: matrices as rows of blocks, all others in fp32.
std::vector<SafetensorsTensor> QuantizedTensors(const ModelConfig& config, Precision precision) {
  std::vector<ExpectedTensor> all = ExpectedTensors(config);
  if (precision == Precision::kInt8) all.push_back({kSignsTensor, {config.hidden_size}});
  std::vector<SafetensorsTensor> tensors;
  for (const auto& [name, shape] : all) {
    if (shape.size() == 2) {
      const int64_t row = RowBytes(IntegerType(precision), shape[1]);
      tensors.push_back({name, "U8", {shape[0], row}, shape[0] * row});
    } else {
      tensors.push_back({name, "F32", shape, RowBytes(DType::kF32, shape[0])});
    }
  }
  return tensors;
}

// Quantizes weights as a back end does, and writes them into a file.
class FileTarget : public WeightTarget {
 public:
  FileTarget(SafetensorsWriter& file, Precision precision, int threads)
      : file_(file), precision_(precision), team_(threads > 0 ? threads : DefaultThreads()) {}

  Precision precision() const override { return precision_; }

  Result<const Matrix*> LoadMatrix(
      std::span<const MatrixPart> parts, Stacking,
      const std::function<void(const WeightTensor&)>& consumed) override {
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

  Result<Tensor> LoadVector(const WeightTensor& vector) override {
    TRY_ASSIGN(const std::vector<float> values, DecodeVector(vector));
    TRY(file_.Write(vector.name, 0, std::as_bytes(std::span(values))));
    return Tensor{};
  }

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
    return file_.Write(part.weight->name, 0, out);
  }

  SafetensorsWriter& file_;
  Precision precision_;
  ThreadTeam team_;
  std::deque<Matrix> matrices_;
};

// Removes the directory at `path` in the destructor. After Replace has renamed the directory, there
// is nothing at `path`, so the destructor removes nothing.
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

// The model's config.json, plus quantization_config.
Result<Json> QuantizedConfig(const Checkpoint& checkpoint, const Json& quantization) {
  Json config;
  if (checkpoint.format() == CheckpointFormat::kSafetensors) {
    TRY_ASSIGN(config, ReadJsonFile(checkpoint.path() + "/config.json"));
  } else {
    if (!checkpoint.config().rope_divisors.empty())
      return Err("{}: rope_freqs: a config.json cannot say them: quantize the original checkpoint",
                 checkpoint.path());
    config = ConfigFile(checkpoint.config(), DType::kF32);
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

// Renames `made` to `directory`. Removes the old `directory`, if there is one.
Status Replace(const std::string& made, const std::string& directory) {
  std::error_code error, ignored;
  const std::string old = made + ".old";
  const bool replaces = fs::exists(directory, error);
  if (replaces) fs::rename(directory, old, error);
  if (!error) {
    fs::rename(made, directory, error);
    if (error && replaces) fs::rename(old, directory, ignored);
  }
  if (error) return Err("{}: cannot rename {} to it: {}", directory, made, error.message());
  fs::remove_all(old, ignored);
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
  const bool rotated = options.precision == Precision::kInt8;
  const std::string source = SourceTypes(checkpoint);
  TRY_ASSIGN(const Json config, QuantizedConfig(checkpoint, {{"quant_method", "merope"},
                                                             {"version", 1},
                                                             {"dtype", name},
                                                             {"group_size", format.group},
                                                             {"scales", "bf16"},
                                                             {"rotated", rotated},
                                                             {"source", source},
                                                             {"merope_version", MEROPE_VERSION}}));

  const TemporaryDirectory made(fmt::format("{}.partial-{}", target, ::getpid()));
  std::error_code error;
  fs::create_directories(made.path(), error);
  if (error) return Err("{}: cannot create the directory: {}", made.path(), error.message());
  QuantizeResult result;
  {
    TRY_ASSIGN(SafetensorsWriter file,
               SafetensorsWriter::Create(
                   made.path() + "/model.safetensors", QuantizedTensors(c, options.precision),
                   {{"format", "merope"}, {"dtype", name}, {"merope_version", MEROPE_VERSION}}));
    FileTarget into(file, options.precision, options.threads);
    TRY_ASSIGN(const LlamaWeights weights, LoadLlamaWeights(checkpoint, into, progress));
    static_cast<void>(weights);
    TRY(file.Finish());
    result.bytes = file.bytes();
  }
  for (const TensorView& tensor : checkpoint.tensors())
    result.source_bytes += std::ssize(tensor.bytes);
  TRY(CopyTokenizer(checkpoint, made.path()));
  if (checkpoint.format() == CheckpointFormat::kGguf) {
    TRY(WriteFile(made.path() + "/generation_config.json", GenerationConfigFile(c).dump(2) + "\n"));
  }
  TRY(WriteFile(made.path() + "/config.json", config.dump(2) + "\n"));
  TRY(Replace(made.path(), target));
  return result;
}

}  // namespace merope
