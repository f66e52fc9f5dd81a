// Ids equal to those of Hugging Face tokenizers (tools/make_tokenizer_goldens.py) and, where the
// vocabularies lie beside the repository, to llama.cpp's test files.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <iterator>
#include <nlohmann/json.hpp>
#include <sstream>

#include "base/file.h"
#include "formats/gguf.h"
#include "formats/tokenizer.h"
#include "formats/tokenizer_nfc.h"
#include "tests/formats/tokenizer_testing.h"

namespace shoehorn {
namespace {

using nlohmann::json;

class GoldenTest : public testing::TestWithParam<PreTokenizer> {};

TEST_P(GoldenTest, IdsEqualThoseOfHuggingFace) {
  const Tokenizer tokenizer = golden_tokenizer(GetParam());
  EXPECT_EQ(tokenizer.data().pre_tokenizer, GetParam());
  const json cases = json::parse(golden_file(identifier(GetParam()) + ".cases.json"));
  ASSERT_GT(cases.size(), 250u);
  int64_t with_special = 0;
  for (const json& row : cases) {
    const auto text = row["text"].get<std::string>();
    const auto ids = row["ids"].get<std::vector<int32_t>>();
    EXPECT_EQ(tokenizer.encode(text, {.parse_special = true}), ids) << text;
    const bool has_special = row.contains("ids_without_special");
    with_special += has_special;
    EXPECT_EQ(tokenizer.encode(text),
              has_special ? row["ids_without_special"].get<std::vector<int32_t>>() : ids)
        << text;
  }
  EXPECT_GT(with_special, 10);
}

// decode(encode(x)) is x, less the bytes that the vocabulary lacks; for qwen2 it is the NFC of x.
TEST_P(GoldenTest, RandomTextRoundTrips) {
  const Tokenizer tokenizer = golden_tokenizer(GetParam());
  const auto lacking = [&tokenizer](std::string_view text) {
    std::string kept;
    for (const char c : text) {
      if (tokenizer.find({&c, 1})) kept += c;
    }
    return kept;
  };
  Random random(11);
  for (int i = 0; i < 4000; ++i) {
    const uint64_t length = random.below(60);
    const std::string text = i % 2 ? random_bytes(random, length) : telling_text(random, length);
    const std::string expected =
        lacking(tokenizer.data().normalize_nfc ? to_nfc(text) : std::string(text));
    for (const bool parse_special : {false, true}) {
      const std::vector<int32_t> ids = tokenizer.encode(text, {.parse_special = parse_special});
      ASSERT_EQ(tokenizer.decode(ids), expected) << testing::PrintToString(text);
    }
  }
}

std::string test_name(const testing::TestParamInfo<PreTokenizer>& info) {
  return identifier(info.param);
}
INSTANTIATE_TEST_SUITE_P(All, GoldenTest, testing::ValuesIn(kAllPreTokenizers), test_name);

std::filesystem::path vocabulary_folder() {
  return std::filesystem::path(SOURCE_ROOT) / "../shared/reference/vocab";
}

std::vector<std::string> split_cases(const std::string& text) {
  const std::string separator = "\n__ggml_vocab_test__\n";
  std::vector<std::string> cases;
  size_t begin = 0;
  for (size_t end; (end = text.find(separator, begin)) != std::string::npos;) {
    cases.push_back(text.substr(begin, end - begin));
    begin = end + separator.size();
  }
  cases.push_back(text.substr(begin));
  return cases;
}

class VocabularyTest : public testing::TestWithParam<const char*> {};

TEST_P(VocabularyTest, IdsEqualThoseOfLlamaCpp) {
  const std::string path =
      (vocabulary_folder() / fmt::format("ggml-vocab-{}.gguf", GetParam())).string();
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "no vocabulary at " << path;
  Result<GgufFile> file = GgufFile::open(path);
  ASSERT_TRUE(file.ok()) << file.error().message;
  Result<TokenizerData> data = tokenizer_data_from_gguf(*file);
  ASSERT_TRUE(data.ok()) << data.error().message;
  Result<Tokenizer> tokenizer = Tokenizer::create(std::move(*data));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  const std::vector<std::string> texts = split_cases(*read_text_file(path + ".inp"));
  std::istringstream lines(*read_text_file(path + ".out"));
  ASSERT_EQ(texts.size(), 47u);
  for (const std::string& text : texts) {
    std::string line;
    std::getline(lines, line);
    std::istringstream numbers(line);
    const std::vector<int32_t> expected{std::istream_iterator<int32_t>(numbers), {}};
    const std::vector<int32_t> ids = tokenizer->encode(text);
    EXPECT_EQ(ids, expected) << text;
    EXPECT_EQ(tokenizer->decode(ids), text);
  }
}

INSTANTIATE_TEST_SUITE_P(All, VocabularyTest,
                         testing::Values("deepseek-llm", "deepseek-coder", "starcoder"),
                         [](const testing::TestParamInfo<const char*>& info) {
                           std::string text = info.param;
                           std::replace(text.begin(), text.end(), '-', '_');
                           return text;
                         });

}  // namespace
}  // namespace shoehorn
