// "{}".format(values)
#include <algorithm>

#include "formats/jinja/format.h"
#include "formats/jinja/format_spec.h"
#include "formats/jinja/print.h"
#include "formats/jinja/text.h"

namespace shoehorn::jinja {
namespace {

Result<Spec> parse_spec(std::string_view text) {
  Spec spec;
  size_t at = 0;
  const auto is_align = [](char c) { return c == '<' || c == '>' || c == '^' || c == '='; };
  if (!text.empty()) {
    size_t next = 0;
    next_character(text, next);
    if (next < text.size() && is_align(text[next])) {
      spec.fill = text.substr(0, next);
      spec.align = text[next];
      at = next + 1;
    } else if (is_align(text[0])) {
      spec.align = text[0];
      at = 1;
    }
  }
  const auto skip = [&](char c) { return at < text.size() && text[at] == c ? ++at > 0 : false; };
  if (at < text.size() && (text[at] == '+' || text[at] == '-' || text[at] == ' ')) {
    spec.sign = text[at++];
  }
  spec.alternate = skip('#');
  spec.zero = skip('0');
  spec.width = TRY(read_number(text, at, static_cast<int64_t>(kMaximumTextBytes)));
  if (skip(',')) spec.grouping = ',';
  if (skip('_')) spec.grouping = '_';
  if (skip('.')) spec.precision = TRY(read_number(text, at, kMaximumPrecision));
  if (at < text.size()) spec.type = text[at++];
  if (at < text.size()) return fail("invalid format specifier '{}'", text);
  return spec;
}

Result<std::string> format_value(Interpreter& interpreter, const Value& value,
                                 std::string_view spec_text) {
  if (spec_text.empty()) return interpreter.to_string(value);
  Spec spec = TRY(parse_spec(spec_text));
  const char type = spec.type;
  const bool real_type =
      type != '\0' && std::string_view("eEfFgG%").find(type) != std::string_view::npos;
  const bool whole_type =
      type != '\0' && std::string_view("dxXobn").find(type) != std::string_view::npos;
  if (spec.zero && spec.align == '\0') {
    spec.fill = "0";
    spec.align = value.is_number() ? '=' : '<';
  }
  if (value.is_number() && type != 's') {
    if (value.kind == Kind::boolean && type == '\0') {
      const std::string shown = value.boolean ? "True" : "False";
      return pad(shown, spec, '<');
    }
    if (value.kind == Kind::real ? !real_type && type != '\0' && type != 'n'
                                 : !real_type && !whole_type && type != '\0') {
      return fail("unknown format code '{}' for object of type '{}'", type, type_name(value));
    }
    const bool as_real = value.kind == Kind::real || real_type;
    return pad(as_real ? format_real_spec(value.as_real(), spec)
                       : format_integer(value.as_integer(), spec),
               spec, '>');
  }
  if (value.kind != Kind::text) {
    return fail("unsupported format string passed to {}.__format__", type_name(value));
  }
  if (type != '\0' && type != 's') {
    return fail("unknown format code '{}' for object of type 'str'", type);
  }
  std::string body(value.view());
  if (spec.precision >= 0) body.resize(offset_of(body, spec.precision));
  return pad(body, spec, '<');
}

class BraceFormatter {
 public:
  BraceFormatter(Interpreter& interpreter, const Arguments& arguments)
      : interpreter_(interpreter), arguments_(arguments) {}

  Result<std::string> run(std::string_view format, int depth) {
    TRY(interpreter_.runtime().charge_bytes(format.size()));
    std::string out;
    for (size_t at = 0; at < format.size();) {
      const char c = format[at++];
      const bool doubled = at < format.size() && format[at] == c;
      if (c != '{' && c != '}') {
        out += c;
      } else if (doubled) {
        out += c;
        ++at;
      } else if (c == '}') {
        return fail("single '}}' encountered in format string");
      } else {
        out += TRY(field(format, at, depth));
      }
      if (out.size() > kMaximumTextBytes) return fail("expected a shorter formatted text");
    }
    return out;
  }

 private:
  // name!conversion:spec}; `at` is behind the brace and moves past the closing one.
  Result<std::string> field(std::string_view format, size_t& at, int depth) {
    if (depth > 1) return fail("max string recursion exceeded");
    const size_t begin = at;
    int open = 1;
    while (at < format.size() && open > 0) {
      open += format[at] == '{' ? 1 : format[at] == '}' ? -1 : 0;
      ++at;
    }
    if (open > 0) return fail("expected '}}' before end of string");
    std::string_view content = format.substr(begin, at - begin - 1);
    const size_t name_end = content.find_first_of("!:");
    Value value = TRY(lookup(content.substr(0, name_end)));
    content = name_end == std::string_view::npos ? "" : content.substr(name_end);
    if (!content.empty() && content[0] == '!') {
      if (content.size() < 2) return fail("end of string while looking for conversion specifier");
      value = TRY(converted(value, content[1]));
      content.remove_prefix(2);
    }
    std::string spec;
    if (!content.empty()) {
      if (content[0] != ':') return fail("expected ':' after conversion specifier");
      spec = TRY(run(content.substr(1), depth + 1));
    }
    return format_value(interpreter_, value, spec);
  }

  Result<Value> converted(const Value& value, char conversion) {
    std::string shown;
    if (conversion == 's') {
      TRY(append_string(interpreter_.runtime(), shown, value));
    } else if (conversion == 'r' || conversion == 'a') {
      TRY(append_repr(interpreter_.runtime(), shown, value));
    } else {
      return fail("unknown conversion specifier '{}'", conversion);
    }
    return interpreter_.text(shown);
  }

  // first(.attribute|[item])*
  Result<Value> lookup(std::string_view name) {
    const size_t end = std::min(name.find_first_of(".["), name.size());
    Value value = TRY(argument(name.substr(0, end)));
    name.remove_prefix(end);
    while (!name.empty()) {
      const bool attribute = name[0] == '.';
      const size_t close =
          attribute ? std::min(name.find_first_of(".[", 1), name.size()) : name.find(']');
      if (close == std::string_view::npos || close == 1)
        return fail("empty attribute in format string");
      const std::string_view part = name.substr(1, close - 1);
      const bool number =
          std::all_of(part.begin(), part.end(), [](char c) { return c >= '0' && c <= '9'; });
      size_t at = 0;
      if (attribute) {
        value = TRY(interpreter_.attribute(value, part));
      } else if (number) {
        const int64_t index = TRY(read_number(part, at, kMaximumSteps));
        value = TRY(interpreter_.item(value, integer(index)));
      } else {
        value = TRY(interpreter_.item(value, borrowed_text(interpreter_.arena(), part)));
      }
      if (value.kind == Kind::undefined) return use_of_undefined(value);
      name.remove_prefix(close + (attribute ? 0 : 1));
    }
    return value;
  }

  Result<Value> argument(std::string_view name) {
    const bool number =
        std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!number) {
      for (const NamedValue& named : arguments_.named) {
        if (named.name == name) return named.value;
      }
      return fail("no argument '{}' for the format", name);
    }
    size_t at = 0;
    const int64_t index = name.empty() ? next_++ : TRY(read_number(name, at, kMaximumSteps));
    if (index >= static_cast<int64_t>(arguments_.positional.size())) {
      return fail("replacement index {} out of range for positional args tuple", index);
    }
    return arguments_.positional[static_cast<size_t>(index)];
  }

  Interpreter& interpreter_;
  const Arguments& arguments_;
  int64_t next_ = 0;
};

}  // namespace

Result<std::string> format_braces(Interpreter& interpreter, std::string_view format,
                                  const Arguments& arguments) {
  return BraceFormatter(interpreter, arguments).run(format, 0);
}

}  // namespace shoehorn::jinja
