// Writes GGUF version 3, little-endian, one file.
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
//
//   GgufWriter writer;
//   writer.text("general.architecture", "llama");
//   writer.tensor("output_norm.weight", {8192}, StoredType::f32);
//   TRY(writer.write(path, [&](size_t tensor, std::span<std::byte> bytes) { ... }));
#pragma once

#include <cstdint>
#include <filesystem>
#include <functional>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tensor/stored_type.h"

namespace shoehorn {

class GgufWriter {
 public:
  // Metadata, in the order of the calls. CHECK: a key is given once.
  void text(std::string_view key, std::string_view value);
  void u32(std::string_view key, uint32_t value);
  void f32(std::string_view key, float value);
  void boolean(std::string_view key, bool value);
  void texts(std::string_view key, std::span<const std::string> values);
  void i32s(std::string_view key, std::span<const int32_t> values);

  // The next tensor, row-major: [out, in] for a matrix. CHECK: 1 to 4 dimensions, a name of 1 to 64
  // bytes given once, whole blocks in a row, a type that ggml has (all but F8_E4M3).
  void tensor(std::string_view name, const std::vector<int64_t>& shape, StoredType type);

  size_t tensor_count() const { return tensors_.size(); }
  uint64_t tensor_bytes(size_t tensor) const { return tensors_[tensor].size_bytes; }
  uint64_t file_bytes() const;

  // `fill` is called for every tensor in turn with its place in the file, all zeros, to write its
  // bytes there, from as many threads as it likes; an error of its own ends the writing. The file
  // appears under its name when all are written. Errors: it cannot be written, or there is too
  // little room.
  using Fill = std::function<Result<void>(size_t tensor, std::span<std::byte> bytes)>;
  Result<void> write(const std::filesystem::path& path, const Fill& fill) const;

 private:
  struct Tensor {
    uint64_t offset;  // from the start of the data
    uint64_t size_bytes;
  };

  void begin_pair(std::string_view key, uint32_t type);
  std::string header() const;

  std::string pairs_, infos_;  // the header's two parts as they will stand in the file
  uint64_t pair_count_ = 0;
  uint64_t data_bytes_ = 0;
  std::vector<Tensor> tensors_;
  std::set<std::string, std::less<>> names_;  // of keys and tensors: "key " or "tensor " before
};

}  // namespace shoehorn
