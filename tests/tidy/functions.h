// Where a C++ file defines functions, found by brackets alone: enough for well-formatted code, no
// parser.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "tests/tidy/source_file.h"

namespace shoehorn::tidy {

struct Function {
  std::string name;       // with its class where written so: "Engine::step"
  size_t first_line = 0;  // of the signature, from 1
  size_t last_line = 0;   // of the closing brace
  int parameters = 0;

  size_t line_count() const { return last_line - first_line + 1; }
};

// Functions at namespace or class scope, in order. A lambda or local class counts as lines of the
// function around it.
std::vector<Function> find_functions(const SourceFile& file);

}  // namespace shoehorn::tidy
