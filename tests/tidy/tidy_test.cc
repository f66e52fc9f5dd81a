// Holds the source tree to the rules of the house, and shows for each rule that it can fail.

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "tests/tidy/functions.h"
#include "tests/tidy/rules.h"
#include "tests/tidy/source_file.h"

namespace shoehorn::tidy {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

std::vector<std::string> strings(const std::vector<Finding>& findings) {
  std::vector<std::string> all;
  for (const Finding& finding : findings) all.push_back(to_string(finding));
  return all;
}

// Lines on which `rule` finds something in `text`.
template <typename Rule>
std::vector<size_t> lines_found(Rule rule, const std::string& path, const std::string& text) {
  std::vector<size_t> lines;
  for (const Finding& finding : rule(make_source_file(path, text))) lines.push_back(finding.line);
  return lines;
}

std::string repeated(const std::string& text, size_t count) {
  std::string all;
  for (size_t i = 0; i < count; ++i) all += text;
  return all;
}

// --- the tree itself

std::map<std::string, size_t> read_long_files() {
  std::map<std::string, size_t> files;
  std::ifstream stream(SOURCE_ROOT "/tests/tidy/long_files.txt");
  for (std::string line; std::getline(stream, line);) {
    std::string path;
    size_t lines = 0;
    if (!line.starts_with('#') && std::istringstream(line) >> path >> lines) files[path] = lines;
  }
  return files;
}

TEST(Tree, KeepsTheRules) {
  const std::vector<SourceFile> files = read_tree(SOURCE_ROOT);
  ASSERT_GT(files.size(), 50u) << "is " SOURCE_ROOT " the source tree?";
  std::string broken;
  const auto add = [&](const std::vector<Finding>& findings) {
    for (const Finding& finding : findings) broken += to_string(finding) + "\n";
  };
  for (const SourceFile& file : files) add(check_file(file));
  add(check_lengths(files, read_long_files()));
  add(check_built(files));
  add(check_included(files));
  EXPECT_TRUE(broken.empty()) << "\n" << broken;
}

// --- each rule, on what breaks it and what does not

TEST(Blanking, HidesCommentsAndLiterals) {
  EXPECT_EQ(blank_comments_and_literals("a // b\nc"), "a     \nc");
  EXPECT_EQ(blank_comments_and_literals("a /* b\n c */ d"), "a     \n      d");
  EXPECT_EQ(blank_comments_and_literals(R"(f("x\"y", 'z'))"), R"(f("    ", ' '))");
  EXPECT_EQ(blank_comments_and_literals("1'000 + '\\''"), "1'000 + '  '");
  EXPECT_EQ(blank_comments_and_literals("R\"-(a\")\n)-\"+b"), "R\"     \n  \"+b");
  EXPECT_EQ(blank_comments_and_literals("#include \"a/b.h\" // c"), "#include \"a/b.h\"     ");
}

TEST(Includes, GoDownOnly) {
  const std::string lower = "#include <vector>\n#include \"tensor/format.h\"\n";
  EXPECT_THAT(lines_found(check_includes, "src/ops/linear.h", lower), IsEmpty());
  EXPECT_THAT(lines_found(check_includes, "src/tensor/weight.h", lower), IsEmpty());
  EXPECT_THAT(lines_found(check_includes, "src/base/bytes.h", lower), ElementsAre(2));
  EXPECT_THAT(lines_found(check_includes, "tests/base/a_test.cc", lower), IsEmpty());
}

TEST(Includes, NeverNameAPeer) {
  const std::string peer = "\n\n#include \"formats/gguf.h\"\n";
  EXPECT_THAT(lines_found(check_includes, "src/memory/source.cc", peer), ElementsAre(3));
  EXPECT_THAT(lines_found(check_includes, "src/ops/cpu/linear.cc", peer), ElementsAre(3));
}

TEST(Includes, NameTheirPath) {
  EXPECT_THAT(lines_found(check_includes, "src/ops/a.cc", "#include \"a.h\"\n"), ElementsAre(1));
  EXPECT_THAT(lines_found(check_includes, "src/ops/a.cc", "#include \"../base/b.h\"\n"),
              ElementsAre(1));
  EXPECT_THAT(lines_found(check_includes, "src/ops/a.cc", "// #include \"a.h\"\n"), IsEmpty());
}

TEST(Includes, EveryFolderIsALayer) {
  EXPECT_THAT(lines_found(check_includes, "src/utils/a.h", "int a;\n"), ElementsAre(0));
}

TEST(Includes, LinkedLayersGoDownToo) {
  const std::string build = "shoehorn_layer(ops\n  SOURCES a.cc\n  LAYERS base formats)\n";
  EXPECT_THAT(lines_found(check_includes, "src/ops/CMakeLists.txt", build), ElementsAre(3));
  EXPECT_THAT(lines_found(check_includes, "src/models/CMakeLists.txt", build), IsEmpty());
}

TEST(Text, HasAtMostAHundredColumns) {
  EXPECT_THAT(lines_found(check_text, "src/a.h", repeated("x", 100) + "\n"), IsEmpty());
  EXPECT_THAT(lines_found(check_text, "src/a.h", "\n" + repeated("x", 101)), ElementsAre(2));
  EXPECT_THAT(lines_found(check_text, "src/a.h", repeated("é", 100)), IsEmpty());
}

TEST(Text, HasNoTabsBlanksOrNotes) {
  EXPECT_THAT(lines_found(check_text, "src/a.h", "a\n\tb\n"), ElementsAre(2));
  EXPECT_THAT(lines_found(check_text, "tools/a.py", "a \nb\n"), ElementsAre(1));
  EXPECT_THAT(lines_found(check_text, "src/a.h",
                          "a\n// TO"
                          "DO: b\n"),
              ElementsAre(2));
  EXPECT_THAT(lines_found(check_text, "src/a.h",
                          "// FIX"
                          "ME\n"),
              ElementsAre(1));
}

std::string function_of_lines(size_t lines) {
  return "int f() {\n" + repeated("  g();\n", lines - 2) + "}\n";
}

TEST(Functions, HaveAtMostSeventyLines) {
  EXPECT_THAT(lines_found(check_functions, "src/a.cc", "\n" + function_of_lines(70)), IsEmpty());
  EXPECT_THAT(lines_found(check_functions, "src/a.cc", "\n" + function_of_lines(71)),
              ElementsAre(2));
  const std::string nested =
      "namespace a {\nclass B {\n public:\n" + function_of_lines(71) + "};\n}\n";
  EXPECT_THAT(lines_found(check_functions, "src/a.h", nested), ElementsAre(4));
}

TEST(Functions, HaveAtMostSixParameters) {
  const std::string six = "void f(int a, A<int, 2> b, int c = g(1, 2), int d, int e, int f) {}\n";
  const std::string seven = "void f(int a, int b, int c, int d, int e, int f, int g) {}\n";
  EXPECT_THAT(lines_found(check_functions, "src/a.cc", six), IsEmpty());
  EXPECT_THAT(lines_found(check_functions, "src/a.cc", six + seven), ElementsAre(2));
}

TEST(Functions, AreFoundWhereTheyAre) {
  const SourceFile file = make_source_file("src/a.cc", R"(#define BODY {
template <typename T = int>
struct Pair {
  explicit Pair(T a) : a_{a}, b_(a) {
    run([&](int x) { return x; });
  }
  bool operator==(const Pair& o) const { return true; }
  T a_ = {}, b_{1};
};
constexpr int kTable[] = {f(1), 2};
enum class Kind { a, b };
auto make(std::vector<int> v = {}) -> int {
  return "}{"[0];
}
Foo::~Foo() = default;
TEST(Suite, Case) { int a[] = {1}; }
int Foo::operator()(int a) const noexcept { return a; }
)");
  std::vector<std::string> found;
  for (const Function& f : find_functions(file)) {
    found.push_back(f.name + " " + std::to_string(f.first_line) + "-" +
                    std::to_string(f.last_line) + " " + std::to_string(f.parameters));
  }
  EXPECT_THAT(found, ElementsAre("Pair 4-6 1", "operator== 7-7 1", "make 12-14 1", "TEST 16-16 2",
                                 "Foo::operator() 17-17 1"));
}

TEST(Macros, AreThreeAndChooseNothing) {
  EXPECT_THAT(lines_found(check_macros, "src/a.h", "#define CHECK(x) x\n#define TRY(x) x\n"),
              IsEmpty());
  EXPECT_THAT(lines_found(check_macros, "src/a.h", "#define CHECK_EQ(a, b) x\n"), ElementsAre(1));
  EXPECT_THAT(lines_found(check_macros, "src/a.cc", "a\n# ifdef X\n#endif\n"), ElementsAre(2));
  EXPECT_THAT(lines_found(check_macros, "src/a.cc", "#if X\n#elif Y\n#endif\n"), ElementsAre(1, 2));
}

TEST(Headers, OpenWithACommentAndAGuard) {
  EXPECT_THAT(lines_found(check_header, "src/a.h", "// A.\n#pragma once\n"), IsEmpty());
  EXPECT_THAT(lines_found(check_header, "src/a.h", "// A.\nint a;\n"), ElementsAre(0));
  EXPECT_THAT(lines_found(check_header, "src/a.h", "#pragma once\n"), ElementsAre(1));
  EXPECT_THAT(lines_found(check_header, "src/a.h", "// A.\n#pragma once\nusing namespace std;\n"),
              ElementsAre(3));
  EXPECT_THAT(lines_found(check_header, "src/a.cc", "using namespace std;\n"), IsEmpty());
}

TEST(Forbidden, IsWhatOnlyAppsMayDo) {
  const std::vector<std::string> bad = {
      "std::cout << 1;", "std::printf(\"\");", "fprintf(stderr, a);",
      "puts(a);",        "exit(1);",           "std::abort();",
      "throw 1;",        "fmt::print(a);",     "cudaMallocManaged(&p, n);"};
  for (const std::string& line : bad) {
    EXPECT_THAT(lines_found(check_forbidden, "src/ops/a.cc", "\n" + line), ElementsAre(2)) << line;
  }
  const std::string good =
      "snprintf(a, 1, b);\non_exit_(x);\n// throw\nlog(\"exit(1)\");\nfputter();\n";
  EXPECT_THAT(lines_found(check_forbidden, "src/ops/a.cc", good), IsEmpty());
  EXPECT_THAT(lines_found(check_forbidden, "src/apps/a.cc", "printf(a);\nexit(1);\n"), IsEmpty());
  EXPECT_THAT(lines_found(check_forbidden, "src/base/check.cc", "abort();\n"), IsEmpty());
  EXPECT_THAT(lines_found(check_forbidden, "src/base/file.cc", "abort();\n"), ElementsAre(1));
}

TEST(Lengths, MayPassFourHundredLinesOnlyByName) {
  const auto check = [](size_t lines, const std::map<std::string, size_t>& long_files) {
    return strings(
        check_lengths({make_source_file("src/a.cc", repeated("x\n", lines))}, long_files));
  };
  EXPECT_THAT(check(400, {}), IsEmpty());
  EXPECT_EQ(check(401, {}).size(), 1u);
  EXPECT_THAT(check(450, {{"src/a.cc", 450}}), IsEmpty());
  EXPECT_EQ(check(451, {{"src/a.cc", 450}}).size(), 1u);
  EXPECT_EQ(check(601, {{"src/a.cc", 700}}).size(), 1u);
  EXPECT_EQ(check(400, {{"src/a.cc", 450}}).size(), 1u);
  EXPECT_EQ(check(10, {{"src/gone.cc", 450}}).size(), 1u);
}

TEST(Built, EveryUnitIsListed) {
  const std::vector<SourceFile> files = {
      make_source_file("src/ops/CMakeLists.txt",
                       "shoehorn_layer(ops SOURCES a.cc cpu/b.cc)\n# c.cc\n"),
      make_source_file("src/ops/a.cc", ""), make_source_file("src/ops/cpu/b.cc", ""),
      make_source_file("src/ops/c.cc", "")};
  EXPECT_THAT(strings(check_built(files)),
              ElementsAre("src/ops/c.cc: in no CMakeLists.txt: nothing builds it"));
}

TEST(Included, EveryHeaderHasAUser) {
  const std::vector<SourceFile> files = {
      make_source_file("src/ops/a.cc", "#include \"ops/a.h\"\n#include \"tests/b.h\"\n"),
      make_source_file("src/ops/a.h", ""), make_source_file("tests/b.h", ""),
      make_source_file("src/ops/unused.h", "")};
  EXPECT_THAT(strings(check_included(files)), ElementsAre("src/ops/unused.h: no file includes it"));
}

}  // namespace
}  // namespace shoehorn::tidy
