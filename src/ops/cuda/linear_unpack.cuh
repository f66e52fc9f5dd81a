// A grouped weight as the int8 tensor cores take it: where things lie in a staged piece of two
// tiles, and codes and scales in a thread's registers.
//
// mma.m16n8k32 multiplies 16 weight rows by 32 columns. Lane 4 g + t holds, as 32-bit words of four
// neighbouring columns (a quad), quad t and quad t + 4 of its rows "g" and "g + 8". The layout of
// tensor/format.h was made for that: a word of a 4-bit plane's vector t is one row's quad t (low
// nibbles) and quad t + 4 (high nibbles). Which weight rows are called g and g + 8 is free, so each
// lane takes four neighbouring rows of a tile, 16 bytes of each vector at once, and two MMAs cover
// the 32 rows of two tiles (lanes 0..15 hold the first tile, lanes 16..31 the second).
//
// Codes are moved to the top of their bytes, u << (8 - bits): unpacking is then a shift and a mask
// each. Symmetric formats flip the top bit: as a signed byte that is (u - offset) << (8 - bits), so
// that they need no correction term at all. The power of two is taken out of the finished sum.
#pragma once

#include <cuda_fp16.h>

#include <cstdint>

#include "tensor/format.h"

namespace shoehorn {

// Where scales are. each_block: in a header of every block of 32 columns. sections: in a header of
// several blocks; with two-level scales, in every block too. halves: two-level, two groups of 16
// columns in every block. packed4: the same, scale and minimum in one byte.
enum class Scales { each_block, sections, halves, packed4 };

// A value that the compiler keeps in its register: a shuffle onto itself cannot be computed again.
// Loops would else rebuild what depends on the lane from its index in every round.
__device__ inline int pinned(int value) {
  return __shfl_sync(0xFFFFFFFFu, value, static_cast<int>(threadIdx.x % 32));
}

// Loads by address in shared memory. (Through pointers, the window's base is added every time.)
__device__ inline uint4 load_16(uint32_t address) {
  uint4 v;
  asm volatile("ld.shared.v4.b32 {%0, %1, %2, %3}, [%4];"
               : "=r"(v.x), "=r"(v.y), "=r"(v.z), "=r"(v.w)
               : "r"(address)
               : "memory");
  return v;
}
__device__ inline uint2 load_8(uint32_t address) {
  uint2 v;
  asm volatile("ld.shared.v2.b32 {%0, %1}, [%2];" : "=r"(v.x), "=r"(v.y) : "r"(address) : "memory");
  return v;
}
__device__ inline uint32_t load_4(uint32_t address) {
  uint32_t v;
  asm volatile("ld.shared.b32 %0, [%1];" : "=r"(v) : "r"(address) : "memory");
  return v;
}

// (a & mask) ^ flip as the one instruction it is: two constants would else make it two.
__device__ inline uint32_t masked_flipped(uint32_t a, uint32_t mask, uint32_t flip) {
  uint32_t result;
  asm("lop3.b32 %0, %1, %2, %3, 0x6A;" : "=r"(result) : "r"(a), "r"(mask), "r"(flip));
  return result;
}

__device__ inline uint32_t rotate_left(uint32_t word, int count) {
  return __funnelshift_l(word, word, static_cast<uint32_t>(count));
}

template <int kBits_, Scales kScales_, CodeMeaning kMeaning_>
struct GroupedFormat {
  static constexpr int kBits = kBits_;
  static constexpr Scales kScales = kScales_;
  static constexpr bool kHasMinimum = kMeaning_ == CodeMeaning::with_minimum;
  static constexpr bool kCodebook = kMeaning_ == CodeMeaning::iq4nl;
  static constexpr bool kSigned = !kHasMinimum;
  static constexpr int kGroups = kScales == Scales::halves || kScales == Scales::packed4 ? 2 : 1;
  // Formats of files, or as easy to make. The rest works at the speed of the kernel for 16 rows.
  static constexpr bool kUsual =
      kScales != Scales::halves ||
      (kMeaning_ == CodeMeaning::symmetric && (kBits == 3 || kBits == 6));
  // Codes stand this much too high in their bytes.
  static constexpr float kShifted = kCodebook ? 1.0f : static_cast<float>(1 << (8 - kBits));

  static constexpr int kHeaderBytes = kHasMinimum ? 64 : 32;
  static constexpr int kCodeBytes = kBits * 64;
  // Of a block, two-level scales of a group; where scales are in sections, only if those are.
  static constexpr int kGroupScaleBytes = kScales == Scales::each_block               ? 0
                                          : kHasMinimum && kScales != Scales::packed4 ? 32
                                                                                      : 16;
  static constexpr int kBlockScaleBytes = kGroups * kGroupScaleBytes;

  // A stage is what a warp fetches at once: some blocks of 32 columns of two tiles. Of each tile:
  // the header of the blocks' section, then the blocks; or blocks, each with its header.
  static constexpr int kStageBlocks =
      (kBits <= 4 ? 2 : 1) * (kScales == Scales::each_block ? 2 : 1);
  static constexpr int kTileBytes =
      kScales == Scales::each_block ? kStageBlocks * (kHeaderBytes + kCodeBytes)
                                    : kHeaderBytes + kStageBlocks * (kBlockScaleBytes + kCodeBytes);
  static constexpr int kStageBytes = 2 * kTileBytes;
  static constexpr int kSlotBytes = kStageBytes + 16;  // with a barrier behind it
};

// What a lane reads of a staged block: its tile, its four rows 4 * four .. + 3, its quads `quad`
// and `quad + 4`; in bytes from the start of the stage where it can be said once for all blocks.
template <class F>
struct LaneShare {
  int tile, four, quad;
  int wide;            // vector `quad` of a plane, at the four rows
  int narrow, shared;  // vectors `quad` % 2 and 0
  int halves, bytes;   // scales of the four rows, in a header and in a block

  __device__ explicit LaneShare(int lane) : tile(lane >> 4), four(lane >> 2 & 3), quad(lane & 3) {
    const int start = tile * F::kTileBytes;
    shared = pinned(start + four * 16);
    wide = pinned(start + four * 16 + quad * 64);
    narrow = pinned(start + four * 16 + (quad & 1) * 64);
    halves = pinned(start + four * 8);
    bytes = pinned(start + four * 4);
  }
};

// The code book for eight nibbles: low[i], high[i] of byte i.
__device__ inline void look_up_iq4nl(uint32_t word, uint32_t& low, uint32_t& high) {
  constexpr auto kWord = [](int i) {
    uint32_t bytes = 0;
    for (int j = 0; j < 4; ++j) {
      bytes |= static_cast<uint32_t>(static_cast<uint8_t>(kIq4nl[static_cast<size_t>(i * 4 + j)]))
               << (8 * j);
    }
    return bytes;
  };
  constexpr uint32_t kTable[4] = {kWord(0), kWord(1), kWord(2), kWord(3)};
  // A byte selector's bit 3 means "sign", so the lower and upper halves of the table are looked up
  // apart by bits 0..2, and bit 3 chooses between them.
  const uint32_t index = word & 0x77777777u;
  const uint32_t upper = ((word & 0x88888888u) >> 1) | 0x32103210u;
  uint32_t half[2];
  for (int i = 0; i < 2; ++i) {
    const uint32_t from_lower = __byte_perm(kTable[0], kTable[1], index >> (16 * i));
    const uint32_t from_upper = __byte_perm(kTable[2], kTable[3], index >> (16 * i));
    half[i] = __byte_perm(from_lower, from_upper, upper >> (16 * i));
  }
  low = __byte_perm(half[0], half[1], 0x6420);  // nibbles 0, 2 of each half: the low ones
  high = __byte_perm(half[0], half[1], 0x7531);
}

// codes[0][i], codes[1][i]: quads `quad` and `quad + 4` of row i of the lane's four. at: where the
// first tile has the block's codes, in shared memory.
template <class F>
__device__ inline void unpack_codes(uint32_t at, const LaneShare<F>& share,
                                    uint32_t (&codes)[2][4]) {
  constexpr uint32_t kFlip = F::kSigned ? 0x80808080u : 0u;
  const auto vector = [&](int offset, uint32_t(&words)[4]) {
    const uint4 loaded = load_16(at + static_cast<uint32_t>(offset));
    words[0] = loaded.x, words[1] = loaded.y, words[2] = loaded.z, words[3] = loaded.w;
  };
  if constexpr (F::kBits == 8) {
    vector(share.wide, codes[0]);
    vector(share.wide + 256, codes[1]);
    for (int i = 0; i < 4; ++i) codes[0][i] ^= kFlip, codes[1][i] ^= kFlip;
    return;
  }
  uint32_t low[4], high[4];
  vector(F::kBits >= 4 ? share.wide : share.narrow, low);
  if constexpr (F::kBits == 6) vector(256 + share.narrow, high);
  if constexpr (F::kBits == 5) vector(256 + share.shared, high);
  if constexpr (F::kBits == 3) vector(128 + share.shared, high);
  const int pair_bits = (share.quad >> 1) * 2;  // where a 2-bit plane holds this quad
  for (int i = 0; i < 4; ++i) {
    if constexpr (F::kCodebook) {
      look_up_iq4nl(low[i], codes[0][i], codes[1][i]);
    } else if constexpr (F::kBits == 4) {
      codes[0][i] = masked_flipped(low[i] << 4, 0xF0F0F0F0u, kFlip);
      codes[1][i] = masked_flipped(low[i], 0xF0F0F0F0u, kFlip);
    } else if constexpr (F::kBits == 2) {
      codes[0][i] = masked_flipped(low[i] << (6 - pair_bits), 0xC0C0C0C0u, kFlip);
      codes[1][i] = masked_flipped(low[i] << (2 - pair_bits), 0xC0C0C0C0u, kFlip);
    } else if constexpr (F::kBits == 3) {
      codes[0][i] = (rotate_left(low[i], 5 - pair_bits) & 0x60606060u) |
                    masked_flipped(high[i] << (7 - share.quad), 0x80808080u, kFlip);
      codes[1][i] = (rotate_left(low[i], 1 - pair_bits) & 0x60606060u) |
                    masked_flipped(high[i] << (3 - share.quad), 0x80808080u, kFlip);
    } else if constexpr (F::kBits == 5) {
      codes[0][i] = ((low[i] << 3) & 0x78787878u) |
                    masked_flipped(high[i] << (7 - share.quad), 0x80808080u, kFlip);
      codes[1][i] = ((low[i] >> 1) & 0x78787878u) |
                    masked_flipped(high[i] << (3 - share.quad), 0x80808080u, kFlip);
    } else {
      codes[0][i] = ((low[i] << 2) & 0x3C3C3C3Cu) |
                    masked_flipped(high[i] << (6 - pair_bits), 0xC0C0C0C0u, kFlip);
      codes[1][i] = ((low[i] >> 2) & 0x3C3C3C3Cu) |
                    masked_flipped(high[i] << (2 - pair_bits), 0xC0C0C0C0u, kFlip);
    }
  }
}

__device__ inline void load_four_halves(uint32_t address, float (&out)[4]) {
  const uint2 words = load_8(address);
  const float2 first = __half22float2(*reinterpret_cast<const __half2*>(&words.x));
  const float2 second = __half22float2(*reinterpret_cast<const __half2*>(&words.y));
  out[0] = first.x, out[1] = first.y, out[2] = second.x, out[3] = second.y;
}

// factor[i] *= byte i of the word, an unsigned byte less `bias`: 2^23 + byte is a float whose low
// bits are the byte.
__device__ inline void multiply_by_bytes(uint32_t word, float bias, float (&factor)[4]) {
  for (int i = 0; i < 4; ++i) {
    const uint32_t bits = __byte_perm(word, 0x4B000000u, 0x7440u + static_cast<uint32_t>(i));
    factor[i] *= __fsub_rn(__uint_as_float(bits), 8388608.0f + bias);
  }
}

// A block of 32 columns in a stage, by its place in the first tile.
struct StagedBlock {
  uint32_t header;  // where its scale header lies,
  uint32_t start;   // and its two-level scales, then codes
  bool two_level;   // what Scales::sections leaves open
  bool there;  // else it is behind the end of W and counts as zeros; its scales are another block's
};

// Scales and minimums of group g for the lane's four rows; the minimums as high as the codes stand
// in their bytes.
template <class F>
__device__ inline void load_scales(const StagedBlock& block, int g, const LaneShare<F>& share,
                                   float (&scale)[4], float (&minimum)[4]) {
  const uint32_t header = block.header;
  load_four_halves(header + static_cast<uint32_t>(share.halves), scale);
  if constexpr (F::kHasMinimum) {
    load_four_halves(header + static_cast<uint32_t>(share.halves) + 32, minimum);
    for (int i = 0; i < 4; ++i) minimum[i] *= F::kShifted;
  }
  if (F::kScales == Scales::each_block || (F::kScales == Scales::sections && !block.two_level)) {
    return;
  }
  const uint32_t at = block.start + static_cast<uint32_t>(share.bytes + g * F::kGroupScaleBytes);
  const uint32_t word = load_4(at);
  if constexpr (F::kScales == Scales::packed4) {
    multiply_by_bytes(word & 0x0F0F0F0Fu, 0.0f, scale);
    multiply_by_bytes((word >> 4) & 0x0F0F0F0Fu, 0.0f, minimum);
  } else {
    multiply_by_bytes(word ^ 0x80808080u, 128.0f, scale);
    if constexpr (F::kHasMinimum) {
      const uint32_t of_minimum = load_4(at + 16);
      multiply_by_bytes(of_minimum ^ 0x80808080u, 128.0f, minimum);
    }
  }
}

}  // namespace shoehorn
