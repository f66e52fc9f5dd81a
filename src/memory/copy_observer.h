// Who wants to know when a streamer's copies run: called as they are queued, in the order in which
// the stream will come to them.
#pragma once

#include <cstddef>
#include <cstdint>

using cudaStream_t = struct CUstream_st*;

namespace shoehorn {

class CopyObserver {
 public:
  virtual ~CopyObserver() = default;
  // host: where the piece lies; null: on disk.
  virtual void before_copy(cudaStream_t stream, const std::byte* host, uint64_t bytes) = 0;
  virtual void after_copy(cudaStream_t stream) = 0;
};

}  // namespace shoehorn
