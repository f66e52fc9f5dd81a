#include "memory/spill_file.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "base/bytes.h"
#include "base/cache_directory.h"
#include "base/descriptor.h"
#include "base/fault.h"
#include "base/log.h"

namespace shoehorn {
namespace {

// Removes the name at the end of the scope; the file stays for as long as it is open.
struct TemporaryName {
  std::string path;
  ~TemporaryName() { ::unlink(path.c_str()); }
};

Error too_little_room(const std::filesystem::path& directory, uint64_t needed, uint64_t free) {
  return fail("{}: weights that RAM does not hold: expected {} free on the disk, found {}",
              directory.string(), format_bytes(needed), format_bytes(free));
}

Result<void> reserve(int fd, const std::filesystem::path& directory, uint64_t size_bytes) {
  std::error_code unknown;
  const std::filesystem::space_info space = std::filesystem::space(directory, unknown);
  const uint64_t free = unknown ? 0 : space.available;
  if (!unknown && free < size_bytes) return too_little_room(directory, size_bytes, free);
  const int error = fault(FaultPoint::disk_write)
                        ? ENOSPC
                        : ::posix_fallocate(fd, 0, static_cast<off_t>(size_bytes));
  if (error == ENOSPC) return too_little_room(directory, size_bytes, free);
  if (error != 0) {
    return fail("{}: cannot reserve {} on the disk: {}", directory.string(),
                format_bytes(size_bytes), std::strerror(error));
  }
  return {};
}

void warn_of_memory(int fd, const std::filesystem::path& directory) {
  struct statfs facts;
  if (::fstatfs(fd, &facts) != 0) return;
  if (facts.f_type == TMPFS_MAGIC || facts.f_type == RAMFS_MAGIC) {
    log_warning("{}: a file system in memory: weights on it take RAM all the same",
                directory.string());
  }
}

}  // namespace

Result<std::unique_ptr<DiskQueue>> create_spill_file(const std::filesystem::path& directory,
                                                     uint64_t size_bytes,
                                                     DiskQueue::Options options) {
  std::error_code error;
  std::filesystem::create_directories(directory, error);
  if (error) return fail("{}: cannot make it: {}", directory.string(), error.message());
  std::string path = (directory / "weights-XXXXXX").string();
  const Descriptor file{::mkstemp(path.data())};
  if (file.fd < 0) return fail("{}: cannot write: {}", directory.string(), std::strerror(errno));
  const TemporaryName name{path};
  warn_of_memory(file.fd, directory);
  TRY(reserve(file.fd, directory, size_bytes));
  options.writable = true;
  return DiskQueue::open(path, options);
}

std::filesystem::path default_spill_directory() {
  return cache_directory() / "spill";
}

}  // namespace shoehorn
