#include "formats/gguf.h"

#include <algorithm>
#include <limits>

#include "formats/gguf_reader.h"
#include "formats/quote.h"

namespace shoehorn {
namespace {

constexpr int64_t kMostParts = 99999;  // five digits in the name

// "-00001-of-00005.gguf", how the parts of a split end.
std::string part_suffix(int64_t part, int64_t count) {
  return fmt::format("-{:05}-of-{:05}.gguf", part + 1, count);
}

// The path of part 0-based `part` of a split whose part `this_part` is at `path`.
Result<std::filesystem::path> part_path(const std::filesystem::path& path, int64_t this_part,
                                        int64_t part, int64_t count) {
  const std::string file_name = path.filename().string();
  const std::string suffix = part_suffix(this_part, count);
  if (!file_name.ends_with(suffix)) {
    return fail("{}: expected a name that ends in '{}' for part {} of a split of {}", path.string(),
                suffix, this_part + 1, count);
  }
  return path.parent_path() /
         (file_name.substr(0, file_name.size() - suffix.size()) + part_suffix(part, count));
}

struct Kind {
  std::string operator()(int64_t value) const { return fmt::format("{}", value); }
  std::string operator()(uint64_t value) const { return fmt::format("{}", value); }
  std::string operator()(double value) const { return fmt::format("{}", value); }
  std::string operator()(bool value) const { return value ? "true" : "false"; }
  std::string operator()(const std::string& value) const { return quote(value); }
  template <typename T>
  std::string operator()(const std::vector<T>& values) const {
    return fmt::format("an array of {}", values.size());
  }
};

Error wrong_kind(const GgufFile& file, std::string_view key, const char* expected) {
  return fail("{}: {}: expected {}, found {}", file.name(), key, expected,
              std::visit(Kind(), file.metadata().find(key)->second));
}

Error absent(const GgufFile& file, std::string_view key, const char* expected) {
  return fail("{}: {}: expected {}, found no such key", file.name(), key, expected);
}

const GgufValue* lookup(const GgufFile& file, std::string_view key) {
  const auto found = file.metadata().find(key);
  return found == file.metadata().end() ? nullptr : &found->second;
}

}  // namespace

Result<GgufFile> GgufFile::open(const std::filesystem::path& path) {
  GgufFile file;
  file.name_ = path.string();
  file.files_.push_back(TRY(MappedFile::open(path)));
  TRY(GgufReader::read(file.files_[0].bytes(), file.name_, 0, file, file.metadata_));
  TRY(file.open_other_parts(path));
  TRY(file.index_tensors());
  return file;
}

Result<GgufFile> GgufFile::parse(std::span<const std::byte> bytes, const std::string& name) {
  GgufFile file;
  file.name_ = name;
  TRY(GgufReader::read(bytes, name, 0, file, file.metadata_));
  TRY(file.index_tensors());
  return file;
}

Result<void> GgufFile::open_other_parts(const std::filesystem::path& first) {
  const int64_t count = TRY(integer_or("split.count", 0));
  if (count == 0 || count == 1) return {};
  if (count < 0 || count > kMostParts) {
    return fail("{}: split.count: expected 1 to {}, found {}", name_, kMostParts, count);
  }
  const int64_t number = TRY(integer_or("split.no", 0));
  if (number < 0 || number >= count) {
    return fail("{}: split.no: expected 0 to {}, found {}", name_, count - 1, number);
  }
  if (number != 0) {
    return fail("{}: expected the first file of the split, '{}', found part {} of {}", name_,
                TRY(part_path(first, number, 0, count)).string(), number + 1, count);
  }
  for (int64_t part = 1; part < count; ++part) {
    const std::filesystem::path path = TRY(part_path(first, 0, part, count));
    GgufFile other;
    other.name_ = path.string();
    files_.push_back(TRY(MappedFile::open(path)));
    TRY(GgufReader::read(files_.back().bytes(), other.name_, static_cast<int32_t>(part), *this,
                         other.metadata_));
    const int64_t other_number = TRY(other.integer_or("split.no", -1));
    const int64_t other_count = TRY(other.integer_or("split.count", -1));
    if (other_number != part || other_count != count) {
      return fail("{}: split.no and split.count: expected {} and {}, found {} and {}", other.name_,
                  part, count, other_number, other_count);
    }
  }
  const auto found = static_cast<int64_t>(tensors_.size() + unsupported_.size());
  const int64_t expected = TRY(integer_or("split.tensors.count", found));
  if (expected != found) {
    return fail("{}: split.tensors.count: expected {} tensors in {} files, found {}", name_,
                expected, count, found);
  }
  return {};
}

Result<void> GgufFile::index_tensors() {
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const std::string& tensor = tensors_[i].name;
    if (!by_name_.emplace(tensor, i).second || unsupported_.contains(tensor)) {
      return fail("{}: tensor {}: expected once, found twice", name_, quote(tensor));
    }
  }
  return {};
}

const StoredTensor* GgufFile::find(std::string_view tensor) const {
  const auto found = by_name_.find(tensor);
  return found == by_name_.end() ? nullptr : &tensors_[found->second];
}

void GgufFile::release(const StoredTensor& tensor) const {
  if (static_cast<size_t>(tensor.file) < files_.size()) files_[tensor.file].release(tensor.bytes);
}

void GgufFile::will_need(const StoredTensor& tensor, std::span<const std::byte> bytes) const {
  if (static_cast<size_t>(tensor.file) < files_.size()) files_[tensor.file].will_need(bytes);
}

bool GgufFile::has(std::string_view key) const {
  return lookup(*this, key) != nullptr;
}

Result<int64_t> GgufFile::required_integer(std::string_view key) const {
  const GgufValue* value = lookup(*this, key);
  if (value == nullptr) return absent(*this, key, "an integer");
  if (const auto* number = std::get_if<int64_t>(value)) return *number;
  const auto* number = std::get_if<uint64_t>(value);
  if (number == nullptr || *number > std::numeric_limits<int64_t>::max()) {
    return wrong_kind(*this, key, "an integer below 2^63");
  }
  return static_cast<int64_t>(*number);
}

Result<int64_t> GgufFile::integer_or(std::string_view key, int64_t fallback) const {
  if (!has(key)) return fallback;
  return required_integer(key);
}

Result<double> GgufFile::number_or(std::string_view key, double fallback) const {
  const GgufValue* value = lookup(*this, key);
  if (value == nullptr) return fallback;
  if (const auto* number = std::get_if<double>(value)) return *number;
  if (const auto* number = std::get_if<int64_t>(value)) return static_cast<double>(*number);
  if (const auto* number = std::get_if<uint64_t>(value)) return static_cast<double>(*number);
  return wrong_kind(*this, key, "a number");
}

Result<bool> GgufFile::boolean_or(std::string_view key, bool fallback) const {
  const GgufValue* value = lookup(*this, key);
  if (value == nullptr) return fallback;
  if (const auto* boolean = std::get_if<bool>(value)) return *boolean;
  return wrong_kind(*this, key, "a boolean");
}

Result<std::string> GgufFile::string_or(std::string_view key, std::string_view fallback) const {
  const GgufValue* value = lookup(*this, key);
  if (value == nullptr) return std::string(fallback);
  if (const auto* text = std::get_if<std::string>(value)) return *text;
  return wrong_kind(*this, key, "a string");
}

Result<std::string> GgufFile::required_string(std::string_view key) const {
  if (!has(key)) return absent(*this, key, "a string");
  return string_or(key, "");
}

Result<const std::vector<std::string>*> GgufFile::strings(std::string_view key) const {
  const GgufValue* value = lookup(*this, key);
  if (value == nullptr) return static_cast<const std::vector<std::string>*>(nullptr);
  const auto* texts = std::get_if<std::vector<std::string>>(value);
  if (texts == nullptr) return wrong_kind(*this, key, "an array of strings");
  return texts;
}

Result<std::vector<int64_t>> GgufFile::integers(std::string_view key) const {
  const GgufValue* value = lookup(*this, key);
  if (value == nullptr) return std::vector<int64_t>();
  if (const auto* numbers = std::get_if<std::vector<int64_t>>(value)) return *numbers;
  const auto* numbers = std::get_if<std::vector<uint64_t>>(value);
  if (numbers == nullptr) return wrong_kind(*this, key, "an array of integers");
  std::vector<int64_t> signed_numbers;
  signed_numbers.reserve(numbers->size());
  for (const uint64_t number : *numbers) {
    if (number > std::numeric_limits<int64_t>::max()) {
      return fail("{}: {}: expected integers below 2^63, found {}", name_, key, number);
    }
    signed_numbers.push_back(static_cast<int64_t>(number));
  }
  return signed_numbers;
}

}  // namespace shoehorn
