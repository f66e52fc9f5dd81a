#include "formats/gguf_cursor.h"

#include <algorithm>

#include "base/bus_guard.h"

namespace shoehorn {
namespace {

constexpr uint64_t kCopiedAhead = 64 << 10;

}  // namespace

// Pages of the copy that nobody reads are never touched, so its size costs nothing.
GgufCursor::GgufCursor(std::span<const std::byte> bytes, const std::string& file)
    : bytes_(bytes),
      file_(file),
      copy_(std::make_unique_for_overwrite<std::byte[]>(bytes.size())) {}

Result<std::string_view> GgufCursor::read_string(std::string_view field) {
  const auto length = TRY(read<uint64_t>(field));
  TRY(need(length, field));
  const auto* text = reinterpret_cast<const char*>(copy_.get() + position_);
  position_ += length;
  return std::string_view(text, length);
}

Result<void> GgufCursor::can_hold(uint64_t count, uint64_t item_bytes,
                                  std::string_view field) const {
  if (count <= remaining() / item_bytes) return {};
  return fail("{}: {}: expected at most {} in the {} bytes that follow, found {}", file_, field,
              remaining() / item_bytes, remaining(), count);
}

Result<void> GgufCursor::need(uint64_t count, std::string_view field) {
  if (count > remaining()) {
    return fail(
        "{}: {}: expected {} bytes at {}, found the end of the header after {} (cut short?)", file_,
        field, count, position_, remaining());
  }
  if (position_ + count <= copied_) return {};
  const uint64_t end = std::min<uint64_t>(position_ + count + kCopiedAhead, bytes_.size());
  const auto copy = [&] {
    std::memcpy(copy_.get() + copied_, bytes_.data() + copied_, end - copied_);
  };
  if (!survives_reading(copy)) {
    return fail("{}: {}: the file became shorter, or its disk failed, while it was being read",
                file_, field);
  }
  copied_ = end;
  return {};
}

}  // namespace shoehorn
