#include "formats/checkpoint.h"

#include <algorithm>
#include <variant>

#include "base/bus_guard.h"
#include "formats/gguf.h"
#include "formats/json_fields.h"
#include "formats/quote.h"
#include "formats/safetensors.h"

namespace shoehorn {
namespace {

namespace fs = std::filesystem;
using nlohmann::json;

constexpr int64_t kF8TileSide = 128;

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

// The text of a file that may be absent ("").
Result<std::string> read_optional(const fs::path& path) {
  if (!is_there(path)) return std::string();
  return read_text_file(path);
}

// config.json's and generation_config.json's defaults: the latter wins, stop ids add up.
Result<GenerationConfig> hugging_face_generation(std::string_view config,
                                                 const fs::path& directory) {
  GenerationConfig merged =
      TRY(parse_generation_config(config, (directory / "config.json").string()));
  const fs::path path = directory / "generation_config.json";
  if (!is_there(path)) return merged;
  GenerationConfig later = TRY(parse_generation_config(TRY(read_text_file(path)), path.string()));
  later.eos_token_ids.insert(later.eos_token_ids.end(), merged.eos_token_ids.begin(),
                             merged.eos_token_ids.end());
  return later;
}

// Errors: an id that is no int32; -1 (or an absent key) means none.
Result<GenerationConfig> gguf_generation(const GgufFile& file) {
  GenerationConfig config;
  for (const char* key : {"tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"}) {
    const int64_t id = TRY(file.integer_or(key, -1));
    if (id == -1 || id == 0xFFFFFFFF) continue;
    if (id < 0 || id > 0x7FFFFFFF) {
      return fail("{}: {}: expected a token id, found {}", file.name(), key, id);
    }
    config.eos_token_ids.push_back(static_cast<int32_t>(id));
  }
  return config;
}

// tokenizer_config.json: a string, or [{"name": ..., "template": ...}], of which "default" counts.
Result<std::string> template_of(const JsonFields& fields) {
  const json* value = fields.find("chat_template");
  if (value == nullptr) return std::string();
  if (value->is_string()) return value->get<std::string>();
  if (!value->is_array()) return fields.wrong("chat_template", "a string or an array");
  for (const json& item : *value) {
    if (!item.is_object()) return fields.wrong("chat_template", "an array of objects");
    const JsonFields named(item, fields.source() + ": chat_template");
    if (TRY(named.string_or("name", "")) == "default") return named.string_or("template", "");
  }
  return std::string();
}

Result<std::string> hugging_face_template(const fs::path& directory) {
  const fs::path jinja = directory / "chat_template.jinja";
  if (is_there(jinja)) return read_text_file(jinja);
  const fs::path config = directory / "tokenizer_config.json";
  if (!is_there(config)) return std::string();
  const json object = TRY(parse_json_object(TRY(read_text_file(config)), config.string()));
  return template_of(JsonFields(object, config.string()));
}

// What a directory holds, for choosing how to read it and for the message if it cannot be read.
struct Listing {
  std::vector<fs::path> gguf;  // single files and first parts of splits
  bool safetensors = false;
  bool pickled = false;  // pytorch_model*.bin
};

// Whether the name is that of a later part of a split: "-00002-of-00005.gguf".
bool is_later_part(const std::string& name) {
  const size_t at = name.rfind("-of-");
  return at != std::string::npos && at >= 6 && name[at - 6] == '-' &&
         name.substr(at - 5, 5) != "00001";
}

Result<Listing> list_directory(const fs::path& directory) {
  Listing listing;
  std::error_code error;
  for (fs::directory_iterator it(directory, error), end; !error && it != end; it.increment(error)) {
    const std::string name = it->path().filename().string();
    if (name.ends_with(".gguf") && !is_later_part(name)) listing.gguf.push_back(it->path());
    listing.safetensors |= name.ends_with(".safetensors");
    listing.pickled |= name.starts_with("pytorch_model") && name.ends_with(".bin");
  }
  if (error) return fail("{}: {}", directory.string(), error.message());
  return listing;
}

// The .gguf file or the Hugging Face directory that `path` means.
Result<fs::path> resolve(const fs::path& path) {
  constexpr const char* kExpected =
      "expected a .gguf file or a directory with config.json and *.safetensors";
  if (!is_there(path)) return fail("{}: {}, found nothing of this name", path.string(), kExpected);
  std::error_code ignored;
  if (!fs::is_directory(path, ignored)) {
    const fs::path directory = path.has_parent_path() ? path.parent_path() : fs::path(".");
    if (path.extension() == ".gguf") return path;
    if (path.extension() == ".safetensors" || path.filename() == "config.json" ||
        path.filename() == "model.safetensors.index.json") {
      return directory;
    }
    return fail("{}: {}, found another file", path.string(), kExpected);
  }
  const Listing listing = TRY(list_directory(path));
  if (listing.safetensors && is_there(path / "config.json")) return path;
  if (listing.gguf.size() == 1 && !listing.safetensors) return listing.gguf[0];
  if (listing.gguf.size() > 1) {
    return fail("{}: {}, found {} .gguf files: name one of them", path.string(), kExpected,
                listing.gguf.size());
  }
  if (listing.safetensors) {
    return fail("{}: {}, found *.safetensors without config.json", path.string(), kExpected);
  }
  if (listing.pickled) {
    return fail("{}: {}, found pytorch_model*.bin: convert it to safetensors", path.string(),
                kExpected);
  }
  return fail("{}: {}, found neither", path.string(), kExpected);
}

// The directory's own name, also of "." and "model/".
std::string folder_name(const fs::path& directory) {
  std::error_code ignored;
  const fs::path whole = (fs::absolute(directory, ignored) / "").lexically_normal();
  return whole.parent_path().filename().string();
}

std::string shape_text(const std::vector<int64_t>& shape) {
  std::string text;
  for (const int64_t size : shape) text += fmt::format("{}{}", text.empty() ? "[" : ", ", size);
  return shape.empty() ? "[]" : text + "]";
}

// The tensor of that name and shape.
Result<const StoredTensor*> expect_tensor(const Checkpoint& checkpoint, std::string_view tensor,
                                          const std::vector<int64_t>& shape) {
  const StoredTensor* found = checkpoint.find(tensor);
  if (found == nullptr) {
    const auto unsupported = checkpoint.unsupported_tensors().find(tensor);
    if (unsupported != checkpoint.unsupported_tensors().end()) {
      return fail("{}: tensor {}: type {} is not supported", checkpoint.name(), quote(tensor),
                  unsupported->second);
    }
    return fail("{}: tensor {}: expected {}, found no such tensor", checkpoint.name(),
                quote(tensor), shape_text(shape));
  }
  if (found->shape != shape) {
    return fail("{}: tensor {}: expected {}, found {}", checkpoint.name(), quote(tensor),
                shape_text(shape), shape_text(found->shape));
  }
  return found;
}

}  // namespace

struct Checkpoint::State {
  std::string name;
  fs::path directory;  // of a Hugging Face checkpoint
  std::variant<GgufFile, Safetensors> files;
  ModelConfig config;
  GenerationConfig generation;
  std::string chat_template;

  Result<void> open_gguf(const fs::path& path) {
    GgufFile file = TRY(GgufFile::open(path));
    config = TRY(model_config_from_gguf(file));
    generation = TRY(gguf_generation(file));
    chat_template = TRY(file.string_or("tokenizer.chat_template", ""));
    if (config.model_name.empty()) config.model_name = path.stem().string();
    files = std::move(file);
    return {};
  }

  Result<void> open_hugging_face(const fs::path& path) {
    directory = path;
    const fs::path config_path = path / "config.json";
    const std::string text = TRY(read_text_file(config_path));
    config = TRY(parse_model_config(text, config_path.string()));
    generation = TRY(hugging_face_generation(text, path));
    chat_template = TRY(hugging_face_template(path));
    if (config.model_name.empty()) config.model_name = folder_name(path);
    files = TRY(Safetensors::open(path));
    return {};
  }
};

Checkpoint::Checkpoint(std::unique_ptr<State> state) : state_(std::move(state)) {}
Checkpoint::Checkpoint(Checkpoint&&) noexcept = default;
Checkpoint& Checkpoint::operator=(Checkpoint&&) noexcept = default;
Checkpoint::~Checkpoint() = default;

Result<Checkpoint> Checkpoint::open(const fs::path& path) {
  const fs::path resolved = TRY(resolve(path));
  auto state = std::make_unique<State>();
  state->name = path.string();
  std::error_code ignored;
  if (fs::is_directory(resolved, ignored)) {
    TRY(state->open_hugging_face(resolved));
  } else {
    TRY(state->open_gguf(resolved));
  }
  std::vector<int32_t>& ids = state->generation.eos_token_ids;
  std::sort(ids.begin(), ids.end());
  ids.erase(std::unique(ids.begin(), ids.end()), ids.end());
  return Checkpoint(std::move(state));
}

const std::string& Checkpoint::name() const {
  return state_->name;
}

TensorNaming Checkpoint::naming() const {
  return std::holds_alternative<GgufFile>(state_->files) ? TensorNaming::gguf
                                                         : TensorNaming::hugging_face;
}

const ModelConfig& Checkpoint::config() const {
  return state_->config;
}

const GenerationConfig& Checkpoint::generation_config() const {
  return state_->generation;
}

const std::vector<StoredTensor>& Checkpoint::tensors() const {
  return std::visit(
      [](const auto& files) -> const auto& { return files.tensors(); }, state_->files);
}

const StoredTensor* Checkpoint::find(std::string_view tensor) const {
  return std::visit([&](const auto& files) { return files.find(tensor); }, state_->files);
}

const UnsupportedTensors& Checkpoint::unsupported_tensors() const {
  return std::visit(
      [](const auto& files) -> const auto& { return files.unsupported_tensors(); }, state_->files);
}

void Checkpoint::release(const StoredTensor& tensor) const {
  std::visit([&](const auto& files) { files.release(tensor); }, state_->files);
}

void Checkpoint::will_need(const StoredTensor& tensor, std::span<const std::byte> bytes) const {
  std::visit([&](const auto& files) { files.will_need(tensor, bytes); }, state_->files);
}

Result<TokenizerData> Checkpoint::tokenizer_data() const {
  if (const auto* file = std::get_if<GgufFile>(&state_->files)) {
    return tokenizer_data_from_gguf(*file);
  }
  const fs::path& directory = state_->directory;
  const std::string tokenizer = TRY(read_text_file(directory / "tokenizer.json"));
  const std::string config = TRY(read_optional(directory / "tokenizer_config.json"));
  return parse_tokenizer_json(tokenizer, config, state_->name);
}

const std::string& Checkpoint::chat_template() const {
  return state_->chat_template;
}

Result<StoredMatrix> stored_matrix(const Checkpoint& checkpoint, std::string_view tensor,
                                   int64_t rows, int64_t columns) {
  const StoredTensor* found = TRY(expect_tensor(checkpoint, tensor, {rows, columns}));
  StoredMatrix matrix = {found->type, rows, columns, found->bytes.data()};
  if (found->type == StoredType::f8_e4m3 && checkpoint.config().f8_tile_scales) {
    const auto tiles = [](int64_t n) { return (n + kF8TileSide - 1) / kF8TileSide; };
    const std::string name = fmt::format("{}_scale_inv", tensor);
    const StoredTensor* scales =
        TRY(expect_tensor(checkpoint, name, {tiles(rows), tiles(columns)}));
    if (scales->type != StoredType::f32) {
      return fail("{}: tensor {}: expected F32, found {}", checkpoint.name(), quote(name),
                  shoehorn::name(scales->type));
    }
    matrix.f8_tile_scales = scales->bytes.data();
  }
  return matrix;
}

Result<std::vector<float>> stored_vector(const Checkpoint& checkpoint, std::string_view tensor,
                                         int64_t length) {
  const StoredTensor* found = TRY(expect_tensor(checkpoint, tensor, {length}));
  std::vector<float> values(static_cast<size_t>(length));
  const bool readable = survives_reading(
      [&] { dequantize_stored_row(found->type, found->bytes.data(), length, values.data()); });
  if (!readable) return unreadable(checkpoint, tensor);
  return values;
}

Error unreadable(const Checkpoint& checkpoint, std::string_view tensor) {
  return fail(
      "{}: tensor '{}': the file became shorter, or its disk failed, while it was being read",
      checkpoint.name(), tensor);
}

}  // namespace shoehorn
