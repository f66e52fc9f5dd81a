// Unicode normalization form C, as the normalizer of Qwen2's tokenizers applies it.
#pragma once

#include <string>
#include <string_view>

namespace shoehorn {

// True where `text` is certainly its own NFC: all of it from blocks whose characters neither
// compose, decompose nor reorder (Latin up to U+02FF, Cyrillic, kana, CJK ideographs, Hangul
// syllables, ...).
bool is_plainly_nfc(std::string_view text);

// NFC of `text`, by utf8proc's tables; bytes that are not UTF-8 stay as they are and divide it.
// O(n log n) whatever the text.
std::string to_nfc(std::string_view text);

}  // namespace shoehorn
