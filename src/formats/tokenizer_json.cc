#include "formats/json_fields.h"
#include "formats/quote.h"
#include "formats/tokenizer.h"
#include "formats/tokenizer_json_fields.h"
#include "formats/tokenizer_nfc.h"

namespace shoehorn {
namespace {

using nlohmann::json;

// Several times the largest vocabulary in use: what an id in a file may make us allocate.
constexpr int64_t kMostTokens = int64_t{1} << 20;

Result<int32_t> token_id(int64_t id, const std::string& where) {
  if (id < 0 || id >= kMostTokens) {
    return fail("{}: expected an id of 0 to {}, found {}", where, kMostTokens - 1, id);
  }
  return static_cast<int32_t>(id);
}

// Puts `token` at `id`, growing the table. Errors: another token is there.
Result<void> place(std::vector<std::string>& tokens, int32_t id, const std::string& token,
                   const std::string& where) {
  const auto index = static_cast<size_t>(id);
  if (index >= tokens.size()) tokens.resize(index + 1);
  if (!tokens[index].empty() && tokens[index] != token) {
    return fail("{}: expected one token at id {}, found {} and {}", where, id, quote(tokens[index]),
                quote(token));
  }
  tokens[index] = token;
  return {};
}

// The fields of a BPE model that would change results, at the only values that are computed here.
Result<void> check_model(const JsonFields& model) {
  if (TRY(model.string_or("type", "BPE")) != "BPE") return model.wrong("type", "BPE");
  if (TRY(model.number_or("dropout", 0)) != 0) return model.wrong("dropout", "none");
  // With an unk_token Hugging Face writes it for each byte that the vocabulary lacks.
  for (const char* text : {"continuing_subword_prefix", "end_of_word_suffix", "unk_token"}) {
    if (!TRY(model.string_or(text, "")).empty()) return model.wrong(text, "none");
  }
  if (TRY(model.boolean_or("byte_fallback", false))) return model.wrong("byte_fallback", "false");
  return {};
}

Result<void> read_vocabulary(const JsonFields& model, TokenizerData& data) {
  const JsonFields vocabulary = TRY(model.required_object("vocab"));
  data.tokens.reserve(std::min<size_t>(vocabulary.object().size(), kMostTokens));
  for (const auto& [token, value] : vocabulary.object().items()) {
    const auto* id = value.get_ptr<const json::number_unsigned_t*>();
    if (id == nullptr || *id >= kMostTokens) {
      return fail("{}: {}: expected an id of 0 to {}, found {}", vocabulary.source(), quote(token),
                  kMostTokens - 1, describe(value));
    }
    TRY(place(data.tokens, static_cast<int32_t>(*id), token, vocabulary.source()));
  }
  return {};
}

Result<void> read_merges(const JsonFields& model, TokenizerData& data) {
  const json* merges = model.find("merges");
  if (merges == nullptr || !merges->is_array()) return model.wrong("merges", "an array");
  data.merges.reserve(merges->size());
  for (const json& merge : *merges) {
    if (const auto* text = merge.get_ptr<const std::string*>()) {
      data.merges.push_back(*text);
      continue;
    }
    if (!merge.is_array() || merge.size() != 2 || !merge[0].is_string() || !merge[1].is_string()) {
      return fail("{}: merges[{}]: expected \"a b\" or [\"a\", \"b\"], found {}", model.source(),
                  data.merges.size(), describe(merge));
    }
    data.merges.push_back(merge[0].get_ref<const std::string&>() + ' ' +
                          merge[1].get_ref<const std::string&>());
  }
  return {};
}

Result<AddedToken> read_added_token(const JsonFields& fields, bool normalize_nfc) {
  AddedToken token;
  token.id = TRY(token_id(TRY(fields.required_integer("id")), fields.source()));
  token.content = TRY(fields.string_or("content", ""));
  token.special = TRY(fields.boolean_or("special", false));
  if (token.content.empty()) return fields.wrong("content", "text");
  for (const char* option : {"lstrip", "rstrip", "single_word"}) {
    if (TRY(fields.boolean_or(option, false))) return fields.wrong(option, "false");
  }
  if (normalize_nfc && TRY(fields.boolean_or("normalized", false)) &&
      !is_plainly_nfc(token.content)) {
    return fields.wrong("normalized", "false for a content that NFC may change");
  }
  return token;
}

Result<void> read_added_tokens(const JsonFields& root, TokenizerData& data) {
  const json* added = root.find("added_tokens");
  if (added == nullptr) return {};
  if (!added->is_array()) return root.wrong("added_tokens", "an array");
  for (size_t i = 0; i < added->size(); ++i) {
    const JsonFields fields((*added)[i], fmt::format("{}: added_tokens[{}]", root.source(), i));
    data.added_tokens.push_back(TRY(read_added_token(fields, data.normalize_nfc)));
    const AddedToken& token = data.added_tokens.back();
    TRY(place(data.tokens, token.id, token.content, fields.source()));
  }
  return {};
}

// The id of a token that another field names by its content.
Result<int32_t> find_token(const TokenizerData& data, const std::string& content,
                           const std::string& where) {
  for (const AddedToken& token : data.added_tokens) {
    if (token.content == content) return token.id;
  }
  for (size_t id = 0; id < data.tokens.size(); ++id) {
    if (data.tokens[id] == content) return static_cast<int32_t>(id);
  }
  return fail("{}: expected a token of the vocabulary, found {}", where, quote(content));
}

// A token of tokenizer_config.json: text, or an object that has it as `content`. -1: none.
Result<int32_t> config_token(const JsonFields& config, const char* key, const TokenizerData& data) {
  const json* value = config.find(key);
  if (value == nullptr) return -1;
  const std::string content =
      value->is_object() ? TRY(TRY(config.required_object(key)).string_or("content", ""))
                                  : TRY(config.string_or(key, ""));
                                  return find_token(data, content,
                                                    fmt::format("{}: {}", config.source(), key));
}

// `template_bos`: the id of the token that tokenizer.json itself puts before a text, -1 for none.
Result<void> read_config(const JsonFields& config, int32_t template_bos, TokenizerData& data) {
  data.bos_token_id = TRY(config_token(config, "bos_token", data));
  data.eos_token_id = TRY(config_token(config, "eos_token", data));
  data.pad_token_id = TRY(config_token(config, "pad_token", data));
  for (const char* option : {"add_eos_token", "add_prefix_space"}) {
    if (TRY(config.boolean_or(option, false))) return config.wrong(option, "false");
  }
  data.add_bos_token = TRY(config.boolean_or("add_bos_token", template_bos >= 0));
  if (data.bos_token_id < 0) data.bos_token_id = template_bos;
  if (!data.add_bos_token) return {};
  if (data.bos_token_id < 0) return config.wrong("add_bos_token", "false without a bos_token");
  if (template_bos >= 0 && template_bos != data.bos_token_id) {
    return config.wrong("bos_token", "the token of tokenizer.json's post_processor");
  }
  return {};
}

}  // namespace

Result<TokenizerData> parse_tokenizer_json(std::string_view tokenizer_json,
                                           std::string_view tokenizer_config_json,
                                           std::string_view source) {
  TokenizerData data;
  data.source = std::string(source) + "/tokenizer.json";
  const json object = TRY(parse_json_object(tokenizer_json, data.source));
  const JsonFields root(object, data.source);
  data.pre_tokenizer = TRY(recognise_pre_tokenizer(root));
  data.normalize_nfc = TRY(recognise_normalizer(root));
  TRY(check_decoder(root));
  const JsonFields model = TRY(root.required_object("model"));
  TRY(check_model(model));
  data.ignore_merges = TRY(model.boolean_or("ignore_merges", false));
  TRY(read_vocabulary(model, data));
  TRY(read_merges(model, data));
  TRY(read_added_tokens(root, data));
  const std::string bos = TRY(recognise_post_processor(root));
  const int32_t template_bos =
      bos.empty() ? -1 : TRY(find_token(data, bos, data.source + ": post_processor"));
  data.bos_token_id = template_bos;
  data.add_bos_token = template_bos >= 0;
  if (!tokenizer_config_json.empty()) {
    const std::string config_source = std::string(source) + "/tokenizer_config.json";
    const json config = TRY(parse_json_object(tokenizer_config_json, config_source));
    TRY(read_config(JsonFields(config, config_source), template_bos, data));
  }
  return data;
}

}  // namespace shoehorn
