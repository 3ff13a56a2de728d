// ExpressionParser: the part of the parser that parses expressions. An ExpressionParser is a cursor
// over the tokens and has one function per precedence level of Jinja. The statement parser
// (parser.cc) owns an ExpressionParser.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "template/jinja/ast.h"
#include "template/jinja/cursor.h"

namespace merope::jinja {

class ExpressionParser : public TokenCursor {
 public:
  using TokenCursor::TokenCursor;

  // Parses an expression. An expression with a comma outside parentheses is a tuple.
  Result<ExpressionPtr> TupleOrExpression();
  Result<ExpressionPtr> ParseExpression();
  // Parses an expression without a trailing "if … else". A for statement has such an expression
  // after "in".
  Result<ExpressionPtr> ParseOr();
  // Parses |name(arguments) and further filters, and applies them to the expression. bare_first:
  // the first filter has no "|" before its name.
  Result<ExpressionPtr> Filters(ExpressionPtr expression, bool bare_first = false);
  // Parses names with commas between them, as in for and set.
  Result<Target> ParseTarget();
  // An unknown filter or test is an error, unless the filter or test is in a branch of an if
  // statement or of a conditional expression. ForgiveUnknown forgets the unknown filters and tests
  // after the first `since`. RefuseUnknown returns the error of the first unknown filter or test
  // after these.
  size_t unknown_count() const { return unknown_.size(); }
  void ForgiveUnknown(size_t since) { unknown_.resize(since, Error{}); }
  Status RefuseUnknown(size_t since) const;
  // The special names of macros that the parser has met since the caller last cleared met().
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
  // Parses the arguments in parentheses and appends them to the call.
  Status Arguments(Expression* call);
  // Parses one precedence level of left-associative binary operators.
  using Level = Result<ExpressionPtr> (ExpressionParser::*)();
  Result<ExpressionPtr> Binary(Level operand, std::initializer_list<std::string_view> operators);

  // Sets the depth of the expression. A depth beyond the limit is an error.
  Result<ExpressionPtr> Finish(Expression expression) const;
  Expression Start(Expression::Kind kind) const;

  int nesting_ = 0;
  std::vector<Error> unknown_;
  SpecialNames met_;
};

}  // namespace merope::jinja
