#include <array>

#include "formats/gguf.h"
#include "formats/quote.h"
#include "formats/tokenizer.h"

namespace shoehorn {
namespace {

struct PreTokenizerName {
  std::string_view name;  // tokenizer.ggml.pre
  PreTokenizer pre_tokenizer;
  bool add_bos;  // where tokenizer.ggml.add_bos_token is absent
};

constexpr std::array<PreTokenizerName, 12> kPreTokenizers = {{
    {"deepseek-llm", PreTokenizer::deepseek_llm, true},
    {"deepseek-coder", PreTokenizer::deepseek_coder, true},
    {"deepseek-v3", PreTokenizer::deepseek_v3, true},
    {"joyai-llm", PreTokenizer::deepseek_v3, true},  // DeepSeek V4's files
    {"deepseek-r1-qwen", PreTokenizer::qwen2, true},
    {"qwen2", PreTokenizer::qwen2, false},
    {"llama-bpe", PreTokenizer::llama3, true},
    {"llama3", PreTokenizer::llama3, true},
    {"llama-v3", PreTokenizer::llama3, true},
    {"smollm", PreTokenizer::smollm, false},
    {"starcoder", PreTokenizer::smollm, false},
    {"gpt-2", PreTokenizer::gpt2, false},
}};

Result<PreTokenizerName> find_pre_tokenizer(const GgufFile& file) {
  const std::string wanted = TRY(file.required_string("tokenizer.ggml.pre"));
  std::string known;
  for (const PreTokenizerName& entry : kPreTokenizers) {
    if (entry.name == wanted) return entry;
    known += (known.empty() ? "" : ", ") + std::string(entry.name);
  }
  return fail("{}: tokenizer.ggml.pre: expected one of {}; found {}", file.name(), known,
              quote(wanted));
}

// tokenizer.ggml.token_type
enum TokenType : int64_t { kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5 };

// Sorts the tokens that are not plain into `data`. Converters name the padding rows of the
// embedding
// "[PADn]" and call them user-defined.
Result<void> classify_tokens(const GgufFile& file, TokenizerData& data) {
  const std::vector<int64_t> types = TRY(file.integers("tokenizer.ggml.token_type"));
  const size_t count = data.tokens.size();
  if (!types.empty() && types.size() != count) {
    return fail("{}: tokenizer.ggml.token_type: expected {} entries, found {}", file.name(), count,
                types.size());
  }
  for (size_t i = 0; i < types.size(); ++i) {
    const auto id = static_cast<int32_t>(i);
    const std::string& token = data.tokens[i];
    const bool padding = token.starts_with("[PAD") && token == fmt::format("[PAD{}]", id);
    if (padding || types[i] == kUnused) {
      data.unused_ids.push_back(id);
    } else if (types[i] == kControl || types[i] == kUserDefined) {
      data.added_tokens.push_back({id, token, types[i] == kControl});
    } else if (types[i] != kNormal) {
      return fail("{}: tokenizer.ggml.token_type: token {}: expected type 1, 3, 4 or 5, found {}",
                  file.name(), id, types[i]);
    }
  }
  return {};
}

Result<int32_t> token_id(const GgufFile& file, std::string_view key, size_t count) {
  const int64_t id = TRY(file.integer_or(key, -1));
  if (id < -1 || id >= static_cast<int64_t>(count)) {
    return fail("{}: {}: expected an id below {}, found {}", file.name(), key, count, id);
  }
  return static_cast<int32_t>(id);
}

Result<const std::vector<std::string>*> required_strings(const GgufFile& file,
                                                         std::string_view key) {
  const std::vector<std::string>* strings = TRY(file.strings(key));
  if (strings == nullptr)
    return fail("{}: {}: expected strings, found no such key", file.name(), key);
  return strings;
}

}  // namespace

Result<TokenizerData> tokenizer_data_from_gguf(const GgufFile& file) {
  const std::string model = TRY(file.required_string("tokenizer.ggml.model"));
  if (model != "gpt2") {
    return fail("{}: tokenizer.ggml.model: expected 'gpt2' (byte-level BPE), found {}", file.name(),
                quote(model));
  }
  const PreTokenizerName pre = TRY(find_pre_tokenizer(file));
  TokenizerData data;
  data.source = file.name();
  data.pre_tokenizer = pre.pre_tokenizer;
  data.normalize_nfc = pre.pre_tokenizer == PreTokenizer::qwen2;
  data.ignore_merges = pre.pre_tokenizer == PreTokenizer::llama3;
  data.tokens = *TRY(required_strings(file, "tokenizer.ggml.tokens"));
  data.merges = *TRY(required_strings(file, "tokenizer.ggml.merges"));
  TRY(classify_tokens(file, data));
  data.bos_token_id = TRY(token_id(file, "tokenizer.ggml.bos_token_id", data.tokens.size()));
  data.eos_token_id = TRY(token_id(file, "tokenizer.ggml.eos_token_id", data.tokens.size()));
  data.pad_token_id = TRY(token_id(file, "tokenizer.ggml.padding_token_id", data.tokens.size()));
  data.add_bos_token =
      TRY(file.boolean_or("tokenizer.ggml.add_bos_token", pre.add_bos && data.bos_token_id >= 0));
  if (TRY(file.boolean_or("tokenizer.ggml.add_eos_token", false))) {
    return fail("{}: tokenizer.ggml.add_eos_token: expected false, found true", file.name());
  }
  return data;
}

}  // namespace shoehorn
