#include "formats/gguf_writer.h"

#include <cstring>

#include "base/output_file.h"
#include "formats/gguf_reader.h"

namespace shoehorn {
namespace {

constexpr uint32_t kVersion = 3;
constexpr uint64_t kAlignment = 32;  // the format's default, so that no key has to state it

// The format's numbers of value types.
constexpr uint32_t kU32 = 4, kI32 = 5, kF32Value = 6, kBoolean = 7, kString = 8, kArray = 9;

uint64_t aligned(uint64_t offset) {
  return (offset + kAlignment - 1) / kAlignment * kAlignment;
}

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof(value));
}

void put_text(std::string& out, std::string_view text) {
  put<uint64_t>(out, text.size());
  out.append(text);
}

}  // namespace

void GgufWriter::begin_pair(std::string_view key, uint32_t type) {
  CHECK(!key.empty() && names_.insert(fmt::format("key {}", key)).second, "key '{}' twice", key);
  ++pair_count_;
  put_text(pairs_, key);
  put(pairs_, type);
}

void GgufWriter::text(std::string_view key, std::string_view value) {
  begin_pair(key, kString);
  put_text(pairs_, value);
}

void GgufWriter::u32(std::string_view key, uint32_t value) {
  begin_pair(key, kU32);
  put(pairs_, value);
}

void GgufWriter::f32(std::string_view key, float value) {
  begin_pair(key, kF32Value);
  put(pairs_, value);
}

void GgufWriter::boolean(std::string_view key, bool value) {
  begin_pair(key, kBoolean);
  put<uint8_t>(pairs_, value ? 1 : 0);
}

void GgufWriter::texts(std::string_view key, std::span<const std::string> values) {
  begin_pair(key, kArray);
  put(pairs_, kString);
  put<uint64_t>(pairs_, values.size());
  for (const std::string& value : values) put_text(pairs_, value);
}

void GgufWriter::i32s(std::string_view key, std::span<const int32_t> values) {
  begin_pair(key, kArray);
  put(pairs_, kI32);
  put<uint64_t>(pairs_, values.size());
  for (const int32_t value : values) put(pairs_, value);
}

void GgufWriter::tensor(std::string_view name, const std::vector<int64_t>& shape, StoredType type) {
  CHECK(!name.empty() && name.size() <= 64, "tensor name '{}'", name);
  CHECK(names_.insert(fmt::format("tensor {}", name)).second, "tensor '{}' twice", name);
  CHECK(!shape.empty() && shape.size() <= 4, "tensor '{}' of {} dimensions", name, shape.size());
  const std::optional<uint32_t> number = ggml_type_number(type);
  CHECK(number.has_value(), "tensor '{}': GGUF has no {}", name, shoehorn::name(type));
  put_text(infos_, name);
  put(infos_, static_cast<uint32_t>(shape.size()));
  int64_t rows = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) rows *= shape[i];
  for (auto dimension = shape.rbegin(); dimension != shape.rend(); ++dimension) {
    put(infos_, static_cast<uint64_t>(*dimension));  // ne[0] is the contiguous one
  }
  put(infos_, *number);
  const uint64_t offset = aligned(data_bytes_);
  put(infos_, offset);
  const auto size = static_cast<uint64_t>(stored_bytes(type, rows, shape.back()));
  tensors_.push_back({offset, size});
  data_bytes_ = offset + size;
}

std::string GgufWriter::header() const {
  std::string out = "GGUF";
  put(out, kVersion);
  put<uint64_t>(out, tensors_.size());
  put<uint64_t>(out, pair_count_);
  out += pairs_;
  out += infos_;
  out.resize(aligned(out.size()));
  return out;
}

uint64_t GgufWriter::file_bytes() const {
  return header().size() + aligned(data_bytes_);
}

Result<void> GgufWriter::write(const std::filesystem::path& path, const Fill& fill) const {
  const std::string head = header();
  OutputFile file = TRY(OutputFile::create(path, head.size() + aligned(data_bytes_)));
  std::memcpy(file.bytes().data(), head.data(), head.size());
  const std::span<std::byte> data = file.bytes().subspan(head.size());
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const std::span<std::byte> bytes = data.subspan(tensors_[i].offset, tensors_[i].size_bytes);
    TRY(fill(i, bytes));
    file.written(bytes);
  }
  return file.commit();
}

}  // namespace shoehorn
