#include "base/output_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/descriptor.h"
#include "base/fault.h"

namespace shoehorn {
namespace {

// Takes the room now: a page that finds none when it is written would end the process.
Result<void> reserve(int fd, uint64_t size_bytes, const std::filesystem::path& path) {
  const auto size = static_cast<off_t>(size_bytes);
  if (::ftruncate(fd, size) != 0) return fail("{}: {}", path.string(), std::strerror(errno));
  int result = -1;
  errno = ENOSPC;
  if (!fault(FaultPoint::disk_write)) {
    do {
      result = ::fallocate(fd, 0, 0, size);
    } while (result != 0 && errno == EINTR);
  }
  if (result == 0) return {};
  const int error = errno;
  std::error_code unknown;
  const std::filesystem::space_info space =
      std::filesystem::space(path.parent_path().empty() ? "." : path.parent_path(), unknown);
  // File systems that cannot reserve say at least what is free.
  if (error == EOPNOTSUPP && !unknown && space.available >= size_bytes) return {};
  if (error == ENOSPC || error == EOPNOTSUPP) {
    return fail("{}: expected {} of free space, found {}", path.string(), format_bytes(size_bytes),
                unknown ? "none" : format_bytes(space.available));
  }
  return fail("{}: cannot reserve {}: {}", path.string(), format_bytes(size_bytes),
              std::strerror(error));
}

}  // namespace

Result<OutputFile> OutputFile::create(const std::filesystem::path& path, uint64_t size_bytes) {
  CHECK(size_bytes > 0, "{}: an empty file", path.string());
  OutputFile file;
  file.path_ = path;
  std::filesystem::path part = path;
  part += ".part";
  const Descriptor descriptor{::open(part.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666)};
  if (descriptor.fd < 0) return fail("{}: cannot write: {}", part.string(), std::strerror(errno));
  file.part_ = part;  // from here on ours to remove
  TRY(reserve(descriptor.fd, size_bytes, part));
  void* data = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, descriptor.fd, 0);
  if (data == MAP_FAILED) return fail("{}: cannot map: {}", part.string(), std::strerror(errno));
  file.data_ = static_cast<std::byte*>(data);
  file.size_ = size_bytes;
  return file;
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::exchange(other.path_, {})),
      part_(std::exchange(other.part_, {})),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

OutputFile& OutputFile::operator=(OutputFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(part_, other.part_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

OutputFile::~OutputFile() {
  if (data_ != nullptr) ::munmap(data_, size_);
  if (!part_.empty()) ::unlink(part_.c_str());
}

void OutputFile::written(std::span<const std::byte> range) const {
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t begin = (static_cast<size_t>(range.data() - data_) + page - 1) / page * page;
  const size_t end = static_cast<size_t>(range.data() + range.size() - data_) / page * page;
  if (begin < end) ::madvise(data_ + begin, end - begin, MADV_DONTNEED);
}

Result<void> OutputFile::commit() {
  if (::munmap(std::exchange(data_, nullptr), std::exchange(size_, 0)) != 0) {
    return fail("{}: {}", part_.string(), std::strerror(errno));
  }
  errno = EIO;
  if (fault(FaultPoint::disk_write) || ::rename(part_.c_str(), path_.c_str()) != 0) {
    return fail("{}: cannot rename to {}: {}", part_.string(), path_.string(),
                std::strerror(errno));
  }
  part_.clear();
  return {};
}

}  // namespace shoehorn
