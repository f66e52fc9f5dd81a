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
  CHECK(acquired_ == 0, "{} pieces still acquired", acquired_);
  const bool goes_on = schedule == schedule_ && next_acquire_ == 0;
  if (!goes_on) {
    // What was copied ahead is dropped. Later copies into those slots come behind it on the stream.
    first_slot_ += copied_slots_;
    copied_slots_ = 0;
    next_copy_ = next_acquire_ = 0;
    schedule_ = schedule;
  }
  fill();
}

void Streamer::fill() {
  if (schedule_ == nullptr || schedule_->empty()) return;
  for (; copied_slots_ < slots_.size(); ++copied_slots_) {
    const Slot& slot = slots_[(first_slot_ + copied_slots_) % slots_.size()];
    const Piece& piece = (*schedule_)[next_copy_];
    next_copy_ = (next_copy_ + 1) % schedule_->size();
    CUDA_CHECK(cudaStreamWaitEvent(stream_, slot.read));  // at once where nobody has read it
    CUDA_CHECK(
        cudaMemcpyAsync(slot.data, piece.host, piece.bytes, cudaMemcpyHostToDevice, stream_));
    CUDA_CHECK(cudaEventRecord(slot.arrived, stream_));
  }
}

const std::byte* Streamer::acquire(cudaStream_t compute) {
  CHECK(acquired_ < copied_slots_, "{} pieces acquired of {}", acquired_, copied_slots_);
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
