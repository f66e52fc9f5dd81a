#include <utility>

#include "base/cuda_check.h"
#include "memory/streamer.h"

namespace shoehorn {

Result<std::unique_ptr<Streamer>> Streamer::create(std::span<std::byte> ring, uint64_t slot_bytes) {
  CHECK(slot_bytes > 0 && ring.size() >= slot_bytes, "ring of {} bytes, slots of {}", ring.size(),
        slot_bytes);
  std::unique_ptr<Streamer> streamer(new Streamer);
  TRY(cuda_result(cudaStreamCreateWithFlags(&streamer->stream_, cudaStreamNonBlocking),
                  "GPU: a stream for copies"));
  for (uint64_t begin = 0; begin + slot_bytes <= ring.size(); begin += slot_bytes) {
    Slot slot = {.data = ring.data() + begin};
    TRY(cuda_result(cudaEventCreateWithFlags(&slot.arrived, cudaEventDisableTiming), "an event"));
    TRY(cuda_result(cudaEventCreateWithFlags(&slot.read, cudaEventDisableTiming), "an event"));
    streamer->slots_.push_back(slot);
  }
  return streamer;
}

Streamer::~Streamer() {
  if (stream_ != nullptr) {
    cudaStreamSynchronize(stream_);
    cudaStreamDestroy(stream_);
  }
  for (const Slot& slot : slots_) {
    cudaEventDestroy(slot.arrived);
    cudaEventDestroy(slot.read);
  }
}

void Streamer::follow(const Schedule* schedule) {
  const bool goes_on = schedule == schedule_ && next_acquire_ == 0 && acquired_ == 0;
  if (!goes_on) {
    // What was copied ahead is dropped. Later copies into those slots come behind it on the stream.
    first_slot_ += copied_slots_;
    copied_slots_ = acquired_ = 0;
    next_copy_ = next_acquire_ = 0;
    schedule_ = schedule;
    drop_disk();
  }
  fill();
}

void Streamer::fill() {
  if (schedule_ == nullptr || schedule_->empty()) return;
  let_go(false);
  while (copied_slots_ < slots_.size()) {
    const Piece& piece = next_piece();
    // A failed read is tried again, and reported, when the piece is acquired.
    if (!is_held(piece) && !(disk_->arrived(piece.extent) && hold(piece.extent).ok())) return;
    copy_next();
  }
}

void Streamer::copy_next() {
  const Piece& piece = next_piece();
  const Slot& slot = slots_[(first_slot_ + copied_slots_) % slots_.size()];
  CUDA_CHECK(cudaStreamWaitEvent(stream_, slot.read));  // at once where nobody has read it
  if (observer_ != nullptr) {
    const std::byte* host = piece.bytes > 0 ? piece.host : nullptr;
    observer_->before_copy(stream_, host, piece.bytes + piece.extent_bytes);
  }
  if (piece.bytes > 0) {
    CUDA_CHECK(
        cudaMemcpyAsync(slot.data, piece.host, piece.bytes, cudaMemcpyHostToDevice, stream_));
  }
  if (piece.extent >= 0) {
    CUDA_CHECK(cudaMemcpyAsync(slot.data + piece.bytes, held_bytes_ + piece.extent_offset,
                               piece.extent_bytes, cudaMemcpyHostToDevice, stream_));
  }
  if (observer_ != nullptr) observer_->after_copy(stream_);
  CUDA_CHECK(cudaEventRecord(slot.arrived, stream_));
  if (piece.ends_extent) {
    // The slot's next copy records the event again: then the extent leaves later, and all that is
    // queued by then ends without the host.
    leaving_.push_back({std::exchange(held_, -1), slot.arrived});
  }
  ++copied_slots_;
  next_copy_ = (next_copy_ + 1) % schedule_->size();
}

Result<void> Streamer::hold(int64_t extent) {
  held_bytes_ = TRY(disk_->acquire(extent));
  held_ = extent;
  return {};
}

void Streamer::let_go(bool wait) {
  while (!leaving_.empty()) {
    if (wait) CUDA_CHECK(cudaEventSynchronize(leaving_.front().copied));
    if (cudaEventQuery(leaving_.front().copied) != cudaSuccess) {
      cudaGetLastError();  // not ready: no error
      return;
    }
    disk_->release(leaving_.front().extent);
    leaving_.pop_front();
  }
}

// Gives back all extents, and says where reading begins again.
void Streamer::drop_disk() {
  if (disk_ == nullptr) return;
  CUDA_CHECK(cudaStreamSynchronize(stream_));
  let_go(true);
  if (held_ >= 0) disk_->release(std::exchange(held_, -1));
  if (schedule_ == nullptr) return;
  for (const Piece& piece : *schedule_) {
    if (piece.extent < 0) continue;
    disk_->expect(piece.extent);
    return;
  }
}

Result<const std::byte*> Streamer::acquire(cudaStream_t compute) {
  CHECK(acquired_ < slots_.size(), "{} pieces acquired of {}", acquired_, slots_.size());
  if (acquired_ == copied_slots_) {
    const Piece& piece = next_piece();
    if (!is_held(piece)) {
      let_go(!disk_->started(piece.extent));
      TRY(hold(piece.extent));
    }
    copy_next();
    fill();
  }
  const Slot& slot = slots_[(first_slot_ + acquired_) % slots_.size()];
  CUDA_CHECK(cudaStreamWaitEvent(compute, slot.arrived));
  ++acquired_;
  next_acquire_ = (next_acquire_ + 1) % schedule_->size();
  return slot.data;
}

void Streamer::release(cudaStream_t compute) {
  CHECK(acquired_ > 0, "no piece acquired");
  const Slot& slot = slots_[first_slot_ % slots_.size()];
  CUDA_CHECK(cudaEventRecord(slot.read, compute));
  ++first_slot_;
  --acquired_;
  --copied_slots_;
  fill();
}

}  // namespace shoehorn
