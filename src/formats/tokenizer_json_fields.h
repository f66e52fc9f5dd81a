// The parts of a tokenizer.json around its vocabulary, each recognised or refused by its name.
#pragma once

#include <string>

#include "base/result.h"
#include "formats/json_fields.h"
#include "formats/tokenizer.h"

namespace shoehorn {

// `root`: the whole file.

// pre_tokenizer: by its list of regular expressions, whether Split, Digits or ByteLevel hold them.
Result<PreTokenizer> recognise_pre_tokenizer(const JsonFields& root);

// normalizer: true for NFC, false for none.
Result<bool> recognise_normalizer(const JsonFields& root);

// decoder: ByteLevel or an error.
Result<void> check_decoder(const JsonFields& root);

// post_processor: the token that is put before a text, "" for none.
Result<std::string> recognise_post_processor(const JsonFields& root);

}  // namespace shoehorn
