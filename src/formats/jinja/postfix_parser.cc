// The second half of ExpressionParser: what follows a value (attributes, subscripts, calls,
// filters, tests), and assignment targets.
#include <algorithm>

#include "formats/jinja/expression_parser.h"

namespace shoehorn::jinja {

Result<ExpressionPointer> ExpressionParser::postfix(ExpressionPointer expression) {
  while (true) {
    if (at_symbol(".") || at_symbol("[")) {
      expression = TRY(subscript(std::move(expression)));
    } else if (at_symbol("(")) {
      expression = TRY(call(std::move(expression)));
    } else {
      return expression;
    }
  }
}

Result<ExpressionPointer> ExpressionParser::postfix_and_filters(ExpressionPointer expression) {
  while (true) {
    if (at_symbol("|")) {
      expression = TRY(filters(std::move(expression)));
    } else if (at_name("is")) {
      expression = TRY(test(std::move(expression)));
    } else if (at_symbol("(")) {
      expression = TRY(call(std::move(expression)));
    } else {
      return expression;
    }
  }
}

Result<ExpressionPointer> ExpressionParser::subscript(ExpressionPointer object) {
  const int line = current().line;
  Operands operands;
  if (skip_symbol(".")) {
    const Token& token = current();
    if (token.kind == TokenKind::name) {
      advance();
      operands.push_back(std::move(object));
      ExpressionPointer node = TRY(make(ExpressionKind::attribute, line, std::move(operands)));
      node->name = token.view;
      return node;
    }
    if (token.kind != TokenKind::integer) return unexpected("a name or an integer");
    operands.push_back(std::move(object));
    operands.push_back(TRY(number_literal()));
    return make(ExpressionKind::item, line, std::move(operands));
  }
  TRY(expect_symbol("["));
  ExpressionPointer index;
  if (!at_symbol(":")) index = TRY(expression());
  if (at_symbol(":")) return slice(std::move(object), std::move(index));
  if (at_symbol(",")) {
    Operands items;
    items.push_back(std::move(index));
    while (skip_symbol(",") && !at_symbol("]")) items.push_back(TRY(expression()));
    index = TRY(make(ExpressionKind::tuple, line, std::move(items)));
  }
  TRY(expect_symbol("]"));
  operands.push_back(std::move(object));
  operands.push_back(std::move(index));
  return make(ExpressionKind::item, line, std::move(operands));
}

Result<ExpressionPointer> ExpressionParser::slice(ExpressionPointer object,
                                                  ExpressionPointer start) {
  const int line = current().line;
  Operands operands;
  operands.push_back(std::move(object));
  operands.push_back(std::move(start));
  while (operands.size() < 4 && skip_symbol(":")) {
    const bool absent = at_symbol(":") || at_symbol("]");
    operands.push_back(absent ? nullptr : TRY(expression()));
  }
  operands.resize(4);
  TRY(expect_symbol("]"));
  return make(ExpressionKind::slice, line, std::move(operands));
}

int ExpressionParser::depth_of(const CallArguments& arguments) {
  int depth = 0;
  for (const ExpressionPointer& value : arguments.positional) {
    depth = std::max(depth, value->depth);
  }
  for (const CallArguments::Named& named : arguments.named) {
    depth = std::max(depth, named.value->depth);
  }
  if (arguments.star != nullptr) depth = std::max(depth, arguments.star->depth);
  if (arguments.double_star != nullptr) depth = std::max(depth, arguments.double_star->depth);
  return depth;
}

Result<ExpressionPointer> ExpressionParser::with_arguments(
    ExpressionPointer node, std::unique_ptr<CallArguments> arguments) {
  if (arguments == nullptr) return node;
  node->depth = std::max(node->depth, depth_of(*arguments) + 1);
  node->arguments = std::move(arguments);
  if (node->depth > kMaximumSyntaxDepth) {
    return fail("line {}: expected an expression of at most {} nested terms, found more",
                node->line, kMaximumSyntaxDepth);
  }
  return node;
}

Result<ExpressionPointer> ExpressionParser::call(ExpressionPointer function) {
  const int line = current().line;
  std::unique_ptr<CallArguments> arguments = TRY(call_arguments());
  ExpressionPointer node = TRY(join(ExpressionKind::call, line, std::move(function)));
  return with_arguments(std::move(node), std::move(arguments));
}

Result<std::unique_ptr<CallArguments>> ExpressionParser::call_arguments() {
  TRY(expect_symbol("("));
  auto arguments = std::make_unique<CallArguments>();
  bool first = true;
  while (!at_symbol(")")) {
    if (!first) {
      TRY(expect_symbol(","));
      if (at_symbol(")")) break;
    }
    first = false;
    TRY(call_argument(*arguments));
  }
  TRY(expect_symbol(")"));
  return arguments;
}

Result<void> ExpressionParser::call_argument(CallArguments& arguments) {
  const bool unpacked = arguments.star != nullptr || arguments.double_star != nullptr;
  if (at_symbol("*")) {
    if (unpacked) return unexpected("at most one *argument, before any **argument");
    advance();
    arguments.star = TRY(expression());
  } else if (at_symbol("**")) {
    if (arguments.double_star != nullptr) return unexpected("at most one **argument");
    advance();
    arguments.double_star = TRY(expression());
  } else if (current().kind == TokenKind::name && ahead().kind == TokenKind::symbol &&
             ahead().view == "=") {
    if (arguments.double_star != nullptr) return unexpected("no argument behind **argument");
    const std::string_view name = advance().view;
    if (arguments.named.size() >= kMaximumNamedArguments) {
      return unexpected(fmt::format("at most {} named arguments", kMaximumNamedArguments));
    }
    for (const CallArguments::Named& named : arguments.named) {
      if (named.name == name) return unexpected(fmt::format("argument '{}' once", name));
    }
    advance();
    arguments.named.push_back({ name, TRY(expression()) });
  } else {
    if (unpacked || !arguments.named.empty()) return unexpected("a named argument");
    arguments.positional.push_back(TRY(expression()));
  }
  return {};
}

Result<std::string_view> ExpressionParser::dotted_name() {
  const std::string_view first = TRY(identifier());
  std::string_view last = first;
  while (skip_symbol(".")) last = TRY(identifier());
  // The tokens are views of one text, so the whole name lies between the first and the last.
  return std::string_view(first.data(),
                          static_cast<size_t>(last.data() + last.size() - first.data()));
}

Result<ExpressionPointer> ExpressionParser::filter(ExpressionPointer input) {
  const int line = current().line;
  const std::string_view name = TRY(dotted_name());
  const BuiltinEntry* builtin = find_filter(name);
  if (builtin == nullptr && conditional_depth_ == 0 && unknown_.empty()) {
    unknown_ = fmt::format("line {}: the filter '{}' is not supported", line, name);
  }
  std::unique_ptr<CallArguments> arguments;
  if (at_symbol("(")) arguments = TRY(call_arguments());
  ExpressionPointer node = TRY(join(ExpressionKind::filter, line, std::move(input)));
  node->name = name;
  node->builtin = builtin;
  return with_arguments(std::move(node), std::move(arguments));
}

Result<ExpressionPointer> ExpressionParser::filters(ExpressionPointer input) {
  while (skip_symbol("|")) input = TRY(filter(std::move(input)));
  return input;
}

Result<ExpressionPointer> ExpressionParser::test(ExpressionPointer input) {
  const int line = advance().line;
  const bool negated = skip_name("not");
  const std::string_view name = TRY(dotted_name());
  const BuiltinEntry* builtin = find_test(name);
  if (builtin == nullptr && conditional_depth_ == 0 && unknown_.empty()) {
    unknown_ = fmt::format("line {}: the test '{}' is not supported", line, name);
  }
  std::unique_ptr<CallArguments> arguments;
  const TokenKind kind = current().kind;
  const bool operand =
      (kind == TokenKind::name && !at_name("else") && !at_name("or") && !at_name("and")) ||
      kind == TokenKind::text || kind == TokenKind::integer || kind == TokenKind::real ||
      at_symbol("[") || at_symbol("{");
  if (at_symbol("(")) {
    arguments = TRY(call_arguments());
  } else if (operand) {
    if (at_name("is")) return unexpected("no second 'is'");
    ExpressionPointer argument = TRY(primary());
    argument = TRY(postfix(std::move(argument)));
    arguments = std::make_unique<CallArguments>();
    arguments->positional.push_back(std::move(argument));
  }
  ExpressionPointer node = TRY(join(ExpressionKind::test, line, std::move(input)));
  node->name = name;
  node->builtin = builtin;
  node = TRY(with_arguments(std::move(node), std::move(arguments)));
  if (!negated) return node;
  return join(ExpressionKind::logical_not, line, std::move(node));
}

Result<Target> ExpressionParser::target_item(bool with_namespace) {
  const DepthGuard guard(nesting_);
  TRY(check_nesting());
  if (skip_symbol("(")) {
    Target result = TRY(target(with_namespace, ""));
    TRY(expect_symbol(")"));
    return result;
  }
  const Token& token = current();
  if (token.kind != TokenKind::name) return unexpected("a name to assign to");
  advance();
  for (const char* word : {"true", "false", "none", "True", "False", "None"}) {
    if (token.view == word) return fail("line {}: cannot assign to '{}'", token.line, token.view);
  }
  Target result{.line = token.line, .name = token.view};
  if (with_namespace && skip_symbol(".")) {
    result.kind = Target::Kind::attribute;
    result.attribute = TRY(identifier());
  } else if (loop_depth_ > 0 && token.view == "loop") {
    return fail("line {}: cannot assign to the special variable 'loop' in a loop", token.line);
  }
  return result;
}

Result<Target> ExpressionParser::target(bool with_namespace, std::string_view end_name) {
  Target result{.kind = Target::Kind::tuple, .line = current().line};
  bool is_tuple = false;
  while (true) {
    if (at_tuple_end(end_name)) break;
    result.items.push_back(TRY(target_item(with_namespace)));
    if (!skip_symbol(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && result.items.size() == 1) {
    Target only = std::move(result.items[0]);
    return only;
  }
  if (result.items.empty()) return unexpected("a name to assign to");
  return result;
}

}  // namespace shoehorn::jinja
