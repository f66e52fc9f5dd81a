// HostBuffer: one run of host memory, aligned for every kernel (2 MiB), zero until written. The
// kernel gives pages on first touch, so a large reservation costs nothing until it is used.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"

namespace shoehorn {

class HostBuffer {
 public:
  HostBuffer() = default;
  // `purpose` names it in errors: "weights". Errors: the system refuses that much address space.
  static Result<HostBuffer> create(uint64_t size_bytes, const char* purpose);

  HostBuffer(HostBuffer&& other) noexcept;
  HostBuffer& operator=(HostBuffer&& other) noexcept;
  ~HostBuffer();

  std::byte* data() const { return data_; }
  uint64_t size_bytes() const { return size_bytes_; }
  std::span<std::byte> bytes() const { return {data_, size_bytes_}; }

 private:
  void* mapping_ = nullptr;
  uint64_t mapping_bytes_ = 0;
  std::byte* data_ = nullptr;
  uint64_t size_bytes_ = 0;
};

// Cuts a buffer into pieces one after the other, each 256-byte aligned; planned before the first
// step, never freed singly. Run it once over no buffer (data null) to learn the size, then again
// over the buffer to place the pieces.
class Arena {
 public:
  explicit Arena(std::span<std::byte> bytes = {}) : bytes_(bytes) {}

  // Null while planning (no buffer). CHECK: the buffer is large enough.
  std::byte* take(uint64_t size_bytes);
  template <typename T>
  T* take_array(int64_t count) {
    return reinterpret_cast<T*>(take(static_cast<uint64_t>(count) * sizeof(T)));
  }

  // Pieces taken after a mark may share memory with pieces taken after the next rewind to it:
  // buffers of phases that never live together.
  uint64_t mark() const { return used_bytes_; }
  void rewind(uint64_t mark) { used_bytes_ = mark; }

  uint64_t peak_bytes() const { return peak_bytes_; }

 private:
  std::span<std::byte> bytes_;
  uint64_t used_bytes_ = 0;
  uint64_t peak_bytes_ = 0;
};

}  // namespace shoehorn
