#include "plan/machine.h"

#include <algorithm>
#include <cmath>

#include "base/file.h"
#include "formats/json_fields.h"
#include "formats/quote.h"

namespace shoehorn {
namespace {

using nlohmann::json;

constexpr double kMostRate = 1e18;
constexpr int64_t kMostBytes = int64_t{1} << 50;
constexpr int64_t kMostCores = 1 << 16;

// Fields with units: the number as it stands, within bounds.
Result<double> read_rate(const JsonFields& fields, const char* key, double least) {
  const double rate = TRY(fields.required_number(key));
  if (!(rate >= least && rate <= kMostRate)) {
    return fields.wrong(key, fmt::format("a number of {} to {}", least, kMostRate));
  }
  return rate;
}

Result<uint64_t> read_bytes(const JsonFields& fields, const char* key) {
  const int64_t bytes = TRY(fields.required_integer(key));
  if (bytes < 0 || bytes > kMostBytes) {
    return fields.wrong(key, fmt::format("0 to {} bytes", kMostBytes));
  }
  return static_cast<uint64_t>(bytes);
}

Result<std::vector<CopyRate>> read_copy_rates(const JsonFields& fields, const char* key) {
  const json* list = fields.find(key);
  if (list == nullptr || !list->is_array() || list->empty()) {
    return fields.wrong(key, "an array of {chunk_bytes, bytes_per_s}");
  }
  std::vector<CopyRate> rates;
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string source = fmt::format("{}: {}[{}]", fields.source(), key, i);
    if (!list->at(i).is_object()) {
      return fail("{}: expected an object, found {}", source, describe(list->at(i)));
    }
    const JsonFields entry(list->at(i), source);
    TRY(entry.only({"chunk_bytes", "bytes_per_s"}));
    CopyRate rate = {
      .chunk_bytes = TRY(read_bytes(entry, "chunk_bytes")),
      .bytes_per_s = TRY(read_rate(entry, "bytes_per_s", 1))
    };
    if (rate.chunk_bytes == 0 || (i > 0 && rate.chunk_bytes <= rates.back().chunk_bytes)) {
      return entry.wrong("chunk_bytes", "sizes that ascend from above 0");
    }
    rates.push_back(rate);
  }
  return rates;
}

// The objects of an array; absent: none.
Result<std::vector<JsonFields>> read_entries(const JsonFields& fields, const char* key) {
  std::vector<JsonFields> entries;
  const json* list = fields.find(key);
  if (list == nullptr) return entries;
  if (!list->is_array()) return fields.wrong(key, "an array of objects");
  for (size_t i = 0; i < list->size(); ++i) {
    const std::string source = fmt::format("{}: {}[{}]", fields.source(), key, i);
    if (!list->at(i).is_object()) {
      return fail("{}: expected an object, found {}", source, describe(list->at(i)));
    }
    entries.emplace_back(list->at(i), source);
  }
  return entries;
}

Result<std::vector<LinearRate>> read_linear_rates(const JsonFields& fields, const char* key) {
  std::vector<LinearRate> rates;
  for (const JsonFields& entry : TRY(read_entries(fields, key))) {
    TRY(entry.only({"rows", "weight_bytes", "bytes_per_s"}));
    LinearRate rate = {
      .rows = TRY(entry.required_integer("rows")),
      .weight_bytes = TRY(read_bytes(entry, "weight_bytes")),
      .bytes_per_s = TRY(read_rate(entry, "bytes_per_s", 1))
    };
    if (rate.rows < 1 || (!rates.empty() && rate.rows < rates.back().rows)) {
      return entry.wrong("rows", "numbers that ascend from 1");
    }
    const bool same_rows = !rates.empty() && rate.rows == rates.back().rows;
    if (rate.weight_bytes == 0 || (same_rows && rate.weight_bytes <= rates.back().weight_bytes)) {
      return entry.wrong("weight_bytes", "sizes that ascend from above 0");
    }
    rates.push_back(rate);
  }
  return rates;
}

Result<std::vector<ReadRate>> read_read_rates(const JsonFields& fields, const char* key) {
  std::vector<ReadRate> rates;
  for (const JsonFields& entry : TRY(read_entries(fields, key))) {
    TRY(entry.only({"threads", "bytes_per_s"}));
    const int64_t threads = TRY(entry.required_integer("threads"));
    const int least = rates.empty() ? 1 : rates.back().threads + 1;
    if (threads < least || threads > kMostCores) {
      return entry.wrong("threads", "numbers that ascend from 1");
    }
    rates.push_back({ static_cast<int>(threads), TRY(read_rate(entry, "bytes_per_s", 1)) });
  }
  return rates;
}

Result<double> read_rate_or_0(const JsonFields& fields, const char* key) {
  if (!fields.has(key)) return 0.0;
  return read_rate(fields, key, 0);
}

Result<void> read_card(const JsonFields& fields, MachineProfile& machine) {
  machine.vram_bytes = TRY(read_bytes(fields, "vram_bytes"));
  if (!machine.has_card()) return {};
  machine.vram_bytes_per_s = TRY(read_rate(fields, "vram_bytes_per_s", 1));
  machine.tensor_flops_per_s = TRY(read_rate(fields, "tensor_flops_per_s", 1));
  machine.context_bytes = TRY(read_bytes(fields, "context_bytes"));
  machine.h2d = TRY(read_copy_rates(fields, "h2d"));
  machine.d2h = TRY(read_copy_rates(fields, "d2h"));
  machine.h2d_beside_read_bytes_per_s = TRY(read_rate_or_0(fields, "h2d_beside_read_bytes_per_s"));
  machine.pin_bytes_per_s = TRY(read_rate_or_0(fields, "pin_bytes_per_s"));
  machine.kernel_s = TRY(read_rate(fields, "kernel_s", 0));
  machine.layer_exchange_s = TRY(read_rate(fields, "layer_exchange_s", 0));
  machine.card_linear = TRY(read_linear_rates(fields, "card_linear"));
  return {};
}

Result<void> read_host(const JsonFields& fields, MachineProfile& machine) {
  const int64_t cores = TRY(fields.required_integer("cores"));
  if (cores < 1 || cores > kMostCores) return fields.wrong("cores", "1 to 65536");
  machine.cores = static_cast<int>(cores);
  machine.ram_bytes = TRY(read_bytes(fields, "ram_bytes"));
  machine.cpu_read = TRY(read_read_rates(fields, "cpu_read"));
  machine.cpu_read_bytes_per_s = TRY(read_rate(fields, "cpu_read_bytes_per_s", 1));
  machine.cpu_read_beside_copy_bytes_per_s =
      TRY(read_rate(fields, "cpu_read_beside_copy_bytes_per_s", 1));
  if (machine.cpu_read_beside_copy_bytes_per_s > machine.cpu_read_bytes_per_s) {
    return fields.wrong("cpu_read_beside_copy_bytes_per_s", "at most cpu_read_bytes_per_s");
  }
  machine.cpu_linear_flops_per_s = TRY(read_rate(fields, "cpu_linear_flops_per_s", 1));
  machine.cpu_linear = TRY(read_linear_rates(fields, "cpu_linear"));
  machine.disk_bytes_per_s = TRY(read_rate(fields, "disk_bytes_per_s", 1));
  return {};
}

Result<void> read_sources(const JsonFields& fields, MachineProfile& machine) {
  if (!fields.has("sources")) return {};
  const JsonFields sources = TRY(fields.required_object("sources"));
  for (const auto& [field, text] : sources.object().items()) {
    if (!text.is_string()) return sources.wrong(field, "a text");
    machine.sources[field] = text.get<std::string>();
  }
  return {};
}

json copy_rates_json(const std::vector<CopyRate>& rates) {
  json list = json::array();
  for (const CopyRate& rate : rates) {
    list.push_back({{"chunk_bytes", rate.chunk_bytes}, {"bytes_per_s", rate.bytes_per_s}});
  }
  return list;
}

json linear_rates_json(const std::vector<LinearRate>& rates) {
  json list = json::array();
  for (const LinearRate& rate : rates) {
    list.push_back({{"rows", rate.rows},
                    {"weight_bytes", rate.weight_bytes},
                    {"bytes_per_s", rate.bytes_per_s}});
  }
  return list;
}

json read_rates_json(const std::vector<ReadRate>& rates) {
  json list = json::array();
  for (const ReadRate& rate : rates) {
    list.push_back({{"threads", rate.threads}, {"bytes_per_s", rate.bytes_per_s}});
  }
  return list;
}

}  // namespace

double rate_at(const std::vector<CopyRate>& rates, uint64_t chunk_bytes) {
  if (rates.empty()) return 0;
  const auto above = std::find_if(rates.begin(), rates.end(), [&](const CopyRate& rate) {
    return rate.chunk_bytes >= chunk_bytes;
  });
  if (above == rates.end()) return rates.back().bytes_per_s;
  if (above == rates.begin()) return above->bytes_per_s;
  const CopyRate& below = *(above - 1);
  const auto log2 = [](uint64_t bytes) { return std::log2(static_cast<double>(bytes)); };
  const double part = (log2(chunk_bytes) - log2(below.chunk_bytes)) /
                      (log2(above->chunk_bytes) - log2(below.chunk_bytes));
  return below.bytes_per_s + part * (above->bytes_per_s - below.bytes_per_s);
}

Result<MachineProfile> parse_machine(std::string_view text, std::string_view source) {
  const json object = TRY(parse_json_object(text, source));
  const JsonFields fields(object, std::string(source));
  TRY(fields.only({"name",
                   "description",
                   "vram_bytes",
                   "vram_bytes_per_s",
                   "tensor_flops_per_s",
                   "context_bytes",
                   "h2d",
                   "d2h",
                   "h2d_beside_read_bytes_per_s",
                   "pin_bytes_per_s",
                   "kernel_s",
                   "layer_exchange_s",
                   "card_linear",
                   "cores",
                   "ram_bytes",
                   "cpu_read",
                   "cpu_read_bytes_per_s",
                   "cpu_read_beside_copy_bytes_per_s",
                   "cpu_linear_flops_per_s",
                   "cpu_linear",
                   "disk_bytes_per_s",
                   "sources"}));
  MachineProfile machine;
  machine.name = TRY(fields.string_or("name", ""));
  if (machine.name.empty()) return fields.wrong("name", "a name");
  machine.description = TRY(fields.string_or("description", ""));
  TRY(read_card(fields, machine));
  TRY(read_host(fields, machine));
  TRY(read_sources(fields, machine));
  return machine;
}

std::string machine_json(const MachineProfile& machine) {
  nlohmann::ordered_json object = {{"name", machine.name},
                                   {"description", machine.description},
                                   {"vram_bytes", machine.vram_bytes}};
  if (machine.has_card()) {
    object["vram_bytes_per_s"] = machine.vram_bytes_per_s;
    object["tensor_flops_per_s"] = machine.tensor_flops_per_s;
    object["context_bytes"] = machine.context_bytes;
    object["h2d"] = copy_rates_json(machine.h2d);
    object["d2h"] = copy_rates_json(machine.d2h);
    if (machine.h2d_beside_read_bytes_per_s > 0) {
      object["h2d_beside_read_bytes_per_s"] = machine.h2d_beside_read_bytes_per_s;
    }
    if (machine.pin_bytes_per_s > 0) object["pin_bytes_per_s"] = machine.pin_bytes_per_s;
    object["kernel_s"] = machine.kernel_s;
    object["layer_exchange_s"] = machine.layer_exchange_s;
    if (!machine.card_linear.empty()) {
      object["card_linear"] = linear_rates_json(machine.card_linear);
    }
  }
  object["cores"] = machine.cores;
  object["ram_bytes"] = machine.ram_bytes;
  if (!machine.cpu_read.empty()) object["cpu_read"] = read_rates_json(machine.cpu_read);
  object["cpu_read_bytes_per_s"] = machine.cpu_read_bytes_per_s;
  object["cpu_read_beside_copy_bytes_per_s"] = machine.cpu_read_beside_copy_bytes_per_s;
  object["cpu_linear_flops_per_s"] = machine.cpu_linear_flops_per_s;
  if (!machine.cpu_linear.empty()) object["cpu_linear"] = linear_rates_json(machine.cpu_linear);
  object["disk_bytes_per_s"] = machine.disk_bytes_per_s;
  if (!machine.sources.empty()) object["sources"] = machine.sources;
  return object.dump(2, ' ', false, json::error_handler_t::replace);
}

Result<MachineProfile> read_machine(const std::filesystem::path& path) {
  constexpr uint64_t kMostBytesOfText = 1 << 20;
  return parse_machine(TRY(read_text_file(path, kMostBytesOfText)), path.string());
}

Result<MachineProfile> find_machine(const std::string& name_or_path) {
  std::string names;
  for (const MachineProfile& machine : known_machines()) {
    if (machine.name == name_or_path) return machine;
    names += (names.empty() ? "" : ", ") + machine.name;
  }
  std::error_code unknown;
  if (std::filesystem::exists(name_or_path, unknown)) return read_machine(name_or_path);
  return fail("machine {}: expected a file or one of {}", quote(name_or_path), names);
}

}  // namespace shoehorn
