// Block layouts and formulas: ggml's dequantizers, https://github.com/ggml-org/ggml
// (src/ggml-common.h and ggml-quants.c). All halves and words are little-endian.
#include "tensor/stored_type.h"

#include <cstring>

#include "base/check.h"
#include "tensor/dtype.h"
#include "tensor/stored_blocks.h"

namespace shoehorn {
namespace {

int low(uint8_t byte) {
  return byte & 15;
}
int high(uint8_t byte) {
  return byte >> 4;
}

float half(const uint8_t* bytes) {
  return f16_to_float(read_u16(bytes));
}

void dequantize(const BlockQ4_0& block, float* y) {
  const float d = half(block.d);
  for (int j = 0; j < 16; ++j) {
    y[j] = static_cast<float>(low(block.qs[j]) - 8) * d;
    y[j + 16] = static_cast<float>(high(block.qs[j]) - 8) * d;
  }
}

void dequantize(const BlockQ4_1& block, float* y) {
  const float d = half(block.d);
  const float m = half(block.m);
  for (int j = 0; j < 16; ++j) {
    y[j] = static_cast<float>(low(block.qs[j])) * d + m;
    y[j + 16] = static_cast<float>(high(block.qs[j])) * d + m;
  }
}

// The fifth bits of columns j and j + 16 of a Q5_0 or Q5_1 block, in place.
int fifth_bit(uint32_t qh, int column) {
  return static_cast<int>(qh >> column & 1) << 4;
}

void dequantize(const BlockQ5_0& block, float* y) {
  const float d = half(block.d);
  const uint32_t qh = read_u32(block.qh);
  for (int j = 0; j < 16; ++j) {
    y[j] = static_cast<float>((low(block.qs[j]) | fifth_bit(qh, j)) - 16) * d;
    y[j + 16] = static_cast<float>((high(block.qs[j]) | fifth_bit(qh, j + 16)) - 16) * d;
  }
}

void dequantize(const BlockQ5_1& block, float* y) {
  const float d = half(block.d);
  const float m = half(block.m);
  const uint32_t qh = read_u32(block.qh);
  for (int j = 0; j < 16; ++j) {
    y[j] = static_cast<float>(low(block.qs[j]) | fifth_bit(qh, j)) * d + m;
    y[j + 16] = static_cast<float>(high(block.qs[j]) | fifth_bit(qh, j + 16)) * d + m;
  }
}

void dequantize(const BlockQ8_0& block, float* y) {
  const float d = half(block.d);
  for (int j = 0; j < 32; ++j) y[j] = static_cast<float>(static_cast<int8_t>(block.qs[j])) * d;
}

// K-quants cut their 256 columns into 8 sub-blocks of 32; b is a sub-block, l a column in it.

void dequantize(const BlockQ2_K& block, float* y) {
  const float d = half(block.d);
  const float dmin = half(block.dmin);
  for (int column = 0; column < 256; ++column) {
    const int b = column / 32;
    const int l = column % 32;
    const uint8_t scale = block.scales[column / 16];
    const int q = block.qs[32 * (b / 4) + l] >> (2 * (b % 4)) & 3;
    y[column] = d * static_cast<float>(low(scale)) * static_cast<float>(q) -
                dmin * static_cast<float>(high(scale));
  }
}

void dequantize(const BlockQ3_K& block, float* y) {
  const float d = half(block.d);
  for (int column = 0; column < 256; ++column) {
    const int b = column / 32;
    const int l = column % 32;
    const int q =
        (block.qs[32 * (b / 4) + l] >> (2 * (b % 4)) & 3) - (block.hmask[l] >> b & 1 ? 0 : 4);
    y[column] = d * static_cast<float>(q3_k_scale(block, column / 16)) * static_cast<float>(q);
  }
}

void dequantize(const BlockQ4_K& block, float* y) {
  const float d = half(block.d);
  const float dmin = half(block.dmin);
  for (int b = 0; b < 8; ++b) {
    const ScaleAndMinimum6 s = k_scale_and_minimum(block.scales, b);
    const float scale = d * static_cast<float>(s.scale);
    const float minimum = dmin * static_cast<float>(s.minimum);
    for (int l = 0; l < 32; ++l) {
      const int q = block.qs[32 * (b / 2) + l] >> (4 * (b % 2)) & 15;
      y[32 * b + l] = scale * static_cast<float>(q) - minimum;
    }
  }
}

void dequantize(const BlockQ5_K& block, float* y) {
  const float d = half(block.d);
  const float dmin = half(block.dmin);
  for (int b = 0; b < 8; ++b) {
    const ScaleAndMinimum6 s = k_scale_and_minimum(block.scales, b);
    const float scale = d * static_cast<float>(s.scale);
    const float minimum = dmin * static_cast<float>(s.minimum);
    for (int l = 0; l < 32; ++l) {
      const int q = (block.qs[32 * (b / 2) + l] >> (4 * (b % 2)) & 15) | (block.qh[l] >> b & 1)
                                                                             << 4;
      y[32 * b + l] = scale * static_cast<float>(q) - minimum;
    }
  }
}

void dequantize(const BlockQ6_K& block, float* y) {
  const float d = half(block.d);
  for (int column = 0; column < 256; ++column) {
    const int n = column / 128;
    const int j = column % 128 / 32;
    const int l = column % 32;
    const int nibble = block.ql[64 * n + 32 * (j % 2) + l] >> (4 * (j / 2)) & 15;
    const int q = (nibble | (block.qh[32 * n + l] >> (2 * j) & 3) << 4) - 32;
    y[column] = d * static_cast<float>(static_cast<int8_t>(block.scales[column / 16])) *
                static_cast<float>(q);
  }
}

void dequantize(const BlockIQ4_NL& block, float* y) {
  const float d = half(block.d);
  for (int j = 0; j < 16; ++j) {
    y[j] = d * static_cast<float>(kIq4nl[low(block.qs[j])]);
    y[j + 16] = d * static_cast<float>(kIq4nl[high(block.qs[j])]);
  }
}

void dequantize(const BlockIQ4_XS& block, float* y) {
  const float d = half(block.d);
  for (int b = 0; b < 8; ++b) {
    const float scale = d * static_cast<float>(iq4_xs_scale(block, b));
    const uint8_t* qs = block.qs + 16 * b;
    for (int j = 0; j < 16; ++j) {
      y[32 * b + j] = scale * static_cast<float>(kIq4nl[low(qs[j])]);
      y[32 * b + 16 + j] = scale * static_cast<float>(kIq4nl[high(qs[j])]);
    }
  }
}

template <typename Block>
void dequantize_blocks(const std::byte* row, int64_t columns, float* values) {
  for (int64_t i = 0; i < columns / Block::kElements; ++i) {
    Block block;
    std::memcpy(&block, row + i * static_cast<int64_t>(sizeof(Block)), sizeof(Block));
    dequantize(block, values + i * Block::kElements);
  }
}

void dequantize_plain(StoredType type, const std::byte* row, int64_t columns, float* values) {
  const auto* bytes = reinterpret_cast<const uint8_t*>(row);
  for (int64_t i = 0; i < columns; ++i) {
    if (type == StoredType::f16) {
      values[i] = f16_to_float(read_u16(bytes + 2 * i));
    } else if (type == StoredType::bf16) {
      values[i] = bf16_to_float(read_u16(bytes + 2 * i));
    } else {
      values[i] = f8_e4m3_to_float(bytes[i]);
    }
  }
}

}  // namespace

const char* name(StoredType type) {
  switch (type) {
    case StoredType::f32:
      return "F32";
    case StoredType::f16:
      return "F16";
    case StoredType::bf16:
      return "BF16";
    case StoredType::f8_e4m3:
      return "F8_E4M3";
    case StoredType::q4_0:
      return "Q4_0";
    case StoredType::q4_1:
      return "Q4_1";
    case StoredType::q5_0:
      return "Q5_0";
    case StoredType::q5_1:
      return "Q5_1";
    case StoredType::q8_0:
      return "Q8_0";
    case StoredType::q2_k:
      return "Q2_K";
    case StoredType::q3_k:
      return "Q3_K";
    case StoredType::q4_k:
      return "Q4_K";
    case StoredType::q5_k:
      return "Q5_K";
    case StoredType::q6_k:
      return "Q6_K";
    case StoredType::iq4_nl:
      return "IQ4_NL";
    case StoredType::iq4_xs:
      return "IQ4_XS";
  }
  return "?";
}

int64_t block_elements(StoredType type) {
  return visit_block(
      type, []<typename Block>() { return Block::kElements; }, int64_t{1});
}

int64_t block_bytes(StoredType type) {
  switch (type) {
    case StoredType::f32:
      return 4;
    case StoredType::f16:
    case StoredType::bf16:
      return 2;
    case StoredType::f8_e4m3:
      return 1;
    default:
      return visit_block(
          type, []<typename Block>() { return static_cast<int64_t>(sizeof(Block)); }, int64_t{0});
  }
}

int64_t stored_bytes(StoredType type, int64_t rows, int64_t columns) {
  CHECK(columns % block_elements(type) == 0, "{} columns of {}", columns, name(type));
  return rows * (columns / block_elements(type)) * block_bytes(type);
}

void dequantize_stored_row(StoredType type, const std::byte* row, int64_t columns, float* values) {
  CHECK(columns % block_elements(type) == 0, "{} columns of {}", columns, name(type));
  if (columns == 0) return;  // then the pointers may be null
  if (type == StoredType::f32) {
    std::memcpy(values, row, static_cast<size_t>(columns) * sizeof(float));
  } else if (block_elements(type) == 1) {
    dequantize_plain(type, row, columns, values);
  } else {
    visit_block(
        type,
        [&]<typename Block>() {
          dequantize_blocks<Block>(row, columns, values);
          return true;
        },
        false);
  }
}

}  // namespace shoehorn
