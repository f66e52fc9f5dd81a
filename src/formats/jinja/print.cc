#include "formats/jinja/print.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <vector>

#include "formats/jinja/callable.h"
#include "formats/jinja/text.h"

namespace shoehorn::jinja {
namespace {

Result<void> check_size(const std::string& out) {
  if (out.size() <= kMaximumTextBytes) return {};
  return fail("expected text of at most {} MiB, the template prints more", kMaximumTextBytes >> 20);
}

Result<void> check_depth(int depth) {
  if (depth <= kMaximumDataDepth) return {};
  return fail("expected data nested at most {} deep, found more", kMaximumDataDepth);
}

class Printer {
 public:
  Printer(Runtime& runtime, std::string& out) : runtime_(runtime), out_(out) {}

  Result<void> repr(const Value& value, int depth) {
    TRY(runtime_.charge());
    TRY(check_depth(depth));
    switch (value.kind) {
      case Kind::text:
        TRY(runtime_.charge_bytes(value.text->size));
        if (value.markup) out_ += "Markup(";
        append_quoted(out_, value.view());
        if (value.markup) out_ += ')';
        return check_size(out_);
      case Kind::sequence:
        return sequence(*value.sequence, depth);
      case Kind::dict:
        return dict(*value.dict, depth);
      case Kind::name_space:
        out_ += "<Namespace ";
        TRY(dict(value.name_space->attributes, depth));
        out_ += '>';
        return {};
      default:
        scalar(value);
        return {};
    }
  }

 private:
  void scalar(const Value& value) {
    switch (value.kind) {
      case Kind::none:
        out_ += "None";
        break;
      case Kind::boolean:
        out_ += value.boolean ? "True" : "False";
        break;
      case Kind::integer:
        out_ += fmt::format_int(value.integer).c_str();
        break;
      case Kind::real:
        out_ += format_real(value.real);
        break;
      case Kind::loop:
        out_ += "<LoopContext>";
        break;
      case Kind::callable:
        out_ += describe(*value.callable);
        break;
      default:
        out_ += "Undefined";
    }
  }

  Result<void> items(std::span<const Value> values, int depth) {
    bool first = true;
    for (const Value& item : values) {
      if (!first) out_ += ", ";
      first = false;
      TRY(repr(item, depth + 1));
    }
    return {};
  }

  Result<void> sequence(const Sequence& sequence, int depth) {
    switch (sequence.type) {
      case SequenceType::list:
        out_ += '[';
        TRY(items(sequence.items, depth));
        out_ += ']';
        return {};
      case SequenceType::tuple:
      case SequenceType::group:
        out_ += '(';
        TRY(items(sequence.items, depth));
        out_ += sequence.items.size() == 1 ? ",)" : ")";
        return {};
      case SequenceType::range:
        out_ += fmt::format("range({}, {}", sequence.range[0], sequence.range[1]);
        if (sequence.range[2] != 1) out_ += fmt::format(", {}", sequence.range[2]);
        out_ += ')';
        return {};
      case SequenceType::iterator:
        out_ += "<generator object>";
        return {};
      default:
        out_ += sequence.type == SequenceType::dict_keys     ? "dict_keys(["
                : sequence.type == SequenceType::dict_values ? "dict_values(["
                                                             : "dict_items([";
        TRY(items(sequence.items, depth));
        out_ += "])";
        return {};
    }
  }

  Result<void> dict(const Dict& dict, int depth) {
    out_ += '{';
    for (size_t i = 0; i < dict.size; ++i) {
      if (i > 0) out_ += ", ";
      TRY(repr(dict.entries[i].key, depth + 1));
      out_ += ": ";
      TRY(repr(dict.entries[i].value, depth + 1));
    }
    out_ += '}';
    return {};
  }

  Runtime& runtime_;
  std::string& out_;
};

class JsonWriter {
 public:
  JsonWriter(Runtime& runtime, std::string& out, const JsonOptions& options)
      : runtime_(runtime), out_(out), options_(options) {}

  Result<void> value(const Value& value, int depth) {
    TRY(runtime_.charge());
    TRY(check_depth(depth));
    switch (value.kind) {
      case Kind::none:
        out_ += "null";
        return {};
      case Kind::boolean:
        out_ += value.boolean ? "true" : "false";
        return {};
      case Kind::integer:
        out_ += fmt::format_int(value.integer).c_str();
        return {};
      case Kind::real:
        real(value.real);
        return {};
      case Kind::text:
        TRY(runtime_.charge_bytes(value.text->size));
        append_json_text(out_, value.view(), options_.ensure_ascii);
        return check_size(out_);
      case Kind::dict:
        return dict(*value.dict, depth);
      case Kind::sequence:
        if (value.sequence->type > SequenceType::group) break;
        return list(value.sequence->items, depth);
      default:
        break;
    }
    return fail("Object of type {} is not JSON serializable", type_name(value));
  }

 private:
  void real(double number) {
    if (std::isnan(number)) {
      out_ += "NaN";
    } else if (std::isinf(number)) {
      out_ += number > 0 ? "Infinity" : "-Infinity";
    } else {
      out_ += format_real(number);
    }
  }

  Result<void> line(int depth) {
    if (!options_.indented) return {};
    out_ += '\n';
    for (int i = 0; i < depth; ++i) {
      out_ += options_.indent;
      TRY(check_size(out_));
    }
    return {};
  }

  Result<void> list(std::span<const Value> items, int depth) {
    if (items.empty()) {
      out_ += "[]";
      return {};
    }
    out_ += '[';
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_ += options_.item_separator;
      TRY(line(depth + 1));
      TRY(value(items[i], depth + 1));
    }
    TRY(line(depth));
    out_ += ']';
    return {};
  }

  Result<void> key(const Value& key) {
    std::string text;
    switch (key.kind) {
      case Kind::text:
        append_json_text(out_, key.view(), options_.ensure_ascii);
        return check_size(out_);
      case Kind::none:
      case Kind::boolean:
      case Kind::integer:
      case Kind::real:
        out_ += '"';
        TRY(value(key, 0));
        out_ += '"';
        return {};
      default:
        return fail("keys must be str, int, float, bool or None, not {}", type_name(key));
    }
  }

  Result<void> dict(const Dict& dict, int depth) {
    if (dict.size == 0) {
      out_ += "{}";
      return {};
    }
    std::vector<const Dict::Entry*> entries;
    for (size_t i = 0; i < dict.size; ++i) entries.push_back(dict.entries + i);
    if (options_.sort_keys) TRY(sort(entries));
    out_ += '{';
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) out_ += options_.item_separator;
      TRY(line(depth + 1));
      TRY(key(entries[i]->key));
      out_ += options_.key_separator;
      TRY(value(entries[i]->value, depth + 1));
    }
    TRY(line(depth));
    out_ += '}';
    return {};
  }

  static Result<void> sort(std::vector<const Dict::Entry*>& entries) {
    for (const Dict::Entry* entry : entries) {
      if (entry->key.kind != Kind::text) {
        return fail("sort_keys: expected keys of type str, found {}", type_name(entry->key));
      }
    }
    std::sort(entries.begin(), entries.end(), [](const Dict::Entry* a, const Dict::Entry* b) {
      return a->key.view() < b->key.view();
    });
    return {};
  }

  Runtime& runtime_;
  std::string& out_;
  const JsonOptions& options_;
};

}  // namespace

// Python's float_repr_style 'short': fixed notation for exponents -4 to 15, else d.ddde+XX.
std::string format_real(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[32];
  const std::to_chars_result end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  std::string_view text(buffer, static_cast<size_t>(end.ptr - buffer));
  std::string out;
  if (text[0] == '-') {
    out += '-';
    text.remove_prefix(1);
  }
  const size_t mark = text.find('e');
  int exponent = 0;
  const size_t sign = text[mark + 1] == '+' ? 1 : 0;
  std::from_chars(text.data() + mark + 1 + sign, text.data() + text.size(), exponent);
  std::string digits(1, text[0]);
  if (mark > 2) digits += text.substr(2, mark - 2);
  const int count = static_cast<int>(digits.size());
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (count > 1) out += '.' + digits.substr(1);
    return out + fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0)
    return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  if (count <= exponent + 1) {
    return out + digits + std::string(static_cast<size_t>(exponent + 1 - count), '0') + ".0";
  }
  const auto whole = static_cast<size_t>(exponent + 1);
  return out + digits.substr(0, whole) + '.' + digits.substr(whole);
}

Result<void> append_string(Runtime& runtime, std::string& out, const Value& value) {
  if (value.kind == Kind::undefined) return {};
  if (value.kind != Kind::text) return append_repr(runtime, out, value);
  TRY(runtime.charge_bytes(value.text->size));
  out += value.view();
  return check_size(out);
}

Result<void> append_repr(Runtime& runtime, std::string& out, const Value& value) {
  return Printer(runtime, out).repr(value, 0);
}

Result<void> append_json(Runtime& runtime, std::string& out, const Value& value,
                         const JsonOptions& options) {
  return JsonWriter(runtime, out, options).value(value, 0);
}

}  // namespace shoehorn::jinja
