// The byte-to-unicode alphabet of byte-level BPE files: every byte as one printable character.
// Bytes 33-126, 161-172 and 174-255 stand for themselves; the other 68, ascending, for U+0100,
// U+0101, ... (GPT-2's encoder.py, Radford et al. 2019).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace shoehorn {

// The bytes that `token` spells are appended to `bytes`. False, and nothing appended, where a
// character is outside the alphabet.
bool append_token_bytes(std::string_view token, std::string& bytes);

// The token that spells one byte.
std::string byte_token(uint8_t byte);

}  // namespace shoehorn
