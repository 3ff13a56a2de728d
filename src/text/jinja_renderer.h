// Runs a parsed template. One renderer renders once; time, memory and output are bounded.
#pragma once

#include <cstdint>
#include <ctime>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja_ast.h"
#include "text/jinja_functions.h"

namespace merope::jinja {

using Variables = std::vector<std::pair<std::string, Value>>;

class Renderer {
 public:
  // file names the template in errors, date is what strftime_now tells. All must outlive the
  // renderer.
  Renderer(const Variables& globals, const std::string& file, const std::optional<std::tm>& date)
      : globals_(globals), file_(file), date_(date) {}
  Result<std::string> Render(const Body& body);

 private:
  enum class Flow : uint8_t { kNext, kBreak, kContinue };
  struct Loop {
    const std::vector<Value>* items;
    size_t index;
  };
  // Names set in a block; look-ups go on in the parent.
  struct Scope {
    Scope* parent;
    const Loop* loop = nullptr;
    std::vector<std::pair<std::string_view, Value>> names = {};

    void Set(std::string_view name, Value value);
  };

  // Statements.
  Result<Flow> Run(const Body& body);
  Result<Flow> RunStatement(const Statement& statement);
  Result<Flow> RunIf(const Statement& statement);
  Result<Flow> RunFor(const Statement& statement);
  Result<Flow> RunScope(const Statement& statement);
  Status RunCallBlock(const Statement& statement);
  // The text of a body, through the filters of `filters`.
  Result<Value> RunToText(const Body& body, const Expression& filters);
  Status Assign(const Statement& statement, const Target& target, Value value);
  Status Write(const Statement& statement, std::string_view text);

  // Expressions.
  Result<Value> Evaluate(const Expression& expression);
  Result<Value> EvaluateKind(const Expression& expression);
  Result<Value> Name(const Expression& expression) const;
  Result<Value> Items_(const Expression& expression);
  Result<Value> Compare(const Expression& expression);
  Result<Value> Concat(const Expression& expression);
  Result<Value> SliceOf(const Expression& expression);
  // caller: the body of a call block, as an argument of that name.
  Result<Value> Call(const Expression& expression, const Value* caller = nullptr);
  Result<Value> CallFunction(const std::string& name, const Arguments& arguments);
  Result<Value> CallMacro(const Callable& callable, const Arguments& arguments);
  Status BindArguments(const MacroNode& macro, const Arguments& arguments, Scope* scope);
  Result<Arguments> EvaluateArguments(const Expression& expression);
  Result<Value> LoopAttribute(const Expression& expression) const;
  const Loop* FindLoop() const;
  // What a value that was just made costs.
  Status Charge(const Value& value);
  Status Spend(int64_t steps);
  std::unexpected<Error> At(int line, Error error) const;

  const Variables& globals_;
  const std::string& file_;
  const std::optional<std::tm>& date_;
  Scope* root_ = nullptr;
  Scope* scope_ = nullptr;
  std::string* out_ = nullptr;
  std::deque<Namespace> namespaces_;
  // Call blocks that run, by their numbers, with the scopes that their bodies see.
  std::vector<std::pair<int64_t, Scope*>> call_blocks_;
  int64_t call_blocks_so_far_ = 0;
  int64_t steps_ = 0, bytes_ = 0;
  int macro_depth_ = 0;
};

}  // namespace merope::jinja
