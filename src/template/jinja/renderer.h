// Renderer runs a parsed template. Template::Render makes one Renderer per call, and a Renderer
// renders once, on one thread. The steps, the memory and the output are limited.
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

#include "template/jinja/ast.h"
#include "template/jinja/functions.h"
#include "template/template.h"

namespace merope::jinja {

class Renderer {
 public:
  // file: the name of the template, for errors. date: the time for strftime_now. globals, file and
  // date must outlive the renderer.
  Renderer(const Variables& globals, const std::string& file, const std::optional<std::tm>& date)
      : globals_(globals), file_(file), date_(date) {}
  Result<std::string> Render(const Body& body);

 private:
  enum class Flow : uint8_t { kNext, kBreak, kContinue };
  struct Loop {
    const std::vector<Value>* items;
    size_t index;
  };
  // The names that are set in a block. If a scope does not have a name, the look-up continues in
  // the parent.
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
  // Runs body, and returns its text after the filters of `filters`.
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
  // caller: the body of a call block, or nullptr. Call passes it as the argument "caller".
  Result<Value> Call(const Expression& expression, const Value* caller = nullptr);
  Result<Value> CallFunction(const std::string& name, const Arguments& arguments);
  Result<Value> CallMacro(const Callable& callable, const Arguments& arguments);
  Status BindArguments(const MacroNode& macro, const Arguments& arguments, Scope* scope);
  Result<Arguments> EvaluateArguments(const Expression& expression);
  Result<Value> LoopAttribute(const Expression& expression) const;
  const Loop* FindLoop() const;
  // Adds the cost of a new value: the bytes of a text, or one step per item of a sequence or
  // mapping.
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
  // The running call blocks: the number of each block and the scope that its body sees.
  std::vector<std::pair<int64_t, Scope*>> call_blocks_;
  int64_t call_blocks_so_far_ = 0;
  int64_t steps_ = 0, bytes_ = 0;
  int macro_depth_ = 0;
};

}  // namespace merope::jinja
