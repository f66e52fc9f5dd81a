#include "tensor/pack.h"

#include <bit>
#include <cstring>

#include "base/check.h"
#include "tensor/dtype.h"

namespace shoehorn {
namespace {

// A plane of `bits` bits per code: quad q of a block lies in vector q % vectors, at bit bits * (q /
// vectors).
struct Plane {
  int bits;
  int vectors() const { return bits; }  // 8 quads * bits / 8 bits a byte
};

struct Planes {
  Plane low;
  Plane high;  // bits == 0: none
};

Planes planes_of(int bits) {
  switch (bits) {
    case 8:
      return {{8}, {0}};
    case 6:
      return {{4}, {2}};
    case 5:
      return {{4}, {1}};
    case 4:
      return {{4}, {0}};
    case 3:
      return {{2}, {1}};
    case 2:
      return {{2}, {0}};
  }
  CHECK(false, "{} bits", bits);
}

struct Place {
  int64_t byte;
  int shift;
};

Place place(Plane plane, int64_t row, int64_t column) {
  const int64_t quad = column / 4;
  const int64_t vector = quad % plane.vectors();
  return {vector * 64 + row * 4 + column % 4,
          plane.bits * static_cast<int>(quad / plane.vectors())};
}

void write_plane(Plane plane, int source_shift, const BlockCodes& block, std::byte* out) {
  std::memset(out, 0, static_cast<size_t>(plane.bits) * 64);
  for (int64_t row = 0; row < kTileRows; ++row) {
    for (int64_t column = 0; column < kBlockColumns; ++column) {
      const int part = (block[row][column] >> source_shift) & ((1 << plane.bits) - 1);
      const Place at = place(plane, row, column);
      out[at.byte] |= static_cast<std::byte>(part << at.shift);
    }
  }
}

void read_plane(Plane plane, int target_shift, const std::byte* in, int64_t row,
                std::array<uint8_t, kBlockColumns>& codes) {
  // A quad at a time, its four codes side by side in one word: prompts gather thousands of rows.
  const uint32_t mask = 0x01010101u * ((1u << plane.bits) - 1);
  const int log2_vectors = std::countr_zero(static_cast<unsigned>(plane.vectors()));
  for (int quad = 0; quad < kBlockColumns / 4; ++quad) {
    const int vector = quad & (plane.vectors() - 1);
    const int shift = plane.bits * (quad >> log2_vectors);
    uint32_t word, target;
    std::memcpy(&word, in + vector * 64 + row * 4, 4);
    std::memcpy(&target, codes.data() + 4 * quad, 4);
    target |= (word >> shift & mask) << target_shift;
    std::memcpy(codes.data() + 4 * quad, &target, 4);
  }
}

float half_at(const std::byte* halves, int64_t index) {
  uint16_t bits;
  std::memcpy(&bits, halves + 2 * index, 2);
  return f16_to_float(bits);
}

}  // namespace

BlockOffsets block_offsets(const Format& format, int64_t column) {
  const int64_t header_step = header_columns(format);
  const int64_t block_bytes = block_scale_bytes(format) + block_code_bytes(format);
  const int64_t section_bytes = header_bytes(format) + header_step / kBlockColumns * block_bytes;
  BlockOffsets offsets;
  offsets.header = column / header_step * section_bytes;
  offsets.block_scales =
      offsets.header + header_bytes(format) + column % header_step / kBlockColumns * block_bytes;
  offsets.codes = offsets.block_scales + block_scale_bytes(format);
  return offsets;
}

void pack_codes(const Format& format, const BlockCodes& block, std::byte* codes) {
  const Planes planes = planes_of(format.bits);
  write_plane(planes.low, 0, block, codes);
  if (planes.high.bits > 0) {
    write_plane(planes.high, planes.low.bits, block, codes + planes.low.bits * 64);
  }
}

std::array<uint8_t, kBlockColumns> unpack_row(const Format& format, const std::byte* codes,
                                              int64_t row) {
  const Planes planes = planes_of(format.bits);
  std::array<uint8_t, kBlockColumns> values = {};
  read_plane(planes.low, 0, codes, row, values);
  if (planes.high.bits > 0) {
    read_plane(planes.high, planes.low.bits, codes + planes.low.bits * 64, row, values);
  }
  return values;
}

BlockCodes unpack_codes(const Format& format, const std::byte* codes) {
  BlockCodes block;
  for (int64_t row = 0; row < kTileRows; ++row) {
    block[static_cast<size_t>(row)] = unpack_row(format, codes, row);
  }
  return block;
}

ScaleAndMinimum scale_at(const Format& format, const std::byte* tile, int64_t row, int64_t column) {
  const BlockOffsets offsets = block_offsets(format, column / kBlockColumns * kBlockColumns);
  float scale = half_at(tile + offsets.header, row);
  float minimum = format.has_minimum() ? half_at(tile + offsets.header, kTileRows + row) : 0.0f;
  if (format.two_level()) {
    const int64_t group = column % kBlockColumns / format.group;
    if (format.scale == ScaleEncoding::two_level_packed4) {
      const int packed = static_cast<int>(tile[offsets.block_scales + group * kTileRows + row]);
      scale *= static_cast<float>(packed & 15);
      minimum *= static_cast<float>(packed >> 4);
    } else {
      const int64_t stride = format.has_minimum() ? 2 * kTileRows : kTileRows;
      const std::byte* bytes = tile + offsets.block_scales + group * stride;
      scale *= static_cast<float>(static_cast<int8_t>(bytes[row]));
      if (format.has_minimum()) {
        minimum *= static_cast<float>(static_cast<int8_t>(bytes[kTileRows + row]));
      }
    }
  }
  if (format.meaning == CodeMeaning::symmetric) {
    minimum = -scale * static_cast<float>(1 << (format.bits - 1));
  }
  return {scale, minimum};
}

}  // namespace shoehorn
