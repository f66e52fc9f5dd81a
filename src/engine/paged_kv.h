// PagedKv: the key-value cache of all sequences, in pages of a fixed number of tokens (Kwon et al.
// 2023).
//
// A page holds its tokens' keys and values of every layer, layer after layer in the layout of
// ops/attention.h, so that a page can be copied or spilled as one piece. A sequence owns a table of
// pages; pages are handed out and taken back between steps, never within one. The memory is the
// Forward's, where the attention that reads it is computed.
#pragma once

#include <cstdint>
#include <vector>

#include "formats/model_config.h"
#include "models/inventory.h"
#include "ops/attention.h"

namespace shoehorn {

using PageTable = std::vector<int32_t>;

struct KvOptions {
  DType dtype = DType::f16;  // f16, bf16 or f32
  int64_t page_tokens = kKvPageTokens;
  int64_t capacity_tokens = 4096;  // of all sequences together; rounded up to whole pages
};

class PagedKv {
 public:
  PagedKv() = default;
  // `data`: size_bytes(config, options) bytes, 64-byte aligned.
  PagedKv(const ModelConfig& config, const KvOptions& options, std::byte* data);
  static uint64_t size_bytes(const ModelConfig& config, const KvOptions& options);

  // Bytes that one token takes in all layers.
  static int64_t token_bytes(const ModelConfig& config, DType dtype);

  KvLayer layer(int64_t index) const;

  int64_t page_tokens() const { return options_.page_tokens; }
  int64_t page_count() const { return page_count_; }
  int64_t free_page_count() const { return static_cast<int64_t>(free_pages_.size()); }
  uint64_t size_bytes() const {
    return static_cast<uint64_t>(page_count_ * layer_.page_stride_bytes);
  }

  // Grows `table` to hold `tokens` tokens. False: too few free pages, and nothing changed.
  bool reserve(PageTable& table, int64_t tokens);
  // Gives back the pages beyond those that hold `tokens` tokens; 0: all.
  void truncate(PageTable& table, int64_t tokens);

 private:
  int64_t pages_for(int64_t tokens) const {
    return (tokens + options_.page_tokens - 1) / options_.page_tokens;
  }

  KvOptions options_;
  int64_t layer_count_ = 0;
  int64_t page_count_ = 0;
  KvLayer layer_;                    // of layer 0
  std::vector<int32_t> free_pages_;  // the next to hand out is last
};

}  // namespace shoehorn
