// Text from a file made safe to stand in a one-line error message.
#pragma once

#include <string>
#include <string_view>

namespace shoehorn {

// 'text' in single quotes: control characters and bytes that are no ASCII as \xNN (valid UTF-8 is
// kept), cut after 100 bytes with an ellipsis.
std::string quote(std::string_view text);

}  // namespace shoehorn
