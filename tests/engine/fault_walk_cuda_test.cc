#include <cuda_runtime_api.h>
#include <gtest/gtest.h>

#include "base/bytes.h"
#include "base/gpu.h"
#include "models/synthetic.h"
#include "tests/base/temporary_directory.h"
#include "tests/engine/fault_walk.h"

namespace shoehorn {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

// The tiny model, which is all in VRAM; and SHOEHORN_TEST_MODEL, if there is one, in too little
// VRAM.
class FaultsOnTheCard : public ::testing::Test {
 protected:
  void SetUp() override {
    if (gpu_count() == 0) GTEST_SKIP() << why_no_gpu();
    free_bytes_ = free_on_card();
  }
  static uint64_t free_on_card() {
    size_t free_bytes = 0, total_bytes = 0;
    EXPECT_EQ(cudaMemGetInfo(&free_bytes, &total_bytes), cudaSuccess);
    return free_bytes;
  }
  static OpenOptions in_vram(uint64_t mib) {
    OpenOptions options;
    options.vram_budget_bytes = mib * kMiB;
    options.stream_share = 0.5;
    return options;
  }

  const std::filesystem::path tiny_ =
      std::filesystem::path(SOURCE_ROOT) / "tests/golden/models/llama.gguf";
  uint64_t free_bytes_ = 0;
};

TEST_F(FaultsOnTheCard, VramRefusedOnceIsASmallerPlan) {
  FaultWalk walk(tiny_, in_vram(2048));
  EXPECT_GE(walk.walk(FaultPoint::vram_allocation, {"VRAM for"}), 1);
  EXPECT_EQ(walk.errors(), 1);  // where all are refused
}

TEST_F(FaultsOnTheCard, PinningRefusedSaysWhatToDo) {
  FaultWalk walk(tiny_, in_vram(2048));
  const int64_t calls = walk.walk(FaultPoint::pinning, {"ulimit -l"});
  EXPECT_GE(calls, 3);
  EXPECT_GE(walk.errors(), 3);  // what works unpinned does without
}

TEST_F(FaultsOnTheCard, TheRest) {
  FaultWalk walk(tiny_, in_vram(2048));
  walk.walk(FaultPoint::host_allocation, {"host memory for"});
  EXPECT_EQ(walk.walk(FaultPoint::card_library, {"libcublas"}), 1);
  EXPECT_EQ(walk.walk(FaultPoint::card_handle, {"cuBLAS"}), 1);
  walk.walk(FaultPoint::file_open, {});
  walk.walk(FaultPoint::file_map, {});
  walk.walk(FaultPoint::file_truncated, {"became shorter"});
}

TEST_F(FaultsOnTheCard, WhoDidNotAskForVramGetsTheHost) {
  FaultWalk walk(tiny_, OpenOptions());
  for (const FaultPoint point : {FaultPoint::pinning, FaultPoint::vram_allocation,
                                 FaultPoint::card_library, FaultPoint::card_handle}) {
    EXPECT_GE(walk.walk(point, {}), 1);
    EXPECT_EQ(walk.errors(), 0) << name(point);
  }
}

TEST_F(FaultsOnTheCard, NothingOnTheCardIsLost) {
  const uint64_t before = free_on_card();
  FaultWalk walk(tiny_, in_vram(2048));
  walk.walk(FaultPoint::vram_allocation, {"VRAM for"});
  walk.walk(FaultPoint::pinning, {"ulimit -l"});
  walk.walk(FaultPoint::card_handle, {"cuBLAS"});
  // Kernels that the driver has loaded stay; buffers would be larger.
  EXPECT_GE(free_on_card() + 64 * kMiB, before);
}

// A few MiB above the least that opens, found as a user would: from the error of less.
TEST_F(FaultsOnTheCard, AModelThatIsStreamed) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "model.gguf";
  ThreadPool pool(4);
  ASSERT_TRUE(write_synthetic(pool, known_model("smollm2-135m").value(),
                              {.type = StoredType::q8_0, .layers = 8}, path)
                  .ok());
  OpenOptions options = in_vram(1);
  options.context = 256;
  options.max_rows = 64;
  options.need_tokenizer = false;
  options.kv_dtype = DType::f32;
  const Result<OpenedModel> refused = open_model(pool, path, options);
  ASSERT_FALSE(refused.ok());
  const std::string& message = refused.error().message;
  const size_t begin = message.find("at least ") + 9;
  const Result<uint64_t> least = parse_bytes(message.substr(begin, message.find(" (") - begin));
  ASSERT_TRUE(least.ok()) << message;
  FaultWalk walk(path, in_vram(*least / kMiB + 10));
  EXPECT_EQ(walk.walk(FaultPoint::vram_allocation, {"VRAM for"}), 1);
  EXPECT_GE(walk.walk(FaultPoint::pinning, {"ulimit -l"}), 8);
}

}  // namespace
}  // namespace shoehorn
