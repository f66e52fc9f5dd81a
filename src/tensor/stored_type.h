// Element types as files store them: the plain types of safetensors and the block types of GGUF.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "base/result.h"
#include "tensor/format.h"

namespace shoehorn {

enum class StoredType : uint8_t {
  f32,
  f16,
  bf16,
  f8_e4m3,
  q4_0,
  q4_1,
  q5_0,
  q5_1,
  q8_0,
  q2_k,
  q3_k,
  q4_k,
  q5_k,
  q6_k,
  iq4_nl,
  iq4_xs,
};

const char* name(StoredType type);        // "F32", "Q4_K": as the file formats spell it
int64_t block_elements(StoredType type);  // 1, 32 or 256
int64_t block_bytes(StoredType type);

// Bytes of [rows, columns]; columns must be a multiple of block_elements.
int64_t stored_bytes(StoredType type, int64_t rows, int64_t columns);

// One row as floats, by the formulas of ggml's dequantizers (bit for bit where those are in float).
void dequantize_stored_row(StoredType type, const std::byte* row, int64_t columns, float* values);

}  // namespace shoehorn
