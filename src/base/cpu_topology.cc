#include "base/cpu_topology.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <optional>
#include <set>
#include <sstream>
#include <string>

#include "base/file.h"

namespace shoehorn {
namespace {

constexpr uint64_t kFileLimitBytes = uint64_t{1} << 20;

std::string text_or_empty(const std::filesystem::path& path) {
  Result<std::string> text = read_text_file(path, kFileLimitBytes);
  return text ? std::move(text).value() : std::string();
}

// "200000 100000" (cgroup v2) is 2 CPUs; "max 100000" and anything else is no limit.
std::optional<double> quota_v2(const std::filesystem::path& directory) {
  std::istringstream text(text_or_empty(directory / "cpu.max"));
  double quota = 0;
  double period = 0;
  if (!(text >> quota >> period) || quota <= 0 || period <= 0) return std::nullopt;
  return quota / period;
}

// A quota of -1 is no limit.
std::optional<double> quota_v1(const std::filesystem::path& directory) {
  const double quota = std::atof(text_or_empty(directory / "cpu.cfs_quota_us").c_str());
  const double period = std::atof(text_or_empty(directory / "cpu.cfs_period_us").c_str());
  if (quota <= 0 || period <= 0) return std::nullopt;
  return quota / period;
}

// Calls visit(directory) for mount/path and each directory above it up to mount. Inside a container
// `path` may be the host's and not exist here; then the existing part of the way is what counts.
template <typename Visit>
void walk_up(const std::filesystem::path& mount, const std::string& path, const Visit& visit) {
  std::filesystem::path relative = std::filesystem::path(path).relative_path().lexically_normal();
  while (!relative.empty() && relative != ".") {
    visit(mount / relative);
    relative = relative.parent_path();
  }
  visit(mount);
}

bool names_cpu_controller(const std::string& controllers) {
  std::istringstream list(controllers);
  for (std::string controller; std::getline(list, controller, ',');) {
    if (controller == "cpu") return true;
  }
  return false;
}

}  // namespace

CoreOrder order_by_core(const std::filesystem::path& devices, const std::vector<int>& processors) {
  CoreOrder order;
  std::vector<int> siblings;
  std::set<std::string> cores_seen;
  for (const int processor : processors) {
    const std::filesystem::path topology = devices / fmt::format("cpu{}", processor) / "topology";
    std::string core = text_or_empty(topology / "core_cpus_list");
    if (core.empty()) core = text_or_empty(topology / "thread_siblings_list");
    if (core.empty()) core = fmt::format("{}", processor);
    (cores_seen.insert(core).second ? order.processors : siblings).push_back(processor);
  }
  order.physical_cores = static_cast<int>(order.processors.size());
  order.processors.insert(order.processors.end(), siblings.begin(), siblings.end());
  return order;
}

double cgroup_cpu_limit(const std::filesystem::path& memberships,
                        const std::filesystem::path& mount) {
  std::optional<double> limit;
  const auto lower_to = [&](std::optional<double> quota) {
    if (quota && (!limit || *quota < *limit)) limit = quota;
  };
  std::istringstream lines(text_or_empty(memberships));
  for (std::string line; std::getline(lines, line);) {  // hierarchy:controllers:path
    const size_t first = line.find(':');
    const size_t second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    const std::string path = line.substr(second + 1);
    if (controllers.empty()) {  // v2: alone, or beside v1 under unified/
      walk_up(mount, path, [&](const auto& directory) { lower_to(quota_v2(directory)); });
      walk_up(mount / "unified", path, [&](const auto& d) { lower_to(quota_v2(d)); });
    } else if (names_cpu_controller(controllers)) {
      walk_up(mount / controllers, path, [&](const auto& d) { lower_to(quota_v1(d)); });
      walk_up(mount / "cpu", path, [&](const auto& d) { lower_to(quota_v1(d)); });
    }
  }
  return limit.value_or(0);
}

}  // namespace shoehorn
