// DiskRing: extents of a file that are wanted in the same order again and again, read ahead of whom
// they are for into a ring of host memory, as far as it has room.
//
//   const std::byte* bytes = TRY(ring.acquire(n));   // waits only if the disk lost the race
//   ... compute with them ...
//   ring.release(n);                                 // and later extents take the place
//
// A disk is slower than what computes, so a step's time is the bytes read over the disk's rate as
// long as the disk never idles: while one extent is in use, the next one must find room whatever
// lies where. A ring of three times the largest has it.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <span>
#include <vector>

#include "memory/disk_queue.h"

namespace shoehorn {

class DiskRing {
 public:
  struct Extent {
    uint64_t offset = 0;  // in the file
    uint64_t bytes = 0;
  };
  static constexpr int kExtents = 3;  // that a ring should hold

  // Extents and ring are multiples of DiskQueue::kAlignment, and no extent is larger than the ring.
  // `file` and `memory` outlive the ring.
  DiskRing(DiskQueue& file, std::vector<Extent> extents, std::span<std::byte> memory);
  ~DiskRing();
  DiskRing(const DiskRing&) = delete;
  DiskRing& operator=(const DiskRing&) = delete;

  int64_t extent_count() const { return static_cast<int64_t>(extents_.size()); }

  // Starts the reads that there is room for.
  void read_ahead();
  // Says that the next one acquired will be extent n. Reads under way go on where that was expected
  // anyway, and are dropped otherwise. REQUIRES: none is acquired, or n was expected.
  void expect(int64_t n);
  // acquire(n) will not wait.
  bool arrived(int64_t n);
  // Room for extent n was found: nothing need be released before acquire(n).
  bool started(int64_t n) const;
  // REQUIRES: room (started), or nothing is acquired; REQUIRES as for expect(). Errors: the disk
  // failed, and nothing is read ahead any more; another acquire() tries again.
  Result<const std::byte*> acquire(int64_t n);
  void release(int64_t n);

 private:
  enum class State : uint8_t { coming, acquired, released };
  struct Entry {
    int64_t extent = 0;
    uint64_t begin = 0, end = 0;  // in the ring
    DiskQueue::Ticket ticket = 0;
    State state = State::coming;
  };
  bool find_room(uint64_t bytes, uint64_t& begin) const;
  void drop();
  // The first entry that is not acquired yet; null: none.
  const Entry* next() const;

  DiskQueue& file_;
  const std::vector<Extent> extents_;
  const std::span<std::byte> memory_;
  std::deque<Entry> entries_;  // one behind the other in the ring; the first to be free first
  size_t acquired_ = 0;        // the first so many entries are, or were
  int64_t next_read_ = 0;      // extent
};

}  // namespace shoehorn
