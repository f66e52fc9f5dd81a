#include "tests/tidy/source_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <fstream>
#include <iterator>

namespace shoehorn::tidy {
namespace {

constexpr std::array<std::string_view, 5> kFolders = {"src", "tests", "bench", "tools", "cmake"};
constexpr std::array<std::string_view, 7> kSuffixes = {".h",  ".cuh", ".cc",   ".cu",
                                                       ".py", ".sh",  ".cmake"};

bool is_source(const std::filesystem::path& path) {
  const std::string name = path.filename().string();
  const auto matches = [&](std::string_view suffix) { return name.ends_with(suffix); };
  return name == "CMakeLists.txt" || std::any_of(kSuffixes.begin(), kSuffixes.end(), matches);
}

std::vector<std::string> split_lines(std::string_view text) {
  std::vector<std::string> lines;
  while (!text.empty()) {
    const size_t end = std::min(text.find('\n'), text.size());
    lines.emplace_back(text.substr(0, end));
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return lines;
}

bool is_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
}

// Walks a C++ text once and blanks what is no code.
class Blanker {
 public:
  explicit Blanker(std::string_view text) : text_(text), out_(text) {}

  std::string run() {
    while (at_ < text_.size()) {
      const std::string_view rest = text_.substr(at_);
      if (rest.starts_with("//")) {
        blank_until(line_end());
      } else if (rest.starts_with("/*")) {
        blank_until(after("*/", at_ + 2));
      } else if (rest.starts_with("R\"") && (at_ == 0 || !is_word(text_[at_ - 1]))) {
        blank_raw_string();
      } else if (is_include_path()) {
        at_ = std::min(after("\"", at_ + 1), line_end());
      } else if (rest[0] == '"' || (rest[0] == '\'' && !is_digit_separator())) {
        blank_literal(rest[0]);
      } else {
        ++at_;
      }
    }
    return std::move(out_);
  }

 private:
  size_t line_end() const { return std::min(text_.find('\n', at_), text_.size()); }

  size_t after(std::string_view what, size_t from) const {
    const size_t found = text_.find(what, from);
    return found == std::string_view::npos ? text_.size() : found + what.size();
  }

  void blank_until(size_t end) {
    for (; at_ < end; ++at_) {
      if (text_[at_] != '\n') out_[at_] = ' ';
    }
  }

  // 1'000'000
  bool is_digit_separator() const {
    return at_ > 0 && std::isxdigit(static_cast<unsigned char>(text_[at_ - 1]));
  }

  // Paths of include lines stay readable: the layer rule needs them.
  bool is_include_path() const {
    if (text_[at_] != '"') return false;
    const size_t line_begin = text_.rfind('\n', at_) + 1;  // npos + 1 is 0
    return text_.substr(line_begin, at_ - line_begin).starts_with("#include");
  }

  void blank_literal(char quote) {
    ++at_;
    size_t end = at_;
    while (end < text_.size() && text_[end] != quote && text_[end] != '\n') {
      end += text_[end] == '\\' ? 2 : 1;
    }
    blank_until(std::min(end, text_.size()));
    if (at_ < text_.size() && text_[at_] == quote) ++at_;
  }

  // R"delimiter( ... )delimiter"
  void blank_raw_string() {
    const size_t open = std::min(text_.find('(', at_), text_.size());
    const std::string close = fmt::format("){}\"", text_.substr(at_ + 2, open - at_ - 2));
    at_ += 2;
    const size_t end = after(close, at_);
    blank_until(end - 1);
    at_ = end;
  }

  std::string_view text_;
  std::string out_;
  size_t at_ = 0;
};

}  // namespace

std::string to_string(const Finding& finding) {
  return finding.line == 0 ? fmt::format("{}: {}", finding.path, finding.message)
                           : fmt::format("{}:{}: {}", finding.path, finding.line, finding.message);
}

std::string blank_comments_and_literals(std::string_view text) {
  return Blanker(text).run();
}

SourceFile make_source_file(std::string path, std::string_view text) {
  SourceFile file{.path = std::move(path), .lines = split_lines(text), .code = {}};
  if (file.is_cpp()) file.code = split_lines(blank_comments_and_literals(text));
  return file;
}

std::vector<SourceFile> read_tree(const std::filesystem::path& root) {
  std::vector<SourceFile> files;
  for (const std::string_view folder : kFolders) {
    if (!std::filesystem::exists(root / folder)) continue;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root / folder)) {
      if (!entry.is_regular_file() || !is_source(entry.path())) continue;
      std::ifstream stream(entry.path(), std::ios::binary);
      const std::string text(std::istreambuf_iterator<char>(stream), {});
      const std::filesystem::path path = std::filesystem::relative(entry.path(), root);
      files.push_back(make_source_file(path.generic_string(), text));
    }
  }
  std::sort(files.begin(), files.end(),
            [](const SourceFile& a, const SourceFile& b) { return a.path < b.path; });
  return files;
}

}  // namespace shoehorn::tidy
