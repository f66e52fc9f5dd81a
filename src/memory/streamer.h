// Streamer: brings pieces of pinned host memory to the card ahead of the work that reads them.
//
// The walk over a model's layers is the same in every step, so what comes next is always known: a
// schedule of pieces, walked in a circle. Copies run on a stream of their own into a ring of slots,
// as far ahead as there are slots; the host never waits for one. A slot is filled again behind the
// last kernel that read it.
//
// A piece may end with bytes that a DiskRing brings. Those are copied once they are read: when the
// streamer is called next, or when the piece is acquired, which then waits for the disk.
//
//   streamer.follow(&schedule);                              // at the start of a step
//   const std::byte* piece = TRY(streamer.acquire(compute)); // `compute` waits for the copy
//   ... queue kernels that read piece ...
//   streamer.release(compute);                               // after them: oldest acquired first
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "memory/copy_observer.h"
#include "memory/disk_ring.h"

using cudaEvent_t = struct CUevent_st*;

namespace shoehorn {

class Streamer {
 public:
  struct Piece {
    const std::byte* host = nullptr;  // pinned
    uint64_t bytes = 0;               // at most a slot, with those from disk
    int64_t extent = -1;              // of the disk ring; -1: nothing is from disk
    uint64_t extent_offset = 0;       // in the extent
    uint64_t extent_bytes = 0;
    bool ends_extent = false;  // the last piece of the schedule that reads it
  };
  using Schedule = std::vector<Piece>;

  // ring: VRAM, cut into slots of slot_bytes each; it outlives the streamer.
  static Result<std::unique_ptr<Streamer>> create(std::span<std::byte> ring, uint64_t slot_bytes);
  ~Streamer();
  // Told of copies from here on; null: nobody is.
  void observe(CopyObserver* observer) { observer_ = observer; }
  // Where bytes from disk come from; its memory is pinned, and it outlives the streamer's use.
  void read_from(DiskRing* disk) { disk_ = disk; }
  Streamer(const Streamer&) = delete;
  Streamer& operator=(const Streamer&) = delete;

  // Pieces come in the order of `schedule` from its beginning on, in a circle. Copies already under
  // way for the same schedule go on; following another one drops them, and so does a step that was
  // given up before its end. The schedule outlives its use; null: none from here on. REQUIRES:
  // pieces that are still acquired are no longer read.
  void follow(const Schedule* schedule);

  // The next piece. REQUIRES: fewer pieces are acquired than there are slots. Errors: the disk.
  Result<const std::byte*> acquire(cudaStream_t compute);
  void release(cudaStream_t compute);

 private:
  struct Slot {
    std::byte* data = nullptr;
    cudaEvent_t arrived = nullptr;  // the copy is done
    cudaEvent_t read = nullptr;     // the last kernel that read it is done
  };
  // An extent whose last copy is queued: it leaves the ring when that is done.
  struct Leaving {
    int64_t extent = -1;
    cudaEvent_t copied = nullptr;
  };
  Streamer() = default;
  void fill();  // queues copies into every slot that may be filled
  void copy_next();
  Result<void> hold(int64_t extent);
  void let_go(bool wait);  // of extents that are copied
  void drop_disk();
  const Piece& next_piece() const { return (*schedule_)[next_copy_]; }
  bool is_held(const Piece& piece) const { return piece.extent < 0 || piece.extent == held_; }

  cudaStream_t stream_ = nullptr;
  std::vector<Slot> slots_;
  const Schedule* schedule_ = nullptr;
  size_t next_copy_ = 0;       // in the schedule
  size_t next_acquire_ = 0;    // in the schedule
  uint64_t first_slot_ = 0;    // the oldest slot in use; slots are used in turn
  uint64_t copied_slots_ = 0;  // of them, ahead or acquired
  uint64_t acquired_ = 0;
  CopyObserver* observer_ = nullptr;
  DiskRing* disk_ = nullptr;
  int64_t held_ = -1;  // the extent that is being copied
  const std::byte* held_bytes_ = nullptr;
  std::deque<Leaving> leaving_;
};

}  // namespace shoehorn
