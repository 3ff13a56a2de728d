#include "template/jinja/parser.h"

#include <algorithm>
#include <array>

#include "template/jinja/expressions.h"

namespace merope::jinja {
namespace {

constexpr int kMaxStatementDepth = 50;

class Parser {
 public:
  Parser(std::vector<Token> tokens, const std::string& file) : in_(std::move(tokens), file) {}

  Result<Body> Run() {
    TRY_ASSIGN(Body body, ParseFrame({}));
    if (in_.Current().kind != TokenKind::kEnd)
      return in_.Fail(fmt::format("unexpected statement {}", in_.Found()));
    return body;
  }

 private:
  // Parses statements up to a statement whose name is in ends. ParseBody takes the "{%" of that
  // statement, but not the name. If ends is empty, ParseBody parses to the end of the template.
  Result<Body> ParseBody(std::initializer_list<std::string_view> ends) {
    Body body;
    if (++depth_ > kMaxStatementDepth)
      return in_.Fail(fmt::format("statements nested deeper than {} levels", kMaxStatementDepth));
    while (true) {
      Statement statement;
      statement.line = in_.Current().line;
      if (in_.Current().kind == TokenKind::kEnd) {
        if (ends.size() > 0)
          return in_.Fail(
              fmt::format("expected {}, found the end of the template", *(ends.end() - 1)));
        break;
      }
      if (in_.Current().kind == TokenKind::kText) {
        statement.kind = Statement::Kind::kText;
        statement.text = in_.Next().text;
      } else if (in_.Current().kind == TokenKind::kOutputBegin) {
        in_.Next();
        statement.kind = Statement::Kind::kOutput;
        TRY_ASSIGN(statement.expression, in_.TupleOrExpression());
        TRY(in_.Expect(TokenKind::kOutputEnd, "\"}}\""));
      } else {
        TRY(in_.Expect(TokenKind::kBlockBegin, "a statement"));
        if (std::ranges::any_of(ends, [this](std::string_view end) { return in_.AtName(end); }))
          break;
        TRY(ParseStatement(&statement));
      }
      body.push_back(std::move(statement));
    }
    --depth_;
    return body;
  }

  // Parses a body that is a frame of its own. Every body except the bodies of an if is a frame. An
  // unknown filter or test in a frame is an error, even if the body never runs.
  Result<Body> ParseFrame(std::initializer_list<std::string_view> ends) {
    const size_t known = in_.unknown_count();
    TRY_ASSIGN(Body body, ParseBody(ends));
    TRY(in_.RefuseUnknown(known));
    return body;
  }

  Status ParseStatement(Statement* statement) {
    const auto is = [this](std::string_view name) { return in_.TakeName(name); };
    if (is("if")) return If(statement);
    if (is("for")) return For(statement);
    if (is("set")) return Set(statement);
    if (is("macro")) return Macro(statement);
    if (is("call")) return Call(statement);
    if (is("with")) return With(statement);
    if (is("filter")) return Filter(statement);
    if (is("generation")) {
      statement->kind = Statement::Kind::kScope;
      TRY(EndStatement());
      return ScopeUntil("endgeneration", statement);
    }
    if (in_.AtName("break") || in_.AtName("continue")) {
      if (loops_ == 0) return in_.Fail(in_.Found() + " outside of a for");
      statement->kind = is("break") ? Statement::Kind::kBreak : Statement::Kind::kContinue;
      if (statement->kind == Statement::Kind::kContinue) in_.Next();
      return EndStatement();
    }
    return in_.Fail(fmt::format("the statement {} is not supported here", in_.Found()));
  }

  Status If(Statement* statement) {
    statement->kind = Statement::Kind::kIf;
    const size_t known = in_.unknown_count();
    do {
      Statement::Branch branch;
      TRY_ASSIGN(branch.condition, in_.TupleOrExpression());
      TRY(EndStatement());
      TRY_ASSIGN(branch.body, ParseBody({"elif", "else", "endif"}));
      statement->branches.push_back(std::move(branch));
    } while (in_.TakeName("elif"));
    if (in_.TakeName("else")) {
      TRY(EndStatement());
      TRY_ASSIGN(statement->else_body, ParseBody({"endif"}));
    }
    in_.ForgiveUnknown(known);
    in_.Next();
    return EndStatement();
  }

  Status For(Statement* statement) {
    statement->kind = Statement::Kind::kFor;
    TRY_ASSIGN(statement->target, in_.ParseTarget());
    if (!statement->target.attribute.empty() ||
        std::ranges::find(statement->target.names, "loop") != statement->target.names.end())
      return in_.Fail("for: expected names other than \"loop\" before \"in\"");
    if (!in_.TakeName("in")) return in_.Fail("for: expected \"in\", found " + in_.Found());
    TRY_ASSIGN(statement->expression, Iterated());
    if (in_.TakeName("if")) {
      TRY_ASSIGN(statement->condition, in_.ParseExpression());
    }
    if (in_.AtName("recursive")) return in_.Fail("for: recursive is not supported");
    TRY(EndStatement());
    ++loops_;
    TRY_ASSIGN(statement->body, ParseFrame({"else", "endfor"}));
    --loops_;
    if (in_.TakeName("else")) {
      TRY(EndStatement());
      TRY_ASSIGN(statement->else_body, ParseFrame({"endfor"}));
    }
    in_.Next();
    return EndStatement();
  }

  // Parses the expression that a for iterates over. This expression is not a conditional
  // expression, because an "if" after it belongs to the loop.
  Result<ExpressionPtr> Iterated() {
    TRY_ASSIGN(ExpressionPtr first, in_.ParseOr());
    if (in_.AtOperator(",")) return in_.Fail("for: a tuple without parentheses is not supported");
    return first;
  }

  Status Set(Statement* statement) {
    TRY_ASSIGN(statement->target, in_.ParseTarget());
    if (in_.TakeOperator("=")) {
      statement->kind = Statement::Kind::kSet;
      TRY_ASSIGN(statement->expression, in_.TupleOrExpression());
      return EndStatement();
    }
    statement->kind = Statement::Kind::kSetBlock;
    if (statement->target.names.size() != 1)
      return in_.Fail("set: expected \"=\", found " + in_.Found());
    TRY(BlockFilters(statement));
    TRY(EndStatement());
    return BodyUntil("endset", &statement->body);
  }

  Status Filter(Statement* statement) {
    statement->kind = Statement::Kind::kFilter;
    Expression text;
    text.kind = Expression::Kind::kName;
    text.line = statement->line;
    text.name = kBlockText;
    const size_t known = in_.unknown_count();
    // The first filter has no "|" before it.
    TRY_ASSIGN(statement->expression,
               in_.Filters(std::make_unique<const Expression>(std::move(text)), true));
    TRY(in_.RefuseUnknown(known));
    TRY(EndStatement());
    return BodyUntil("endfilter", &statement->body);
  }

  // Parses the filters for the text of a block, as an expression on the name kBlockText. Without
  // filters, the expression is only that name.
  Status BlockFilters(Statement* statement) {
    Expression text;
    text.kind = Expression::Kind::kName;
    text.line = statement->line;
    text.name = kBlockText;
    const size_t known = in_.unknown_count();
    TRY_ASSIGN(statement->expression,
               in_.Filters(std::make_unique<const Expression>(std::move(text))));
    return in_.RefuseUnknown(known);
  }

  Status With(Statement* statement) {
    statement->kind = Statement::Kind::kScope;
    while (in_.Current().kind != TokenKind::kBlockEnd) {
      if (!statement->assignments.empty()) TRY(in_.ExpectOperator(","));
      std::pair<Target, ExpressionPtr> assignment;
      TRY_ASSIGN(std::string name, in_.ExpectName());
      assignment.first.names.push_back(std::move(name));
      TRY(in_.ExpectOperator("="));
      TRY_ASSIGN(assignment.second, in_.ParseExpression());
      statement->assignments.push_back(std::move(assignment));
    }
    TRY(EndStatement());
    return ScopeUntil("endwith", statement);
  }

  Status Macro(Statement* statement) {
    statement->kind = Statement::Kind::kMacro;
    // Such a macro would see the variables of the outer statement after the end of that statement.
    if (loops_ > 0 || macros_ > 0 || scopes_ > 0)
      return in_.Fail("macro: inside of another statement than if: not supported");
    auto macro = std::make_unique<MacroNode>();
    TRY_ASSIGN(macro->name, in_.ExpectName());
    TRY(in_.ExpectOperator("("));
    TRY(Parameters(macro.get()));
    TRY(EndStatement());
    return MacroBody("endmacro", std::move(macro), statement);
  }

  // {% call(parameters) f(arguments) %} body {% endcall %}. The body is the argument caller of f.
  Status Call(Statement* statement) {
    statement->kind = Statement::Kind::kCall;
    auto macro = std::make_unique<MacroNode>();
    macro->name = "caller";
    if (in_.TakeOperator("(")) TRY(Parameters(macro.get()));
    TRY_ASSIGN(statement->expression, in_.ParseExpression());
    if (statement->expression->kind != Expression::Kind::kCall)
      return in_.Fail("call: expected a call");
    TRY(EndStatement());
    return MacroBody("endcall", std::move(macro), statement);
  }

  // Parses the parameters after "(", up to and including ")".
  Status Parameters(MacroNode* macro) {
    while (!in_.TakeOperator(")")) {
      TRY_ASSIGN(std::string parameter, in_.ExpectName());
      macro->parameters.push_back(std::move(parameter));
      if (in_.TakeOperator("=")) {
        TRY_ASSIGN(ExpressionPtr value, in_.ParseExpression());
        macro->defaults.push_back(std::move(value));
      } else if (!macro->defaults.empty()) {
        return in_.Fail("macro: a parameter without a default after one with a default");
      }
      if (!in_.AtOperator(")")) TRY(in_.ExpectOperator(","));
    }
    return {};
  }

  Status MacroBody(std::string_view end, std::unique_ptr<MacroNode> macro, Statement* statement) {
    const auto met_before = std::exchange(in_.met(), {});
    const int loops_before = std::exchange(loops_, 0);  // break needs a loop inside the body
    ++macros_;
    TRY(BodyUntil(end, &macro->body));
    --macros_;
    loops_ = loops_before;
    auto& met = in_.met();
    macro->takes_caller = met.caller;
    macro->takes_varargs = met.varargs;
    macro->takes_kwargs = met.kwargs;
    met.caller |= met_before.caller;
    met.varargs |= met_before.varargs;
    met.kwargs |= met_before.kwargs;
    statement->macro = std::move(macro);
    return {};
  }

  Status ScopeUntil(std::string_view end, Statement* statement) {
    ++scopes_;
    TRY(BodyUntil(end, &statement->body));
    --scopes_;
    return {};
  }

  Status BodyUntil(std::string_view end, Body* body) {
    TRY_ASSIGN(*body, ParseFrame({end}));
    in_.Next();
    // endmacro may repeat the name of the macro.
    if (end == "endmacro" && in_.Current().kind == TokenKind::kName) in_.Next();
    return EndStatement();
  }

  Status EndStatement() { return in_.Expect(TokenKind::kBlockEnd, "\"%}\""); }

  ExpressionParser in_;
  int depth_ = 0, loops_ = 0, macros_ = 0, scopes_ = 0;
};

}  // namespace

Result<Body> ParseTemplate(std::string_view source, const std::string& file) {
  TRY_ASSIGN(std::vector<Token> tokens, Tokenize(source, file));
  return Parser(std::move(tokens), file).Run();
}

}  // namespace merope::jinja
