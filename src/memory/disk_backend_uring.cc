#include <liburing.h>

#include <cerrno>
#include <cstring>

#include "memory/disk_backend.h"

namespace shoehorn {
namespace {

class UringBackend final : public DiskBackend {
 public:
  ~UringBackend() override {
    if (open_) io_uring_queue_exit(&ring_);
  }

  Result<void> open(int depth) {
    depth_ = depth;
    const int status = io_uring_queue_init(static_cast<unsigned>(depth), &ring_, 0);
    if (status < 0) return fail("io_uring: {}", std::strerror(-status));
    open_ = true;
    return {};
  }

  int depth() const override { return depth_; }

  void start(DiskRequest* request) override {
    io_uring_sqe* entry = io_uring_get_sqe(&ring_);
    CHECK(entry != nullptr, "more than {} requests under way", depth_);
    if (request->write) {
      io_uring_prep_writev(entry, request->fd, &request->memory, 1, request->offset);
    } else {
      io_uring_prep_readv(entry, request->fd, &request->memory, 1, request->offset);
    }
    io_uring_sqe_set_data(entry, request);
    unflushed_ = true;
  }

  void flush() override {
    if (!unflushed_) return;
    // EAGAIN and EBUSY: short of memory for the moment; finished() submits again.
    const int status = io_uring_submit(&ring_);
    CHECK(status >= 0 || status == -EAGAIN || status == -EBUSY || status == -EINTR,
          "io_uring: submitting: {}", std::strerror(-status));
    unflushed_ = io_uring_sq_ready(&ring_) > 0;
  }

  DiskRequest* finished(bool wait) override {
    flush();
    io_uring_cqe* entry = nullptr;
    int status = io_uring_peek_cqe(&ring_, &entry);
    while (entry == nullptr && wait) {
      status = unflushed_ ? io_uring_submit_and_wait(&ring_, 1) : io_uring_wait_cqe(&ring_, &entry);
      CHECK(status >= 0 || status == -EAGAIN || status == -EBUSY || status == -EINTR,
            "io_uring: waiting: {}", std::strerror(-status));
      unflushed_ = io_uring_sq_ready(&ring_) > 0;
      if (entry == nullptr) io_uring_peek_cqe(&ring_, &entry);
    }
    if (entry == nullptr) return nullptr;
    auto* request = static_cast<DiskRequest*>(io_uring_cqe_get_data(entry));
    request->result = entry->res;
    io_uring_cqe_seen(&ring_, entry);
    return request;
  }

 private:
  io_uring ring_ = {};
  int depth_ = 0;
  bool open_ = false;
  bool unflushed_ = false;
};

}  // namespace

Result<std::unique_ptr<DiskBackend>> make_uring_backend(int depth) {
  auto backend = std::make_unique<UringBackend>();
  TRY(backend->open(depth));
  return std::unique_ptr<DiskBackend>(std::move(backend));
}

}  // namespace shoehorn
