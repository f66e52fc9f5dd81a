#include <algorithm>

#include "ops/attention.h"
#include "ops/cpu/attention_layout.h"
#include "ops/cpu/share.h"
#include "ops/cpu/vector_kernels.h"

namespace shoehorn {
namespace {

void append_rows(const KvLayer& layer, const Tensor& k, const Tensor& v, const AttentionSpan& span,
                 int64_t begin, int64_t end) {
  const VectorKernels& kernels = vector_kernels();
  const int64_t element_bytes = size_bytes(layer.dtype);
  const int64_t token_bytes = layer.head_dim * element_bytes;
  const int64_t head_bytes = layer.page_tokens * token_bytes;
  const auto write = [&](const float* from, std::byte* to) {
    auto* halves = reinterpret_cast<uint16_t*>(to);
    switch (cache_type(layer.dtype)) {
      case CacheType::f32:
        std::copy(from, from + layer.head_dim, reinterpret_cast<float*>(to));
        return;
      case CacheType::f16:
        return kernels.to_f16(from, layer.head_dim, halves);
      case CacheType::bf16:
        return kernels.to_bf16(from, layer.head_dim, halves);
    }
  };
  for (int64_t i = begin; i < end; ++i) {
    const int64_t token = span.first_position + i;
    std::byte* slot = layer.data + span.pages[token / layer.page_tokens] * layer.page_stride_bytes +
                      token % layer.page_tokens * token_bytes;
    for (int64_t head = 0; head < layer.kv_heads; ++head) {
      write(k.row<float>(span.first_row + i) + head * k.strides[1], slot + head * head_bytes);
      write(v.row<float>(span.first_row + i) + head * v.strides[1],
            slot + (layer.kv_heads + head) * head_bytes);
    }
  }
}

}  // namespace

void kv_append(ThreadPool& pool, const KvLayer& layer, const Tensor& k, const Tensor& v,
               std::span<const AttentionSpan> spans) {
  for (const Tensor& tensor : {k, v}) {
    CHECK(
        tensor.rank == 3 && tensor.shape[1] == layer.kv_heads && tensor.columns() == layer.head_dim,
        "[{}, {}, {}] into {} heads of {}", tensor.rows(), tensor.shape[1], tensor.columns(),
        layer.kv_heads, layer.head_dim);
  }
  for (const AttentionSpan& span : spans) {
    share_work(pool, span.row_count, 2 * layer.kv_heads * layer.head_dim,
               [&](int64_t begin, int64_t end) { append_rows(layer, k, v, span, begin, end); });
  }
}

}  // namespace shoehorn
