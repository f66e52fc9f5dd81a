#include "ops/linear.h"

#include <algorithm>
#include <atomic>
#include <vector>

#include "base/check.h"
#include "ops/cpu/linear_kernels.h"

namespace shoehorn {
namespace {

std::atomic<Isa>& current_isa() {
  static std::atomic<Isa> isa = cpu_isa();
  return isa;
}

int64_t padded(int64_t columns) {
  return (columns + kBlockColumns - 1) / kBlockColumns * kBlockColumns;
}

constexpr int64_t kSumRows = 64;  // activation rows of one kernel call: 4 KiB of sums on the stack

// Rows [begin, begin + rows) of one weight, made ready for many activation rows.
struct WeightTile {
  const LinearTask& task;
  int64_t begin;
  int64_t rows;
  bool rounded;     // integer sums: grouped codes times rounded activations
  Storage storage;  // else plain values of this storage
  const std::byte* plain;
};

// Precise mode dequantizes a grouped tile into memory that each thread keeps.
const std::byte* dequantize_tile(const Weight& weight, int64_t begin, int64_t rows) {
  thread_local std::vector<float> values;
  values.resize(static_cast<size_t>(kTileRows * weight.columns));
  for (int64_t r = 0; r < rows; ++r) {
    dequantize_row(weight, begin + r, values.data() + r * weight.columns);
  }
  return reinterpret_cast<const std::byte*>(values.data());
}

WeightTile make_tile(const LinearTask& task, int64_t begin, bool rounded_input) {
  const Weight& weight = *task.weight;
  const bool grouped = weight.format.storage == Storage::grouped;
  WeightTile tile = {.task = task,
                     .begin = begin,
                     .rows = std::min(kTileRows, weight.rows - begin),
                     .rounded = grouped && rounded_input,
                     .storage = grouped ? Storage::f32 : weight.format.storage,
                     .plain = nullptr};
  if (grouped && !rounded_input) {
    tile.plain = dequantize_tile(weight, begin, tile.rows);
  } else if (!grouped) {
    const int64_t value_bytes = weight.format.storage == Storage::f32 ? 4 : 2;
    tile.plain = weight.data + begin * weight.columns * value_bytes;
  }
  return tile;
}

// Activation rows [first, first + m), m <= kSumRows.
void tile_times_rows(const LinearKernels& kernels, const ActivationRows& x, const WeightTile& tile,
                     int64_t first, int64_t m) {
  const Weight& weight = *tile.task.weight;
  alignas(64) float sums[kSumRows * kTileRows];
  if (tile.rounded) {
    const int64_t columns = padded(weight.columns), blocks = columns / kBlockColumns;
    kernels.grouped({.format = &weight.format,
                     .tile = weight.tile(tile.begin / kTileRows),
                     .columns = columns,
                     .m = m,
                     .codes = x.codes + first * columns,
                     .scales = x.scales + first * blocks,
                     .group_sums = groups_in_block(weight.format) == 2
                                       ? x.half_sums + first * blocks * 2
                                       : x.block_sums + first * blocks,
                     .sums = sums});
  } else {
    kernels.plain({.storage = tile.storage,
                   .weight = tile.plain,
                   .rows = tile.rows,
                   .columns = weight.columns,
                   .m = m,
                   .x = x.values.row<float>(first),
                   .x_stride = x.values.strides[0],
                   .sums = sums});
  }
  const float* bias = tile.task.bias;
  for (int64_t i = 0; i < m; ++i) {
    float* y = tile.task.output.row<float>(first + i) + tile.begin;
    for (int64_t r = 0; r < tile.rows; ++r) {
      const float value = sums[i * kTileRows + r] + (bias ? bias[tile.begin + r] : 0.0f);
      y[r] = tile.task.mode == OutputMode::add ? y[r] + value : value;
    }
  }
}

int64_t tiles_of(const LinearTask& task) {
  return (task.weight->rows + kTileRows - 1) / kTileRows;
}

}  // namespace

namespace {

// Where the parts of rounded rows lie in scratch; each begins on a cache line.
struct RoundedLayout {
  RoundedLayout(int64_t rows, int64_t columns) : blocks(padded(columns) / kBlockColumns) {
    const auto lines = [](int64_t bytes) { return (bytes + 63) / 64 * 64; };
    scales = lines(rows * blocks * kBlockColumns);
    block_sums = scales + lines(rows * blocks * 4);
    half_sums = block_sums + lines(rows * blocks * 4);
    bytes = half_sums + lines(rows * blocks * 8);
  }
  int64_t blocks;
  int64_t scales, block_sums, half_sums, bytes;

  RoundedRow row(std::byte* scratch, int64_t i) const {
    return {.codes = reinterpret_cast<int8_t*>(scratch) + i * blocks * kBlockColumns,
            .scales = reinterpret_cast<float*>(scratch + scales) + i * blocks,
            .block_sums = reinterpret_cast<float*>(scratch + block_sums) + i * blocks,
            .half_sums = reinterpret_cast<float*>(scratch + half_sums) + i * blocks * 2};
  }
};

}  // namespace

int64_t activation_scratch_bytes(int64_t rows, int64_t columns) {
  return RoundedLayout(rows, columns).bytes;
}

ActivationRows prepare_activations(ThreadPool& pool, const Tensor& x, std::span<std::byte> scratch,
                                   Precision precision) {
  ActivationRows rows{.values = x};
  if (precision == Precision::full) return rows;
  const int64_t m = x.rows();
  const RoundedLayout layout(m, x.columns());
  CHECK(static_cast<int64_t>(scratch.size()) >= layout.bytes, "scratch of {} bytes, {} needed",
        scratch.size(), layout.bytes);
  const LinearKernels& kernels = linear_kernels_for(linear_isa());
  const auto round_rows = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      kernels.round_row(x.row<float>(i), x.columns(), layout.row(scratch.data(), i));
    }
  };
  // A parallel region costs more than rounding a few rows.
  if (m <= 4) {
    round_rows(0, m);
  } else {
    pool.parallel_for(m, round_rows);
  }
  const RoundedRow first = layout.row(scratch.data(), 0);
  rows.codes = first.codes;
  rows.scales = first.scales;
  rows.block_sums = first.block_sums;
  rows.half_sums = first.half_sums;
  return rows;
}

void linear(ThreadPool& pool, const ActivationRows& x, std::span<const LinearTask> tasks) {
  const LinearKernels& kernels = linear_kernels_for(linear_isa());
  const int64_t m = x.values.rows();
  // Threads share out tiles by their bytes, so that formats of different size balance.
  int64_t total_bytes = 0;
  for (const LinearTask& task : tasks) total_bytes += task.weight->size_bytes();
  pool.run([&](int thread) {
    const int threads = pool.thread_count();
    const int64_t begin_bytes = total_bytes * thread / threads;
    const int64_t end_bytes = total_bytes * (thread + 1) / threads;
    int64_t task_begin = 0;
    for (const LinearTask& task : tasks) {
      const int64_t tiles = tiles_of(task), bytes = task.weight->size_bytes();
      // Tile t belongs to the thread in whose share its first byte lies.
      const auto first_tile = [&](int64_t at) {
        const int64_t relative = std::clamp<int64_t>(at - task_begin, 0, bytes);
        return (relative * tiles + bytes - 1) / bytes;
      };
      for (int64_t tile = first_tile(begin_bytes), end = first_tile(end_bytes); tile < end;
           ++tile) {
        const WeightTile ready = make_tile(task, tile * kTileRows, x.rounded());
        for (int64_t i = 0; i < m; i += kSumRows) {
          tile_times_rows(kernels, x, ready, i, std::min(kSumRows, m - i));
        }
      }
      task_begin += bytes;
    }
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
