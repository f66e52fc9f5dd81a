// An attention problem moved to a card.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "ops/attention.h"
#include "tests/ops/attention_problem.h"
#include "tests/ops/cuda/on_card.h"

namespace shoehorn {

// The spans of a step with their page tables.
class SpansOnCard {
 public:
  explicit SpansOnCard(const std::vector<AttentionSpan>& spans, int64_t page_tokens)
      : pages_(all_pages(spans, page_tokens)),
        spans_(moved(spans, page_tokens)),
        row_spans_(rows_of(spans)) {
    view_ = {.spans = spans_.data(),
             .count = static_cast<int64_t>(spans.size()),
             .row_spans = row_spans_.data()};
    for (const AttentionSpan& span : spans) {
      view_.rows = std::max(view_.rows, span.first_row + span.row_count);
      view_.max_row_count = std::max(view_.max_row_count, span.row_count);
      view_.max_context = std::max(view_.max_context, span.first_position + span.row_count);
    }
  }
  const GpuSpans& view() const { return view_; }

 private:
  static int64_t page_count(const AttentionSpan& span, int64_t page_tokens) {
    return (span.first_position + span.row_count + page_tokens - 1) / page_tokens;
  }
  static std::vector<int32_t> all_pages(const std::vector<AttentionSpan>& spans,
                                        int64_t page_tokens) {
    std::vector<int32_t> pages;
    for (const AttentionSpan& span : spans) {
      pages.insert(pages.end(), span.pages, span.pages + page_count(span, page_tokens));
    }
    return pages;
  }
  std::vector<AttentionSpan> moved(std::vector<AttentionSpan> spans, int64_t page_tokens) const {
    const int32_t* at = pages_.data();
    for (AttentionSpan& span : spans) {
      span.pages = at;
      at += page_count(span, page_tokens);
    }
    return spans;
  }
  static std::vector<int32_t> rows_of(const std::vector<AttentionSpan>& spans) {
    std::vector<int32_t> rows;
    for (size_t s = 0; s < spans.size(); ++s) {
      const auto end = static_cast<size_t>(spans[s].first_row + spans[s].row_count);
      rows.resize(std::max(rows.size(), end), -1);
      std::fill(rows.begin() + spans[s].first_row, rows.begin() + static_cast<int64_t>(end),
                static_cast<int32_t>(s));
    }
    return rows;
  }

  OnCard<int32_t> pages_;
  OnCard<AttentionSpan> spans_;
  OnCard<int32_t> row_spans_;
  GpuSpans view_;
};

class AttentionOnCard {
 public:
  explicit AttentionOnCard(const AttentionProblem& problem)
      : shape_(problem.shape),
        scale_(problem.scale),
        layer_(problem.layer),
        cache_(std::span<const std::byte>(
            problem.layer.data,
            static_cast<size_t>(problem.cache.data() + problem.cache.size() - problem.layer.data) /
                64 * 64)),
        q_(problem.q) {
    layer_.data = cache_.data();
  }

  const KvLayer& layer() const { return layer_; }
  std::vector<std::byte> cache() const { return cache_.read(); }

  // Rows of the problem from first_row on, the spans' row 0. gap: numbers between two rows of q and
  // out.
  std::vector<float> run(Gpu& gpu, const std::vector<AttentionSpan>& spans, int64_t first_row = 0,
                         int64_t gap = 0) {
    const SpansOnCard on_card(spans, shape_.page_tokens);
    const int64_t row = shape_.heads * shape_.head_dim, stride = row + gap;
    const auto rows = static_cast<int64_t>(q_.size()) / row;
    const OnCard<float> q(spread(rows, row, stride));
    const OnCard<float> out(static_cast<size_t>(rows * stride));
    const OnCard<std::byte> scratch(static_cast<size_t>(gpu_attention_scratch_bytes(
        on_card.view().rows, shape_.heads, shape_.head_dim, on_card.view().max_context)));
    attention(gpu, layer_,
              {.q = heads_of(q, rows, stride).slice(first_row, rows),
               .out = heads_of(out, rows, stride).slice(first_row, rows),
               .scale = scale_},
              on_card.view(), scratch.bytes());
    EXPECT_TRUE(gpu.wait().ok());
    return gathered(out.read(), row, stride);
  }

  Tensor heads_of(const OnCard<float>& values, int64_t rows, int64_t stride) const {
    return {values.data(),
            DType::f32,
            3,
            {rows, shape_.heads, shape_.head_dim},
            {stride, shape_.head_dim, 1}};
  }
  const OnCard<float>& q() const { return q_; }

 private:
  std::vector<float> spread(int64_t rows, int64_t row, int64_t stride) const {
    const std::vector<float> q = q_.read();
    std::vector<float> values(static_cast<size_t>(rows * stride), std::nanf(""));
    for (int64_t i = 0; i < rows; ++i) {
      std::copy_n(q.begin() + i * row, row, values.begin() + i * stride);
    }
    return values;
  }
  // The rows without their gaps, which must hold the poison still.
  static std::vector<float> gathered(const std::vector<float>& values, int64_t row,
                                     int64_t stride) {
    std::vector<float> rows;
    for (size_t i = 0; i < values.size(); ++i) {
      const bool in_gap = static_cast<int64_t>(i) % stride >= row;
      if (in_gap) {
        EXPECT_TRUE(std::isnan(values[i])) << i;
      } else {
        rows.push_back(values[i]);
      }
    }
    return rows;
  }

  AttentionShape shape_;
  float scale_;
  KvLayer layer_;
  OnCard<std::byte> cache_;
  OnCard<float> q_;
};

}  // namespace shoehorn
