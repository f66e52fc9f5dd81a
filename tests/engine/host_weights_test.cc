// A model whose weights are partly on disk computes what it computes when all are in memory, bit
// for bit; and a disk that fails ends a step in an error.

#include "engine/host_weights.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>

#include "base/fault.h"
#include "engine/token_path.h"
#include "tests/base/temporary_directory.h"

namespace shoehorn {
namespace {

using testing::HasSubstr;

class HostWeights : public ::testing::Test {
 protected:
  ~HostWeights() override { EXPECT_TRUE(arm_faults("").ok()); }

  // An engine with so much RAM for weights alone.
  std::unique_ptr<Engine> open(uint64_t ram_bytes) {
    auto model = std::make_unique<Model>();
    model->config = checkpoint_.config();
    model->layout = layout_;
    model->rope = model_rope_table(model->config, {});
    plan_ = plan_ram(inventory_, {.ram_budget_bytes = ram_bytes}).value();
    auto weights =
        load_host(pool_, checkpoint_, layout_, plan_, directory_.path() / "spill", {}).value();
    EXPECT_EQ(weights->disk_bytes(), plan_.disk);
    HostForwardOptions host = {.kv = {.page_tokens = 16, .capacity_tokens = 256}};
    host.limits = {.max_rows = 16, .max_context = 128, .thread_count = pool_.thread_count()};
    auto forward = make_host_forward(pool_, *model, std::move(weights), host).value();
    return std::make_unique<Engine>(std::move(model), std::move(forward),
                                    EngineOptions{.max_context = 128});
  }

  // Logits behind every position of a prompt of 40 tokens and of 24 answers to it.
  Result<std::vector<float>> logits(Engine& engine) {
    std::vector<float> all;
    Request request;
    for (int32_t i = 0; i < 40; ++i) request.prompt.push_back(i * 7 % 50);
    request.max_new_tokens = 24;
    request.on_logits = [&](int64_t, std::span<float> row) {
      all.insert(all.end(), row.begin(), row.end());
    };
    const SequenceId id = TRY(engine.submit(std::move(request)));
    while (!engine.idle()) {
      const Result<void> step = engine.step();
      if (step.ok()) continue;
      engine.release(id);
      return step.error();
    }
    engine.release(id);
    return all;
  }

  TemporaryDirectory directory_;
  ThreadPool pool_{2};
  Checkpoint checkpoint_ =
      Checkpoint::open(std::filesystem::path(SOURCE_ROOT) / "tests/golden/models/llama.gguf")
          .value();
  ModelLayout layout_ = plan_layout(checkpoint_).value();
  ModelInventory inventory_ = take_inventory(checkpoint_.config(), layout_);
  RamPlan plan_;
};

TEST_F(HostWeights, OnDiskIsInMemoryBitForBit) {
  const std::unique_ptr<Engine> resident = open(UINT64_MAX);
  EXPECT_EQ(plan_.disk, 0u);
  const std::vector<float> expected = logits(*resident).value();
  const uint64_t all = plan_.total();
  int budgets = 0;
  for (uint64_t ram = 0; ram < all; ram += 4096) {
    if (!plan_ram(inventory_, {.ram_budget_bytes = ram}).ok()) continue;
    const std::unique_ptr<Engine> engine = open(ram);
    EXPECT_GT(plan_.disk, 0u);
    EXPECT_LE(plan_.total(), ram);
    EXPECT_EQ(engine->forward().weight_bytes().disk, plan_.disk);
    EXPECT_TRUE(logits(*engine).value() == expected) << ram << " bytes of RAM";
    ++budgets;
  }
  EXPECT_GT(budgets, 0);
  EXPECT_TRUE(std::filesystem::is_empty(directory_.path() / "spill"));
}

TEST_F(HostWeights, ADiskThatFailsEndsTheStepAndNoMore) {
  const std::vector<float> expected = logits(*open(UINT64_MAX)).value();
  const uint64_t ram = plan_.total() - 4096;
  ASSERT_TRUE(plan_ram(inventory_, {.ram_budget_bytes = ram}).ok());
  const std::unique_ptr<Engine> engine = open(ram);
  for (const int failing : {1, 2, 5, 17}) {
    ASSERT_TRUE(arm_faults(fmt::format("file_read:{}", failing)).ok());
    const Result<std::vector<float>> failed = logits(*engine);
    ASSERT_FALSE(failed.ok()) << failing;
    EXPECT_THAT(failed.error().message, HasSubstr("spill/weights-"));
    EXPECT_THAT(failed.error().message, HasSubstr("Input/output error"));
    ASSERT_TRUE(arm_faults("").ok());
    EXPECT_TRUE(logits(*engine).value() == expected) << "after the disk came back";
  }
}

TEST_F(HostWeights, ADiskThatFailsWhileLoadingIsNamed) {
  plan_ = plan_ram(inventory_, {}).value();
  plan_ = plan_ram(inventory_, {.ram_budget_bytes = plan_.total() - 4096}).value();
  for (const int failing : {1, 2}) {  // room for the file, then a write
    ASSERT_TRUE(arm_faults(fmt::format("disk_write:{}", failing)).ok());
    const auto weights = load_host(pool_, checkpoint_, layout_, plan_, directory_.path(), {});
    ASSERT_FALSE(weights.ok());
    EXPECT_THAT(weights.error().message, HasSubstr(directory_.path().string()));
  }
}

}  // namespace
}  // namespace shoehorn
