#include "engine/text_stream.h"

#include <gtest/gtest.h>

namespace shoehorn {
namespace {

// One token a byte, in the byte-to-unicode alphabet: id = byte.
Tokenizer byte_tokenizer() {
  TokenizerData data;
  data.source = "test";
  data.pre_tokenizer = PreTokenizer::gpt2;
  int next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const bool itself = (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
    const int code = itself ? byte : next++;
    std::string text;
    if (code < 0x80) {
      text = static_cast<char>(code);
    } else {
      text = {static_cast<char>(0xC0 | (code >> 6)), static_cast<char>(0x80 | (code & 0x3F))};
    }
    data.tokens.push_back(text);
  }
  return Tokenizer::create(std::move(data)).value();
}

// The pieces that a text gives, byte by byte, joined by '|'; what finish() adds after '#'.
std::string pieces(std::string_view text, std::vector<std::string> stops) {
  const Tokenizer tokenizer = byte_tokenizer();
  TextStream stream(tokenizer, std::move(stops));
  std::string joined;
  for (const char c : text) {
    const std::string piece = stream.next(static_cast<uint8_t>(c));
    if (!piece.empty()) joined += (joined.empty() ? "" : "|") + piece;
  }
  return joined + "#" + stream.finish();
}

TEST(TextStream, PassesTextThroughAtOnce) {
  EXPECT_EQ(pieces("abc", {}), "a|b|c#");
}

TEST(TextStream, HoldsBackWhatMayBecomeAStop) {
  EXPECT_EQ(pieces("aSTbSTOPc", {"STOP"}), "a|STb#");
  EXPECT_EQ(pieces("abST", {"STOP"}), "a|b#ST");
}

TEST(TextStream, FindsAStopThatOverlapsItself) {
  EXPECT_EQ(pieces("aaab!", {"aab"}), "a#");
  EXPECT_EQ(pieces("xababac", {"abac"}), "x|ab#");
}

TEST(TextStream, TheEarliestOfSeveralStopsWins) {
  EXPECT_EQ(pieces("one two three", {"three", "two"}), "o|n|e| #");
}

TEST(TextStream, EmptyStopsAreIgnored) {
  EXPECT_EQ(pieces("ab", {""}), "a|b#");
}

TEST(TextStream, KeepsCharactersWhole) {
  EXPECT_EQ(pieces("é你", {}), "é|你#");
  EXPECT_EQ(pieces("é\xE4\xBD", {}), "é#\xEF\xBF\xBD");
}

TEST(TextStream, StopsInsideMultibyteText) {
  EXPECT_EQ(pieces("你好。世", {"。"}), "你|好#");
}

TEST(TextStream, SaysThatItStopped) {
  const Tokenizer tokenizer = byte_tokenizer();
  TextStream stream(tokenizer, {"x"});
  EXPECT_EQ(stream.next('a'), "a");
  EXPECT_FALSE(stream.stopped());
  EXPECT_EQ(stream.next('x'), "");
  EXPECT_TRUE(stream.stopped());
  EXPECT_EQ(stream.next('b'), "");
  EXPECT_EQ(stream.finish(), "");
}

}  // namespace
}  // namespace shoehorn
