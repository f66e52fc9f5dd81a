#include "base/result.h"

#include <gtest/gtest.h>

#include <memory>
#include <string>

namespace shoehorn {
namespace {

Result<int> half(int x) {
  if (x % 2 != 0) return fail("{}: expected an even number", x);
  return x / 2;
}

Result<int> quarter(int x) {
  const int once = TRY(half(x));
  return TRY(half(once));
}

Result<void> check_quarter(int x, int expected) {
  if (TRY(quarter(x)) != expected) return fail("quarter of {} is not {}", x, expected);
  return {};
}

Result<std::string> describe(int x) {
  TRY(check_quarter(x, x / 4));
  return std::string("fine");
}

TEST(Result, ValueOrError) {
  EXPECT_TRUE(half(4).ok());
  EXPECT_EQ(*half(4), 2);
  EXPECT_FALSE(half(3));
  EXPECT_EQ(half(3).error().message, "3: expected an even number");
}

TEST(Result, TryReturnsTheFirstError) {
  EXPECT_EQ(*quarter(12), 3);
  EXPECT_EQ(quarter(6).error().message, "3: expected an even number");
  EXPECT_TRUE(check_quarter(8, 2));
  EXPECT_EQ(check_quarter(8, 3).error().message, "quarter of 8 is not 3");
  EXPECT_EQ(*describe(8), "fine");
  EXPECT_EQ(describe(7).error().message, "7: expected an even number");
}

TEST(Result, MovesWhatCannotBeCopied) {
  const auto make = [](int x) -> Result<std::unique_ptr<int>> {
    return std::make_unique<int>(TRY(half(x)));
  };
  std::unique_ptr<int> value = std::move(make(10)).value();
  EXPECT_EQ(*value, 5);
  EXPECT_FALSE(make(11));
}

TEST(Result, ValueOfTypeErrorFreeString) {
  const Result<std::string> text = std::string("x");
  EXPECT_EQ(text->size(), 1u);
}

TEST(ResultDeathTest, WrongUseIsOurBug) {
  EXPECT_DEATH(half(3).value(), "3: expected an even number");
  EXPECT_DEATH((void)half(4).error(), "holds a value");
  EXPECT_DEATH(check_quarter(8, 3).value(), "quarter of 8");
  EXPECT_DEATH(CHECK(1 + 1 == 3, "sum {}", 2), "1 \\+ 1 == 3.*sum 2");
}

}  // namespace
}  // namespace shoehorn
