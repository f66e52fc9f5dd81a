// safetensors files: one, or the shards named by model.safetensors.index.json.
// Format: https://github.com/huggingface/safetensors (README, "Format")
//
// Opening maps the files and reads their headers only; tensor bytes are views into the maps. A
// header of more than 100 MB, tensors that overlap, leave holes or end elsewhere than the file, and
// sizes that do not fit the shapes are refused.
#pragma once

#include <cstddef>
#include <filesystem>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "base/result.h"
#include "formats/stored_tensor.h"

namespace shoehorn {

class Safetensors {
 public:
  // The weights of a Hugging Face directory: model.safetensors, else the shards of the index, else
  // the only *.safetensors file there is.
  static Result<Safetensors> open(const std::filesystem::path& directory);

  // From bytes in memory (tests, fuzzing), which must outlive the result.
  static Result<Safetensors> parse(std::span<const std::byte> bytes, const std::string& name);

  const std::vector<StoredTensor>& tensors() const { return tensors_; }
  const StoredTensor* find(std::string_view tensor) const;
  // Tensors of other dtypes (I64, BOOL ...), not among tensors().
  const UnsupportedTensors& unsupported_tensors() const { return unsupported_; }

  // Tells the kernel that a tensor's pages are done with.
  void release(const StoredTensor& tensor) const;
  void will_need(const StoredTensor& tensor, std::span<const std::byte> bytes) const;

 private:
  Result<void> open_file(const std::filesystem::path& path);
  Result<void> open_shards(const std::filesystem::path& index);
  Result<void> append(std::span<const std::byte> bytes, const std::string& name, int32_t file);

  std::vector<MappedFile> files_;
  std::vector<StoredTensor> tensors_;
  UnsupportedTensors unsupported_;
  std::map<std::string, size_t, std::less<>> by_name_;
};

}  // namespace shoehorn
