// y = x W^T for more rows than kFewRows, and in precise mode: cuBLAS over weights dequantized into
// Gpu::scratch, bf16 times bf16 on tensor cores (from some 300 rows on they are the limit), or
// float times float without TF32.
//
// Neighbouring parts are dequantized side by side, as many as scratch holds, and multiplied as one
// matrix; a part larger than scratch goes through it in slices of rows. Column parts and slices
// come in ascending order, so nothing depends on where parts lie.
#include <algorithm>
#include <bit>

#include "ops/cuda/dequantize.cuh"
#include "ops/cuda/libraries.h"
#include "ops/cuda/linear_parts.h"

namespace shoehorn {
namespace {

// Scratch is cuBLAS's workspace, then room for values.
struct Scratch {
  std::span<std::byte> workspace, values;
};
Scratch cut_scratch(std::span<std::byte> scratch) {
  const size_t workspace = std::min<size_t>(kBlasWorkspaceBytes, scratch.size() / 2) / 256 * 256;
  return {scratch.subspan(0, workspace), scratch.subspan(workspace)};
}

void check_blas(Gpu& gpu, cublasStatus_t status) {
  CHECK(status == CUBLAS_STATUS_SUCCESS, "cuBLAS: {}", gpu.libraries().blas.status_string(status));
}

// A matrix product: weight rows [rows, depth], x [m, depth] -> y [m, rows].
struct Product {
  const void* weight;
  int64_t weight_stride;
  const void* x;
  int64_t x_stride;
  float* y;
  int64_t y_stride;
  int64_t m, rows, depth;
  bool add;
};

void multiply(Gpu& gpu, const Product& p, bool bf16) {
  const float one = 1.0f, beta = p.add ? 1.0f : 0.0f;
  const cudaDataType_t type = bf16 ? CUDA_R_16BF : CUDA_R_32F;
  // cuBLAS counts by columns: y^T [rows, m] = W [rows, depth] x^T.
  check_blas(gpu,
             gpu.libraries().blas.gemm_ex(
                 gpu.libraries().blas_handle, CUBLAS_OP_T, CUBLAS_OP_N, static_cast<int>(p.rows),
                 static_cast<int>(p.m), static_cast<int>(p.depth), &one, p.weight, type,
                 static_cast<int>(p.weight_stride), p.x, type, static_cast<int>(p.x_stride), &beta,
                 p.y, CUDA_R_32F, static_cast<int>(p.y_stride),
                 bf16 ? CUBLAS_COMPUTE_32F : CUBLAS_COMPUTE_32F_PEDANTIC, CUBLAS_GEMM_DEFAULT));
}

// y[i, c] = (add ? y[i, c] : 0) + (bias ? bias[c] : 0), columns [first, first + columns).
__global__ void start_output_kernel(float* y, int64_t stride, const float* bias, int columns,
                                    bool add) {
  wait_for_previous_kernel();
  const int c = static_cast<int>(blockIdx.y * blockDim.x + threadIdx.x);
  if (c >= columns) return;
  float& value = y[static_cast<int64_t>(blockIdx.x) * stride + c];
  value = (add ? value : 0.0f) + (bias ? bias[c] : 0.0f);
}

// Parts [begin, end) of the table, all there: what is dequantized and multiplied together. Rows
// [first_row, first_row + rows) of each.
struct Piece {
  int64_t begin, end, first_row, rows;
};

class ManyRows {
 public:
  ManyRows(Gpu& gpu, const GpuActivationRows& x, const PartsTask& task)
      : gpu_(gpu),
        x_(x),
        task_(task),
        weight_(task.weight),
        bf16_(x.precision == Precision::fast && weight_.format.storage != Storage::f32),
        direct_(weight_.format.storage == (bf16_ ? Storage::bf16 : Storage::f32)) {
    CHECK(gpu.scratch().size() >= 1024, "scratch of {} bytes", gpu.scratch().size());
    const Scratch scratch = cut_scratch(gpu.scratch());
    check_blas(
        gpu, gpu.libraries().blas.set_workspace(
                 gpu.libraries().blas_handle, scratch.workspace.data(), scratch.workspace.size()));
    values_ = scratch.values;
    add_ = task.mode == OutputMode::add;
  }

  void run() {
    const auto count = static_cast<int64_t>(weight_.parts.size());
    if (task_.bias || (task_.cut_by_columns && !add_)) start_output();
    for (int64_t p = 0; p < count; ++p) {
      if (!weight_.parts[p]) continue;
      const int64_t fitting = direct_ ? 1 : values_fitting() / (weight_.rows * weight_.columns);
      if (fitting == 0) {
        run_slices(p);
        continue;
      }
      int64_t end = p + 1;
      while (end < count && weight_.parts[end] && end - p < fitting) ++end;
      run_piece({p, end, 0, weight_.rows});
      p = end - 1;
    }
  }

 private:
  int64_t value_bytes() const { return bf16_ ? 2 : 4; }
  int64_t values_fitting() const { return static_cast<int64_t>(values_.size()) / value_bytes(); }

  void start_output() {
    const Tensor& y = task_.output;
    constexpr int kThreads = 256;
    const dim3 grid(static_cast<unsigned>(y.rows()),
                    static_cast<unsigned>((y.columns() + kThreads - 1) / kThreads));
    launch_overlapped(gpu_, start_output_kernel, grid, dim3(kThreads), 0, y.row<float>(0),
                      y.strides[0], task_.bias, static_cast<int>(y.columns()), add_);
    add_ = true;
  }

  void run_slices(int64_t p) {
    const int64_t step = values_fitting() / weight_.columns / kTileRows * kTileRows;
    CHECK(step > 0, "scratch of {} bytes for rows of {} columns", gpu_.scratch().size(),
          weight_.columns);
    for (int64_t row = 0; row < weight_.rows; row += step) {
      run_piece({p, p + 1, row, std::min(step, weight_.rows - row)});
    }
  }

  void run_piece(const Piece& piece) {
    const int64_t parts = piece.end - piece.begin;
    const bool side_by_side = task_.cut_by_columns;
    const int64_t depth = side_by_side ? parts * weight_.columns : weight_.columns;
    const int64_t rows = side_by_side ? piece.rows : parts * piece.rows;
    if (!direct_) dequantize(piece, side_by_side ? weight_.columns : piece.rows * depth, depth);
    const int64_t x_column = side_by_side ? piece.begin * weight_.columns : 0;
    const int64_t y_column = piece.first_row + (side_by_side ? 0 : piece.begin * weight_.rows);
    Product product = {.weight = direct_ ? weight_.parts[piece.begin] : values_.data(),
                       .weight_stride = depth,
                       .x = x_.values.row<float>(0) + x_column,
                       .x_stride = x_.values.strides[0],
                       .y = task_.output.row<float>(0) + y_column,
                       .y_stride = task_.output.strides[0],
                       .m = x_.values.rows(),
                       .rows = rows,
                       .depth = depth,
                       .add = add_};
    if (bf16_) {
      product.x = static_cast<const __nv_bfloat16*>(x_.bf16) + x_column;
      product.x_stride = x_.values.columns();
    }
    multiply(gpu_, product, bf16_);
  }

  void dequantize(const Piece& piece, int64_t part_stride, int64_t row_stride) {
    DequantizeArguments a = {};
    std::copy(weight_.parts.begin() + piece.begin, weight_.parts.begin() + piece.end, a.parts);
    a.format = weight_.format;
    a.first_row = static_cast<int32_t>(piece.first_row);
    a.rows = static_cast<int32_t>(piece.rows);
    a.columns = static_cast<int32_t>(weight_.columns);
    a.part_stride = part_stride;
    a.row_stride = row_stride;
    const auto parts = static_cast<unsigned>(piece.end - piece.begin);
    if (bf16_) {
      launch_dequantize(a, parts, reinterpret_cast<__nv_bfloat16*>(values_.data()));
    } else {
      launch_dequantize(a, parts, reinterpret_cast<float*>(values_.data()));
    }
  }

  template <typename T>
  void launch_dequantize(DequantizeArguments a, unsigned parts, T* out) {
    constexpr int64_t kThreads = 256;
    const auto grid = [&](int64_t threads) {
      return dim3(static_cast<unsigned>((threads + kThreads - 1) / kThreads), parts);
    };
    const Format& format = a.format;
    if (format.storage == Storage::grouped) {
      a.tile_bytes = tile_bytes(format, a.columns);
      a.section_shift =
          std::countr_zero(static_cast<uint64_t>(header_columns(format) / kBlockColumns));
      a.section_bytes = static_cast<int32_t>(tile_bytes(format, header_columns(format)));
      constexpr int kColumns = kDequantizeBlocks * 32;
      const dim3 tiles(static_cast<unsigned>((a.columns + kColumns - 1) / kColumns),
                       static_cast<unsigned>((a.rows + kTileRows - 1) / kTileRows), parts);
      launch_overlapped(gpu_, dequantize_kernel<T>, tiles, dim3(kDequantizeBlocks * 64), 0, a, out);
    } else {
      const dim3 all = grid(int64_t{a.rows} * a.columns);
      const auto kernel = format.storage == Storage::f16 ? convert_kernel<__half, T>
                                                         : convert_kernel<__nv_bfloat16, T>;
      launch_overlapped(gpu_, kernel, all, dim3(kThreads), 0, a, out);
    }
  }

  Gpu& gpu_;
  const GpuActivationRows& x_;
  const PartsTask& task_;
  const SplitWeight& weight_;
  bool bf16_, direct_, add_ = false;
  std::span<std::byte> values_;
};

}  // namespace

void multiply_many_rows(Gpu& gpu, const GpuActivationRows& x, const PartsTask& task) {
  ManyRows(gpu, x, task).run();
}

}  // namespace shoehorn
