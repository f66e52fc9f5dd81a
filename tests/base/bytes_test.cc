#include "base/bytes.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace shoehorn {
namespace {

TEST(ParseBytes, UnitsOfBothKinds) {
  const std::vector<std::pair<std::string, uint64_t>> cases = {
      {"0", 0},
      {"4096", 4096},
      {"4096 bytes", 4096},
      {"7B", 7},
      {"1k", 1024},
      {"1KiB", 1024},
      {"1KB", 1000},
      {"16GiB", uint64_t{16} << 30},
      {"16 GiB", uint64_t{16} << 30},
      {"16gib", uint64_t{16} << 30},
      {"16G", uint64_t{16} << 30},
      {"1.5g", uint64_t{3} << 29},
      {"800 MB", 800'000'000},
      {"2TB", 2'000'000'000'000},
      {"2T", uint64_t{2} << 40},
      {"0.5KiB", 512},
      {"1e3", 1000},
  };
  for (const auto& [text, bytes] : cases) {
    const Result<uint64_t> parsed = parse_bytes(text);
    ASSERT_TRUE(parsed) << text << ": " << parsed.error().message;
    EXPECT_EQ(*parsed, bytes) << text;
  }
}

TEST(ParseBytes, RejectsWithTheText) {
  for (const std::string text : {"", "GiB", "16 Gib2", "-1", "-1GiB", "nan", "inf", "1e300", "16X",
                                 "1 2", "9999999TiB", "0x10", "--", "1..5"}) {
    const Result<uint64_t> parsed = parse_bytes(text);
    ASSERT_FALSE(parsed) << text << " became " << *parsed;
    EXPECT_NE(parsed.error().message.find("'" + text + "'"), std::string::npos)
        << parsed.error().message;
  }
}

TEST(FormatBytes, ThreeDigits) {
  const std::vector<std::pair<uint64_t, std::string>> cases = {
      {0, "0 bytes"},
      {999, "999 bytes"},
      {1000, "0.98 KiB"},
      {1024, "1.00 KiB"},
      {10 * 1024, "10.0 KiB"},
      {100 * 1024, "100 KiB"},
      {88395776, "84.3 MiB"},
      {uint64_t{16} << 30, "16.0 GiB"},
      {uint64_t{5} << 50, "5120 TiB"},
  };
  for (const auto& [bytes, text] : cases) EXPECT_EQ(format_bytes(bytes), text) << bytes;
}

}  // namespace
}  // namespace shoehorn
