#include "engine/paged_kv.h"

#include "base/check.h"

namespace shoehorn {

int64_t PagedKv::token_bytes(const ModelConfig& config, DType dtype) {
  return 2 * config.num_hidden_layers * config.key_value_size() * shoehorn::size_bytes(dtype);
}

PagedKv::PagedKv(const ModelConfig& config, const KvOptions& options, std::byte* data)
    : options_(options),
      layer_count_(config.num_hidden_layers),
      page_count_(pages_for(options.capacity_tokens)) {
  layer_ = {.data = data,
            .dtype = options.dtype,
            .page_tokens = options.page_tokens,
            .kv_heads = config.num_key_value_heads,
            .head_dim = config.head_dim};
  // Each layer's part of a page begins on a cache line.
  const int64_t layer_bytes = (layer_.page_bytes() + 63) / 64 * 64;
  layer_.page_stride_bytes = layer_bytes * layer_count_;
  for (int64_t page = page_count_; page-- > 0;) {
    free_pages_.push_back(static_cast<int32_t>(page));
  }
}

uint64_t PagedKv::size_bytes(const ModelConfig& config, const KvOptions& options) {
  return PagedKv(config, options, nullptr).size_bytes();
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
