#include "template/jinja/renderer.h"

#include <algorithm>

#include "text/strings.h"

namespace merope::jinja {
namespace {

constexpr int64_t kMaxSteps = 2'000'000;
constexpr int64_t kMaxBytes = int64_t{256} << 20;  // total of all strings that a Renderer makes

}  // namespace

void Renderer::Scope::Set(std::string_view name, Value value) {
  for (auto& [known, old] : names)
    if (known == name) {
      old = std::move(value);
      return;
    }
  names.emplace_back(name, std::move(value));
}

std::unexpected<Error> Renderer::At(int line, Error error) const {
  // If the message already has a place, the message keeps this innermost place.
  if (error.message.starts_with(file_ + ": line ")) return std::unexpected(std::move(error));
  return Within(fmt::format("{}: line {}", file_, line), error);
}

Status Renderer::Spend(int64_t steps) {
  steps_ += steps;
  if (steps_ > kMaxSteps) return Err("the template takes more than {} steps", kMaxSteps);
  return {};
}

Status Renderer::Charge(const Value& value) {
  if (const std::string* text = value.text()) {
    bytes_ += std::ssize(*text);
    if (bytes_ > kMaxBytes) return Err("the template makes more than {} bytes of text", kMaxBytes);
  }
  if (const Sequence* sequence = value.sequence()) return Spend(std::ssize(sequence->items));
  if (const Mapping* mapping = value.mapping()) return Spend(std::ssize(mapping->entries));
  return {};
}

Result<std::string> Renderer::Render(const Body& body) {
  Scope root{nullptr};
  root_ = scope_ = &root;
  std::string output;
  out_ = &output;
  TRY(Run(body));
  return output;
}

Result<Renderer::Flow> Renderer::Run(const Body& body) {
  for (const Statement& statement : body) {
    Result<Flow> flow = Flow::kNext;
    if (Status paid = Spend(1); !paid) return At(statement.line, std::move(paid).error());
    flow = RunStatement(statement);
    if (!flow) return At(statement.line, std::move(flow).error());
    if (*flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Result<Renderer::Flow> Renderer::RunStatement(const Statement& statement) {
  switch (statement.kind) {
    case Statement::Kind::kText:
      TRY(Write(statement, statement.text));
      break;
    case Statement::Kind::kOutput: {
      TRY_ASSIGN(const Value value, Evaluate(*statement.expression));
      TRY_ASSIGN(const std::string text, ToText(value));
      TRY(Write(statement, text));
      break;
    }
    case Statement::Kind::kIf:
      return RunIf(statement);
    case Statement::Kind::kFor:
      return RunFor(statement);
    case Statement::Kind::kSet: {
      TRY_ASSIGN(Value value, Evaluate(*statement.expression));
      TRY(Assign(statement, statement.target, std::move(value)));
      break;
    }
    case Statement::Kind::kSetBlock: {
      TRY_ASSIGN(Value value, RunToText(statement.body, *statement.expression));
      TRY(Assign(statement, statement.target, std::move(value)));
      break;
    }
    case Statement::Kind::kFilter: {
      TRY_ASSIGN(const Value value, RunToText(statement.body, *statement.expression));
      TRY_ASSIGN(const std::string text, ToText(value));
      TRY(Write(statement, text));
      break;
    }
    case Statement::Kind::kMacro: {
      const MacroNode* macro = statement.macro.get();
      scope_->Set(
          macro->name,
          Value(Value::Data(std::make_shared<const Callable>(macro->name, std::nullopt, macro))));
      break;
    }
    case Statement::Kind::kCall:
      TRY(RunCallBlock(statement));
      break;
    case Statement::Kind::kScope:
      return RunScope(statement);
    case Statement::Kind::kBreak:
      return Flow::kBreak;
    case Statement::Kind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

Result<Renderer::Flow> Renderer::RunIf(const Statement& statement) {
  for (const Statement::Branch& branch : statement.branches) {
    TRY_ASSIGN(const Value condition, Evaluate(*branch.condition));
    if (condition.Truthy()) return Run(branch.body);
  }
  return Run(statement.else_body);
}

Result<Renderer::Flow> Renderer::RunFor(const Statement& statement) {
  TRY_ASSIGN(const Value iterated, Evaluate(*statement.expression));
  TRY_ASSIGN(std::vector<Value> items, Items(iterated));
  Scope* const outer = scope_;
  if (statement.condition != nullptr) {
    std::vector<Value> kept;
    for (Value& item : items) {
      Scope scope{outer};
      scope_ = &scope;
      TRY(Spend(1));
      TRY(Assign(statement, statement.target, item));
      TRY_ASSIGN(const Value condition, Evaluate(*statement.condition));
      if (condition.Truthy()) kept.push_back(std::move(item));
    }
    scope_ = outer;
    items = std::move(kept);
  }
  if (items.empty()) return Run(statement.else_body);
  Loop loop{&items, 0};
  for (; loop.index < items.size(); ++loop.index) {
    Scope scope{outer, &loop};
    scope_ = &scope;
    TRY(Spend(1));
    TRY(Assign(statement, statement.target, items[loop.index]));
    TRY_ASSIGN(const Flow flow, Run(statement.body));
    if (flow == Flow::kBreak) break;
  }
  scope_ = outer;
  return Flow::kNext;
}

Result<Renderer::Flow> Renderer::RunScope(const Statement& statement) {
  Scope scope{scope_};
  // The expressions see the names of the outer scope.
  for (const auto& [target, expression] : statement.assignments) {
    TRY_ASSIGN(Value value, Evaluate(*expression));
    scope.Set(target.names.front(), std::move(value));
  }
  Scope* const outer = std::exchange(scope_, &scope);
  TRY_ASSIGN(const Flow flow, Run(statement.body));
  scope_ = outer;
  return flow;
}

Status Renderer::RunCallBlock(const Statement& statement) {
  const Value caller(Value::Data(std::make_shared<const Callable>(
      "caller", std::nullopt, statement.macro.get(), ++call_blocks_so_far_)));
  call_blocks_.emplace_back(call_blocks_so_far_, scope_);
  TRY_ASSIGN(const Value value, Call(*statement.expression, &caller));
  call_blocks_.pop_back();
  if (value.text() == nullptr) return Err("call: expected a str, found {}", value.TypeName());
  return Write(statement, *value.text());
}

Result<Value> Renderer::RunToText(const Body& body, const Expression& filters) {
  std::string text;
  Scope scope{scope_};
  Scope* const outer = std::exchange(scope_, &scope);
  std::string* const out = std::exchange(out_, &text);
  TRY_ASSIGN(const Flow flow, Run(body));
  if (flow != Flow::kNext) return Err("break and continue inside of a block are not supported");
  out_ = out;
  scope.Set(kBlockText, Value::String(std::move(text)));
  TRY_ASSIGN(Value value, Evaluate(filters));
  scope_ = outer;
  return value;
}

Status Renderer::Assign(const Statement& statement, const Target& target, Value value) {
  const std::vector<std::string>& names = target.names;
  if (!target.attribute.empty()) {
    Expression name;
    name.kind = Expression::Kind::kName;
    name.line = statement.line;
    name.name = names.front();
    TRY_ASSIGN(const Value owner, Name(name));
    Namespace* space = owner.name_space();
    if (space == nullptr)
      return Err("set {}.{}: expected a namespace, found {}", names.front(), target.attribute,
                 owner.TypeName());
    if (target.attribute.starts_with('_'))
      return Err("set {}.{}: a name that begins with _", names.front(), target.attribute);
    if (Value* field = space->Find(target.attribute)) {
      *field = std::move(value);
    } else {
      space->fields.emplace_back(target.attribute, std::move(value));
    }
    return {};
  }
  if (names.size() == 1) return scope_->Set(names.front(), std::move(value)), Status();
  TRY_ASSIGN(std::vector<Value> items, Items(value));
  if (items.size() != names.size())
    return Err("expected {} items to unpack, found {}", names.size(), items.size());
  for (size_t i = 0; i < items.size(); ++i) scope_->Set(names[i], std::move(items[i]));
  return {};
}

Status Renderer::Write(const Statement&, std::string_view text) {
  if (out_->size() + text.size() > strings::kMaxTextBytes)
    return Err("the template writes more than {} bytes", strings::kMaxTextBytes);
  out_->append(text);
  return {};
}

Result<Value> Renderer::CallMacro(const Callable& callable, const Arguments& arguments) {
  constexpr int kMaxMacroDepth = 20;
  const MacroNode& macro = *callable.macro;
  Scope scope{root_};
  if (callable.call_block != 0) {
    const auto block =
        std::ranges::find(call_blocks_, callable.call_block, &std::pair<int64_t, Scope*>::first);
    if (block == call_blocks_.end())
      return Err("caller: called after its call block: not supported");
    scope.parent = block->second;
  }
  if (++macro_depth_ > kMaxMacroDepth)
    return Err("macros call each other more than {} levels deep", kMaxMacroDepth);
  std::string text;
  Scope* const outer = std::exchange(scope_, &scope);
  std::string* const out = std::exchange(out_, &text);
  TRY(BindArguments(macro, arguments, &scope));
  TRY(Run(macro.body));
  scope_ = outer;
  out_ = out;
  --macro_depth_;
  return Value::String(std::move(text));
}

Status Renderer::BindArguments(const MacroNode& macro, const Arguments& arguments, Scope* scope) {
  const std::vector<std::string>& parameters = macro.parameters;
  const size_t first_default = parameters.size() - macro.defaults.size();
  const auto& given = arguments.positional;
  for (size_t i = 0; i < parameters.size(); ++i) {
    const std::string& name = parameters[i];
    const auto named =
        std::ranges::find(arguments.named, name, &std::pair<std::string, Value>::first);
    if (i < given.size()) {
      if (named != arguments.named.end())
        return Err("macro {}: the parameter \"{}\" is given twice", macro.name, name);
      scope->Set(name, given[i]);
    } else if (named != arguments.named.end()) {
      scope->Set(name, named->second);
    } else if (i >= first_default) {
      TRY_ASSIGN(Value value, Evaluate(*macro.defaults[i - first_default]));
      scope->Set(name, std::move(value));
    } else {
      scope->Set(name, Value::UndefinedNamed(name));
    }
  }
  if (macro.takes_varargs) {
    TRY_ASSIGN(Value rest, Value::Tuple({given.begin() + static_cast<std::ptrdiff_t>(std::min(
                                                             given.size(), parameters.size())),
                                         given.end()}));
    scope->Set("varargs", std::move(rest));
  } else if (given.size() > parameters.size()) {
    return Err("macro {}: expected at most {} arguments, found {}", macro.name, parameters.size(),
               given.size());
  }
  if (macro.takes_caller) scope->Set("caller", Value::UndefinedNamed("caller"));
  std::vector<std::pair<Value, Value>> rest;
  for (const auto& [name, value] : arguments.named) {
    if (std::ranges::find(parameters, name) != parameters.end()) continue;
    if (name == "caller" && macro.takes_caller) {
      scope->Set("caller", value);
    } else if (macro.takes_kwargs) {
      rest.emplace_back(Value::String(name), value);
    } else {
      return Err("macro {}: no parameter is called \"{}\"", macro.name, name);
    }
  }
  if (macro.takes_kwargs) {
    TRY_ASSIGN(Value kwargs, Value::Map(std::move(rest)));
    scope->Set("kwargs", std::move(kwargs));
  }
  return {};
}

}  // namespace merope::jinja
