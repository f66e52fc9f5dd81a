#include "tests/engine/fault_walk.h"

#include <gtest/gtest.h>

#include "models/synthetic.h"
#include "tests/base/temporary_directory.h"

namespace shoehorn {
namespace {

const std::filesystem::path kModels = std::filesystem::path(SOURCE_ROOT) / "tests/golden/models";

class FaultsOnTheHost : public ::testing::TestWithParam<const char*> {
 protected:
  static OpenOptions on_the_host() {
    OpenOptions options;
    options.vram_budget_bytes = 0;
    return options;
  }
  FaultWalk walk_{kModels / GetParam(), on_the_host()};
};

TEST_P(FaultsOnTheHost, MemoryRefused) {
  const int64_t calls = walk_.walk(FaultPoint::host_allocation, {"host memory for"});
  EXPECT_GE(calls, 3);  // weights, workspace, KV cache
  EXPECT_EQ(walk_.errors(), calls + 1);
}

TEST_P(FaultsOnTheHost, FilesThatCannotBeOpenedOrRead) {
  EXPECT_GE(walk_.walk(FaultPoint::file_open, {}), 1);
  EXPECT_GT(walk_.errors(), 0);
  EXPECT_GE(walk_.walk(FaultPoint::file_map, {}), 1);
  EXPECT_GT(walk_.errors(), 0);
  walk_.walk(FaultPoint::file_read, {});
}

TEST_P(FaultsOnTheHost, AFileThatBecomesShorterWhileItIsMapped) {
  const int64_t calls = walk_.walk(FaultPoint::file_truncated, {"became shorter"});
  EXPECT_GE(calls, 1);
  EXPECT_EQ(walk_.errors(), calls + 1);
}

INSTANTIATE_TEST_SUITE_P(Models, FaultsOnTheHost, ::testing::Values("llama.gguf", "llama"),
                         [](const auto& info) {
                           return std::string(info.param) == "llama" ? "safetensors" : "gguf";
                         });

TEST(FaultsOfWriting, LeaveNoFileBehind) {
  const TemporaryDirectory directory;
  const std::filesystem::path path = directory.path() / "model.gguf";
  const KnownModel model = known_model("smollm2-135m").value();
  ThreadPool pool(2);
  for (int call = 1; call <= 2; ++call) {
    ASSERT_TRUE(arm_faults(fmt::format("disk_write:{}", call)).ok());
    const Result<void> written =
        write_synthetic(pool, model, {.type = StoredType::q4_0, .layers = 1}, path);
    ASSERT_FALSE(written.ok());
    EXPECT_NE(written.error().message.find(path.string()), std::string::npos);
    EXPECT_TRUE(std::filesystem::is_empty(directory.path()));
  }
  ASSERT_TRUE(arm_faults("").ok());
  EXPECT_TRUE(write_synthetic(pool, model, {.type = StoredType::q4_0, .layers = 1}, path).ok());
}

}  // namespace
}  // namespace shoehorn
