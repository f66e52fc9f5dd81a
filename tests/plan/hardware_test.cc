#include "plan/hardware.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <vector>

namespace shoehorn {
namespace {

TEST(HostFacts, AreThoseOfARealMachine) {
  const HostFacts facts = read_host_facts();
  EXPECT_GE(facts.cpu.usable_processors.size(), 1u);
  EXPECT_GE(facts.cpu.physical_cores, 1);
  EXPECT_GT(facts.memory_bytes, uint64_t{64} << 20);
  EXPECT_GT(facts.available_memory_bytes, 0u);
  EXPECT_LE(facts.available_memory_bytes, facts.memory_bytes);
}

TEST(ReadBandwidth, IsPositiveAndBelowWhatCachesCouldDo) {
  ThreadPool pool(2);
  const std::vector<std::byte> bytes(uint64_t{16} << 20, std::byte{1});
  const double rate = measure_read_bandwidth(pool, bytes);
  EXPECT_GT(rate, 1e8);
  EXPECT_LT(rate, 1e13);
  EXPECT_EQ(measure_read_bandwidth(pool, {}), 0);
}

TEST(DiskRead, MeasuresAndLeavesNothingBehind) {
  const std::filesystem::path directory =
      std::filesystem::path(::testing::TempDir()) / "shoehorn-disk-test";
  std::filesystem::create_directories(directory);
  const Result<double> rate = measure_disk_read(directory, uint64_t{8} << 20);
  ASSERT_TRUE(rate.ok()) << rate.error().message;
  EXPECT_GT(*rate, 1e5);
  EXPECT_TRUE(std::filesystem::is_empty(directory));
  std::filesystem::remove(directory);
}

TEST(DiskRead, NamesADirectoryThatCannotBeWritten) {
  const Result<double> rate = measure_disk_read("/nonexistent/place", 1 << 20);
  ASSERT_FALSE(rate.ok());
  EXPECT_NE(rate.error().message.find("/nonexistent/place"), std::string::npos);
}

}  // namespace
}  // namespace shoehorn
