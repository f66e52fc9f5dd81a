#include "formats/safetensors.h"

#include <gtest/gtest.h>

#include <chrono>
#include <vector>

#include "base/fault.h"
#include "tests/formats/safetensors_builder.h"
#include "tests/formats/test_files.h"

namespace shoehorn {
namespace {

Result<Safetensors> parse(const std::vector<std::byte>& bytes) {
  return Safetensors::parse(bytes, "test.safetensors");
}

// A file of `data_bytes` zeros behind that header.
Result<Safetensors> parse_header(std::string_view header, size_t data_bytes) {
  return parse(safetensors_bytes(header, std::vector<std::byte>(data_bytes)));
}

TEST(Safetensors, TensorsAreViews) {
  const std::vector<float> values = {1, 2, 3, 4, 5, 6};
  const std::vector<uint16_t> halves = {0x3C00, 0x4000};
  SafetensorsBuilder builder;
  builder.metadata({{"format", "pt"}});
  builder.tensor("m", "F32", {2, 3}, values).tensor("h", "F16", {2}, halves);
  builder.tensor("b", "BF16", {1, 2}, halves).tensor("f8", "F8_E4M3", {4}, halves);
  builder.tensor("scalar", "F32", {}, std::vector<float>{7});
  builder.tensor("empty", "F32", {0, 5}, std::vector<float>{});
  const std::vector<std::byte> bytes = builder.bytes();
  const Result<Safetensors> file = parse(bytes);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_EQ(file->tensors().size(), 6u);
  const StoredTensor* m = file->find("m");
  ASSERT_NE(m, nullptr);
  EXPECT_EQ(m->type, StoredType::f32);
  EXPECT_EQ(m->shape, (std::vector<int64_t>{2, 3}));
  ASSERT_EQ(m->bytes.size(), 24u);
  EXPECT_EQ(std::memcmp(m->bytes.data(), values.data(), 24), 0);
  EXPECT_EQ(file->find("h")->type, StoredType::f16);
  EXPECT_EQ(file->find("b")->type, StoredType::bf16);
  EXPECT_EQ(file->find("f8")->type, StoredType::f8_e4m3);
  EXPECT_TRUE(file->find("scalar")->shape.empty());
  EXPECT_TRUE(file->find("empty")->bytes.empty());
  EXPECT_EQ(file->find("__metadata__"), nullptr);
  file->release(*m);
}

TEST(Safetensors, OtherTypesAreKeptByNameAndFrequenciesIgnored) {
  SafetensorsBuilder builder;
  builder.tensor("ids", "I64", {2}, std::vector<int64_t>{1, 2});
  builder.tensor("mask", "BOOL", {3}, std::vector<uint8_t>{0, 1, 1});
  builder.tensor("nibbles", "F4", {4}, std::vector<uint8_t>{0, 1});
  builder.tensor("model.layers.0.self_attn.rotary_emb.inv_freq", "F32", {2},
                 std::vector<float>{1, 2});
  const std::vector<std::byte> bytes = builder.bytes();
  const Result<Safetensors> file = parse(bytes);
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_TRUE(file->tensors().empty());
  EXPECT_EQ(file->unsupported_tensors(),
            (UnsupportedTensors{{"ids", "I64"}, {"mask", "BOOL"}, {"nibbles", "F4"}}));
}

TEST(Safetensors, HeadersThatAreWrong) {
  expect_error(parse({}), {"test.safetensors: expected a safetensors file", "found 0"});
  expect_error(parse(std::vector<std::byte>(8, std::byte{0xFF})),
               {"header length: expected at most 0 bytes, found 18446744073709551615"});
  expect_error(parse_header("", 0), {"header: expected to begin with '{'"});
  expect_error(parse_header(" {}", 0), {"header: expected to begin with '{'"});
  expect_error(parse_header("{\"a\":", 0), {"header: expected a JSON object"});
  expect_error(parse_header("{}x", 0), {"header: expected a JSON object"});
  expect_error(parse_header("{}", 4), {"found 4 bytes more"});
  EXPECT_TRUE(parse_header("{}  ", 0).ok());
  // A deep nest ends in an error, not in the end of the stack.
  std::string deep = "{\"a\":" + std::string(1000000, '[');
  expect_error(parse_header(deep, 0), {"header: expected a JSON object"});
  deep += std::string(1000000, ']') + "}";
  expect_error(parse_header(deep, 0), {"tensor 'a': expected an object, found an array"});
}

TEST(Safetensors, EntriesThatAreWrong) {
  struct Case {
    const char* header;
    const char* message;
  };
  const Case cases[] = {
      {R"({"a":5})", "tensor 'a': expected an object, found 5"},
      {R"({"a":{}})", "tensor 'a': dtype: expected a data type"},
      {R"({"a":{"dtype":"F33","shape":[1],"data_offsets":[0,4]}})", "dtype: expected a data type"},
      {R"({"a":{"dtype":32,"shape":[1],"data_offsets":[0,4]}})", "dtype: expected a string"},
      {R"({"a":{"dtype":"F32","data_offsets":[0,4]}})", "shape: expected an array"},
      {R"({"a":{"dtype":"F32","shape":1,"data_offsets":[0,4]}})", "shape: expected an array"},
      {R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,4]}})", "shape: expected integers"},
      {R"({"a":{"dtype":"F32","shape":[1.0],"data_offsets":[0,4]}})", "shape: expected integers"},
      {R"({"a":{"dtype":"F32","shape":["1"],"data_offsets":[0,4]}})", "shape: expected integers"},
      {R"({"a":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,4]}})",
       "shape: expected a product"},
      {R"({"a":{"dtype":"F32","shape":[18446744073709551615],"data_offsets":[0,4]}})",
       "shape: expected a product"},
      {R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})",
       "shape: expected an array of at most 8"},
      {R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,4]}})", "whole bytes"},
      {R"({"a":{"dtype":"F32","shape":[1]}})", "data_offsets: expected an array of 2"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0]}})", "data_offsets: expected"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,-4]}})", "data_offsets: expected"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,0]}})", "expected 4 bytes"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,8]}})", "expected 4 bytes"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})", "expected to begin at 0"},
      {R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,12]}})", "cut short?"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})", "found 4 bytes more"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
       R"("b":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}})",
       "expected to begin at 4"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
       R"("b":{"dtype":"F16","shape":[1],"data_offsets":[6,8]}})",
       "tensor 'b': data_offsets: expected to begin at 4"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},)"
       R"("a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       "tensor 'a': expected once"},
  };
  for (const Case& c : cases) {
    expect_error(parse_header(c.header, 8), {"test.safetensors: ", c.message});
  }
}

TEST(Safetensors, CutShortAnywhere) {
  SafetensorsBuilder builder;
  builder.tensor("a", "F32", {2}, std::vector<float>{1, 2});
  const std::vector<std::byte> whole = builder.bytes();
  for (size_t length = 0; length < whole.size(); ++length) {
    const std::vector<std::byte> part(whole.begin(),
                                      whole.begin() + static_cast<std::ptrdiff_t>(length));
    ASSERT_FALSE(parse(part).ok()) << length;
  }
  EXPECT_TRUE(parse(whole).ok());
}

class SafetensorsFolder : public testing::Test {
 protected:
  TemporaryFolder folder;

  static std::vector<std::byte> one(const std::string& tensor) {
    return SafetensorsBuilder().tensor(tensor, "F32", {1}, std::vector<float>{1}).bytes();
  }
  void write_index(const nlohmann::json& weight_map) const {
    const nlohmann::json index = {{"metadata", {{"total_size", 8}}}, {"weight_map", weight_map}};
    folder.write("model.safetensors.index.json", index.dump());
  }
};

TEST_F(SafetensorsFolder, OpensOneFileOfAnyName) {
  expect_error(Safetensors::open(folder.path()), {"expected model.safetensors", "found 0"});
  folder.write("weights.safetensors", one("a"));
  EXPECT_NE(Safetensors::open(folder.path())->find("a"), nullptr);
  folder.write("more.safetensors", one("b"));
  expect_error(Safetensors::open(folder.path()), {"found 2 .safetensors files"});
  folder.write("model.safetensors", one("c"));
  EXPECT_NE(Safetensors::open(folder.path())->find("c"), nullptr);
}

TEST_F(SafetensorsFolder, OpensShards) {
  folder.write("x-1.safetensors", one("a"));
  folder.write("x-2.safetensors", one("b"));
  folder.write("unrelated.safetensors", one("a"));
  write_index({{"a", "x-1.safetensors"}, {"b", "x-2.safetensors"}});
  const Result<Safetensors> files = Safetensors::open(folder.path());
  ASSERT_TRUE(files.ok()) << files.error().message;
  EXPECT_EQ(files->tensors().size(), 2u);
  EXPECT_EQ(files->find("b")->file, 1);
}

TEST_F(SafetensorsFolder, IndexesThatAreWrong) {
  folder.write("x-1.safetensors", one("a"));
  folder.write("x-2.safetensors", one("a"));
  const auto open = [&] { return Safetensors::open(folder.path()); };
  write_index({{"a", "x-3.safetensors"}});
  expect_error(open(), {"x-3.safetensors: No such file"});
  write_index({{"a", "x-1.safetensors"}, {"b", "x-1.safetensors"}});
  expect_error(open(), {"weight_map: expected tensor 'b' in 'x-1.safetensors', found it nowhere"});
  write_index({{"a", "x-1.safetensors"}, {"b", "x-2.safetensors"}});
  expect_error(open(), {"tensor 'a': expected once, found in another shard"});
  for (const char* path : {"../x-1.safetensors", "/etc/passwd", "", "sub/x.safetensors", "x.bin"}) {
    write_index({{"a", path}});
    expect_error(open(), {"weight_map: 'a': expected the name of a .safetensors file beside it"});
  }
  write_index({{"a", 5}});
  expect_error(open(), {"weight_map: 'a'", "found 5"});
  write_index(nlohmann::json::object());
  expect_error(open(), {"weight_map: expected tensors, found none"});
  folder.write("model.safetensors.index.json", "[]");
  expect_error(open(), {"index.json: expected a JSON object, found an array of 0"});
  folder.write("model.safetensors.index.json", "{}");
  expect_error(open(), {"index.json: weight_map: expected an object, found no such field"});
  folder.write("model.safetensors.index.json", "no json");
  expect_error(open(), {"index.json: expected JSON"});
}

TEST_F(SafetensorsFolder, HugeFilesOpenInMilliseconds) {
  constexpr uint64_t kElements = uint64_t{10} << 30;
  const std::string header = fmt::format(
      R"({{"a":{{"dtype":"F32","shape":[{}],"data_offsets":[0,{}]}}}})", kElements, 4 * kElements);
  const auto path = folder.write("model.safetensors", safetensors_bytes(header, {}));
  std::error_code error;
  std::filesystem::resize_file(path, 8 + header.size() + 4 * kElements, error);
  if (error) GTEST_SKIP() << "no sparse file of 40 GiB here: " << error.message();
  const auto begin = std::chrono::steady_clock::now();
  const Result<Safetensors> file = Safetensors::open(folder.path());
  const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - begin;
  ASSERT_TRUE(file.ok()) << file.error().message;
  EXPECT_LT(elapsed.count(), 0.1);
}

TEST(Safetensors, AFileThatBecomesShorterWhileItsHeaderIsReadIsAnError) {
  const TemporaryFolder folder;
  SafetensorsBuilder builder;
  builder.metadata({{"note", std::string(100'000, 'x')}});
  const std::filesystem::path path = folder.write("model.safetensors", builder.bytes());
  ASSERT_TRUE(Safetensors::open(folder.path()).ok());
  ASSERT_TRUE(arm_faults("file_truncated:1").ok());
  expect_error(Safetensors::open(folder.path()), {path.string(), "became shorter"});
  ASSERT_TRUE(arm_faults("").ok());
}

}  // namespace
}  // namespace shoehorn
