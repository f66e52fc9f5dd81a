// The rules of the house that a machine can check. Each takes files and returns what breaks it.
#pragma once

#include <cstddef>
#include <map>
#include <string>
#include <vector>

#include "tests/tidy/source_file.h"

namespace shoehorn::tidy {

inline constexpr size_t kFileLines = 400;  // more only where long_files.txt names the file
inline constexpr size_t kLongestFileLines = 600;
inline constexpr size_t kFunctionLines = 70;
inline constexpr int kParameters = 6;
inline constexpr size_t kColumns = 100;

// The folders of src/ by layer, lowest first: a file includes its own folder or a lower layer's,
// never a peer.
const std::vector<std::vector<std::string>>& layers();

// Rules that look at one file.
std::vector<Finding> check_includes(
    const SourceFile& file);  // layer order, also in shoehorn_layer(... LAYERS ...)
std::vector<Finding> check_text(
    const SourceFile& file);  // columns, tabs, trailing blanks, notes to do
std::vector<Finding> check_functions(const SourceFile& file);  // length, parameters
std::vector<Finding> check_macros(const SourceFile& file);     // #define, #if
std::vector<Finding> check_header(
    const SourceFile& file);  // #pragma once, opening comment, using namespace
std::vector<Finding> check_forbidden(
    const SourceFile& file);  // printing, leaving, throwing; managed memory

// All of the above.
std::vector<Finding> check_file(const SourceFile& file);

// Rules that look at the tree.
// long_files: path to allowed lines, for files between kFileLines and kLongestFileLines.
std::vector<Finding> check_lengths(const std::vector<SourceFile>& files,
                                   const std::map<std::string, size_t>& long_files);
std::vector<Finding> check_built(
    const std::vector<SourceFile>& files);  // every .cc and .cu is in a CMakeLists.txt
std::vector<Finding> check_included(
    const std::vector<SourceFile>& files);  // every header is included somewhere

}  // namespace shoehorn::tidy
