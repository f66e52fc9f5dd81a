// Bytes a second that a disk gives up, by who asks: DiskQueue with io_uring and with threads, past
// the page cache and through it, beside plain reads one after the other (what `dd iflag=direct`
// does).
//
//   disk_bench DIRECTORY [GIBIBYTES]    writes a file of that size there, reads it, leaves nothing

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <vector>

#include "base/clock.h"
#include "base/random.h"
#include "memory/host_buffer.h"
#include "memory/spill_file.h"

namespace shoehorn {
namespace {

constexpr uint64_t kMiB = uint64_t{1} << 20;

void print(const char* what, uint64_t bytes, double seconds) {
  std::printf("%-44s %6.2f GB/s\n", what, static_cast<double>(bytes) / seconds / 1e9);
}

// Blocks of 64 MiB through a ring of four, as layers come.
Result<double> stream(DiskQueue& file, uint64_t file_bytes, bool write, HostBuffer& memory) {
  constexpr uint64_t kBlock = 64 * kMiB;
  constexpr size_t kBlocks = 4;
  std::vector<DiskQueue::Ticket> tickets;
  const Stopwatch clock;
  for (uint64_t i = 0; i < file_bytes / kBlock; ++i) {
    if (i >= kBlocks) TRY(file.wait(tickets[i - kBlocks]));
    const std::span<std::byte> block = memory.bytes().subspan(i % kBlocks * kBlock, kBlock);
    tickets.push_back(write ? file.write(i * kBlock, block) : file.read(i * kBlock, block));
  }
  const size_t left = std::min(kBlocks, tickets.size());
  for (size_t i = tickets.size() - left; i < tickets.size(); ++i) TRY(file.wait(tickets[i]));
  return clock.seconds();
}

Result<double> one_by_one(const std::string& path, uint64_t file_bytes, uint64_t request, int flags,
                          HostBuffer& memory) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | flags);
  if (fd < 0) return fail("{}: {}", path, std::strerror(errno));
  ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
  const Stopwatch clock;
  ssize_t got = 0;
  for (uint64_t at = 0; at < file_bytes && got >= 0; at += request) {
    got = ::pread(fd, memory.data(), request, static_cast<off_t>(at));
  }
  const double seconds = clock.seconds();
  ::close(fd);
  if (got < 0) return fail("{}: cannot read", path);
  return seconds;
}

struct NamedFile {
  std::string path;
  ~NamedFile() { ::unlink(path.c_str()); }
};

Result<void> measure(const std::string& directory, uint64_t file_bytes) {
  HostBuffer memory = TRY(HostBuffer::create(256 * kMiB, "the measurement"));
  Random random(1);
  auto* words = reinterpret_cast<uint64_t*>(memory.data());
  for (uint64_t i = 0; i < memory.size_bytes() / 8; ++i) words[i] = random.below(UINT64_MAX);

  // A named file: its pages can be dropped between measurements.
  const NamedFile file{directory + "/shoehorn-disk-bench"};
  const int fd = ::open(file.path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return fail("{}: {}", file.path, std::strerror(errno));
  const int reserved = ::posix_fallocate(fd, 0, static_cast<off_t>(file_bytes));
  if (reserved != 0) return fail("{}: {}", file.path, std::strerror(reserved));
  {
    const auto queue = TRY(DiskQueue::open(file.path, {.writable = true}));
    print("written, DiskQueue", file_bytes, TRY(stream(*queue, file_bytes, true, memory)));
  }
  ::fsync(fd);
  for (const uint64_t request : {kMiB, 4 * kMiB}) {
    print(fmt::format("pread, direct, {} MiB one by one", request / kMiB).c_str(), file_bytes,
          TRY(one_by_one(file.path, file_bytes, request, O_DIRECT, memory)));
  }
  print("pread, page cache, 1 MiB one by one", file_bytes,
        TRY(one_by_one(file.path, file_bytes, kMiB, 0, memory)));
  for (const auto backend : {DiskQueue::Backend::io_uring, DiskQueue::Backend::threads}) {
    for (const bool direct : {true, false}) {
      ::posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
      const auto queue = DiskQueue::open(file.path, {.direct = direct, .backend = backend});
      if (!queue.ok()) {
        std::printf("%s\n", queue.error().message.c_str());
        continue;
      }
      const double seconds = TRY(stream(**queue, file_bytes, false, memory));
      print(fmt::format("DiskQueue, {}, {}", (*queue)->backend_name(),
                        (*queue)->direct() ? "direct" : "page cache")
                .c_str(),
            file_bytes, seconds);
    }
  }
  ::close(fd);
  return {};
}

}  // namespace
}  // namespace shoehorn

int main(int argc, char** argv) {
  const uint64_t gibibytes = argc > 2 ? std::strtoull(argv[2], nullptr, 10) : 4;
  const shoehorn::Result<void> measured =
      shoehorn::measure(argc > 1 ? argv[1] : ".", gibibytes << 30);
  if (measured.ok()) return 0;
  std::fprintf(stderr, "error: %s\n", measured.error().message.c_str());
  return 1;
}
