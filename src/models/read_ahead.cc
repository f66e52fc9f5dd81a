#include "models/read_ahead.h"

#include <algorithm>
#include <system_error>
#include <utility>

#include "base/log.h"

namespace shoehorn {
namespace {

// Asked for at a time, and at most ahead of the reader: pages that wait are memory, though
// nobody's.
constexpr uint64_t kPieceBytes = uint64_t{4} << 20;
constexpr uint64_t kAheadBytes = uint64_t{256} << 20;

}  // namespace

ReadAhead::ReadAhead(const Checkpoint& checkpoint, std::vector<const StoredTensor*> tensors)
    : checkpoint_(checkpoint), tensors_(std::move(tensors)) {
  try {
    thread_ = std::thread([this] { ask(); });
  } catch (const std::system_error& error) {
    log_warning("no thread to read ahead with: {}", error.what());  // slower, and no worse
  }
}

ReadAhead::~ReadAhead() {
  {
    const std::scoped_lock lock(mutex_);
    ending_ = true;
  }
  changed_.notify_one();
  if (thread_.joinable()) thread_.join();
}

void ReadAhead::done(uint64_t bytes) {
  {
    const std::scoped_lock lock(mutex_);
    done_bytes_ += bytes;
  }
  changed_.notify_one();
}

bool ReadAhead::wait_for_turn(uint64_t asked_bytes) {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return ending_ || asked_bytes < done_bytes_ + kAheadBytes; });
  return !ending_;
}

void ReadAhead::ask() {
  uint64_t asked = 0;
  for (const StoredTensor* tensor : tensors_) {
    for (uint64_t begin = 0; begin < tensor->bytes.size(); begin += kPieceBytes) {
      if (!wait_for_turn(asked)) return;
      const uint64_t bytes = std::min<uint64_t>(kPieceBytes, tensor->bytes.size() - begin);
      checkpoint_.will_need(*tensor, tensor->bytes.subspan(begin, bytes));
      asked += bytes;
    }
  }
}

}  // namespace shoehorn
