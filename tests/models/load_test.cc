// Loading when the world misbehaves.

#include "models/load.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>

namespace shoehorn {
namespace {

namespace fs = std::filesystem;

class LoadFromAFileThatShrinks : public ::testing::TestWithParam<double> {
 protected:
  ~LoadFromAFileThatShrinks() override { fs::remove(path_); }
  fs::path path_ = fs::temp_directory_path() / fmt::format("shrinking_{}.gguf", getpid());
};

// Cut anywhere after the headers: an error that names file and tensor, and no end of the process.
TEST_P(LoadFromAFileThatShrinks, EndsInAClearError) {
  const fs::path original = fs::path(SOURCE_ROOT) / "tests/golden/models/llama.gguf";
  fs::copy_file(original, path_, fs::copy_options::overwrite_existing);
  const Checkpoint checkpoint = Checkpoint::open(path_).value();
  const ModelLayout layout = plan_layout(checkpoint).value();
  fs::resize_file(
      path_, static_cast<uintmax_t>(GetParam() * static_cast<double>(fs::file_size(original))));
  ThreadPool pool(2);
  const auto loaded = load_resident(pool, checkpoint, layout, {});
  ASSERT_FALSE(loaded.ok());
  EXPECT_NE(loaded.error().message.find("became shorter"), std::string::npos);
  EXPECT_NE(loaded.error().message.find("tensor '"), std::string::npos);
  EXPECT_NE(loaded.error().message.find(path_.filename().string()), std::string::npos);
}

INSTANTIATE_TEST_SUITE_P(All, LoadFromAFileThatShrinks, ::testing::Values(0.3, 0.6, 0.9));

}  // namespace
}  // namespace shoehorn
