#include "hub/blob.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "base/digest.h"
#include "base/mapped_file.h"

namespace merope {
namespace {

namespace fs = std::filesystem;
constexpr int64_t kPiece = Blob::kPiece;
using Ranges = std::vector<std::pair<int64_t, int64_t>>;

class BlobTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) /
              testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::remove_all(folder_);
    fs::create_directories(folder_);
    contents_.resize(static_cast<size_t>(2 * kPiece + 5));
    for (size_t i = 0; i < contents_.size(); ++i) contents_[i] = static_cast<char>(i * 7);
    Sha256 hash;
    hash.Add(std::as_bytes(std::span(contents_)));
    file_ = {.path = "x", .size = static_cast<int64_t>(contents_.size()), .hash = hash.Hex()};
  }
  void TearDown() override { fs::remove_all(folder_); }

  Blob Open() {
    auto blob = Blob::Open(file_, (folder_ / "blob").string());
    EXPECT_TRUE(blob);
    return std::move(*blob);
  }
  int64_t Write(Blob& blob, int64_t first, int64_t last) {
    EXPECT_TRUE(
        blob.Write(first, std::string_view(contents_).substr(static_cast<size_t>(first),
                                                             static_cast<size_t>(last - first))));
    return blob.MarkWritten(first, last).value_or(-1);
  }

  fs::path folder_;
  std::string contents_;
  HubFile file_;
};

TEST_F(BlobTest, CountsWholePieces) {
  Blob blob = Open();
  EXPECT_EQ(blob.missing_bytes(), file_.size);
  EXPECT_EQ(blob.MissingRanges(kPiece),
            (Ranges{{0, kPiece}, {kPiece, 2 * kPiece}, {2 * kPiece, 2 * kPiece + 5}}));
  EXPECT_EQ(blob.MissingRanges(file_.size), (Ranges{{0, file_.size}}));
  EXPECT_EQ(Write(blob, kPiece, 2 * kPiece - 1), 0);
  EXPECT_EQ(blob.MarkWritten(kPiece, 2 * kPiece).value_or(-1), kPiece);
  EXPECT_EQ(blob.MarkWritten(kPiece, 2 * kPiece).value_or(-1), 0);
  EXPECT_EQ(blob.MissingRanges(file_.size), (Ranges{{0, kPiece}, {2 * kPiece, 2 * kPiece + 5}}));
}

TEST_F(BlobTest, TakesUpWhatIsThere) {
  {
    Blob blob = Open();
    EXPECT_EQ(Write(blob, kPiece, 2 * kPiece), kPiece);
  }
  Blob blob = Open();
  EXPECT_EQ(blob.missing_bytes(), kPiece + 5);
  EXPECT_EQ(Write(blob, 0, kPiece), kPiece);
  EXPECT_EQ(Write(blob, 2 * kPiece, file_.size), 5);
  EXPECT_TRUE(blob.Finish());
  EXPECT_EQ(ReadFile((folder_ / "blob").string()).value_or(""), contents_);
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), {}), 1);
}

TEST_F(BlobTest, AnotherSizeStartsOver) {
  {
    Blob blob = Open();
    Write(blob, 0, kPiece);
  }
  ++file_.size;
  EXPECT_EQ(Open().missing_bytes(), file_.size);
}

TEST_F(BlobTest, AWrongByteIsFoundAndNothingIsKept) {
  contents_[9] ^= 1;
  Blob blob = Open();
  Write(blob, 0, file_.size);
  EXPECT_EQ(blob.missing_bytes(), 0);
  EXPECT_FALSE(blob.Finish());
  EXPECT_EQ(blob.missing_bytes(), file_.size);
  EXPECT_EQ(Open().missing_bytes(), file_.size);
  EXPECT_FALSE(fs::exists(folder_ / "blob"));
}

TEST_F(BlobTest, GitsNameOfAnEmptyFile) {
  file_ = {.path = "x",
           .hash_kind = HubFile::Hash::kGitSha1,
           .hash = "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391"};
  Blob blob = Open();
  EXPECT_TRUE(blob.MissingRanges(kPiece).empty());
  EXPECT_TRUE(blob.Finish());
}

}  // namespace
}  // namespace merope
