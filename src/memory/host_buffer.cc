#include "memory/host_buffer.h"

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "base/bytes.h"
#include "base/check.h"
#include "base/fault.h"

namespace shoehorn {
namespace {

constexpr uint64_t kHugePage = uint64_t{2} << 20;
constexpr uint64_t kPieceAlignment = 256;

}  // namespace

Result<HostBuffer> HostBuffer::create(uint64_t size_bytes, const char* purpose) {
  HostBuffer buffer;
  if (size_bytes == 0) return buffer;
  // One huge page more than asked for, so that an aligned start lies inside.
  buffer.mapping_bytes_ = round_up(size_bytes, kHugePage) + kHugePage;
  void* mapping = MAP_FAILED;
  errno = ENOMEM;
  if (!fault(FaultPoint::host_allocation)) {
    mapping = ::mmap(nullptr, buffer.mapping_bytes_, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  }
  if (mapping == MAP_FAILED) {
    return fail("host memory for {}: cannot reserve {}: {}", purpose, format_bytes(size_bytes),
                std::strerror(errno));
  }
  buffer.mapping_ = mapping;
  buffer.data_ =
      reinterpret_cast<std::byte*>(round_up(reinterpret_cast<uint64_t>(mapping), kHugePage));
  buffer.size_bytes_ = size_bytes;
  // Small buffers stay on small pages: rounding each up to 2 MiB would cost more than it saves.
  if (size_bytes >= 4 * kHugePage) ::madvise(buffer.data_, size_bytes, MADV_HUGEPAGE);
  return buffer;
}

HostBuffer::HostBuffer(HostBuffer&& other) noexcept
    : mapping_(std::exchange(other.mapping_, nullptr)),
      mapping_bytes_(std::exchange(other.mapping_bytes_, 0)),
      data_(std::exchange(other.data_, nullptr)),
      size_bytes_(std::exchange(other.size_bytes_, 0)) {}

HostBuffer& HostBuffer::operator=(HostBuffer&& other) noexcept {
  std::swap(mapping_, other.mapping_);
  std::swap(mapping_bytes_, other.mapping_bytes_);
  std::swap(data_, other.data_);
  std::swap(size_bytes_, other.size_bytes_);
  return *this;
}

HostBuffer::~HostBuffer() {
  if (mapping_ != nullptr) ::munmap(mapping_, mapping_bytes_);
}

std::byte* Arena::take(uint64_t size_bytes) {
  const uint64_t begin = used_bytes_;
  used_bytes_ = round_up(begin + size_bytes, kPieceAlignment);
  peak_bytes_ = std::max(peak_bytes_, used_bytes_);
  if (bytes_.data() == nullptr) return nullptr;
  CHECK(used_bytes_ <= bytes_.size(), "arena of {} bytes, {} taken", bytes_.size(), used_bytes_);
  return bytes_.data() + begin;
}

}  // namespace shoehorn
