// Random weights of every format, for tests and benchmarks.
#pragma once

#include <cstring>
#include <memory>
#include <vector>

#include "base/random.h"
#include "memory/host_buffer.h"
#include "tensor/dtype.h"
#include "tensor/pack.h"
#include "tensor/weight.h"

namespace shoehorn {

// One of every kind that kernels treat differently; each valid.
inline std::vector<Format> formats_under_test() {
  std::vector<Format> formats = {kF32, kF16, kBf16};
  for (const uint8_t bits : {2, 3, 4, 5, 6, 8}) {
    for (const CodeMeaning meaning : {CodeMeaning::symmetric, CodeMeaning::with_minimum}) {
      for (const uint16_t group : {32, 64, 128, 256}) {
        if (group > 32 && bits != 4 && bits != 8) continue;
        formats.push_back({Storage::grouped, bits, group, ScaleEncoding::f16, meaning});
      }
      for (const uint16_t group : {16, 32}) {
        formats.push_back({Storage::grouped, bits, group, ScaleEncoding::two_level, meaning});
      }
    }
  }
  formats.push_back(
      {Storage::grouped, 2, 16, ScaleEncoding::two_level_packed4, CodeMeaning::with_minimum});
  formats.push_back({Storage::grouped, 4, 32, ScaleEncoding::f16, CodeMeaning::iq4nl});
  formats.push_back({Storage::grouped, 4, 32, ScaleEncoding::two_level, CodeMeaning::iq4nl});
  return formats;
}

// A weight with its bytes. Codes are uniform over all their values, scales of both signs.
struct OwnedWeight {
  HostBuffer buffer;
  Weight weight;
};

// Random bytes are valid codes and two-level scales; only the halves of the headers must be kept
// finite and small.
inline void fill_headers(const Format& format, int64_t rows, int64_t columns, Random& random,
                         std::byte* data) {
  const int64_t tiles = (rows + kTileRows - 1) / kTileRows;
  for (int64_t tile = 0; tile < tiles; ++tile) {
    std::byte* at = data + tile * tile_bytes(format, columns);
    for (int64_t c = 0; c < columns; c += header_columns(format)) {
      std::byte* header = at + block_offsets(format, c).header;
      for (int64_t i = 0; i < header_bytes(format) / 2; ++i) {
        const uint16_t half = float_to_f16(random.uniform(-0.02f, 0.02f));
        std::memcpy(header + i * 2, &half, 2);
      }
    }
  }
}

inline OwnedWeight make_weight(const Format& format, int64_t rows, int64_t columns,
                               uint64_t seed = 1) {
  Random random(seed);
  const int64_t bytes = size_bytes(format, rows, columns);
  OwnedWeight owned;
  owned.buffer = HostBuffer::create(static_cast<uint64_t>(bytes), "a weight").value();
  std::byte* data = owned.buffer.data();
  if (format.storage == Storage::grouped) {
    for (int64_t i = 0; i + 8 <= bytes; i += 8) {
      const uint64_t word = random.next();
      std::memcpy(data + i, &word, 8);
    }
    fill_headers(format, rows, columns, random, data);
  } else {
    for (int64_t i = 0; i < rows * columns; ++i) {
      const float value = random.uniform(-1.0f, 1.0f);
      const uint16_t half =
          format.storage == Storage::f16 ? float_to_f16(value) : float_to_bf16(value);
      if (format.storage == Storage::f32) {
        std::memcpy(data + i * 4, &value, 4);
      } else {
        std::memcpy(data + i * 2, &half, 2);
      }
    }
  }
  owned.weight = {format, rows, columns, data};
  return owned;
}

}  // namespace shoehorn
