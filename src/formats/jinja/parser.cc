#include "formats/jinja/parser.h"

#include <algorithm>
#include <initializer_list>

#include "formats/jinja/expression_parser.h"

namespace shoehorn::jinja {
namespace {

using EndNames = std::initializer_list<std::string_view>;

std::string join_names(EndNames names) {
  std::string out;
  for (const std::string_view name : names) {
    out += fmt::format("{}'{}'", out.empty() ? "" : " or ", name);
  }
  return out;
}

class StatementParser : private ExpressionParser {
 public:
  using ExpressionParser::ExpressionParser;

  Result<Body> whole() {
    Body result = TRY(body({}));
    if (current().kind != TokenKind::end) return unexpected("the end of the template");
    return result;
  }

 private:
  // Statements up to {% and one of `ends` (not consumed), or the end of the template.
  Result<Body> body(EndNames ends) {
    const DepthGuard guard(nesting_);
    TRY(check_nesting());
    Body result;
    while (current().kind != TokenKind::end) {
      const Token& token = advance();
      if (token.kind == TokenKind::data) {
        auto text = make(StatementKind::text, token.line);
        text->text = token.view;
        result.push_back(std::move(text));
      } else if (token.kind == TokenKind::variable_begin) {
        auto print = make(StatementKind::print, token.line);
        print->expressions.push_back(TRY(tuple_or_expression(true, "", false)));
        TRY(expect(TokenKind::variable_end, "'}}'"));
        result.push_back(std::move(print));
      } else {
        if (at_one_of(ends)) return result;
        result.push_back(TRY(statement(ends)));
        TRY(expect(TokenKind::block_end, "'%}'"));
      }
      if (!unknown_.empty()) return Error{unknown_};
    }
    if (ends.size() > 0) return unexpected(join_names(ends));
    return result;
  }

  bool at_one_of(EndNames names) const {
    return std::any_of(names.begin(), names.end(),
                       [this](std::string_view name) { return at_name(name); });
  }

  // A body behind the rest of an opening tag.
  Result<Body> block(EndNames ends) {
    skip_symbol(":");
    TRY(expect(TokenKind::block_end, "'%}'"));
    return body(ends);
  }

  // A body whose single end is consumed.
  Result<Body> closed_block(std::string_view end) {
    Body result = TRY(block({end}));
    TRY(expect_name(end));
    return result;
  }

  static StatementPointer make(StatementKind kind, int line) {
    auto statement = std::make_unique<Statement>();
    statement->kind = kind;
    statement->line = line;
    return statement;
  }

  Result<StatementPointer> statement(EndNames ends) {
    const Token& token = current();
    if (token.kind != TokenKind::name) return unexpected("the name of a statement");
    struct Entry {
      std::string_view name;
      Result<StatementPointer> (StatementParser::*parse)(int line);
    };
    static constexpr Entry kStatements[] = {{"if", &StatementParser::conditional},
                                            {"for", &StatementParser::loop},
                                            {"set", &StatementParser::set},
                                            {"macro", &StatementParser::macro},
                                            {"call", &StatementParser::call_block},
                                            {"filter", &StatementParser::filter_block},
                                            {"with", &StatementParser::with},
                                            {"generation", &StatementParser::generation},
                                            {"print", &StatementParser::print},
                                            {"break", &StatementParser::leave_loop},
                                            {"continue", &StatementParser::leave_loop}};
    for (const Entry& entry : kStatements) {
      if (token.view != entry.name) continue;
      return (this->*entry.parse)(token.line);
    }
    for (const char* name :
         {"include", "import", "from", "extends", "block", "autoescape", "do", "trans", "debug"}) {
      if (token.view != name) continue;
      return fail("line {}: the statement '{}' is not supported", token.line, name);
    }
    if (ends.size() > 0) return unexpected(join_names(ends));
    return unexpected("a statement");
  }

  Result<StatementPointer> conditional(int line) {
    StatementPointer result = make(StatementKind::conditional, line);
    advance();
    while (true) {
      const DepthGuard guard(conditional_depth_);
      Statement::Branch branch;
      branch.condition = TRY(tuple_or_expression(false, "", false));
      branch.body = TRY(block({"elif", "else", "endif"}));
      result->branches.push_back(std::move(branch));
      if (skip_name("elif")) continue;
      if (skip_name("else")) {
        result->else_body = TRY(closed_block("endif"));
      } else {
        TRY(expect_name("endif"));
      }
      return result;
    }
  }

  Result<StatementPointer> loop(int line) {
    StatementPointer result = make(StatementKind::loop, line);
    advance();
    const DepthGuard guard(loop_depth_);
    result->target = TRY(target(false, "in"));
    TRY(expect_name("in"));
    result->expressions.push_back(TRY(tuple_or_expression(false, "recursive", false)));
    if (skip_name("if")) {
      result->function = std::make_unique<Macro>();
      result->function->parameters.push_back(result->target);
      result->expressions.push_back(TRY(expression()));
    }
    if (at_name("recursive")) return fail("line {}: recursive loops are not supported", line);
    result->body = TRY(block({"endfor", "else"}));
    if (skip_name("else")) {
      result->else_body = TRY(closed_block("endfor"));
    } else {
      TRY(expect_name("endfor"));
    }
    return result;
  }

  Result<StatementPointer> leave_loop(int line) {
    if (loop_depth_ == 0) return unexpected("a loop around this statement");
    const bool is_break = advance().view == "break";
    return make(is_break ? StatementKind::break_loop : StatementKind::continue_loop, line);
  }

  Result<StatementPointer> set(int line) {
    advance();
    StatementPointer result = make(StatementKind::set, line);
    result->target = TRY(target(true, ""));
    if (skip_symbol("=")) {
      result->expressions.push_back(TRY(tuple_or_expression(true, "", false)));
      return result;
    }
    result->kind = StatementKind::set_block;
    result->expressions.push_back(TRY(filters(nullptr)));
    result->body = TRY(closed_block("endset"));
    return result;
  }

  Result<void> parameters(Macro& macro) {
    TRY(expect_symbol("("));
    while (!at_symbol(")")) {
      if (!macro.parameters.empty()) TRY(expect_symbol(","));
      const int line = current().line;
      const std::string_view name = TRY(identifier());
      if (macro.parameters.size() >= kMaximumNamedArguments) {
        return unexpected(fmt::format("at most {} parameters", kMaximumNamedArguments));
      }
      for (const Target& other : macro.parameters) {
        if (other.name == name) return fail("line {}: duplicate argument '{}'", line, name);
      }
      macro.parameters.push_back({.line = line, .name = name});
      if (skip_symbol("=")) {
        macro.defaults.push_back(TRY(expression()));
      } else if (!macro.defaults.empty()) {
        return unexpected("a default, as the parameter before has one,");
      }
    }
    return expect_symbol(")");
  }

  // The body of a macro or call block: a function, so loops around it cannot be left from inside.
  Result<void> function_body(Macro& macro, std::string_view end) {
    macros_.push_back(&macro);
    const int outer_loop_depth = std::exchange(loop_depth_, 0);
    macro.body = TRY(closed_block(end));
    loop_depth_ = outer_loop_depth;
    macros_.pop_back();
    for (size_t i = 0; i < macro.parameters.size(); ++i) {
      const std::string_view name = macro.parameters[i].name;
      const bool has_default = i + macro.defaults.size() >= macro.parameters.size();
      if (name == "caller" && macro.uses_caller && !has_default) {
        return fail("line {}: the argument 'caller' needs a default", macro.parameters[i].line);
      }
      if (name == "caller") macro.uses_caller = false;
      if (name == "kwargs") macro.uses_kwargs = false;
      if (name == "varargs") macro.uses_varargs = false;
    }
    return {};
  }

  Result<StatementPointer> macro(int line) {
    advance();
    StatementPointer result = make(StatementKind::macro, line);
    result->function = std::make_unique<Macro>();
    result->function->name = TRY(identifier());
    result->target = {.line = line, .name = result->function->name};
    TRY(parameters(*result->function));
    TRY(function_body(*result->function, "endmacro"));
    return result;
  }

  Result<StatementPointer> call_block(int line) {
    advance();
    StatementPointer result = make(StatementKind::call_block, line);
    result->function = std::make_unique<Macro>();
    result->function->name = "caller";
    if (at_symbol("(")) TRY(parameters(*result->function));
    result->expressions.push_back(TRY(expression()));
    if (result->expressions[0]->kind != ExpressionKind::call) {
      return fail("line {}: expected a call of a macro", line);
    }
    TRY(function_body(*result->function, "endcall"));
    return result;
  }

  Result<StatementPointer> filter_block(int line) {
    advance();
    StatementPointer result = make(StatementKind::filter_block, line);
    ExpressionPointer first = TRY(filter(nullptr));
    result->expressions.push_back(TRY(filters(std::move(first))));
    result->body = TRY(closed_block("endfilter"));
    return result;
  }

  Result<StatementPointer> with(int line) {
    advance();
    StatementPointer result = make(StatementKind::with, line);
    while (current().kind != TokenKind::block_end) {
      if (!result->targets.empty()) TRY(expect_symbol(","));
      result->targets.push_back(TRY(target(false, "")));
      TRY(expect_symbol("="));
      result->expressions.push_back(TRY(expression()));
    }
    result->body = TRY(closed_block("endwith"));
    return result;
  }

  // {% generation %}: transformers' mark of what the assistant said, for training. Only its scope
  // shows here.
  Result<StatementPointer> generation(int line) {
    advance();
    StatementPointer result = make(StatementKind::scope, line);
    const int outer_loop_depth = std::exchange(loop_depth_, 0);
    result->body = TRY(closed_block("endgeneration"));
    loop_depth_ = outer_loop_depth;
    return result;
  }

  Result<StatementPointer> print(int line) {
    advance();
    StatementPointer result = make(StatementKind::print, line);
    while (current().kind != TokenKind::block_end) {
      if (!result->expressions.empty()) TRY(expect_symbol(","));
      result->expressions.push_back(TRY(expression()));
    }
    return result;
  }
};

}  // namespace

Result<std::unique_ptr<Template>> parse_template(std::string_view text) {
  if (text.size() > kMaximumTemplateBytes) {
    return fail("expected a template of at most {} bytes, found {}", kMaximumTemplateBytes,
                text.size());
  }
  auto tree = std::make_unique<Template>();
  tree->text = normalize_template(text);
  std::vector<Token> tokens = TRY(tokenize(tree->text));
  tree->body = TRY(StatementParser(std::move(tokens), tree->arena).whole());
  bind_names(*tree);
  return tree;
}

}  // namespace shoehorn::jinja
