// A tensor as a file holds it: a name, a type, a shape and a view of bytes.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "base/file.h"
#include "tensor/stored_type.h"

namespace shoehorn {

struct StoredTensor {
  std::string name;
  StoredType type = StoredType::f32;
  std::vector<int64_t> shape;        // row-major: [out, in] for a matrix (GGUF's ne[] reversed)
  std::span<const std::byte> bytes;  // exactly the tensor's bytes, any alignment
  int32_t file = 0;                  // index of the map that holds them, for MappedFile::release

  int64_t columns() const { return shape.empty() ? 1 : shape.back(); }
  int64_t rows() const {
    int64_t rows = 1;
    for (size_t i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];
    return rows;
  }
};

// Tensors that a file holds in a type Shoehorn cannot compute with: name to the type's name. They
// are no error until somebody needs one.
using UnsupportedTensors = std::map<std::string, std::string, std::less<>>;

}  // namespace shoehorn
