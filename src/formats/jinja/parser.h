// From the text of a template to its syntax tree, every name bound to its place.
#pragma once

#include <memory>
#include <string_view>

#include "base/result.h"
#include "formats/jinja/syntax.h"

namespace shoehorn::jinja {

// Errors: "line 3: expected 'endif', found the end of the template"; what is not supported, by
// name.
Result<std::unique_ptr<Template>> parse_template(std::string_view text);

// Gives every name of the tree its place, by Jinja's rules of scope.
void bind_names(Template& tree);

}  // namespace shoehorn::jinja
