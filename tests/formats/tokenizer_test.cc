#include "formats/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

#include "base/clock.h"
#include "tests/formats/tokenizer_testing.h"

namespace shoehorn {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

Tokenizer create(TokenizerData data) {
  Result<Tokenizer> tokenizer = Tokenizer::create(std::move(data));
  CHECK(tokenizer.ok(), "{}", tokenizer.error().message);
  return std::move(*tokenizer);
}

std::string creation_error(TokenizerData data) {
  const Result<Tokenizer> tokenizer = Tokenizer::create(std::move(data));
  return tokenizer.ok() ? "no error" : tokenizer.error().message;
}

int32_t add(TokenizerData& data, const std::string& content, bool special) {
  const auto id = static_cast<int32_t>(data.tokens.size());
  data.tokens.push_back(content);
  data.added_tokens.push_back({id, content, special});
  return id;
}

TEST(Bpe, MergesTheLowestRankFirstAndTheLeftmostOfEqualOnes) {
  // Ranks: bc, ab, aa, aaa (of aa and a).
  const Tokenizer tokenizer = create(
      byte_vocabulary(PreTokenizer::gpt2, {{"b", "c"}, {"a", "b"}, {"a", "a"}, {"aa", "a"}}));
  EXPECT_THAT(tokenizer.encode("abc"), ElementsAre('a', 256));
  EXPECT_THAT(tokenizer.encode("ab"), ElementsAre(257));
  EXPECT_THAT(tokenizer.encode("aaa"), ElementsAre(259));
  EXPECT_THAT(tokenizer.encode("aaaa"), ElementsAre(258, 258));
  EXPECT_THAT(tokenizer.encode("aaaaa"), ElementsAre(258, 259));
  EXPECT_THAT(tokenizer.encode(""), IsEmpty());
}

// The definition itself, quadratic: against it the heap.
std::vector<int32_t> merge_naively(const TokenizerData& data, std::string_view piece) {
  std::vector<std::string> symbols;
  for (const char c : piece) symbols.push_back(spelled({&c, 1}));
  while (true) {
    size_t best_rank = data.merges.size(), best = 0;
    for (size_t i = 0; i + 1 < symbols.size(); ++i) {
      const auto found =
          std::find(data.merges.begin(), data.merges.end(), symbols[i] + " " + symbols[i + 1]);
      const auto rank = static_cast<size_t>(found - data.merges.begin());
      if (rank < best_rank) {
        best_rank = rank;
        best = i;
      }
    }
    if (best_rank == data.merges.size()) break;
    symbols[best] += symbols[best + 1];
    symbols.erase(symbols.begin() + static_cast<std::ptrdiff_t>(best) + 1);
  }
  std::vector<int32_t> ids;
  for (const std::string& symbol : symbols) {
    const auto found = std::find(data.tokens.begin(), data.tokens.end(), symbol);
    ids.push_back(static_cast<int32_t>(found - data.tokens.begin()));
  }
  return ids;
}

TEST(Bpe, EqualsItsDefinitionOnRandomMerges) {
  Random random(3);
  for (int vocabulary = 0; vocabulary < 40; ++vocabulary) {
    std::vector<std::string> known = {"a", "b", "c"};
    std::vector<std::pair<std::string, std::string>> merges;
    for (int i = 0; i < 25; ++i) {
      const std::string left = known[random.below(known.size())];
      const std::string right = known[random.below(known.size())];
      if (std::find(merges.begin(), merges.end(), std::pair(left, right)) != merges.end()) continue;
      if (std::find(known.begin(), known.end(), left + right) != known.end()) continue;
      merges.emplace_back(left, right);
      known.push_back(left + right);
    }
    const TokenizerData data = byte_vocabulary(PreTokenizer::gpt2, merges);
    const Tokenizer tokenizer = create(data);
    for (int i = 0; i < 50; ++i) {
      std::string text;
      for (uint64_t left = 1 + random.below(60); left > 0; --left) {
        text += static_cast<char>('a' + random.below(3));
      }
      ASSERT_EQ(tokenizer.encode(text), merge_naively(data, text)) << text;
      ASSERT_EQ(tokenizer.encode(text), merge_naively(data, text)) << text << ", now remembered";
    }
  }
}

TEST(Bpe, LongPiecesTakeNoQuadraticTime) {
  std::vector<std::pair<std::string, std::string>> merges;
  for (std::string run = "a"; run.size() < 64; run += run) merges.emplace_back(run, run);
  for (std::string run = " "; run.size() < 64; run += run) merges.emplace_back(run, run);
  for (const PreTokenizer pre_tokenizer : kAllPreTokenizers) {
    const Tokenizer tokenizer = create(byte_vocabulary(pre_tokenizer, merges));
    for (const char c : {'a', ' ', '\n', '!'}) {
      const std::string text(c == 'a' || c == ' ' ? 1 << 20 : 1 << 17, c);
      const Stopwatch watch;
      const std::vector<int32_t> ids = tokenizer.encode(text);
      EXPECT_LT(watch.seconds(), 20) << name(pre_tokenizer) << " '" << c << "'";
      EXPECT_EQ(tokenizer.decode(ids), text);
    }
  }
}

TEST(Bpe, IgnoreMergesTakesWholePieces) {
  TokenizerData data = byte_vocabulary(PreTokenizer::llama3, {{"a", "b"}});
  data.tokens.push_back("xyz");  // no merge makes it
  const Tokenizer plain = create(data);
  EXPECT_THAT(plain.encode("xyz"), ElementsAre('x', 'y', 'z'));
  data.ignore_merges = true;
  const Tokenizer whole = create(data);
  EXPECT_THAT(whole.encode("xyz"), ElementsAre(257));
  EXPECT_THAT(whole.encode("xyza"), ElementsAre('x', 'y', 'z', 'a'));
}

TEST(Bpe, DropsBytesThatTheVocabularyLacks) {
  TokenizerData data = byte_vocabulary(PreTokenizer::gpt2, {{"a", "b"}});
  data.tokens[0xFF].clear();
  data.tokens['x'].clear();
  const Tokenizer tokenizer = create(data);
  EXPECT_THAT(tokenizer.encode("axb\xFF"), ElementsAre(256));
  EXPECT_THAT(tokenizer.encode("x"), IsEmpty());
  EXPECT_TRUE(tokenizer.is_unused('x'));
}

TEST(AddedTokens, LeftmostThenLongestMatch) {
  TokenizerData data = byte_vocabulary(PreTokenizer::gpt2);
  const int32_t ab = add(data, "<ab>", true), ab_more = add(data, "<ab>c", true);
  const int32_t inner = add(data, "b>cd", true);
  const Tokenizer tokenizer = create(data);
  const EncodeOptions all{.parse_special = true};
  EXPECT_THAT(tokenizer.encode("<ab>", all), ElementsAre(ab));
  EXPECT_THAT(tokenizer.encode("<ab>cd", all), ElementsAre(ab_more, 'd'));
  EXPECT_THAT(tokenizer.encode("xb>cd", all), ElementsAre('x', inner));
  EXPECT_THAT(tokenizer.encode("<ab", all), ElementsAre('<', 'a', 'b'));
  EXPECT_THAT(tokenizer.encode("<<ab><ab>c", all), ElementsAre('<', ab, ab_more));
}

TEST(AddedTokens, SpecialOnesOnlyWhenAsked) {
  TokenizerData data = byte_vocabulary(PreTokenizer::gpt2);
  const int32_t special = add(data, "<s>", true), ordinary = add(data, "ü", false);
  const Tokenizer tokenizer = create(data);
  EXPECT_THAT(tokenizer.encode("<s>ü", {.parse_special = true}), ElementsAre(special, ordinary));
  EXPECT_THAT(tokenizer.encode("<s>ü"), ElementsAre('<', 's', '>', ordinary));
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{special, ordinary, 'a'}), "<s>üa");
  EXPECT_EQ(tokenizer.decode(std::vector<int32_t>{special, ordinary, 'a'}, true), "üa");
  EXPECT_TRUE(tokenizer.is_special(special));
  EXPECT_FALSE(tokenizer.is_special(ordinary));
}

TEST(AddedTokens, NeverComeFromMergesOrWholePieces) {
  TokenizerData data = byte_vocabulary(PreTokenizer::llama3);
  data.ignore_merges = true;
  add(data, "eot", true);
  const Tokenizer tokenizer = create(data);
  EXPECT_THAT(tokenizer.encode("eot"), ElementsAre('e', 'o', 't'));
}

TEST(AddedTokens, DivideTextBeforePiecesAreMade) {
  TokenizerData data = byte_vocabulary(PreTokenizer::gpt2, {{" ", " "}});
  const int32_t mark = add(data, "|", false);
  const Tokenizer tokenizer = create(data);
  EXPECT_THAT(tokenizer.encode("  |  a"), ElementsAre(256, mark, ' ', ' ', 'a'));
}

TEST(Tokenizer, AddsBosOnlyWhereThereIsOne) {
  TokenizerData data = byte_vocabulary(PreTokenizer::gpt2);
  EXPECT_THAT(create(data).encode("a", {.add_bos = true}), ElementsAre('a'));
  data.bos_token_id = add(data, "<s>", true);
  const Tokenizer tokenizer = create(data);
  EXPECT_THAT(tokenizer.encode("a", {.add_bos = true}), ElementsAre(256, 'a'));
  EXPECT_THAT(tokenizer.encode("a"), ElementsAre('a'));
  EXPECT_THAT(tokenizer.encode("", {.add_bos = true}), ElementsAre(256));
}

TEST(Tokenizer, AnswersAboutIds) {
  TokenizerData data = byte_vocabulary(PreTokenizer::gpt2, {{"a", " "}});
  const int32_t special = add(data, "<s>", true);
  data.tokens.push_back("");  // a hole
  data.tokens.push_back("[PAD259]");
  data.unused_ids = {259};
  const Tokenizer tokenizer = create(data);
  EXPECT_EQ(tokenizer.vocabulary_size(), 260);
  EXPECT_EQ(tokenizer.token_bytes(256), "a ");
  EXPECT_EQ(tokenizer.token_bytes(special), "<s>");
  for (const int32_t id : {-1, 258, 259, 260, 1 << 30}) {
    EXPECT_TRUE(tokenizer.is_unused(id)) << id;
    EXPECT_EQ(tokenizer.token_bytes(id), "") << id;
    EXPECT_FALSE(tokenizer.is_special(id)) << id;
  }
  EXPECT_FALSE(tokenizer.is_unused(special));
  EXPECT_EQ(tokenizer.find("<s>"), special);
  EXPECT_EQ(tokenizer.find("a "), 256);
  EXPECT_EQ(tokenizer.find("[PAD259]"), std::nullopt);
  EXPECT_EQ(tokenizer.find("ab"), std::nullopt);
  EXPECT_EQ(tokenizer.find(""), std::nullopt);
}

TEST(Tokenizer, RefusesBrokenVocabularies) {
  TokenizerData data = byte_vocabulary(PreTokenizer::gpt2);
  data.merges = {"a b"};
  EXPECT_THAT(creation_error(data), HasSubstr("test: merge 0: expected tokens that make a known"));
  data.merges = {"ab"};
  EXPECT_THAT(creation_error(data), HasSubstr("test: merge 0: expected two tokens"));
  data.merges = {"a \u4F60"};
  EXPECT_THAT(creation_error(data), HasSubstr("merge 0: expected known tokens, found 'a \u4F60'"));
  data.merges = {" a"};
  EXPECT_THAT(creation_error(data), HasSubstr("merge 0: expected known tokens"));
  data.merges = {"a b c"};
  EXPECT_THAT(creation_error(data), HasSubstr("merge 0: expected known tokens"));
  data.merges.clear();
  data.bos_token_id = 256;
  EXPECT_THAT(creation_error(data), HasSubstr("bos_token_id: expected an id below 256, found 256"));
  data.bos_token_id = -2;
  EXPECT_THAT(creation_error(data), HasSubstr("bos_token_id"));
  data.bos_token_id = -1;
  data.unused_ids = {1000};
  EXPECT_THAT(creation_error(data), HasSubstr("unused token 1000"));
  data.unused_ids.clear();
  data.added_tokens = {{300, "x", true}};
  EXPECT_THAT(creation_error(data), HasSubstr("added token 'x': expected an id below 256"));
  data.added_tokens = {{3, "x", true}};
  EXPECT_THAT(creation_error(data), HasSubstr("added token 3: expected 'x' in the vocabulary"));
  data.tokens[3] = "";
  data.added_tokens = {{3, "", true}};
  EXPECT_THAT(creation_error(data), HasSubstr("added token 3: expected 1 to 1024 bytes, found 0"));
}

TEST(Tokenizer, EncodesFromSeveralThreads) {
  const Tokenizer tokenizer = golden_tokenizer(PreTokenizer::qwen2);
  Random random(5);
  std::vector<std::string> texts;
  std::vector<std::vector<int32_t>> expected;
  for (int i = 0; i < 300; ++i) {
    texts.push_back(telling_text(random, 50));
    expected.push_back(tokenizer.encode(texts.back()));
  }
  std::vector<int> wrong(4);
  std::vector<std::thread> threads;
  for (size_t t = 0; t < wrong.size(); ++t) {
    threads.emplace_back([&, t] {
      for (size_t i = 0; i < texts.size(); ++i) {
        const size_t at = (i + t * 71) % texts.size();
        wrong[t] += tokenizer.encode(texts[at]) != expected[at];
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  EXPECT_THAT(wrong, testing::Each(0));
}

// What the ids of single bytes spell, one `next` each.
std::vector<std::string> stream(const Tokenizer& tokenizer, std::string_view bytes) {
  Detokenizer detokenizer(tokenizer);
  std::vector<std::string> parts;
  for (const char c : bytes) parts.push_back(detokenizer.next(static_cast<uint8_t>(c)));
  parts.push_back(detokenizer.finish());
  return parts;
}

TEST(Detokenizer, HoldsCharactersUntilTheyAreWhole) {
  const Tokenizer tokenizer = create(byte_vocabulary(PreTokenizer::gpt2));
  EXPECT_THAT(stream(tokenizer, "a\u00E9"), ElementsAre("a", "", "\u00E9", ""));
  EXPECT_THAT(stream(tokenizer, "\u4F60b"), ElementsAre("", "", "\u4F60", "b", ""));
  EXPECT_THAT(stream(tokenizer, "\U0001F600"), ElementsAre("", "", "", "\U0001F600", ""));
}

TEST(Detokenizer, ReplacesWhatCannotBecomeACharacter) {
  const std::string bad = "\uFFFD";
  const Tokenizer tokenizer = create(byte_vocabulary(PreTokenizer::gpt2));
  EXPECT_THAT(stream(tokenizer, "\xE4\xBD"), ElementsAre("", "", bad));
  EXPECT_THAT(stream(tokenizer, "\xE4\xBDz"), ElementsAre("", "", bad + "z", ""));
  EXPECT_THAT(stream(tokenizer, "\x80\xFF"), ElementsAre(bad, bad, ""));
  EXPECT_THAT(stream(tokenizer, "\xC0\xAF"), ElementsAre(bad, bad, ""));                // overlong
  EXPECT_THAT(stream(tokenizer, "\xED\xA0\x80"), ElementsAre("", bad + bad, bad, ""));  // surrogate
  EXPECT_THAT(stream(tokenizer, "\xF4\x90"), ElementsAre("", bad + bad, ""));  // > U+10FFFF
  EXPECT_THAT(stream(tokenizer, "\xF0\x9F\xE4\xBD\xA0"), ElementsAre("", "", bad, "", "你", ""));
}

TEST(Detokenizer, SpecialTokensAreSkippedOrSpelled) {
  TokenizerData data = byte_vocabulary(PreTokenizer::gpt2);
  const int32_t special = add(data, "<s>", true);
  const Tokenizer tokenizer = create(data);
  Detokenizer skipping(tokenizer);
  EXPECT_EQ(skipping.next(0xC3), "");
  EXPECT_EQ(skipping.next(special), "");
  EXPECT_EQ(skipping.next(0xA9), "é");
  Detokenizer spelling(tokenizer, /*skip_special=*/false);
  EXPECT_EQ(spelling.next(0xC3), "");
  EXPECT_EQ(spelling.next(special), "\uFFFD<s>");
  EXPECT_EQ(spelling.finish(), "");
}

// Cut anywhere, the stream is the text: what is valid comes out as it is, the rest as U+FFFD.
TEST(Detokenizer, StreamEqualsTheWhole) {
  const Tokenizer tokenizer = golden_tokenizer(PreTokenizer::gpt2);
  Random random(17);
  for (int i = 0; i < 2000; ++i) {
    const bool valid = i % 2 == 0;
    const std::string text =
        valid ? telling_text(random, random.below(30)) : random_bytes(random, random.below(30));
    Detokenizer detokenizer(tokenizer);
    std::string streamed;
    for (const int32_t id : tokenizer.encode(text)) streamed += detokenizer.next(id);
    streamed += detokenizer.finish();
    std::string by_bytes;
    for (const std::string& part : stream(create(byte_vocabulary(PreTokenizer::gpt2)), text)) {
      by_bytes += part;
    }
    ASSERT_EQ(streamed, by_bytes);
    if (valid) {
      ASSERT_EQ(streamed, text);
    }
  }
}

}  // namespace
}  // namespace shoehorn
