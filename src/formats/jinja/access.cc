// Attributes, items and slices of values, as the sandbox of Jinja gives them.
#include <algorithm>

#include "formats/jinja/interpreter.h"
#include "formats/jinja/print.h"
#include "formats/jinja/text.h"

namespace shoehorn::jinja {
namespace {

// The attributes of `loop` that are values.
Result<Value> loop_attribute(Interpreter& interpreter, Loop& loop, std::string_view name) {
  Arena& arena = interpreter.arena();
  if (name == "index") return integer(loop.index0 + 1);
  if (name == "index0") return integer(loop.index0);
  if (name == "first") return boolean(loop.index0 == 0);
  if (name == "last") return boolean(!TRY(interpreter.peek(loop)));
  if (name == "length") return integer(TRY(interpreter.length(loop)));
  if (name == "revindex") return integer(TRY(interpreter.length(loop)) - loop.index0);
  if (name == "revindex0") return integer(TRY(interpreter.length(loop)) - loop.index0 - 1);
  if (name == "depth") return integer(1);
  if (name == "depth0") return integer(0);
  if (name == "previtem") {
    if (loop.previous.present()) return loop.previous;
    return undefined(arena, Undefined::Cause::hint, "there is no previous item");
  }
  if (name == "nextitem") {
    if (TRY(interpreter.peek(loop))) return loop.peeked;
    return undefined(arena, Undefined::Cause::hint, "there is no next item");
  }
  return Value{};
}

// What getattr() finds, dict entries apart; missing where it finds nothing.
Result<Value> own_attribute(Interpreter& interpreter, const Value& object, std::string_view name) {
  if (object.kind == Kind::name_space) {
    const Value* found = find_text(object.name_space->attributes, name);
    return found == nullptr ? Value{} : *found;
  }
  if (object.kind == Kind::loop) {
    const Value found = TRY(loop_attribute(interpreter, *object.loop, name));
    if (found.present()) return found;
  }
  if (object.kind == Kind::sequence && object.sequence->type == SequenceType::group) {
    if (name == "grouper") return object.sequence->items[0];
    if (name == "list") return object.sequence->items[1];
  }
  const MethodEntry* entry = find_method(object, name);
  const bool internal =
      name.size() > 4 && name.substr(0, 2) == "__" && name.substr(name.size() - 2) == "__";
  if (internal || (entry != nullptr && entry->forbidden)) {
    return undefined(interpreter.arena(), Undefined::Cause::forbidden, name, type_name(object));
  }
  if (entry != nullptr) return interpreter.method(object, *entry);
  return Value{};
}

Result<Value> index(Interpreter& interpreter, const Value& object, int64_t at) {
  if (object.kind == Kind::sequence) {
    const std::span<const Value> items = object.sequence->items;
    const auto size = static_cast<int64_t>(items.size());
    if (at < 0) at += size;
    return at < 0 || at >= size ? Value{} : items[static_cast<size_t>(at)];
  }
  const std::string_view text = object.view();
  const int64_t length = TRY(characters_of(interpreter.runtime(), *object.text));
  if (at < 0) at += length;
  if (at < 0 || at >= length) return Value{};
  size_t begin = static_cast<size_t>(at);
  if (length != static_cast<int64_t>(text.size())) {
    TRY(interpreter.runtime().charge_bytes(begin));
    begin = offset_of(text, at);
  }
  size_t end = begin;
  next_character(text, end);
  Value result = borrowed_text(interpreter.arena(), text.substr(begin, end - begin));
  result.markup = object.markup;
  return result;
}

// Python's slice.indices().
struct Range {
  int64_t start = 0;
  int64_t stop = 0;
  int64_t step = 1;
  int64_t count = 0;
};

Result<Range> indices(std::span<const Value, 3> bounds, int64_t size) {
  Range range;
  range.step = TRY(integer_or("slice", "step", bounds[2], 1));
  if (range.step == 0) return fail("slice step cannot be zero");
  range.step = std::clamp(range.step, -static_cast<int64_t>(kMaximumTextBytes),
                          static_cast<int64_t>(kMaximumTextBytes));
  const bool back = range.step < 0;
  const int64_t low = back ? -1 : 0;
  const int64_t high = back ? size - 1 : size;
  const auto bound = [&](int64_t at) { return std::clamp(at < 0 ? at + size : at, low, high); };
  const bool has_start = bounds[0].present() && bounds[0].kind != Kind::none;
  const bool has_stop = bounds[1].present() && bounds[1].kind != Kind::none;
  range.start = back ? high : low;
  range.stop = back ? low : high;
  if (has_start) range.start = bound(TRY(integer_or("slice", "start", bounds[0], 0)));
  if (has_stop) range.stop = bound(TRY(integer_or("slice", "stop", bounds[1], 0)));
  const int64_t distance = back ? range.start - range.stop : range.stop - range.start;
  const int64_t stride = back ? -range.step : range.step;
  range.count = distance <= 0 ? 0 : (distance + stride - 1) / stride;
  return range;
}

Result<Value> slice_text(Interpreter& interpreter, const Value& object, const Range& range) {
  const Text& text = *object.text;
  const std::string_view view = text.view();
  Value result;
  TRY(interpreter.runtime().charge_bytes(view.size()));
  if (range.step == 1) {
    const auto first = static_cast<size_t>(range.start);
    const auto count = static_cast<size_t>(range.count);
    const bool bytes = text.characters == static_cast<int64_t>(text.size);
    const size_t begin = bytes ? first : offset_of(view, range.start);
    const size_t size = bytes ? count : offset_of(view.substr(begin), range.count);
    result = borrowed_text(interpreter.arena(), view.substr(begin, size));
  } else {
    std::vector<size_t> offsets;  // of every character, and the end
    offsets.reserve(static_cast<size_t>(text.characters) + 1);
    for (size_t position = 0; position < view.size();) {
      offsets.push_back(position);
      next_character(view, position);
    }
    offsets.push_back(view.size());
    std::string out;
    for (int64_t i = 0; i < range.count; ++i) {
      const auto at = static_cast<size_t>(range.start + i * range.step);
      out += view.substr(offsets[at], offsets[at + 1] - offsets[at]);
    }
    result = TRY(interpreter.text(out));
  }
  result.markup = object.markup;
  return result;
}

}  // namespace

Result<Value> Interpreter::attribute(const Value& object, std::string_view name) {
  if (object.kind == Kind::undefined) return use_of_undefined(object);
  const Value own = TRY(own_attribute(*this, object, name));
  if (own.present()) return own;
  if (object.kind == Kind::dict) {
    TRY(runtime_.charge_items(object.dict->size));
    const Value* found = find_text(*object.dict, name);
    if (found != nullptr) return *found;
  }
  return undefined(arena(), Undefined::Cause::attribute, name, owner_name(object));
}

Result<Value> Interpreter::item(const Value& object, const Value& key) {
  if (object.kind == Kind::undefined) return use_of_undefined(object);
  if (object.kind == Kind::dict) {
    Result<const Value*> found = find(runtime_, *object.dict, key);
    if (found.ok() && *found != nullptr) return **found;
    TRY(runtime_.charge());
  }
  const bool indexable =
      object.kind == Kind::text || (object.kind == Kind::sequence && object.sequence->indexable());
  if (indexable && key.is_whole()) {
    const Value found = TRY(index(*this, object, key.as_integer()));
    if (found.present()) return found;
  }
  if (key.kind == Kind::text) {
    const Value own = TRY(own_attribute(*this, object, key.view()));
    if (own.present()) return own;
    return undefined(arena(), Undefined::Cause::attribute, key.view(), owner_name(object));
  }
  std::string shown;
  TRY(append_repr(runtime_, shown, key));
  const Value name = TRY(text(shown));
  return undefined(arena(), Undefined::Cause::element, name.view(), owner_name(object));
}

Result<Value> Interpreter::slice(const Value& object, std::span<const Value, 3> bounds) {
  if (object.kind == Kind::undefined) return use_of_undefined(object);
  if (object.kind == Kind::text) {
    const int64_t length = TRY(characters_of(runtime_, *object.text));
    const Range range = TRY(indices(bounds, length));
    return slice_text(*this, object, range);
  }
  if (object.kind != Kind::sequence || !object.sequence->indexable()) {
    return fail("'{}' object is not subscriptable", type_name(object));
  }
  const std::span<const Value> items = object.sequence->items;
  const Range range = TRY(indices(bounds, static_cast<int64_t>(items.size())));
  const SequenceType type =
      object.sequence->type == SequenceType::group ? SequenceType::tuple : object.sequence->type;
  if (range.step == 1 && type != SequenceType::range) {
    return list(items.subspan(static_cast<size_t>(range.start), static_cast<size_t>(range.count)),
                type);
  }
  std::vector<Value> taken;
  taken.reserve(static_cast<size_t>(range.count));
  for (int64_t i = 0; i < range.count; ++i) {
    taken.push_back(items[static_cast<size_t>(range.start + i * range.step)]);
  }
  Value result = TRY(list(taken, type));
  if (type == SequenceType::range) {
    const int64_t* old = object.sequence->range;
    result.sequence->range[0] = old[0] + range.start * old[2];
    result.sequence->range[2] = old[2] * range.step;
    result.sequence->range[1] = old[0] + range.stop * old[2];
  }
  return result;
}

}  // namespace shoehorn::jinja
