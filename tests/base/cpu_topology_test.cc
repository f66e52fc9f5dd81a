#include "base/cpu_topology.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/base/temporary_directory.h"

namespace shoehorn {
namespace {

using testing::ElementsAre;

TEST(OrderByCore, OneOfEachCoreFirst) {
  TemporaryDirectory devices;
  devices.write("cpu0/topology/core_cpus_list", "0,2\n");
  devices.write("cpu2/topology/core_cpus_list", "0,2\n");
  devices.write("cpu1/topology/core_cpus_list", "1,3\n");
  devices.write("cpu3/topology/core_cpus_list", "1,3\n");
  const CoreOrder all = order_by_core(devices.path(), {0, 1, 2, 3});
  EXPECT_THAT(all.processors, ElementsAre(0, 1, 2, 3));
  EXPECT_EQ(all.physical_cores, 2);
  const CoreOrder siblings = order_by_core(devices.path(), {0, 2, 3});
  EXPECT_THAT(siblings.processors, ElementsAre(0, 3, 2));
  EXPECT_EQ(siblings.physical_cores, 2);
}

TEST(OrderByCore, OlderKernelsNameAndNoFilesAtAll) {
  TemporaryDirectory devices;
  devices.write("cpu4/topology/thread_siblings_list", "4-5\n");
  devices.write("cpu5/topology/thread_siblings_list", "4-5\n");
  const CoreOrder order = order_by_core(devices.path(), {4, 5, 9});
  EXPECT_THAT(order.processors, ElementsAre(4, 9, 5));
  EXPECT_EQ(order.physical_cores, 2);
}

TEST(CgroupCpuLimit, SmallestOnTheWayUp) {
  TemporaryDirectory root;
  const auto memberships = root.write("cgroup", "0::/a/b\n");
  root.write("fs/a/b/cpu.max", "max 100000\n");
  EXPECT_EQ(cgroup_cpu_limit(memberships, root.path() / "fs"), 0);
  root.write("fs/a/cpu.max", "250000 100000\n");
  EXPECT_EQ(cgroup_cpu_limit(memberships, root.path() / "fs"), 2.5);
  root.write("fs/a/b/cpu.max", "400000 100000\n");
  EXPECT_EQ(cgroup_cpu_limit(memberships, root.path() / "fs"), 2.5);
  root.write("fs/cpu.max", "50000 100000\n");
  EXPECT_EQ(cgroup_cpu_limit(memberships, root.path() / "fs"), 0.5);
}

// In a container the path may be the host's; the files at the mount's root are the container's own.
TEST(CgroupCpuLimit, PathOfTheHost) {
  TemporaryDirectory root;
  const auto memberships = root.write("cgroup", "0::/system.slice/docker-0123.scope\n");
  root.write("fs/cpu.max", "150000 100000\n");
  EXPECT_EQ(cgroup_cpu_limit(memberships, root.path() / "fs"), 1.5);
}

TEST(CgroupCpuLimit, Version1) {
  TemporaryDirectory root;
  const auto memberships =
      root.write("cgroup", "12:cpuset:/x\n4:cpu,cpuacct:/slice/job\n1:name=systemd:/\n0::/\n");
  root.write("fs/cpu,cpuacct/slice/job/cpu.cfs_quota_us", "-1\n");
  root.write("fs/cpu,cpuacct/slice/job/cpu.cfs_period_us", "100000\n");
  EXPECT_EQ(cgroup_cpu_limit(memberships, root.path() / "fs"), 0);
  root.write("fs/cpu,cpuacct/slice/cpu.cfs_quota_us", "600000\n");
  root.write("fs/cpu,cpuacct/slice/cpu.cfs_period_us", "200000\n");
  EXPECT_EQ(cgroup_cpu_limit(memberships, root.path() / "fs"), 3);
}

TEST(CgroupCpuLimit, NonsenseIsNoLimit) {
  TemporaryDirectory root;
  for (const char* text : {"", "max", "100000", "-5 100000", "5 0", "x y"}) {
    root.write("fs/cpu.max", text);
    EXPECT_EQ(cgroup_cpu_limit(root.write("cgroup", "0::/\n"), root.path() / "fs"), 0) << text;
  }
  EXPECT_EQ(cgroup_cpu_limit(root.path() / "missing", root.path() / "missing"), 0);
  EXPECT_EQ(cgroup_cpu_limit(root.write("cgroup", "garbage\n::\n"), root.path() / "fs"), 0);
}

}  // namespace
}  // namespace shoehorn
