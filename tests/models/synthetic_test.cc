#include "models/synthetic.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>
#include <iterator>
#include <vector>

#include "formats/checkpoint.h"
#include "models/layout.h"
#include "tests/base/temporary_directory.h"

namespace shoehorn {
namespace {

constexpr StoredType kTypes[] = {
    StoredType::q2_k,   StoredType::q3_k,   StoredType::q4_0, StoredType::q4_1, StoredType::q4_k,
    StoredType::q5_0,   StoredType::q5_1,   StoredType::q5_k, StoredType::q6_k, StoredType::q8_0,
    StoredType::iq4_nl, StoredType::iq4_xs, StoredType::f16,  StoredType::bf16, StoredType::f32};

std::vector<std::byte> random_bytes(int threads, StoredType type, double deviation, uint64_t seed,
                                    int64_t count) {
  ThreadPool pool(threads);
  std::vector<std::byte> bytes(static_cast<size_t>(stored_bytes(type, 1, count)));
  fill_random(pool, type, deviation, seed, bytes);
  return bytes;
}

TEST(FillRandom, HasTheDeviationAskedForInEveryType) {
  constexpr int64_t kCount = 1 << 18;
  constexpr double kDeviation = 0.0067;  // of a row of 22016
  for (const StoredType type : kTypes) {
    const std::vector<std::byte> bytes = random_bytes(2, type, kDeviation, 5, kCount);
    std::vector<float> values(kCount);
    dequantize_stored_row(type, bytes.data(), kCount, values.data());
    double sum = 0, squares = 0;
    for (const float value : values) {
      sum += value;
      squares += static_cast<double>(value) * value;
    }
    EXPECT_NEAR(std::sqrt(squares / kCount), kDeviation, 0.02 * kDeviation) << name(type);
    // Codes of 2^n values have no middle one, so the mean may be half a step off.
    EXPECT_LT(std::abs(sum / kCount), 0.25 * kDeviation) << name(type);
  }
}

TEST(FillRandom, IsFixedByItsSeedAndNotByThreads) {
  constexpr int64_t kCount = 256 * 5000;
  for (const StoredType type : {StoredType::q4_k, StoredType::bf16}) {
    const std::vector<std::byte> one = random_bytes(1, type, 0.1, 7, kCount);
    EXPECT_EQ(one, random_bytes(3, type, 0.1, 7, kCount)) << name(type);
    EXPECT_NE(one, random_bytes(1, type, 0.1, 8, kCount)) << name(type);
  }
}

TEST(BlockTypeFor, FallsBackToBlocksThatFit) {
  EXPECT_EQ(block_type_for(StoredType::q4_k, 8192), StoredType::q4_k);
  EXPECT_EQ(block_type_for(StoredType::q4_k, 576), StoredType::q4_0);
  for (const StoredType type : kTypes) {
    EXPECT_EQ(576 % block_elements(block_type_for(type, 576)), 0) << name(type);
  }
}

// A known model with few tokens, as its embedding would be most of the test's time.
KnownModel with_small_vocabulary(const char* name) {
  KnownModel model = known_model(name).value();
  model.config.vocab_size = 512;
  model.bos_token_id = 400;
  model.eos_token_id = 401;
  return model;
}

TEST(WriteSynthetic, OpensAsTheModelItStandsFor) {
  const TemporaryDirectory directory;
  ThreadPool pool(2);
  struct Case {
    const char* model;
    StoredType type;
  };
  for (const Case& c :
       {Case{"smollm2-135m", StoredType::q4_k}, Case{"r1-distill-qwen-1.5b", StoredType::q2_k},
        Case{"r1-distill-llama-8b", StoredType::q2_k}}) {
    const std::filesystem::path path = directory.path() / "m.gguf";
    const KnownModel model = with_small_vocabulary(c.model);
    uint64_t last_done = 0, last_total = 0;
    const SyntheticOptions options = {
        .type = c.type, .layers = 1, .progress = [&](uint64_t done, uint64_t total) {
          last_done = done;
          last_total = total;
        }};
    ASSERT_TRUE(write_synthetic(pool, model, options, path).ok());
    EXPECT_EQ(last_done, last_total);
    EXPECT_EQ(std::filesystem::file_size(path), synthetic_bytes(model, options));

    const Checkpoint checkpoint = Checkpoint::open(path).value();
    const ModelConfig& config = checkpoint.config();
    EXPECT_EQ(config.architecture, model.config.architecture);
    EXPECT_EQ(config.num_hidden_layers, 1);
    EXPECT_EQ(config.hidden_size, model.config.hidden_size);
    EXPECT_EQ(config.intermediate_size, model.config.intermediate_size);
    EXPECT_EQ(config.num_attention_heads, model.config.num_attention_heads);
    EXPECT_EQ(config.num_key_value_heads, model.config.num_key_value_heads);
    EXPECT_EQ(config.vocab_size, model.config.vocab_size);
    EXPECT_EQ(config.max_position_embeddings, model.config.max_position_embeddings);
    EXPECT_EQ(config.rms_norm_eps, static_cast<float>(model.config.rms_norm_eps));
    EXPECT_EQ(config.rope_theta, model.config.rope_theta);
    EXPECT_EQ(config.tie_word_embeddings, model.config.tie_word_embeddings);
    EXPECT_EQ(config.qkv_bias, model.config.qkv_bias);
    EXPECT_TRUE(plan_layout(checkpoint).ok());

    const Tokenizer tokenizer = Tokenizer::create(checkpoint.tokenizer_data().value()).value();
    const std::string text = "Any text, \xC3\xA4 and \n too";
    EXPECT_EQ(tokenizer.decode(tokenizer.encode(text)), text);
    EXPECT_EQ(tokenizer.data().bos_token_id, model.bos_token_id);
    EXPECT_EQ(tokenizer.data().eos_token_id, model.eos_token_id);
  }
}

TEST(WriteSynthetic, HoldsTheDivisorsOfLlama3Scaling) {
  const TemporaryDirectory directory;
  ThreadPool pool(2);
  const std::filesystem::path path = directory.path() / "m.gguf";
  const KnownModel model = with_small_vocabulary("r1-distill-llama-8b");
  ASSERT_TRUE(write_synthetic(pool, model, {.type = StoredType::q2_k, .layers = 1}, path).ok());
  const Checkpoint checkpoint = Checkpoint::open(path).value();
  const std::vector<float> divisors = stored_vector(checkpoint, "rope_freqs.weight", 64).value();
  for (int i = 0; i <= 28; ++i) EXPECT_EQ(divisors[static_cast<size_t>(i)], 1) << i;
  EXPECT_NEAR(divisors[29], 1.207484, 1e-5);
  EXPECT_NEAR(divisors[34], 5.257327, 1e-5);
  for (size_t i = 35; i < 64; ++i) EXPECT_NEAR(divisors[i], 8, 1e-6) << i;
}

TEST(WriteSynthetic, RefusesMoreLayersThanThereAre) {
  ThreadPool pool(1);
  const auto result =
      write_synthetic(pool, known_model("smollm2-135m").value(), {.layers = 31}, "/nowhere/m.gguf");
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message, testing::HasSubstr("1 to 30"));
}

}  // namespace
}  // namespace shoehorn
