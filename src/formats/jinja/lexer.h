// Cuts a template into tokens as Jinja does with trim_blocks and lstrip_blocks, white space control
// applied.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace shoehorn::jinja {

enum class TokenKind : uint8_t {
  data,  // text outside of tags
  block_begin,
  block_end,
  variable_begin,
  variable_end,
  name,
  text,  // a string literal; `view` is between the quotes, escapes not yet read
  integer,
  real,
  symbol,  // an operator or a bracket
  end
};

struct Token {
  TokenKind kind = TokenKind::end;
  int line = 1;
  std::string_view view;
};

std::string describe(const Token& token);  // for "expected x, found y"

// Line ends become \n and one at the end is dropped.
std::string normalize_template(std::string_view text);

// `text` is normalized and outlives the tokens.
Result<std::vector<Token>> tokenize(std::string_view text);

// The value of a string literal: Python's escapes.
Result<std::string> unescape(std::string_view literal);

}  // namespace shoehorn::jinja
