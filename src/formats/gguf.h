// GGUF versions 2 and 3, little-endian, single files and splits (NAME-00001-of-0000N.gguf).
// Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
//
// Opening maps the file and reads the header only; tensor bytes are views into the map. Every
// count, length, type and offset is checked against the file's size before use. Limits: a header of
// 256 MiB, 2^24 elements an array, nested arrays refused.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "formats/stored_tensor.h"

namespace shoehorn {

// Integers widen to int64/uint64, floats to double; arrays of numbers likewise. Nested arrays are
// refused.
using GgufValue = std::variant<int64_t, uint64_t, double, bool, std::string, std::vector<int64_t>,
                               std::vector<uint64_t>, std::vector<double>, std::vector<bool>,
                               std::vector<std::string>>;

class GgufFile {
 public:
  // `path`: the file, or the first of a split whose other parts lie beside it.
  static Result<GgufFile> open(const std::filesystem::path& path);

  // From bytes in memory (tests, fuzzing): `bytes` must outlive the GgufFile. No splits.
  static Result<GgufFile> parse(std::span<const std::byte> bytes, const std::string& name);

  const std::string& name() const { return name_; }  // for messages
  const std::map<std::string, GgufValue, std::less<>>& metadata() const { return metadata_; }
  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  const StoredTensor* find(std::string_view tensor) const;
  // Tensors of types that nothing here computes with (IQ2_XS, I32 ...): name to type, not among
  // tensors().
  const UnsupportedTensors& unsupported_tensors() const { return unsupported_; }

  // Tells the kernel that a tensor's pages are done with.
  void release(const StoredTensor& tensor) const;
  void will_need(const StoredTensor& tensor, std::span<const std::byte> bytes) const;

  // Typed metadata. `required_*`: errors when the key is absent or of another kind. `*_or`: the
  // fallback when absent, an error when of another kind.
  bool has(std::string_view key) const;
  Result<int64_t> required_integer(std::string_view key) const;
  Result<int64_t> integer_or(std::string_view key, int64_t fallback) const;
  Result<double> number_or(std::string_view key, double fallback) const;
  Result<bool> boolean_or(std::string_view key, bool fallback) const;
  Result<std::string> string_or(std::string_view key, std::string_view fallback) const;
  Result<std::string> required_string(std::string_view key) const;
  // A pointer into metadata(): null when absent.
  Result<const std::vector<std::string>*> strings(std::string_view key) const;
  Result<std::vector<int64_t>> integers(std::string_view key) const;  // empty when absent

 private:
  friend class GgufReader;
  Result<void> open_other_parts(const std::filesystem::path& first);
  Result<void> index_tensors();

  std::string name_;
  std::vector<MappedFile> files_;
  std::map<std::string, GgufValue, std::less<>> metadata_;
  std::vector<StoredTensor> tensors_;
  UnsupportedTensors unsupported_;
  std::map<std::string, size_t, std::less<>> by_name_;
};

}  // namespace shoehorn
