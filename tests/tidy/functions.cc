#include "tests/tidy/functions.h"

#include <algorithm>
#include <cctype>
#include <regex>
#include <string_view>

namespace shoehorn::tidy {
namespace {

// The file's code as one text; preprocessor lines, which may hold unpaired braces, are blank.
std::string joined_code(const SourceFile& file) {
  std::string text;
  bool directive = false;
  for (const std::string& line : file.code) {
    const size_t begin = line.find_first_not_of(' ');
    directive = directive || (begin != std::string::npos && line[begin] == '#');
    text += directive ? std::string(line.size(), ' ') : line;
    text += '\n';
    directive = directive && line.ends_with('\\');
  }
  return text;
}

char closing(char open) {
  return open == '(' ? ')' : open == '{' ? '}' : open == '[' ? ']' : 0;
}

// Position behind the bracket that closes the one at `open`; the end of the text if none does.
size_t behind_bracket(std::string_view text, size_t open) {
  std::string expected;
  for (size_t i = open; i < text.size(); ++i) {
    if (const char close = closing(text[i])) {
      expected += close;
    } else if (!expected.empty() && text[i] == expected.back()) {
      expected.pop_back();
      if (expected.empty()) return i + 1;
    }
  }
  return text.size();
}

bool is_blank(char c) {
  return std::isspace(static_cast<unsigned char>(c));
}

// What stands before a '{' since the last ';', '{' or '}'.
std::string_view trimmed(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// Without "public:" and the like.
std::string_view without_access(std::string_view head) {
  for (const std::string_view access : {"public:", "protected:", "private:"}) {
    if (head.starts_with(access)) return trimmed(head.substr(access.size()));
  }
  return head;
}

// Without a leading "template <...>" and attributes.
std::string_view without_prefix(std::string_view head) {
  for (;;) {
    if (head.starts_with("[[")) {
      head = trimmed(head.substr(behind_bracket(head, 0)));
    } else if (head.starts_with("template")) {
      int depth = 0;
      size_t i = head.find('<');
      for (; i < head.size(); ++i) {
        depth += head[i] == '<' ? 1 : head[i] == '>' ? -1 : 0;
        if (depth == 0) break;
      }
      head = i < head.size() ? trimmed(head.substr(i + 1)) : std::string_view();
    } else {
      return head;
    }
  }
}

// The name before the first parenthesis: "Engine::step", "operator==", "~Lease".
std::string name_before(std::string_view head, size_t parenthesis) {
  const std::string before(trimmed(head.substr(0, parenthesis)));
  static const std::regex kName(R"(([\w:~]*operator\s*(\(\)|[^\w\s(]+)|[\w:~]+)$)");
  std::smatch match;
  return std::regex_search(before, match, kName) ? match.str() : "";
}

size_t first_parenthesis(std::string_view head) {
  const size_t call = head.find("operator()");
  return head.find('(', call == std::string_view::npos ? 0 : call + 10);
}

// A '=' outside brackets: an initializer follows, no body.
bool has_assignment(std::string_view head) {
  const size_t name = head.find("operator");
  const std::string_view before =
      name == std::string_view::npos ? head : head.substr(first_parenthesis(head));
  for (size_t i = 0; i < before.size(); ++i) {
    if (closing(before[i])) {
      i = behind_bracket(before, i) - 1;
    } else if (before[i] == '=') {
      return true;
    }
  }
  return false;
}

// Foo::Foo(int a) : a_{a}, b_(a) {: only a brace behind ')' or '}' is the body.
bool is_member_initializer(std::string_view head) {
  const size_t parenthesis = first_parenthesis(head);
  const std::string_view rest = trimmed(head.substr(behind_bracket(head, parenthesis)));
  const bool has_list = std::regex_search(rest.begin(), rest.end(),
                                          std::regex(R"(^(noexcept\s*(\(.*\))?\s*)?:(?!:))"));
  return has_list && head.back() != ')' && head.back() != '}';
}

int count_parameters(std::string_view head, size_t parenthesis) {
  const size_t end = behind_bracket(head, parenthesis) - 1;
  const std::string_view list = trimmed(head.substr(parenthesis + 1, end - parenthesis - 1));
  if (list.empty() || list == "void") return 0;
  int count = 1;
  int angles = 0;
  for (size_t i = 0; i < list.size(); ++i) {
    if (closing(list[i])) {
      i = behind_bracket(list, i) - 1;
    } else if (list[i] == '<') {
      ++angles;
    } else if (list[i] == '>' && angles > 0) {
      --angles;
    } else if (list[i] == ',' && angles == 0) {
      ++count;
    }
  }
  return count;
}

enum class Brace { scope, function, initializer };

Brace classify(std::string_view head) {
  static const std::regex kScope(R"(^(inline\s+)?(namespace|class|struct|union|enum|extern)\b)");
  if (head.empty()) return Brace::initializer;
  const bool has_list = first_parenthesis(head) != std::string_view::npos;
  if (std::regex_search(head.begin(), head.end(), kScope) && !(has_list && head.back() == ')')) {
    return head.starts_with("enum") ? Brace::initializer : Brace::scope;
  }
  if (!has_list || has_assignment(head)) return Brace::initializer;
  return is_member_initializer(head) ? Brace::initializer : Brace::function;
}

}  // namespace

std::vector<Function> find_functions(const SourceFile& file) {
  const std::string text = joined_code(file);
  const auto line_of = [&](size_t position) {
    return static_cast<size_t>(std::count(text.begin(), text.begin() + position, '\n')) + 1;
  };
  std::vector<Function> functions;
  size_t head_begin = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == ';' || text[i] == '}') {
      head_begin = i + 1;
    } else if (text[i] == '(' || text[i] == '[') {
      i = behind_bracket(text, i) - 1;
    } else if (text[i] == '{') {
      const std::string_view whole =
          without_access(trimmed(std::string_view(text).substr(head_begin, i - head_begin)));
      const std::string_view head = without_prefix(whole);
      const Brace brace = classify(head);
      if (brace == Brace::scope) {
        head_begin = i + 1;
        continue;
      }
      const size_t end = behind_bracket(text, i);
      if (brace == Brace::function) {
        const size_t parenthesis = first_parenthesis(head);
        functions.push_back({.name = name_before(head, parenthesis),
                             .first_line = line_of(static_cast<size_t>(whole.data() - text.data())),
                             .last_line = line_of(end - 1),
                             .parameters = count_parameters(head, parenthesis)});
        head_begin = end;
      }
      i = end - 1;  // an initializer stays part of the head that goes on behind it
    }
  }
  return functions;
}

}  // namespace shoehorn::tidy
