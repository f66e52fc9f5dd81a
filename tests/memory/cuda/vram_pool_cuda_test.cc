// A pool on a card: blocks, joined ones too, hold what is written to them, whoever writes beside.
#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include <vector>

#include "base/cuda_check.h"
#include "base/fault.h"
#include "base/gpu.h"
#include "base/random.h"
#include "memory/gpu_buffer.h"
#include "memory/vram_pool.h"

namespace shoehorn {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

class VramPoolTest : public ::testing::TestWithParam<bool> {
 protected:
  void SetUp() override {
    if (gpu_count() == 0) GTEST_SKIP() << why_no_gpu();
    for (cudaStream_t& stream : streams_) {
      CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
    }
  }
  void TearDown() override {
    ASSERT_TRUE(arm_faults("").ok());
    pool_ = nullptr;
    for (const cudaStream_t stream : streams_) {
      if (stream != nullptr) cudaStreamDestroy(stream);
    }
  }
  void make_pool(uint64_t bytes) { pool_ = VramPool::create(budget_, bytes, GetParam()).value(); }
  VramBlock take(uint64_t bytes, int stream = 0) {
    return pool_->allocate(bytes, streams_[stream], "a test").value();
  }
  void fill(const VramBlock& block, int value, int stream = 0) {
    CUDA_CHECK(cudaMemsetAsync(block.data(), value, block.size_bytes(), streams_[stream]));
  }
  // Whether all bytes are `value`.
  bool holds(const VramBlock& block, int value, int stream = 0) {
    std::vector<std::byte> bytes(block.size_bytes());
    CUDA_CHECK(cudaMemcpyAsync(bytes.data(), block.data(), bytes.size(), cudaMemcpyDeviceToHost,
                               streams_[stream]));
    CUDA_CHECK(cudaStreamSynchronize(streams_[stream]));
    for (const std::byte b : bytes) {
      if (b != static_cast<std::byte>(value)) return false;
    }
    return true;
  }

  VramBudget budget_{256 * kMiB};
  std::unique_ptr<VramPool> pool_;
  cudaStream_t streams_[2] = {};
};

TEST_P(VramPoolTest, ARandomTraceKeepsEveryBlocksBytes) {
  make_pool(96 * kMiB);
  struct Live {
    VramBlock block;
    int value;
  };
  std::vector<Live> live;
  Random random(3);
  int64_t refused = 0;
  for (int step = 0; step < 600; ++step) {
    if (!live.empty() && random.below(100) < 45) {
      const size_t chosen = random.below(live.size());
      ASSERT_TRUE(holds(live[chosen].block, live[chosen].value)) << "step " << step;
      live.erase(live.begin() + static_cast<std::ptrdiff_t>(chosen));
      continue;
    }
    const uint64_t bytes = 1 + random.below(random.below(3) == 0 ? 400 << 10 : 14 << 20);
    Result<VramBlock> block = pool_->allocate(bytes, streams_[0], "a test");
    refused += !block.ok();
    if (!block.ok()) continue;
    ASSERT_EQ(reinterpret_cast<uintptr_t>(block->data()) % 256, 0u);
    live.push_back({std::move(*block), 1 + step % 250});
    fill(live.back().block, live.back().value);
  }
  for (const Live& one : live) EXPECT_TRUE(holds(one.block, one.value));
  EXPECT_GT(refused, 0);
  EXPECT_EQ(pool_->statistics().joined_in_all > 0, pool_->joins());
  live.clear();
  EXPECT_EQ(pool_->statistics().free_ranges, 1);
}

TEST_P(VramPoolTest, AnotherStreamWaitsForWhoHadTheMemory) {
  make_pool(64 * kMiB);
  const VramBlock held = take(1);
  for (int round = 0; round < 20; ++round) {
    VramBlock first = take(60 * kMiB, 0);
    for (int i = 0; i < 40; ++i) fill(first, 1, 0);  // a while of work
    first = {};
    const VramBlock second = take(60 * kMiB, 1);
    fill(second, 2, 1);
    CUDA_CHECK(cudaStreamSynchronize(streams_[0]));
    ASSERT_TRUE(holds(second, 2, 1)) << "round " << round;
  }
}

TEST_P(VramPoolTest, ABlockIsGivenBackBehindTheStreamThatUsedItLast) {
  make_pool(64 * kMiB);
  for (int round = 0; round < 20; ++round) {
    VramBlock first = take(60 * kMiB, 0);
    CUDA_CHECK(cudaStreamSynchronize(streams_[0]));
    for (int i = 0; i < 40; ++i) fill(first, 1, 1);
    first.used_by(streams_[1]);
    first = {};
    const VramBlock second = take(60 * kMiB, 0);
    fill(second, 2, 0);
    CUDA_CHECK(cudaStreamSynchronize(streams_[1]));
    ASSERT_TRUE(holds(second, 2, 0)) << "round " << round;
  }
}

TEST_P(VramPoolTest, FreeBytesInPiecesAreOneBlockWhereTheCardCanJoin) {
  make_pool(64 * kMiB);
  std::vector<VramBlock> blocks;
  for (int i = 0; i < 16; ++i) blocks.push_back(take(4 * kMiB));
  for (int i = 0; i < 16; ++i) fill(blocks[static_cast<size_t>(i)], i);
  for (size_t i = 0; i < 16; i += 2) blocks[i] = {};
  Result<VramBlock> whole = pool_->allocate(32 * kMiB, streams_[0], "a sequence's cache");
  ASSERT_EQ(whole.ok(), pool_->joins());
  if (!whole.ok()) {
    EXPECT_EQ(whole.error().message,
              "a sequence's cache: expected room for 32.0 MiB, found 32.0 MiB free, the largest "
              "block 4.00 MiB, of a budget of 64.0 MiB");
    return;
  }
  fill(*whole, 77);
  EXPECT_TRUE(holds(*whole, 77));
  for (size_t i = 1; i < 16; i += 2) EXPECT_TRUE(holds(blocks[i], static_cast<int>(i)));
  EXPECT_EQ(pool_->statistics().joined_blocks, 1);
  *whole = {};
  EXPECT_EQ(pool_->statistics().free_bytes, 32 * kMiB);
}

TEST_P(VramPoolTest, ARefusalOfTheDriverLeavesThePoolAsItWas) {
  make_pool(64 * kMiB);
  std::vector<VramBlock> blocks;
  for (int i = 0; i < 16; ++i) blocks.push_back(take(4 * kMiB));
  for (size_t i = 0; i < 16; i += 2) blocks[i] = {};
  for (const char* point : {"vram_mapping:1", "vram_allocation:1"}) {
    ASSERT_TRUE(arm_faults(point).ok());
    const Result<VramBlock> refused = pool_->allocate(32 * kMiB, streams_[0], "a cache");
    ASSERT_FALSE(refused.ok());
    EXPECT_NE(refused.error().message.find("a cache"), std::string::npos);
    EXPECT_EQ(pool_->statistics().free_bytes, 32 * kMiB);
    EXPECT_EQ(pool_->statistics().blocks, 8);
  }
  EXPECT_EQ(pool_->allocate(32 * kMiB, streams_[0], "a cache").ok(), pool_->joins());
}

TEST_P(VramPoolTest, ItTakesNoMoreThanTheBudgetAndGivesItBack) {
  const GpuBuffer buffer = GpuBuffer::create(100 * kMiB, "weights", budget_).value();
  EXPECT_FALSE(VramPool::create(budget_, 157 * kMiB, GetParam()).ok());
  make_pool(156 * kMiB);
  EXPECT_EQ(budget_.left_bytes(), 0u);
  EXPECT_FALSE(GpuBuffer::create(1, "one more", budget_).ok());
  pool_ = nullptr;
  EXPECT_EQ(budget_.left_bytes(), 156 * kMiB);
  ASSERT_TRUE(arm_faults("vram_allocation:1").ok());
  EXPECT_FALSE(VramPool::create(budget_, 8 * kMiB, GetParam()).ok());
  EXPECT_EQ(budget_.left_bytes(), 156 * kMiB);
}

TEST_P(VramPoolTest, MoreThanTheCardHasIsAnError) {
  VramBudget budget(uint64_t{1} << 45);
  const Result<std::unique_ptr<VramPool>> pool =
      VramPool::create(budget, uint64_t{1} << 40, GetParam());
  ASSERT_FALSE(pool.ok());
  EXPECT_NE(pool.error().message.find("expected 1.00 TiB"), std::string::npos)
      << pool.error().message;
  EXPECT_EQ(budget.taken_bytes(), 0u);
  make_pool(8 * kMiB);  // the card is still of use
  const VramBlock block = take(8 * kMiB);
  fill(block, 5);
  EXPECT_TRUE(holds(block, 5));
}

INSTANTIATE_TEST_SUITE_P(JoiningAndPlain, VramPoolTest, ::testing::Bool());

}  // namespace
}  // namespace shoehorn
