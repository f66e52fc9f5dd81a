#include "plan/machine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <set>

#include "plan/this_machine.h"

namespace shoehorn {
namespace {

using nlohmann::json;
using testing::HasSubstr;

json valid() {
  return json::parse(machine_json(known_machines().front()));
}

// The message for a profile with one field changed.
std::string error_with(const char* field, const json& value) {
  json object = valid();
  object[field] = value;
  const auto result = parse_machine(object.dump(), "box.json");
  return result.ok() ? "no error" : result.error().message;
}

TEST(Machine, JsonComesBack) {
  for (const MachineProfile& machine : known_machines()) {
    const auto read = parse_machine(machine_json(machine), machine.name);
    ASSERT_TRUE(read.ok()) << read.error().message;
    EXPECT_EQ(*read, machine) << machine.name;
  }
  MachineProfile host = known_machines().front();
  host.vram_bytes = 0;
  const MachineProfile read = parse_machine(machine_json(host), "host").value();
  EXPECT_FALSE(read.has_card());
  EXPECT_EQ(read.cpu_read_bytes_per_s, host.cpu_read_bytes_per_s);
}

TEST(Machine, ErrorsNameFileAndField) {
  const json complete = valid();
  for (const auto& [field, value] : complete.items()) {
    if (field == "description" || field == "sources") continue;
    json object = valid();
    object.erase(field);
    const auto result = parse_machine(object.dump(), "box.json");
    ASSERT_FALSE(result.ok()) << field;
    EXPECT_THAT(result.error().message, HasSubstr("box.json: " + field));
    // No field is both a number and a text.
    EXPECT_THAT(error_with(field.c_str(), json::array({true})), HasSubstr(field)) << field;
  }
  EXPECT_THAT(error_with("ram_bytes", -1), HasSubstr("found -1"));
  EXPECT_THAT(error_with("cores", 0), HasSubstr("1 to 65536"));
  EXPECT_THAT(error_with("cpu_read_bytes_per_s", 0), HasSubstr("cpu_read_bytes_per_s"));
  EXPECT_THAT(error_with("cpu_read_beside_copy_bytes_per_s", 1e15),
              HasSubstr("at most cpu_read_bytes_per_s"));
  EXPECT_THAT(error_with("cpu_speed", 1), HasSubstr("cpu_speed"));
  EXPECT_THAT(error_with("sources", {{"cores", 3}}), HasSubstr("cores"));
  const json rate = {{"rows", 1}, {"weight_bytes", 10}, {"bytes_per_s", 1e9}};
  EXPECT_EQ(error_with("cpu_linear", json::array({rate})), "no error");
  EXPECT_THAT(error_with("cpu_linear", json::array({rate, rate})),
              HasSubstr("cpu_linear[1]: weight"));
  json no_rows = rate;
  no_rows["rows"] = 0;
  EXPECT_THAT(error_with("card_linear", json::array({no_rows})), HasSubstr("card_linear[0]: rows"));
  no_rows.erase("rows");
  EXPECT_THAT(error_with("card_linear", json::array({no_rows})), HasSubstr("card_linear[0]: rows"));
  EXPECT_THAT(error_with("card_linear", json::array({7})), HasSubstr("card_linear[0]"));
  EXPECT_THAT(error_with("cpu_read", json::array({{{"threads", 1e9}, {"bytes_per_s", 1}}})),
              HasSubstr("cpu_read[0]: threads"));
  EXPECT_FALSE(parse_machine("", "empty").ok());
  EXPECT_FALSE(parse_machine("[]", "list").ok());
}

TEST(Machine, CopyRatesAscend) {
  const auto rates = [](uint64_t first, uint64_t second) {
    return json::array({{{"chunk_bytes", first}, {"bytes_per_s", 1e9}},
                        {{"chunk_bytes", second}, {"bytes_per_s", 2e9}}});
  };
  EXPECT_EQ(error_with("h2d", rates(1, 2)), "no error");
  EXPECT_THAT(error_with("h2d", rates(2, 2)), HasSubstr("h2d[1]"));
  EXPECT_THAT(error_with("d2h", rates(0, 2)), HasSubstr("d2h[0]"));
  EXPECT_THAT(error_with("h2d", json::array()), HasSubstr("h2d"));
  EXPECT_THAT(error_with("h2d", json::array({5})), HasSubstr("h2d[0]"));
}

TEST(Machine, RatesBetweenSizesFollowTheirLogarithm) {
  const std::vector<CopyRate> rates = {{1024, 10}, {4096, 30}};
  EXPECT_EQ(rate_at(rates, 1), 10);
  EXPECT_EQ(rate_at(rates, 1024), 10);
  EXPECT_EQ(rate_at(rates, 2048), 20);
  EXPECT_EQ(rate_at(rates, 4096), 30);
  EXPECT_EQ(rate_at(rates, uint64_t{1} << 40), 30);
  EXPECT_EQ(rate_at({}, 1024), 0);
}

TEST(KnownMachines, AreFoundByTheirNames) {
  std::set<std::string> names;
  for (const MachineProfile& machine : known_machines()) {
    EXPECT_TRUE(names.insert(machine.name).second) << machine.name;
    EXPECT_EQ(find_machine(machine.name).value(), machine);
    // Each number says where it comes from, and nothing else does.
    for (const auto& [field, source] : machine.sources) {
      EXPECT_TRUE(json::parse(machine_json(machine)).contains(field)) << field;
      EXPECT_THAT(source, testing::MatchesRegex("(measured|datasheet|assumed).*")) << field;
    }
  }
  const auto unknown = find_machine("/no/such/machine.json");
  ASSERT_FALSE(unknown.ok());
  EXPECT_THAT(unknown.error().message, HasSubstr("rtx-4090"));
}

MachineProbe measured() {
  MachineProbe probe;
  probe.host.memory_bytes = 1000;
  probe.cpu = {.threads = 4,
               .read = {{1, 10e9}, {4, 44e9}},
               .linear = {{1, 9000, 40e9}, {2, 9000, 40e9}, {64, 9000, 9e9}}};
  probe.disk_bytes_per_s = fail("/cache: cannot write");
  return probe;
}

TEST(ThisMachine, TakesWhatWasMeasured) {
  CardProbe card;
  card.facts.name = "a card";
  card.facts.total_bytes = 500;
  card.context_bytes = 50;
  card.host_to_card = {{1 << 20, 8e9}, {1 << 22, 10e9}};
  card.card_to_host = {{1 << 20, 7e9}, {1 << 22, 9e9}};
  card.vram_bytes_per_s = 100e9;
  card.pin_bytes_per_s = 6e9;
  card.exchange_s = 20e-6;
  card.linear = {
      .rates = {{1, 1000, 80e9}, {2048, 1000, 1e9}}, .kernel_s = 2e-6, .flops_per_s = 7e12};
  card.threads = 4;
  card.host_read_bytes_per_s = 40e9;
  card.host_read_beside_bytes_per_s = 30e9;
  card.host_to_card_beside_bytes_per_s = 5e9;
  MachineProbe probe = measured();
  probe.card = card;
  const MachineProfile machine = machine_from_probe(probe);
  EXPECT_EQ(machine.vram_bytes, 500u);
  EXPECT_EQ(machine.context_bytes, 50u);
  EXPECT_EQ(machine.ram_bytes, 1000u);
  EXPECT_EQ(machine.vram_bytes_per_s, 100e9);
  EXPECT_EQ(machine.tensor_flops_per_s, 7e12);
  EXPECT_EQ(machine.h2d, card.host_to_card);
  EXPECT_EQ(machine.d2h, card.card_to_host);
  EXPECT_EQ(machine.h2d_beside_read_bytes_per_s, 5e9);
  EXPECT_EQ(machine.cpu_read_bytes_per_s, 44e9);
  EXPECT_DOUBLE_EQ(machine.cpu_read_beside_copy_bytes_per_s, 33e9);  // three quarters, as measured
  EXPECT_DOUBLE_EQ(machine.cpu_linear_flops_per_s, 2 * 64 * 16e9);
  EXPECT_THAT(machine.sources.at("disk_bytes_per_s"), HasSubstr("/cache: cannot write"));
  for (const auto& [field, source] : machine.sources) {
    EXPECT_TRUE(json::parse(machine_json(machine)).contains(field)) << field;
  }
  const auto read = parse_machine(machine_json(machine), "this machine");
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(*read, machine);
}

TEST(ThisMachine, NoiseDoesNotMakeReadingFasterBesideCopies) {
  CardProbe card;
  card.facts.total_bytes = 500;
  card.host_read_bytes_per_s = 40e9;
  card.host_read_beside_bytes_per_s = 41e9;
  MachineProbe probe = measured();
  probe.card = card;
  const MachineProfile machine = machine_from_probe(probe);
  EXPECT_EQ(machine.cpu_read_beside_copy_bytes_per_s, machine.cpu_read_bytes_per_s);
}

TEST(ThisMachine, WithoutACardIsAProfileToo) {
  const MachineProfile machine = machine_from_probe(measured());
  EXPECT_FALSE(machine.has_card());
  const auto read = parse_machine(machine_json(machine), "this machine");
  ASSERT_TRUE(read.ok()) << read.error().message;
  EXPECT_EQ(*read, machine);
}

TEST(LinearSeconds, FollowsWhatWasMeasured) {
  // 1 row: 1 us and 1 us a thousand bytes; 3 rows: 2 us more for each two thousand bytes.
  const std::vector<LinearRate> rates = {{1, 1000, 1000 / 2e-6},
                                         {1, 3000, 3000 / 4e-6},
                                         {3, 1000, 1000 / 3e-6},
                                         {3, 3000, 3000 / 7e-6}};
  const auto seconds = [&](double rows, double bytes) {
    return linear_seconds(rates, rows, bytes, bytes * 8 / kLinearRateBits);
  };
  EXPECT_NEAR(seconds(1, 1000), 2e-6, 1e-12);
  EXPECT_NEAR(seconds(1, 2000), 3e-6, 1e-12);
  EXPECT_NEAR(seconds(1, 500), 1.5e-6, 1e-12);  // the line goes on below
  EXPECT_NEAR(seconds(1, 6000), 8e-6, 1e-12);   // the last rate above
  EXPECT_NEAR(seconds(3, 1000), 3e-6, 1e-12);
  EXPECT_NEAR(seconds(2, 3000), 5.5e-6, 1e-12);
  EXPECT_NEAR(seconds(5, 3000), 10e-6, 1e-12);  // the line goes on beyond
  // Reading follows bytes, computing parameters: twice the bits of the same matrix.
  EXPECT_NEAR(linear_seconds(rates, 3, 2000, 1000 * 8 / kLinearRateBits), 3e-6 + 1e-6, 1e-12);
}

}  // namespace
}  // namespace shoehorn
