// A position in a GGUF file's bytes. What is read is copied first, piece by piece: the bytes may be
// a map of a file that becomes shorter meanwhile. Errors name the file and the field being read.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"

namespace shoehorn {

class GgufCursor {
 public:
  GgufCursor(std::span<const std::byte> bytes, const std::string& file);

  uint64_t position() const { return position_; }
  uint64_t remaining() const { return bytes_.size() - position_; }
  const std::string& file() const { return file_; }

  template <typename T>
  Result<T> read(std::string_view field) {
    TRY(need(sizeof(T), field));
    T value;
    std::memcpy(&value, copy_.get() + position_, sizeof(T));
    position_ += sizeof(T);
    return value;
  }

  // A u64 length and as many bytes, viewed in the cursor's copy.
  Result<std::string_view> read_string(std::string_view field);

  // `count` items of at least `item_bytes` each can follow. Errors: they cannot.
  Result<void> can_hold(uint64_t count, uint64_t item_bytes, std::string_view field) const;

 private:
  Result<void> need(uint64_t count, std::string_view field);

  std::span<const std::byte> bytes_;
  const std::string& file_;
  uint64_t position_ = 0;
  std::unique_ptr<std::byte[]> copy_;  // of bytes_, as far as they were needed
  uint64_t copied_ = 0;
};

}  // namespace shoehorn
