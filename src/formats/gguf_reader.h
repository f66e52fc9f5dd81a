// Reading one GGUF file's header: the part of gguf.cc that meets untrusted bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "formats/gguf.h"

namespace shoehorn {

// A position in a file's bytes. Errors name the file and the field being read.
class GgufCursor {
 public:
  GgufCursor(std::span<const std::byte> bytes, const std::string& file)
      : bytes_(bytes), file_(file) {}

  uint64_t position() const { return position_; }
  uint64_t remaining() const { return bytes_.size() - position_; }
  const std::string& file() const { return file_; }

  template <typename T>
  Result<T> read(std::string_view field) {
    TRY(need(sizeof(T), field));
    T value;
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }

  // A u64 length and as many bytes, viewed in place.
  Result<std::string_view> read_string(std::string_view field);

  // `count` items of at least `item_bytes` each can follow. Errors: they cannot.
  Result<void> can_hold(uint64_t count, uint64_t item_bytes, std::string_view field) const;

 private:
  Result<void> need(uint64_t count, std::string_view field) const;

  std::span<const std::byte> bytes_;
  const std::string& file_;
  uint64_t position_ = 0;
};

// ggml's number for a type; none for F8_E4M3, which is no type of ggml.
std::optional<uint32_t> ggml_type_number(StoredType type);

class GgufReader {
 public:
  // Appends the tensors found in `bytes`, file number `file`, to `target`, and the metadata to
  // `metadata`.
  static Result<void> read(std::span<const std::byte> bytes, const std::string& name, int32_t file,
                           GgufFile& target,
                           std::map<std::string, GgufValue, std::less<>>& metadata);
};

}  // namespace shoehorn
