#include "base/bus_guard.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <thread>
#include <vector>

#include "base/file.h"

namespace shoehorn {
namespace {

namespace fs = std::filesystem;

class BusGuard : public ::testing::Test {
 protected:
  BusGuard() {
    std::ofstream(path_) << std::string(64 << 10, 'x');
    map_.emplace(MappedFile::open(path_).value());
  }
  ~BusGuard() override { fs::remove(path_); }
  void shrink() { fs::resize_file(path_, 4096); }
  int sum() const {
    int total = 0;
    for (const std::byte b : map_->bytes()) total += static_cast<int>(b);
    return total;
  }

  fs::path path_ = fs::temp_directory_path() / fmt::format("bus_guard_{}", getpid());
  std::optional<MappedFile> map_;
};

TEST_F(BusGuard, PassesThroughWhatCanBeRead) {
  int total = 0;
  EXPECT_TRUE(survives_reading([&] { total = sum(); }));
  EXPECT_EQ(total, (64 << 10) * 'x');
}

TEST_F(BusGuard, AFileThatShrankIsAnAnswer) {
  shrink();
  volatile int total = -1;
  for (int again = 0; again < 3; ++again) {
    EXPECT_FALSE(survives_reading([&] { total = sum(); }));
  }
  EXPECT_EQ(total, -1);
  EXPECT_TRUE(survives_reading([&] { total = static_cast<int>(map_->bytes()[100]); }));
}

TEST_F(BusGuard, ThreadsAreGuardedEachByItself) {
  shrink();
  std::vector<int> survived(8, -1);
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([&, i] {
      const bool bad = i % 2 == 1;
      survived[i] = survives_reading([&] {
        volatile std::byte b = map_->bytes()[bad ? 50000 : 100];
        (void)b;
      });
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (int i = 0; i < 8; ++i) EXPECT_EQ(survived[i], i % 2 == 0) << i;
}

using BusGuardDeathTest = BusGuard;
TEST_F(BusGuardDeathTest, OutsideAGuardTheSignalEndsTheProcess) {
  shrink();
  EXPECT_TRUE(survives_reading([] {}));  // installs the handler
  EXPECT_DEATH(std::exit(sum() % 2), "");
}

}  // namespace
}  // namespace shoehorn
