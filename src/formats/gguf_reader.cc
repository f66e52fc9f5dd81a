#include "formats/gguf_reader.h"

#include <algorithm>
#include <array>
#include <bit>
#include <type_traits>

#include "formats/gguf_cursor.h"
#include "formats/quote.h"

namespace shoehorn {
namespace {

constexpr uint64_t kMostHeaderBytes = uint64_t{256} << 20;
constexpr uint64_t kMostArrayElements = uint64_t{1} << 24;
constexpr uint64_t kMostKeyBytes = 65535;
constexpr uint64_t kMostTensorNameBytes = 64;
constexpr uint64_t kMostAlignment = 1 << 20;
constexpr uint64_t kDefaultAlignment = 32;
constexpr uint32_t kMostDimensions = 4;
constexpr uint64_t kSmallestPair = 8 + 4 + 1;            // key length, type, a byte of value
constexpr uint64_t kSmallestTensor = 8 + 4 + 8 + 4 + 8;  // name length, dimensions, type, offset

// The numbers of the format's value types.
enum class ValueType : uint32_t {
  u8,
  i8,
  u16,
  i16,
  u32,
  i32,
  f32,
  boolean,
  string,
  array,
  u64,
  i64,
  f64,
};

// The ggml types by number, with their block sizes; supported ones carry their StoredType.
struct GgmlType {
  uint32_t id;
  const char* name;
  int64_t elements;  // 0: retired, its size is not known any more
  int64_t bytes;
  int stored;  // a StoredType, or -1
};

constexpr int stored(StoredType type) {
  return static_cast<int>(type);
}

// Source: enum ggml_type and type_traits in ggml, https://github.com/ggml-org/ggml (ggml.h,
// ggml.c).
constexpr GgmlType kGgmlTypes[] = {
    {0, "F32", 1, 4, stored(StoredType::f32)},
    {1, "F16", 1, 2, stored(StoredType::f16)},
    {2, "Q4_0", 32, 18, stored(StoredType::q4_0)},
    {3, "Q4_1", 32, 20, stored(StoredType::q4_1)},
    {4, "Q4_2", 0, 0, -1},
    {5, "Q4_3", 0, 0, -1},
    {6, "Q5_0", 32, 22, stored(StoredType::q5_0)},
    {7, "Q5_1", 32, 24, stored(StoredType::q5_1)},
    {8, "Q8_0", 32, 34, stored(StoredType::q8_0)},
    {9, "Q8_1", 32, 36, -1},
    {10, "Q2_K", 256, 84, stored(StoredType::q2_k)},
    {11, "Q3_K", 256, 110, stored(StoredType::q3_k)},
    {12, "Q4_K", 256, 144, stored(StoredType::q4_k)},
    {13, "Q5_K", 256, 176, stored(StoredType::q5_k)},
    {14, "Q6_K", 256, 210, stored(StoredType::q6_k)},
    {15, "Q8_K", 256, 292, -1},
    {16, "IQ2_XXS", 256, 66, -1},
    {17, "IQ2_XS", 256, 74, -1},
    {18, "IQ3_XXS", 256, 98, -1},
    {19, "IQ1_S", 256, 50, -1},
    {20, "IQ4_NL", 32, 18, stored(StoredType::iq4_nl)},
    {21, "IQ3_S", 256, 110, -1},
    {22, "IQ2_S", 256, 82, -1},
    {23, "IQ4_XS", 256, 136, stored(StoredType::iq4_xs)},
    {24, "I8", 1, 1, -1},
    {25, "I16", 1, 2, -1},
    {26, "I32", 1, 4, -1},
    {27, "I64", 1, 8, -1},
    {28, "F64", 1, 8, -1},
    {29, "IQ1_M", 256, 56, -1},
    {30, "BF16", 1, 2, stored(StoredType::bf16)},
    {31, "Q4_0_4_4", 0, 0, -1},
    {32, "Q4_0_4_8", 0, 0, -1},
    {33, "Q4_0_8_8", 0, 0, -1},
    {34, "TQ1_0", 256, 54, -1},
    {35, "TQ2_0", 256, 66, -1},
    {36, "IQ4_NL_4_4", 0, 0, -1},
    {37, "IQ4_NL_4_8", 0, 0, -1},
    {38, "IQ4_NL_8_8", 0, 0, -1},
    {39, "MXFP4", 32, 17, -1},
    {40, "NVFP4", 64, 36, -1},
    {41, "Q1_0", 128, 18, -1},
    {42, "Q2_0", 64, 18, -1},
};

const GgmlType* find_ggml_type(uint32_t id) {
  return id < std::size(kGgmlTypes) ? &kGgmlTypes[id] : nullptr;
}

template <typename T>
using Widened = std::conditional_t<
    std::is_same_v<T, bool>, bool,
    std::conditional_t<std::is_floating_point_v<T>, double,
                       std::conditional_t<std::is_signed_v<T>, int64_t, uint64_t>>>;

template <typename T>
Result<Widened<T>> read_number(GgufCursor& cursor, std::string_view field) {
  if constexpr (std::is_same_v<T, bool>) {
    const auto byte = TRY(cursor.read<uint8_t>(field));
    if (byte > 1) {
      return fail("{}: {}: expected a boolean of 0 or 1, found {}", cursor.file(), field, byte);
    }
    return byte == 1;
  } else {
    return static_cast<Widened<T>>(TRY(cursor.read<T>(field)));
  }
}

// Calls visitor.operator()<T>() with the C++ type of a numeric value type, bool included.
template <typename Visitor>
Result<GgufValue> visit_number(ValueType type, const Visitor& visitor) {
  switch (type) {
    case ValueType::u8:
      return visitor.template operator()<uint8_t>();
    case ValueType::i8:
      return visitor.template operator()<int8_t>();
    case ValueType::u16:
      return visitor.template operator()<uint16_t>();
    case ValueType::i16:
      return visitor.template operator()<int16_t>();
    case ValueType::u32:
      return visitor.template operator()<uint32_t>();
    case ValueType::i32:
      return visitor.template operator()<int32_t>();
    case ValueType::f32:
      return visitor.template operator()<float>();
    case ValueType::boolean:
      return visitor.template operator()<bool>();
    case ValueType::u64:
      return visitor.template operator()<uint64_t>();
    case ValueType::i64:
      return visitor.template operator()<int64_t>();
    case ValueType::f64:
      return visitor.template operator()<double>();
    case ValueType::string:
    case ValueType::array:
      break;
  }
  CHECK(false, "value type {} is no number", static_cast<uint32_t>(type));
}

bool is_number(ValueType type) {
  return type <= ValueType::f64 && type != ValueType::string && type != ValueType::array;
}

Result<GgufValue> read_array(GgufCursor& cursor, std::string_view field) {
  const auto type = static_cast<ValueType>(TRY(cursor.read<uint32_t>(field)));
  const auto count = TRY(cursor.read<uint64_t>(field));
  if (count > kMostArrayElements) {
    return fail("{}: {}: expected at most {} elements, found {}", cursor.file(), field,
                kMostArrayElements, count);
  }
  if (type == ValueType::string) {
    TRY(cursor.can_hold(count, 8, field));
    std::vector<std::string> strings;
    strings.reserve(count);
    for (uint64_t i = 0; i < count; ++i) strings.emplace_back(TRY(cursor.read_string(field)));
    return GgufValue(std::move(strings));
  }
  if (!is_number(type)) {
    return fail("{}: {}: expected an array of numbers or strings, found elements of type {}{}",
                cursor.file(), field, static_cast<uint32_t>(type),
                type == ValueType::array ? " (nested array)" : "");
  }
  return visit_number(type, [&]<typename T>() -> Result<GgufValue> {
    TRY(cursor.can_hold(count, sizeof(T), field));
    std::vector<Widened<T>> values(count);
    for (uint64_t i = 0; i < count; ++i) values[i] = TRY(read_number<T>(cursor, field));
    return GgufValue(std::move(values));
  });
}

Result<GgufValue> read_value(GgufCursor& cursor, std::string_view field) {
  const auto type = static_cast<ValueType>(TRY(cursor.read<uint32_t>(field)));
  if (type == ValueType::string) return GgufValue(std::string(TRY(cursor.read_string(field))));
  if (type == ValueType::array) return read_array(cursor, field);
  if (!is_number(type)) {
    return fail("{}: {}: expected a value type of 0 to 12, found {}", cursor.file(), field,
                static_cast<uint32_t>(type));
  }
  return visit_number(type, [&]<typename T>() -> Result<GgufValue> {
    return GgufValue(TRY(read_number<T>(cursor, field)));
  });
}

struct Header {
  uint64_t tensor_count;
  uint64_t pair_count;
};

Result<Header> read_header(GgufCursor& cursor) {
  using Magic = std::array<char, 4>;
  const auto magic = TRY(cursor.read<Magic>("magic"));
  const std::string_view found(magic.data(), magic.size());
  if (found != "GGUF") {
    return fail("{}: expected a GGUF file that begins with 'GGUF', found {}", cursor.file(),
                quote(found));
  }
  const auto version = TRY(cursor.read<uint32_t>("version"));
  if (version != 0 && (version & 0xFFFF) == 0) {
    return fail("{}: version: expected a little-endian file, found a big-endian one (version {})",
                cursor.file(), __builtin_bswap32(version));
  }
  if (version != 2 && version != 3) {
    return fail("{}: version: expected 2 or 3, found {}", cursor.file(), version);
  }
  Header header;
  header.tensor_count = TRY(cursor.read<uint64_t>("tensor count"));
  header.pair_count = TRY(cursor.read<uint64_t>("metadata count"));
  TRY(cursor.can_hold(header.pair_count, kSmallestPair, "metadata count"));
  TRY(cursor.can_hold(header.tensor_count, kSmallestTensor, "tensor count"));
  return header;
}

// A tensor as the header describes it, before its bytes are found.
struct Described {
  StoredTensor tensor;  // bytes still empty
  const GgmlType* type;
  uint64_t offset;  // from the start of the data
  uint64_t size_bytes;
};

Result<Described> read_tensor_type(GgufCursor& cursor, Described described) {
  const std::string& name = described.tensor.name;
  const auto id = TRY(cursor.read<uint32_t>("tensor type"));
  described.type = find_ggml_type(id);
  if (described.type == nullptr) {
    return fail("{}: tensor {}: expected a ggml type of 0 to {}, found {}", cursor.file(),
                quote(name), std::size(kGgmlTypes) - 1, id);
  }
  if (described.type->elements == 0) {
    return fail("{}: tensor {}: type {} was retired from the format and is not supported",
                cursor.file(), quote(name), described.type->name);
  }
  return described;
}

Result<Described> read_tensor(GgufCursor& cursor) {
  Described described = {};
  const std::string_view name = TRY(cursor.read_string("tensor name"));
  if (name.empty() || name.size() > kMostTensorNameBytes) {
    return fail("{}: tensor {}: expected a name of 1 to {} bytes, found {}", cursor.file(),
                quote(name), kMostTensorNameBytes, name.size());
  }
  described.tensor.name = name;
  const auto dimensions = TRY(cursor.read<uint32_t>("tensor dimensions"));
  if (dimensions < 1 || dimensions > kMostDimensions) {
    return fail("{}: tensor {}: expected 1 to {} dimensions, found {}", cursor.file(), quote(name),
                kMostDimensions, dimensions);
  }
  uint64_t elements = 1;
  for (uint32_t i = 0; i < dimensions; ++i) {
    const auto dimension = TRY(cursor.read<uint64_t>("tensor dimensions"));
    if (dimension == 0 || __builtin_mul_overflow(elements, dimension, &elements) ||
        elements > uint64_t{1} << 56) {
      return fail("{}: tensor {}: expected positive dimensions of at most 2^56 elements, found {}",
                  cursor.file(), quote(name), dimension);
    }
    described.tensor.shape.push_back(static_cast<int64_t>(dimension));
  }
  described = TRY(read_tensor_type(cursor, std::move(described)));
  const GgmlType& type = *described.type;
  const int64_t columns = described.tensor.shape.front();  // ne[0] is the contiguous one
  if (columns % type.elements != 0) {
    return fail("{}: tensor {}: expected rows of a multiple of {} elements for {}, found {}",
                cursor.file(), quote(name), type.elements, type.name, columns);
  }
  std::reverse(described.tensor.shape.begin(), described.tensor.shape.end());
  described.size_bytes =
      elements / static_cast<uint64_t>(type.elements) * static_cast<uint64_t>(type.bytes);
  described.offset = TRY(cursor.read<uint64_t>("tensor offset"));
  return described;
}

// Errors: a tensor lies outside the data, off its alignment, or over another one.
Result<void> check_extents(const std::vector<Described>& tensors, uint64_t data_bytes,
                           uint64_t alignment, const std::string& file) {
  std::vector<const Described*> by_offset;
  for (const Described& tensor : tensors) {
    if (tensor.offset % alignment != 0) {
      return fail("{}: tensor {}: expected an offset of a multiple of {}, found {}", file,
                  quote(tensor.tensor.name), alignment, tensor.offset);
    }
    if (tensor.offset > data_bytes || tensor.size_bytes > data_bytes - tensor.offset) {
      return fail(
          "{}: tensor {}: expected {} bytes at offset {} of the data, found {} in the file "
          "(cut short?)",
          file, quote(tensor.tensor.name), tensor.size_bytes, tensor.offset, data_bytes);
    }
    by_offset.push_back(&tensor);
  }
  std::sort(by_offset.begin(), by_offset.end(),
            [](const Described* a, const Described* b) { return a->offset < b->offset; });
  for (size_t i = 1; i < by_offset.size(); ++i) {
    const Described& before = *by_offset[i - 1];
    if (by_offset[i]->offset < before.offset + before.size_bytes) {
      return fail("{}: tensor {}: expected bytes of its own, found {} over them", file,
                  quote(before.tensor.name), quote(by_offset[i]->tensor.name));
    }
  }
  return {};
}

Result<uint64_t> read_alignment(const std::map<std::string, GgufValue, std::less<>>& metadata,
                                const std::string& file) {
  const auto found = metadata.find("general.alignment");
  if (found == metadata.end()) return kDefaultAlignment;
  const auto* alignment = std::get_if<uint64_t>(&found->second);
  if (alignment == nullptr || !std::has_single_bit(*alignment) || *alignment > kMostAlignment) {
    return fail("{}: general.alignment: expected a power of two up to {}, found {}", file,
                kMostAlignment, alignment ? std::to_string(*alignment) : "another kind of value");
  }
  return *alignment;
}

}  // namespace

std::optional<uint32_t> ggml_type_number(StoredType type) {
  for (const GgmlType& known : kGgmlTypes)
    if (known.stored == stored(type)) return known.id;
  return std::nullopt;
}

Result<void> GgufReader::read(std::span<const std::byte> bytes, const std::string& name,
                              int32_t file, GgufFile& target,
                              std::map<std::string, GgufValue, std::less<>>& metadata) {
  GgufCursor cursor(bytes.first(std::min<size_t>(bytes.size(), kMostHeaderBytes)), name);
  const Header header = TRY(read_header(cursor));
  for (uint64_t i = 0; i < header.pair_count; ++i) {
    const std::string_view key = TRY(cursor.read_string("metadata key"));
    if (key.empty() || key.size() > kMostKeyBytes) {
      return fail("{}: metadata key {}: expected 1 to {} bytes, found {}", name, quote(key),
                  kMostKeyBytes, key.size());
    }
    GgufValue value = TRY(read_value(cursor, quote(key)));
    if (!metadata.emplace(key, std::move(value)).second) {
      return fail("{}: metadata key {}: expected once, found twice", name, quote(key));
    }
  }
  std::vector<Described> described;
  described.reserve(header.tensor_count);
  for (uint64_t i = 0; i < header.tensor_count; ++i) described.push_back(TRY(read_tensor(cursor)));

  const uint64_t alignment = TRY(read_alignment(metadata, name));
  const uint64_t data_begin =
      std::min<uint64_t>((cursor.position() + alignment - 1) / alignment * alignment, bytes.size());
  const std::span<const std::byte> data = bytes.subspan(data_begin);
  TRY(check_extents(described, data.size(), alignment, name));
  for (Described& one : described) {
    if (one.type->stored < 0) {
      if (!target.unsupported_.emplace(one.tensor.name, one.type->name).second) {
        return fail("{}: tensor {}: expected once, found twice", name, quote(one.tensor.name));
      }
      continue;
    }
    one.tensor.type = static_cast<StoredType>(one.type->stored);
    one.tensor.bytes = data.subspan(one.offset, one.size_bytes);
    one.tensor.file = file;
    target.tensors_.push_back(std::move(one.tensor));
  }
  return {};
}

}  // namespace shoehorn
