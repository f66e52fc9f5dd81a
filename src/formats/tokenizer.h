// Byte-level BPE tokenizers of the supported models, from tokenizer.json or GGUF metadata.
//
//   Tokenizer tokenizer = TRY(Tokenizer::create(TRY(tokenizer_data_from_gguf(file))));
//   std::vector<int32_t> ids = tokenizer.encode(text, {.parse_special = true});
//   Detokenizer stream(tokenizer);
//   for (int32_t id : ids) out << stream.next(id);             // whole characters only
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace shoehorn {

class GgufFile;

// The pre-tokenizers of the supported families; a file with another one is refused by its name.
enum class PreTokenizer : uint8_t {
  deepseek_llm,
  deepseek_coder,
  deepseek_v3,
  qwen2,
  llama3,
  smollm,
  gpt2
};
const char* name(PreTokenizer pre_tokenizer);

struct AddedToken {
  int32_t id = 0;
  std::string content;   // matched literally in raw text
  bool special = false;  // control token: never produced from user text unless parse_special
};

// A tokenizer as files state it, before any index is built.
struct TokenizerData {
  std::string source;  // the file, for messages
  PreTokenizer pre_tokenizer = PreTokenizer::gpt2;
  bool normalize_nfc = false;  // qwen2
  bool ignore_merges = false;  // llama3: a piece in the vocabulary is taken whole
  std::vector<std::string>
      tokens;  // by id, in the byte-to-unicode alphabet (added ones literal); "" = hole
  std::vector<std::string> merges;  // "left right", by rank
  std::vector<AddedToken> added_tokens;
  std::vector<int32_t> unused_ids;  // padding rows: never matched, never to be sampled
  int32_t bos_token_id = -1;        // -1: none
  int32_t eos_token_id = -1;
  int32_t pad_token_id = -1;
  bool add_bos_token = false;  // on plain text
};

Result<TokenizerData> tokenizer_data_from_gguf(const GgufFile& file);

// tokenizer_json: tokenizer.json; tokenizer_config_json: tokenizer_config.json, or empty where
// there is none. `source` names the directory in errors. The pre-tokenizer is recognised by its
// regular expressions.
Result<TokenizerData> parse_tokenizer_json(std::string_view tokenizer_json,
                                           std::string_view tokenizer_config_json,
                                           std::string_view source);

struct EncodeOptions {
  bool parse_special =
      false;             // match special added tokens in the text (templates: yes, user text: no)
  bool add_bos = false;  // prepend BOS where the model has one
};

class Tokenizer {
 public:
  // Errors: merges that name unknown tokens, ids out of range, an added token that is empty or
  // longer than 1 KiB.
  static Result<Tokenizer> create(TokenizerData data);
  Tokenizer(Tokenizer&&) noexcept;
  Tokenizer& operator=(Tokenizer&&) noexcept;
  ~Tokenizer();

  // Any bytes are accepted; invalid UTF-8 is encoded byte by byte and round-trips. A byte that the
  // vocabulary has no token for is dropped, as Hugging Face drops it: C0, C1 and F5 to FF, which
  // are never UTF-8, for most models; some control characters and rare lead bytes more for SmolLM2.
  // May be called from several threads.
  std::vector<int32_t> encode(std::string_view text, const EncodeOptions& options = {}) const;

  // The bytes of one token; "" for ids that have none. Special tokens give their literal text.
  std::string_view token_bytes(int32_t id) const;
  std::string decode(std::span<const int32_t> ids, bool skip_special = false) const;

  const TokenizerData& data() const;  // without its merges, which live on as a table
  int32_t vocabulary_size() const;    // largest id + 1, holes included
  bool is_special(int32_t id) const;
  bool is_unused(int32_t id) const;  // out of range, hole or padding row
  std::optional<int32_t> find(
      std::string_view token) const;  // an added token by content, or a plain one by its bytes

 private:
  struct State;
  explicit Tokenizer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// Turns a stream of ids into text that never ends inside a UTF-8 character. Bytes that can never
// complete a character come out as U+FFFD, as soon as that is certain.
class Detokenizer {
 public:
  explicit Detokenizer(const Tokenizer& tokenizer, bool skip_special = true)
      : tokenizer_(&tokenizer), skip_special_(skip_special) {}
  std::string next(int32_t id);
  std::string finish();  // what is left, replaced where incomplete

 private:
  const Tokenizer* tokenizer_;
  bool skip_special_;
  std::string pending_;
};

}  // namespace shoehorn
