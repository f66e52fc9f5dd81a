// OutputFile: a file of known size that several threads fill in place and that appears whole or not
// at all.
//
//   OutputFile file = TRY(OutputFile::create("model.gguf", size));
//   fill(file.bytes());
//   TRY(file.commit());
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>

#include "base/result.h"

namespace shoehorn {

class OutputFile {
 public:
  // Makes `path`.part with `size_bytes` > 0 of room and maps it for writing. Errors: the folder
  // cannot be written, or has too little room.
  static Result<OutputFile> create(const std::filesystem::path& path, uint64_t size_bytes);

  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&& other) noexcept;
  ~OutputFile();  // what was not committed is removed

  std::span<std::byte> bytes() const { return {data_, size_}; }

  // Says that `range` (inside bytes()) is written: its pages leave this process, not the file.
  void written(std::span<const std::byte> range) const;

  // Gives the file its name, over a file that has it already. Errors: it cannot be renamed.
  Result<void> commit();

 private:
  OutputFile() = default;
  std::filesystem::path path_, part_;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace shoehorn
