#include "models/known_models.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "models/inventory.h"

namespace shoehorn {
namespace {

struct Expected {
  const char* name;
  int64_t parameters;  // counted from the published configs
  uint64_t kv_bytes;   // a token in 16 bits
};

class KnownModels : public testing::TestWithParam<Expected> {};

TEST_P(KnownModels, HaveTheirParameters) {
  const KnownModel model = known_model(GetParam().name).value();
  const ModelInventory inventory = inventory_at(model.config, kBf16).value();
  EXPECT_EQ(inventory.parameters, GetParam().parameters);
  EXPECT_EQ(inventory.kv_bytes_per_token(DType::f16), GetParam().kv_bytes);
  EXPECT_EQ(inventory.bits_per_weight, 16);
  EXPECT_EQ(inventory.weights, "bf16");
}

INSTANTIATE_TEST_SUITE_P(All, KnownModels,
                         testing::Values(Expected{"deepseek-llm-7b", 6910365696, 491520},
                                         Expected{"deepseek-llm-67b", 67425001472, 389120},
                                         Expected{"r1-distill-qwen-1.5b", 1777088000, 28672},
                                         Expected{"r1-distill-qwen-7b", 7615616512, 57344},
                                         Expected{"r1-distill-qwen-14b", 14770033664, 196608},
                                         Expected{"r1-distill-qwen-32b", 32763876352, 262144},
                                         Expected{"r1-distill-llama-8b", 8030261248, 131072},
                                         Expected{"r1-distill-llama-70b", 70553706496, 327680},
                                         Expected{"smollm2-135m", 134515008, 23040}));

TEST(KnownModelNames, AreAllKnown) {
  EXPECT_EQ(known_model_names().size(), 9u);
  for (const std::string& name : known_model_names()) {
    const KnownModel model = known_model(name).value();
    EXPECT_EQ(model.name, name);
    EXPECT_LT(std::max(model.bos_token_id, model.eos_token_id), model.config.vocab_size);
  }
  const auto unknown = known_model("gpt-5");
  ASSERT_FALSE(unknown.ok());
  EXPECT_THAT(unknown.error().message, testing::HasSubstr("deepseek-llm-67b"));
}

}  // namespace
}  // namespace shoehorn
