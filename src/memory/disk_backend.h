// What carries out single reads and writes for a DiskQueue: io_uring, or threads that block in
// pread and pwrite where the kernel has no io_uring for us (containers often forbid it).
#pragma once

#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/result.h"

namespace shoehorn {

struct DiskRequest {
  int fd = -1;
  bool write = false;
  uint64_t offset = 0;
  iovec memory = {};   // one run
  int64_t result = 0;  // bytes, or a negative errno
  uint64_t ticket = 0;
};

class DiskBackend {
 public:
  virtual ~DiskBackend() = default;
  // Requests that may be under way at a time.
  virtual int depth() const = 0;
  // REQUIRES: fewer are under way. The request stays in place until it is finished.
  virtual void start(DiskRequest* request) = 0;
  // Those started since the last call really start.
  virtual void flush() = 0;
  // A finished one; none so far: null, or with `wait` the next to finish. REQUIRES for `wait`: one
  // is under way.
  virtual DiskRequest* finished(bool wait) = 0;
};

// Errors: the kernel has none, or none for us.
Result<std::unique_ptr<DiskBackend>> make_uring_backend(int depth);
// Errors: not even one thread can be had.
Result<std::unique_ptr<DiskBackend>> make_thread_backend(int threads);

}  // namespace shoehorn
