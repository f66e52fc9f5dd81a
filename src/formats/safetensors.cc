#include "formats/safetensors.h"

#include <algorithm>
#include <cstring>
#include <limits>
#include <optional>
#include <set>

#include "base/bus_guard.h"
#include "formats/json_fields.h"
#include "formats/quote.h"

namespace shoehorn {
namespace {

using nlohmann::json;

constexpr uint64_t kMostHeaderBytes = 100'000'000;
constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kMostIndexBytes = 100'000'000;
constexpr size_t kMostDimensions = 8;

struct DataType {
  const char* name;
  int64_t bits;
  std::optional<StoredType> stored;
};
constexpr DataType kDataTypes[] = {
    {"F32", 32, StoredType::f32},
    {"F16", 16, StoredType::f16},
    {"BF16", 16, StoredType::bf16},
    {"F8_E4M3", 8, StoredType::f8_e4m3},
    {"BOOL", 8, {}},
    {"U8", 8, {}},
    {"I8", 8, {}},
    {"F8_E5M2", 8, {}},
    {"F8_E8M0", 8, {}},
    {"F4", 4, {}},
    {"I16", 16, {}},
    {"U16", 16, {}},
    {"I32", 32, {}},
    {"U32", 32, {}},
    {"I64", 64, {}},
    {"U64", 64, {}},
    {"F64", 64, {}},
    {"C64", 64, {}},
};

Error unreadable(const std::string& file) {
  return fail("{}: the file became shorter, or its disk failed, while its header was being read",
              file);
}

// RoPE's frequencies, which old files carry: they follow from the config.
bool is_ignored(std::string_view tensor) {
  return tensor.ends_with("rotary_emb.inv_freq");
}

// The text of the header as a JSON object, every name in it once.
Result<json> parse_header(std::string_view text, const std::string& file) {
  std::set<std::string> seen;
  std::string twice;
  const auto watch = [&](int depth, json::parse_event_t event, json& parsed) {
    if (depth == 1 && event == json::parse_event_t::key &&
        !seen.insert(parsed.get<std::string>()).second) {
      twice = parsed.get<std::string>();
    }
    return true;
  };
  json header = json::parse(text, watch, false);
  if (header.is_discarded() || !header.is_object()) {
    return fail("{}: header: expected a JSON object, found something else", file);
  }
  if (!twice.empty()) {
    return fail("{}: tensor {}: expected once, found twice", file, quote(twice));
  }
  return header;
}

struct Entry {
  StoredTensor tensor;  // bytes still empty
  const DataType* type = nullptr;
  uint64_t begin = 0;
  uint64_t end = 0;
};

Result<uint64_t> read_unsigned(const json& value, const JsonFields& fields, std::string_view key) {
  if (!value.is_number_unsigned()) return fields.wrong(key, "integers of 0 or more");
  return value.get<uint64_t>();
}

Result<const DataType*> read_data_type(const JsonFields& fields) {
  const std::string found = TRY(fields.string_or("dtype", ""));
  for (const DataType& type : kDataTypes) {
    if (found == type.name) return &type;
  }
  return fields.wrong("dtype", "a data type of safetensors");
}

// The bytes that the shape takes. Errors: no array of sizes, or an overflow.
Result<uint64_t> read_shape(const JsonFields& fields, int64_t bits, std::vector<int64_t>& shape) {
  const json* sizes = fields.find("shape");
  if (sizes == nullptr || !sizes->is_array() || sizes->size() > kMostDimensions) {
    return fields.wrong("shape", fmt::format("an array of at most {}", kMostDimensions));
  }
  uint64_t all_bits = static_cast<uint64_t>(bits);
  for (const json& size : *sizes) {
    const uint64_t value = TRY(read_unsigned(size, fields, "shape"));
    if (value > uint64_t{1} << 56 || __builtin_mul_overflow(all_bits, value, &all_bits)) {
      return fail("{}: shape: expected a product of less than 2^64 bits, found a size of {}",
                  fields.source(), value);
    }
    shape.push_back(static_cast<int64_t>(value));
  }
  if (all_bits % 8 != 0) return fields.wrong("shape", "whole bytes");
  return all_bits / 8;
}

Result<Entry> read_entry(const std::string& name, const json& value, const std::string& file) {
  const std::string source = fmt::format("{}: tensor {}", file, quote(name));
  if (!value.is_object()) return fail("{}: expected an object, found {}", source, describe(value));
  const JsonFields fields(value, source);
  Entry entry;
  entry.tensor.name = name;
  entry.type = TRY(read_data_type(fields));
  const uint64_t bytes = TRY(read_shape(fields, entry.type->bits, entry.tensor.shape));
  const json* offsets = fields.find("data_offsets");
  if (offsets == nullptr || !offsets->is_array() || offsets->size() != 2) {
    return fields.wrong("data_offsets", "an array of 2");
  }
  entry.begin = TRY(read_unsigned(offsets->at(0), fields, "data_offsets"));
  entry.end = TRY(read_unsigned(offsets->at(1), fields, "data_offsets"));
  if (entry.end < entry.begin || entry.end - entry.begin != bytes) {
    return fail("{}: data_offsets: expected {} bytes for {} of this shape, found [{}, {})", source,
                bytes, entry.type->name, entry.begin, entry.end);
  }
  return entry;
}

// Errors: tensors that do not tile the data, in order, without holes or overlap, to its end.
Result<void> check_tiling(std::vector<Entry>& entries, uint64_t data_bytes,
                          const std::string& file) {
  std::sort(entries.begin(), entries.end(), [](const Entry& a, const Entry& b) {
    return a.begin != b.begin ? a.begin < b.begin : a.end < b.end;
  });
  uint64_t end = 0;
  for (const Entry& entry : entries) {
    if (entry.begin != end) {
      return fail(
          "{}: tensor {}: data_offsets: expected to begin at {} where the tensor before "
          "ends, found {}",
          file, quote(entry.tensor.name), end, entry.begin);
    }
    end = entry.end;
    if (end > data_bytes) {
      return fail(
          "{}: tensor {}: data_offsets: expected at most the {} bytes of data that the file "
          "has, found {} (cut short?)",
          file, quote(entry.tensor.name), data_bytes, end);
    }
  }
  if (end != data_bytes) {
    return fail("{}: expected the file to end with its last tensor, found {} bytes more", file,
                data_bytes - end);
  }
  return {};
}

// File names of an index must lie beside it.
bool is_plain_file_name(const std::string& name) {
  return !name.empty() && name.find('/') == std::string::npos &&
         name.find('\0') == std::string::npos && name.ends_with(".safetensors");
}

// Which shard holds which tensor, as the index says.
Result<std::map<std::string, std::string>> read_weight_map(const std::filesystem::path& index) {
  const std::string text = TRY(read_text_file(index, kMostIndexBytes));
  const json object = TRY(parse_json_object(text, index.string()));
  const JsonFields map = TRY(JsonFields(object, index.string()).required_object("weight_map"));
  std::map<std::string, std::string> shard_of;
  for (const auto& [tensor, file] : map.object().items()) {
    const auto* file_name = file.get_ptr<const std::string*>();
    if (file_name == nullptr || !is_plain_file_name(*file_name)) {
      return fail("{}: {}: expected the name of a .safetensors file beside it, found {}",
                  map.source(), quote(tensor), describe(file));
    }
    shard_of[tensor] = *file_name;
  }
  if (shard_of.empty()) return fail("{}: expected tensors, found none", map.source());
  return shard_of;
}

// The only file in the directory that ends in .safetensors.
Result<std::filesystem::path> only_safetensors(const std::filesystem::path& directory) {
  std::vector<std::filesystem::path> found;
  std::error_code error;
  for (std::filesystem::directory_iterator it(directory, error), end; !error && it != end;
       it.increment(error)) {
    if (it->path().extension() == ".safetensors") found.push_back(it->path());
  }
  if (error) return fail("{}: {}", directory.string(), error.message());
  if (found.size() != 1) {
    return fail(
        "{}: expected model.safetensors, model.safetensors.index.json or one other "
        ".safetensors file, found {} .safetensors files",
        directory.string(), found.size());
  }
  return found[0];
}

}  // namespace

Result<void> Safetensors::append(std::span<const std::byte> bytes, const std::string& name,
                                 int32_t file) {
  uint64_t header_bytes = 0;
  if (bytes.size() < kLengthBytes) {
    return fail("{}: expected a safetensors file of at least {} bytes, found {}", name,
                kLengthBytes, bytes.size());
  }
  // Headers are copied first: a file may become shorter while it is read.
  const auto copy = [&](void* to, uint64_t from, uint64_t count) {
    return survives_reading([&] { std::memcpy(to, bytes.data() + from, count); });
  };
  if (!copy(&header_bytes, 0, kLengthBytes)) return unreadable(name);
  const uint64_t most = std::min<uint64_t>(kMostHeaderBytes, bytes.size() - kLengthBytes);
  if (header_bytes > most) {
    return fail("{}: header length: expected at most {} bytes, found {}", name, most, header_bytes);
  }
  std::string text(header_bytes, '\0');
  if (!copy(text.data(), kLengthBytes, header_bytes)) return unreadable(name);
  if (!text.starts_with('{')) {
    return fail("{}: header: expected to begin with '{{', found {}", name,
                quote(std::string_view(text).substr(0, 1)));
  }
  const std::span<const std::byte> data = bytes.subspan(kLengthBytes + header_bytes);
  const json header = TRY(parse_header(text, name));
  std::vector<Entry> entries;
  for (const auto& [tensor, value] : header.items()) {
    if (tensor != "__metadata__") entries.push_back(TRY(read_entry(tensor, value, name)));
  }
  TRY(check_tiling(entries, data.size(), name));
  for (Entry& entry : entries) {
    const std::string& tensor = entry.tensor.name;
    if (is_ignored(tensor)) continue;
    if (by_name_.contains(tensor) || unsupported_.contains(tensor)) {
      return fail("{}: tensor {}: expected once, found in another shard too", name, quote(tensor));
    }
    if (!entry.type->stored) {
      unsupported_.emplace(tensor, entry.type->name);
      continue;
    }
    entry.tensor.type = *entry.type->stored;
    entry.tensor.bytes = data.subspan(entry.begin, entry.end - entry.begin);
    entry.tensor.file = file;
    by_name_.emplace(tensor, tensors_.size());
    tensors_.push_back(std::move(entry.tensor));
  }
  return {};
}

Result<Safetensors> Safetensors::parse(std::span<const std::byte> bytes, const std::string& name) {
  Safetensors file;
  TRY(file.append(bytes, name, 0));
  return file;
}

Result<void> Safetensors::open_file(const std::filesystem::path& path) {
  files_.push_back(TRY(MappedFile::open(path)));
  return append(files_.back().bytes(), path.string(), static_cast<int32_t>(files_.size()) - 1);
}

Result<void> Safetensors::open_shards(const std::filesystem::path& index) {
  const std::map<std::string, std::string> shard_of = TRY(read_weight_map(index));
  std::set<std::string> shards;
  for (const auto& [tensor, shard] : shard_of) shards.insert(shard);
  for (const std::string& shard : shards) TRY(open_file(index.parent_path() / shard));
  for (const auto& [tensor, shard] : shard_of) {
    const StoredTensor* found = find(tensor);
    const bool in_its_shard = found != nullptr
                                  ? files_[found->file].path().filename() == shard
                                  : unsupported_.contains(tensor) || is_ignored(tensor);
    if (!in_its_shard) {
      return fail("{}: weight_map: expected tensor {} in {}, found it {}", index.string(),
                  quote(tensor), quote(shard),
                  found ? "in " + files_[found->file].path().filename().string() : "nowhere");
    }
  }
  return {};
}

Result<Safetensors> Safetensors::open(const std::filesystem::path& directory) {
  Safetensors files;
  const std::filesystem::path single = directory / "model.safetensors";
  const std::filesystem::path index = directory / "model.safetensors.index.json";
  std::error_code ignored;
  if (std::filesystem::exists(single, ignored)) {
    TRY(files.open_file(single));
  } else if (std::filesystem::exists(index, ignored)) {
    TRY(files.open_shards(index));
  } else {
    TRY(files.open_file(TRY(only_safetensors(directory))));
  }
  return files;
}

const StoredTensor* Safetensors::find(std::string_view tensor) const {
  const auto found = by_name_.find(tensor);
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

void Safetensors::release(const StoredTensor& tensor) const {
  if (static_cast<size_t>(tensor.file) < files_.size()) files_[tensor.file].release(tensor.bytes);
}

void Safetensors::will_need(const StoredTensor& tensor, std::span<const std::byte> bytes) const {
  if (static_cast<size_t>(tensor.file) < files_.size()) files_[tensor.file].will_need(bytes);
}

}  // namespace shoehorn
