// ReadAhead: asks the kernel for the tensors that are repacked next, so that the disk works while
// the threads do. Without it, pages are read when a thread first touches them: a few at a time, and
// out of order where a matrix is cut by columns.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <thread>
#include <vector>

#include "formats/checkpoint.h"

namespace shoehorn {

class ReadAhead {
 public:
  // The tensors in the order in which they are read; they and the checkpoint outlive this.
  ReadAhead(const Checkpoint& checkpoint, std::vector<const StoredTensor*> tensors);
  ~ReadAhead();
  ReadAhead(const ReadAhead&) = delete;
  ReadAhead& operator=(const ReadAhead&) = delete;

  void done(uint64_t bytes);  // so many more were read

 private:
  void ask();
  bool wait_for_turn(uint64_t asked_bytes);  // false: the end

  const Checkpoint& checkpoint_;
  const std::vector<const StoredTensor*> tensors_;
  std::mutex mutex_;
  std::condition_variable changed_;
  uint64_t done_bytes_ = 0;
  bool ending_ = false;
  std::thread thread_;
};

}  // namespace shoehorn
