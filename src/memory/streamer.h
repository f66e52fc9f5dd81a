// Streamer: brings pieces of pinned host memory to the card ahead of the work that reads them.
//
// The walk over a model's layers is the same in every step, so what comes next is always known: a
// schedule of pieces, walked in a circle. Copies run on a stream of their own into a ring of slots,
// as far ahead as there are slots; the host never waits for one. A slot is filled again behind the
// last kernel that read it.
//
//   streamer.follow(&schedule);                              // at the start of a step
//   const std::byte* piece = streamer.acquire(compute);      // `compute` waits for the copy
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

using cudaStream_t = struct CUstream_st*;
using cudaEvent_t = struct CUevent_st*;

namespace shoehorn {

class Streamer {
 public:
  struct Piece {
    const std::byte* host = nullptr;  // pinned
    uint64_t bytes = 0;               // at most a slot
  };
  using Schedule = std::vector<Piece>;

  // ring: VRAM, cut into slots of slot_bytes each; it outlives the streamer.
  static Result<std::unique_ptr<Streamer>> create(std::span<std::byte> ring, uint64_t slot_bytes);
  ~Streamer();
  Streamer(const Streamer&) = delete;
  Streamer& operator=(const Streamer&) = delete;

  // Pieces come in the order of `schedule` from its beginning on, in a circle. Copies already under
  // way for the same schedule go on; following another one drops them. The schedule outlives its
  // use. REQUIRES: nothing is acquired.
  void follow(const Schedule* schedule);

  // The next piece. REQUIRES: fewer pieces are acquired than there are slots.
  const std::byte* acquire(cudaStream_t compute);
  void release(cudaStream_t compute);

 private:
  struct Slot {
    std::byte* data = nullptr;
    cudaEvent_t arrived = nullptr;  // the copy is done
    cudaEvent_t read = nullptr;     // the last kernel that read it is done
  };
  Streamer() = default;
  void fill();  // queues copies into every slot that may be filled

  cudaStream_t stream_ = nullptr;
  std::vector<Slot> slots_;
  const Schedule* schedule_ = nullptr;
  size_t next_copy_ = 0;       // in the schedule
  size_t next_acquire_ = 0;    // in the schedule
  uint64_t first_slot_ = 0;    // the oldest slot in use; slots are used in turn
  uint64_t copied_slots_ = 0;  // of them, ahead or acquired
  uint64_t acquired_ = 0;
};

}  // namespace shoehorn
