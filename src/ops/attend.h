// The middle of an attention layer, between its two linear ones: turn q and k, put k and v into the
// cache, attend, and round what comes out for the linear layer behind (ops/rope.h, ops/attention.h,
// ops/linear.h). One call, because a card does it in one pass where a step decodes.
#pragma once

#include <cstddef>
#include <span>

#include "ops/attention.h"
#include "ops/linear.h"

namespace shoehorn {

struct AttendScratch {
  std::span<std::byte> attention;    // as attention() wants it
  std::span<std::byte> activations;  // as prepare_activations() wants it
};

struct AttendArguments {
  RopeAppendArguments rope;  // its q and k are left turned or not
  Tensor out;                // [m, H, d], heads next to each other
  float scale = 1;           // as in AttentionArguments

  AttentionArguments attention() const { return {.q = rope.q, .out = out, .scale = scale}; }
};

// The result's values are `out` as [m, H * d].
ActivationRows attend_and_prepare(ThreadPool& pool, const KvLayer& layer,
                                  const AttendArguments& arguments,
                                  std::span<const AttentionSpan> spans,
                                  const AttendScratch& scratch, Precision precision);
GpuActivationRows attend_and_prepare(Gpu& gpu, const KvLayer& layer,
                                     const AttendArguments& arguments, const GpuSpans& spans,
                                     const AttendScratch& scratch, Precision precision);

// [m, heads, d], heads next to each other, as [m, heads * d].
inline Tensor joined_heads(const Tensor& x) {
  CHECK(x.rank == 3 && x.strides[2] == 1 && x.strides[1] == x.shape[2], "heads {} apart, of {}",
        x.strides[1], x.shape[2]);
  return Tensor::matrix(static_cast<float*>(x.data), x.shape[0], x.shape[1] * x.shape[2],
                        x.strides[0]);
}

}  // namespace shoehorn
