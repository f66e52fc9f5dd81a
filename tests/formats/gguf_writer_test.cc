#include "formats/gguf_writer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "formats/gguf.h"
#include "formats/tokenizer_alphabet.h"
#include "tests/formats/test_files.h"

namespace shoehorn {
namespace {

// A byte that depends on the tensor and the place.
std::byte pattern(size_t tensor, size_t at) {
  return static_cast<std::byte>(tensor * 37 + at * 11 + at / 256);
}

Result<void> fill_pattern(size_t tensor, std::span<std::byte> bytes) {
  for (size_t i = 0; i < bytes.size(); ++i) bytes[i] = pattern(tensor, i);
  return {};
}

TEST(GgufWriter, MetadataComesBack) {
  const TemporaryFolder folder;
  const std::vector<std::string> texts = {"", "one", "zwei\n", std::string(3000, 'x')};
  const std::vector<int32_t> numbers = {std::numeric_limits<int32_t>::min(), -1, 0, 7};
  GgufWriter writer;
  writer.text("general.architecture", "llama");
  writer.text("empty", "");
  writer.u32("largest", std::numeric_limits<uint32_t>::max());
  writer.f32("theta", 1e-6f);
  writer.boolean("yes", true);
  writer.boolean("no", false);
  writer.texts("texts", texts);
  writer.i32s("numbers", numbers);
  writer.texts("nothing", {});
  ASSERT_TRUE(writer.write(folder.path() / "m.gguf", fill_pattern).ok());

  const GgufFile file = GgufFile::open(folder.path() / "m.gguf").value();
  EXPECT_EQ(file.metadata().size(), 9u);
  EXPECT_EQ(file.required_string("general.architecture").value(), "llama");
  EXPECT_EQ(file.required_string("empty").value(), "");
  EXPECT_EQ(file.required_integer("largest").value(), 4294967295);
  EXPECT_EQ(file.number_or("theta", 0).value(), static_cast<double>(1e-6f));
  EXPECT_TRUE(file.boolean_or("yes", false).value());
  EXPECT_FALSE(file.boolean_or("no", true).value());
  EXPECT_EQ(*file.strings("texts").value(), texts);
  EXPECT_TRUE(file.strings("nothing").value()->empty());
  const std::vector<int64_t> widened(numbers.begin(), numbers.end());
  EXPECT_EQ(file.integers("numbers").value(), widened);
}

TEST(GgufWriter, EveryTypeOfTensorComesBack) {
  const TemporaryFolder folder;
  GgufWriter writer;
  std::vector<StoredType> types;
  for (int i = 0; i <= static_cast<int>(StoredType::iq4_xs); ++i) {
    const auto type = static_cast<StoredType>(i);
    if (type == StoredType::f8_e4m3) continue;
    types.push_back(type);
    // Odd numbers of rows: sizes that are no multiples of the alignment.
    writer.tensor(name(type), {3, 512}, type);
  }
  writer.tensor("vector", {5}, StoredType::f32);
  writer.tensor("deep", {2, 3, 1, 7}, StoredType::f16);
  uint64_t reported = 0;
  const auto fill = [&](size_t tensor, std::span<std::byte> bytes) {
    EXPECT_EQ(bytes.size(), writer.tensor_bytes(tensor));
    ++reported;
    return fill_pattern(tensor, bytes);
  };
  ASSERT_TRUE(writer.write(folder.path() / "t.gguf", fill).ok());
  EXPECT_EQ(reported, writer.tensor_count());
  EXPECT_EQ(std::filesystem::file_size(folder.path() / "t.gguf"), writer.file_bytes());

  const GgufFile file = GgufFile::open(folder.path() / "t.gguf").value();
  ASSERT_EQ(file.tensors().size(), types.size() + 2);
  for (size_t i = 0; i < types.size(); ++i) {
    const StoredTensor& tensor = file.tensors()[i];
    EXPECT_EQ(tensor.name, name(types[i]));
    EXPECT_EQ(tensor.type, types[i]);
    EXPECT_EQ(tensor.shape, (std::vector<int64_t>{3, 512}));
  }
  EXPECT_EQ(file.find("vector")->shape, (std::vector<int64_t>{5}));
  EXPECT_EQ(file.find("deep")->shape, (std::vector<int64_t>{2, 3, 1, 7}));
  for (size_t t = 0; t < file.tensors().size(); ++t) {
    const std::span<const std::byte> bytes = file.tensors()[t].bytes;
    ASSERT_EQ(bytes.size(), writer.tensor_bytes(t));
    for (size_t i = 0; i < bytes.size(); ++i) ASSERT_EQ(bytes[i], pattern(t, i)) << t << " " << i;
  }
}

TEST(GgufWriter, AFailureLeavesNoFile) {
  const TemporaryFolder folder;
  GgufWriter writer;
  writer.tensor("a", {8}, StoredType::f32);
  const auto result = writer.write(
      folder.path() / "m.gguf",
      [](size_t, std::span<std::byte>) -> Result<void> { return fail("no weights today"); });
  expect_error(result, {"no weights today"});
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  expect_error(writer.write(folder.path() / "no" / "m.gguf", fill_pattern), {"no/m.gguf"});
}

TEST(GgufWriterDeathTest, RefusesWhatTheFormatCannotHold) {
  GgufWriter writer;
  writer.u32("key", 1);
  writer.tensor("tensor", {32}, StoredType::f32);
  EXPECT_DEATH(writer.text("key", "again"), "key");
  EXPECT_DEATH(writer.tensor("tensor", {32}, StoredType::f32), "tensor");
  EXPECT_DEATH(writer.tensor("f8", {32}, StoredType::f8_e4m3), "F8_E4M3");
  EXPECT_DEATH(writer.tensor("cut", {4, 33}, StoredType::q4_0), "33");
}

TEST(TokenizerAlphabet, SpellsEveryByte) {
  for (int byte = 0; byte < 256; ++byte) {
    std::string back;
    ASSERT_TRUE(append_token_bytes(byte_token(static_cast<uint8_t>(byte)), back)) << byte;
    EXPECT_EQ(back, std::string(1, static_cast<char>(byte)));
  }
  EXPECT_EQ(byte_token('A'), "A");
  EXPECT_EQ(byte_token(' '), "\u0120");  // as in every vocabulary of the kind
}

}  // namespace
}  // namespace shoehorn
