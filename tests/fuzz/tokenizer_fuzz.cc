// Hostile tokenizer files, and hostile text for good tokenizers. The first byte chooses.
#include <array>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "formats/gguf.h"
#include "formats/tokenizer.h"
#include "formats/tokenizer_nfc.h"
#include "tests/formats/tokenizer_testing.h"

namespace shoehorn {
namespace {

void stream_equals_decode(const Tokenizer& tokenizer, const std::vector<int32_t>& ids) {
  Detokenizer detokenizer(tokenizer, /*skip_special=*/false);
  std::string streamed;
  for (const int32_t id : ids) streamed += detokenizer.next(id);
  streamed += detokenizer.finish();
  const std::string whole = tokenizer.decode(ids);
  CHECK(streamed.size() >= whole.size(), "{} bytes streamed of {}", streamed.size(), whole.size());
}

// A tokenizer that a file states: whatever it is, encoding must end and give ids of its vocabulary.
void use(Result<TokenizerData> data, std::string_view text) {
  if (!data.ok()) {
    CHECK(data.error().message.find('\n') == std::string::npos, "{}", data.error().message);
    return;
  }
  Result<Tokenizer> tokenizer = Tokenizer::create(std::move(*data));
  if (!tokenizer.ok()) return;
  for (const bool parse_special : {false, true}) {
    const std::vector<int32_t> ids =
        tokenizer->encode(text, {.parse_special = parse_special, .add_bos = true});
    for (const int32_t id : ids) CHECK(!tokenizer->is_unused(id), "id {}", id);
    stream_equals_decode(*tokenizer, ids);
  }
}

const Tokenizer& good_tokenizer(size_t family) {
  static std::array<std::optional<Tokenizer>, kAllPreTokenizers.size()> tokenizers;
  if (!tokenizers[family]) {
    TokenizerData data = byte_vocabulary(
        kAllPreTokenizers[family],
        {{" ", " "}, {"a", "a"}, {"aa", "aa"}, {" ", "t"}, {"\xE4", "\xBD"}, {"\n", "\n"}});
    data.normalize_nfc = kAllPreTokenizers[family] == PreTokenizer::qwen2;
    data.tokens.push_back("<|x|>");
    data.added_tokens.push_back({static_cast<int32_t>(data.tokens.size()) - 1, "<|x|>", true});
    Result<Tokenizer> tokenizer = Tokenizer::create(std::move(data));
    CHECK(tokenizer.ok(), "{}", tokenizer.error().message);
    tokenizers[family].emplace(std::move(*tokenizer));
  }
  return *tokenizers[family];
}

void round_trip(const Tokenizer& tokenizer, std::string_view text) {
  const std::string expected = tokenizer.data().normalize_nfc ? to_nfc(text) : std::string(text);
  const std::vector<int32_t> ids = tokenizer.encode(text);
  CHECK(tokenizer.decode(ids) == expected, "the text does not come back");
  stream_equals_decode(tokenizer, ids);
}

}  // namespace
}  // namespace shoehorn

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace shoehorn;
  if (size == 0) return 0;
  const uint8_t choice = data[0];
  const std::string_view text(reinterpret_cast<const char*>(data) + 1, size - 1);
  if (choice == 'j') {
    // tokenizer.json, and after a zero byte tokenizer_config.json.
    const size_t zero = text.find('\0');
    const std::string_view config = zero == text.npos ? "" : text.substr(zero + 1);
    use(parse_tokenizer_json(text.substr(0, zero), config, "fuzz"), text);
  } else if (choice == 'g') {
    const Result<GgufFile> file = GgufFile::parse(std::as_bytes(std::span(text)), "fuzz");
    if (file.ok()) use(tokenizer_data_from_gguf(*file), text.substr(0, 4096));
  } else {
    round_trip(good_tokenizer(choice % kAllPreTokenizers.size()), text);
  }
  return 0;
}
