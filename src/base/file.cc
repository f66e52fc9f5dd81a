#include "base/file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/descriptor.h"
#include "base/fault.h"

namespace shoehorn {
namespace {

int open_for_reading(const std::filesystem::path& path) {
  errno = EMFILE;
  return fault(FaultPoint::file_open) ? -1 : ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
}

void* map_for_reading(int fd, size_t size) {
  errno = ENOMEM;
  if (fault(FaultPoint::file_map)) return MAP_FAILED;
  return ::mmap(nullptr, size, PROT_READ, MAP_PRIVATE, fd, 0);
}

ssize_t read_some(int fd, char* to, size_t size) {
  errno = EIO;
  return fault(FaultPoint::file_read) ? -1 : ::read(fd, to, size);
}

// Maps an empty file over the second half: reading there raises SIGBUS, as it does where a file
// became shorter or its disk fails.
void take_second_half_away(std::byte* data, size_t size) {
  const Descriptor empty{::memfd_create("empty", MFD_CLOEXEC)};
  const auto page = static_cast<size_t>(::sysconf(_SC_PAGESIZE));
  const size_t half = size / 2 / page * page;
  ::mmap(data + half, size - half, PROT_READ, MAP_PRIVATE | MAP_FIXED, empty.fd, 0);
}

Result<uint64_t> regular_file_size(int fd, const std::filesystem::path& path) {
  struct stat status;
  if (::fstat(fd, &status) != 0) return fail("{}: {}", path.string(), std::strerror(errno));
  if (!S_ISREG(status.st_mode)) return fail("{}: not a regular file", path.string());
  return static_cast<uint64_t>(status.st_size);
}

// The whole pages inside [range), as madvise needs them; empty where there is none.
std::span<std::byte> whole_pages(std::span<const std::byte> range) {
  const uintptr_t page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const uintptr_t begin = (reinterpret_cast<uintptr_t>(range.data()) + page - 1) / page * page;
  const uintptr_t end = (reinterpret_cast<uintptr_t>(range.data()) + range.size()) / page * page;
  if (end <= begin) return {};
  return {reinterpret_cast<std::byte*>(begin), end - begin};
}

}  // namespace

Result<MappedFile> MappedFile::open(const std::filesystem::path& path) {
  const Descriptor file{open_for_reading(path)};
  if (file.fd < 0) return fail("{}: {}", path.string(), std::strerror(errno));
  MappedFile mapped;
  mapped.path_ = path;
  mapped.size_ = TRY(regular_file_size(file.fd, path));
  if (mapped.size_ == 0) return mapped;
  void* data = map_for_reading(file.fd, mapped.size_);
  if (data == MAP_FAILED) return fail("{}: cannot map: {}", path.string(), std::strerror(errno));
  mapped.data_ = static_cast<const std::byte*>(data);
  if (fault(FaultPoint::file_truncated)) {
    take_second_half_away(static_cast<std::byte*>(data), mapped.size_);
  }
  return mapped;
}

MappedFile::MappedFile(MappedFile&& other) noexcept
    : path_(std::move(other.path_)),
      data_(std::exchange(other.data_, nullptr)),
      size_(std::exchange(other.size_, 0)) {}

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(path_, other.path_);
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  return *this;
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

void MappedFile::will_need(std::span<const std::byte> range) const {
  // Linux cuts each advice to what it reads ahead for one reader, 128 KiB at the least.
  constexpr size_t kAdvice = size_t{128} << 10;
  for (std::span<std::byte> pages = whole_pages(range); !pages.empty();) {
    const std::span<std::byte> some = pages.first(std::min(kAdvice, pages.size()));
    ::madvise(some.data(), some.size(), MADV_WILLNEED);
    pages = pages.subspan(some.size());
  }
}

void MappedFile::release(std::span<const std::byte> range) const {
  const std::span<std::byte> pages = whole_pages(range);
  if (!pages.empty()) ::madvise(pages.data(), pages.size(), MADV_DONTNEED);
}

Result<std::string> read_text_file(const std::filesystem::path& path, uint64_t limit_bytes) {
  const Descriptor file{open_for_reading(path)};
  if (file.fd < 0) return fail("{}: {}", path.string(), std::strerror(errno));
  const uint64_t size = TRY(regular_file_size(file.fd, path));
  if (size > limit_bytes) {
    return fail("{}: expected at most {} bytes, found {}", path.string(), limit_bytes, size);
  }
  // Files of /proc and /sys state no size, or a wrong one: read until the end, whatever was stated.
  std::string text;
  size_t done = 0;
  while (true) {
    if (done == text.size()) text.resize(std::max<size_t>(done * 2, size + 4096));
    const ssize_t got = read_some(file.fd, text.data() + done, text.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return fail("{}: {}", path.string(), std::strerror(errno));
    if (got == 0) break;
    done += static_cast<size_t>(got);
    if (done > limit_bytes) {
      return fail("{}: expected at most {} bytes, found more", path.string(), limit_bytes);
    }
  }
  text.resize(done);
  return text;
}

}  // namespace shoehorn
