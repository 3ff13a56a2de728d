#include "template/jinja/expressions.h"

#include <algorithm>

namespace merope::jinja {
namespace {

using Kind = Expression::Kind;

// Limits the recursion when an expression is parsed, rendered or freed.
constexpr int kMaxExpressionDepth = 100;

class Nesting {
 public:
  explicit Nesting(int& level) : level_(++level) {}
  ~Nesting() { --level_; }
  bool too_deep() const { return level_ > kMaxExpressionDepth; }

 private:
  int& level_;
};

}  // namespace

Expression ExpressionParser::Start(Kind kind) const {
  Expression expression;
  expression.kind = kind;
  expression.line = Current().line;
  return expression;
}

Result<ExpressionPtr> ExpressionParser::Finish(Expression expression) const {
  for (const ExpressionPtr& child : expression.children)
    if (child != nullptr) expression.depth = std::max(expression.depth, child->depth + 1);
  for (const auto& [name, child] : expression.keywords)
    expression.depth = std::max(expression.depth, child->depth + 1);
  for (const ExpressionPtr* child : {&expression.spread, &expression.named_spread})
    if (*child != nullptr) expression.depth = std::max(expression.depth, (*child)->depth + 1);
  if (expression.depth > kMaxExpressionDepth)
    return Fail(fmt::format("an expression nested deeper than {} levels", kMaxExpressionDepth));
  return std::make_unique<const Expression>(std::move(expression));
}

Result<ExpressionPtr> ExpressionParser::TupleOrExpression() {
  Expression tuple = Start(Kind::kTuple);
  TRY_ASSIGN(ExpressionPtr first, ParseExpression());
  if (!AtOperator(",")) return first;
  tuple.children.push_back(std::move(first));
  while (TakeOperator(",")) {
    if (Current().kind == TokenKind::kBlockEnd || Current().kind == TokenKind::kOutputEnd ||
        AtOperator(")"))
      break;
    TRY_ASSIGN(ExpressionPtr next, ParseExpression());
    tuple.children.push_back(std::move(next));
  }
  return Finish(std::move(tuple));
}

Result<Target> ExpressionParser::ParseTarget() {
  Target target;
  const bool parenthesized = TakeOperator("(");
  do {
    TRY_ASSIGN(std::string name, ExpectName());
    target.names.push_back(std::move(name));
  } while (TakeOperator(","));
  if (parenthesized) TRY(ExpectOperator(")"));
  if (target.names.size() == 1 && TakeOperator(".")) {
    TRY_ASSIGN(target.attribute, ExpectName());
  }
  return target;
}

Result<ExpressionPtr> ExpressionParser::ParseExpression() {
  const Nesting nesting(nesting_);
  if (nesting.too_deep())
    return Fail(fmt::format("an expression nested deeper than {} levels", kMaxExpressionDepth));
  const size_t known = unknown_.size();
  TRY_ASSIGN(ExpressionPtr value, ParseOr());
  while (AtName("if")) {
    Expression conditional = Start(Kind::kConditional);
    Next();
    conditional.children.push_back(std::move(value));
    TRY_ASSIGN(ExpressionPtr condition, ParseOr());
    conditional.children.push_back(std::move(condition));
    if (TakeName("else")) {
      TRY_ASSIGN(ExpressionPtr otherwise, ParseExpression());
      conditional.children.push_back(std::move(otherwise));
    }
    TRY_ASSIGN(value, Finish(std::move(conditional)));
    ForgiveUnknown(known);
  }
  return value;
}

Status ExpressionParser::RefuseUnknown(size_t since) const {
  if (unknown_.size() == since) return {};
  return std::unexpected(unknown_[since]);
}

Result<ExpressionPtr> ExpressionParser::ParseOr() {
  TRY_ASSIGN(ExpressionPtr left, ParseAnd());
  while (AtName("or")) {
    Expression either = Start(Kind::kOr);
    Next();
    TRY_ASSIGN(ExpressionPtr right, ParseAnd());
    either.children.push_back(std::move(left));
    either.children.push_back(std::move(right));
    TRY_ASSIGN(left, Finish(std::move(either)));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::ParseAnd() {
  TRY_ASSIGN(ExpressionPtr left, ParseNot());
  while (AtName("and")) {
    Expression both = Start(Kind::kAnd);
    Next();
    TRY_ASSIGN(ExpressionPtr right, ParseNot());
    both.children.push_back(std::move(left));
    both.children.push_back(std::move(right));
    TRY_ASSIGN(left, Finish(std::move(both)));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::ParseNot() {
  if (!AtName("not")) return ParseCompare();
  const Nesting nesting(nesting_);
  if (nesting.too_deep())
    return Fail(fmt::format("an expression nested deeper than {} levels", kMaxExpressionDepth));
  Expression negation = Start(Kind::kNot);
  Next();
  TRY_ASSIGN(ExpressionPtr operand, ParseNot());
  negation.children.push_back(std::move(operand));
  return Finish(std::move(negation));
}

Result<ExpressionPtr> ExpressionParser::ParseCompare() {
  Expression comparison = Start(Kind::kCompare);
  TRY_ASSIGN(ExpressionPtr operand, ParseSum());
  comparison.children.push_back(std::move(operand));
  while (true) {
    std::string name;
    for (const std::string_view text : {"==", "!=", "<", "<=", ">", ">="})
      if (TakeOperator(text)) name = text;
    if (name.empty() && TakeName("in")) name = "in";
    if (name.empty() && AtName("not") && Ahead().kind == TokenKind::kName && Ahead().text == "in") {
      Next();
      Next();
      name = "not in";
    }
    if (name.empty()) break;
    comparison.names.push_back(std::move(name));
    TRY_ASSIGN(operand, ParseSum());
    comparison.children.push_back(std::move(operand));
  }
  if (comparison.names.empty()) return ExpressionPtr(std::move(comparison.children.front()));
  return Finish(std::move(comparison));
}

Result<ExpressionPtr> ExpressionParser::Binary(Level operand,
                                               std::initializer_list<std::string_view> operators) {
  TRY_ASSIGN(ExpressionPtr left, (this->*operand)());
  while (true) {
    const auto found =
        std::ranges::find_if(operators, [this](std::string_view text) { return AtOperator(text); });
    if (found == operators.end()) return left;
    Expression binary = Start(Kind::kBinary);
    binary.name = *found;
    Next();
    TRY_ASSIGN(ExpressionPtr right, (this->*operand)());
    binary.children.push_back(std::move(left));
    binary.children.push_back(std::move(right));
    TRY_ASSIGN(left, Finish(std::move(binary)));
  }
}

Result<ExpressionPtr> ExpressionParser::ParseSum() {
  return Binary(&ExpressionParser::ParseConcat, {"+", "-"});
}

Result<ExpressionPtr> ExpressionParser::ParseConcat() {
  Expression concat = Start(Kind::kConcat);
  TRY_ASSIGN(ExpressionPtr first, ParseProduct());
  if (!AtOperator("~")) return first;
  concat.children.push_back(std::move(first));
  while (TakeOperator("~")) {
    TRY_ASSIGN(ExpressionPtr next, ParseProduct());
    concat.children.push_back(std::move(next));
  }
  return Finish(std::move(concat));
}

Result<ExpressionPtr> ExpressionParser::ParseProduct() {
  return Binary(&ExpressionParser::ParsePower, {"*", "//", "/", "%"});
}

Result<ExpressionPtr> ExpressionParser::ParsePower() {
  TRY_ASSIGN(ExpressionPtr left, ParseUnary(true));
  while (AtOperator("**")) {  // left-associative, unlike "**" in Python
    Expression power = Start(Kind::kBinary);
    power.name = "**";
    Next();
    TRY_ASSIGN(ExpressionPtr right, ParseUnary(true));
    power.children.push_back(std::move(left));
    power.children.push_back(std::move(right));
    TRY_ASSIGN(left, Finish(std::move(power)));
  }
  return left;
}

Result<ExpressionPtr> ExpressionParser::ParseUnary(bool with_filters) {
  const Nesting nesting(nesting_);
  if (nesting.too_deep())
    return Fail(fmt::format("an expression nested deeper than {} levels", kMaxExpressionDepth));
  ExpressionPtr value;
  if (AtOperator("-") || AtOperator("+")) {
    Expression unary = Start(Kind::kUnary);
    unary.name = Next().text;
    TRY_ASSIGN(ExpressionPtr operand, ParseUnary(false));
    unary.children.push_back(std::move(operand));
    TRY_ASSIGN(value, Finish(std::move(unary)));
  } else {
    TRY_ASSIGN(value, ParsePrimary());
  }
  TRY_ASSIGN(value, Postfix(std::move(value)));
  return with_filters ? Filters(std::move(value)) : std::move(value);
}

}  // namespace merope::jinja
