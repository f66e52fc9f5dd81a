#include "base/output_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <iterator>
#include <utility>

#include "tests/base/temporary_directory.h"

namespace shoehorn {
namespace {

std::string content(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

size_t files_in(const std::filesystem::path& folder) {
  return static_cast<size_t>(std::distance(std::filesystem::directory_iterator(folder), {}));
}

TEST(OutputFile, AppearsWholeOnCommit) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "out";
  OutputFile file = OutputFile::create(path, 10000).value();
  ASSERT_EQ(file.bytes().size(), 10000u);
  std::memset(file.bytes().data(), 'a', 10000);
  file.written(file.bytes().subspan(100, 9000));
  EXPECT_EQ(std::to_integer<char>(file.bytes()[5000]), 'a');  // given back, not lost
  EXPECT_FALSE(std::filesystem::exists(path));
  ASSERT_TRUE(file.commit().ok());
  EXPECT_EQ(content(path), std::string(10000, 'a'));
  EXPECT_EQ(files_in(directory.path()), 1u);
}

TEST(OutputFile, BeginsAsZeros) {
  const TemporaryDirectory directory;
  const OutputFile file = OutputFile::create(directory.path() / "out", 4097).value();
  for (const std::byte byte : file.bytes()) ASSERT_EQ(byte, std::byte{0});
}

TEST(OutputFile, LeavesNothingWithoutCommit) {
  const TemporaryDirectory directory;
  {
    OutputFile file = OutputFile::create(directory.path() / "out", 100).value();
    const OutputFile moved = std::move(file);
  }
  EXPECT_EQ(files_in(directory.path()), 0u);
}

TEST(OutputFile, ReplacesAFileOnlyOnCommit) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.write("out", "before");
  {
    const OutputFile abandoned = OutputFile::create(path, 5).value();
    std::memcpy(abandoned.bytes().data(), "aaaaa", 5);
  }
  EXPECT_EQ(content(path), "before");
  OutputFile file = OutputFile::create(path, 5).value();
  std::memcpy(file.bytes().data(), "after", 5);
  ASSERT_TRUE(file.commit().ok());
  EXPECT_EQ(content(path), "after");
}

TEST(OutputFile, ErrorsNameThePath) {
  const TemporaryDirectory directory;
  const auto missing = OutputFile::create(directory.path() / "no" / "out", 1);
  ASSERT_FALSE(missing.ok());
  EXPECT_THAT(missing.error().message, testing::HasSubstr("no/out"));
  // More than any file system offers.
  const auto huge = OutputFile::create(directory.path() / "out", uint64_t{1} << 55);
  ASSERT_FALSE(huge.ok());
  EXPECT_THAT(huge.error().message, testing::HasSubstr("out.part"));
  EXPECT_EQ(files_in(directory.path()), 0u);
}

}  // namespace
}  // namespace shoehorn
