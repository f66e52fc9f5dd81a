// Where a user's programs keep what they can make again.
#pragma once

#include <filesystem>

namespace shoehorn {

// $XDG_CACHE_HOME/shoehorn, else ~/.cache/shoehorn, else a folder in the directory for temporary
// files. It need not exist.
std::filesystem::path cache_directory();

}  // namespace shoehorn
