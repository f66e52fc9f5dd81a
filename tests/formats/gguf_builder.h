// Writes GGUF files for tests: well-formed ones by default, and any field wrong on request.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace shoehorn {

// ggml's numbers of value and tensor types.
inline constexpr uint32_t kGgufU8 = 0, kGgufI8 = 1, kGgufU16 = 2, kGgufI16 = 3, kGgufU32 = 4,
                          kGgufI32 = 5, kGgufF32 = 6, kGgufBool = 7, kGgufString = 8,
                          kGgufArray = 9, kGgufU64 = 10, kGgufI64 = 11, kGgufF64 = 12;
inline constexpr uint32_t kGgmlF32 = 0, kGgmlF16 = 1, kGgmlQ4_0 = 2, kGgmlQ8_0 = 8, kGgmlQ4_K = 12,
                          kGgmlIq2Xs = 17, kGgmlI32 = 26, kGgmlBf16 = 30;

class ByteWriter {
 public:
  template <typename T>
  ByteWriter& put(T value) {
    const size_t at = bytes_.size();
    bytes_.resize(at + sizeof(T));
    std::memcpy(bytes_.data() + at, &value, sizeof(T));
    return *this;
  }
  ByteWriter& put_string(std::string_view text) {
    put<uint64_t>(text.size());
    return put_bytes(std::as_bytes(std::span(text)));
  }
  ByteWriter& put_bytes(std::span<const std::byte> bytes) {
    bytes_.insert(bytes_.end(), bytes.begin(), bytes.end());
    return *this;
  }
  void pad(size_t alignment) {
    while (bytes_.size() % alignment != 0) bytes_.push_back(std::byte{0});
  }
  const std::vector<std::byte>& bytes() const { return bytes_; }

 private:
  std::vector<std::byte> bytes_;
};

class GgufBuilder {
 public:
  uint32_t version = 3;
  uint64_t alignment = 32;  // of the data; write the key general.alignment with it
  int64_t extra_tensors = 0, extra_pairs = 0;  // added to the counts of the header

  // A pair whose value is written by hand after its type.
  ByteWriter& pair(std::string_view key, uint32_t type) {
    ++pair_count_;
    return pairs_.put_string(key).put(type);
  }
  GgufBuilder& text(std::string_view key, std::string_view value) {
    pair(key, kGgufString).put_string(value);
    return *this;
  }
  GgufBuilder& u32(std::string_view key, uint32_t value) {
    pair(key, kGgufU32).put(value);
    return *this;
  }
  GgufBuilder& f32(std::string_view key, float value) {
    pair(key, kGgufF32).put(value);
    return *this;
  }
  GgufBuilder& boolean(std::string_view key, bool value) {
    pair(key, kGgufBool).put<uint8_t>(value);
    return *this;
  }
  GgufBuilder& texts(std::string_view key, const std::vector<std::string>& values) {
    ByteWriter& out = pair(key, kGgufArray).put(kGgufString).put<uint64_t>(values.size());
    for (const std::string& value : values) out.put_string(value);
    return *this;
  }

  // dimensions: ne[], the contiguous one first.
  GgufBuilder& tensor(std::string_view name, const std::vector<uint64_t>& dimensions, uint32_t type,
                      std::span<const std::byte> bytes) {
    data_.pad(alignment);
    describe(name, dimensions, type, data_.bytes().size());
    data_.put_bytes(bytes);
    return *this;
  }
  GgufBuilder& zeros(std::string_view name, const std::vector<uint64_t>& dimensions, uint32_t type,
                     size_t bytes) {
    return tensor(name, dimensions, type, std::vector<std::byte>(bytes));
  }
  // The entry in the header alone.
  GgufBuilder& describe(std::string_view name, const std::vector<uint64_t>& dimensions,
                        uint32_t type, uint64_t offset) {
    ++tensor_count_;
    infos_.put_string(name).put(static_cast<uint32_t>(dimensions.size()));
    for (const uint64_t dimension : dimensions) infos_.put(dimension);
    infos_.put(type).put(offset);
    return *this;
  }

  std::vector<std::byte> bytes() const {
    ByteWriter out;
    out.put('G').put('G').put('U').put('F').put(version);
    out.put<int64_t>(tensor_count_ + extra_tensors).put<int64_t>(pair_count_ + extra_pairs);
    out.put_bytes(pairs_.bytes()).put_bytes(infos_.bytes());
    out.pad(alignment);
    out.put_bytes(data_.bytes());
    return out.bytes();
  }

 private:
  int64_t tensor_count_ = 0, pair_count_ = 0;
  ByteWriter pairs_, infos_, data_;
};

}  // namespace shoehorn
