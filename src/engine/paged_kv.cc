#include "engine/paged_kv.h"

#include "base/check.h"

namespace shoehorn {

int64_t PagedKv::token_bytes(const ModelConfig& config, DType dtype) {
  return 2 * config.num_hidden_layers * config.key_value_size() * shoehorn::size_bytes(dtype);
}

Result<PagedKv> PagedKv::create(const ModelConfig& config, const KvOptions& options) {
  PagedKv kv;
  kv.options_ = options;
  kv.layer_count_ = config.num_hidden_layers;
  kv.page_count_ = kv.pages_for(options.capacity_tokens);
  kv.layer_ = {.dtype = options.dtype,
               .page_tokens = options.page_tokens,
               .kv_heads = config.num_key_value_heads,
               .head_dim = config.head_dim};
  // Each layer's part of a page begins on a cache line.
  const int64_t layer_bytes = (kv.layer_.page_bytes() + 63) / 64 * 64;
  kv.layer_.page_stride_bytes = layer_bytes * kv.layer_count_;
  kv.buffer_ = TRY(HostBuffer::create(
      static_cast<uint64_t>(kv.page_count_ * kv.layer_.page_stride_bytes), "the KV cache"));
  kv.layer_.data = kv.buffer_.data();
  for (int64_t page = kv.page_count_; page-- > 0;) {
    kv.free_pages_.push_back(static_cast<int32_t>(page));
  }
  return kv;
}

KvLayer PagedKv::layer(int64_t index) const {
  CHECK(0 <= index && index < layer_count_, "layer {} of {}", index, layer_count_);
  KvLayer layer = layer_;
  layer.data += index * (layer_.page_stride_bytes / layer_count_);
  return layer;
}

bool PagedKv::reserve(PageTable& table, int64_t tokens) {
  const int64_t missing = pages_for(tokens) - static_cast<int64_t>(table.size());
  if (missing > free_page_count()) return false;
  for (int64_t i = 0; i < missing; ++i) {
    table.push_back(free_pages_.back());
    free_pages_.pop_back();
  }
  return true;
}

void PagedKv::truncate(PageTable& table, int64_t tokens) {
  const auto kept = static_cast<size_t>(pages_for(tokens));
  while (table.size() > kept) {
    free_pages_.push_back(table.back());
    table.pop_back();
  }
}

}  // namespace shoehorn
