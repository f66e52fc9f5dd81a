#include "formats/jinja/format.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "formats/jinja/print.h"
#include "formats/jinja/text.h"

namespace shoehorn::jinja {
namespace {

constexpr int64_t kMaximumPrecision = 100;

// [[fill]align][sign][#][0][width][,][.precision][type]
struct Spec {
  std::string fill = " ";
  char align = '\0';
  char sign = '-';
  bool alternate = false;
  bool zero = false;
  char grouping = '\0';
  int64_t width = 0;
  int64_t precision = -1;
  char type = '\0';
};

Result<int64_t> read_number(std::string_view text, size_t& at, int64_t limit) {
  int64_t value = 0;
  while (at < text.size() && text[at] >= '0' && text[at] <= '9') {
    value = value * 10 + (text[at++] - '0');
    if (value > limit) return fail("expected a width or precision of at most {}", limit);
  }
  return value;
}

std::string pad(const std::string& body, const Spec& spec, char default_align) {
  const int64_t missing = spec.width - count_characters(body);
  if (missing <= 0) return body;
  const char align = spec.align != '\0' ? spec.align : default_align;
  const int64_t left = align == '<' ? 0 : align == '^' ? missing / 2 : missing;
  std::string out;
  if (align == '=') {
    const size_t sign = !body.empty() && (body[0] == '-' || body[0] == '+' || body[0] == ' ');
    out = body.substr(0, sign);
    for (int64_t i = 0; i < missing; ++i) out += spec.fill;
    return out + body.substr(sign);
  }
  for (int64_t i = 0; i < left; ++i) out += spec.fill;
  out += body;
  for (int64_t i = left; i < missing; ++i) out += spec.fill;
  return out;
}

std::string group_thousands(std::string digits, char separator) {
  size_t end = digits.find_first_not_of("0123456789");
  if (end == std::string::npos) end = digits.size();
  for (size_t at = end; at > 3;) {
    at -= 3;
    digits.insert(at, 1, separator);
  }
  return digits;
}

std::string integer_digits(uint64_t value, char type) {
  switch (type) {
    case 'x':
      return fmt::format("{:x}", value);
    case 'X':
      return fmt::format("{:X}", value);
    case 'o':
      return fmt::format("{:o}", value);
    case 'b':
      return fmt::format("{:b}", value);
    default:
      return fmt::format("{}", value);
  }
}

// e, f, g and their capitals, without sign.
std::string real_digits(double value, const Spec& spec) {
  char pattern[8] = "%.*";
  size_t at = 3;
  if (spec.alternate) {
    pattern[2] = '\0';
    std::snprintf(pattern, sizeof pattern, "%%#.*");
    at = 4;
  }
  pattern[at] = spec.type;
  pattern[at + 1] = '\0';
  char buffer[512];
  const int precision = static_cast<int>(spec.precision < 0 ? 6 : spec.precision);
  std::snprintf(buffer, sizeof buffer, pattern, precision, value);
  return buffer;
}

std::string with_sign(bool negative, const Spec& spec, const std::string& digits) {
  if (negative) return '-' + digits;
  return spec.sign == '+' || spec.sign == ' ' ? spec.sign + digits : digits;
}

std::string format_integer(int64_t value, const Spec& spec) {
  const uint64_t magnitude =
      value < 0 ? 0 - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  std::string digits = integer_digits(magnitude, spec.type);
  if (spec.grouping != '\0') digits = group_thousands(digits, spec.grouping);
  if (spec.alternate &&
      (spec.type == 'x' || spec.type == 'X' || spec.type == 'o' || spec.type == 'b')) {
    digits = std::string("0") + spec.type + digits;
  }
  return with_sign(value < 0, spec, digits);
}

std::string format_real_spec(double value, Spec spec) {
  std::string suffix;
  if (spec.type == '%') {
    value *= 100;
    spec.type = 'f';
    suffix = "%";
  }
  const double magnitude = std::fabs(value);
  std::string digits;
  if (spec.type == '\0' && spec.precision < 0) {
    digits = format_real(magnitude);
  } else {
    const bool plain = spec.type == '\0';
    if (plain) spec.type = 'g';
    digits = std::isfinite(magnitude) ? real_digits(magnitude, spec) : format_real(magnitude);
    if (plain && digits.find_first_of(".en") == std::string::npos) digits += ".0";
  }
  if (spec.grouping != '\0') digits = group_thousands(digits, spec.grouping);
  return with_sign(std::signbit(value), spec, digits + suffix);
}

Result<int64_t> as_integer(const Value& value, char type) {
  if (value.is_whole()) return value.as_integer();
  if (value.kind == Kind::undefined) return use_of_undefined(value);
  if (value.kind == Kind::real && type == 'd' && std::fabs(value.real) < 0x1p63) {
    return static_cast<int64_t>(value.real);
  }
  return fail("%{} format: a real number is required, not {}", type, type_name(value));
}

class PercentFormatter {
 public:
  PercentFormatter(Interpreter& interpreter, std::string_view format, const Value& values)
      : interpreter_(interpreter), format_(format), values_(values) {}

  Result<std::string> run() {
    while (at_ < format_.size()) {
      const char c = format_[at_++];
      if (c != '%') {
        out_ += c;
        continue;
      }
      TRY(conversion());
      if (out_.size() > kMaximumTextBytes) return fail("expected a shorter formatted text");
    }
    if (!used_mapping_ && values_.kind != Kind::dict && next_ < count()) {
      return fail("not all arguments converted during string formatting");
    }
    return std::move(out_);
  }

 private:
  bool is_tuple() const {
    return values_.kind == Kind::sequence && (values_.sequence->type == SequenceType::tuple ||
                                              values_.sequence->type == SequenceType::group);
  }
  size_t count() const { return is_tuple() ? values_.sequence->items.size() : 1; }

  Result<Value> next() {
    if (next_ >= count()) return fail("not enough arguments for format string");
    const size_t index = next_++;
    return is_tuple() ? values_.sequence->items[index] : values_;
  }

  Result<int64_t> width(int64_t limit) {
    if (at_ < format_.size() && format_[at_] == '*') {
      ++at_;
      const Value value = TRY(next());
      const int64_t width = TRY(integer_or("%", "*", value, 0));
      if (width < -limit || width > limit) return fail("expected a width of at most {}", limit);
      return width;
    }
    return read_number(format_, at_, limit);
  }

  Result<void> conversion() {
    Spec spec;
    Value value;
    if (at_ < format_.size() && format_[at_] == '(') {
      const size_t end = format_.find(')', at_);
      if (end == std::string_view::npos) return fail("incomplete format key");
      if (values_.kind != Kind::dict) return fail("format requires a mapping");
      const std::string_view key = format_.substr(at_ + 1, end - at_ - 1);
      const Value* found = find_text(*values_.dict, key);
      if (found == nullptr) return fail("no key '{}' for the format", key);
      value = *found;
      used_mapping_ = true;
      at_ = end + 1;
    }
    for (; at_ < format_.size(); ++at_) {
      const char flag = format_[at_];
      if (flag == '-') {
        spec.align = '<';
      } else if (flag == '+' || (flag == ' ' && spec.sign != '+')) {
        spec.sign = flag;
      } else if (flag == '#') {
        spec.alternate = true;
      } else if (flag == '0') {
        spec.zero = true;
      } else if (flag != ' ') {
        break;
      }
    }
    spec.width = TRY(width(static_cast<int64_t>(kMaximumTextBytes)));
    if (spec.width < 0) {
      spec.align = '<';
      spec.width = -spec.width;
    }
    if (at_ < format_.size() && format_[at_] == '.') {
      ++at_;
      spec.precision = std::max<int64_t>(TRY(width(kMaximumPrecision)), 0);
    }
    while (at_ < format_.size() && (format_[at_] == 'l' || format_[at_] == 'h')) ++at_;
    if (at_ >= format_.size()) return fail("incomplete format");
    spec.type = format_[at_++];
    if (spec.type == '%') {
      out_ += '%';
      return {};
    }
    if (!value.present()) value = TRY(next());
    return convert(spec, value);
  }

  Result<void> convert(Spec spec, const Value& value) {
    std::string body;
    bool number = true;
    switch (spec.type) {
      case 's':
      case 'r':
      case 'a':
        number = false;
        body = TRY(shown(spec, value));
        break;
      case 'c':
        number = false;
        if (value.is_whole()) {
          append_character(
              body, static_cast<uint32_t>(std::clamp<int64_t>(value.as_integer(), 0, 0x10FFFF)));
        } else if (value.kind == Kind::text && value.text->length() == 1) {
          body = value.view();
        } else {
          return fail("%c requires int or char");
        }
        break;
      case 'i':
      case 'u':
        spec.type = 'd';
        [[fallthrough]];
      case 'd':
      case 'x':
      case 'X':
      case 'o':
        body = format_integer(TRY(as_integer(value, spec.type)), spec);
        break;
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        if (value.kind == Kind::undefined) return use_of_undefined(value);
        if (!value.is_number()) return fail("must be real number, not {}", type_name(value));
        body = format_real_spec(value.as_real(), spec);
        break;
      default:
        return fail("unsupported format character '{}'", spec.type);
    }
    if (spec.zero && number && spec.align == '\0') {
      spec.fill = "0";
      spec.align = '=';
    }
    out_ += pad(body, spec, '>');
    return {};
  }

  Result<std::string> shown(const Spec& spec, const Value& value) {
    std::string body;
    if (spec.type == 's') {
      TRY(append_string(interpreter_.runtime(), body, value));
    } else {
      TRY(append_repr(interpreter_.runtime(), body, value));
    }
    if (spec.precision >= 0) body.resize(offset_of(body, spec.precision));
    return body;
  }

  Interpreter& interpreter_;
  std::string_view format_;
  const Value& values_;
  std::string out_;
  size_t at_ = 0;
  size_t next_ = 0;
  bool used_mapping_ = false;
};

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

Result<std::string> format_percent(Interpreter& interpreter, std::string_view format,
                                   const Value& values) {
  return PercentFormatter(interpreter, format, values).run();
}

Result<std::string> format_braces(Interpreter& interpreter, std::string_view format,
                                  const Arguments& arguments) {
  return BraceFormatter(interpreter, arguments).run(format, 0);
}

}  // namespace shoehorn::jinja
