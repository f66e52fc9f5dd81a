// Random weights in the types of GGUF: random bytes for the codes, then fixed scales over them, so
// that memory and not the generator sets the speed.

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <vector>

#include "base/random.h"
#include "models/synthetic.h"
#include "tensor/dtype.h"

namespace shoehorn {
namespace {

// A field of a block as it is written over the noise.
struct Half {
  int64_t offset;
  double factor;  // of the block's unit scale
};
struct Constant {
  int64_t offset, count;
  uint8_t value;
};
// Where a type keeps its scales (layouts: ggml-common.h), with scales of sub-blocks in the middle
// of their range and minimums such that the mean is 0.
struct Recipe {
  StoredType type;
  std::vector<Half> halves;
  std::vector<Constant> constants;
};

const Recipe& recipe_of(StoredType type) {
  static const std::vector<Recipe> kRecipes = {
      {StoredType::q4_0, {{0, 1}}, {}},
      {StoredType::q4_1, {{0, 1}, {2, -7.5}}, {}},
      {StoredType::q5_0, {{0, 1}}, {}},
      {StoredType::q5_1, {{0, 1}, {2, -15.5}}, {}},
      {StoredType::q8_0, {{0, 1}}, {}},
      // Scale and minimum of each sub-block are 8 in their nibbles; codes 0 to 3.
      {StoredType::q2_k, {{80, 1}, {82, 1.5}}, {{0, 16, 0x88}}},
      // Six-bit scales less 32: low bits 0, high bits 3, so 16; codes -4 to 3.
      {StoredType::q3_k, {{108, 1}}, {{96, 8, 0x00}, {104, 4, 0xFF}}},
      // All scales and minimums are 16 in the 6-bit packing of 12 bytes.
      {StoredType::q4_k, {{0, 1}, {2, 7.5}}, {{4, 8, 0x50}, {12, 4, 0x00}}},
      {StoredType::q5_k, {{0, 1}, {2, 15.5}}, {{4, 8, 0x50}, {12, 4, 0x00}}},
      {StoredType::q6_k, {{208, 1}}, {{192, 16, 16}}},
      {StoredType::iq4_nl, {{0, 1}}, {}},
      // Six-bit scales less 32: low bits 0, high bits 3, so 16.
      {StoredType::iq4_xs, {{0, 1}}, {{2, 2, 0xFF}, {4, 4, 0x00}}},
  };
  const auto found = std::find_if(kRecipes.begin(), kRecipes.end(),
                                  [&](const Recipe& recipe) { return recipe.type == type; });
  CHECK(found != kRecipes.end(), "no random blocks of {}", name(type));
  return *found;
}

void fill_noise(Random& random, std::span<std::byte> bytes) {
  size_t i = 0;
  for (; i + 8 <= bytes.size(); i += 8) {
    const uint64_t word = random.next();
    std::memcpy(bytes.data() + i, &word, 8);
  }
  const uint64_t word = random.next();
  std::memcpy(bytes.data() + i, &word, bytes.size() - i);
}

void write_scales(const Recipe& recipe, double unit, std::span<std::byte> bytes) {
  const auto step = static_cast<size_t>(block_bytes(recipe.type));
  for (const Half& half : recipe.halves) {
    const uint16_t bits = float_to_f16(static_cast<float>(half.factor * unit));
    for (size_t i = static_cast<size_t>(half.offset); i < bytes.size(); i += step) {
      std::memcpy(bytes.data() + i, &bits, sizeof(bits));
    }
  }
  for (const Constant& constant : recipe.constants) {
    for (size_t i = static_cast<size_t>(constant.offset); i < bytes.size(); i += step) {
      std::memset(bytes.data() + i, constant.value, static_cast<size_t>(constant.count));
    }
  }
}

// Standard deviation of the weights of random blocks with a unit scale of 1.
double unit_deviation(const Recipe& recipe) {
  constexpr int64_t kSample = 1 << 16;
  std::vector<std::byte> blocks(static_cast<size_t>(stored_bytes(recipe.type, 1, kSample)));
  Random random(1);
  fill_noise(random, blocks);
  write_scales(recipe, 1, blocks);
  std::vector<float> values(kSample);
  dequantize_stored_row(recipe.type, blocks.data(), kSample, values.data());
  double squares = 0;
  for (const float value : values) squares += static_cast<double>(value) * value;
  return std::sqrt(squares / kSample);
}

// 16-bit floats: 65536 of them, uniform with the deviation asked for, drawn by 16 random bits each.
std::vector<uint16_t> value_table(StoredType type, double deviation) {
  const auto bound = static_cast<float>(deviation * std::sqrt(3.0));
  std::vector<uint16_t> table(1 << 16);
  for (size_t i = 0; i < table.size(); ++i) {
    const float value = bound * (static_cast<float>(i) - 32767.5f) / 32767.5f;
    table[i] = type == StoredType::f16 ? float_to_f16(value) : float_to_bf16(value);
  }
  return table;
}

void fill_16_bit(Random& random, const std::vector<uint16_t>& table, std::span<std::byte> bytes) {
  for (size_t i = 0; i < bytes.size(); i += 8) {
    const uint64_t word = random.next();
    std::array<uint16_t, 4> values = {table[word & 0xFFFF], table[word >> 16 & 0xFFFF],
                                      table[word >> 32 & 0xFFFF], table[word >> 48]};
    std::memcpy(bytes.data() + i, values.data(), std::min<size_t>(8, bytes.size() - i));
  }
}

void fill_f32(Random& random, double deviation, std::span<std::byte> bytes) {
  const auto bound = static_cast<float>(deviation * std::sqrt(3.0));
  for (size_t i = 0; i < bytes.size(); i += sizeof(float)) {
    const float value = random.uniform(-bound, bound);
    std::memcpy(bytes.data() + i, &value, sizeof(value));
  }
}

}  // namespace

StoredType block_type_for(StoredType wanted, int64_t columns) {
  if (columns % block_elements(wanted) == 0) return wanted;
  switch (wanted) {
    case StoredType::q2_k:
    case StoredType::q3_k:
    case StoredType::q4_k:
      return StoredType::q4_0;
    case StoredType::q5_k:
      return StoredType::q5_0;
    case StoredType::iq4_xs:
      return StoredType::iq4_nl;
    default:
      return StoredType::q8_0;
  }
}

void fill_random(ThreadPool& pool, StoredType type, double deviation, uint64_t seed,
                 std::span<std::byte> bytes) {
  // A chunk has a generator of its own, so that any thread may fill it.
  constexpr int64_t kChunkBlocks = 1 << 15;
  const int64_t chunk_bytes = kChunkBlocks * block_bytes(type);
  const auto total = static_cast<int64_t>(bytes.size());
  const bool grouped = block_elements(type) > 1;
  const Recipe* recipe = grouped ? &recipe_of(type) : nullptr;
  const double unit = grouped ? deviation / unit_deviation(*recipe) : 0;
  const bool half_width = type == StoredType::f16 || type == StoredType::bf16;
  const std::vector<uint16_t> table =
      half_width ? value_table(type, deviation) : std::vector<uint16_t>();
  pool.parallel_for((total + chunk_bytes - 1) / chunk_bytes, [&](int64_t begin, int64_t end) {
    for (int64_t chunk = begin; chunk < end; ++chunk) {
      const int64_t at = chunk * chunk_bytes;
      const std::span<std::byte> part = bytes.subspan(
          static_cast<size_t>(at), static_cast<size_t>(std::min(chunk_bytes, total - at)));
      Random random(seed * 0x9E3779B97F4A7C15u + static_cast<uint64_t>(chunk));
      if (grouped) {
        fill_noise(random, part);
        write_scales(*recipe, unit, part);
      } else if (half_width) {
        fill_16_bit(random, table, part);
      } else {
        fill_f32(random, deviation, part);
      }
    }
  });
}

}  // namespace shoehorn
