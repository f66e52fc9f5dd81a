// Any bytes as a GGUF file: an error or a file whose every tensor can be read, never a crash.

#include <algorithm>
#include <vector>

#include "formats/gguf.h"
#include "formats/model_config.h"

using namespace shoehorn;  // NOLINT: a program of one function

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::span<const uint8_t> input(data, size);
  const Result<GgufFile> file = GgufFile::parse(std::as_bytes(input), "fuzz.gguf");
  if (!file) {
    CHECK(file.error().message.find('\n') == std::string::npos, "{}", file.error().message);
    return 0;
  }
  for (const StoredTensor& tensor : file->tensors()) {
    CHECK(file->find(tensor.name) == &tensor, "{}", tensor.name);
    std::vector<float> values(static_cast<size_t>(tensor.columns()));
    const int64_t row_bytes = stored_bytes(tensor.type, 1, tensor.columns());
    CHECK(static_cast<size_t>(tensor.rows() * row_bytes) == tensor.bytes.size(), "{}", tensor.name);
    dequantize_stored_row(tensor.type, tensor.bytes.data(), tensor.columns(), values.data());
    dequantize_stored_row(tensor.type, tensor.bytes.data() + (tensor.rows() - 1) * row_bytes,
                          tensor.columns(), values.data());
  }
  const Result<ModelConfig> config = model_config_from_gguf(*file);
  if (!config) {
    CHECK(config.error().message.find('\n') == std::string::npos, "{}", config.error().message);
  }
  return 0;
}
