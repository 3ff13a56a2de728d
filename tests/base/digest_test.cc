#include "base/digest.h"

#include <gtest/gtest.h>

#include <string_view>

namespace merope {
namespace {

std::string HashInPieces(std::string_view text, size_t piece) {
  Sha256 hash;
  for (size_t at = 0; at < text.size(); at += piece)
    hash.Add(std::as_bytes(std::span(text.substr(at, piece))));
  return hash.Hex();
}

// The examples of FIPS 180-2, appendix B.
TEST(Digest, StandardExamplesOfSha256) {
  EXPECT_EQ(HashInPieces("", 1),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(HashInPieces("abc", 3),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  const std::string million(1'000'000, 'a');
  for (const size_t piece : {1'000'000ul, 4096ul, 77ul})
    EXPECT_EQ(HashInPieces(million, piece),
              "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

// FIPS 180-2, appendix A; and git's name of an empty file, as `git hash-object` prints it.
TEST(Digest, StandardExamplesOfSha1) {
  Sha1 hash;
  hash.Add(std::as_bytes(std::span(std::string_view("abc"))));
  EXPECT_EQ(hash.Hex(), "a9993e364706816aba3e25717850c26c9cd0d89d");
  Sha1 empty;
  empty.Add(std::as_bytes(std::span("blob 0")));  // with its final NUL
  EXPECT_EQ(empty.Hex(), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
}

}  // namespace
}  // namespace merope
