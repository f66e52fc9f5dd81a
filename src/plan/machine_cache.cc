#include "plan/machine_cache.h"

#include <algorithm>
#include <cstring>

#include "base/build_id.h"
#include "base/file.h"
#include "base/gpu.h"
#include "base/gpu_identity.h"
#include "base/output_file.h"
#include "formats/json_fields.h"

namespace shoehorn {
namespace {

using nlohmann::json;

constexpr uint64_t kMostBytes = 1 << 20;

// Numbers in ascending order as ranges.
std::string ranges(std::vector<int> numbers) {
  std::sort(numbers.begin(), numbers.end());
  std::string text;
  for (size_t i = 0; i < numbers.size();) {
    size_t end = i + 1;
    while (end < numbers.size() && numbers[end] == numbers[end - 1] + 1) ++end;
    if (!text.empty()) text += ',';
    text += std::to_string(numbers[i]);
    if (end > i + 1) text += fmt::format("-{}", numbers[end - 1]);
    i = end;
  }
  return text;
}

// The key's fields by their names, as texts.
using KeyFields = std::vector<std::pair<const char*, std::string>>;

KeyFields machine_fields(const MachineKey& key) {
  return {{"processor", key.processor},
          {"processors", key.processors},
          {"cpu_limit", fmt::format("{:g}", key.cpu_limit)},
          {"threads", std::to_string(key.threads)},
          {"isa", key.isa},
          {"memory_bytes", std::to_string(key.memory_bytes)},
          {"card", key.card},
          {"card_uuid", key.card_uuid}};
}

KeyFields all_fields(const MachineKey& key) {
  KeyFields fields = machine_fields(key);
  fields.emplace_back("driver", key.driver);
  fields.emplace_back("build", key.build);
  return fields;
}

// FNV-1a, 64 bits (Fowler, Noll, Vo).
uint64_t hash(std::string_view text, uint64_t state = 0xcbf29ce484222325u) {
  for (const char c : text) state = (state ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  return state;
}

Result<void> check_key(const JsonFields& found, const MachineKey& expected) {
  for (const auto& [name, value] : all_fields(expected)) {
    const json* text = found.find(name);
    if (text == nullptr || !text->is_string() || text->get_ref<const std::string&>() != value) {
      return found.wrong(name, json(value).dump(-1, ' ', false, json::error_handler_t::replace));
    }
  }
  return {};
}

}  // namespace

MachineKey machine_key(const HostFacts& host, int gpu) {
  MachineKey key = {.processor = host.cpu.model_name,
                    .processors = ranges(host.cpu.usable_processors),
                    .cpu_limit = host.cpu.cgroup_cpu_limit,
                    .threads = default_thread_count(host.cpu),
                    .isa = name(host.isa),
                    .memory_bytes = host.memory_bytes,
                    .card = {},
                    .card_uuid = {},
                    .driver = {},
                    .build = build_id()};
  const Result<GpuFacts> card = gpu_facts(gpu);
  const Result<GpuIdentity> identity = gpu_identity(gpu);
  if (card.ok() && identity.ok()) {
    key.card = card->name;
    key.card_uuid = identity->uuid;
    key.driver = identity->driver;
  }
  return key;
}

std::filesystem::path machine_cache_path(const std::filesystem::path& directory,
                                         const MachineKey& key) {
  uint64_t state = hash("");
  for (const auto& [name, value] : machine_fields(key)) state = hash(value + "\n", state);
  return directory / fmt::format("machine-{:016x}.json", state);
}

Result<std::optional<MachineProfile>> load_machine(const std::filesystem::path& path,
                                                   const MachineKey& key) {
  std::error_code unknown;
  if (!std::filesystem::exists(path, unknown)) return std::optional<MachineProfile>();
  const std::string text = TRY(read_text_file(path, kMostBytes));
  const json object = TRY(parse_json_object(text, path.string()));
  const JsonFields fields(object, path.string());
  TRY(fields.only({"measured_on", "machine"}));
  TRY(check_key(TRY(fields.required_object("measured_on")), key));
  const JsonFields machine = TRY(fields.required_object("machine"));
  return std::optional(TRY(parse_machine(machine.object().dump(), machine.source())));
}

Result<void> store_machine(const std::filesystem::path& path, const MachineKey& key,
                           const MachineProfile& machine) {
  std::error_code error;
  std::filesystem::create_directories(path.parent_path(), error);
  if (error) return fail("{}: cannot make it: {}", path.parent_path().string(), error.message());
  nlohmann::ordered_json measured_on;
  for (const auto& [name, value] : all_fields(key)) measured_on[name] = value;
  const nlohmann::ordered_json object = {
      {"measured_on", measured_on},
      {"machine", nlohmann::ordered_json::parse(machine_json(machine))}};
  const std::string text = object.dump(2, ' ', false, json::error_handler_t::replace) + "\n";
  OutputFile file = TRY(OutputFile::create(path, text.size()));
  std::memcpy(file.bytes().data(), text.data(), text.size());
  return file.commit();
}

}  // namespace shoehorn
