#include "formats/tokenizer_json_fields.h"

#include <charconv>
#include <vector>

#include "formats/pre_tokenizer_classes.h"
#include "formats/quote.h"

namespace shoehorn {
namespace {

using nlohmann::json;

constexpr int kMostNesting = 8;

constexpr const char* kGpt2 =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr const char* kQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|)"
    R"(\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr const char* kDeepseekV3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+|)"
    R"( ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

void append_utf8(char32_t code, std::string& out) {
  const auto add = [&out](char32_t byte) { out += static_cast<char>(byte); };
  if (code < 0x80) return add(code);
  if (code < 0x800) {
    add(0xC0 | code >> 6);
  } else {
    if (code < 0x10000) {
      add(0xE0 | code >> 12);
    } else {
      add(0xF0 | code >> 18);
      add(0x80 | (code >> 12 & 0x3F));
    }
    add(0x80 | (code >> 6 & 0x3F));
  }
  add(0x80 | (code & 0x3F));
}

std::string class_of(std::span<const CodePointRange> ranges) {
  std::string text = "[";
  for (const CodePointRange& range : ranges) {
    append_utf8(range.first, text);
    if (range.last == range.first) continue;
    text += '-';
    append_utf8(range.last, text);
  }
  return text + "]";
}

// The stages of a pre-tokenizer as canonical expressions.
std::vector<std::string> stages_of(PreTokenizer pre_tokenizer) {
  switch (pre_tokenizer) {
    case PreTokenizer::deepseek_llm:
      return {R"([\r\n])",
              R"(\s?)" + class_of(deepseek_llm_letters()) + "+",
              R"(\s?)" + class_of(deepseek_llm_punctuation()) + "+",
              R"(\s+$)",
              class_of(deepseek_cjk()) + "+",
              R"(\p{N})"};
    case PreTokenizer::deepseek_coder:
      return {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)", class_of(deepseek_cjk()) + "+",
              R"(\p{N})"};
    case PreTokenizer::deepseek_v3:
      return {R"(\p{N}{1,3})", class_of(deepseek_v3_cjk()) + "+", kDeepseekV3};
    case PreTokenizer::qwen2:
      return {kQwen2};
    case PreTokenizer::llama3:
      return {kLlama3};
    case PreTokenizer::smollm:
      return {R"(\p{N})", kGpt2};
    case PreTokenizer::gpt2:
      return {kGpt2};
  }
  return {};
}

// \uHHHH, \u{H...} or \x{H...} at `regex[i]`, the backslash: its length, 0 where it is another
// escape.
size_t code_escape(std::string_view regex, size_t i, char32_t& code) {
  const std::string_view rest = regex.substr(i);
  size_t first = 2, last = 6, length = 6;
  if (rest.starts_with("\\u{") || rest.starts_with("\\x{")) {
    first = 3;
    last = rest.find('}');
    if (last == std::string_view::npos || last > 9) return 0;
    length = last + 1;
  } else if (!rest.starts_with("\\u") || rest.size() < 6) {
    return 0;
  }
  uint32_t value = 0;
  const auto [end, error] = std::from_chars(rest.data() + first, rest.data() + last, value, 16);
  if (error != std::errc() || end != rest.data() + last || value > 0x10FFFF) return 0;
  code = value;
  return length;
}

// One spelling for expressions that differ in escapes only: newlines as \r and \n, other characters
// literally.
std::string canonical(std::string_view regex) {
  std::string out;
  for (size_t i = 0; i < regex.size();) {
    char32_t code = 0;
    const size_t escape = regex[i] == '\\' ? code_escape(regex, i, code) : 0;
    if (escape > 0) {
      append_utf8(code, out);
      i += escape;
    } else if (regex[i] == '\\' && i + 1 < regex.size()) {
      out += regex.substr(i, 2);
      i += 2;
    } else {
      if (regex[i] == '\n' || regex[i] == '\r') {
        out += regex[i] == '\n' ? "\\n" : "\\r";
      } else {
        out += regex[i];
      }
      ++i;
    }
  }
  return out;
}

// A member's text; "" where it is absent or no string, which no caller takes for a value.
std::string_view text_of(const JsonFields& fields, const char* key) {
  const json* value = fields.find(key);
  const auto* text = value == nullptr ? nullptr : value->get_ptr<const std::string*>();
  return text == nullptr ? std::string_view() : *text;
}

Result<std::string> split_stage(const JsonFields& split) {
  const JsonFields pattern = TRY(split.required_object("pattern"));
  const std::string_view regex = text_of(pattern, "Regex");
  if (regex.empty()) return pattern.wrong("Regex", "a regular expression");
  if (text_of(split, "behavior") != "Isolated") {
    return split.wrong("behavior", "'Isolated'");
  }
  if (TRY(split.boolean_or("invert", false))) return split.wrong("invert", "false");
  return canonical(regex);
}

// The elements of `node`'s array `key`, each with its place for messages.
Result<std::vector<JsonFields>> elements(const JsonFields& node, const char* key) {
  const json* array = node.find(key);
  if (array == nullptr || !array->is_array()) return node.wrong(key, "an array");
  std::vector<JsonFields> fields;
  for (size_t i = 0; i < array->size(); ++i) {
    fields.emplace_back((*array)[i], fmt::format("{}: {}[{}]", node.source(), key, i));
  }
  return fields;
}

// Appends the stages of one pre_tokenizer object. `byte_level`: ByteLevel, which is the last, was
// met.
Result<void> collect_stages(const JsonFields& node, int nesting, std::vector<std::string>& stages,
                            bool& byte_level) {
  const std::string_view type = text_of(node, "type");
  if (byte_level) return node.wrong("type", "nothing after ByteLevel");
  if (type == "Sequence" && nesting < kMostNesting) {
    for (const JsonFields& part : TRY(elements(node, "pretokenizers"))) {
      TRY(collect_stages(part, nesting + 1, stages, byte_level));
    }
    return {};
  }
  if (type == "Split") {
    stages.push_back(TRY(split_stage(node)));
    return {};
  }
  if (type == "Digits") {
    const bool single = TRY(node.boolean_or("individual_digits", false));
    stages.push_back(single ? R"(\p{N})" : R"(\p{N}+)");
    return {};
  }
  if (type != "ByteLevel") return node.wrong("type", "Sequence, Split, Digits or ByteLevel");
  if (TRY(node.boolean_or("add_prefix_space", true)))
    return node.wrong("add_prefix_space", "false");
  if (TRY(node.boolean_or("use_regex", true))) stages.push_back(kGpt2);
  byte_level = true;
  return {};
}

// TemplateProcessing's `single`: the text alone, or a special token and the text.
Result<std::string> recognise_template(const JsonFields& processor) {
  const std::vector<JsonFields> single = TRY(elements(processor, "single"));
  constexpr const char* kExpected = "the text, or a special token and the text";
  if (single.empty() || single.size() > 2 || !single.back().has("Sequence")) {
    return processor.wrong("single", kExpected);
  }
  if (single.size() == 1) return std::string();
  const JsonFields special = TRY(single[0].required_object("SpecialToken"));
  const std::string_view token = text_of(special, "id");
  if (token.empty()) return special.wrong("id", "a token");
  return std::string(token);
}

Result<std::string> recognise_processor(const JsonFields& processor, int nesting) {
  const std::string_view type = text_of(processor, "type");
  if (type == "ByteLevel") return std::string();  // changes offsets only
  if (type == "TemplateProcessing") return recognise_template(processor);
  if (type != "Sequence" || nesting == kMostNesting) {
    return processor.wrong("type", "ByteLevel, TemplateProcessing or Sequence");
  }
  std::string token;
  for (const JsonFields& part : TRY(elements(processor, "processors"))) {
    const std::string found = TRY(recognise_processor(part, nesting + 1));
    if (!found.empty() && !token.empty()) {
      return processor.wrong("processors", "one TemplateProcessing that adds a token");
    }
    if (!found.empty()) token = found;
  }
  return token;
}

}  // namespace

Result<PreTokenizer> recognise_pre_tokenizer(const JsonFields& root) {
  const JsonFields node = TRY(root.required_object("pre_tokenizer"));
  std::vector<std::string> stages;
  bool byte_level = false;
  TRY(collect_stages(node, 0, stages, byte_level));
  if (!byte_level) return fail("{}: expected ByteLevel at its end, found none", node.source());
  for (const PreTokenizer known :
       {PreTokenizer::deepseek_llm, PreTokenizer::deepseek_coder, PreTokenizer::deepseek_v3,
        PreTokenizer::qwen2, PreTokenizer::llama3, PreTokenizer::smollm, PreTokenizer::gpt2}) {
    if (stages == stages_of(known)) return known;
  }
  return fail("{}: expected the expressions of a supported model, found {} stages, the last {}",
              node.source(), stages.size(), stages.empty() ? "none" : quote(stages.back()));
}

Result<bool> recognise_normalizer(const JsonFields& root) {
  if (!root.has("normalizer")) return false;
  const JsonFields node = TRY(root.required_object("normalizer"));
  const std::string_view type = text_of(node, "type");
  if (type == "NFC") return true;
  if (type != "Sequence") return node.wrong("type", "NFC or Sequence");
  const std::vector<JsonFields> parts = TRY(elements(node, "normalizers"));
  for (const JsonFields& part : parts) {
    if (text_of(part, "type") != "NFC") return part.wrong("type", "NFC");
  }
  return !parts.empty();
}

Result<void> check_decoder(const JsonFields& root) {
  const JsonFields node = TRY(root.required_object("decoder"));
  if (text_of(node, "type") != "ByteLevel") return node.wrong("type", "ByteLevel");
  return {};
}

Result<std::string> recognise_post_processor(const JsonFields& root) {
  if (!root.has("post_processor")) return std::string();
  return recognise_processor(TRY(root.required_object("post_processor")), 0);
}

}  // namespace shoehorn
