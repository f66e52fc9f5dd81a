// Hardware facts: what this machine has, and how fast it was measured to be.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "base/cpu.h"
#include "base/result.h"
#include "base/thread_pool.h"

namespace shoehorn {

struct HostFacts {
  CpuTopology cpu;
  Isa isa = Isa::generic;
  uint64_t memory_bytes = 0;            // RAM, or the cgroup's limit where that is lower
  uint64_t available_memory_bytes = 0;  // MemAvailable
};
HostFacts read_host_facts();

// Bytes per second that all threads of the pool read from `bytes` together, the best of a few
// passes. Meaningful as a DRAM figure when `bytes` is several times larger than the caches.
double measure_read_bandwidth(ThreadPool& pool, std::span<const std::byte> bytes);

// Bytes per second of a sequential read past the page cache, of a file of `file_bytes` written for
// the purpose in `directory` and removed again; two dozen requests and more are under way at a
// time. Errors: the directory cannot be written, or has no room.
Result<double> measure_disk_read(const std::filesystem::path& directory, uint64_t file_bytes);

}  // namespace shoehorn
