#include "verify/layers.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <deque>
#include <memory>
#include <span>
#include <utility>

#include "base/stopwatch.h"
#include "base/threads.h"
#include "model/llama.h"
#include "model/rotation.h"
#include "verify/comparison.h"
#include "verify/layer_file.h"
#include "verify/logit_source.h"
#include "verify/mutant_source.h"

namespace merope {
namespace {

// The limits of the ratios. kFp32Limit is that of JudgeReference (gates.cc). Other programs round
// within ops, too: PyTorch rounds a norm twice, SiLU before the product, and the scores and the
// probabilities of eager attention. Its ratios are up to 2.7 on SmolLM2-135M-Instruct.
constexpr double kLimit = 3, kFp32Limit = 4, kFileLimit = 5;
// The error that a row with NaN or infinity counts as.
constexpr double kNotFiniteError = 1e9;

// A model and its sequences.
struct TracedModel {
  TracedModel(MutantModel loaded, int n_sequences) : owned(std::move(loaded)) {
    for (int i = 0; i < n_sequences; ++i) sequences.emplace_back(owned.model->kv());
  }
  MutantModel owned;
  std::deque<Sequence> sequences;  // does not move them
};

// Called for each point of a step. row: of the chunk, where the step's first row lies.
using Visit = std::function<void(size_t point, std::string_view name, int64_t row, const Tensor&)>;

// Runs the tokens [begin, end) of a prompt, from position decoded_from on in steps of one token.
Status FeedChunk(TracedModel& traced, size_t sequence, const VerifyPrompt& prompt, int64_t begin,
                 int64_t end, int64_t decoded_from, const Visit& visit) {
  Sequence& kept = traced.sequences[sequence];
  if (begin == 0) kept.Clear();
  for (int64_t at = begin; at < end;) {
    const int64_t n = at < decoded_from ? std::min(decoded_from, end) - at : 1;
    size_t point = 0;
    traced.owned.model->set_observer([&](std::string_view name, const Tensor& value) {
      visit(point++, name, at - begin, value);
    });
    TRY(traced.owned.model->Extend(
        &kept, std::span(prompt.ids).subspan(static_cast<size_t>(at), static_cast<size_t>(n)), n,
        [](int64_t, std::span<const float>) {}));
    at += n;
  }
  return {};
}

// Results at a point, for the rows of a chunk: fp32's, or those of a file.
struct Exact {
  std::string name;
  int64_t cols = 0;
  std::vector<float> values;  // (rows, cols)
  std::span<const float> Row(int64_t row) const {
    return std::span(values).subspan(static_cast<size_t>(row * cols), static_cast<size_t>(cols));
  }
};

using Chunk = std::vector<Exact>;

// The errors of one model at one point.
class Errors {
 public:
  void Add(std::span<const float> exact, std::span<const float> found) {
    double squares = 0, norm = 0;
    for (size_t i = 0; i < exact.size(); ++i) {
      const double z = exact[i], d = std::abs(static_cast<double>(found[i]) - z);
      squares += d * d;
      norm += z * z;
      const double relative = d / (std::abs(z) + 1e-7);
      mere_ += relative;
      mare_ = std::max(mare_, relative);
    }
    n_ += std::ssize(exact);
    const double error = squares == 0 ? 0 : std::sqrt(squares / norm);
    rows_.push_back(std::isfinite(error) ? std::min(error, kNotFiniteError) : kNotFiniteError);
  }

  const std::vector<double>& rows() const { return rows_; }  // the relative L2 of each row
  PointErrors Total() const {
    double squares = 0;
    for (const double row : rows_) squares += row * row;
    const double mere = mere_ / static_cast<double>(n_);
    return {std::sqrt(squares / static_cast<double>(rows_.size())),
            std::isfinite(mere) ? mere : kNotFiniteError,
            std::isfinite(mere) ? mare_ : kNotFiniteError};
  }

 private:
  std::vector<double> rows_;
  double mere_ = 0, mare_ = 0;
  int64_t n_ = 0;
};

struct PointRecord {
  std::string name;
  Errors target, emulated, target_alone, emulated_alone;
};

// "layers.3.self_attn.q_proj" → "self_attn.q_proj".
std::string_view WithoutLayer(std::string_view name) {
  if (!name.starts_with("layers.")) return name;
  const size_t dot = name.find('.', std::string_view("layers.").size());
  return dot == std::string_view::npos ? "" : name.substr(dot + 1);
}

std::string_view OpOf(std::string_view point) {
  constexpr std::pair<std::string_view, std::string_view> kOps[] = {
      {"embed_tokens", "embedding"},
      {"input_layernorm", "RMS norm"},
      {"self_attn.q_norm", "RMS norm of heads"},
      {"self_attn.k_norm", "RMS norm of heads"},
      {"self_attn.q_rotated", "RoPE"},
      {"self_attn.k_rotated", "RoPE"},
      {"self_attn.attended", "attention"},
      {"post_attention_layernorm", "RMS norm"},
      {"mlp.act_fn", "SwiGLU"},
      {"", "sum with the residual"},
      {"norm", "RMS norm"}};
  const std::string_view module = WithoutLayer(point);
  for (const auto& [name, op] : kOps)
    if (name == module) return op;
  return "matrix product";
}

class LayerTrace {
 public:
  LayerTrace(const Checkpoint& checkpoint, std::vector<VerifyPrompt> prompts,
             const LayersOptions& options)
      : checkpoint_(checkpoint),
        prompts_(std::move(prompts)),
        options_(options),
        threads_(options.threads > 0 ? options.threads : DefaultThreads()) {}

  Result<LayersResult> Run() {
    const Stopwatch watch;
    if (!options_.target_file.empty()) {
      TRY_ASSIGN(file_, LayerFile::Open(options_.target_file, checkpoint_.config()));
      prompts_ = file_->prompts();
    }
    TRY(CheckPrompts(checkpoint_.path(), checkpoint_.config(), prompts_));
    int64_t total = 0;
    for (const VerifyPrompt& p : prompts_) {
      longest_ = std::max(longest_, std::ssize(p.ids));
      total += std::ssize(p.ids);
    }
    TRY(LoadModels());
    for (size_t prompt = 0; prompt < prompts_.size(); ++prompt) {
      const int64_t n = std::ssize(prompts_[prompt].ids);
      for (int64_t begin = 0; begin < n; begin += kLogitChunk) {
        TRY(options_.stop.Check());
        TRY(CompareChunk(prompt, begin, std::min(n, begin + kLogitChunk)));
        if (options_.progress) options_.progress("layers", std::ssize(rows_), total);
      }
    }
    LayersResult result = Judged();
    result.model = checkpoint_.path();
    result.target = file_ ? file_->path() : target_->owned.backend->name();
    result.numerics = NumericsName(options_.numerics.precision, options_.numerics.rounding);
    result.threads = threads_;
    result.prompts = std::ssize(prompts_);
    result.positions = std::ssize(rows_);
    result.seconds = watch.Seconds();
    return result;
  }

 private:
  struct RowPlace {
    size_t prompt;
    int64_t position;
  };

  Result<MutantModel> Load(std::string_view backend, Precision precision, OpRounding rounding,
                           int64_t sequences) const {
    BackendOptions made;
    made.precision = precision;
    made.threads = threads_;
    made.op_rounding = rounding;
    if (precision != Precision::kFp32) made.kv = options_.kv;
    MutantModel loaded;
    TRY_ASSIGN(loaded.backend, MakeBackend(backend, made));
    LlamaOptions llama;
    llama.max_batch_tokens = kLogitChunk;
    llama.kv_tokens = sequences * (longest_ + kPageTokens);
    llama.max_model_len = longest_;
    llama.eager = true;
    const ModelConfig& config = checkpoint_.config();
    const CheckpointWeights plain(checkpoint_);
    const RotatedWeights rotated(plain, config.hidden_size);
    // All three models must have the same residual stream.
    const bool rotate =
        options_.numerics.precision == Precision::kInt8 && !IsOwnInteger(config.dtype);
    TRY_ASSIGN(loaded.model,
               Llama::Load(config, rotate ? static_cast<const WeightSource&>(rotated) : plain,
                           *loaded.backend, llama));
    return loaded;
  }

  Status LoadModels() {
    TRY_ASSIGN(MutantModel exact, Load(kReferenceBackend, Precision::kFp32, OpRounding::kNone, 2));
    exact_.emplace(std::move(exact), 2);  // by itself, on a file's inputs
    TRY_ASSIGN(MutantModel emulated,
               Load(kReferenceBackend, EmulatedPrecision(options_.numerics.precision),
                    options_.numerics.rounding, 2));
    emulated_.emplace(std::move(emulated), 2);  // by itself, on exact inputs
    if (file_) return {};
    constexpr int kSequences = 3;  // accumulated, alone, token by token
    MutantModel target;
    if (options_.mutant != nullptr) {
      TRY_ASSIGN(target,
                 LoadMutantModel(checkpoint_, options_.mutant,
                                 {options_.numerics, options_.kv, threads_, longest_, kSequences}));
    } else {
      TRY_ASSIGN(target,
                 Load(kCpuBackend, options_.numerics.precision, OpRounding::kNone, kSequences));
    }
    target_.emplace(std::move(target), kSequences);
    return {};
  }

  // Adds the errors of a step's rows at a point.
  void AddRows(const Exact& exact, int64_t row, const Tensor& value, Errors* errors) const {
    CHECK(value.cols == exact.cols);
    for (int64_t i = 0; i < value.rows; ++i)
      errors->Add(exact.Row(row + i), {value.data + i * value.stride, exact.Row(0).size()});
  }

  // Runs the model on the chunk by itself.
  Status Accumulate(const Chunk& exact, TracedModel& traced, size_t prompt, int64_t begin,
                    int64_t end, Errors PointRecord::* errors) {
    return FeedChunk(traced, 0, prompts_[prompt], begin, end, end,
                     [&](size_t point, std::string_view, int64_t row, const Tensor& value) {
                       AddRows(exact[point], row, value, &(records_[point].*errors));
                     });
  }

  // Runs the model on the chunk. After each op, the op's result is replaced by that of `inputs`, if
  // it has one there. visit: sees the result before.
  Status RunOn(const Chunk& inputs, TracedModel& traced, size_t prompt, int64_t begin, int64_t end,
               int64_t decoded_from, const Visit& visit) {
    return FeedChunk(traced, 1, prompts_[prompt], begin, end, decoded_from,
                     [&](size_t point, std::string_view name, int64_t row, const Tensor& value) {
                       visit(point, name, row, value);
                       if (point >= inputs.size() || inputs[point].values.empty()) return;
                       for (int64_t i = 0; i < value.rows; ++i)
                         std::ranges::copy(inputs[point].Row(row + i),
                                           value.data + i * value.stride);
                     });
  }

  // Runs the model as RunOn does, and adds its errors against `exact`.
  Status RunAlone(const Chunk& inputs, const Chunk& exact, TracedModel& traced, size_t prompt,
                  int64_t begin, int64_t end, int64_t decoded_from, Errors PointRecord::* errors) {
    return RunOn(inputs, traced, prompt, begin, end, decoded_from,
                 [&](size_t point, std::string_view, int64_t row, const Tensor& value) {
                   AddRows(exact[point], row, value, &(records_[point].*errors));
                 });
  }

  // A visitor that keeps the results of a step that has all rows of the chunk.
  static Visit Keep(Chunk* chunk) {
    return [chunk](size_t, std::string_view name, int64_t, const Tensor& value) {
      Exact& exact = chunk->emplace_back();
      exact.name = name;
      exact.cols = value.cols;
      for (int64_t i = 0; i < value.rows; ++i)
        exact.values.insert(exact.values.end(), value.data + i * value.stride,
                            value.data + i * value.stride + value.cols);
    };
  }

  Status CompareChunk(size_t prompt, int64_t begin, int64_t end) {
    const VerifyPrompt& p = prompts_[prompt];
    for (int64_t position = begin; position < end; ++position) rows_.push_back({prompt, position});
    Chunk exact;
    TRY(FeedChunk(*exact_, 0, p, begin, end, end, Keep(&exact)));
    if (records_.empty()) {
      std::vector<std::string> names;
      for (const Exact& point : exact) {
        records_.emplace_back().name = point.name;
        names.push_back(point.name);
      }
      if (file_) TRY(file_->CheckPoints(names));
    }
    TRY(Accumulate(exact, *emulated_, prompt, begin, end, &PointRecord::emulated));
    if (file_) return CompareFile(exact, prompt, begin, end);
    TRY(RunAlone(exact, exact, *emulated_, prompt, begin, end, end, &PointRecord::emulated_alone));
    // Half of the positions are prefilled, and half are decoded.
    TRY(RunAlone(exact, exact, *target_, prompt, begin, end, std::ssize(p.ids) / 2,
                 &PointRecord::target_alone));
    return CompareDecode(exact, prompt, begin, end);
  }

  // The inputs of a file's ops are those of the file: fp32 and the emulation run on them.
  Status CompareFile(const Chunk& exact, size_t prompt, int64_t begin, int64_t end) {
    Chunk found(exact.size()), alone;
    for (size_t point = 0; point < exact.size(); ++point) {
      TRY_ASSIGN(auto rows,
                 file_->Rows(prompts_[prompt], exact[point].name, begin, end, exact[point].cols));
      if (rows) found[point] = {exact[point].name, exact[point].cols, *std::move(rows)};
    }
    TRY(RunOn(found, *exact_, prompt, begin, end, end, Keep(&alone)));
    TRY(RunAlone(found, alone, *emulated_, prompt, begin, end, end, &PointRecord::emulated_alone));
    for (size_t point = 0; point < exact.size(); ++point)
      for (int64_t row = 0; row < end - begin && !found[point].values.empty(); ++row) {
        records_[point].target.Add(exact[point].Row(row), found[point].Row(row));
        records_[point].target_alone.Add(alone[point].Row(row), found[point].Row(row));
      }
    return {};
  }

  // The target's own run, in one step and token by token.
  Status CompareDecode(const Chunk& exact, size_t prompt, int64_t begin, int64_t end) {
    std::vector<std::vector<float>> prefilled;
    TRY(FeedChunk(*target_, 0, prompts_[prompt], begin, end, end,
                  [&](size_t point, std::string_view, int64_t row, const Tensor& value) {
                    AddRows(exact[point], row, value, &records_[point].target);
                    std::vector<float>& rows = prefilled.emplace_back();
                    for (int64_t i = 0; i < value.rows; ++i)
                      rows.insert(rows.end(), value.data + i * value.stride,
                                  value.data + i * value.stride + value.cols);
                  }));
    return FeedChunk(
        *target_, 2, prompts_[prompt], begin, end, begin,
        [&](size_t point, std::string_view name, int64_t row, const Tensor& value) {
          if (!decode_.identical) return;
          const float* const before = &prefilled[point][static_cast<size_t>(row * value.cols)];
          if (std::memcmp(before, value.data, static_cast<size_t>(value.cols) * sizeof(float)) == 0)
            return;
          decode_ = {false, std::string(name), prompts_[prompt].id, begin + row};
        });
  }

  LayersResult Judged() const {
    const bool fp32 = options_.numerics.precision == Precision::kFp32;
    // The floor is the error of fp32's own sums; bf16's rounding has the error 2⁻⁸.
    const double ratio = Fp32OverBf16(LongestSum(checkpoint_.config(), longest_));
    const double floor = std::exp2(-8) * ratio, scale = fp32 ? ratio : 1;
    const auto band = [&](double emulated) { return std::max(scale * emulated, floor); };

    LayersResult result;
    result.limit = fp32 ? kFp32Limit : file_ ? kFileLimit : kLimit;
    for (const PointRecord& record : records_) {
      if (record.target.rows().empty()) continue;  // the file lacks it
      LayerPoint& point = result.points.emplace_back();
      point.name = record.name;
      point.op = OpOf(record.name);
      point.target = record.target.Total();
      point.emulated = record.emulated.Total();
      point.ratio = point.target.relative_l2 / band(point.emulated.relative_l2);
      point.target_alone = record.target_alone.Total();
      point.emulated_alone = record.emulated_alone.Total();
      point.ratio_alone = point.target_alone.relative_l2 / band(point.emulated_alone.relative_l2);
      if (file_) continue;
      for (size_t row = 0; row < rows_.size(); ++row)
        point.ratio_alone =
            std::max(point.ratio_alone, record.target_alone.rows()[row] /
                                            band(std::max(record.emulated_alone.rows()[row],
                                                          point.emulated_alone.relative_l2)));
    }
    result.culprit = FindCulprit(result, band);
    if (!file_) result.decode = decode_;
    if (result.culprit || !decode_.identical) result.verdict = Verdict::kFail;
    return result;
  }

  // The first point whose own error leaves the band; or else the first whose accumulated error
  // does.
  std::optional<Culprit> FindCulprit(const LayersResult& result,
                                     const std::function<double(double)>& band) const {
    for (const bool alone : {true, false})
      for (const LayerPoint& point : result.points) {
        const double ratio = alone ? point.ratio_alone : point.ratio;
        if (ratio <= result.limit) continue;
        const PointRecord& record = *std::ranges::find(records_, point.name, &PointRecord::name);
        const std::vector<double>& target = (alone ? record.target_alone : record.target).rows();
        const std::vector<double>& emulated =
            (alone ? record.emulated_alone : record.emulated).rows();
        const double mean = (alone ? point.emulated_alone : point.emulated).relative_l2;
        const auto ratio_of = [&](size_t row) {
          return target[row] / band(std::max(emulated[row], mean));
        };
        size_t first = 0;
        while (first < target.size() && ratio_of(first) <= result.limit) ++first;
        if (first == target.size()) {  // only the mean is outside: the worst row
          first = 0;
          for (size_t row = 0; row < target.size(); ++row)
            if (ratio_of(row) > ratio_of(first)) first = row;
        }
        return Culprit{.point = point.name,
                       .op = point.op,
                       .alone = alone,
                       .error = target[first],
                       .band = band(std::max(emulated[first], mean)),
                       .ratio = ratio_of(first),
                       .prompt = prompts_[rows_[first].prompt].id,
                       .position = rows_[first].position};
      }
    return std::nullopt;
  }

  const Checkpoint& checkpoint_;
  std::vector<VerifyPrompt> prompts_;
  const LayersOptions& options_;
  const int threads_;
  int64_t longest_ = 0;
  std::unique_ptr<LayerFile> file_;
  std::optional<TracedModel> exact_, emulated_, target_;
  std::vector<RowPlace> rows_;
  std::vector<PointRecord> records_;
  DecodeCheck decode_;
};

OrderedJson ToJson(const PointErrors& errors) {
  return {{"relative_l2", errors.relative_l2}, {"mere", errors.mere}, {"mare", errors.mare}};
}

}  // namespace

std::vector<VerifyPrompt> ChooseLayerPrompts(std::vector<VerifyPrompt> prompts, VerifyMode mode) {
  const int64_t budget = mode == VerifyMode::kQuick     ? 128
                         : mode == VerifyMode::kDefault ? 512
                                                        : 2048;
  // One long prompt, then the shortest: many beginnings rather than many long texts.
  const auto length = [](const VerifyPrompt& p) { return std::ssize(p.ids); };
  std::ranges::stable_sort(prompts, {}, length);
  const auto too_long = std::ranges::upper_bound(prompts, budget * 3 / 4, {}, length);
  std::rotate(prompts.begin(), too_long == prompts.begin() ? too_long : too_long - 1, too_long);
  int64_t positions = 0;
  std::erase_if(prompts, [&](const VerifyPrompt& p) {
    if (positions + length(p) > budget && positions > 0) return true;
    positions += length(p);
    return false;
  });
  return prompts;
}

Result<LayersResult> TraceLayers(const Checkpoint& checkpoint, std::vector<VerifyPrompt> prompts,
                                 const LayersOptions& options) {
  return LayerTrace(checkpoint, std::move(prompts), options).Run();
}

OrderedJson ToJson(const LayersResult& result) {
  OrderedJson points = OrderedJson::array();
  for (const LayerPoint& p : result.points)
    points.push_back({{"point", p.name},
                      {"op", p.op},
                      {"target", ToJson(p.target)},
                      {"emulated", ToJson(p.emulated)},
                      {"ratio", p.ratio},
                      {"target_alone", ToJson(p.target_alone)},
                      {"emulated_alone", ToJson(p.emulated_alone)},
                      {"ratio_alone", p.ratio_alone}});
  OrderedJson culprit = nullptr, decode = nullptr;
  if (const auto& c = result.culprit)
    culprit = {
        {"point", c->point}, {"op", c->op},       {"alone", c->alone},   {"error", c->error},
        {"band", c->band},   {"ratio", c->ratio}, {"prompt", c->prompt}, {"position", c->position}};
  if (const auto& d = result.decode) {
    decode = {{"identical", d->identical}};
    if (!d->identical)
      decode.update({{"point", d->point}, {"prompt", d->prompt}, {"position", d->position}});
  }
  return {{"model", result.model},
          {"target", result.target},
          {"numerics", result.numerics},
          {"threads", result.threads},
          {"prompts", result.prompts},
          {"positions", result.positions},
          {"limit", result.limit},
          {"points", points},
          {"culprit", culprit},
          {"decode", decode},
          {"verdict", VerdictName(result.verdict)},
          {"seconds", result.seconds}};
}

}  // namespace merope
