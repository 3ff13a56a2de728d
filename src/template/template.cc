#include "template/template.h"

#include <algorithm>

#include "template/jinja/ast.h"
#include "template/jinja/parser.h"
#include "template/jinja/renderer.h"

namespace merope::jinja {
namespace {

bool IsNamed(const Expression& expression, std::string_view name) {
  switch (expression.kind) {
    case Expression::Kind::kFilter:
      return IsNamed(*expression.children[0], name);
    case Expression::Kind::kName:
    case Expression::Kind::kAttribute:
      return expression.name == name;
    case Expression::Kind::kItem: {
      const std::string* key = expression.children[1]->value.text();
      return key != nullptr && *key == name;
    }
    default:
      return false;
  }
}

bool Iterates(const Body& body, std::string_view name) {
  return std::ranges::any_of(body, [name](const Statement& statement) {
    return (statement.kind == Statement::Kind::kFor && IsNamed(*statement.expression, name)) ||
           Iterates(statement.body, name) || Iterates(statement.else_body, name) ||
           (statement.macro != nullptr && Iterates(statement.macro->body, name)) ||
           std::ranges::any_of(statement.branches, [name](const Statement::Branch& branch) {
             return Iterates(branch.body, name);
           });
  });
}

}  // namespace

struct Template::Program {
  std::string file;
  Body body;
};

Result<Template> Template::Parse(std::string_view source, std::string file) {
  TRY_ASSIGN(Body body, ParseTemplate(source, file));
  return Template(std::make_shared<const Program>(std::move(file), std::move(body)));
}

Result<std::string> Template::Render(const Variables& variables,
                                     const std::optional<std::tm>& date) const {
  return Renderer(variables, program_->file, date).Render(program_->body);
}

bool Template::IteratesOver(std::string_view name) const { return Iterates(program_->body, name); }

}  // namespace merope::jinja
