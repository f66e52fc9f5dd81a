#include "base/cache_directory.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "base/build_id.h"

namespace shoehorn {
namespace {

// Sets a variable for as long as the test lives; null: unset.
class Variable {
 public:
  Variable(const char* name, const char* value) : name_(name) {
    const char* before = ::getenv(name);
    had_ = before != nullptr;
    if (had_) before_ = before;
    value != nullptr ? ::setenv(name, value, 1) : ::unsetenv(name);
  }
  ~Variable() { had_ ? ::setenv(name_, before_.c_str(), 1) : ::unsetenv(name_); }
  Variable(const Variable&) = delete;
  Variable& operator=(const Variable&) = delete;

 private:
  const char* name_;
  bool had_ = false;
  std::string before_;
};

TEST(CacheDirectory, IsTheUsers) {
  const Variable home("HOME", "/home/somebody");
  {
    const Variable cache("XDG_CACHE_HOME", "/fast");
    EXPECT_EQ(cache_directory(), "/fast/shoehorn");
  }
  for (const char* none : {"", static_cast<const char*>(nullptr)}) {
    const Variable cache("XDG_CACHE_HOME", none);
    EXPECT_EQ(cache_directory(), "/home/somebody/.cache/shoehorn");
  }
}

TEST(CacheDirectory, IsTemporaryForNobody) {
  const Variable home("HOME", nullptr), cache("XDG_CACHE_HOME", nullptr);
  EXPECT_EQ(cache_directory(), std::filesystem::temp_directory_path() / "shoehorn");
}

TEST(BuildId, IsHexadecimalAndStable) {
  EXPECT_GE(build_id().size(), 16u);
  EXPECT_EQ(build_id().find_first_not_of("0123456789abcdef"), std::string::npos);
  EXPECT_EQ(build_id(), build_id());
}

}  // namespace
}  // namespace shoehorn
