// The hand-written pre-tokenizers against PCRE2 running the models' own regular expressions.
#include <gtest/gtest.h>
#include <pcre2.h>

#include <memory>
#include <string>
#include <vector>

#include "base/random.h"
#include "formats/pre_tokenizer.h"
#include "formats/pre_tokenizer_classes.h"
#include "tests/formats/tokenizer_testing.h"

namespace shoehorn {
namespace {

// PCRE2's own \s has U+180E besides White_Space, so \s is spelled out, in a class or as one.
constexpr const char* kSpaces =
    R"(\t-\r \x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";

std::string with_spaces_spelled_out(const std::string& regex) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < regex.size(); ++i) {
    const char c = regex[i];
    if (c == '\\') {
      const char escape = regex[++i];
      if (escape == 's') {
        out += in_class ? std::string(kSpaces) : fmt::format("[{}]", kSpaces);
      } else if (escape == 'S') {
        out += fmt::format("[^{}]", kSpaces);
      } else {
        out += {c, escape};
      }
      continue;
    }
    in_class = c == '[' || (in_class && c != ']');
    out += c;
  }
  return out;
}

std::string class_of(std::span<const CodePointRange> ranges) {
  std::string text = "[";
  for (const CodePointRange& range : ranges) {
    text += fmt::format("\\x{{{:X}}}-\\x{{{:X}}}", static_cast<uint32_t>(range.first),
                        static_cast<uint32_t>(range.last));
  }
  return text + "]+";
}

constexpr const char* kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

std::string llama3(const std::string& numbers) {
  return R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|)" + numbers +
         R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
}

std::vector<std::string> expressions(PreTokenizer pre_tokenizer) {
  switch (pre_tokenizer) {
    case PreTokenizer::deepseek_llm:
      return {R"([\r\n])",
              R"(\s?)" + class_of(deepseek_llm_letters()),
              R"(\s?[\x{21}-\x{2F}\x{3A}-\x{7E}\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E})"
              R"(\x{2018}-\x{201F}\x{3000}-\x{3002}]+)",
              R"(\s+$)",
              R"([\x{4E00}-\x{9FA5}\x{0800}-\x{4E00}\x{AC00}-\x{D7FF}]+)",
              R"(\p{N})"};
    case PreTokenizer::deepseek_coder:
      return {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)",
              R"([\x{4E00}-\x{9FA5}\x{0800}-\x{4E00}\x{AC00}-\x{D7FF}]+)", R"(\p{N})"};
    case PreTokenizer::deepseek_v3:
      return {R"(\p{N}{1,3})", R"([\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+)",
              R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|)"
              R"([^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|)"
              R"(\s+(?!\S)|\s+)"};
    case PreTokenizer::qwen2:
      return {llama3(R"(\p{N})")};
    case PreTokenizer::llama3:
      return {llama3(R"(\p{N}{1,3})")};
    case PreTokenizer::smollm:
      return {R"(\p{N})", kGpt2};
    case PreTokenizer::gpt2:
      return {kGpt2};
  }
  return {};
}

class Regex {
 public:
  explicit Regex(const std::string& pattern) {
    const std::string spelled = with_spaces_spelled_out(pattern);
    int error = 0;
    size_t where = 0;
    code_.reset(pcre2_compile(reinterpret_cast<PCRE2_SPTR>(spelled.data()), spelled.size(),
                              PCRE2_UTF | PCRE2_UCP, &error, &where, nullptr));
    CHECK(code_ != nullptr, "{} at {}: {}", error, where, spelled);
    pcre2_jit_compile(code_.get(), PCRE2_JIT_COMPLETE);
    match_.reset(pcre2_match_data_create_from_pattern(code_.get(), nullptr));
  }

  // Splits `text` into matches and the gaps between them.
  void split(std::string_view text, std::vector<std::string_view>& pieces) const {
    size_t gap = 0;
    const auto add = [&](size_t begin, size_t end) {
      if (begin != end) pieces.push_back(text.substr(begin, end - begin));
    };
    while (gap < text.size() &&
           pcre2_match(code_.get(), reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), gap,
                       PCRE2_NO_UTF_CHECK, match_.get(), nullptr) > 0) {
      const size_t* ends = pcre2_get_ovector_pointer(match_.get());
      add(gap, ends[0]);
      add(ends[0], ends[1]);
      gap = ends[1];
    }
    add(gap, text.size());
  }

 private:
  struct Free {
    void operator()(pcre2_code* code) const { pcre2_code_free(code); }
    void operator()(pcre2_match_data* match) const { pcre2_match_data_free(match); }
  };
  std::unique_ptr<pcre2_code, Free> code_;
  std::unique_ptr<pcre2_match_data, Free> match_;
};

class Oracle {
 public:
  explicit Oracle(PreTokenizer pre_tokenizer) {
    for (const std::string& expression : expressions(pre_tokenizer))
      stages_.emplace_back(expression);
  }
  std::vector<std::string_view> split(std::string_view text) const {
    std::vector<std::string_view> pieces = {text}, next;
    if (text.empty()) return {};
    for (const Regex& stage : stages_) {
      next.clear();
      for (const std::string_view piece : pieces) stage.split(piece, next);
      pieces.swap(next);
    }
    return pieces;
  }

 private:
  std::vector<Regex> stages_;
};

std::vector<std::string_view> scan(const PieceScanner& scanner, std::string_view text) {
  std::vector<std::string_view> pieces;
  scanner.split(text, [&](std::string_view piece) { pieces.push_back(piece); });
  return pieces;
}

std::string escaped(const std::vector<std::string_view>& pieces) {
  std::string out;
  for (const std::string_view piece : pieces) {
    for (const char c : piece) out += fmt::format("{:02X}", static_cast<uint8_t>(c));
    out += ' ';
  }
  return out;
}

// Code points that PCRE2's Unicode version knows; those assigned later have no class there.
const std::vector<bool>& known_code_points() {
  static const std::vector<bool> known = [] {
    std::vector<bool> flags(0x110000);
    const Regex unassigned(R"(\p{Cn}+)");
    const std::span<const uint32_t> runs = unicode_class_runs();
    std::vector<uint8_t> classes = character_classes(PreTokenizer::gpt2);
    for (char32_t code = 0; code < 0x110000; ++code) {
      if (code >= 0xD800 && code < 0xE000) continue;
      flags[code] = true;
      if (classes[code] == 0) continue;
      std::vector<std::string_view> pieces;
      const std::string text = "a" + utf8(code);
      unassigned.split(text, pieces);
      flags[code] = pieces.size() == 1;
    }
    CHECK(!runs.empty(), "no classes");
    return flags;
  }();
  return known;
}

class ScannerTest : public testing::TestWithParam<PreTokenizer> {
 protected:
  ScannerTest() : scanner_(GetParam()), oracle_(GetParam()) {}
  void expect_same(std::string_view text) {
    const auto expected = oracle_.split(text);
    const auto found = scan(scanner_, text);
    ASSERT_EQ(expected, found) << "expected " << escaped(expected) << "\nfound    "
                               << escaped(found);
  }
  PieceScanner scanner_;
  Oracle oracle_;
};

TEST(ScannerClasses, EqualThoseOfPcre2) {
  const std::vector<uint8_t> classes = character_classes(PreTokenizer::gpt2);
  const std::vector<bool>& known = known_code_points();
  const std::vector<std::pair<const char*, uint8_t>> properties = {
      {R"(\p{L}+)", kLetter},      {R"(\p{M}+)", kMark},   {R"(\p{N}+)", kNumber},
      {R"(\p{P}+)", kPunctuation}, {R"(\p{S}+)", kSymbol}, {R"(\s+)", kSpace},
      {R"([\r\n]+)", kNewline}};
  for (const auto& [pattern, bit] : properties) {
    const Regex regex(pattern);
    int64_t members = 0;
    for (char32_t code = 0; code < 0x110000; ++code) {
      if (!known[code]) continue;
      std::vector<std::string_view> pieces;
      const std::string text = utf8(code) + "\x01";  // one more of no class
      regex.split(text, pieces);
      const bool member = pieces.size() == 2;
      members += member;
      ASSERT_EQ(member, (classes[code] & bit) != 0)
          << pattern << fmt::format(" U+{:04X}", static_cast<uint32_t>(code));
    }
    EXPECT_GT(members, 1) << pattern;
  }
}

TEST_P(ScannerTest, EveryCodePointInEveryContext) {
  const std::vector<bool>& known = known_code_points();
  // Contexts that meet each alternative and each stage with the character first, inside and last.
  const std::vector<std::string> before = {"", "a", " ", "1", "\n", "。", "好", "'", "\x01", "  "};
  const std::vector<std::string> after = {"", "b", " ", "2", "\r\n", ".", "世", "\xCC\x81", "\x01"};
  int64_t tested = 0;
  for (char32_t code = 0; code < 0x110000; ++code) {
    // Beyond the assigned planes one code point in 4096 will do.
    const bool sparse = (code >= 0x32400 && code < 0xE0000) || code >= 0xE0200;
    if (!known[code] || (sparse && code % 4096 != 0)) continue;
    const std::string character = utf8(code);
    // Every code point meets one context of each side, in turn; East Asian and ASCII ones meet all.
    const bool all = code < 0x180 || code % 64 == 0;
    if (!all) {
      expect_same(before[code % before.size()] + character + after[code % after.size()]);
      ++tested;
    } else {
      for (const std::string& left : before) {
        for (const std::string& right : after) expect_same(left + character + right);
      }
      tested += 90;
    }
    if (HasFatalFailure()) return;
  }
  EXPECT_GT(tested, 300000);
}

TEST_P(ScannerTest, RandomStringsOfTellingCodePoints) {
  Random random(20240521 + static_cast<int>(GetParam()));
  for (int i = 0; i < 40000; ++i) {
    expect_same(telling_text(random, 1 + random.below(20)));
    if (HasFatalFailure()) return;
  }
}

TEST_P(ScannerTest, LongRandomText) {
  Random random(7 + static_cast<int>(GetParam()));
  for (int i = 0; i < 20; ++i) expect_same(telling_text(random, 5000));
}

TEST_P(ScannerTest, PiecesOfAnyBytesAreTheText) {
  Random random(99);
  for (int i = 0; i < 5000; ++i) {
    const std::string text = random_bytes(random, random.below(40));
    std::string joined;
    for (const std::string_view piece : scan(scanner_, text)) {
      EXPECT_FALSE(piece.empty());
      joined += piece;
    }
    ASSERT_EQ(joined, text);
  }
}

std::string test_name(const testing::TestParamInfo<PreTokenizer>& info) {
  return identifier(info.param);
}
INSTANTIATE_TEST_SUITE_P(All, ScannerTest, testing::ValuesIn(kAllPreTokenizers), test_name);

}  // namespace
}  // namespace shoehorn
