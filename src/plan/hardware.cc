#include "plan/hardware.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <fstream>
#include <utility>
#include <vector>

#include "base/clock.h"
#include "memory/host_buffer.h"
#include "memory/spill_file.h"

namespace shoehorn {
namespace {

constexpr size_t kPrefetchBytes = 4096;
constexpr uint64_t kDiskChunk = uint64_t{4} << 20;
constexpr size_t kDiskChunks = 16;  // in memory

// A field of /proc/meminfo in bytes; 0 where it is absent.
uint64_t meminfo_bytes(const std::string& field) {
  std::ifstream file("/proc/meminfo");
  std::string key, unit;
  uint64_t kibibytes = 0;
  while (file >> key >> kibibytes) {
    std::getline(file, unit);
    if (key == field + ":") return kibibytes * 1024;
  }
  return 0;
}

uint64_t cgroup_memory_limit() {
  uint64_t limit = UINT64_MAX;
  for (const char* path :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    std::ifstream file(path);
    uint64_t bytes = 0;
    if (file >> bytes) limit = std::min(limit, bytes);
  }
  return limit;
}

// Of a cgroup's limit, what it does not hold but as pages of files, which it gives back. UINT64_MAX
// where there is no limit.
uint64_t cgroup_available_memory() {
  const uint64_t limit = cgroup_memory_limit();
  std::ifstream current("/sys/fs/cgroup/memory.current"), stat("/sys/fs/cgroup/memory.stat");
  uint64_t used = 0, cached = 0;
  if (limit == UINT64_MAX || !(current >> used)) return limit;
  std::string key;
  for (uint64_t value = 0; stat >> key >> value;) {
    if (key == "inactive_file" || key == "active_file") cached += value;
  }
  const uint64_t held = used - std::min(used, cached);
  return limit - std::min(limit, held);
}

// Sums the words of a range, so that every cache line is read. Eight sums and a prefetch some pages
// ahead keep enough loads in flight, as the kernels that read weights do.
uint64_t sum_words(std::span<const std::byte> bytes) {
  uint64_t sums[8] = {};
  const size_t words = bytes.size() / 64 * 8;
  for (size_t i = 0; i < words; i += 8) {
    __builtin_prefetch(bytes.data() + i * 8 + kPrefetchBytes);
    uint64_t line[8];
    std::memcpy(line, bytes.data() + i * 8, sizeof(line));
    for (int j = 0; j < 8; ++j) sums[j] += line[j];
  }
  uint64_t total = 0;
  for (const uint64_t sum : sums) total += sum;
  return total;
}

// Distinct contents, so that no layer below can store the chunks once.
void stamp(std::span<std::byte> chunk, uint64_t begin) {
  for (uint64_t i = 0; i < chunk.size(); i += 512) {
    const uint64_t value = (begin + i) * 0x9E3779B97F4A7C15u;
    std::memcpy(chunk.data() + i, &value, sizeof(value));
  }
}

}  // namespace

HostFacts read_host_facts() {
  HostFacts facts;
  facts.cpu = read_cpu_topology();
  facts.isa = cpu_isa();
  facts.memory_bytes = std::min(meminfo_bytes("MemTotal"), cgroup_memory_limit());
  facts.available_memory_bytes =
      std::min({meminfo_bytes("MemAvailable"), facts.memory_bytes, cgroup_available_memory()});
  return facts;
}

double measure_read_bandwidth(ThreadPool& pool, std::span<const std::byte> bytes) {
  if (bytes.empty()) return 0;
  std::vector<uint64_t> sums(static_cast<size_t>(pool.thread_count()) * 8);  // a cache line each
  double best = 0;
  for (int pass = 0; pass < 4; ++pass) {
    const Stopwatch clock;
    pool.run([&](int thread) {
      const auto share = bytes.size() / static_cast<size_t>(pool.thread_count());
      sums[static_cast<size_t>(thread) * 8] =
          sum_words(bytes.subspan(share * static_cast<size_t>(thread), share));
    });
    const double rate = static_cast<double>(bytes.size()) / clock.seconds();
    if (pass > 0) best = std::max(best, rate);  // the first pass touches pages
  }
  volatile uint64_t used = sums[0];  // the sums must be computed
  (void)used;
  return best;
}

Result<double> measure_disk_read(const std::filesystem::path& directory, uint64_t file_bytes) {
  std::error_code unknown;
  if (!std::filesystem::is_directory(directory, unknown)) {
    return fail("{}: no directory", directory.string());
  }
  const auto file = TRY(create_spill_file(directory, file_bytes, {}));
  HostBuffer memory = TRY(HostBuffer::create(kDiskChunks * kDiskChunk, "the measurement"));
  std::fill(memory.bytes().begin(), memory.bytes().end(), std::byte{0x5A});
  const uint64_t count = file_bytes / kDiskChunk;
  // Chunk after chunk through a few places in turn, as weights are read.
  std::array<DiskQueue::Ticket, kDiskChunks> tickets = {};
  Stopwatch clock;
  for (const bool write : {true, false}) {
    clock.restart();
    for (uint64_t i = 0; i < count + kDiskChunks; ++i) {
      DiskQueue::Ticket& ticket = tickets[i % kDiskChunks];
      if (ticket != 0) TRY(file->wait(std::exchange(ticket, 0)));
      if (i >= count) continue;
      const auto chunk = memory.bytes().subspan(i % kDiskChunks * kDiskChunk, kDiskChunk);
      if (write) stamp(chunk, i * kDiskChunk);
      ticket = write ? file->write(i * kDiskChunk, chunk) : file->read(i * kDiskChunk, chunk);
    }
  }
  return static_cast<double>(count * kDiskChunk) / clock.seconds();
}

}  // namespace shoehorn
