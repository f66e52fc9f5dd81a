// Attention on a card: which kernel a step runs on.
#include <cmath>
#include <numbers>

#include "ops/attend.h"
#include "ops/cuda/attention_decode.cuh"
#include "ops/cuda/attention_kernels.h"

namespace shoehorn {
namespace {

// Shorter spans split their contexts however many rows a step has: a tile of 64 rows would mostly
// be empty, and one block would walk the whole context.
constexpr int64_t kShortSpan = 16;

void check_heads(const Tensor& tensor, const KvLayer& layer, const char* what) {
  CHECK(tensor.rank == 3 && tensor.columns() == layer.head_dim && tensor.strides[2] == 1 &&
            tensor.shape[1] % layer.kv_heads == 0,
        "{} [{}, {}, {}] on {} heads of {}", what, tensor.rows(), tensor.shape[1], tensor.columns(),
        layer.kv_heads, layer.head_dim);
  CHECK(!has_tensor_path(layer) || (reinterpret_cast<uintptr_t>(tensor.data) % 8 == 0 &&
                                    tensor.strides[0] % 2 == 0 && tensor.strides[1] % 2 == 0),
        "{}: heads begin at odd numbers", what);
}

void check_layer(const KvLayer& layer) {
  CHECK(layer.dtype == DType::f32 || layer.dtype == DType::f16 || layer.dtype == DType::bf16,
        "a cache of {}", name(layer.dtype));
  CHECK(layer.head_dim <= attention_device::kMaxHeadDim, "heads of {}", layer.head_dim);
  CHECK(reinterpret_cast<uintptr_t>(layer.data) % 64 == 0 && layer.page_stride_bytes % 64 == 0,
        "pages every {} bytes are not aligned to 64", layer.page_stride_bytes);
}

AttentionStep step_of(const KvLayer& layer, const AttentionArguments& arguments,
                      const GpuSpans& spans) {
  const Tensor &q = arguments.q, &out = arguments.out;
  check_layer(layer);
  check_heads(q, layer, "q");
  check_heads(out, layer, "out");
  CHECK(out.shape == q.shape && spans.rows <= q.rows() && arguments.scale > 0,
        "q of {} rows, out of {}, {} rows, scale {}", q.rows(), out.rows(), spans.rows,
        arguments.scale);
  return {.layer = layer,
          .q = static_cast<const float*>(q.data),
          .q_row_stride = q.strides[0],
          .q_head_stride = q.strides[1],
          .out = static_cast<float*>(out.data),
          .out_row_stride = out.strides[0],
          .out_head_stride = out.strides[1],
          .spans = spans.spans,
          .row_spans = spans.row_spans,
          .rows = static_cast<int>(spans.rows),
          .heads = static_cast<int>(q.shape[1]),
          .group = static_cast<int>(q.shape[1] / layer.kv_heads),
          .log2_scale = arguments.scale * std::numbers::log2e_v<float>};
}

void check_scratch(const AttentionStep& step, const GpuSpans& spans, std::span<std::byte> scratch) {
  const int64_t needed =
      gpu_attention_scratch_bytes(spans.rows, step.heads, step.layer.head_dim, spans.max_context);
  CHECK(needed <= static_cast<int64_t>(scratch.size()) &&
            reinterpret_cast<uintptr_t>(scratch.data()) % 256 == 0,
        "scratch of {} bytes at {}, needs {}", scratch.size(),
        static_cast<const void*>(scratch.data()), needed);
}

}  // namespace

void attention(Gpu& gpu, const KvLayer& layer, const AttentionArguments& arguments,
               const GpuSpans& spans, std::span<std::byte> scratch) {
  const AttentionStep step = step_of(layer, arguments, spans);
  if (spans.rows == 0) return;
  if (spans.rows > kFewRows && spans.max_row_count > kShortSpan && has_tensor_path(layer)) {
    return attend_many_rows(gpu, step, spans);
  }
  check_scratch(step, spans, scratch);
  attend_few_rows(gpu, step, spans, scratch);
}

GpuActivationRows attend_and_prepare(Gpu& gpu, const KvLayer& layer,
                                     const AttendArguments& arguments, const GpuSpans& spans,
                                     const AttendScratch& scratch, Precision precision) {
  const RopeAppendArguments& rope = arguments.rope;
  const Tensor joined = joined_heads(arguments.out).slice(0, spans.rows);
  const bool decodes = spans.rows > 0 && spans.rows <= kFewRows && spans.max_row_count == 1 &&
                       has_tensor_path(layer) && precision == Precision::fast;
  if (!decodes) {
    rope_and_append(gpu, layer, rope, spans);
    attention(gpu, layer, arguments.attention(), spans, scratch.attention);
    return prepare_activations(gpu, joined, scratch.activations, precision);
  }
  const AttentionStep step = step_of(layer, arguments.attention(), spans);
  check_heads(rope.k, layer, "k");
  check_heads(rope.v, layer, "v");
  check_scratch(step, spans, scratch.attention);
  attention_device::DecodeStep decode = {.k = static_cast<const float*>(rope.k.data),
                                         .v = static_cast<const float*>(rope.v.data),
                                         .k_row_stride = rope.k.strides[0],
                                         .k_head_stride = rope.k.strides[1],
                                         .v_row_stride = rope.v.strides[0],
                                         .v_head_stride = rope.v.strides[1],
                                         .angles = rope_angles_of(rope),
                                         .target = {}};
  const GpuActivationRows rows =
      view_prepared(joined, scratch.activations, precision, decode.target);
  attend_few_rows(gpu, step, spans, scratch.attention, &decode);
  return rows;
}

}  // namespace shoehorn
