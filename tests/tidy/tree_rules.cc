#include <fmt/format.h>

#include <regex>
#include <set>

#include "tests/tidy/rules.h"

namespace shoehorn::tidy {
namespace {

// Every word of the CMakeLists.txt files that can name a source, from the root of the tree.
std::set<std::string> built_sources(const std::vector<SourceFile>& files) {
  static const std::regex kSource(R"([\w./-]+\.(cc|cu)\b)");
  std::set<std::string> sources;
  for (const SourceFile& file : files) {
    if (!file.ends_with("CMakeLists.txt")) continue;
    const std::string folder = file.path.substr(0, file.path.rfind('/') + 1);
    for (const std::string& line : file.lines) {
      const std::string text = line.substr(0, line.find('#'));
      for (std::sregex_iterator name(text.begin(), text.end(), kSource), end; name != end; ++name) {
        sources.insert(folder + name->str());
      }
    }
  }
  return sources;
}

}  // namespace

std::vector<Finding> check_lengths(const std::vector<SourceFile>& files,
                                   const std::map<std::string, size_t>& long_files) {
  std::vector<Finding> findings;
  std::set<std::string> needed;
  for (const SourceFile& file : files) {
    const size_t lines = file.lines.size();
    if (lines <= kFileLines) continue;
    needed.insert(file.path);
    const auto allowed = long_files.find(file.path);
    if (lines > kLongestFileLines) {
      findings.push_back(
          {file.path, 0, fmt::format("{} lines, at most {}", lines, kLongestFileLines)});
    } else if (allowed == long_files.end()) {
      findings.push_back(
          {file.path, 0,
           fmt::format("{} lines, at most {} unless tests/tidy/long_files.txt names it", lines,
                       kFileLines)});
    } else if (lines > allowed->second) {
      findings.push_back(
          {file.path, 0,
           fmt::format("{} lines, more than the {} in tests/tidy/long_files.txt: long "
                       "files do not grow",
                       lines, allowed->second)});
    }
  }
  for (const auto& [path, lines] : long_files) {
    if (needed.contains(path)) continue;
    findings.push_back({path, 0, "needs no place in tests/tidy/long_files.txt any more"});
  }
  return findings;
}

std::vector<Finding> check_built(const std::vector<SourceFile>& files) {
  const std::set<std::string> built = built_sources(files);
  std::vector<Finding> findings;
  for (const SourceFile& file : files) {
    if (file.is_unit() && !built.contains(file.path)) {
      findings.push_back({file.path, 0, "in no CMakeLists.txt: nothing builds it"});
    }
  }
  return findings;
}

std::vector<Finding> check_included(const std::vector<SourceFile>& files) {
  static const std::regex kInclude(R"re(^\s*#\s*include\s*"([^"]+)")re");
  std::set<std::string> included;
  for (const SourceFile& file : files) {
    for (const std::string& line : file.code) {
      std::smatch match;
      if (!std::regex_search(line, match, kInclude)) continue;
      included.insert(match[1]);
      included.insert("src/" + match[1].str());
    }
  }
  std::vector<Finding> findings;
  for (const SourceFile& file : files) {
    if (file.is_header() && !included.contains(file.path)) {
      findings.push_back({file.path, 0, "no file includes it"});
    }
  }
  return findings;
}

}  // namespace shoehorn::tidy
