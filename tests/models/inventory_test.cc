#include "models/inventory.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/known_models.h"

namespace shoehorn {
namespace {

ModelInventory at(const char* model, int bits, int group) {
  return inventory_at(known_model(model).value().config, format_of_bits(bits, group).value())
      .value();
}

TEST(Inventory, The67BAtFourBits) {
  const ModelInventory model = at("deepseek-llm-67b", 4, 64);
  EXPECT_EQ(model.weights, "int4 g64 f16");
  EXPECT_DOUBLE_EQ(model.bits_per_weight, 4.25);
  ASSERT_EQ(model.layers.size(), 95u);
  const LayerInventory& layer = model.layers[42];
  // 512 neurons: 3 * 512 * 8192 weights of 4.25 bits.
  EXPECT_EQ(layer.units, 43);
  EXPECT_EQ(layer.unit_bytes, 3u * 512 * 8192 * 17 / 32);
  EXPECT_EQ(layer.unit_parameters, 3 * 512 * 8192);
  // q and o 8192 x 8192, k and v 1024 x 8192, a norm; whole pages.
  const uint64_t attention = (2u * 8192 * 8192 + 2 * 1024 * 8192) * 17 / 32 + 8192 * 4;
  EXPECT_GE(layer.attention_bytes, attention);
  EXPECT_LT(layer.attention_bytes, attention + 4096);
  EXPECT_EQ(layer.feed_forward_fixed_bytes, 8192u * 4);
  // Read for each token: 35.37e9 bytes.
  EXPECT_NEAR(static_cast<double>(model.decode_bytes()) * 1e-9, 35.37, 0.02);
}

TEST(Inventory, ATiedHeadIsACopyOfTheEmbedding) {
  const ModelInventory model = at("smollm2-135m", 4, 32);
  EXPECT_GT(model.head_bytes, model.embedding_bytes);
  EXPECT_EQ(model.head_parameters, 49152 * 576);
  const ModelInventory untied = at("deepseek-llm-7b", 4, 32);
  EXPECT_NEAR(static_cast<double>(untied.head_bytes), static_cast<double>(untied.embedding_bytes),
              64 * 1024);
}

TEST(Inventory, GroupsThatDoNotDivideARowAreRefused) {
  const auto result =
      inventory_at(known_model("smollm2-135m").value().config, format_of_bits(4, 128).value());
  ASSERT_FALSE(result.ok());
  EXPECT_THAT(result.error().message, testing::HasSubstr("576"));
  EXPECT_THAT(result.error().message, testing::HasSubstr("128"));
}

TEST(FormatOfBits, AcceptsTheFamilyOnly) {
  EXPECT_EQ(format_of_bits(16, 64).value(), kBf16);
  EXPECT_EQ(format_of_bits(32, 64).value(), kF32);
  for (const int bits : {2, 3, 4, 5, 6, 8}) {
    EXPECT_TRUE(is_valid(format_of_bits(bits, 64).value())) << bits;
  }
  for (const int bits : {-1, 0, 1, 7, 9, 260}) EXPECT_FALSE(format_of_bits(bits, 64).ok()) << bits;
  for (const int group : {-64, 0, 16, 48, 512, 65600}) {
    EXPECT_FALSE(format_of_bits(4, group).ok()) << group;
  }
}

}  // namespace
}  // namespace shoehorn
