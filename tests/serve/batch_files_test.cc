// The files of a batch: lines of any length, and results that survive any end of the process.
#include "serve/batch_files.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/mapped_file.h"
#include "tests/support/expect.h"
#include "tests/support/temp_dir.h"

namespace merope {
namespace {

const std::string kId(32, '7');

std::string ResultOf(const std::string& custom_id, const std::string& more = "") {
  return R"({"id":"batch-)" + kId + R"(","custom_id":)" + custom_id + R"(,"response":{"body":")" +
         more + R"("},"error":null})";
}
std::string RefusalOf(int line) {
  return R"({"id":"batch-)" + kId + R"(","custom_id":null,"response":null,"error":{"line":)" +
         std::to_string(line) + "}}";
}

class BatchFilesTest : public testing::Test {
 protected:
  std::string Write(const std::string& name, const std::string& content) {
    std::ofstream(directory_.File(name), std::ios::binary) << content;
    return directory_.File(name);
  }
  std::string Read(const std::string& name) { return *ReadFile(directory_.File(name)); }
  Result<BatchResults> Open(const std::string& name) {
    return BatchResults::Open(directory_.File(name), -1);
  }

  TempDir directory_;
};

TEST_F(BatchFilesTest, LinesOfAnyLength) {
  const std::string long_line(1'000'000, 'x');
  const std::string path =
      Write("in", "one\n\n" + long_line + "\nx" + std::string(1, '\0') + "y\nlast");
  const Descriptor file(open(path.c_str(), O_RDONLY));
  LineReader line(file.get(), path, 10);
  struct Expected {
    std::string text;
    bool cut, ended, has_nul;
  };
  int64_t at = 0, number = 0;
  for (const Expected& expected : {Expected{"one", false, true, false},
                                   {"", false, true, false},
                                   {std::string(10, 'x'), true, true, false},
                                   {std::string("x\0y", 3), false, true, true},
                                   {"last", false, false, false}}) {
    ASSERT_TRUE(line.Next().value_or(false));
    EXPECT_EQ(line.number(), ++number);
    EXPECT_EQ(line.text(), expected.text);
    EXPECT_EQ(line.cut(), expected.cut) << number;
    EXPECT_EQ(line.ended(), expected.ended) << number;
    EXPECT_EQ(line.has_nul(), expected.has_nul) << number;
    EXPECT_EQ(line.begin(), at);
    at = line.end();
  }
  EXPECT_FALSE(line.Next().value_or(true));
  EXPECT_EQ(at, std::ssize(Read("in")));
}

TEST_F(BatchFilesTest, ResultsAreFoundAgain) {
  {
    auto results = Open("out");
    ASSERT_TRUE(results) << ErrorOf(results);
    EXPECT_TRUE(results->first_lines().empty());
    // One custom_id has characters that JSON escapes. One is followed by a long rest of the line.
    for (const std::string& line :
         {ResultOf(R"("a")"), ResultOf(R"("q\"\\\u00e9")"),
          ResultOf(R"("long")", std::string(300'000, 'x')), RefusalOf(12)})
      ASSERT_TRUE(results->Write(line));
    ASSERT_TRUE(results->Sync());
  }
  auto results = Open("out");
  ASSERT_TRUE(results) << ErrorOf(results);
  EXPECT_EQ(results->first_lines().size(), 3);
  for (const char* id : {"a", "q\"\\é", "long"})
    EXPECT_TRUE(results->first_lines().contains(HashId(id))) << id;
  EXPECT_FALSE(results->first_lines().contains(HashId("b")));
  EXPECT_EQ(results->refused_lines(), std::unordered_set<int64_t>{12});
  EXPECT_EQ(results->dropped_bytes(), 0);
  ASSERT_TRUE(results->Write(RefusalOf(13)));
  EXPECT_TRUE(Read("out").ends_with(RefusalOf(12) + "\n" + RefusalOf(13) + "\n"));
}

TEST_F(BatchFilesTest, ATornLineIsDroppedWhereverItWasCut) {
  const std::string whole = ResultOf(R"("a")") + "\n", torn = ResultOf(R"("b")", "some text");
  for (size_t size = 1; size <= torn.size(); ++size) {
    Write("out", whole + torn.substr(0, size));
    auto results = Open("out");
    ASSERT_TRUE(results) << size << ": " << ErrorOf(results);
    EXPECT_EQ(results->dropped_bytes(), static_cast<int64_t>(size));
    EXPECT_EQ(results->first_lines().size(), 1);
    EXPECT_EQ(Read("out"), whole);
  }
}

// After a power cut, a file can have its new size on the disk but not its content.
TEST_F(BatchFilesTest, ZerosOfAPowerCutAreDroppedWithWhatFollows) {
  const std::string whole = ResultOf(R"("a")") + "\n", nothing(100, '\0');
  for (const std::string& rest : {nothing, ResultOf(R"("b")").substr(0, 50) + nothing,
                                  nothing + "of the body\"}}\n" + ResultOf(R"("c")") + "\n",
                                  ResultOf(R"("b")").substr(0, 70) + nothing + "}\n" + whole}) {
    Write("out", whole + rest);
    auto results = Open("out");
    ASSERT_TRUE(results) << ErrorOf(results);
    EXPECT_EQ(results->dropped_bytes(), std::ssize(rest));
    EXPECT_EQ(Read("out"), whole);
    EXPECT_EQ(results->first_lines().size(), 1);
  }
}

TEST_F(BatchFilesTest, AFileOfAnotherKindIsRefusedAndLeftAlone) {
  const std::string whole = ResultOf(R"("a")") + "\n";
  for (const std::string& other :
       {std::string("text"), std::string("text\n"), std::string(R"({"custom_id":"a"})"),
        whole + "text\n", whole + "text", whole + "\n" + whole, whole + "te" + '\0' + "xt\n",
        std::string(R"({"id":"batch-)") + "\n",
        R"({"id":"batch-)" + kId +
            R"(","custom_id":5})"
            "\n",
        R"({"id":"batch-)" + kId +
            R"(","custom_id":null,"error":null})"
            "\n",
        R"({"id":"batch-)" + kId +
            R"(","custom_id":"x)"
            "\n"}) {
    Write("out", other);
    EXPECT_TRUE(Contains(ErrorOf(Open("out")), "expected a result")) << other;
    EXPECT_EQ(Read("out"), other);
  }
  EXPECT_TRUE(Contains(ErrorOf(Open("")), directory_.path()));  // a directory
  EXPECT_TRUE(Contains(ErrorOf(Open("none/out")), "No such file"));
  EXPECT_TRUE(Contains(ErrorOf(BatchResults::Open("/dev/null", -1)), "expected a file"));
  // If standard input is closed, a file can get the descriptor 0.
  const int input = dup(0);
  close(0);
  EXPECT_EQ(ErrorOf(Open("results.jsonl")), "(no error)");
  dup2(input, 0);
  close(input);
}

TEST_F(BatchFilesTest, OneRunAtATimeWrites) {
  {
    const auto first = Open("out");
    ASSERT_TRUE(first) << ErrorOf(first);
    EXPECT_TRUE(Contains(ErrorOf(Open("out")), "another run"));
  }
  EXPECT_TRUE(Open("out"));
}

TEST_F(BatchFilesTest, TheRequestsAreNotOverwritten) {
  const std::string path = Write("in", "");
  std::filesystem::create_symlink(path, directory_.File("link"));
  std::filesystem::create_hard_link(path, directory_.File("hard"));
  const Descriptor requests(open(path.c_str(), O_RDONLY));
  for (const char* name : {"in", "link", "hard"})
    EXPECT_TRUE(Contains(ErrorOf(BatchResults::Open(directory_.File(name), requests.get())),
                         "another file"))
        << name;
}

TEST_F(BatchFilesTest, HashesTellIdsApart) {
  EXPECT_EQ(HashId("a"), HashId("a"));
  EXPECT_NE(HashId("a"), HashId("b"));
  // The first half of the SHA-256 of an empty text.
  EXPECT_EQ(HashId(""), (IdHash{0xe3b0c44298fc1c14, 0x9afbf4c8996fb924}));
}

}  // namespace
}  // namespace merope
