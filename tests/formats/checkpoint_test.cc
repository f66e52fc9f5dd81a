#include "formats/checkpoint.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "tensor/dtype.h"
#include "tests/formats/gguf_builder.h"
#include "tests/formats/safetensors_builder.h"
#include "tests/formats/test_files.h"

namespace shoehorn {
namespace {

using nlohmann::json;

json tiny_config() {
  return {{"architectures", {"LlamaForCausalLM"}},
          {"hidden_size", 64},
          {"intermediate_size", 96},
          {"num_hidden_layers", 1},
          {"num_attention_heads", 4},
          {"vocab_size", 10}};
}

GgufBuilder tiny_gguf() {
  GgufBuilder builder;
  builder.text("general.architecture", "llama");
  builder.u32("llama.block_count", 1).u32("llama.context_length", 512);
  builder.u32("llama.embedding_length", 64).u32("llama.feed_forward_length", 96);
  builder.u32("llama.attention.head_count", 4);
  builder.f32("llama.attention.layer_norm_rms_epsilon", 1e-5f);
  builder.zeros("token_embd.weight", {64, 10}, kGgmlQ8_0, 680);
  return builder;
}

class CheckpointFiles : public testing::Test {
 protected:
  TemporaryFolder folder;

  void write_config(const json& config) const { folder.write("config.json", config.dump()); }
  void write_model(const SafetensorsBuilder& builder) const {
    folder.write("model.safetensors", builder.bytes());
  }
  // A directory with this tensor.
  void write_hugging_face() const {
    write_config(tiny_config());
    write_model(
        SafetensorsBuilder().tensor("model.norm.weight", "F32", {64}, std::vector<float>(64, 2)));
  }
  Checkpoint opened() const {
    Result<Checkpoint> checkpoint = Checkpoint::open(folder.path());
    CHECK(checkpoint.ok(), "{}", checkpoint.error().message);
    return std::move(*checkpoint);
  }
};

TEST_F(CheckpointFiles, OpensGgufByFileAndByFolder) {
  const auto path = folder.write("tiny-q8.gguf", tiny_gguf().bytes());
  folder.write("README.md", "text");
  for (const auto& given : {path, folder.path()}) {
    const Result<Checkpoint> checkpoint = Checkpoint::open(given);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
    EXPECT_EQ(checkpoint->name(), given.string());
    EXPECT_EQ(checkpoint->naming(), TensorNaming::gguf);
    EXPECT_EQ(checkpoint->config().model_name, "tiny-q8");
    EXPECT_EQ(checkpoint->tensors().size(), 1u);
    ASSERT_NE(checkpoint->find("token_embd.weight"), nullptr);
    checkpoint->release(*checkpoint->find("token_embd.weight"));
    EXPECT_EQ(checkpoint->chat_template(), "");
  }
}

TEST_F(CheckpointFiles, OpensTheOnlySplitOfAFolder) {
  GgufBuilder first = tiny_gguf();
  first.pair("split.no", kGgufU16).put<uint16_t>(0);
  first.pair("split.count", kGgufU16).put<uint16_t>(2);
  GgufBuilder second;
  second.pair("split.no", kGgufU16).put<uint16_t>(1);
  second.pair("split.count", kGgufU16).put<uint16_t>(2);
  second.zeros("output_norm.weight", {64}, kGgmlF32, 256);
  folder.write("t-00001-of-00002.gguf", first.bytes());
  const auto path = folder.write("t-00002-of-00002.gguf", second.bytes());
  EXPECT_NE(opened().find("output_norm.weight"), nullptr);
  expect_error(Checkpoint::open(path), {"expected the first file of the split"});
}

TEST_F(CheckpointFiles, OpensHuggingFaceByFolderAndByItsFiles) {
  write_hugging_face();
  for (const char* file : {"", "config.json", "model.safetensors"}) {
    const Result<Checkpoint> checkpoint = Checkpoint::open(folder.path() / file);
    ASSERT_TRUE(checkpoint.ok()) << checkpoint.error().message;
    EXPECT_EQ(checkpoint->naming(), TensorNaming::hugging_face);
    EXPECT_EQ(checkpoint->config().hidden_size, 64);
    EXPECT_EQ(checkpoint->config().model_name, folder.path().filename().string()) << file;
    EXPECT_NE(checkpoint->find("model.norm.weight"), nullptr);
    EXPECT_EQ(checkpoint->find("nothing"), nullptr);
  }
}

TEST_F(CheckpointFiles, AnythingElseIsRefused) {
  const char* expected = "expected a .gguf file or a directory with config.json and *.safetensors";
  expect_error(Checkpoint::open(folder.path() / "none"), {"none: ", expected, "found nothing"});
  expect_error(Checkpoint::open(folder.path()), {expected, "found neither"});
  expect_error(Checkpoint::open(folder.write("a.txt", "x")), {"a.txt: ", expected});
  folder.write("pytorch_model-00001-of-00002.bin", "x");
  expect_error(Checkpoint::open(folder.path()), {"pytorch_model*.bin: convert it to safetensors"});
  write_config(tiny_config());
  expect_error(Checkpoint::open(folder.path()), {"convert it to safetensors"});
  std::filesystem::remove(folder.path() / "config.json");
  folder.write("model.safetensors", "x");
  expect_error(Checkpoint::open(folder.path()), {"*.safetensors without config.json"});
  std::filesystem::remove(folder.path() / "model.safetensors");
  folder.write("a.gguf", tiny_gguf().bytes());
  folder.write("b.gguf", tiny_gguf().bytes());
  expect_error(Checkpoint::open(folder.path()), {"found 2 .gguf files: name one of them"});
}

TEST_F(CheckpointFiles, StopTokensAreMergedFromAllFiles) {
  json config = tiny_config();
  config["eos_token_id"] = 7;
  config["temperature"] = 0.3;
  write_hugging_face();
  write_config(config);
  EXPECT_EQ(opened().generation_config().eos_token_ids, (std::vector<int32_t>{7}));
  folder.write("generation_config.json", R"({"eos_token_id": [9, 7, 2], "temperature": 0.6})");
  EXPECT_EQ(opened().generation_config().eos_token_ids, (std::vector<int32_t>{2, 7, 9}));
  EXPECT_EQ(opened().generation_config().temperature, 0.6);
  folder.write("generation_config.json", "broken");
  expect_error(Checkpoint::open(folder.path()), {"generation_config.json: expected JSON"});
}

TEST_F(CheckpointFiles, StopTokensOfGguf) {
  GgufBuilder builder = tiny_gguf();
  builder.u32("tokenizer.ggml.eos_token_id", 5).u32("tokenizer.ggml.eot_token_id", 3);
  builder.text("tokenizer.chat_template", "{{ messages }}");
  folder.write("m.gguf", builder.bytes());
  EXPECT_EQ(opened().generation_config().eos_token_ids, (std::vector<int32_t>{3, 5}));
  EXPECT_EQ(opened().chat_template(), "{{ messages }}");
  GgufBuilder none = tiny_gguf();
  folder.write("m.gguf", none.u32("tokenizer.ggml.eos_token_id", 0xFFFFFFFF).bytes());
  EXPECT_TRUE(opened().generation_config().eos_token_ids.empty());
  GgufBuilder wrong = tiny_gguf();
  folder.write("m.gguf", wrong.u32("tokenizer.ggml.eos_token_id", 0x80000000).bytes());
  expect_error(Checkpoint::open(folder.path()), {"eos_token_id: expected a token id"});
}

TEST_F(CheckpointFiles, ChatTemplates) {
  write_hugging_face();
  EXPECT_EQ(opened().chat_template(), "");
  folder.write("tokenizer_config.json", R"({"chat_template": "one"})");
  EXPECT_EQ(opened().chat_template(), "one");
  folder.write("tokenizer_config.json",
               R"({"chat_template": [{"name": "tool_use", "template": "two"},
                                     {"name": "default", "template": "three"}]})");
  EXPECT_EQ(opened().chat_template(), "three");
  folder.write("tokenizer_config.json", R"({"chat_template": 5})");
  expect_error(Checkpoint::open(folder.path()), {"tokenizer_config.json: chat_template"});
  folder.write("chat_template.jinja", "four");
  EXPECT_EQ(opened().chat_template(), "four");
}

TEST_F(CheckpointFiles, TokenizerFilesMayBeMissing) {
  write_hugging_face();
  expect_error(opened().tokenizer_data(), {"tokenizer.json: No such file"});
}

TEST_F(CheckpointFiles, MatricesAndVectors) {
  write_config(tiny_config());
  std::vector<float> values(64);
  for (size_t i = 0; i < values.size(); ++i) values[i] = static_cast<float>(i);
  SafetensorsBuilder builder;
  builder.tensor("matrix", "F32", {4, 16}, values).tensor("vector", "F32", {64}, values);
  builder.tensor("half", "F16", {2}, std::vector<uint16_t>{0x3C00, 0xC000});
  builder.tensor("bf16", "BF16", {2}, std::vector<uint16_t>{0x3F80, 0xC000});
  builder.tensor("f8", "F8_E4M3", {2}, std::vector<uint8_t>{0x38, 0xC0});
  builder.tensor("ids", "I64", {64}, std::vector<int64_t>(64));
  write_model(builder);
  const Checkpoint checkpoint = opened();

  const Result<StoredMatrix> matrix = stored_matrix(checkpoint, "matrix", 4, 16);
  ASSERT_TRUE(matrix.ok()) << matrix.error().message;
  EXPECT_EQ(matrix->type, StoredType::f32);
  EXPECT_EQ(matrix->rows, 4);
  EXPECT_EQ(matrix->columns, 16);
  EXPECT_EQ(matrix->data, checkpoint.find("matrix")->bytes.data());
  EXPECT_EQ(matrix->f8_tile_scales, nullptr);

  EXPECT_EQ(*stored_vector(checkpoint, "vector", 64), values);
  for (const char* name : {"half", "bf16", "f8"}) {
    EXPECT_EQ(*stored_vector(checkpoint, name, 2), (std::vector<float>{1, -2})) << name;
  }

  const std::string path = folder.path().string();
  expect_error(stored_matrix(checkpoint, "matrix", 16, 4),
               {path, "tensor 'matrix': expected [16, 4], found [4, 16]"});
  expect_error(stored_matrix(checkpoint, "vector", 1, 64), {"expected [1, 64], found [64]"});
  expect_error(stored_matrix(checkpoint, "none", 1, 64),
               {path, "tensor 'none': expected [1, 64], found no such tensor"});
  expect_error(stored_matrix(checkpoint, "ids", 1, 64),
               {"tensor 'ids': type I64 is not supported"});
  expect_error(stored_vector(checkpoint, "vector", 63), {"expected [63], found [64]"});
  expect_error(stored_vector(checkpoint, "none", 63), {"found no such tensor"});
}

TEST_F(CheckpointFiles, Fp8MatricesComeWithTheirScales) {
  json config = tiny_config();
  config["quantization_config"] = {{"quant_method", "fp8"}, {"weight_block_size", {128, 128}}};
  const std::vector<uint8_t> codes(130 * 300, 0x38);
  const auto builder = [&](const std::string& dtype, int64_t across) {
    SafetensorsBuilder out;
    out.tensor("w.weight", "F8_E4M3", {130, 300}, codes);
    out.tensor("w.weight_scale_inv", dtype, {2, across},
               std::vector<float>(static_cast<size_t>(dtype == "F32" ? 2 * across : across), 3));
    return out;
  };
  write_config(config);
  write_model(builder("F32", 3));
  const Checkpoint checkpoint = opened();
  const Result<StoredMatrix> matrix = stored_matrix(checkpoint, "w.weight", 130, 300);
  ASSERT_TRUE(matrix.ok()) << matrix.error().message;
  EXPECT_EQ(matrix->f8_tile_scales, checkpoint.find("w.weight_scale_inv")->bytes.data());
  std::vector<std::byte> weight(130 * 300 * 2);
  repack_rows(*matrix, 0, 130, weight.data());
  uint16_t last;
  std::memcpy(&last, weight.data() + weight.size() - 2, 2);
  EXPECT_EQ(bf16_to_float(last), 3);

  write_model(builder("F32", 2));
  expect_error(stored_matrix(opened(), "w.weight", 130, 300),
               {"tensor 'w.weight_scale_inv': expected [2, 3], found [2, 2]"});
  write_model(builder("BF16", 4));
  expect_error(stored_matrix(opened(), "w.weight", 130, 300), {"w.weight_scale_inv"});
  write_model(SafetensorsBuilder().tensor("w.weight", "F8_E4M3", {130, 300}, codes));
  expect_error(stored_matrix(opened(), "w.weight", 130, 300),
               {"tensor 'w.weight_scale_inv': expected [2, 3], found no such tensor"});
  // Without a quantization_config an F8 matrix means what its codes say.
  write_config(tiny_config());
  EXPECT_EQ(stored_matrix(opened(), "w.weight", 130, 300)->f8_tile_scales, nullptr);
}

TEST_F(CheckpointFiles, UnsupportedGgufTypesAreNamedWhenNeeded) {
  GgufBuilder builder = tiny_gguf();
  builder.zeros("blk.0.attn_q.weight", {256, 1}, kGgmlIq2Xs, 74);
  folder.write("m.gguf", builder.bytes());
  expect_error(stored_matrix(opened(), "blk.0.attn_q.weight", 1, 256),
               {"tensor 'blk.0.attn_q.weight': type IQ2_XS is not supported"});
}

}  // namespace
}  // namespace shoehorn
