// Text inside XML, as drawings (SVG) are.
#pragma once

#include <string>
#include <string_view>

namespace shoehorn {

// For elements and attributes in double quotes; control characters, which are no XML, become
// spaces.
std::string escape_xml(std::string_view text);

}  // namespace shoehorn
