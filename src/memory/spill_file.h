// A file without a name: room on disk that is gone when its owner is, however the process ends.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>

#include "memory/disk_queue.h"

namespace shoehorn {

// Makes `directory` if need be, and in it a file of `size_bytes`, taken from the disk at once.
// Errors: the directory cannot be written, or has too little room.
Result<std::unique_ptr<DiskQueue>> create_spill_file(const std::filesystem::path& directory,
                                                     uint64_t size_bytes,
                                                     DiskQueue::Options options);

// $XDG_CACHE_HOME/shoehorn/spill, else ~/.cache/shoehorn/spill, else in the directory for temporary
// files.
std::filesystem::path default_spill_directory();

}  // namespace shoehorn
