// Result<T>: a value, or an Error that says what the world did wrong.
//
//   Result<MappedFile> file = MappedFile::open(path);
//   if (!file) return file.error();
//   MappedFile file = TRY(MappedFile::open(path));      // the same in one line
//
// An Error's message is one line for the user: the file or field, what was expected, what was
// found.
#pragma once

#include <fmt/format.h>

#include <string>
#include <utility>
#include <variant>

#include "base/check.h"

namespace shoehorn {

struct [[nodiscard]] Error {
  std::string message;
};

// An Error from a format string: `return fail("{}: no tensor '{}'", path, name);`
template <typename... Args>
Error fail(fmt::format_string<Args...> format, Args&&... args) {
  return Error{fmt::format(format, std::forward<Args>(args)...)};
}

template <typename T>
class [[nodiscard]] Result {
 public:
  Result(T value) : state_(std::in_place_index<0>, std::move(value)) {}      // NOLINT: implicit
  Result(Error error) : state_(std::in_place_index<1>, std::move(error)) {}  // NOLINT: implicit

  bool ok() const { return state_.index() == 0; }
  explicit operator bool() const { return ok(); }

  // REQUIRES: ok().
  T& value() & { return check_ok(), *std::get_if<0>(&state_); }
  const T& value() const& { return check_ok(), *std::get_if<0>(&state_); }
  T&& value() && { return check_ok(), std::move(*std::get_if<0>(&state_)); }
  T* operator->() { return &value(); }
  const T* operator->() const { return &value(); }
  T& operator*() & { return value(); }
  const T& operator*() const& { return value(); }

  // REQUIRES: !ok().
  const Error& error() const {
    CHECK(!ok(), "error() of a Result that holds a value");
    return *std::get_if<1>(&state_);
  }

 private:
  void check_ok() const { CHECK(ok(), "value() of a failed Result: {}", error().message); }
  std::variant<T, Error> state_;
};

template <>
class [[nodiscard]] Result<void> {
 public:
  Result() = default;
  Result(Error error) : error_(std::move(error)), ok_(false) {}  // NOLINT: implicit

  bool ok() const { return ok_; }
  explicit operator bool() const { return ok_; }
  void value() const { CHECK(ok_, "value() of a failed Result: {}", error_.message); }
  const Error& error() const {
    CHECK(!ok_, "error() of a Result that holds a value");
    return error_;
  }

 private:
  Error error_;
  bool ok_ = true;
};

}  // namespace shoehorn

// The value of a Result expression; where it failed, the enclosing function returns the Error.
#define TRY(expression)                              \
  ({                                                 \
    auto&& try_result = (expression);                \
    if (!try_result.ok()) return try_result.error(); \
    std::move(try_result).value();                   \
  })
