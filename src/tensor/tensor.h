// Tensor: a view of numbers that somebody else owns. Row-major, up to four dimensions, last one
// contiguous.
//
//   Tensor x = Tensor::matrix(buffer, rows, hidden_size);   // [rows, hidden_size]
//   float* row = x.row<float>(3);
#pragma once

#include <array>
#include <cstdint>

#include "base/check.h"
#include "tensor/dtype.h"

namespace shoehorn {

template <typename T>
struct DTypeOf;
template <>
struct DTypeOf<float> {
  static constexpr DType value = DType::f32;
};
template <>
struct DTypeOf<int8_t> {
  static constexpr DType value = DType::i8;
};
template <>
struct DTypeOf<int32_t> {
  static constexpr DType value = DType::i32;
};

struct Tensor {
  void* data = nullptr;
  DType dtype = DType::f32;
  int rank = 0;
  std::array<int64_t, 4> shape = {};    // elements
  std::array<int64_t, 4> strides = {};  // elements; strides[rank - 1] == 1

  // [rows, columns], rows `row_stride` elements apart (0: columns).
  template <typename T>
  static Tensor matrix(T* data, int64_t rows, int64_t columns, int64_t row_stride = 0) {
    return {data, DTypeOf<T>::value, 2, {rows, columns}, {row_stride ? row_stride : columns, 1}};
  }
  template <typename T>
  static Tensor vector(T* data, int64_t length) {
    return {data, DTypeOf<T>::value, 1, {length}, {1}};
  }

  int64_t rows() const { return shape[0]; }
  int64_t columns() const { return shape[rank - 1]; }

  // The first element of row i of the first dimension.
  template <typename T>
  T* row(int64_t i) const {
    CHECK(dtype == DTypeOf<T>::value, "tensor is {}", name(dtype));
    return static_cast<T*>(data) + i * strides[0];
  }
  // Rows [begin, end) of the first dimension.
  Tensor slice(int64_t begin, int64_t end) const {
    CHECK(0 <= begin && begin <= end && end <= shape[0], "rows [{}, {}) of {}", begin, end,
          shape[0]);
    Tensor view = *this;
    view.data = static_cast<char*>(data) + begin * strides[0] * size_bytes(dtype);
    view.shape[0] = end - begin;
    return view;
  }
};

}  // namespace shoehorn
