// Attention on a card: which kernel a step runs on.
#include <cmath>
#include <numbers>

#include "ops/cuda/attention_kernels.h"
#include "ops/cuda/attention_pieces.cuh"
#include "ops/linear.h"

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

}  // namespace

void attention(Gpu& gpu, const KvLayer& layer, const AttentionArguments& arguments,
               const GpuSpans& spans, std::span<std::byte> scratch) {
  const Tensor &q = arguments.q, &out = arguments.out;
  check_layer(layer);
  check_heads(q, layer, "q");
  check_heads(out, layer, "out");
  CHECK(out.shape == q.shape && spans.rows <= q.rows() && arguments.scale > 0,
        "q of {} rows, out of {}, {} rows, scale {}", q.rows(), out.rows(), spans.rows,
        arguments.scale);
  if (spans.rows == 0) return;
  AttentionStep step;
  step.layer = layer;
  step.q = static_cast<const float*>(q.data);
  step.q_row_stride = q.strides[0];
  step.q_head_stride = q.strides[1];
  step.out = static_cast<float*>(out.data);
  step.out_row_stride = out.strides[0];
  step.out_head_stride = out.strides[1];
  step.spans = spans.spans;
  step.row_spans = spans.row_spans;
  step.rows = static_cast<int>(spans.rows);
  step.heads = static_cast<int>(q.shape[1]);
  step.group = static_cast<int>(q.shape[1] / layer.kv_heads);
  step.log2_scale = arguments.scale * std::numbers::log2e_v<float>;
  if (spans.rows > kFewRows && spans.max_row_count > kShortSpan && has_tensor_path(layer)) {
    return attend_many_rows(gpu, step, spans);
  }
  const int64_t needed =
      gpu_attention_scratch_bytes(spans.rows, q.shape[1], layer.head_dim, spans.max_context);
  CHECK(needed <= static_cast<int64_t>(scratch.size()) &&
            reinterpret_cast<uintptr_t>(scratch.data()) % 256 == 0,
        "scratch of {} bytes at {}, needs {}", scratch.size(),
        static_cast<const void*>(scratch.data()), needed);
  attend_few_rows(gpu, step, spans, scratch);
}

}  // namespace shoehorn
