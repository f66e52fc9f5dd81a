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

// Rows [begin, begin + 16) of one task for activation rows [first, first + m), m <= kSumRows.
void tile_times_rows(const LinearKernels& kernels, const ActivationRows& x, const LinearTask& task,
                     int64_t begin, int64_t first, int64_t m) {
  const Weight& weight = *task.weight;
  const int64_t rows = std::min(kTileRows, weight.rows - begin);
  alignas(64) float sums[kSumRows * kTileRows];
  if (weight.format.storage == Storage::grouped && x.rounded()) {
    const int64_t columns = padded(weight.columns);
    kernels.grouped({.format = &weight.format,
                     .tile = weight.tile(begin / kTileRows),
                     .columns = columns,
                     .m = m,
                     .codes = x.codes + first * columns,
                     .scales = x.scales + first * columns / 32,
                     .half_sums = x.half_sums + first * columns / 16,
                     .sums = sums});
  } else {
    PlainArguments plain = {.storage = weight.format.storage,
                            .rows = rows,
                            .columns = weight.columns,
                            .m = m,
                            .x = x.values.row<float>(first),
                            .x_stride = x.values.strides[0],
                            .sums = sums};
    if (weight.format.storage == Storage::grouped) {
      thread_local std::vector<float> dequantized;
      dequantized.resize(static_cast<size_t>(kTileRows * weight.columns));
      for (int64_t r = 0; r < rows; ++r) {
        dequantize_row(weight, begin + r, dequantized.data() + r * weight.columns);
      }
      plain.storage = Storage::f32;
      plain.weight = reinterpret_cast<const std::byte*>(dequantized.data());
    } else {
      plain.weight =
          weight.data + begin * weight.columns * (weight.format.storage == Storage::f32 ? 4 : 2);
    }
    kernels.plain(plain);
  }
  for (int64_t i = 0; i < m; ++i) {
    float* y = task.output.row<float>(first + i) + begin;
    for (int64_t r = 0; r < rows; ++r) {
      const float value = sums[i * kTileRows + r] + (task.bias ? task.bias[begin + r] : 0.0f);
      y[r] = task.mode == OutputMode::add ? y[r] + value : value;
    }
  }
}

int64_t tiles_of(const LinearTask& task) {
  return (task.weight->rows + kTileRows - 1) / kTileRows;
}

}  // namespace

int64_t activation_scratch_bytes(int64_t rows, int64_t columns) {
  const int64_t c = padded(columns);
  return (rows * c + 63) / 64 * 64 + (rows * c / 32 * 4 + 63) / 64 * 64 + rows * c / 16 * 4;
}

ActivationRows prepare_activations(ThreadPool& pool, const Tensor& x, std::span<std::byte> scratch,
                                   Precision precision) {
  ActivationRows rows{.values = x};
  if (precision == Precision::full) return rows;
  const int64_t m = x.rows(), c = padded(x.columns());
  CHECK(static_cast<int64_t>(scratch.size()) >= activation_scratch_bytes(m, x.columns()),
        "scratch of {} bytes", scratch.size());
  auto* codes = reinterpret_cast<int8_t*>(scratch.data());
  auto* scales = reinterpret_cast<float*>(codes + (m * c + 63) / 64 * 64);
  auto* half_sums = reinterpret_cast<int32_t*>(reinterpret_cast<std::byte*>(scales) +
                                               (m * c / 32 * 4 + 63) / 64 * 64);
  const LinearKernels& kernels = linear_kernels_for(linear_isa());
  const auto round_rows = [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      kernels.round_row(x.row<float>(i), x.columns(), codes + i * c, scales + i * c / 32,
                        half_sums + i * c / 16);
    }
  };
  if (m <= 4) {
    round_rows(0, m);
  } else {
    pool.parallel_for(m, round_rows);
  }
  rows.codes = codes;
  rows.scales = scales;
  rows.half_sums = half_sums;
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
        for (int64_t i = 0; i < m; i += kSumRows) {
          tile_times_rows(kernels, x, task, tile * kTileRows, i, std::min(kSumRows, m - i));
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
