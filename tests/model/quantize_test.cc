// A checkpoint that Quantize wrote gives the same bits as a checkpoint that is quantized at load. A
// damaged quantized checkpoint is refused.
#include "model/quantize.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>

#include "backend/registry.h"
#include "base/json.h"
#include "base/mapped_file.h"
#include "checkpoint/synth.h"
#include "checkpoint/weight_check.h"
#include "model/llama.h"
#include "tests/model/outcome.h"
#include "tests/support/expect.h"
#include "tests/support/temp_dir.h"

namespace merope {
namespace {

namespace fs = std::filesystem;

class QuantizeTest : public testing::TestWithParam<std::tuple<Precision, bool>> {
 protected:
  void SetUp() override {
    const auto [precision, biases] = GetParam();
    ASSERT_TRUE(Synthesize(source_, OddConfig(biases), {.seed = 4}));
    const auto checkpoint = Checkpoint::Open(source_);
    ASSERT_TRUE(checkpoint);
    const auto done = Quantize(*checkpoint, out_, {.precision = precision, .threads = 2});
    ASSERT_TRUE(done) << done.error().message;
  }
  std::string Error() const {
    const auto checkpoint = Checkpoint::Open(out_);
    if (!checkpoint) return checkpoint.error().message;
    const auto backend = MakeCpuBackend({std::get<0>(GetParam()), 1});
    const auto model = Llama::Load(*checkpoint, *backend, {});
    return model ? "" : model.error().message;
  }
  // Changes a field of quantization_config in config.json.
  void Patch(const char* field, const Json& value) const {
    Json config = *ReadJsonFile(out_ + "/config.json");
    config["quantization_config"][field] = value;
    ASSERT_TRUE(WriteFile(out_ + "/config.json", config.dump()));
  }

  TempDir directory_;
  const std::string source_ = directory_.path() + "/source", out_ = directory_.path() + "/out";
};

TEST_P(QuantizeTest, GivesTheBitsOfQuantizingAtLoad) {
  const Precision precision = std::get<0>(GetParam());
  for (const Arithmetic arithmetic : {Arithmetic::kCpu, Arithmetic::kReference})
    EXPECT_EQ(RunModel(out_, precision, arithmetic).logits,
              RunModel(source_, precision, arithmetic).logits);
}

TEST_P(QuantizeTest, IsWholeAndRunsInFp32Too) {
  const auto checkpoint = Checkpoint::Open(out_);
  ASSERT_TRUE(checkpoint);
  const auto report = CheckWeights(*checkpoint, {});
  ASSERT_TRUE(report);
  EXPECT_TRUE(report->ok());
  const double error = RelativeL2(RunModel(out_, Precision::kFp32).logits,
                                  RunModel(source_, Precision::kFp32).logits);
  EXPECT_GT(error, 0);
  EXPECT_LT(error * error, std::get<0>(GetParam()) == Precision::kInt8 ? 1e-3 : 0.1);
}

TEST_P(QuantizeTest, RefusesWhatIsThereAndWhatIsQuantized) {
  const auto source = Checkpoint::Open(source_), quantized = Checkpoint::Open(out_);
  ASSERT_TRUE(source && quantized);
  const auto again = Quantize(*source, out_, {});
  ASSERT_FALSE(again);
  EXPECT_NE(again.error().message.find("--force"), std::string::npos);
  const auto twice = Quantize(*quantized, out_ + "2", {});
  ASSERT_FALSE(twice);
  EXPECT_NE(twice.error().message.find("already"), std::string::npos);
  EXPECT_FALSE(fs::exists(out_ + "2"));
  EXPECT_TRUE(Quantize(*source, out_, {.force = true}));
  EXPECT_EQ(std::distance(fs::directory_iterator(directory_.path()), fs::directory_iterator()), 2);
}

TEST_P(QuantizeTest, CountsAndNamesWhatItDid) {
  const auto [precision, biases] = GetParam();
  const auto source = Checkpoint::Open(source_);
  ASSERT_TRUE(source);
  const std::string out = directory_.path() + "/counted";
  int64_t last = 0, total = 0;
  const auto done =
      Quantize(*source, out + "//", {.precision = precision}, [&](int64_t so_far, int64_t all) {
        EXPECT_GT(so_far, last);
        last = so_far;
        total = all;
      });
  ASSERT_TRUE(done) << done.error().message;
  int64_t bytes = 0;
  for (const TensorView& tensor : source->tensors()) bytes += std::ssize(tensor.bytes);
  EXPECT_EQ(done->source_bytes, bytes);
  EXPECT_EQ(total, bytes);
  const auto made = Checkpoint::Open(out);
  ASSERT_TRUE(made) << ErrorOf(made);
  int64_t made_bytes = 0;
  for (const TensorView& tensor : made->tensors()) made_bytes += std::ssize(tensor.bytes);
  EXPECT_EQ(done->bytes, made_bytes);
  // A row of 52 weights is one block of 64 weights (66 bytes), or two blocks of 32 weights (18
  // bytes each).
  const TensorView* embedding = made->Find("model.embed_tokens.weight");
  ASSERT_NE(embedding, nullptr);
  EXPECT_EQ(std::ssize(embedding->bytes), 97 * (precision == Precision::kInt8 ? 66 : 36));
  const Json note = (*ReadJsonFile(out + "/config.json"))["quantization_config"];
  EXPECT_EQ(note["dtype"], std::string(PrecisionName(precision)));
  EXPECT_EQ(note["group_size"], precision == Precision::kInt8 ? 64 : 32);
  EXPECT_EQ(note["rotated"], precision == Precision::kInt8);
  EXPECT_EQ(note["source"], "BF16");
  EXPECT_EQ(note["merope_version"], MEROPE_VERSION);
  EXPECT_EQ(made->config().quantized_from, "BF16");
}

TEST_P(QuantizeTest, OnlyAModelsDirectoryIsReplaced) {
  const auto source = Checkpoint::Open(source_);
  ASSERT_TRUE(source);
  const auto error = [&](const std::string& path, bool force) {
    const auto done =
        Quantize(*source, path, {.precision = std::get<0>(GetParam()), .force = force});
    return done ? "(no error)" : done.error().message;
  };
  const std::string file = directory_.path() + "/file", other = directory_.path() + "/other",
                    empty = directory_.path() + "/empty";
  ASSERT_TRUE(WriteFile(file, "mine"));
  ASSERT_TRUE(fs::create_directory(other) && fs::create_directory(empty));
  ASSERT_TRUE(WriteFile(other + "/mine", "mine"));
  for (const std::string& path : {file, other}) {
    EXPECT_EQ(error(path, false), path + ": expected nothing there (or --force), found a file");
    EXPECT_EQ(error(path, true),
              path + ": --force: expected a model's directory, found something else");
  }
  EXPECT_EQ(*ReadFile(file), "mine");
  EXPECT_EQ(*ReadFile(other + "/mine"), "mine");
  EXPECT_EQ(error(empty, true), "(no error)");
  EXPECT_EQ(error(directory_.path() + "/new", true), "(no error)");
}

TEST_P(QuantizeTest, RefusesDamage) {
  Patch("dtype", "int3");
  EXPECT_NE(Error().find("dtype"), std::string::npos) << Error();
  Patch("dtype", std::get<0>(GetParam()) == Precision::kInt8 ? "int4" : "int8");
  EXPECT_NE(Error().find("shape"), std::string::npos) << Error();
  Patch("dtype", PrecisionName(std::get<0>(GetParam())));
  Patch("version", 2);
  EXPECT_NE(Error().find("version"), std::string::npos) << Error();
  Patch("version", 1);
  EXPECT_EQ(Error(), "");

  // The first scale of the first matrix becomes NaN.
  const std::string path = out_ + "/model.safetensors";
  std::string file = *ReadFile(path);
  uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof(length));
  const std::string whole = file;
  file[8 + length] = file[8 + length + 1] = '\x7f';
  file[8 + length] = '\xff';
  ASSERT_TRUE(WriteFile(path, file));
  EXPECT_NE(Error().find("embed_tokens"), std::string::npos) << Error();
  // A matrix of another dtype.
  file = whole;
  file.replace(file.find("\"U8\""), 4, "\"I8\"");
  ASSERT_TRUE(WriteFile(path, file));
  EXPECT_NE(Error().find("expected U8"), std::string::npos) << Error();
  ASSERT_TRUE(WriteFile(path, whole.substr(0, whole.size() - 1)));
  EXPECT_NE(Error(), "");
}

INSTANTIATE_TEST_SUITE_P(Formats, QuantizeTest,
                         testing::Combine(testing::Values(Precision::kInt8, Precision::kInt4),
                                          testing::Bool()),
                         [](const auto& suite_info) {
                           return std::string(PrecisionName(std::get<0>(suite_info.param))) +
                                  (std::get<1>(suite_info.param) ? "_biases" : "_tied");
                         });

}  // namespace
}  // namespace merope
