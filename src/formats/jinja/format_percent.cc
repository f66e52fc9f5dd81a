// "%s" % values
#include <algorithm>
#include <cmath>

#include "formats/jinja/format.h"
#include "formats/jinja/format_spec.h"
#include "formats/jinja/print.h"
#include "formats/jinja/text.h"

namespace shoehorn::jinja {
namespace {

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
    TRY(interpreter_.runtime().charge_bytes(format_.size()));
    while (at_ < format_.size()) {
      const char c = format_[at_++];
      if (c != '%') {
        out_ += c;
        continue;
      }
      TRY(conversion());
      if (out_.size() > kMaximumTextBytes) return fail("expected a shorter formatted text");
    }
    if (!used_mapping_ && !is_mapping() && next_ < count()) {
      return fail("not all arguments converted during string formatting");
    }
    return std::move(out_);
  }

 private:
  bool is_tuple() const {
    return values_.kind == Kind::sequence && (values_.sequence->type == SequenceType::tuple ||
                                              values_.sequence->type == SequenceType::group);
  }
  // What Python takes for a mapping, whose values need not all be used.
  bool is_mapping() const {
    if (values_.kind == Kind::sequence) return !is_tuple() && values_.sequence->indexable();
    return values_.kind == Kind::dict || values_.kind == Kind::undefined;
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
        } else if (value.kind == Kind::text && count_characters(value.view().substr(0, 8)) == 1) {
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

}  // namespace

Result<std::string> format_percent(Interpreter& interpreter, std::string_view format,
                                   const Value& values) {
  return PercentFormatter(interpreter, format, values).run();
}

}  // namespace shoehorn::jinja
