// Any bytes as a safetensors file: an error or a file whose every tensor can be read.

#include <vector>

#include "formats/safetensors.h"

using namespace shoehorn;  // NOLINT: a program of one function

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const uint8_t> input(data, size);
  const Result<Safetensors> file = Safetensors::parse(std::as_bytes(input), "fuzz.safetensors");
  if (!file) {
    CHECK(file.error().message.find('\n') == std::string::npos, "{}", file.error().message);
    return 0;
  }
  for (const StoredTensor& tensor : file->tensors()) {
    CHECK(file->find(tensor.name) == &tensor, "{}", tensor.name);
    const auto elements = static_cast<int64_t>(tensor.bytes.size()) / block_bytes(tensor.type);
    std::vector<float> values(static_cast<size_t>(elements));
    dequantize_stored_row(tensor.type, tensor.bytes.data(), elements, values.data());
  }
  return 0;
}
