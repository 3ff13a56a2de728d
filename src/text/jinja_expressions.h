// The expression half of the parser: a cursor over the tokens, and Jinja's precedence levels as one
// function each.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja_ast.h"
#include "text/jinja_cursor.h"

namespace merope::jinja {

class ExpressionParser : public TokenCursor {
 public:
  using TokenCursor::TokenCursor;

  // An expression; with an unparenthesized comma, a tuple.
  Result<ExpressionPtr> TupleOrExpression();
  Result<ExpressionPtr> ParseExpression();
  // Without a trailing "if … else": what stands after "in" in a for statement.
  Result<ExpressionPtr> ParseOr();
  // |name(arguments) and so on, onto the expression. bare_first: the first comes without its "|".
  Result<ExpressionPtr> Filters(ExpressionPtr expression, bool bare_first = false);
  // Names with commas between, as for and set take them.
  Result<Target> ParseTarget();
  // Filters and tests that are not known are errors, unless they stand in a branch: of an if, or of
  // a conditional expression.
  size_t unknown_count() const { return unknown_.size(); }
  void ForgiveUnknown(size_t since) { unknown_.resize(since, Error{}); }
  Status RefuseUnknown(size_t since) const;
  // Which of a macro's special names were met since this was last cleared.
  struct SpecialNames {
    bool caller = false, varargs = false, kwargs = false;
  };
  SpecialNames& met() { return met_; }

 private:
  Result<ExpressionPtr> ParseAnd();
  Result<ExpressionPtr> ParseNot();
  Result<ExpressionPtr> ParseCompare();
  Result<ExpressionPtr> ParseSum();
  Result<ExpressionPtr> ParseConcat();
  Result<ExpressionPtr> ParseProduct();
  Result<ExpressionPtr> ParsePower();
  Result<ExpressionPtr> ParseUnary(bool with_filters);
  Result<ExpressionPtr> ParsePrimary();
  Result<ExpressionPtr> ParseDict();
  Result<ExpressionPtr> Postfix(ExpressionPtr expression);
  Result<ExpressionPtr> Subscript(ExpressionPtr expression);
  Result<ExpressionPtr> Test(ExpressionPtr expression);
  // What stands in parentheses, behind what the call already has.
  Status Arguments(Expression* call);
  // A level of left-associative binary operators.
  using Level = Result<ExpressionPtr> (ExpressionParser::*)();
  Result<ExpressionPtr> Binary(Level operand, std::initializer_list<std::string_view> operators);

  // The expression with its depth; an error where it is too deep.
  Result<ExpressionPtr> Finish(Expression expression) const;
  Expression Start(Expression::Kind kind) const;

  int nesting_ = 0;
  std::vector<Error> unknown_;
  SpecialNames met_;
};

}  // namespace merope::jinja
