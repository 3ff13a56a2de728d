#include "report/environment.h"

#include <gtest/gtest.h>

#include "base/mapped_file.h"
#include "tests/support/expect.h"
#include "tests/support/temp_dir.h"

namespace merope {
namespace {

using Fields = std::vector<std::pair<std::string, std::string>>;

Result<Fields> Read(std::string_view text) {
  const TempDir folder;
  const std::string path = folder.File("e.yaml");
  EXPECT_TRUE(WriteFile(path, text));
  return ReadEnvironment(path);
}

TEST(Environment, NamesAndValuesInTheirOrder) {
  const auto fields =
      Read("# a comment\ndevice: Ascend910_9362\ncann: 8.5.1\n'host memory': \"512 GB\"\nn: 2\n");
  ASSERT_TRUE(fields) << ErrorOf(fields);
  EXPECT_EQ(
      *fields,
      (Fields{
          {"device", "Ascend910_9362"}, {"cann", "8.5.1"}, {"host memory", "512 GB"}, {"n", "2"}}));
  EXPECT_EQ(Read("")->size(), 0u);
  EXPECT_EQ((*Read("{\"device\": \"x\"}"))[0].second, "x");
}

TEST(Environment, OtherFilesAreErrorsThatNameTheLine) {
  const std::pair<std::string, std::string_view> cases[] = {
      {"- a\n", "e.yaml: expected lines of NAME: VALUE"},
      {"only words\n", "e.yaml: expected lines of NAME: VALUE"},
      {"a: 1\nb:\n  c: 2\n", "e.yaml:2: b: expected one value, found a list or a mapping"},
      {"a: 1\nb: [2]\n", "e.yaml:2: b: expected one value"},
      {"a:\n", "e.yaml:1: a: expected one value, found none"},
      {"a: 1\na: 2\n", "e.yaml:2: a: expected each name once"},
      {"[a]: 1\n", "e.yaml:1: expected a name"},
      {"a: 1\n\tb: \"\n", "expected YAML"},
      {std::string((size_t{1} << 20) + 1, 'a'), "expected at most 1048576 bytes, found 1048577"},
      {std::string(100000, '['), "e.yaml"},
      {std::string(100000, '{'), "e.yaml"},
      {std::string("a: \0\xff\xfe\n", 7), ""},
  };
  for (const auto& [text, words] : cases) {
    const auto fields = Read(text);
    if (words.empty()) continue;  // any answer, but an answer
    ASSERT_FALSE(fields) << text.substr(0, 40);
    EXPECT_NE(fields.error().message.find(words), std::string::npos) << fields.error().message;
  }
  EXPECT_FALSE(ReadEnvironment("/no/such/file"));
}

}  // namespace
}  // namespace merope
