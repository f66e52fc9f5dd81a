#include "plan/hardware.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <vector>

#include "base/clock.h"

namespace shoehorn {
namespace {

constexpr size_t kPrefetchBytes = 4096;
constexpr uint64_t kDiskChunk = uint64_t{4} << 20;

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

struct TemporaryFile {
  std::string path;
  int fd = -1;
  ~TemporaryFile() {
    if (fd < 0) return;
    ::close(fd);
    ::unlink(path.c_str());
  }
};

Result<void> write_chunks(const TemporaryFile& file, std::byte* chunk, uint64_t file_bytes) {
  for (uint64_t done = 0; done < file_bytes; done += kDiskChunk) {
    // Distinct contents, so that no layer below can store the chunks once.
    for (uint64_t i = 0; i < kDiskChunk; i += 512) {
      const uint64_t stamp = (done + i) * 0x9E3779B97F4A7C15u;
      std::memcpy(chunk + i, &stamp, sizeof(stamp));
    }
    if (::write(file.fd, chunk, kDiskChunk) != static_cast<ssize_t>(kDiskChunk)) {
      return fail("{}: cannot write: {}", file.path, std::strerror(errno));
    }
  }
  if (::fsync(file.fd) != 0) return fail("{}: {}", file.path, std::strerror(errno));
  return {};
}

}  // namespace

HostFacts read_host_facts() {
  HostFacts facts;
  facts.cpu = read_cpu_topology();
  facts.isa = cpu_isa();
  facts.memory_bytes = std::min(meminfo_bytes("MemTotal"), cgroup_memory_limit());
  facts.available_memory_bytes = std::min(meminfo_bytes("MemAvailable"), facts.memory_bytes);
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
  TemporaryFile file{.path = (directory / "shoehorn-disk-XXXXXX").string()};
  file.fd = ::mkstemp(file.path.data());
  if (file.fd < 0) return fail("{}: cannot write: {}", directory.string(), std::strerror(errno));
  const std::unique_ptr<std::byte, decltype(&std::free)> chunk(
      static_cast<std::byte*>(std::aligned_alloc(4096, kDiskChunk)), &std::free);
  std::memset(chunk.get(), 0x5A, kDiskChunk);
  TRY(write_chunks(file, chunk.get(), file_bytes));

  // Past the page cache where the file system can; elsewhere at least its pages are dropped first.
  ::posix_fadvise(file.fd, 0, 0, POSIX_FADV_DONTNEED);
  const int flags = ::fcntl(file.fd, F_GETFL);
  ::fcntl(file.fd, F_SETFL, flags | O_DIRECT);
  const Stopwatch clock;
  for (uint64_t done = 0; done < file_bytes; done += kDiskChunk) {
    if (::pread(file.fd, chunk.get(), kDiskChunk, static_cast<off_t>(done)) < 0) {
      return fail("{}: cannot read: {}", file.path, std::strerror(errno));
    }
  }
  return static_cast<double>(file_bytes) / clock.seconds();
}

}  // namespace shoehorn
