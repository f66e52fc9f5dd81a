#include "tensor/format.h"

#include <fmt/format.h>

#include "base/check.h"

namespace shoehorn {

bool is_valid(const Format& format) {
  if (format.storage != Storage::grouped) {
    return format == Format{format.storage};
  }
  const bool bits_ok = format.bits >= 2 && format.bits <= 8 && format.bits != 7;
  const bool codebook_ok = format.meaning != CodeMeaning::iq4nl || format.bits == 4;
  switch (format.scale) {
    case ScaleEncoding::none:
      return false;
    case ScaleEncoding::f16:
      return bits_ok && codebook_ok &&
             (format.group == 32 || format.group == 64 || format.group == 128 ||
              format.group == 256);
    case ScaleEncoding::two_level:
      return bits_ok && codebook_ok && (format.group == 16 || format.group == 32);
    case ScaleEncoding::two_level_packed4:
      return format.bits == 2 && format.group == 16 && format.has_minimum();
  }
  return false;
}

namespace {

const char* scale_name(ScaleEncoding scale) {
  switch (scale) {
    case ScaleEncoding::none:
      return "none";
    case ScaleEncoding::f16:
      return "f16";
    case ScaleEncoding::two_level:
      return "two-level";
    case ScaleEncoding::two_level_packed4:
      return "two-level packed4";
  }
  return "?";
}

}  // namespace

std::string name(const Format& format) {
  switch (format.storage) {
    case Storage::f32:
      return "f32";
    case Storage::f16:
      return "f16";
    case Storage::bf16:
      return "bf16";
    case Storage::grouped:
      break;
  }
  const std::string codes =
      format.meaning == CodeMeaning::iq4nl ? "iq4nl" : fmt::format("int{}", format.bits);
  return fmt::format("{} g{} {}{}", codes, format.group, scale_name(format.scale),
                     format.has_minimum() ? "+min" : "");
}

int64_t column_multiple(const Format& format) {
  return format.storage == Storage::grouped ? header_columns(format) : 1;
}

int64_t header_columns(const Format& format) {
  return format.two_level() ? kTwoLevelColumns : format.group;
}

int64_t header_bytes(const Format& format) {
  return kTileRows * 2 * (format.has_minimum() ? 2 : 1);
}

int64_t block_scale_bytes(const Format& format) {
  if (!format.two_level()) return 0;
  const int64_t groups = kBlockColumns / format.group;
  const bool two_bytes = format.has_minimum() && format.scale == ScaleEncoding::two_level;
  return groups * kTileRows * (two_bytes ? 2 : 1);
}

int64_t tile_bytes(const Format& format, int64_t columns) {
  CHECK(format.storage == Storage::grouped, "{} has no tiles", name(format));
  CHECK(columns % column_multiple(format) == 0, "{} columns in {}", columns, name(format));
  return columns / header_columns(format) * header_bytes(format) +
         columns / kBlockColumns * (block_scale_bytes(format) + block_code_bytes(format));
}

int64_t size_bytes(const Format& format, int64_t rows, int64_t columns) {
  switch (format.storage) {
    case Storage::f32:
      return rows * columns * 4;
    case Storage::f16:
    case Storage::bf16:
      return rows * columns * 2;
    case Storage::grouped:
      break;
  }
  return (rows + kTileRows - 1) / kTileRows * tile_bytes(format, columns);
}

double bits_per_weight(const Format& format) {
  const int64_t columns = column_multiple(format) * 8;
  return 8.0 * static_cast<double>(size_bytes(format, kTileRows, columns)) /
         static_cast<double>(kTileRows * columns);
}

}  // namespace shoehorn
