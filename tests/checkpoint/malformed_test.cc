// Every damaged input gives one clear error that names the file and the field. Nothing worse
// happens: these tests also run under AddressSanitizer.
#include "tests/support/malformed.h"

#include <gtest/gtest.h>

#include "checkpoint/checkpoint.h"
#include "tests/checkpoint/support.h"

namespace merope {
namespace {

// Loads what a command loads before it runs a model.
Status Load(const std::string& path) {
  TRY_ASSIGN(const Checkpoint checkpoint, Checkpoint::Open(path));
  TRY_ASSIGN(const Tokenizer tokenizer, checkpoint.LoadTokenizer());
  return {};
}

class Malformed : public testing::TestWithParam<MalformedCase> {};

TEST_P(Malformed, IsRefusedByName) {
  const MalformedCase& damage = GetParam();
  TempDir directory;
  ASSERT_NO_FATAL_FAILURE(MakeWholeCheckpoint(directory.path()));
  ASSERT_TRUE(Load(directory.path())) << ErrorOf(Load(directory.path()));
  const std::string path = damage.make(directory.path());
  EXPECT_TRUE(!damage.tokenizer || Checkpoint::Open(path)) << ErrorOf(Checkpoint::Open(path));
  const Status loaded = Load(path);
  ASSERT_FALSE(loaded);
  const std::string& message = loaded.error().message;
  EXPECT_TRUE(Contains(message, damage.file));
  EXPECT_TRUE(Contains(message, damage.field));
  EXPECT_EQ(message.find('\n'), message.npos) << message;
  EXPECT_LT(message.size(), 1000u);
}

INSTANTIATE_TEST_SUITE_P(Inputs, Malformed, testing::ValuesIn(MalformedCases()),
                         [](const auto& input) { return input.param.name; });

TEST(MalformedInputs, ThereAreEnoughInputs) { EXPECT_GE(MalformedCases().size(), 40u); }

// A truncated file of any length is refused. The reader never reads past the end of the file.
TEST(Truncated, SafetensorsAtEveryLength) {
  TempDir directory;
  MakeWholeCheckpoint(directory.path());
  const std::string path = directory.File("model.safetensors"), whole = Read(path);
  for (size_t size = 0; size < whole.size(); size += size < 3000 ? 37 : whole.size() / 13) {
    Write(path, whole.substr(0, size));
    EXPECT_TRUE(Contains(ErrorOf(Checkpoint::Open(directory.path())), path)) << size;
  }
}
TEST(Truncated, GgufAtEveryLength) {
  TempDir directory;
  MakeWholeCheckpoint(directory.path());
  const std::string path = directory.File("model.gguf"), whole = Read(path);
  for (size_t size = 0; size < whole.size() - 32; size += size < 3000 ? 7 : whole.size() / 29) {
    Write(path, whole.substr(0, size));
    EXPECT_TRUE(Contains(ErrorOf(Checkpoint::Open(path)), path)) << size;
  }
}

// Any byte of the headers may be wrong. Then the file is refused, or the file loads and all its
// tensors lie inside the file.
TEST(Flipped, GgufHeaderBytes) {
  TempDir directory;
  MakeWholeCheckpoint(directory.path());
  const std::string path = directory.File("model.gguf"), whole = Read(path);
  for (size_t at = 0; at < 3500; at += 7) {
    for (const unsigned flip : {0x01u, 0x80u, 0xffu}) {
      std::string damaged = whole;
      damaged[at] = static_cast<char>(static_cast<unsigned char>(damaged[at]) ^ flip);
      Write(path, damaged);
      const auto checkpoint = Checkpoint::Open(path);
      if (!checkpoint) continue;
      for (const TensorView& tensor : checkpoint->tensors()) {
        std::vector<float> row(static_cast<size_t>(tensor.cols()));
        tensor.DecodeRow(tensor.rows() - 1, row);
      }
    }
  }
}

}  // namespace
}  // namespace merope
