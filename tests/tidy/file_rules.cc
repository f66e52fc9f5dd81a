#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <regex>

#include "tests/tidy/functions.h"
#include "tests/tidy/rules.h"

namespace shoehorn::tidy {

const std::vector<std::vector<std::string>>& layers() {
  static const std::vector<std::vector<std::string>> kLayers = {
      {"base"},   {"tensor"}, {"formats", "memory", "ops", "comm"},
      {"models"}, {"plan"},   {"engine", "train", "compress"},
      {"serve"},  {"apps"},
  };
  return kLayers;
}

namespace {

std::optional<size_t> layer_of(const std::string& folder) {
  for (size_t i = 0; i < layers().size(); ++i) {
    if (std::count(layers()[i].begin(), layers()[i].end(), folder) > 0) return i;
  }
  return std::nullopt;
}

// "ops" for src/ops/cpu/linear.cc; "" outside src/.
std::string source_folder(const std::string& path) {
  if (!path.starts_with("src/")) return "";
  return path.substr(4, path.find('/', 4) - 4);
}

bool may_use(const std::string& user, const std::string& used) {
  return user == used || layer_of(user) > layer_of(used);
}

// Each line of `lines` that `pattern` matches, with the message.
void find_lines(const SourceFile& file, const std::vector<std::string>& lines,
                const std::regex& pattern, const std::string& message,
                std::vector<Finding>& findings) {
  for (size_t i = 0; i < lines.size(); ++i) {
    if (std::regex_search(lines[i], pattern)) findings.push_back({file.path, i + 1, message});
  }
}

size_t code_points(const std::string& line) {
  return static_cast<size_t>(
      std::count_if(line.begin(), line.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

// In a CMakeLists.txt of src/: the layers that shoehorn_layer(...) links.
std::vector<Finding> check_linked_layers(const SourceFile& file, const std::string& folder) {
  std::vector<Finding> findings;
  bool listing = false;
  for (size_t i = 0; i < file.lines.size(); ++i) {
    static const std::regex kWord(R"([\w:./]+|#.*)");
    const std::string& line = file.lines[i];
    for (std::sregex_iterator word(line.begin(), line.end(), kWord), end; word != end; ++word) {
      const std::string text = word->str();
      if (text == "LAYERS") {
        listing = true;
      } else if (!layer_of(text)) {
        listing = false;
      } else if (listing && !may_use(folder, text)) {
        findings.push_back(
            {file.path, i + 1, fmt::format("src/{} may not link the layer {}", folder, text)});
      }
    }
  }
  return findings;
}

}  // namespace

std::vector<Finding> check_includes(const SourceFile& file) {
  const std::string folder = source_folder(file.path);
  if (folder.empty()) return {};
  if (!layer_of(folder)) {
    return {
        {file.path, 0, fmt::format("src/{} is no layer: see tests/tidy/file_rules.cc", folder)}};
  }
  if (!file.is_cpp()) return check_linked_layers(file, folder);
  std::vector<Finding> findings;
  static const std::regex kInclude(R"(^\s*#\s*include\s*"([^"/]*)(/?)[^"]*")");
  for (size_t i = 0; i < file.code.size(); ++i) {
    std::smatch match;
    if (!std::regex_search(file.code[i], match, kInclude)) continue;
    const std::string included = match[1];
    if (match[2].length() == 0 || !layer_of(included)) {
      findings.push_back({file.path, i + 1, "an include in quotes names its path from src/"});
    } else if (!may_use(folder, included)) {
      findings.push_back(
          {file.path, i + 1,
           fmt::format("src/{} may not include src/{}: not a lower layer", folder, included)});
    }
  }
  return findings;
}

std::vector<Finding> check_text(const SourceFile& file) {
  std::vector<Finding> findings;
  for (size_t i = 0; i < file.lines.size(); ++i) {
    const size_t columns = code_points(file.lines[i]);
    if (columns > kColumns) {
      findings.push_back(
          {file.path, i + 1, fmt::format("{} columns, at most {}", columns, kColumns)});
    }
  }
  find_lines(file, file.lines, std::regex("\t"), "a tab", findings);
  find_lines(file, file.lines, std::regex("[ \t\r]$"), "a blank at the end of the line", findings);
  find_lines(file, file.lines,
             std::regex(R"(\b(TO)"
                        R"(DO|FIX)"
                        R"(ME|XX)"
                        R"(X)\b)"),
             "a note of work left to do", findings);
  return findings;
}

std::vector<Finding> check_functions(const SourceFile& file) {
  std::vector<Finding> findings;
  if (!file.is_cpp()) return findings;
  for (const Function& function : find_functions(file)) {
    if (function.line_count() > kFunctionLines) {
      findings.push_back({file.path, function.first_line,
                          fmt::format("{} has {} lines, at most {}", function.name,
                                      function.line_count(), kFunctionLines)});
    }
    if (function.parameters > kParameters) {
      findings.push_back({file.path, function.first_line,
                          fmt::format("{} has {} parameters, at most {}", function.name,
                                      function.parameters, kParameters)});
    }
  }
  return findings;
}

std::vector<Finding> check_macros(const SourceFile& file) {
  std::vector<Finding> findings;
  find_lines(file, file.code, std::regex(R"(^\s*#\s*define\s+(?!(CHECK|TRY|CUDA_CHECK)\b))"),
             "a macro other than CHECK, TRY and CUDA_CHECK", findings);
  find_lines(file, file.code, std::regex(R"(^\s*#\s*(if|ifdef|ifndef|elif|undef)\b)"),
             "the build picks files; no #if", findings);
  return findings;
}

std::vector<Finding> check_header(const SourceFile& file) {
  std::vector<Finding> findings;
  if (!file.is_header()) return findings;
  const auto is_guard = [](const std::string& line) { return line == "#pragma once"; };
  if (std::none_of(file.code.begin(), file.code.end(), is_guard)) {
    findings.push_back({file.path, 0, "no #pragma once"});
  }
  if (file.lines.empty() || !file.lines[0].starts_with("/")) {
    findings.push_back({file.path, 1, "a header begins with a comment that says what it is"});
  }
  find_lines(file, file.code, std::regex(R"(\busing\s+namespace\b)"), "using namespace in a header",
             findings);
  return findings;
}

std::vector<Finding> check_forbidden(const SourceFile& file) {
  std::vector<Finding> findings;
  const std::string folder = source_folder(file.path);
  if (folder.empty() || !file.is_cpp()) return findings;
  find_lines(file, file.code, std::regex(R"(\bcudaMallocManaged\b)"),
             "managed memory: tiers are explicit", findings);
  if (folder == "apps" || file.path == "src/base/check.cc") return findings;
  find_lines(
      file, file.code,
      std::regex(R"(\bstd::c(out|err|log)\b|\bv?f?printf\s*\(|\bf?puts\s*\(|\bf?putc(har)?\s*\()"
                 R"(|\bfmt::print)"),
      "nothing below src/apps prints", findings);
  find_lines(file, file.code,
             std::regex(R"(\b(quick_|_)?(exit|Exit)\s*\(|\babort\s*\(|\bterminate\s*\()"),
             "nothing below src/apps ends the process", findings);
  find_lines(file, file.code, std::regex(R"(\bthrow\b)"), "nothing below src/apps throws",
             findings);
  return findings;
}

std::vector<Finding> check_file(const SourceFile& file) {
  std::vector<Finding> all;
  for (const auto rule :
       {check_includes, check_text, check_functions, check_macros, check_header, check_forbidden}) {
    const std::vector<Finding> found = rule(file);
    all.insert(all.end(), found.begin(), found.end());
  }
  return all;
}

}  // namespace shoehorn::tidy
