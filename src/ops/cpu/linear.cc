#include "ops/linear.h"

#include <algorithm>
#include <array>
#include <atomic>
#include <span>
#include <type_traits>

#include "base/check.h"
#include "ops/cpu/linear_kernels.h"

namespace shoehorn {
namespace {

std::atomic<Isa>& current_isa() {
  static std::atomic<Isa> isa = cpu_isa();
  return isa;
}

// Grouped weights: for many activation rows, kSumRows of them pass over a few weight tiles at a
// time, which stay in the second-level cache meanwhile, by chunks of columns that fit the first.
// Up to kOnePassRows pass over a tile once, and memory is best read in long streams: whole rows,
// and many tiles of a part before the next part.
constexpr int64_t kTilesAtOnce = 8;
constexpr int64_t kTilesBytes = int64_t{768} << 10;
constexpr int64_t kChunkBytes = int64_t{20} << 10;
constexpr int64_t kOnePassRows = 8;
constexpr int64_t kOnePassTiles = kTilesAtOnce * kSumRows / kOnePassRows;

// Sums [tiles, rows, 16] of the tiles of a pass, of one part and of all: 64 KiB on the stack.
struct TileSums {
  alignas(64) float part[kTilesAtOnce * kSumRows * kTileRows];
  alignas(64) float total[kTilesAtOnce * kSumRows * kTileRows];  // where there are several parts
};

// Hands out tiles to threads: about half of an even share of what is left at a time, so that all
// finish together although some are slower, yet read long runs. Results do not depend on who
// computes what.
class TileQueue {
 public:
  TileQueue(int64_t tiles, int threads) : tiles_(tiles), threads_(threads) {}

  struct Range {
    int64_t begin, end;
    bool empty() const { return begin >= end; }
  };
  Range take() {
    int64_t begin = next_.load(std::memory_order_relaxed), end = begin;
    do {
      if (begin >= tiles_) return {begin, begin};
      end = begin + std::max<int64_t>((tiles_ - begin) / (2 * threads_), 1);
    } while (!next_.compare_exchange_weak(begin, end, std::memory_order_relaxed));
    return {begin, end};
  }

 private:
  const int64_t tiles_, threads_;
  std::atomic<int64_t> next_ = 0;
};

// output = the sum over the parts that are there of part p times columns [p * columns, (p + 1) *
// columns) of the input: one part is a whole weight.
struct Product {
  Format format;
  int64_t rows = 0;
  int64_t columns = 0;  // of one part
  std::span<const std::byte* const> parts;
  const float* bias = nullptr;  // with one part only
  Tensor output;                // its first `rows` columns
  OutputMode mode = OutputMode::store;

  int64_t part_count() const { return static_cast<int64_t>(parts.size()); }
  // Sums of one part go straight to the output.
  bool direct() const { return parts.size() == 1 && parts[0] != nullptr; }
  // The first part from `index` on that is there.
  int64_t present_from(int64_t index) const {
    while (index < part_count() && parts[static_cast<size_t>(index)] == nullptr) ++index;
    return index;
  }
  const std::byte* part(int64_t index) const { return parts[static_cast<size_t>(index)]; }
};

int64_t tiles_of(int64_t rows) {
  return (rows + kTileRows - 1) / kTileRows;
}

// rows: kTileRows known to the compiler, or fewer.
template <typename Rows>
void put_row(const float* sums, const float* bias, OutputMode mode, Rows rows, float* y) {
  float values[kTileRows];
  for (int64_t r = 0; r < rows; ++r) values[r] = bias == nullptr ? sums[r] : sums[r] + bias[r];
  for (int64_t r = 0; r < rows; ++r) y[r] = mode == OutputMode::add ? y[r] + values[r] : values[r];
}

// sums [m, 16] to rows [first, first + m) of the output, its columns from those of tile `tile` on.
void put_out(const Product& product, int64_t tile, int64_t first, int64_t m, const float* sums) {
  const int64_t begin = tile * kTileRows, stride = product.output.strides[0];
  const int64_t rows = std::min(kTileRows, product.rows - begin);
  const float* bias = product.bias == nullptr ? nullptr : product.bias + begin;
  // begin_total() has taken in what is added to.
  const OutputMode mode = product.direct() ? product.mode : OutputMode::store;
  float* y = product.output.row<float>(first) + begin;
  for (int64_t i = 0; i < m; ++i, sums += kTileRows, y += stride) {
    if (rows == kTileRows) {
      put_row(sums, bias, mode, std::integral_constant<int64_t, kTileRows>{}, y);
    } else {
      put_row(sums, bias, mode, rows, y);
    }
  }
}

// What sums over several parts begin with, in the layout of put_out: so they are added up near by,
// not in the output, whose rows may evict one another from the first-level cache.
void begin_total(const Product& product, int64_t tile, int64_t first, int64_t m, float* total) {
  const int64_t begin = tile * kTileRows, rows = std::min(kTileRows, product.rows - begin);
  std::fill_n(total, m * kTileRows, 0.0f);
  if (product.mode == OutputMode::store) return;
  for (int64_t i = 0; i < m; ++i) {
    std::copy_n(product.output.row<float>(first + i) + begin, rows, total + i * kTileRows);
  }
}

// Float rows: plain weights, or any weight in precise mode. Tile `tile` of one part times rows
// [first, first + m).
void float_part(const ActivationRows& x, const Product& product, int64_t part, int64_t tile,
                std::array<int64_t, 2> rows, float* sums) {
  const LinearKernels& kernels = linear_kernels_for(linear_isa());
  const auto [first, m] = rows;
  const float* values = x.values.row<float>(first) + part * product.columns;
  const int64_t begin = tile * kTileRows;
  if (product.format.storage == Storage::grouped) {
    kernels.precise(
        {.format = &product.format,
         .tile = product.part(part) + tile * tile_bytes(product.format, product.columns),
         .columns = product.columns,
         .m = m,
         .x = values,
         .x_stride = x.values.strides[0],
         .sums = sums});
    return;
  }
  const int64_t value_bytes = product.format.storage == Storage::f32 ? 4 : 2;
  kernels.plain({.storage = product.format.storage,
                 .weight = product.part(part) + begin * product.columns * value_bytes,
                 .rows = std::min(kTileRows, product.rows - begin),
                 .columns = product.columns,
                 .m = m,
                 .x = values,
                 .x_stride = x.values.strides[0],
                 .sums = sums});
}

void float_tile(const ActivationRows& x, const Product& product, int64_t tile) {
  alignas(64) float sums[kSumRows * kTileRows], total[kSumRows * kTileRows];
  for (int64_t i = 0; i < x.values.rows(); i += kSumRows) {
    const int64_t m = std::min(kSumRows, x.values.rows() - i);
    if (product.direct()) {
      float_part(x, product, 0, tile, {i, m}, sums);
      put_out(product, tile, i, m, sums);
      continue;
    }
    begin_total(product, tile, i, m, total);
    for (int64_t p = product.present_from(0); p < product.part_count();
         p = product.present_from(p + 1)) {
      float_part(x, product, p, tile, {i, m}, sums);
      for (int64_t k = 0; k < m * kTileRows; ++k) total[k] += sums[k];
    }
    put_out(product, tile, i, m, total);
  }
}

// Tiles [tile, tile + count) times rounded activation rows [first, first + m).
struct GroupedPass {
  int64_t tile, count;
  int64_t first, m;

  bool once() const { return m <= kOnePassRows; }
  int64_t sum_rows() const { return once() ? kOnePassRows : kSumRows; }
  int64_t sums_of(int64_t index) const { return index * sum_rows() * kTileRows; }
};

// One part of a pass; the tile at `next` is read afterwards.
void grouped_part(const ActivationRows& x, const Product& product, const GroupedPass& pass,
                  int64_t part, const std::byte* next, TileSums& sums) {
  const LinearKernels& kernels = linear_kernels_for(linear_isa());
  const int64_t blocks = blocks_of(product.columns), row_blocks = blocks_of(x.values.columns());
  const int64_t tile_size = tile_bytes(product.format, product.columns);
  const int64_t block_bytes = tile_size / blocks;
  const int64_t chunk =
      pass.once()
          ? blocks
          : std::max<int64_t>(kChunkBytes / block_bytes / kSectionBlocks, 1) * kSectionBlocks;
  const std::byte* tile = product.part(part) + pass.tile * tile_size;
  for (int64_t block = 0; block < blocks; block += chunk) {
    const bool last = block + chunk >= blocks;
    kernels.grouped({.format = &product.format,
                     .weight = tile + block * block_bytes,
                     .tiles = pass.count,
                     .tile_stride = tile_size,
                     .next = last ? next : tile + (block + chunk) * block_bytes,
                     .first_block = part * blocks + block,
                     .blocks = std::min(chunk, blocks - block),
                     .row_blocks = row_blocks,
                     .m = pass.m,
                     .x = x.rounded_rows.at(pass.first * row_blocks),
                     .first = block == 0,
                     .sum_rows = pass.sum_rows(),
                     .sums = sums.part,
                     .total = last && !product.direct() ? sums.total : nullptr});
  }
}

void grouped_tiles(const ActivationRows& x, const Product& product, const GroupedPass& pass) {
  const int64_t tile_size = tile_bytes(product.format, product.columns);
  const int64_t first_part = product.present_from(0), parts = product.part_count();
  const auto put_all = [&](const float* sums) {
    for (int64_t t = 0; t < pass.count; ++t) {
      put_out(product, pass.tile + t, pass.first, pass.m, sums + pass.sums_of(t));
    }
  };
  TileSums sums;
  if (product.direct()) {
    const std::byte* next = product.part(0) + (pass.tile + pass.count) * tile_size;
    grouped_part(x, product, pass, 0, next, sums);
    return put_all(sums.part);
  }
  for (int64_t t = 0; t < pass.count; ++t) {
    begin_total(product, pass.tile + t, pass.first, pass.m, sums.total + pass.sums_of(t));
  }
  for (int64_t p = first_part; p < parts;) {
    const int64_t following = product.present_from(p + 1);
    const std::byte* next = following < parts
                                ? product.part(following) + pass.tile * tile_size
                                : product.part(first_part) + (pass.tile + pass.count) * tile_size;
    grouped_part(x, product, pass, p, next, sums);
    p = following;
  }
  put_all(sums.total);
}

// Tiles of all parts times all activation rows.
void tiles_times_rows(const ActivationRows& x, const Product& product, TileQueue::Range tiles) {
  if (product.format.storage != Storage::grouped || !x.rounded()) {
    for (int64_t tile = tiles.begin; tile < tiles.end; ++tile) float_tile(x, product, tile);
    return;
  }
  const int64_t m = x.values.rows();
  const int64_t bytes = tile_bytes(product.format, product.columns) * product.part_count();
  const int64_t at_once =
      m <= kOnePassRows ? kOnePassTiles : std::clamp<int64_t>(kTilesBytes / bytes, 1, kTilesAtOnce);
  for (int64_t tile = tiles.begin; tile < tiles.end; tile += at_once) {
    const int64_t count = std::min(at_once, tiles.end - tile);
    for (int64_t i = 0; i < m; i += kSumRows) {
      grouped_tiles(x, product, {tile, count, i, std::min(kSumRows, m - i)});
    }
  }
}

// Products in one parallel region. for_each(visit) calls visit(rows, product) for each in the same
// order every time, product() -> Product being made only where it is needed.
template <typename ForEach>
void run_products(ThreadPool& pool, const ActivationRows& x, const ForEach& for_each) {
  int64_t all_tiles = 0;
  for_each([&](int64_t rows, const auto&) { all_tiles += tiles_of(rows); });
  if (all_tiles == 0) return;
  TileQueue queue(all_tiles, pool.thread_count());
  pool.run([&](int) {
    for (auto range = queue.take(); !range.empty(); range = queue.take()) {
      int64_t first = 0;
      for_each([&](int64_t rows, const auto& product) {
        const int64_t tiles = tiles_of(rows);
        const TileQueue::Range own = {std::max<int64_t>(range.begin - first, 0),
                                      std::min(range.end - first, tiles)};
        first += tiles;
        if (!own.empty()) tiles_times_rows(x, product(), own);
      });
    }
  });
}

}  // namespace

void linear(ThreadPool& pool, const ActivationRows& x, std::span<const LinearTask> tasks) {
  run_products(pool, x, [&](const auto& visit) {
    for (const LinearTask& task : tasks) {
      const Weight& weight = *task.weight;
      visit(weight.rows, [&] {
        return Product{.format = weight.format,
                       .rows = weight.rows,
                       .columns = weight.columns,
                       .parts = {&weight.data, 1},
                       .bias = task.bias,
                       .output = task.output,
                       .mode = task.mode};
      });
    }
  });
}

void linear_row_parts(ThreadPool& pool, const ActivationRows& x,
                      std::span<const RowPartsTask> tasks) {
  run_products(pool, x, [&](const auto& visit) {
    for (const RowPartsTask& task : tasks) {
      const SplitWeight& weight = task.weight;
      for (size_t p = 0; p < weight.parts.size(); ++p) {
        if (weight.parts[p] == nullptr) continue;
        visit(weight.rows, [&] {
          float* output = task.output.row<float>(0) + static_cast<int64_t>(p) * weight.rows;
          return Product{.format = weight.format,
                         .rows = weight.rows,
                         .columns = weight.columns,
                         .parts = weight.parts.subspan(p, 1),
                         .output = Tensor::matrix(output, task.output.rows(), weight.rows,
                                                  task.output.strides[0])};
        });
      }
    }
  });
}

void linear_column_parts(ThreadPool& pool, const ActivationRows& x, const SplitWeight& weight,
                         const Tensor& output, OutputMode mode) {
  const auto parts = static_cast<int64_t>(weight.parts.size());
  CHECK(parts * weight.columns == x.values.columns(), "{} parts of {} columns for an input of {}",
        parts, weight.columns, x.values.columns());
  CHECK(parts <= 1 || weight.columns % kBlockColumns == 0, "parts of {} columns", weight.columns);
  run_products(pool, x, [&](const auto& visit) {
    visit(weight.rows, [&] {
      return Product{.format = weight.format,
                     .rows = weight.rows,
                     .columns = weight.columns,
                     .parts = weight.parts,
                     .output = output,
                     .mode = mode};
    });
  });
}

Cost linear_cost(const Weight& weight, int64_t m) {
  const auto rows = static_cast<double>(weight.rows), columns = static_cast<double>(weight.columns);
  const auto count = static_cast<double>(m);
  return {static_cast<double>(weight.size_bytes()) + 4 * count * (rows + columns),
          2 * count * rows * columns};
}

void set_linear_isa(Isa isa) {
  CHECK(isa <= cpu_isa(), "{} on a machine of {}", name(isa), name(cpu_isa()));
  current_isa() = isa;
}
Isa linear_isa() {
  return current_isa();
}

}  // namespace shoehorn
