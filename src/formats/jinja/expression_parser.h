// Recursive descent over the tokens of a template: expressions and assignment targets. The
// statement parser derives from it. Grammar and precedence are Jinja's (jinja.palletsprojects.com).
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "formats/jinja/lexer.h"
#include "formats/jinja/syntax.h"

namespace shoehorn::jinja {

class ExpressionParser {
 public:
  ExpressionParser(std::vector<Token> tokens, Arena& arena)
      : tokens_(std::move(tokens)), arena_(arena) {}

 protected:
  // Tokens.
  const Token& current() const { return tokens_[position_]; }
  const Token& ahead() const { return tokens_[std::min(position_ + 1, tokens_.size() - 1)]; }
  const Token& advance();  // returns the token it leaves
  bool at_symbol(std::string_view symbol) const;
  bool at_name(std::string_view name) const;
  bool skip_symbol(std::string_view symbol);
  bool skip_name(std::string_view name);
  Result<void> expect_symbol(std::string_view symbol);
  Result<void> expect_name(std::string_view name);
  Result<void> expect(TokenKind kind, std::string_view description);
  Result<std::string_view> identifier();
  Error unexpected(std::string_view expected) const;  // "line 3: expected x, found y"

  // Expressions.
  Result<ExpressionPointer> expression(bool with_conditional = true);
  Result<ExpressionPointer> tuple_or_expression(bool with_conditional, std::string_view end_name,
                                                bool in_parentheses);
  // `input` is null in filter blocks and in {% set x | filter %}. The current token is the name.
  Result<ExpressionPointer> filter(ExpressionPointer input);
  Result<ExpressionPointer> filters(ExpressionPointer input);  // | a | b
  Result<Target> target(bool with_namespace, std::string_view end_name);

  // Nested syntax: the depth is bounded so that hostile templates cannot exhaust the stack.
  Result<void> check_nesting() const;
  int nesting_ = 0;
  int conditional_depth_ = 0;  // inside if: unknown filters and tests fail only when reached
  std::string unknown_;        // the error of one outside of conditions, "" for none
  int loop_depth_ = 0;
  std::vector<Macro*> macros_;  // open ones, which learn whether caller, kwargs, varargs are used

 private:
  using Operands = std::vector<ExpressionPointer>;
  Result<ExpressionPointer> make(ExpressionKind kind, int line, Operands operands);
  template <typename... Pointers>
  Result<ExpressionPointer> join(ExpressionKind kind, int line, Pointers... pointers);

  Result<ExpressionPointer> disjunction();
  Result<ExpressionPointer> conjunction();
  Result<ExpressionPointer> negation();
  Result<ExpressionPointer> comparison();
  Result<ExpressionPointer> sum();
  Result<ExpressionPointer> concatenation();
  Result<ExpressionPointer> product();
  Result<ExpressionPointer> power();
  Result<ExpressionPointer> unary(bool with_filter);
  Result<ExpressionPointer> primary();
  Result<ExpressionPointer> name_or_constant();
  Result<ExpressionPointer> text_literal();
  Result<ExpressionPointer> number_literal();
  Result<ExpressionPointer> list_literal();
  Result<ExpressionPointer> dict_literal();
  Result<ExpressionPointer> postfix(ExpressionPointer expression);
  Result<ExpressionPointer> postfix_and_filters(ExpressionPointer expression);
  Result<ExpressionPointer> subscript(ExpressionPointer object);
  Result<ExpressionPointer> slice(ExpressionPointer object, ExpressionPointer start);
  Result<ExpressionPointer> call(ExpressionPointer function);
  Result<ExpressionPointer> test(ExpressionPointer input);
  Result<std::unique_ptr<CallArguments>> call_arguments();
  Result<void> call_argument(CallArguments& arguments);
  Result<std::string_view> dotted_name();
  Result<Target> target_item(bool with_namespace);
  ExpressionPointer constant(int line, const Value& value) const;
  bool at_tuple_end(std::string_view end_name) const;
  static int depth_of(const CallArguments& arguments);
  Result<ExpressionPointer> with_arguments(ExpressionPointer node,
                                           std::unique_ptr<CallArguments> arguments);

  std::vector<Token> tokens_;
  size_t position_ = 0;
  Arena& arena_;
};

}  // namespace shoehorn::jinja
