#include <gtest/gtest.h>

#include <cmath>

#include "formats/gguf.h"
#include "formats/model_config.h"
#include "tests/formats/gguf_builder.h"
#include "tests/formats/test_files.h"

namespace shoehorn {
namespace {

// The keys of a model of one layer, its embedding and nothing else.
GgufBuilder model(const std::string& architecture) {
  const auto key = [&](const char* suffix) { return architecture + "." + suffix; };
  GgufBuilder builder;
  builder.text("general.architecture", architecture).text("general.name", "Tiny");
  builder.u32(key("block_count"), 3).u32(key("context_length"), 512);
  builder.u32(key("embedding_length"), 64).u32(key("feed_forward_length"), 96);
  builder.u32(key("attention.head_count"), 4).u32(key("attention.head_count_kv"), 2);
  builder.f32(key("attention.layer_norm_rms_epsilon"), 1e-5f);
  builder.zeros("token_embd.weight", {64, 10}, kGgmlF32, 64 * 10 * 4);
  return builder;
}

Result<ModelConfig> parse(const GgufBuilder& builder) {
  const std::vector<std::byte> bytes = builder.bytes();
  const Result<GgufFile> file = GgufFile::parse(bytes, "test.gguf");
  if (!file) return file.error();
  return model_config_from_gguf(*file);
}
ModelConfig parsed(const GgufBuilder& builder) {
  Result<ModelConfig> result = parse(builder);
  EXPECT_TRUE(result.ok()) << (result.ok() ? "" : result.error().message);
  return result.ok() ? *result : ModelConfig();
}

TEST(GgufConfig, Llama) {
  GgufBuilder builder = model("llama");
  builder.f32("llama.rope.freq_base", 500000).u32("llama.rope.dimension_count", 16);
  const ModelConfig config = parsed(builder);
  EXPECT_EQ(config.architecture, Architecture::llama);
  EXPECT_EQ(config.model_name, "Tiny");
  EXPECT_EQ(config.num_hidden_layers, 3);
  EXPECT_EQ(config.hidden_size, 64);
  EXPECT_EQ(config.intermediate_size, 96);
  EXPECT_EQ(config.num_attention_heads, 4);
  EXPECT_EQ(config.num_key_value_heads, 2);
  EXPECT_EQ(config.head_dim, 16);
  EXPECT_EQ(config.vocab_size, 10);
  EXPECT_EQ(config.max_position_embeddings, 512);
  EXPECT_EQ(static_cast<float>(config.rms_norm_eps), 1e-5f);
  EXPECT_EQ(config.rope_theta, 500000);
  EXPECT_EQ(config.rope_layout, RopeLayout::interleaved);
  EXPECT_TRUE(config.tie_word_embeddings);
  EXPECT_FALSE(config.qkv_bias);
  EXPECT_FALSE(config.output_bias);
}

TEST(GgufConfig, Qwen2IsNotPermutedAndHasBiases) {
  const ModelConfig config = parsed(model("qwen2"));
  EXPECT_EQ(config.architecture, Architecture::qwen2);
  EXPECT_EQ(config.rope_layout, RopeLayout::half);
  EXPECT_TRUE(config.qkv_bias);
  EXPECT_FALSE(config.output_bias);
}

TEST(GgufConfig, TensorsStateTheHeadAndTheBiases) {
  GgufBuilder builder = model("llama");
  builder.zeros("output.weight", {64, 10}, kGgmlF32, 2560);
  builder.zeros("blk.0.attn_q.bias", {64}, kGgmlF32, 256);
  builder.zeros("blk.0.attn_output.bias", {64}, kGgmlF32, 256);
  const ModelConfig config = parsed(builder);
  EXPECT_FALSE(config.tie_word_embeddings);
  EXPECT_TRUE(config.qkv_bias);
  EXPECT_TRUE(config.output_bias);
  // A head in a type that cannot be computed with is still a head of its own.
  GgufBuilder unsupported = model("llama");
  unsupported.zeros("output.weight", {256, 1}, kGgmlIq2Xs, 74);
  EXPECT_FALSE(parsed(unsupported).tie_word_embeddings);
}

TEST(GgufConfig, VocabularySize) {
  GgufBuilder stated = model("llama");
  EXPECT_EQ(parsed(stated.u32("llama.vocab_size", 10)).vocab_size, 10);
  GgufBuilder wrong = model("llama");
  expect_error(parse(wrong.u32("llama.vocab_size", 11)),
               {"llama.vocab_size: expected 10", "found 11"});
}

TEST(GgufConfig, KeysAreRequired) {
  for (const char* key : {"general.architecture", "llama.block_count", "llama.embedding_length",
                          "llama.feed_forward_length", "llama.context_length",
                          "llama.attention.head_count", "llama.attention.layer_norm_rms_epsilon"}) {
    // The key under another name.
    std::vector<std::byte> bytes = model("llama").bytes();
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    bytes[text.find(key)] = std::byte{'X'};
    const Result<GgufFile> file = GgufFile::parse(bytes, "test.gguf");
    ASSERT_TRUE(file.ok()) << file.error().message;
    expect_error(model_config_from_gguf(*file), {"test.gguf: ", key, "found no such key"});
  }
}

TEST(GgufConfig, OtherArchitecturesAreRefusedByName) {
  expect_error(parse(model("deepseek2")),
               {"general.architecture: expected llama or qwen2", "found 'deepseek2'"});
}

TEST(GgufConfig, KeysThatWouldChangeTheComputationAreRefused) {
  for (const char* key :
       {"llama.expert_count", "llama.attention.sliding_window", "llama.nextn_predict_layers"}) {
    GgufBuilder builder = model("llama");
    expect_error(parse(builder.u32(key, 8)), {key, "expected 0", "found 8"});
    GgufBuilder zero = model("llama");
    EXPECT_TRUE(parse(zero.u32(key, 0)).ok()) << key;
  }
  for (const char* key : {"llama.logit_scale", "llama.attention.scale", "llama.residual_scale",
                          "llama.final_logit_softcapping"}) {
    GgufBuilder builder = model("llama");
    expect_error(parse(builder.f32(key, 0.5f)), {key, "found 0.5"});
  }
  for (const char* tensor : {"blk.0.attn_q_norm.weight", "blk.0.ffn_up.bias"}) {
    GgufBuilder builder = model("llama");
    expect_error(parse(builder.zeros(tensor, {8}, kGgmlF32, 32)), {tensor, "not supported"});
  }
  GgufBuilder causal = model("llama");
  expect_error(parse(causal.boolean("llama.attention.causal", false)), {"attention.causal"});
  GgufBuilder turned = model("llama");
  expect_error(parse(turned.u32("llama.rope.dimension_count", 8)),
               {"rope.dimension_count: expected 16", "found 8"});
  GgufBuilder values = model("llama");
  expect_error(parse(values.u32("llama.attention.value_length", 8)), {"attention.value_length"});
}

TEST(GgufConfig, HeadsMayBeWiderThanTheQuotient) {
  GgufBuilder builder = model("llama");
  builder.u32("llama.attention.key_length", 32).u32("llama.attention.value_length", 32);
  EXPECT_EQ(parsed(builder).head_dim, 32);
}

TEST(GgufConfig, RopeScaling) {
  GgufBuilder older = model("llama");
  EXPECT_EQ(parsed(older.f32("llama.rope.scale_linear", 4)).rope_scaling.type,
            RopeScalingType::linear);
  EXPECT_EQ(parsed(older).rope_scaling.factor, 4);
  GgufBuilder linear = model("llama");
  linear.text("llama.rope.scaling.type", "linear").f32("llama.rope.scaling.factor", 2);
  EXPECT_EQ(parsed(linear).rope_scaling.factor, 2);
  GgufBuilder none = model("llama");
  none.text("llama.rope.scaling.type", "none").f32("llama.rope.scaling.factor", 2);
  EXPECT_EQ(parsed(none).rope_scaling.type, RopeScalingType::none);
  GgufBuilder one = model("llama");
  EXPECT_EQ(parsed(one.f32("llama.rope.scale_linear", 1)).rope_scaling.type, RopeScalingType::none);
  GgufBuilder longrope = model("llama");
  expect_error(parse(longrope.text("llama.rope.scaling.type", "longrope")), {"found 'longrope'"});
}

TEST(GgufConfig, YarnScaling) {
  GgufBuilder builder = model("llama");
  builder.text("llama.rope.scaling.type", "yarn").f32("llama.rope.scaling.factor", 4);
  const RopeScaling plain = parsed(builder).rope_scaling;
  EXPECT_EQ(plain.type, RopeScalingType::yarn);
  EXPECT_EQ(plain.original_max_position_embeddings, 512);  // context_length
  EXPECT_DOUBLE_EQ(plain.attention_factor, 0.1 * std::log(4.0) + 1);
  builder.u32("llama.rope.scaling.original_context_length", 128);
  builder.f32("llama.rope.scaling.yarn_beta_fast", 16).f32("llama.rope.scaling.attn_factor", 0.5f);
  const RopeScaling tuned = parsed(builder).rope_scaling;
  EXPECT_EQ(tuned.original_max_position_embeddings, 128);
  EXPECT_EQ(tuned.beta_fast, 16);
  EXPECT_DOUBLE_EQ(tuned.attention_factor, 0.5 * (0.1 * std::log(4.0) + 1));
}

TEST(GgufConfig, DivisorsExcludeAnotherScaling) {
  GgufBuilder builder = model("llama");
  builder.zeros("rope_freqs.weight", {8}, kGgmlF32, 32);
  EXPECT_EQ(parsed(builder).rope_scaling.type, RopeScalingType::none);
  builder.f32("llama.rope.scaling.factor", 8);
  expect_error(parse(builder), {"expected none beside the tensor rope_freqs.weight"});
}

TEST(GgufConfig, SizesThatMakeNoSense) {
  GgufBuilder heads = model("qwen2");
  expect_error(parse(heads.u32("qwen2.attention.key_length", 0)), {"head_dim"});
  GgufBuilder odd = model("qwen2");
  odd.u32("qwen2.attention.key_length", 15).u32("qwen2.attention.value_length", 15);
  expect_error(parse(odd), {"head_dim: expected an even number"});
  GgufBuilder eps = model("llama");
  expect_error(parse(eps.f32("llama.rope.freq_base", NAN)), {"rope_theta"});
}

}  // namespace
}  // namespace shoehorn
