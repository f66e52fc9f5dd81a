#include <unistd.h>

#include <cerrno>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "memory/disk_backend.h"

namespace shoehorn {
namespace {

class ThreadBackend final : public DiskBackend {
 public:
  Result<void> open(int threads) {
    try {
      for (int i = 0; i < threads; ++i) threads_.emplace_back([this] { work(); });
    } catch (const std::system_error& error) {
      if (threads_.empty()) return fail("no thread to read a disk with: {}", error.what());
    }
    return {};
  }

  ~ThreadBackend() override {
    {
      const std::scoped_lock lock(mutex_);
      ending_ = true;
    }
    to_do_changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }

  int depth() const override { return static_cast<int>(threads_.size()); }

  void start(DiskRequest* request) override {
    {
      const std::scoped_lock lock(mutex_);
      to_do_.push_back(request);
    }
    to_do_changed_.notify_one();
  }

  void flush() override {}

  DiskRequest* finished(bool wait) override {
    std::unique_lock lock(mutex_);
    if (wait) done_changed_.wait(lock, [&] { return !done_.empty(); });
    if (done_.empty()) return nullptr;
    DiskRequest* request = done_.front();
    done_.pop_front();
    return request;
  }

 private:
  void work() {
    std::unique_lock lock(mutex_);
    for (;;) {
      to_do_changed_.wait(lock, [&] { return ending_ || !to_do_.empty(); });
      if (to_do_.empty()) return;
      DiskRequest* request = to_do_.front();
      to_do_.pop_front();
      lock.unlock();
      carry_out(*request);
      lock.lock();
      done_.push_back(request);
      done_changed_.notify_one();
    }
  }

  static void carry_out(DiskRequest& request) {
    const auto offset = static_cast<off_t>(request.offset);
    const iovec& memory = request.memory;
    request.result = request.write ? ::pwrite(request.fd, memory.iov_base, memory.iov_len, offset)
                                   : ::pread(request.fd, memory.iov_base, memory.iov_len, offset);
    if (request.result < 0) request.result = -errno;
  }

  std::mutex mutex_;
  std::condition_variable to_do_changed_, done_changed_;
  std::deque<DiskRequest*> to_do_, done_;
  bool ending_ = false;
  std::vector<std::thread> threads_;
};

}  // namespace

Result<std::unique_ptr<DiskBackend>> make_thread_backend(int threads) {
  auto backend = std::make_unique<ThreadBackend>();
  TRY(backend->open(threads));
  return std::unique_ptr<DiskBackend>(std::move(backend));
}

}  // namespace shoehorn
