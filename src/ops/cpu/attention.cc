// Attention on the CPU: which thread computes what. The arithmetic of a chunk of context is in
// attention_kernels_body.h.
//
// The work is cut into units: up to 32 query rows (token rows x query heads) that read the same KV
// head of the same sequence. A unit walks its context chunk by chunk, in ascending order, merging
// each chunk's result into a running one. Where that would leave threads idle (decode at batch 1:
// one unit a KV head, and a long context), the unit is split: its chunks are computed on any thread
// into slots, and who finishes the last one merges the slots in the same order. So both ways give
// the same bits, and neither depends on who did what.
#include "ops/attention.h"

#include <algorithm>
#include <atomic>
#include <new>

#include "ops/cpu/attention_layout.h"
#include "ops/cpu/vector_kernels.h"

namespace shoehorn {
namespace {

static_assert(kAttentionChunk == kAttentionScores);

// A unit is split if it is longer than the fair share of a thread divided by this.
constexpr int64_t kTasksPerThread = 4;
// Query rows times context tokens times head_dim below which a parallel region does not pay.
constexpr int64_t kSerialProducts = 1 << 16;

// One call of attention().
class Step {
 public:
  Step(ThreadPool& pool, const KvLayer& layer, const AttentionArguments& arguments,
       std::span<const AttentionSpan> spans, std::span<std::byte> scratch)
      : pool_(pool),
        layer_(layer),
        arguments_(arguments),
        spans_(spans),
        kernels_(vector_kernels()),
        layout_(pool.thread_count(), arguments.q.rows(), arguments.q.shape[1], layer.head_dim,
                longest_context()),
        scratch_(scratch.data()) {
    CHECK(layout_.bytes() <= static_cast<int64_t>(scratch.size()), "scratch of {} bytes, needs {}",
          scratch.size(), layout_.bytes());
    CHECK(reinterpret_cast<uintptr_t>(scratch_) % kScratchAlignment == 0, "unaligned scratch");
    const int64_t group = arguments_.q.shape[1] / layer_.kv_heads;
    heads_per_unit_ = std::min(group, kAttentionQueries);
    rows_per_unit_ = kAttentionQueries / heads_per_unit_;
    for_each_unit([&](const AttentionUnit& unit) {
      chunk_count_ += unit.chunks;
      product_count_ += unit.queries() * context(unit) * layer_.head_dim;
    });
  }

  // AttentionUnits in order, as many at a time as have slots.
  void run() {
    const int64_t fair_share = chunk_count_ / (kTasksPerThread * pool_.thread_count());
    const int64_t longest_whole = std::max<int64_t>(1, fair_share);
    for_each_unit([&](AttentionUnit unit) {
      const bool split = pool_.thread_count() > 1 && unit.chunks > longest_whole;
      const int64_t slots = split ? unit.queries() * unit.chunks : 0;
      if (slot_count_ + slots > layout_.slot_capacity()) run_wave();
      unit.first_task = task_count_;
      unit.first_slot = split ? slot_count_ : -1;
      unit.unfinished = unit.chunks;
      new (layout_.units(scratch_) + unit_count_) AttentionUnit(unit);
      ++unit_count_;
      task_count_ += split ? unit.chunks : 1;
      slot_count_ += slots;
    });
    run_wave();
  }

 private:
  int64_t longest_context() const {
    int64_t longest = 0;
    for (const AttentionSpan& span : spans_) {
      longest = std::max(longest, span.first_position + span.row_count);
    }
    return longest;
  }

  // Tokens that the last row of the unit sees.
  int64_t context(const AttentionUnit& unit) const {
    const AttentionSpan& span = spans_[static_cast<size_t>(unit.span)];
    return span.first_position + unit.first_row - span.first_row + unit.row_count;
  }

  template <typename Visit>
  void for_each_unit(const Visit& visit) const {
    const int64_t heads = arguments_.q.shape[1], group = heads / layer_.kv_heads;
    for (size_t s = 0; s < spans_.size(); ++s) {
      for (int64_t row = 0; row < spans_[s].row_count; row += rows_per_unit_) {
        for (int64_t head = 0; head < heads;) {
          const int64_t group_end = (head / group + 1) * group;
          AttentionUnit unit;
          unit.span = static_cast<int32_t>(s);
          unit.kv_head = static_cast<int32_t>(head / group);
          unit.first_row = static_cast<int32_t>(spans_[s].first_row + row);
          unit.row_count =
              static_cast<int32_t>(std::min(rows_per_unit_, spans_[s].row_count - row));
          unit.first_head = static_cast<int32_t>(head);
          unit.head_count = static_cast<int32_t>(std::min(heads_per_unit_, group_end - head));
          unit.chunks = static_cast<int32_t>(chunks_of(context(unit)));
          visit(unit);
          head += unit.head_count;
        }
      }
    }
  }

  // Tasks are handed out last first: in a prefill the later rows have the longer contexts.
  void run_wave() {
    std::atomic<int64_t> left = task_count_;
    const auto work = [&](int thread) {
      for (int64_t task = --left; task >= 0; task = --left) run_task(thread, task);
    };
    if (product_count_ <= kSerialProducts) {
      work(0);
    } else {
      pool_.run(work);
    }
    unit_count_ = 0;
    task_count_ = 0;
    slot_count_ = 0;
  }

  void run_task(int thread, int64_t task) const {
    AttentionUnit* units = layout_.units(scratch_);
    AttentionUnit& unit =
        *(std::upper_bound(units, units + unit_count_, task,
                           [](int64_t t, const AttentionUnit& u) { return t < u.first_task; }) -
          1);
    AttentionLayout::ThreadScratch scratch = layout_.thread_scratch(scratch_, thread);
    gather_queries(unit, scratch.queries);
    if (!unit.split()) {
      begin(scratch.running, unit);
      for (int64_t chunk = 0; chunk < unit.chunks; ++chunk) {
        compute(unit, chunk, scratch, scratch.chunk);
        merge(unit, scratch.running, scratch.chunk);
      }
      finish(unit, scratch.running);
      return;
    }
    const int64_t chunk = task - unit.first_task;
    compute(unit, chunk, scratch, slots_of(unit, chunk));
    std::atomic_ref<int32_t> unfinished(unit.unfinished);
    if (unfinished.fetch_sub(1, std::memory_order_acq_rel) > 1) return;
    begin(scratch.running, unit);
    for (int64_t c = 0; c < unit.chunks; ++c) merge(unit, scratch.running, slots_of(unit, c));
    finish(unit, scratch.running);
  }

  AttentionSlots slots_of(const AttentionUnit& unit, int64_t chunk) const {
    return layout_.shared_slots(scratch_).from(unit.first_slot + chunk * unit.queries(),
                                               layout_.padded_dim());
  }

  // Query row r * head_count + h of a unit is head first_head + h of token row first_row + r.
  float* head_of(const Tensor& tensor, const AttentionUnit& unit, int64_t query) const {
    return tensor.row<float>(unit.first_row + query / unit.head_count) +
           (unit.first_head + query % unit.head_count) * tensor.strides[1];
  }

  void gather_queries(const AttentionUnit& unit, float* queries) const {
    for (int64_t i = 0; i < unit.queries(); ++i, queries += layout_.padded_dim()) {
      const float* from = head_of(arguments_.q, unit, i);
      for (int64_t j = 0; j < layer_.head_dim; ++j) queries[j] = from[j] * arguments_.scale;
      std::fill(queries + layer_.head_dim, queries + layout_.padded_dim(), 0.0f);
    }
  }

  void compute(const AttentionUnit& unit, int64_t chunk,
               const AttentionLayout::ThreadScratch& scratch, const AttentionSlots& into) const {
    const int64_t first_token = chunk * kAttentionChunk;
    const int64_t row_context = context(unit) - unit.row_count + 1;  // of the first row
    int64_t token_count = 0;
    for (int64_t i = 0; i < unit.queries(); ++i) {
      const int64_t seen = row_context + i / unit.head_count - first_token;
      scratch.limits[i] = static_cast<int32_t>(std::clamp<int64_t>(seen, 0, kAttentionChunk));
      token_count = std::max<int64_t>(token_count, scratch.limits[i]);
    }
    kernels_.attention_chunk({.data = layer_.data,
                              .page_stride_bytes = layer_.page_stride_bytes,
                              .page_tokens = layer_.page_tokens,
                              .pages = spans_[static_cast<size_t>(unit.span)].pages,
                              .type = cache_type(layer_.dtype),
                              .kv_heads = layer_.kv_heads,
                              .kv_head = unit.kv_head,
                              .head_dim = layer_.head_dim,
                              .first_token = first_token,
                              .token_count = token_count,
                              .padded_dim = layout_.padded_dim(),
                              .query_count = unit.queries(),
                              .queries = scratch.queries,
                              .limits = scratch.limits,
                              .maxima = into.maxima,
                              .sums = into.sums,
                              .weighted = into.weighted,
                              .scores = scratch.scores,
                              .tile = scratch.tile});
  }

  static void begin(const AttentionSlots& running, const AttentionUnit& unit) {
    std::fill(running.sums, running.sums + unit.queries(), 0.0f);
  }

  void merge(const AttentionUnit& unit, const AttentionSlots& running,
             const AttentionSlots& chunk) const {
    for (int64_t i = 0; i < unit.queries(); ++i) {
      kernels_.attention_merge(running.row(i, layout_.padded_dim()),
                               chunk.row(i, layout_.padded_dim()), layout_.padded_dim());
    }
  }

  void finish(const AttentionUnit& unit, const AttentionSlots& running) const {
    for (int64_t i = 0; i < unit.queries(); ++i) {
      const float* weighted = running.weighted + i * layout_.padded_dim();
      const float factor = 1.0f / running.sums[i];
      float* out = head_of(arguments_.out, unit, i);
      for (int64_t j = 0; j < layer_.head_dim; ++j) out[j] = weighted[j] * factor;
    }
  }

  ThreadPool& pool_;
  const KvLayer& layer_;
  const AttentionArguments& arguments_;
  std::span<const AttentionSpan> spans_;
  const VectorKernels& kernels_;
  AttentionLayout layout_;
  std::byte* scratch_;
  int64_t heads_per_unit_ = 1, rows_per_unit_ = 1;
  int64_t chunk_count_ = 0, product_count_ = 0;               // of all units
  int64_t unit_count_ = 0, task_count_ = 0, slot_count_ = 0;  // of the wave
};

void check_shapes(const KvLayer& layer, const AttentionArguments& arguments,
                  std::span<const AttentionSpan> spans) {
  const Tensor &q = arguments.q, &out = arguments.out;
  CHECK(q.rank == 3 && q.columns() == layer.head_dim && q.shape[1] % layer.kv_heads == 0,
        "q [{}, {}, {}] on {} heads of {}", q.rows(), q.shape[1], q.columns(), layer.kv_heads,
        layer.head_dim);
  CHECK(out.shape == q.shape, "out [{}, {}, {}]", out.rows(), out.shape[1], out.columns());
  for (const AttentionSpan& span : spans) {
    CHECK(span.first_row >= 0 && span.first_row + span.row_count <= q.rows() &&
              span.first_position >= 0,
          "rows {} + {} of {}", span.first_row, span.row_count, q.rows());
  }
}

}  // namespace

void attention(ThreadPool& pool, const KvLayer& layer, const AttentionArguments& arguments,
               std::span<const AttentionSpan> spans, std::span<std::byte> scratch) {
  check_shapes(layer, arguments, spans);
  Step(pool, layer, arguments, spans, scratch).run();
}

int64_t attention_scratch_bytes(int thread_count, int64_t m, int64_t heads, int64_t head_dim,
                                int64_t max_context) {
  return AttentionLayout(thread_count, m, heads, head_dim, max_context).bytes();
}

Cost attention_cost(const KvLayer& layer, int64_t heads, std::span<const AttentionSpan> spans) {
  Cost cost;
  const auto row_numbers = static_cast<double>(heads * layer.head_dim);
  const auto token_bytes =
      static_cast<double>(2 * layer.kv_heads * layer.head_dim * size_bytes(layer.dtype));
  for (const AttentionSpan& span : spans) {
    const auto rows = static_cast<double>(span.row_count);
    const auto context = static_cast<double>(span.first_position + span.row_count);
    const double pairs = rows * (context - (rows - 1) / 2);  // of a query row and a token it sees
    cost.bytes += context * token_bytes + 8 * rows * row_numbers;
    cost.flops += 4 * pairs * row_numbers;
  }
  return cost;
}

}  // namespace shoehorn
