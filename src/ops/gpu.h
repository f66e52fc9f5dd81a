// Gpu: where CUDA bodies run, as ThreadPool is where CPU bodies do. An op's header declares both;
// which one is called follows from the type of the first argument.
//
//   std::unique_ptr<Gpu> gpu = TRY(Gpu::open(0));
//   rms_norm(*gpu, x, weight, epsilon, out);       // queued; tensors view memory on the card
//   TRY(gpu->wait());
//
// CUDA bodies queue work on one stream and return at once. Every pointer they are given is memory
// on the card unless its comment says "host"; it stays valid until the work is done. A launch that
// fails is a bug (CHECK); a card that fails is an Error of wait().
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "base/gpu.h"
#include "base/result.h"

using cudaStream_t = struct CUstream_st*;

namespace shoehorn {

class Gpu {
 public:
  // Takes the card's context and libraries: some hundred MB of VRAM. Errors: no such card; the
  // driver refuses.
  static Result<std::unique_ptr<Gpu>> open(int index);
  ~Gpu();
  Gpu(const Gpu&) = delete;
  Gpu& operator=(const Gpu&) = delete;

  const GpuFacts& facts() const { return facts_; }
  cudaStream_t stream() const { return stream_; }

  // Until everything queued is done. Errors: the card reports one.
  Result<void> wait();

  // Memory on the card that matrix products of many rows dequantize weights into, and that the
  // matrix library works in; no product of more than kFewRows rows may be queued before it is set.
  void set_scratch(std::span<std::byte> scratch) { scratch_ = scratch; }
  std::span<std::byte> scratch() const { return scratch_; }

  struct Libraries;  // handles that CUDA bodies keep
  Libraries& libraries() { return *libraries_; }

 private:
  Gpu(GpuFacts facts, cudaStream_t stream, std::unique_ptr<Libraries> libraries);
  GpuFacts facts_;
  cudaStream_t stream_;
  std::unique_ptr<Libraries> libraries_;
  std::span<std::byte> scratch_;
};

}  // namespace shoehorn
