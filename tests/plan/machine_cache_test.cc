#include "plan/machine_cache.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "base/build_id.h"
#include "base/file.h"
#include "plan/measure_machine.h"
#include "tests/base/temporary_directory.h"

namespace shoehorn {
namespace {

using nlohmann::json;
using testing::HasSubstr;

MachineKey some_key() {
  return {.processor = "A \"CPU\"\n",
          .processors = "0-3",
          .cpu_limit = 2.5,
          .threads = 2,
          .isa = "avx2",
          .memory_bytes = 1 << 30,
          .card = "a card",
          .card_uuid = "GPU-1",
          .driver = "580.1",
          .build = "abc"};
}

class MachineCache : public ::testing::Test {
 protected:
  MachineCache() : path_(machine_cache_path(folder_.path() / "made", some_key())) {}

  void write(const std::string& text) const {
    std::filesystem::create_directories(path_.parent_path());
    std::ofstream(path_, std::ios::binary) << text;
  }
  std::string error(const MachineKey& key = some_key()) const {
    const auto loaded = load_machine(path_, key);
    return loaded.ok() ? "no error" : loaded.error().message;
  }

  TemporaryDirectory folder_;
  const std::filesystem::path path_;
  const MachineProfile machine_ = find_machine("rtx-4090").value();
};

TEST_F(MachineCache, GivesBackWhatItKept) {
  EXPECT_FALSE(load_machine(path_, some_key()).value().has_value());
  ASSERT_TRUE(store_machine(path_, some_key(), machine_).ok());
  EXPECT_EQ(load_machine(path_, some_key()).value(), machine_);
  // Nothing beside it, and a second time goes over the first.
  ASSERT_TRUE(store_machine(path_, some_key(), find_machine("rtx-3090").value()).ok());
  EXPECT_EQ(load_machine(path_, some_key()).value()->name, "rtx-3090");
  const std::filesystem::directory_iterator files(path_.parent_path());
  EXPECT_EQ(std::distance(begin(files), end(files)), 1);
}

TEST_F(MachineCache, AnotherKeyIsAnotherMachine) {
  ASSERT_TRUE(store_machine(path_, some_key(), machine_).ok());
  const auto changed = [](auto member, auto value) {
    MachineKey key = some_key();
    key.*member = value;
    return key;
  };
  EXPECT_THAT(error(changed(&MachineKey::driver, "590.2")),
              HasSubstr("driver: expected \"590.2\", found '580.1'"));
  EXPECT_THAT(error(changed(&MachineKey::build, "abd")), HasSubstr("build: "));
  EXPECT_THAT(error(changed(&MachineKey::processor, "B")), HasSubstr("processor: "));
  EXPECT_THAT(error(changed(&MachineKey::processors, "0-2")), HasSubstr("processors: "));
  EXPECT_THAT(error(changed(&MachineKey::cpu_limit, 2)), HasSubstr("cpu_limit: "));
  EXPECT_THAT(error(changed(&MachineKey::threads, 3)), HasSubstr("threads: "));
  EXPECT_THAT(error(changed(&MachineKey::isa, "amx")), HasSubstr("isa: "));
  EXPECT_THAT(error(changed(&MachineKey::memory_bytes, 1)), HasSubstr("memory_bytes: "));
  EXPECT_THAT(error(changed(&MachineKey::card, "")), HasSubstr("card: "));
  EXPECT_THAT(error(changed(&MachineKey::card_uuid, "GPU-2")), HasSubstr("card_uuid: "));
  // A new driver or build takes the place of the old one's file; another machine has its own.
  const auto file = [&](const MachineKey& key) { return machine_cache_path("", key); };
  EXPECT_EQ(file(changed(&MachineKey::driver, "590.2")), file(some_key()));
  EXPECT_EQ(file(changed(&MachineKey::build, "abd")), file(some_key()));
  EXPECT_NE(file(changed(&MachineKey::card_uuid, "GPU-2")), file(some_key()));
  EXPECT_NE(file(changed(&MachineKey::threads, 3)), file(some_key()));
}

TEST_F(MachineCache, DamagedFilesAreErrorsThatNameTheField) {
  ASSERT_TRUE(store_machine(path_, some_key(), machine_).ok());
  const std::string whole = read_text_file(path_).value();
  for (const size_t length : {size_t{0}, size_t{1}, whole.size() / 2, whole.size() - 3}) {
    write(whole.substr(0, length));
    EXPECT_THAT(error(), HasSubstr(path_.string()));
    EXPECT_THAT(error(), testing::Not(HasSubstr("\n")));
  }
  const auto error_with = [&](const char* pointer, const json& value) {
    json object = json::parse(whole);
    object[json::json_pointer(pointer)] = value;
    write(object.dump());
    return error();
  };
  EXPECT_THAT(error_with("/machine", 5), HasSubstr("machine: expected an object"));
  EXPECT_THAT(error_with("/machine/kernel_s", -1), HasSubstr("machine: kernel_s"));
  EXPECT_THAT(error_with("/machine/vram_bytes_per_s", "fast"), HasSubstr("vram_bytes_per_s"));
  EXPECT_THAT(error_with("/machine/h2d/0/bytes_per_s", nullptr), HasSubstr("h2d[0]: bytes_per_s"));
  EXPECT_THAT(error_with("/machine/surprise", 1), HasSubstr("surprise"));
  EXPECT_THAT(error_with("/measured_on", json::array()), HasSubstr("measured_on"));
  EXPECT_THAT(error_with("/measured_on/driver", 7), HasSubstr("driver"));
  EXPECT_THAT(error_with("/more", 1), HasSubstr("more"));
  write(std::string(100000, '['));
  EXPECT_NE(error(), "no error");
  write(std::string((1 << 20) + 1, ' '));  // larger than any profile
  EXPECT_NE(error(), "no error");
}

TEST_F(MachineCache, NamesAPlaceThatCannotBeWritten) {
  write("a file");
  const auto stored = store_machine(path_ / "below" / "machine.json", some_key(), machine_);
  ASSERT_FALSE(stored.ok());
  EXPECT_THAT(stored.error().message, HasSubstr(path_.string()));
}

TEST(MachineKey, DescribesThisMachine) {
  const HostFacts host = read_host_facts();
  const MachineKey key = machine_key(host, 0);
  EXPECT_EQ(key, machine_key(host, 0));
  EXPECT_EQ(key.memory_bytes, host.memory_bytes);
  EXPECT_FALSE(key.processors.empty());
  EXPECT_EQ(key.card.empty(), key.card_uuid.empty());
  EXPECT_EQ(key.build, build_id());
  EXPECT_GE(key.build.size(), 16u);
  HostFacts other = host;
  other.cpu.usable_processors = {7, 0, 1, 2, 9, 10};
  EXPECT_EQ(machine_key(other, 0).processors, "0-2,7,9-10");
}

TEST(ThisMachineKept, IsMeasuredOnce) {
  const TemporaryDirectory folder;
  const MeasureOptions options = {
      .gpu = 0, .again = false, .directory = folder.path(), .progress = {}};
  const ThisMachine first = this_machine(options).value();
  EXPECT_TRUE(first.measured);
  EXPECT_EQ(first.why_measured, "");
  EXPECT_EQ(first.why_not_kept, "");
  const ThisMachine second = this_machine(options).value();
  EXPECT_FALSE(second.measured);
  EXPECT_EQ(second.profile, first.profile);

  const MachineKey key = machine_key(read_host_facts(), 0);
  std::ofstream(machine_cache_path(folder.path(), key)) << "{}";
  const ThisMachine third = this_machine(options).value();
  EXPECT_TRUE(third.measured);
  EXPECT_THAT(third.why_measured, HasSubstr("measured_on"));
  EXPECT_FALSE(this_machine(options).value().measured);
}

}  // namespace
}  // namespace shoehorn
