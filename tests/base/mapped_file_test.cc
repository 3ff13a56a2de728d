#include "base/mapped_file.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>

#include "tests/support/temp_dir.h"

namespace merope {
namespace {

TEST(MappedFile, ShowsTheBytesAgainAfterADrop) {
  TempDir directory;
  const std::string path = directory.File("data");
  std::string content(100'001, 'x');
  content.front() = 'a';
  content.back() = 'z';
  ASSERT_TRUE(WriteFile(path, content));
  auto file = MappedFile::Open(path);
  ASSERT_TRUE(file) << file.error().message;
  const auto same = [&](std::span<const std::byte> bytes) {
    return std::equal(bytes.begin(), bytes.end(), content.begin(), content.end(),
                      [](std::byte a, char b) { return a == static_cast<std::byte>(b); });
  };
  EXPECT_TRUE(same(file->bytes()));
  file->Drop(file->bytes());
  file->Drop(file->bytes().subspan(5, 10));  // less than a page: Drop does nothing
  file->Drop(file->bytes().subspan(100'001));
  EXPECT_TRUE(same(file->bytes()));
  const MappedFile moved = std::move(*file);
  EXPECT_TRUE(same(moved.bytes()));
  EXPECT_EQ(moved.path(), path);
}

TEST(MappedFile, AnEmptyFileIsAnEmptySpan) {
  TempDir directory;
  ASSERT_TRUE(WriteFile(directory.File("empty"), ""));
  const auto file = MappedFile::Open(directory.File("empty"));
  ASSERT_TRUE(file);
  EXPECT_TRUE(file->bytes().empty());
}

TEST(MappedFile, ErrorsNameThePath) {
  TempDir directory;
  const std::string missing = directory.File("missing");
  EXPECT_EQ(MappedFile::Open(missing).error().message,
            missing + ": cannot open: No such file or directory");
  EXPECT_EQ(MappedFile::Open(directory.path()).error().message,
            directory.path() + ": expected a file, found a directory");
  EXPECT_EQ(MappedFile::Open("/dev/null").error().message, "/dev/null: expected a regular file");
  EXPECT_EQ(ReadFile(missing).error().message,
            missing + ": cannot open: No such file or directory");
  EXPECT_EQ(ReadFile(directory.path()).error().message,
            directory.path() + ": expected a file, found a directory");
}

TEST(ReadFile, RefusesWhatIsTooLarge) {
  TempDir directory;
  const std::string path = directory.File("five");
  ASSERT_TRUE(WriteFile(path, "12345"));
  EXPECT_EQ(*ReadFile(path, 5), "12345");
  EXPECT_EQ(ReadFile(path, 4).error().message, path + ": 5 bytes, expected at most 4");
}

TEST(WriteFile, ReplacesInOneStepAndLeavesNothingBehind) {
  TempDir directory;
  const std::string path = directory.File("out");
  ASSERT_TRUE(WriteFile(path, "first"));
  ASSERT_TRUE(WriteFile(path, "second"));
  EXPECT_EQ(*ReadFile(path), "second");
  const auto failed = WriteFile(directory.File("no/such/place"), "x");
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message.find("no/such/place: cannot write"), std::string::npos);
  const auto entries = std::filesystem::directory_iterator(directory.path());
  EXPECT_EQ(std::distance(begin(entries), end(entries)), 1);
}

TEST(ReadFile, TakesAnEmptyFileAndOneOfManyPages) {
  TempDir directory;
  const std::string path = directory.File("data");
  for (const size_t size : {size_t{0}, size_t{1}, size_t{3'000'001}}) {
    std::string content(size, '\0');
    for (size_t i = 0; i < size; ++i) content[i] = static_cast<char>(i * 7 % 251);
    ASSERT_TRUE(WriteFile(path, content));
    EXPECT_TRUE(*ReadFile(path) == content) << size;
  }
}

// Drop must keep pages that are only partly inside the part. A dropped page is read from the file
// again, so it loses what was written to the mapping. (A debugger may write to a private mapping.)
TEST(MappedFile, DropsWholePagesInsideThePart) {
  TempDir directory;
  const std::string path = directory.File("data");
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  ASSERT_TRUE(WriteFile(path, std::string(4 * page, 'x')));
  const auto file = MappedFile::Open(path);
  ASSERT_TRUE(file);
  const std::span<const std::byte> all = file->bytes();
  auto* bytes = reinterpret_cast<char*>(const_cast<std::byte*>(all.data()));
  ASSERT_EQ(mprotect(bytes, 4 * page, PROT_READ | PROT_WRITE), 0);
  const auto dropped = [&](size_t begin, size_t size) {
    std::string pages;
    for (size_t i = 0; i < 4; ++i) bytes[i * page] = 'w';
    file->Drop(all.subspan(begin, size));
    for (size_t i = 0; i < 4; ++i) pages += bytes[i * page] == 'x' ? 'd' : '-';
    return pages;
  };
  EXPECT_EQ(dropped(0, 4 * page), "dddd");
  EXPECT_EQ(dropped(page, 2 * page), "-dd-");
  EXPECT_EQ(dropped(page - 1, 2 * page + 1), "-dd-");
  EXPECT_EQ(dropped(page + 1, 2 * page), "--d-");
  EXPECT_EQ(dropped(1, 2 * page), "-d--");
  EXPECT_EQ(dropped(1, page), "----");
  EXPECT_EQ(dropped(page, page), "-d--");
  EXPECT_EQ(dropped(page, page - 1), "----");
}

TEST(MappedFile, GoesWithItsOwner) {
  TempDir directory;
  const std::string path = directory.File("data");
  ASSERT_TRUE(WriteFile(path, "text"));
  const auto mapped = [&] {
    std::ifstream maps("/proc/self/maps");
    const std::string all(std::istreambuf_iterator<char>(maps), {});
    return all.find(path) != all.npos;
  };
  {
    const auto file = MappedFile::Open(path);
    EXPECT_TRUE(mapped());
  }
  EXPECT_FALSE(mapped());
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
TEST(MappedFile, WithoutAddressesForItIsAnError) {
  TempDir directory;
  const std::string path = directory.File("large");
  ASSERT_TRUE(WriteFile(path, ""));
  std::filesystem::resize_file(path, uintmax_t{4} << 30);
  const auto open = [&] {
    const rlimit little = {.rlim_cur = 1 << 30, .rlim_max = 1 << 30};
    if (setrlimit(RLIMIT_AS, &little) != 0) _exit(1);
    const auto file = MappedFile::Open(path);
    if (file) _exit(2);
    std::fputs(file.error().message.c_str(), stderr);
    _exit(3);
  };
  EXPECT_EXIT(open(), testing::ExitedWithCode(3),
              "large: cannot map 4294967296 bytes: Cannot allocate memory");
}
#endif

// The test uses its own pipe instead of a device of the system. A faulty WriteFile would replace
// the device for all programs.
TEST(WriteFile, LeavesDevicesAndDirectoriesAlone) {
  TempDir directory;
  const std::string pipe = directory.File("pipe"), inner = directory.File("inner");
  ASSERT_EQ(mkfifo(pipe.c_str(), 0600), 0);
  ASSERT_TRUE(std::filesystem::create_directory(inner));
  EXPECT_EQ(WriteFile(pipe, "text").error().message,
            pipe + ": expected a file or nothing, found something else");
  EXPECT_EQ(WriteFile(inner, "text").error().message,
            inner + ": expected a file or nothing, found a directory");
  EXPECT_TRUE(std::filesystem::is_fifo(pipe));
  EXPECT_TRUE(std::filesystem::is_directory(inner));
}

}  // namespace
}  // namespace merope
