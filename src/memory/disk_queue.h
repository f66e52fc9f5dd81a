// DiskQueue: reads and writes of one file past the page cache, many at a time.
//
//   const DiskQueue::Ticket ticket = queue.read(offset, target);   // starts, does not wait
//   ... compute ...
//   TRY(queue.wait(ticket));                                       // target holds the bytes
//
// A transfer is cut into requests of 4 MiB, of which up to 64 are under way at a time: a fast disk
// needs dozens to reach its rate. Runs whose offset, address and length are multiples of 4096 go
// past the page cache (O_DIRECT); others, and all on file systems that refuse it, through it. One
// thread at a time uses a queue; it moves on while that thread is in one of its functions.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>

#include "memory/disk_backend.h"

namespace shoehorn {

class DiskQueue {
 public:
  enum class Backend : uint8_t { automatic, io_uring, threads };
  struct Options {
    bool writable = false;
    bool direct = true;                    // where offsets and the file system allow it
    Backend backend = Backend::automatic;  // io_uring where the kernel lets us
  };
  static constexpr uint64_t kAlignment = 4096;

  // Errors: the file cannot be opened; io_uring was asked for and there is none.
  static Result<std::unique_ptr<DiskQueue>> open(const std::filesystem::path& path,
                                                 const Options& options);
  ~DiskQueue();  // when all that was started is finished
  DiskQueue(const DiskQueue&) = delete;
  DiskQueue& operator=(const DiskQueue&) = delete;

  using Ticket = uint64_t;
  // The memory stays in place until the ticket was waited for.
  Ticket read(uint64_t offset, std::span<std::byte> target);
  Ticket write(uint64_t offset, std::span<const std::byte> source);

  // Takes what is finished and starts what waits.
  void move_on() { take_finished(false); }
  // True: wait() returns at once.
  bool finished(Ticket ticket);
  // Once for each ticket. Errors: the disk failed; the file ends before the bytes asked for. They
  // name the file, the offset, what was expected and what was found.
  Result<void> wait(Ticket ticket);

  const std::string& name() const { return name_; }
  const char* backend_name() const { return backend_name_; }
  bool direct() const { return direct_; }

 private:
  DiskQueue() = default;
  struct Transfer {
    int64_t requests = 0;  // not finished
    std::string error;     // the first one's
  };
  Ticket start(bool write, uint64_t offset, std::byte* data, uint64_t bytes);
  void add_request(DiskRequest request);
  void submit();
  void take_finished(bool wait);
  void finish(DiskRequest& request);
  std::string describe_failure(const DiskRequest& request) const;

  std::string name_;
  int fd_ = -1, direct_fd_ = -1;
  bool direct_ = false;  // the file system takes it
  std::unique_ptr<DiskBackend> backend_;
  const char* backend_name_ = "";
  std::deque<std::unique_ptr<DiskRequest>> waiting_;  // not started yet
  std::unordered_map<DiskRequest*, std::unique_ptr<DiskRequest>> under_way_;
  std::unordered_map<Ticket, Transfer> transfers_;
  Ticket next_ticket_ = 1;
};

}  // namespace shoehorn
