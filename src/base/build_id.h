// What tells this program apart from every other build of it.
#pragma once

#include <string>

namespace shoehorn {

// The build id that the linker wrote into the running program, in hexadecimal; empty where it wrote
// none.
std::string build_id();

}  // namespace shoehorn
