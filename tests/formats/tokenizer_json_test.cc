#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "formats/tokenizer.h"
#include "tests/formats/test_files.h"
#include "tests/formats/tokenizer_testing.h"

namespace shoehorn {
namespace {

using nlohmann::json;

json golden(const std::string& family) {
  return json::parse(golden_file(family + ".json"));
}

Result<TokenizerData> parse(const json& file, const json& config = nullptr) {
  return parse_tokenizer_json(file.dump(), config.is_null() ? "" : config.dump(), "model");
}

// `file` with the value at `pointer` replaced.
json with(json file, const std::string& pointer, const json& value) {
  file[json::json_pointer(pointer)] = value;
  return file;
}

TEST(TokenizerJson, ReadsVocabularyMergesAndAddedTokens) {
  const Result<TokenizerData> data = parse(golden("deepseek_v3"));
  ASSERT_TRUE(data.ok()) << data.error().message;
  EXPECT_EQ(data->source, "model/tokenizer.json");
  EXPECT_EQ(data->pre_tokenizer, PreTokenizer::deepseek_v3);
  EXPECT_FALSE(data->normalize_nfc);
  EXPECT_FALSE(data->ignore_merges);
  EXPECT_FALSE(data->add_bos_token);
  EXPECT_EQ(data->bos_token_id, -1);
  ASSERT_EQ(data->tokens.size(), 1428u);
  EXPECT_EQ(data->tokens[0], "!");
  EXPECT_EQ(data->tokens[1400], "<｜begin▁of▁sentence｜>");
  EXPECT_EQ(data->merges[0], "Ġ Ġ");
  ASSERT_EQ(data->added_tokens.size(), 28u);
  EXPECT_EQ(data->added_tokens[0].id, 1400);
  EXPECT_TRUE(data->added_tokens[0].special);
  EXPECT_EQ(data->added_tokens[27].content, "<｜tool▁sep｜>");
  EXPECT_FALSE(data->added_tokens[27].special);
  EXPECT_TRUE(parse(golden("qwen2"))->normalize_nfc);
  EXPECT_TRUE(parse(golden("llama_bpe"))->ignore_merges);
}

TEST(TokenizerJson, MergesMayBeStringsOrPairs) {
  json file = golden("gpt_2");
  const std::vector<std::string> merges = parse(file)->merges;
  for (json& merge : file["model"]["merges"]) {
    if (merge.is_array()) {
      merge = merge[0].get<std::string>() + " " + merge[1].get<std::string>();
    } else {
      const auto text = merge.get<std::string>();
      merge = {text.substr(0, text.find(' ')), text.substr(text.find(' ') + 1)};
    }
  }
  EXPECT_EQ(parse(file)->merges, merges);
}

TEST(TokenizerJson, ExpressionsMayBeWrittenWithEscapes) {
  json file = golden("deepseek_v3");
  json& stages = file["pre_tokenizer"]["pretokenizers"];
  stages[1]["pattern"]["Regex"] = R"([\u4E00-\u9fa5\x{3040}-\u{309F}\u30A0-\u30FF]+)";
  std::string newlines = stages[2]["pattern"]["Regex"];
  for (size_t at; (at = newlines.find("\\r\\n")) != std::string::npos;) {
    newlines.replace(at, 4, "\r\n");
  }
  stages[2]["pattern"]["Regex"] = newlines;
  const Result<TokenizerData> data = parse(file);
  ASSERT_TRUE(data.ok()) << data.error().message;
  EXPECT_EQ(data->pre_tokenizer, PreTokenizer::deepseek_v3);
}

TEST(TokenizerJson, TemplateOfThePostProcessorSaysWhetherBosIsAdded) {
  json file = golden("llama_bpe");
  const json bos_first = {{"type", "TemplateProcessing"},
                          {"single",
                           {{{"SpecialToken", {{"id", "<|begin_of_text|>"}, {"type_id", 0}}}},
                            {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}}};
  file["post_processor"] = {{"type", "Sequence"},
                            {"processors", {{{"type", "ByteLevel"}}, bos_first}}};
  Result<TokenizerData> data = parse(file);
  ASSERT_TRUE(data.ok()) << data.error().message;
  EXPECT_TRUE(data->add_bos_token);
  EXPECT_EQ(data->tokens[data->bos_token_id], "<|begin_of_text|>");
  // tokenizer_config.json has the last word.
  data = parse(file, {{"add_bos_token", false}, {"bos_token", "<|begin_of_text|>"}});
  ASSERT_TRUE(data.ok()) << data.error().message;
  EXPECT_FALSE(data->add_bos_token);
  data = parse(file, {{"eos_token", {{"content", "<|end_of_text|>"}}}, {"pad_token", nullptr}});
  ASSERT_TRUE(data.ok()) << data.error().message;
  EXPECT_TRUE(data->add_bos_token);
  EXPECT_EQ(data->tokens[data->bos_token_id], "<|begin_of_text|>");
  EXPECT_EQ(data->tokens[data->eos_token_id], "<|end_of_text|>");
  EXPECT_EQ(data->pad_token_id, -1);
  expect_error(parse(file, {{"bos_token", "<|eot_id|>"}}),
               {"tokenizer_config.json: bos_token", "post_processor", "<|eot_id|>"});
  file["post_processor"]["processors"].push_back(bos_first);
  expect_error(parse(file), {"post_processor: processors"});
  file["post_processor"] = bos_first;
  file["post_processor"]["single"].push_back(bos_first["single"][0]);  // an eos
  expect_error(parse(file), {"model/tokenizer.json: post_processor: single"});
  file["post_processor"] = bos_first;
  file["post_processor"]["single"][0]["SpecialToken"]["id"] = "<s>";
  expect_error(parse(file), {"post_processor", "'<s>'"});
  expect_error(parse(with(file, "/post_processor", {{"type", "RobertaProcessing"}})),
               {"post_processor: type", "'RobertaProcessing'"});
}

TEST(TokenizerJson, ReadsTokensOfTheConfig) {
  const json file = golden("deepseek_llm");
  const json config = {{"bos_token", {{"content", "<｜begin▁of▁sentence｜>"}, {"lstrip", false}}},
                       {"eos_token", "<｜end▁of▁sentence｜>"},
                       {"pad_token", "<｜end▁of▁sentence｜>"},
                       {"add_bos_token", true},
                       {"add_eos_token", false}};
  const Result<TokenizerData> data = parse(file, config);
  ASSERT_TRUE(data.ok()) << data.error().message;
  EXPECT_EQ(data->bos_token_id, 1400);
  EXPECT_EQ(data->eos_token_id, 1401);
  EXPECT_EQ(data->pad_token_id, 1401);
  EXPECT_TRUE(data->add_bos_token);
  expect_error(parse(file, with(config, "/add_eos_token", true)), {"config.json: add_eos_token"});
  expect_error(parse(file, with(config, "/add_prefix_space", true)), {"add_prefix_space"});
  expect_error(parse(file, with(config, "/eos_token", "</s>")), {"eos_token", "'</s>'"});
  expect_error(parse(file, with(config, "/eos_token", 7)), {"eos_token", "7"});
  expect_error(parse(file, with(config, "/bos_token", nullptr)), {"add_bos_token"});
  expect_error(parse_tokenizer_json(file.dump(), "[]", "model"), {"model/tokenizer_config.json"});
}

TEST(TokenizerJson, RefusesWhatWouldChangeResults) {
  const json file = golden("deepseek_llm");
  const std::vector<std::tuple<std::string, json, std::string>> cases = {
      {"/normalizer", {{"type", "NFKC"}}, "normalizer: type: expected NFC or Sequence"},
      {"/normalizer",
       {{"type", "Sequence"}, {"normalizers", {{{"type", "Lowercase"}}}}},
       "normalizers[0]: type: expected NFC, found 'Lowercase'"},
      {"/normalizer", 7, "normalizer"},
      {"/decoder", nullptr, "decoder: expected an object"},
      {"/decoder/type", "Metaspace", "decoder: type: expected ByteLevel, found 'Metaspace'"},
      {"/model/type", "Unigram", "model: type: expected BPE, found 'Unigram'"},
      {"/model/dropout", 0.1, "model: dropout"},
      {"/model/unk_token", "<unk>", "model: unk_token"},
      {"/model/continuing_subword_prefix", "##", "continuing_subword_prefix"},
      {"/model/end_of_word_suffix", "</w>", "end_of_word_suffix"},
      {"/model/byte_fallback", true, "byte_fallback"},
      {"/model/ignore_merges", "yes", "ignore_merges"},
      {"/model/vocab", json::array(), "model: vocab"},
      {"/model/vocab/!", -1, "vocab: '!': expected an id of 0 to 1048575, found -1"},
      {"/model/vocab/!", 1 << 20, "vocab: '!'"},
      {"/model/vocab/!", 1.5, "vocab: '!'"},
      {"/model/vocab/!", 7, "expected one token at id 7"},
      {"/model/merges", "x", "merges: expected an array"},
      {"/model/merges/3", 5, "merges[3]"},
      {"/model/merges/3", {"a", "b", "c"}, "merges[3]"},
      {"/added_tokens", 7, "added_tokens"},
      {"/added_tokens/1/id", 5000000000, "added_tokens[1]"},
      {"/added_tokens/1/id", 0, "expected one token at id 0"},
      {"/added_tokens/1/id", nullptr, "added_tokens[1]: id"},
      {"/added_tokens/1/content", "", "added_tokens[1]: content"},
      {"/added_tokens/1/lstrip", true, "added_tokens[1]: lstrip"},
      {"/added_tokens/1/rstrip", true, "added_tokens[1]: rstrip"},
      {"/added_tokens/1/single_word", true, "added_tokens[1]: single_word"},
      {"/added_tokens/0", "x", "added_tokens[0]"},
  };
  for (const auto& [pointer, value, message] : cases) {
    SCOPED_TRACE(pointer + " = " + value.dump());
    expect_error(parse(with(file, pointer, value)), {"model/tokenizer.json", message});
  }
  json normalized = golden("qwen2");
  normalized["added_tokens"][0]["normalized"] = true;
  EXPECT_TRUE(parse(normalized).ok());
  normalized["added_tokens"][0]["content"] = "e\u0301";
  expect_error(parse(normalized), {"added_tokens[0]: normalized"});
}

TEST(TokenizerJson, RefusesUnknownPreTokenizers) {
  const json file = golden("deepseek_llm");
  const std::string list = "/pre_tokenizer/pretokenizers/";
  const std::vector<std::tuple<std::string, json, std::string>> cases = {
      {"/pre_tokenizer", nullptr, "pre_tokenizer: expected an object"},
      {"/pre_tokenizer", {{"type", "Metaspace"}}, "found 'Metaspace'"},
      {list + "1", {{"type", "Whitespace"}}, "pretokenizers[1]: type: expected Sequence, Split"},
      {list + "1/pattern/Regex", R"(\s?\p{L}+)", "expressions of a supported model"},
      {list + "1/pattern", {{"String", " "}}, "pretokenizers[1]: pattern: Regex"},
      {list + "1/behavior", "Removed", "pretokenizers[1]: behavior: expected 'Isolated'"},
      {list + "1/invert", true, "pretokenizers[1]: invert"},
      {list + "5/individual_digits", false, "expressions of a supported model"},
      {list + "6/add_prefix_space", true, "pretokenizers[6]: add_prefix_space"},
      {list + "6/use_regex", true, "expressions of a supported model"},
      {list + "7", {{"type", "ByteLevel"}}, "pretokenizers[7]: type: expected nothing after"},
  };
  for (const auto& [pointer, value, message] : cases) {
    SCOPED_TRACE(pointer + " = " + value.dump());
    expect_error(parse(with(file, pointer, value)), {"pre_tokenizer", message});
  }
  json no_byte_level = file;
  no_byte_level["pre_tokenizer"]["pretokenizers"].erase(6);
  expect_error(parse(no_byte_level), {"expected ByteLevel at its end"});
  json nested = {{"type", "ByteLevel"}, {"add_prefix_space", false}};
  for (int i = 0; i < 20; ++i) nested = {{"type", "Sequence"}, {"pretokenizers", {nested}}};
  expect_error(parse(with(file, "/pre_tokenizer", nested)), {"Sequence"});
}

TEST(TokenizerJson, RefusesTextThatIsNoJson) {
  const std::string good = golden_file("gpt_2.json");
  for (const std::string& text :
       {std::string(), std::string("{"), std::string("[1]"), std::string("{\"model\": \xFF}"),
        good.substr(0, 9000), std::string(100000, '[')}) {
    expect_error(parse_tokenizer_json(text, "", "dir"), {"dir/tokenizer.json: expected"});
  }
}

}  // namespace
}  // namespace shoehorn
