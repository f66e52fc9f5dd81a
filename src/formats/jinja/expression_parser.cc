#include "formats/jinja/expression_parser.h"

#include <algorithm>
#include <charconv>
#include <limits>

namespace shoehorn::jinja {

const Token& ExpressionParser::advance() {
  const Token& token = tokens_[position_];
  if (position_ + 1 < tokens_.size()) ++position_;
  return token;
}

bool ExpressionParser::at_symbol(std::string_view symbol) const {
  return current().kind == TokenKind::symbol && current().view == symbol;
}

bool ExpressionParser::at_name(std::string_view name) const {
  return current().kind == TokenKind::name && current().view == name;
}

bool ExpressionParser::skip_symbol(std::string_view symbol) {
  if (!at_symbol(symbol)) return false;
  advance();
  return true;
}

bool ExpressionParser::skip_name(std::string_view name) {
  if (!at_name(name)) return false;
  advance();
  return true;
}

Error ExpressionParser::unexpected(std::string_view expected) const {
  return fail("line {}: expected {}, found {}", current().line, expected, describe(current()));
}

Result<void> ExpressionParser::expect_symbol(std::string_view symbol) {
  if (skip_symbol(symbol)) return {};
  return unexpected(fmt::format("'{}'", symbol));
}

Result<void> ExpressionParser::expect_name(std::string_view name) {
  if (skip_name(name)) return {};
  return unexpected(fmt::format("'{}'", name));
}

Result<void> ExpressionParser::expect(TokenKind kind, std::string_view description) {
  if (current().kind != kind) return unexpected(description);
  advance();
  return {};
}

Result<std::string_view> ExpressionParser::identifier() {
  if (current().kind != TokenKind::name) return unexpected("a name");
  return advance().view;
}

Result<void> ExpressionParser::check_nesting() const {
  if (nesting_ <= kMaximumSyntaxDepth / 2) return {};
  return fail("line {}: expected syntax nested at most {} deep, found more", current().line,
              kMaximumSyntaxDepth / 2);
}

Result<ExpressionPointer> ExpressionParser::make(ExpressionKind kind, int line, Operands operands) {
  auto node = std::make_unique<Expression>();
  node->kind = kind;
  node->line = line;
  for (const ExpressionPointer& operand : operands) {
    if (operand != nullptr) node->depth = std::max(node->depth, operand->depth + 1);
  }
  node->operands = std::move(operands);
  if (node->depth > kMaximumSyntaxDepth) {
    return fail("line {}: expected an expression of at most {} nested terms, found more", line,
                kMaximumSyntaxDepth);
  }
  return node;
}

template <typename... Pointers>
Result<ExpressionPointer> ExpressionParser::join(ExpressionKind kind, int line,
                                                 Pointers... pointers) {
  Operands operands;
  (operands.push_back(std::move(pointers)), ...);
  return make(kind, line, std::move(operands));
}

ExpressionPointer ExpressionParser::constant(int line, const Value& value) const {
  auto node = std::make_unique<Expression>();
  node->line = line;
  node->constant = value;
  return node;
}

// a if condition else b
Result<ExpressionPointer> ExpressionParser::expression(bool with_conditional) {
  const DepthGuard guard(nesting_);
  TRY(check_nesting());
  int line = current().line;
  if (!with_conditional) return disjunction();
  // Which terms are conditional is known only behind them: an unknown filter is forgiven then.
  const std::string unknown = unknown_;
  ExpressionPointer result = TRY(disjunction());
  while (skip_name("if")) {
    unknown_ = unknown;
    const DepthGuard conditional(conditional_depth_);
    ExpressionPointer condition = TRY(disjunction());
    ExpressionPointer otherwise;
    if (skip_name("else")) otherwise = TRY(expression());
    result = TRY(join(ExpressionKind::conditional, line, std::move(condition), std::move(result),
                      std::move(otherwise)));
    line = current().line;
  }
  return result;
}

Result<ExpressionPointer> ExpressionParser::disjunction() {
  const int line = current().line;
  ExpressionPointer left = TRY(conjunction());
  while (skip_name("or")) {
    ExpressionPointer right = TRY(conjunction());
    left = TRY(join(ExpressionKind::logical_or, line, std::move(left), std::move(right)));
  }
  return left;
}

Result<ExpressionPointer> ExpressionParser::conjunction() {
  const int line = current().line;
  ExpressionPointer left = TRY(negation());
  while (skip_name("and")) {
    ExpressionPointer right = TRY(negation());
    left = TRY(join(ExpressionKind::logical_and, line, std::move(left), std::move(right)));
  }
  return left;
}

Result<ExpressionPointer> ExpressionParser::negation() {
  const int line = current().line;
  int count = 0;
  while (skip_name("not")) ++count;
  ExpressionPointer result = TRY(comparison());
  for (; count > 0; --count) {
    result = TRY(join(ExpressionKind::logical_not, line, std::move(result)));
  }
  return result;
}

Result<ExpressionPointer> ExpressionParser::comparison() {
  const int line = current().line;
  Operands operands;
  operands.push_back(TRY(sum()));
  std::vector<Operator> operators;
  while (true) {
    if (skip_symbol("==")) {
      operators.push_back(Operator::equal);
    } else if (skip_symbol("!=")) {
      operators.push_back(Operator::not_equal);
    } else if (skip_symbol("<")) {
      operators.push_back(Operator::less);
    } else if (skip_symbol("<=")) {
      operators.push_back(Operator::less_equal);
    } else if (skip_symbol(">")) {
      operators.push_back(Operator::greater);
    } else if (skip_symbol(">=")) {
      operators.push_back(Operator::greater_equal);
    } else if (skip_name("in")) {
      operators.push_back(Operator::in);
    } else if (at_name("not") && ahead().kind == TokenKind::name && ahead().view == "in") {
      advance();
      advance();
      operators.push_back(Operator::not_in);
    } else {
      break;
    }
    operands.push_back(TRY(sum()));
  }
  if (operators.empty()) return std::move(operands[0]);
  ExpressionPointer node = TRY(make(ExpressionKind::compare, line, std::move(operands)));
  node->operators = std::move(operators);
  return node;
}

Result<ExpressionPointer> ExpressionParser::sum() {
  const int line = current().line;
  ExpressionPointer left = TRY(concatenation());
  while (at_symbol("+") || at_symbol("-")) {
    const Operator operation = advance().view == "+" ? Operator::add : Operator::subtract;
    ExpressionPointer right = TRY(concatenation());
    left = TRY(join(ExpressionKind::binary, line, std::move(left), std::move(right)));
    left->operators = {operation};
  }
  return left;
}

Result<ExpressionPointer> ExpressionParser::concatenation() {
  const int line = current().line;
  Operands operands;
  operands.push_back(TRY(product()));
  while (skip_symbol("~")) operands.push_back(TRY(product()));
  if (operands.size() == 1) return std::move(operands[0]);
  return make(ExpressionKind::concatenate, line, std::move(operands));
}

Result<ExpressionPointer> ExpressionParser::product() {
  const int line = current().line;
  ExpressionPointer left = TRY(power());
  while (at_symbol("*") || at_symbol("/") || at_symbol("//") || at_symbol("%")) {
    const std::string_view symbol = advance().view;
    const Operator operation = symbol == "*"    ? Operator::multiply
                               : symbol == "/"  ? Operator::divide
                               : symbol == "//" ? Operator::floor_divide
                                                : Operator::modulo;
    ExpressionPointer right = TRY(power());
    left = TRY(join(ExpressionKind::binary, line, std::move(left), std::move(right)));
    left->operators = {operation};
  }
  return left;
}

Result<ExpressionPointer> ExpressionParser::power() {
  const int line = current().line;
  ExpressionPointer left = TRY(unary(true));
  while (skip_symbol("**")) {
    ExpressionPointer right = TRY(unary(true));
    left = TRY(join(ExpressionKind::binary, line, std::move(left), std::move(right)));
    left->operators = {Operator::power};
  }
  return left;
}

Result<ExpressionPointer> ExpressionParser::unary(bool with_filter) {
  const DepthGuard guard(nesting_);
  TRY(check_nesting());
  const int line = current().line;
  ExpressionPointer node;
  if (skip_symbol("-")) {
    node = TRY(unary(false));
    node = TRY(join(ExpressionKind::negate, line, std::move(node)));
  } else if (skip_symbol("+")) {
    node = TRY(unary(false));
    node = TRY(join(ExpressionKind::plus, line, std::move(node)));
  } else {
    node = TRY(primary());
  }
  node = TRY(postfix(std::move(node)));
  if (with_filter) return postfix_and_filters(std::move(node));
  return node;
}

Result<ExpressionPointer> ExpressionParser::primary() {
  switch (current().kind) {
    case TokenKind::name:
      return name_or_constant();
    case TokenKind::text:
      return text_literal();
    case TokenKind::integer:
    case TokenKind::real:
      return number_literal();
    default:
      break;
  }
  if (skip_symbol("(")) {
    ExpressionPointer inner = TRY(tuple_or_expression(true, "", true));
    TRY(expect_symbol(")"));
    return inner;
  }
  if (at_symbol("[")) return list_literal();
  if (at_symbol("{")) return dict_literal();
  return unexpected("an expression");
}

Result<ExpressionPointer> ExpressionParser::name_or_constant() {
  const Token& token = advance();
  const std::string_view name = token.view;
  if (name == "true" || name == "True") return constant(token.line, boolean(true));
  if (name == "false" || name == "False") return constant(token.line, boolean(false));
  if (name == "none" || name == "None") return constant(token.line, none());
  for (Macro* macro : macros_) {
    if (name == "caller") macro->uses_caller = true;
    if (name == "kwargs") macro->uses_kwargs = true;
    if (name == "varargs") macro->uses_varargs = true;
  }
  ExpressionPointer node = TRY(make(ExpressionKind::name, token.line, {}));
  node->name = name;
  return node;
}

Result<ExpressionPointer> ExpressionParser::text_literal() {
  const int line = current().line;
  std::string text;
  while (current().kind == TokenKind::text) {
    Result<std::string> part = unescape(advance().view);
    if (!part) return fail("line {}: {}", line, part.error().message);
    text += *part;
  }
  return constant(line, copied_text(arena_, text));
}

Result<ExpressionPointer> ExpressionParser::number_literal() {
  const Token& token = advance();
  std::string digits(token.view);
  digits.erase(std::remove(digits.begin(), digits.end(), '_'), digits.end());
  if (token.kind == TokenKind::real) {
    double value = 0;
    const std::from_chars_result end =
        std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (end.ec == std::errc::result_out_of_range) {
      value = digits.find("e-") == std::string::npos ? std::numeric_limits<double>::infinity() : 0;
    }
    return constant(token.line, real(value));
  }
  const char prefix = digits.size() > 1 ? static_cast<char>(digits[1] | 0x20) : '\0';
  const int base = prefix == 'x' ? 16 : prefix == 'o' ? 8 : prefix == 'b' ? 2 : 10;
  int64_t value = 0;
  const std::from_chars_result end = std::from_chars(digits.data() + (base == 10 ? 0 : 2),
                                                     digits.data() + digits.size(), value, base);
  if (end.ec != std::errc()) {
    return fail("line {}: expected an integer below 2^63, found {}", token.line, token.view);
  }
  return constant(token.line, integer(value));
}

Result<ExpressionPointer> ExpressionParser::list_literal() {
  const int line = advance().line;
  Operands items;
  while (!at_symbol("]")) {
    if (!items.empty()) {
      TRY(expect_symbol(","));
      if (at_symbol("]")) break;
    }
    items.push_back(TRY(expression()));
  }
  TRY(expect_symbol("]"));
  return make(ExpressionKind::list, line, std::move(items));
}

Result<ExpressionPointer> ExpressionParser::dict_literal() {
  const int line = advance().line;
  Operands items;
  while (!at_symbol("}")) {
    if (!items.empty()) {
      TRY(expect_symbol(","));
      if (at_symbol("}")) break;
    }
    items.push_back(TRY(expression()));
    TRY(expect_symbol(":"));
    items.push_back(TRY(expression()));
  }
  TRY(expect_symbol("}"));
  return make(ExpressionKind::dict, line, std::move(items));
}

bool ExpressionParser::at_tuple_end(std::string_view end_name) const {
  const TokenKind kind = current().kind;
  return kind == TokenKind::variable_end || kind == TokenKind::block_end || at_symbol(")") ||
         (!end_name.empty() && at_name(end_name));
}

Result<ExpressionPointer> ExpressionParser::tuple_or_expression(bool with_conditional,
                                                                std::string_view end_name,
                                                                bool in_parentheses) {
  const int line = current().line;
  Operands items;
  bool is_tuple = false;
  while (true) {
    if (!items.empty()) TRY(expect_symbol(","));
    if (at_tuple_end(end_name)) break;
    items.push_back(TRY(expression(with_conditional)));
    if (!at_symbol(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !items.empty()) return std::move(items[0]);
  if (!is_tuple && !in_parentheses) return unexpected("an expression");
  return make(ExpressionKind::tuple, line, std::move(items));
}

}  // namespace shoehorn::jinja
