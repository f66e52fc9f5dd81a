// How the topology is read from the kernel's files; apart from cpu.h so that tests can give other
// files.
#pragma once

#include <filesystem>
#include <vector>

namespace shoehorn {

// `processors` sorted so that one of each physical core comes first, then their siblings.
// devices: /sys/devices/system/cpu. Without topology files each processor counts as a core.
struct CoreOrder {
  std::vector<int> processors;
  int physical_cores = 0;
};
CoreOrder order_by_core(const std::filesystem::path& devices, const std::vector<int>& processors);

// The smallest CPU quota on the way from the process's own cgroup to the root; 0: none.
// memberships: /proc/self/cgroup; mount: /sys/fs/cgroup. Reads cgroup v2's cpu.max and v1's
// cpu.cfs_quota_us / cpu.cfs_period_us.
double cgroup_cpu_limit(const std::filesystem::path& memberships,
                        const std::filesystem::path& mount);

}  // namespace shoehorn
