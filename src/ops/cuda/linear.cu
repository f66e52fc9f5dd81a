// Linear layers on a card: tasks sorted into launches.
//
//   linear_few_rows.cuh   grouped weights, up to kRoundedRows rows
//   linear_plain.cu       plain weights, up to kFewRows rows
//   linear_many_rows.cu   more rows, and precise mode
#include "ops/linear.h"

#include <algorithm>
#include <bit>

#include "ops/cuda/launch.cuh"
#include "ops/cuda/linear_parts.h"

namespace shoehorn {

namespace {

FewRowsKernels few_rows_kernels(const Format& format) {
  CHECK(is_valid(format), "{}", name(format));
  switch (format.bits) {
    case 2:
      return few_rows_kernels_2(format);
    case 3:
      return few_rows_kernels_3(format);
    case 4:
      return few_rows_kernels_4(format);
    case 5:
      return few_rows_kernels_5(format);
    case 6:
      return few_rows_kernels_6(format);
    default:
      return few_rows_kernels_8(format);
  }
}

// Tasks whose formats have the same kernel, filled up and then launched.
class LaunchFiller {
 public:
  LaunchFiller(Gpu& gpu, const GpuActivationRows& x) : gpu_(gpu), x_(x) {}

  void add(const PartsTask& task) {
    const SplitWeight& weight = task.weight;
    const auto there = std::count_if(weight.parts.begin(), weight.parts.end(),
                                     [](const std::byte* part) { return part != nullptr; });
    if (there == 0 && !task.cut_by_columns) return;
    const bool grouped = weight.format.storage == Storage::grouped;
    const FewRowsKernels kernels = grouped ? few_rows_kernels(weight.format) : FewRowsKernels{};
    if (launch_.task_count > 0 &&
        (kernels != kernels_ || (!grouped && weight.format.storage != storage_) ||
         launch_.task_count == kLaunchTasks || parts_ + there > kLaunchParts)) {
      flush();
    }
    kernels_ = kernels;
    storage_ = weight.format.storage;
    append(task, static_cast<int32_t>(there));
  }

  void flush() {
    if (launch_.units > 0) {
      launch_.m = static_cast<int32_t>(x_.values.rows());
      if (kernels_.of_16.function) {
        CHECK(x_.codes != nullptr, "rows were not rounded");
        launch_few_rows(gpu_, kernels_, launch_,
                        {x_.codes, x_.scales, x_.block_sums, x_.half_sums,
                         static_cast<int32_t>(padded_few_rows(launch_.m))});
      } else {
        plain_few_rows(gpu_, storage_, launch_, {x_.values.row<float>(0), x_.values.strides[0]});
      }
    }
    launch_.task_count = launch_.units = parts_ = 0;
  }

 private:
  void append(const PartsTask& task, int32_t there) {
    const SplitWeight& weight = task.weight;
    const bool grouped = weight.format.storage == Storage::grouped;
    const int64_t unit_rows = grouped ? 2 * kTileRows : kPlainRows;
    LaunchTask& entry = launch_.tasks[launch_.task_count++];
    entry = {.output = task.output.row<float>(0),
             .bias = task.bias,
             .output_stride = task.output.strides[0],
             .part_tile_bytes = 0,
             .rows = static_cast<int32_t>(weight.rows),
             .columns = static_cast<int32_t>(weight.columns),
             .first_part = parts_,
             .parts = there,
             .first_unit = launch_.units,
             .units_of_part = static_cast<int32_t>((weight.rows + unit_rows - 1) / unit_rows),
             .units_reciprocal = 0,
             .section_shift = 0,
             .block_bytes = 0,
             .cut_by_columns = task.cut_by_columns,
             .add = task.mode == OutputMode::add,
             .whole = weight.parts.size() == 1,
             .two_level = weight.format.two_level()};
    const int64_t units = entry.units_of_part;
    CHECK(units * there < 65536, "{} units", units * there);  // kernels divide by multiplying
    if (units > 1)
      entry.units_reciprocal = static_cast<uint32_t>(((int64_t{1} << 32) + units - 1) / units);
    if (grouped) {
      const auto section = static_cast<uint64_t>(header_columns(weight.format) / kBlockColumns);
      entry.part_tile_bytes = tile_bytes(weight.format, weight.columns);
      entry.section_shift = std::countr_zero(section);
      entry.block_bytes =
          static_cast<int32_t>(block_scale_bytes(weight.format) + block_code_bytes(weight.format));
    }
    for (size_t p = 0; p < weight.parts.size(); ++p) {
      if (!weight.parts[p]) continue;
      launch_.parts[parts_] = weight.parts[p];
      launch_.places[parts_++] = static_cast<uint8_t>(p);
    }
    launch_.units += entry.units_of_part * (task.cut_by_columns ? 1 : there);
  }

  Gpu& gpu_;
  const GpuActivationRows& x_;
  Launch launch_ = {};
  int32_t parts_ = 0;
  FewRowsKernels kernels_;
  Storage storage_ = Storage::f32;
};

void check_task(const GpuActivationRows& x, const PartsTask& task) {
  const auto parts = static_cast<int64_t>(task.weight.parts.size());
  const int64_t rows = task.weight.rows * (task.cut_by_columns ? 1 : parts);
  const int64_t columns = task.weight.columns * (task.cut_by_columns ? parts : 1);
  CHECK(parts <= kMaxParts, "{} parts", parts);
  CHECK(x.values.columns() == columns, "x has {} columns, W {}", x.values.columns(), columns);
  CHECK(task.output.rows() == x.values.rows() && task.output.columns() == rows,
        "output [{}, {}], [{}, {}] expected", task.output.rows(), task.output.columns(),
        x.values.rows(), rows);
  CHECK(!task.cut_by_columns || parts == 1 || task.weight.columns % kBlockColumns == 0,
        "parts of {} columns", task.weight.columns);
}

// Tasks one after another, each kind of kernel in one launch where they follow each other.
template <typename Tasks>
void run_tasks(Gpu& gpu, const GpuActivationRows& x, const Tasks& for_each_task) {
  LaunchFiller filler(gpu, x);
  for_each_task([&](const PartsTask& task) {
    check_task(x, task);
    const Format& format = task.weight.format;
    const int64_t few = format.storage == Storage::grouped ? rounded_rows(format) : kFewRows;
    if (x.precision == Precision::fast && x.values.rows() <= few) {
      filler.add(task);
    } else {
      multiply_many_rows(gpu, x, task);
    }
  });
  filler.flush();
}

}  // namespace

void linear(Gpu& gpu, const GpuActivationRows& x, std::span<const LinearTask> tasks) {
  run_tasks(gpu, x, [&](const auto& run) {
    for (const LinearTask& task : tasks) {
      const Weight& weight = *task.weight;
      run({.weight = {weight.format, weight.rows, weight.columns, {&weight.data, 1}},
           .bias = task.bias,
           .output = task.output,
           .mode = task.mode});
    }
  });
}

void linear_row_parts(Gpu& gpu, const GpuActivationRows& x, std::span<const RowPartsTask> tasks) {
  run_tasks(gpu, x, [&](const auto& run) {
    for (const RowPartsTask& task : tasks) run({.weight = task.weight, .output = task.output});
  });
}

void linear_column_parts(Gpu& gpu, const GpuActivationRows& x, const SplitWeight& weight,
                         const Tensor& output, OutputMode mode) {
  run_tasks(gpu, x, [&](const auto& run) {
    run({.weight = weight, .cut_by_columns = true, .output = output, .mode = mode});
  });
}

}  // namespace shoehorn
