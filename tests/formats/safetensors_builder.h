// Writes safetensors files for tests.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <nlohmann/json.hpp>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace shoehorn {

// The length, `header` as it is, and `data`.
inline std::vector<std::byte> safetensors_bytes(std::string_view header,
                                                std::span<const std::byte> data) {
  const uint64_t length = header.size();
  std::vector<std::byte> bytes(sizeof(length) + header.size() + data.size());
  std::memcpy(bytes.data(), &length, sizeof(length));
  std::copy_n(std::as_bytes(std::span(header)).begin(), header.size(), bytes.begin() + 8);
  std::copy(data.begin(), data.end(), bytes.end() - static_cast<std::ptrdiff_t>(data.size()));
  return bytes;
}

class SafetensorsBuilder {
 public:
  SafetensorsBuilder& tensor(const std::string& name, const std::string& dtype,
                             const std::vector<int64_t>& shape, std::span<const std::byte> bytes) {
    const size_t begin = data_.size();
    data_.insert(data_.end(), bytes.begin(), bytes.end());
    header_[name] = {{"dtype", dtype}, {"shape", shape}, {"data_offsets", {begin, data_.size()}}};
    return *this;
  }
  template <typename T>
  SafetensorsBuilder& tensor(const std::string& name, const std::string& dtype,
                             const std::vector<int64_t>& shape, const std::vector<T>& values) {
    return tensor(name, dtype, shape, std::as_bytes(std::span(values)));
  }
  SafetensorsBuilder& metadata(const nlohmann::ordered_json& value) {
    header_["__metadata__"] = value;
    return *this;
  }
  std::vector<std::byte> bytes() const {
    std::string header = header_.dump();
    header.resize((header.size() + 7) / 8 * 8, ' ');
    return safetensors_bytes(header, data_);
  }

 private:
  nlohmann::ordered_json header_ = nlohmann::ordered_json::object();
  std::vector<std::byte> data_;
};

}  // namespace shoehorn
