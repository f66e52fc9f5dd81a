#include "formats/tokenizer_nfc.h"

#include <gtest/gtest.h>
#include <utf8proc.h>

#include "base/clock.h"
#include "tests/formats/tokenizer_testing.h"

namespace shoehorn {
namespace {

std::string by_utf8proc(const std::string& text) {
  utf8proc_uint8_t* out = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &out,
                   static_cast<utf8proc_option_t>(UTF8PROC_COMPOSE | UTF8PROC_STABLE));
  CHECK(size >= 0, "{}", size);
  std::string result(reinterpret_cast<const char*>(out), static_cast<size_t>(size));
  std::free(out);
  return result;
}

// What could make a text of such characters not NFC: a mark that reorders, a decomposition, a
// partner before or after with which it composes.
TEST(Nfc, PlainCharactersNeitherComposeNorReorder) {
  const std::vector<std::string> marks = {"\u0300", "\u0301", "\u0323", "\u3099", "\u11A8"};
  int64_t plain = 0;
  for (char32_t code = 1; code < 0x110000; ++code) {
    const std::string character = utf8(code);
    if ((code >= 0xD800 && code < 0xE000) || !is_plainly_nfc(character)) continue;
    ++plain;
    ASSERT_EQ(by_utf8proc(character), character) << static_cast<uint32_t>(code);
    ASSERT_EQ(utf8proc_get_property(static_cast<int32_t>(code))->combining_class, 0)
        << static_cast<uint32_t>(code);
    // Nothing that comes before it may compose with it: tried with the starters of compositions.
    for (const std::string before : {"a", "e", "o", "\u1100", "\uAC00", "\u30AB", "\u0915"}) {
      ASSERT_EQ(by_utf8proc(before + character), before + character) << static_cast<uint32_t>(code);
    }
  }
  EXPECT_GT(plain, 30000);
  for (const std::string& mark : marks) EXPECT_FALSE(is_plainly_nfc("a" + mark));
  EXPECT_FALSE(is_plainly_nfc("\u212B"));
  EXPECT_TRUE(is_plainly_nfc("naïve \xFF\xC3 文本"));
}

TEST(Nfc, KnownForms) {
  EXPECT_EQ(to_nfc("e\u0301"), "\u00E9");
  EXPECT_EQ(to_nfc("\u212B"), "\u00C5");
  EXPECT_EQ(to_nfc("a\u0301\u0323"), "\u1EA1\u0301");
  EXPECT_EQ(to_nfc("\u1112\u1161\u11AB"), "\uD55C");
  EXPECT_EQ(to_nfc("\u0958"), "\u0915\u093C");  // excluded from composition
  EXPECT_EQ(to_nfc("\uFB01"), "\uFB01");        // compatibility forms stay
  EXPECT_EQ(to_nfc(""), "");
}

TEST(Nfc, BytesThatAreNoUtf8StayAndDivideTheText) {
  EXPECT_EQ(to_nfc("e\xFF\u0301"), "e\xFF\u0301");
  EXPECT_EQ(to_nfc("e\u0301\xE4\xBD"), "\u00E9\xE4\xBD");
}

TEST(Nfc, EqualsUtf8procOnRandomText) {
  Random random(23);
  const std::u32string marks =
      U"\u0300\u0301\u0323\u0327\u0345\u093C\u3099\u05B0e\u00E9a\u1100\u1161\u11A8";
  for (int i = 0; i < 5000; ++i) {
    std::string text = telling_text(random, random.below(10));
    for (uint64_t left = random.below(12); left > 0; --left) {
      text += utf8(marks[random.below(marks.size())]);
    }
    ASSERT_EQ(to_nfc(text), by_utf8proc(text)) << testing::PrintToString(text);
    if (is_plainly_nfc(text)) {
      ASSERT_EQ(to_nfc(text), text);
    }
  }
}

TEST(Nfc, ManyMarksTakeNoQuadraticTime) {
  std::string text;
  for (int i = 0; i < 200000; ++i) text += "\u0301\u0323";
  const Stopwatch watch;
  const std::string normalized = to_nfc("a" + text);
  EXPECT_LT(watch.seconds(), 10);
  EXPECT_EQ(normalized.substr(0, 5), "\u1EA1\u0323");
}

}  // namespace
}  // namespace shoehorn
