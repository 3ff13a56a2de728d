// Parses operands, and the parts that may follow an operand: attributes, items, slices, calls,
// filters and tests.
#include <algorithm>
#include <charconv>

#include "template/jinja/expressions.h"
#include "template/jinja/functions.h"

namespace merope::jinja {
namespace {

using Kind = Expression::Kind;

}  // namespace

Result<ExpressionPtr> ExpressionParser::ParsePrimary() {
  Expression constant = Start(Kind::kConstant);
  switch (Current().kind) {
    case TokenKind::kName: {
      const Token token = Next();
      const std::string& name = token.text;
      if (name == "true" || name == "True" || name == "false" || name == "False") {
        constant.value = Value::Bool(name == "true" || name == "True");
      } else if (name == "none" || name == "None") {
        constant.value = Value::NoneValue();
      } else {
        constant.kind = Kind::kName;
        constant.name = name;
        met_.caller |= name == "caller";
        met_.varargs |= name == "varargs";
        met_.kwargs |= name == "kwargs";
      }
      return Finish(std::move(constant));
    }
    case TokenKind::kString: {
      std::string text;
      while (Current().kind == TokenKind::kString) text += Next().text;
      constant.value = Value::String(std::move(text));
      return Finish(std::move(constant));
    }
    case TokenKind::kInteger: {
      int64_t number = 0;
      const std::string& text = Current().text;
      if (std::from_chars(text.data(), text.data() + text.size(), number).ec != std::errc())
        return Fail(fmt::format("number {}: expected at most {}", text.substr(0, 60), INT64_MAX));
      constant.value = Value::Int(number);
      Next();
      return Finish(std::move(constant));
    }
    case TokenKind::kFloat: {
      double number = 0;
      const std::string& text = Current().text;
      if (std::from_chars(text.data(), text.data() + text.size(), number).ec != std::errc())
        return Fail(fmt::format("number {}: out of range", text.substr(0, 60)));
      constant.value = Value::Double(number);
      Next();
      return Finish(std::move(constant));
    }
    default:
      break;
  }
  if (TakeOperator("(")) {
    if (TakeOperator(")")) return Finish(Start(Kind::kTuple));
    TRY_ASSIGN(ExpressionPtr inside, TupleOrExpression());
    TRY(ExpectOperator(")"));
    return inside;
  }
  if (TakeOperator("[")) {
    Expression list = Start(Kind::kList);
    while (!TakeOperator("]")) {
      TRY_ASSIGN(ExpressionPtr item, ParseExpression());
      list.children.push_back(std::move(item));
      if (!AtOperator("]")) TRY(ExpectOperator(","));
    }
    return Finish(std::move(list));
  }
  if (TakeOperator("{")) return ParseDict();
  return Fail(fmt::format("expected an expression, found {}", Found()));
}

Result<ExpressionPtr> ExpressionParser::ParseDict() {
  Expression dict = Start(Kind::kDict);
  while (!TakeOperator("}")) {
    TRY_ASSIGN(ExpressionPtr key, ParseExpression());
    TRY(ExpectOperator(":"));
    TRY_ASSIGN(ExpressionPtr value, ParseExpression());
    dict.children.push_back(std::move(key));
    dict.children.push_back(std::move(value));
    if (!AtOperator("}")) TRY(ExpectOperator(","));
  }
  return Finish(std::move(dict));
}

Result<ExpressionPtr> ExpressionParser::Postfix(ExpressionPtr expression) {
  while (true) {
    if (TakeOperator(".")) {
      Expression attribute = Start(Kind::kAttribute);
      attribute.children.push_back(std::move(expression));
      if (Current().kind == TokenKind::kInteger) {  // a.0 is a[0]
        attribute.kind = Kind::kItem;
        TRY_ASSIGN(ExpressionPtr index, ParsePrimary());
        attribute.children.push_back(std::move(index));
      } else {
        TRY_ASSIGN(attribute.name, ExpectName());
      }
      TRY_ASSIGN(expression, Finish(std::move(attribute)));
    } else if (TakeOperator("[")) {
      TRY_ASSIGN(expression, Subscript(std::move(expression)));
    } else if (AtOperator("(")) {
      Expression call = Start(Kind::kCall);
      call.children.push_back(std::move(expression));
      TRY(Arguments(&call));
      TRY_ASSIGN(expression, Finish(std::move(call)));
    } else {
      return expression;
    }
  }
}

Result<ExpressionPtr> ExpressionParser::Subscript(ExpressionPtr expression) {
  Expression subscript = Start(Kind::kItem);
  subscript.children.push_back(std::move(expression));
  ExpressionPtr part;
  while (!AtOperator("]")) {
    if (TakeOperator(":")) {
      subscript.kind = Kind::kSlice;
      if (subscript.children.size() >= 3) return Fail("a slice of more than three parts");
      subscript.children.push_back(std::move(part));
      continue;
    }
    if (part != nullptr) return Fail(fmt::format("expected \"]\", found {}", Found()));
    TRY_ASSIGN(part, ParseExpression());
  }
  Next();
  if (part == nullptr && subscript.kind == Kind::kItem)
    return Fail("expected an expression between [ and ]");
  subscript.children.push_back(std::move(part));
  if (subscript.kind == Kind::kSlice) subscript.children.resize(4);
  return Finish(std::move(subscript));
}

Status ExpressionParser::Arguments(Expression* call) {
  TRY(ExpectOperator("("));
  while (!TakeOperator(")")) {
    if (TakeOperator("*")) {
      if (call->spread != nullptr || call->named_spread != nullptr)
        return Fail("\"*\" after another, or after \"**\"");
      TRY_ASSIGN(call->spread, ParseExpression());
    } else if (TakeOperator("**")) {
      if (call->named_spread != nullptr) return Fail("\"**\" after another");
      TRY_ASSIGN(call->named_spread, ParseExpression());
    } else if (Current().kind == TokenKind::kName && Ahead().kind == TokenKind::kOperator &&
               Ahead().text == "=") {
      if (call->named_spread != nullptr) return Fail("an argument after \"**\"");
      std::string name = Next().text;
      Next();
      TRY_ASSIGN(ExpressionPtr value, ParseExpression());
      call->keywords.emplace_back(std::move(name), std::move(value));
    } else {
      if (!call->keywords.empty() || call->spread != nullptr || call->named_spread != nullptr)
        return Fail("an argument without a name after one with a name");
      TRY_ASSIGN(ExpressionPtr value, ParseExpression());
      call->children.push_back(std::move(value));
    }
    if (!AtOperator(")")) TRY(ExpectOperator(","));
  }
  return {};
}

Result<ExpressionPtr> ExpressionParser::Filters(ExpressionPtr expression, bool bare_first) {
  while (true) {
    if (std::exchange(bare_first, false) || TakeOperator("|")) {
      Expression filter = Start(Kind::kFilter);
      TRY_ASSIGN(filter.name, ExpectName());
      if (!HasFilter(filter.name))
        unknown_.push_back(
            Fail(fmt::format("the filter \"{}\" is not supported", filter.name)).error());
      filter.children.push_back(std::move(expression));
      if (AtOperator("(")) TRY(Arguments(&filter));
      TRY_ASSIGN(expression, Finish(std::move(filter)));
    } else if (TakeName("is")) {
      TRY_ASSIGN(expression, Test(std::move(expression)));
    } else if (AtOperator("(")) {  // a call of the result of a filter
      TRY_ASSIGN(expression, Postfix(std::move(expression)));
    } else {
      return expression;
    }
  }
}

Result<ExpressionPtr> ExpressionParser::Test(ExpressionPtr expression) {
  Expression negation = Start(Kind::kNot), test = Start(Kind::kTest);
  const bool negated = TakeName("not");
  TRY_ASSIGN(test.name, ExpectName());
  if (!HasTest(test.name))
    unknown_.push_back(Fail(fmt::format("the test \"{}\" is not supported", test.name)).error());
  test.children.push_back(std::move(expression));
  const auto kind = Current().kind;
  if (AtOperator("(")) {
    TRY(Arguments(&test));
  } else if ((kind == TokenKind::kName && !AtName("else") && !AtName("or") && !AtName("and")) ||
             kind == TokenKind::kString || kind == TokenKind::kInteger ||
             kind == TokenKind::kFloat || AtOperator("[") || AtOperator("{")) {
    if (AtName("is")) return Fail("a test right after a test: expected \"and\" or \"or\"");
    TRY_ASSIGN(ExpressionPtr argument, ParsePrimary());
    TRY_ASSIGN(argument, Postfix(std::move(argument)));
    test.children.push_back(std::move(argument));
  }
  TRY_ASSIGN(ExpressionPtr tested, Finish(std::move(test)));
  if (!negated) return tested;
  negation.children.push_back(std::move(tested));
  return Finish(std::move(negation));
}

}  // namespace merope::jinja
