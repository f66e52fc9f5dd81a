// Reading one GGUF file's header: the part of gguf.cc that meets untrusted bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "formats/gguf.h"

namespace shoehorn {

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
