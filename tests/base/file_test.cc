#include "base/file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <string>

#include "tests/base/temporary_directory.h"

namespace shoehorn {
namespace {

using testing::HasSubstr;

std::string text_of(std::span<const std::byte> bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

TEST(MappedFile, HoldsTheBytes) {
  TemporaryDirectory directory;
  const Result<MappedFile> file = MappedFile::open(directory.write("a", "hello"));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_EQ(text_of(file->bytes()), "hello");
  EXPECT_EQ(file->path(), directory.path() / "a");
}

TEST(MappedFile, Empty) {
  TemporaryDirectory directory;
  const Result<MappedFile> file = MappedFile::open(directory.write("empty", ""));
  ASSERT_TRUE(file) << file.error().message;
  EXPECT_TRUE(file->bytes().empty());
  file->release(file->bytes());
  file->will_need(file->bytes());
}

TEST(MappedFile, MissingOrNoFile) {
  TemporaryDirectory directory;
  const std::filesystem::path missing = directory.path() / "missing";
  const Result<MappedFile> none = MappedFile::open(missing);
  ASSERT_FALSE(none);
  EXPECT_THAT(none.error().message, HasSubstr(missing.string()));
  EXPECT_THAT(none.error().message, HasSubstr("No such file"));
  const Result<MappedFile> folder = MappedFile::open(directory.path());
  ASSERT_FALSE(folder);
  EXPECT_THAT(folder.error().message, HasSubstr("not a regular file"));
}

TEST(MappedFile, MovingKeepsTheBytesInPlace) {
  TemporaryDirectory directory;
  MappedFile first = std::move(MappedFile::open(directory.write("a", "first"))).value();
  const std::byte* data = first.bytes().data();
  MappedFile moved = std::move(first);
  EXPECT_EQ(moved.bytes().data(), data);
  EXPECT_TRUE(first.bytes().empty());  // NOLINT: the moved-from state is part of the contract
  MappedFile other = std::move(MappedFile::open(directory.write("b", "second"))).value();
  other = std::move(moved);
  EXPECT_EQ(text_of(other.bytes()), "first");
}

TEST(MappedFile, ReleasedPagesReadTheSame) {
  TemporaryDirectory directory;
  std::string text(3 * 65536 + 17, '\0');
  for (size_t i = 0; i < text.size(); ++i) text[i] = static_cast<char>(i * 7 + i / 251);
  const MappedFile file = std::move(MappedFile::open(directory.write("big", text))).value();
  EXPECT_EQ(text_of(file.bytes()), text);
  file.release(file.bytes());
  EXPECT_EQ(text_of(file.bytes()), text);
  file.will_need(file.bytes().subspan(4097, 70000));
  file.release(file.bytes().subspan(4097, 70000));
  file.release(file.bytes().subspan(10, 20));  // holds no whole page
  EXPECT_EQ(text_of(file.bytes()), text);
}

TEST(ReadTextFile, WholeAndLimited) {
  TemporaryDirectory directory;
  const std::filesystem::path path = directory.write("text", std::string("a\0b\n", 4));
  EXPECT_EQ(*read_text_file(path), std::string("a\0b\n", 4));
  EXPECT_EQ(*read_text_file(path, 4), std::string("a\0b\n", 4));
  const Result<std::string> limited = read_text_file(path, 3);
  ASSERT_FALSE(limited);
  EXPECT_THAT(limited.error().message, HasSubstr("at most 3 bytes, found 4"));
  EXPECT_EQ(*read_text_file(directory.write("empty", "")), "");
}

TEST(ReadTextFile, MissingOrNoFile) {
  TemporaryDirectory directory;
  EXPECT_FALSE(read_text_file(directory.path() / "missing"));
  EXPECT_FALSE(read_text_file(directory.path()));
}

// Such files state a size of 0.
TEST(ReadTextFile, OfProc) {
  const Result<std::string> status = read_text_file("/proc/self/status");
  if (!status) GTEST_SKIP() << status.error().message;
  EXPECT_THAT(*status, HasSubstr("Threads:"));
  EXPECT_FALSE(read_text_file("/proc/self/status", 10));
}

}  // namespace
}  // namespace shoehorn
