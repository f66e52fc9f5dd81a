// The source tree as the tidy rules see it: files, their lines, and the same lines without comments
// and literals.
#pragma once

#include <cstddef>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace shoehorn::tidy {

struct SourceFile {
  std::string path;                // from the root of the tree, with slashes
  std::vector<std::string> lines;  // as written, without line ends
  // The same lines; comments and the insides of string and character literals are blanks. C++ files
  // only.
  std::vector<std::string> code;

  bool is_cpp() const { return is_header() || is_unit(); }
  bool is_header() const { return ends_with(".h") || ends_with(".cuh"); }
  bool is_unit() const { return ends_with(".cc") || ends_with(".cu"); }
  bool ends_with(std::string_view suffix) const { return path.ends_with(suffix); }
};

// A broken rule. Printed as "path:line: message".
struct Finding {
  std::string path;
  size_t line = 0;  // from 1; 0: the file as a whole
  std::string message;
};
std::string to_string(const Finding& finding);

SourceFile make_source_file(std::string path, std::string_view text);

// The C++ files, build files and scripts of the tree, sorted by path: src/, tests/, bench/, tools/,
// cmake/.
std::vector<SourceFile> read_tree(const std::filesystem::path& root);

// The same text with comments and the insides of literals as blanks; line ends stay.
std::string blank_comments_and_literals(std::string_view text);

}  // namespace shoehorn::tidy
