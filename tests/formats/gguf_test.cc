#include "formats/gguf.h"

#include <gtest/gtest.h>

#include <chrono>
#include <filesystem>
#include <vector>

#include "base/fault.h"
#include "tests/formats/gguf_builder.h"
#include "tests/formats/test_files.h"

namespace shoehorn {
namespace {

// The bytes must outlive the file, so they travel together.
struct Parsed {
  std::vector<std::byte> bytes;
  Result<GgufFile> file;
  explicit Parsed(const GgufBuilder& builder)
      : bytes(builder.bytes()), file(GgufFile::parse(bytes, "test.gguf")) {}
};

GgufBuilder two_tensors() {
  GgufBuilder builder;
  builder.text("general.architecture", "llama").u32("llama.block_count", 2);
  builder.zeros("a", {4}, kGgmlF32, 16).zeros("b", {32, 3}, kGgmlQ4_0, 54);
  return builder;
}

TEST(Gguf, ReadsEveryKindOfValue) {
  GgufBuilder builder;
  builder.pair("u8", kGgufU8).put<uint8_t>(200);
  builder.pair("i8", kGgufI8).put<int8_t>(-100);
  builder.pair("u16", kGgufU16).put<uint16_t>(60000);
  builder.pair("i16", kGgufI16).put<int16_t>(-30000);
  builder.pair("u32", kGgufU32).put<uint32_t>(4000000000);
  builder.pair("i32", kGgufI32).put<int32_t>(-2000000000);
  builder.pair("u64", kGgufU64).put<uint64_t>(uint64_t{1} << 63);
  builder.pair("i64", kGgufI64).put<int64_t>(-(int64_t{1} << 62));
  builder.pair("f64", kGgufF64).put(0.1);
  builder.f32("f32", 0.5f).boolean("yes", true).text("name", "Zoë");
  builder.texts("list", {"a", "", "ccc"});
  builder.pair("ids", kGgufArray).put(kGgufI32).put<uint64_t>(3).put<int32_t>(-1).put(7).put(9);
  builder.pair("bytes", kGgufArray).put(kGgufU8).put<uint64_t>(2).put<uint8_t>(1).put<uint8_t>(255);
  const Parsed parsed(builder);
  ASSERT_TRUE(parsed.file.ok()) << parsed.file.error().message;
  const GgufFile& file = *parsed.file;
  EXPECT_EQ(*file.required_integer("u8"), 200);
  EXPECT_EQ(*file.required_integer("i8"), -100);
  EXPECT_EQ(*file.required_integer("u16"), 60000);
  EXPECT_EQ(*file.required_integer("i16"), -30000);
  EXPECT_EQ(*file.required_integer("u32"), 4000000000);
  EXPECT_EQ(*file.required_integer("i32"), -2000000000);
  EXPECT_EQ(*file.required_integer("i64"), -(int64_t{1} << 62));
  EXPECT_EQ(*file.number_or("u64", 0), 0x1p63);
  EXPECT_EQ(*file.number_or("f64", 0), 0.1);
  EXPECT_EQ(*file.number_or("f32", 0), 0.5);
  EXPECT_EQ(*file.number_or("i16", 0), -30000);
  EXPECT_TRUE(*file.boolean_or("yes", false));
  EXPECT_EQ(*file.required_string("name"), "Zoë");
  EXPECT_EQ(**file.strings("list"), (std::vector<std::string>{"a", "", "ccc"}));
  EXPECT_EQ(*file.integers("ids"), (std::vector<int64_t>{-1, 7, 9}));
  EXPECT_EQ(*file.integers("bytes"), (std::vector<int64_t>{1, 255}));
}

TEST(Gguf, AbsentAndMistypedKeys) {
  GgufBuilder builder;
  builder.pair("big", kGgufU64).put<uint64_t>(uint64_t{1} << 63);
  builder.text("name", "x").f32("half", 0.5f).texts("list", {"a"});
  const Parsed parsed(builder);
  ASSERT_TRUE(parsed.file.ok());
  const GgufFile& file = *parsed.file;
  EXPECT_FALSE(file.has("nothing"));
  EXPECT_EQ(*file.integer_or("nothing", 3), 3);
  EXPECT_EQ(*file.number_or("nothing", 1.5), 1.5);
  EXPECT_TRUE(*file.boolean_or("nothing", true));
  EXPECT_EQ(*file.string_or("nothing", "f"), "f");
  EXPECT_EQ(*file.strings("nothing"), nullptr);
  EXPECT_TRUE(file.integers("nothing")->empty());
  expect_error(file.required_integer("nothing"), {"test.gguf: nothing: expected an integer"});
  expect_error(file.required_string("nothing"), {"nothing: expected a string, found no such key"});
  expect_error(file.required_integer("big"), {"big: expected an integer below 2^63"});
  expect_error(file.integer_or("half", 1), {"half", "found 0.5"});
  expect_error(file.number_or("name", 1), {"name: expected a number, found 'x'"});
  expect_error(file.boolean_or("half", true), {"half: expected a boolean"});
  expect_error(file.string_or("list", ""), {"list: expected a string, found an array of 1"});
  expect_error(file.strings("name"), {"name: expected an array of strings"});
  expect_error(file.integers("list"), {"list: expected an array of integers"});
}

TEST(Gguf, TensorsAreViewsWithShapesReversed) {
  GgufBuilder builder = two_tensors();
  std::vector<std::byte> data(24, std::byte{7});
  builder.tensor("c", {2, 3, 2}, kGgmlF16, data);
  const Parsed parsed(builder);
  ASSERT_TRUE(parsed.file.ok()) << parsed.file.error().message;
  const GgufFile& file = *parsed.file;
  ASSERT_EQ(file.tensors().size(), 3u);
  EXPECT_EQ(file.find("none"), nullptr);
  const StoredTensor* b = file.find("b");
  ASSERT_NE(b, nullptr);
  EXPECT_EQ(b->shape, (std::vector<int64_t>{3, 32}));
  EXPECT_EQ(b->type, StoredType::q4_0);
  EXPECT_EQ(b->bytes.size(), 54u);
  const StoredTensor* c = file.find("c");
  ASSERT_NE(c, nullptr);
  EXPECT_EQ(c->shape, (std::vector<int64_t>{2, 3, 2}));
  EXPECT_EQ(c->rows(), 6);
  EXPECT_EQ(c->columns(), 2);
  EXPECT_TRUE(std::equal(c->bytes.begin(), c->bytes.end(), data.begin(), data.end()));
  EXPECT_GE(c->bytes.data(), parsed.bytes.data());
}

TEST(Gguf, Version2AndOtherAlignmentsAreRead) {
  GgufBuilder builder = two_tensors();
  builder.version = 2;
  EXPECT_TRUE(Parsed(builder).file.ok());
  GgufBuilder aligned;
  aligned.alignment = 128;
  aligned.u32("general.alignment", 128).zeros("a", {1}, kGgmlF32, 4).zeros("b", {1}, kGgmlF32, 4);
  const Parsed parsed(aligned);
  ASSERT_TRUE(parsed.file.ok()) << parsed.file.error().message;
  EXPECT_EQ(parsed.file->find("b")->bytes.data() - parsed.file->find("a")->bytes.data(), 128);
}

TEST(Gguf, UnsupportedTypesAreKeptByName) {
  GgufBuilder builder;
  builder.zeros("a", {256}, kGgmlIq2Xs, 74).zeros("b", {3}, kGgmlI32, 12).zeros("c", {1}, 0, 4);
  const Parsed parsed(builder);
  ASSERT_TRUE(parsed.file.ok()) << parsed.file.error().message;
  EXPECT_EQ(parsed.file->tensors().size(), 1u);
  EXPECT_EQ(parsed.file->unsupported_tensors(),
            (UnsupportedTensors{{"a", "IQ2_XS"}, {"b", "I32"}}));
}

TEST(Gguf, HeadersThatAreWrong) {
  const std::string text = "Hello, this is no model at all.";
  expect_error(GgufFile::parse(std::as_bytes(std::span(text)), "x.gguf"),
               {"x.gguf: expected a GGUF file", "found 'Hell'"});
  expect_error(GgufFile::parse({}, "x.gguf"), {"x.gguf: magic", "cut short"});
  for (const uint32_t version : {0u, 1u, 4u, 99u}) {
    GgufBuilder builder = two_tensors();
    builder.version = version;
    expect_error(Parsed(builder).file, {"version: expected 2 or 3, found"});
  }
  GgufBuilder big_endian = two_tensors();
  big_endian.version = 0x03000000;
  expect_error(Parsed(big_endian).file, {"big-endian", "version 3"});
  for (const int64_t extra : {int64_t{1}, int64_t{1} << 31, INT64_MAX - 8, int64_t{-1}}) {
    GgufBuilder tensors = two_tensors();
    tensors.extra_tensors = extra;
    EXPECT_EQ(Parsed(tensors).file.ok(), extra == -1);  // one fewer is a shorter file's header
    GgufBuilder pairs = two_tensors();
    pairs.extra_pairs = extra;
    EXPECT_FALSE(Parsed(pairs).file.ok());
  }
}

TEST(Gguf, MetadataThatIsWrong) {
  GgufBuilder twice = two_tensors();
  twice.u32("llama.block_count", 3);
  expect_error(Parsed(twice).file, {"metadata key 'llama.block_count': expected once"});
  GgufBuilder long_text;
  long_text.pair("k", kGgufString).put<uint64_t>(uint64_t{1} << 60);
  expect_error(Parsed(long_text).file, {"'k': expected 1152921504606846976 bytes"});
  GgufBuilder empty_key;
  empty_key.u32("", 1);
  expect_error(Parsed(empty_key).file, {"metadata key ''"});
  GgufBuilder bad_type;
  bad_type.pair("k", 13).put<uint64_t>(0);
  expect_error(Parsed(bad_type).file, {"'k': expected a value type of 0 to 12, found 13"});
  GgufBuilder bad_bool;
  bad_bool.pair("k", kGgufBool).put<uint8_t>(2);
  expect_error(Parsed(bad_bool).file, {"'k': expected a boolean of 0 or 1, found 2"});
  GgufBuilder nested;
  nested.pair("k", kGgufArray).put(kGgufArray).put<uint64_t>(1).put(kGgufU8).put<uint64_t>(0);
  expect_error(Parsed(nested).file, {"'k'", "nested array"});
  for (const uint64_t count : {uint64_t{100}, uint64_t{1} << 24, uint64_t{1} << 61, UINT64_MAX}) {
    for (const uint32_t type : {kGgufU8, kGgufF64, kGgufString}) {
      GgufBuilder array;
      array.pair("k", kGgufArray).put(type).put(count);
      const bool absurd = count > uint64_t{1} << 24;  // whatever the size of the file
      expect_error(Parsed(array).file,
                   {"'k'", absurd ? "at most 16777216 elements" : "expected at most"});
    }
  }
  for (const uint32_t alignment : {0u, 33u, 1u << 30}) {
    GgufBuilder builder = two_tensors();
    builder.u32("general.alignment", alignment);
    expect_error(Parsed(builder).file, {"general.alignment: expected a power of two"});
  }
  GgufBuilder alignment_text = two_tensors();
  alignment_text.text("general.alignment", "32");
  expect_error(Parsed(alignment_text).file, {"general.alignment"});
}

TEST(Gguf, NamesInMessagesAreMadeSafe) {
  GgufBuilder builder;
  builder.pair("a\nb\x1b[31m\xff", 99).put(0);
  expect_error(Parsed(builder).file, {"a\\x0Ab\\x1B[31m\\xFF"});
  GgufBuilder name;
  name.zeros(std::string(2000, 'n'), {1}, kGgmlF32, 4);
  const Parsed parsed(name);
  expect_error(parsed.file, {"expected a name of 1 to 64 bytes, found 2000"});
  EXPECT_LT(parsed.file.error().message.size(), 300u);
}

TEST(Gguf, TensorsThatAreWrong) {
  struct Case {
    std::vector<uint64_t> dimensions;
    uint32_t type;
    uint64_t offset;
    const char* message;
  };
  const Case cases[] = {
      {{}, kGgmlF32, 0, "expected 1 to 4 dimensions, found 0"},
      {{1, 1, 1, 1, 1}, kGgmlF32, 0, "expected 1 to 4 dimensions, found 5"},
      {{0}, kGgmlF32, 0, "positive dimensions"},
      {{4, 0}, kGgmlF32, 0, "positive dimensions"},
      {{uint64_t{1} << 40, uint64_t{1} << 40}, kGgmlF32, 0, "positive dimensions"},
      {{UINT64_MAX}, kGgmlF32, 0, "positive dimensions"},
      {{uint64_t{1} << 56}, kGgmlF32, 0, "found 160 in the file"},
      {{48}, kGgmlQ4_0, 0, "multiple of 32 elements for Q4_0, found 48"},
      {{128, 2}, kGgmlQ4_K, 0, "multiple of 256 elements for Q4_K, found 128"},
      {{4}, 43, 0, "expected a ggml type of 0 to 42, found 43"},
      {{4}, 0xFFFFFFFF, 0, "found 4294967295"},
      {{4}, 4, 0, "type Q4_2 was retired"},
      {{4}, 31, 0, "type Q4_0_4_4 was retired"},
      {{4}, kGgmlF32, 100, "expected an offset of a multiple of 32, found 100"},
      {{4}, kGgmlF32, 160, "expected 16 bytes at offset 160"},
      {{4}, kGgmlF32, 0xFFFFFFFFFFFFFFE0, "expected 16 bytes at offset"},
      {{100}, kGgmlF32, 0, "found 160 in the file"},
      {{4}, kGgmlF32, 0, "expected bytes of its own"},
      {{4}, kGgmlF32, 32, "expected bytes of its own"},
  };
  for (const Case& c : cases) {
    GgufBuilder builder;
    builder.zeros("first", {40}, kGgmlF32, 160);
    builder.describe("second", c.dimensions, c.type, c.offset);
    expect_error(Parsed(builder).file, {"test.gguf: tensor ", "second", c.message});
  }
}

TEST(Gguf, TensorNamesAreUnique) {
  for (const uint32_t type : {kGgmlF32, kGgmlI32}) {
    GgufBuilder builder;
    builder.zeros("a", {1}, type, 4).zeros("a", {1}, type, 4);
    expect_error(Parsed(builder).file, {"tensor 'a': expected once, found twice"});
  }
  GgufBuilder mixed;
  mixed.zeros("a", {1}, kGgmlF32, 4).zeros("a", {1}, kGgmlI32, 4);
  expect_error(Parsed(mixed).file, {"tensor 'a': expected once, found twice"});
  GgufBuilder empty;
  empty.zeros("", {1}, kGgmlF32, 4);
  expect_error(Parsed(empty).file, {"expected a name of 1 to 64 bytes, found 0"});
}

// Whatever is missing at the end is missed; what is read lies inside a buffer of exactly that size.
TEST(Gguf, CutShortAnywhere) {
  GgufBuilder builder = two_tensors();
  builder.texts("list", {"a", "bb"}).boolean("b", true);
  const std::vector<std::byte> whole = builder.bytes();
  for (size_t length = 0; length < whole.size(); ++length) {
    const std::vector<std::byte> part(whole.begin(),
                                      whole.begin() + static_cast<std::ptrdiff_t>(length));
    const Result<GgufFile> file = GgufFile::parse(part, "test.gguf");
    ASSERT_FALSE(file.ok()) << length;
    ASSERT_THAT(file.error().message, testing::HasSubstr("test.gguf"));
  }
  EXPECT_TRUE(GgufFile::parse(whole, "test.gguf").ok());
}

class GgufSplit : public testing::Test {
 protected:
  TemporaryFolder folder;

  static GgufBuilder part(int number, int count, int tensors) {
    GgufBuilder builder;
    if (number == 0) builder.text("general.architecture", "llama");
    builder.pair("split.no", kGgufU16).put(static_cast<uint16_t>(number));
    builder.pair("split.count", kGgufU16).put(static_cast<uint16_t>(count));
    builder.pair("split.tensors.count", kGgufI32).put(static_cast<int32_t>(tensors));
    builder.zeros("t" + std::to_string(number), {8}, kGgmlF32, 32);
    return builder;
  }
  std::filesystem::path write(int number, int count, const GgufBuilder& builder) const {
    return folder.write(fmt::format("m-{:05}-of-{:05}.gguf", number + 1, count), builder.bytes());
  }
};

TEST_F(GgufSplit, OpensAllParts) {
  const auto first = write(0, 3, part(0, 3, 3));
  write(1, 3, part(1, 3, 3));
  write(2, 3, part(2, 3, 3));
  const Result<GgufFile> file = GgufFile::open(first);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->tensors().size(), 3u);
  ASSERT_NE(file->find("t2"), nullptr);
  EXPECT_EQ(file->find("t2")->file, 2);
  file->release(*file->find("t2"));
  EXPECT_EQ(*file->required_string("general.architecture"), "llama");
}

TEST_F(GgufSplit, NamesWhatIsWrong) {
  const auto first = write(0, 2, part(0, 2, 2));
  expect_error(GgufFile::open(first), {"m-00002-of-00002.gguf", "No such file"});
  const auto second = write(1, 2, part(1, 2, 2));
  EXPECT_TRUE(GgufFile::open(first).ok());
  expect_error(GgufFile::open(second),
               {"expected the first file of the split", "m-00001-of-00002.gguf"});
  write(1, 2, part(1, 3, 2));
  expect_error(GgufFile::open(first),
               {"00002-of-00002.gguf: split.no and split.count: expected 1"});
  write(1, 2, part(0, 2, 2));
  expect_error(GgufFile::open(first),
               {"00002-of-00002.gguf: split.no and split.count: expected 1"});
  GgufBuilder same = part(1, 2, 2);
  same.zeros("t0", {8}, kGgmlF32, 32);
  write(1, 2, same);
  expect_error(GgufFile::open(first), {"expected 2 tensors in 2 files, found 3"});
  GgufBuilder more = part(0, 2, 3);
  write(0, 2, more);
  expect_error(GgufFile::open(first), {"tensor 't0': expected once, found twice"});
  const auto renamed = folder.write("other.gguf", part(0, 2, 2).bytes());
  expect_error(GgufFile::open(renamed), {"expected a name that ends in '-00001-of-00002.gguf'"});
  const auto absurd = folder.write("absurd.gguf", part(7, 2, 2).bytes());
  expect_error(GgufFile::open(absurd), {"split.no: expected 0 to 1, found 7"});
}

// Opening reads the header alone: a file of 40 GiB (all holes) opens in no time and takes no
// memory.
TEST(Gguf, OpensHugeFilesInMilliseconds) {
  constexpr uint64_t kBytes = uint64_t{40} << 30;
  TemporaryFolder folder;
  GgufBuilder builder;
  builder.describe("huge", {4096, kBytes / 4096 / 4}, kGgmlF32, 0);
  const std::vector<std::byte> header = builder.bytes();
  const auto path = folder.write("huge.gguf", header);
  std::error_code error;
  std::filesystem::resize_file(path, header.size() + kBytes, error);
  if (error) GTEST_SKIP() << "no sparse file of 40 GiB here: " << error.message();
  const auto begin = std::chrono::steady_clock::now();
  const Result<GgufFile> file = GgufFile::open(path);
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->find("huge")->bytes.size(), kBytes);
  EXPECT_LT(elapsed.count(), 0.1);
}

TEST(Gguf, FilesThatCannotBeOpened) {
  TemporaryFolder folder;
  expect_error(GgufFile::open(folder.path() / "none.gguf"), {"none.gguf: No such file"});
  expect_error(GgufFile::open(folder.path()), {"not a regular file"});
  expect_error(GgufFile::open(folder.write("empty.gguf", "")), {"empty.gguf: magic"});
}

// Headers are longer than half of the file here, and the half behind is gone.
TEST(Gguf, AFileThatBecomesShorterWhileItsHeaderIsReadIsAnError) {
  const TemporaryFolder folder;
  GgufBuilder builder;
  for (int i = 0; i < 200; ++i) builder.text(fmt::format("key.{}", i), std::string(1000, 'x'));
  const std::filesystem::path path = folder.write("long.gguf", builder.bytes());
  ASSERT_TRUE(GgufFile::open(path).ok());
  ASSERT_TRUE(arm_faults("file_truncated:1").ok());
  expect_error(GgufFile::open(path), {path.string(), "became shorter"});
  ASSERT_TRUE(arm_faults("").ok());
}

}  // namespace
}  // namespace shoehorn
