#include "base/fault.h"

#include <array>
#include <charconv>
#include <cstdlib>

#include "base/log.h"

namespace shoehorn {
namespace {

constexpr const char* kNames[kFaultPointCount] = {
    "host_allocation", "vram_allocation", "vram_mapping", "pinning",      "file_open",  "file_map",
    "file_read",       "file_truncated",  "disk_write",   "card_library", "card_handle"};

struct Armed {
  std::atomic<int64_t> first = 0, last = 0;  // calls to refuse, from 1 on; 0: none
  std::atomic<int64_t> calls = 0;
};
std::array<Armed, kFaultPointCount> armed;

Armed* find(std::string_view point) {
  for (int i = 0; i < kFaultPointCount; ++i) {
    if (point == kNames[i]) return &armed[static_cast<size_t>(i)];
  }
  return nullptr;
}

std::string all_names() {
  std::string names = kNames[0];
  for (int i = 1; i < kFaultPointCount; ++i) names += std::string(", ") + kNames[i];
  return names;
}

// "pinning:2" or "pinning:2+".
Result<void> arm_one(std::string_view text) {
  const size_t colon = text.find(':');
  Armed* point = find(text.substr(0, colon));
  if (point == nullptr) {
    return fail("SHOEHORN_FAULT: expected one of {}, found '{}'", all_names(),
                text.substr(0, colon));
  }
  int64_t call = -1;
  std::string_view rest;
  if (colon != std::string_view::npos) {
    const std::string_view number = text.substr(colon + 1);
    const char* end = number.data() + number.size();
    const auto [stop, error] = std::from_chars(number.data(), end, call);
    rest = std::string_view(stop, static_cast<size_t>(end - stop));
    if (error != std::errc()) call = -1;
  }
  if (call < 0 || (!rest.empty() && rest != "+")) {
    return fail(
        "SHOEHORN_FAULT: expected a point and a call, as in pinning:3 or pinning:3+, found '{}'",
        text);
  }
  point->first = call;
  point->last = rest.empty() ? call : INT64_MAX;
  return {};
}

}  // namespace

std::atomic<bool> faults_armed = false;

const char* name(FaultPoint point) {
  return kNames[static_cast<size_t>(point)];
}

bool meet_fault(FaultPoint point) {
  Armed& at = armed[static_cast<size_t>(point)];
  const int64_t call = ++at.calls;
  return at.first > 0 && at.first <= call && call <= at.last;
}

Result<void> arm_faults(std::string_view text) {
  faults_armed = false;
  for (Armed& point : armed) point.first = point.last = point.calls = 0;
  if (text.empty()) return {};
  while (!text.empty()) {
    const size_t comma = text.find(',');
    TRY(arm_one(text.substr(0, comma)));
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  faults_armed = true;
  return {};
}

Result<void> arm_faults_from_environment() {
  const char* text = std::getenv("SHOEHORN_FAULT");
  if (text == nullptr || *text == '\0') return {};
  TRY(arm_faults(text));
  log_warning("SHOEHORN_FAULT={}: failures are made on purpose", text);
  return {};
}

int64_t fault_calls(FaultPoint point) {
  return armed[static_cast<size_t>(point)].calls;
}

}  // namespace shoehorn
