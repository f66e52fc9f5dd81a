#include "plan/cpu_probe.h"

#include <gtest/gtest.h>

namespace shoehorn {
namespace {

TEST(CpuProbe, MeasuresEveryNumberOfRowsAndThreads) {
  const HostFacts host = read_host_facts();
  // Both a sample of whole weights and one smaller than a weight.
  for (const uint64_t sample : {uint64_t{40} << 20, uint64_t{1} << 20}) {
    const CpuProbe found =
        probe_cpu(host, {.sample_bytes = sample, .seconds_per_rate = 0.001}).value();
    EXPECT_EQ(found.threads, default_thread_count(host.cpu));
    ASSERT_FALSE(found.read.empty());
    EXPECT_EQ(found.read.back().threads, found.threads);
    ASSERT_EQ(found.linear.size(), 7u);
    for (size_t i = 0; i < found.linear.size(); ++i) {
      EXPECT_EQ(found.linear[i].rows, 1 << i);
      EXPECT_GT(found.linear[i].bytes_per_s, 1e6);
      EXPECT_LT(found.linear[i].bytes_per_s, 1e13);
    }
  }
}

}  // namespace
}  // namespace shoehorn
