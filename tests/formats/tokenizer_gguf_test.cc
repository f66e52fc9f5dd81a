#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "formats/gguf.h"
#include "formats/tokenizer.h"
#include "tests/formats/gguf_builder.h"
#include "tests/formats/test_files.h"
#include "tests/formats/tokenizer_testing.h"

namespace shoehorn {
namespace {

using testing::ElementsAre;

struct Fields {
  std::string model = "gpt2";
  std::string pre = "deepseek-llm";
  std::vector<std::string> tokens;
  std::vector<int32_t> types;
  std::vector<std::string> merges;
  int64_t bos = -1;
  int64_t eos = -1;
  int add_bos = -1;  // -1: absent
  int add_eos = -1;
};

// The 256 bytes, "ab", a control token, a user-defined one, a padding row, an unused one.
Fields good_fields() {
  Fields fields;
  const TokenizerData data = byte_vocabulary(PreTokenizer::gpt2, {{"a", "b"}});
  fields.tokens = data.tokens;
  fields.merges = data.merges;
  fields.types.assign(257, 1);
  for (const auto& [token, type] : std::vector<std::pair<std::string, int32_t>>{
           {"<s>", 3}, {"ü", 4}, {"[PAD259]", 4}, {"[PAD7]", 4}, {"<x>", 5}}) {
    fields.tokens.push_back(token);
    fields.types.push_back(type);
  }
  fields.bos = 257;
  fields.eos = 257;
  return fields;
}

Result<TokenizerData> read(const Fields& fields) {
  GgufBuilder builder;
  builder.text("tokenizer.ggml.model", fields.model);
  if (!fields.pre.empty()) builder.text("tokenizer.ggml.pre", fields.pre);
  if (!fields.tokens.empty()) builder.texts("tokenizer.ggml.tokens", fields.tokens);
  builder.texts("tokenizer.ggml.merges", fields.merges);
  if (!fields.types.empty()) {
    ByteWriter& out = builder.pair("tokenizer.ggml.token_type", kGgufArray);
    out.put(kGgufI32).put<uint64_t>(fields.types.size());
    for (const int32_t type : fields.types) out.put(type);
  }
  const auto id = [&builder](const char* key, int64_t value) {
    if (value >= 0) builder.u32(key, static_cast<uint32_t>(value));
  };
  id("tokenizer.ggml.bos_token_id", fields.bos);
  id("tokenizer.ggml.eos_token_id", fields.eos);
  if (fields.add_bos >= 0) builder.boolean("tokenizer.ggml.add_bos_token", fields.add_bos == 1);
  if (fields.add_eos >= 0) builder.boolean("tokenizer.ggml.add_eos_token", fields.add_eos == 1);
  const std::vector<std::byte> bytes = builder.bytes();
  Result<GgufFile> file = GgufFile::parse(bytes, "test.gguf");
  CHECK(file.ok(), "{}", file.error().message);
  return tokenizer_data_from_gguf(*file);
}

TEST(TokenizerGguf, SortsTokensByTheirTypes) {
  Result<TokenizerData> data = read(good_fields());
  ASSERT_TRUE(data.ok()) << data.error().message;
  EXPECT_EQ(data->source, "test.gguf");
  EXPECT_EQ(data->pre_tokenizer, PreTokenizer::deepseek_llm);
  EXPECT_EQ(data->bos_token_id, 257);
  EXPECT_EQ(data->eos_token_id, 257);
  EXPECT_EQ(data->pad_token_id, -1);
  EXPECT_THAT(data->unused_ids, ElementsAre(259, 261));
  ASSERT_EQ(data->added_tokens.size(), 3u);
  EXPECT_TRUE(data->added_tokens[0].special);
  EXPECT_FALSE(data->added_tokens[1].special);
  EXPECT_EQ(data->added_tokens[2].content, "[PAD7]");  // another row's name: an ordinary token
  Result<Tokenizer> tokenizer = Tokenizer::create(std::move(*data));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.error().message;
  EXPECT_THAT(tokenizer->encode("abü", {.add_bos = true}), ElementsAre(257, 256, 258));
  EXPECT_EQ(tokenizer->encode("[PAD259]").size(), 8u);
}

TEST(TokenizerGguf, KnowsPreTokenizersAndTheirDefaults) {
  struct Expected {
    const char* pre;
    PreTokenizer pre_tokenizer;
    bool add_bos, nfc, ignore_merges;
  };
  for (const Expected& expected :
       std::vector<Expected>{{"deepseek-llm", PreTokenizer::deepseek_llm, true, false, false},
                             {"deepseek-coder", PreTokenizer::deepseek_coder, true, false, false},
                             {"deepseek-v3", PreTokenizer::deepseek_v3, true, false, false},
                             {"joyai-llm", PreTokenizer::deepseek_v3, true, false, false},
                             {"qwen2", PreTokenizer::qwen2, false, true, false},
                             {"deepseek-r1-qwen", PreTokenizer::qwen2, true, true, false},
                             {"llama-bpe", PreTokenizer::llama3, true, false, true},
                             {"llama3", PreTokenizer::llama3, true, false, true},
                             {"llama-v3", PreTokenizer::llama3, true, false, true},
                             {"smollm", PreTokenizer::smollm, false, false, false},
                             {"starcoder", PreTokenizer::smollm, false, false, false},
                             {"gpt-2", PreTokenizer::gpt2, false, false, false}}) {
    SCOPED_TRACE(expected.pre);
    Fields fields = good_fields();
    fields.pre = expected.pre;
    Result<TokenizerData> data = read(fields);
    ASSERT_TRUE(data.ok()) << data.error().message;
    EXPECT_EQ(data->pre_tokenizer, expected.pre_tokenizer);
    EXPECT_EQ(data->add_bos_token, expected.add_bos);
    EXPECT_EQ(data->normalize_nfc, expected.nfc);
    EXPECT_EQ(data->ignore_merges, expected.ignore_merges);
    fields.add_bos = expected.add_bos ? 0 : 1;  // the key has the last word
    EXPECT_NE(read(fields)->add_bos_token, expected.add_bos);
    fields.add_bos = fields.bos = -1;
    EXPECT_FALSE(read(fields)->add_bos_token);
  }
}

TEST(TokenizerGguf, RefusesWhatItDoesNotCompute) {
  const auto broken = [](const auto& change) {
    Fields fields = good_fields();
    change(fields);
    return read(fields);
  };
  expect_error(broken([](Fields& f) { f.model = "llama"; }),
               {"test.gguf: tokenizer.ggml.model: expected 'gpt2'", "found 'llama'"});
  expect_error(broken([](Fields& f) { f.pre = "falcon"; }),
               {"tokenizer.ggml.pre", "deepseek-llm", "found 'falcon'"});
  expect_error(broken([](Fields& f) { f.pre = ""; }), {"tokenizer.ggml.pre"});
  expect_error(broken([](Fields& f) { f.tokens.clear(); }), {"tokenizer.ggml.tokens"});
  expect_error(broken([](Fields& f) { f.types.pop_back(); }),
               {"token_type: expected 262 entries, found 261"});
  expect_error(broken([](Fields& f) { f.types[9] = 6; }), {"token_type: token 9", "found 6"});
  expect_error(broken([](Fields& f) { f.bos = 262; }), {"bos_token_id: expected an id below 262"});
  expect_error(broken([](Fields& f) { f.add_eos = 1; }), {"tokenizer.ggml.add_eos_token"});
}

}  // namespace
}  // namespace shoehorn
