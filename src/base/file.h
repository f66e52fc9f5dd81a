// Files: read-only memory maps, whole small files, existence. Every error names the path.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "base/result.h"

namespace shoehorn {

// A file mapped read-only. Opening touches no page, so it costs microseconds at any size.
// The bytes stay valid until the MappedFile is destroyed; moving it does not move them.
class MappedFile {
 public:
  // Errors: the file is missing, is no regular file, or cannot be read or mapped.
  static Result<MappedFile> open(const std::filesystem::path& path);

  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::filesystem::path& path() const { return path_; }

  // Advice to the kernel: `range` (inside bytes()) is wanted soon / is done with. After release
  // its pages no longer count as this process's memory; reading them again is correct but slow.
  void will_need(std::span<const std::byte> range) const;
  void release(std::span<const std::byte> range) const;

 private:
  MappedFile() = default;
  std::filesystem::path path_;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
};

// The whole file as text. Errors: missing, unreadable, or larger than `limit_bytes`.
Result<std::string> read_text_file(const std::filesystem::path& path,
                                   uint64_t limit_bytes = uint64_t{1} << 30);

}  // namespace shoehorn
