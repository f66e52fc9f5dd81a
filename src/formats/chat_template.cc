#include "formats/chat_template.h"

#include <limits>
#include <utility>

#include "formats/jinja/interpreter.h"
#include "formats/jinja/parser.h"

namespace shoehorn {

struct ChatTemplate::Program {
  std::string source;
  std::unique_ptr<jinja::Template> tree;
};

namespace {

using Json = nlohmann::ordered_json;
using jinja::Kind;
using jinja::Value;

// JSON as template values. Text is borrowed from the JSON.
class Importer {
 public:
  explicit Importer(jinja::Runtime& runtime) : runtime_(runtime), arena_(runtime.arena()) {}

  Result<Value> value(const Json& json, int depth = 0) {
    if (depth > jinja::kMaximumDataDepth) {
      return fail("expected input nested at most {} deep, found more", jinja::kMaximumDataDepth);
    }
    switch (json.type()) {
      case Json::value_t::null:
      case Json::value_t::discarded:
        return jinja::none();
      case Json::value_t::boolean:
        return jinja::boolean(*json.get_ptr<const bool*>());
      case Json::value_t::number_integer:
        return jinja::integer(*json.get_ptr<const int64_t*>());
      case Json::value_t::number_unsigned:
        return whole(*json.get_ptr<const uint64_t*>());
      case Json::value_t::number_float:
        return jinja::real(*json.get_ptr<const double*>());
      case Json::value_t::string:
        return jinja::borrowed_text(arena_, *json.get_ptr<const std::string*>());
      case Json::value_t::array:
        return array(json, depth);
      case Json::value_t::object:
        return object(json, depth);
      case Json::value_t::binary:
        break;
    }
    return fail("expected JSON values in the input, found binary data");
  }

  // One message. Reasoning goes by three names in clients and templates; transformers fills in the
  // two that templates read (_alias_reasoning_fields).
  Result<Value> message(const Json& json) {
    if (!json.is_object())
      return fail("expected messages to be objects, found {}", json.type_name());
    const Value plain = TRY(value(json, 1));
    const Value* reasoning = nullptr;
    for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
      const Value* found = jinja::find_text(*plain.dict, name);
      if (found == nullptr || found->kind == Kind::none) continue;
      reasoning = found;
      break;
    }
    if (reasoning == nullptr) return plain;
    const Value aliased = jinja::make_dict(arena_, plain.dict->size + 2);
    TRY(add(aliased, "thinking", *reasoning));
    for (size_t i = 0; i < plain.dict->size; ++i) {
      const jinja::Dict::Entry& entry = plain.dict->entries[i];
      TRY(jinja::insert(runtime_, *aliased.dict, entry.key, entry.value));
    }
    TRY(add(aliased, "reasoning_content", *reasoning));
    return aliased;
  }

  Result<Value> messages(const Json& json) {
    if (!json.is_array()) return fail("expected an array of messages, found {}", json.type_name());
    std::vector<Value> items;
    items.reserve(json.size());
    for (const Json& item : json) items.push_back(TRY(message(item)));
    return jinja::make_sequence(arena_, jinja::SequenceType::list, items);
  }

  Result<void> add(const Value& dict, std::string_view name, const Value& value) {
    return jinja::insert(runtime_, *dict.dict, jinja::borrowed_text(arena_, name), value);
  }

 private:
  static Result<Value> whole(uint64_t number) {
    if (number > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
      return fail("expected integers below 2^63 in the input, found {}", number);
    }
    return jinja::integer(static_cast<int64_t>(number));
  }

  Result<Value> array(const Json& json, int depth) {
    Value* items = arena_.array<Value>(json.size());
    size_t count = 0;
    for (const Json& item : json) items[count++] = TRY(value(item, depth + 1));
    return jinja::sequence_value(arena_.make<jinja::Sequence>(
        jinja::SequenceType::list, std::span<const Value>(items, count)));
  }

  Result<Value> object(const Json& json, int depth) {
    const Value result = jinja::make_dict(arena_, json.size());
    for (auto item = json.begin(); item != json.end(); ++item) {
      const Value entry = TRY(value(item.value(), depth + 1));
      jinja::Dict& dict = *result.dict;
      dict.entries[dict.size++] = {jinja::borrowed_text(arena_, item.key()), entry};
    }
    return result;
  }

  jinja::Runtime& runtime_;
  jinja::Arena& arena_;
};

Result<Value> import_variables(Importer& importer, jinja::Arena& arena,
                               const ChatTemplateInput& input) {
  const Value result = jinja::make_dict(arena, 8 + input.variables.size());
  const Value messages = TRY(importer.messages(input.messages));
  const Value tools = TRY(importer.value(input.tools));
  TRY(importer.add(result, "messages", messages));
  TRY(importer.add(result, "tools", tools));
  TRY(importer.add(result, "documents", jinja::none()));
  TRY(importer.add(result, "add_generation_prompt", jinja::boolean(input.add_generation_prompt)));
  TRY(importer.add(result, "bos_token", jinja::borrowed_text(arena, input.bos_token)));
  TRY(importer.add(result, "eos_token", jinja::borrowed_text(arena, input.eos_token)));
  if (!input.variables.is_object()) {
    return fail("expected the variables to be an object, found {}", input.variables.type_name());
  }
  for (auto item = input.variables.begin(); item != input.variables.end(); ++item) {
    const Value value = TRY(importer.value(item.value()));
    TRY(importer.add(result, item.key(), value));
  }
  return result;
}

}  // namespace

ChatTemplate::ChatTemplate(std::unique_ptr<Program> program) : program_(std::move(program)) {}
ChatTemplate::ChatTemplate(ChatTemplate&&) noexcept = default;
ChatTemplate& ChatTemplate::operator=(ChatTemplate&&) noexcept = default;
ChatTemplate::~ChatTemplate() = default;

Result<ChatTemplate> ChatTemplate::parse(std::string_view text, std::string_view source) {
  auto program = std::make_unique<Program>();
  program->source = source;
  Result<std::unique_ptr<jinja::Template>> tree = jinja::parse_template(text);
  if (!tree) return fail("{}: chat template: {}", source, tree.error().message);
  program->tree = std::move(*tree);
  return ChatTemplate(std::move(program));
}

Result<std::string> ChatTemplate::render(const ChatTemplateInput& input) const {
  jinja::Runtime runtime;
  Importer importer(runtime);
  const Result<Value> variables = import_variables(importer, runtime.arena(), input);
  if (!variables) {
    return fail("{}: chat template: {}", program_->source, variables.error().message);
  }
  jinja::Interpreter interpreter(*program_->tree, runtime, *variables->dict);
  Result<std::string> output = interpreter.render();
  if (output) return output;
  return fail("{}: chat template: line {}: {}", program_->source, interpreter.line(),
              output.error().message);
}

}  // namespace shoehorn
