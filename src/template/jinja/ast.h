// A parsed template as trees of expressions and statements. The parser makes the trees, and the
// renderer runs them. Immutable after parsing.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "template/value.h"

namespace merope::jinja {

struct Expression;
using ExpressionPtr = std::unique_ptr<const Expression>;

struct Expression {
  enum class Kind : uint8_t {
    kConstant,     // value
    kName,         // name
    kList,         // children
    kTuple,        // children
    kDict,         // children: key, value, key, value, …
    kNot,          // children[0]
    kUnary,        // name: "-" or "+"; children[0]
    kBinary,       // name: "+", "-", "*", "/", "//", "%", "**"; two children
    kConcat,       // children, joined as text
    kAnd,          // two children
    kOr,           // two children
    kCompare,      // children: n + 1 operands; names: n operators
    kConditional,  // children: then, condition, and optionally else
    kAttribute,    // children[0].name
    kItem,         // children[0][children[1]]
    kSlice,        // children[0][1:2:3]; each child except the first may be null
    kCall,         // children[0](children[1…], keywords)
    kFilter,       // children[0]|name(children[1…], keywords)
    kTest,         // children[0] is name(children[1…], keywords)
  };
  Kind kind;
  int line = 0;
  int depth = 1;  // the depth of this expression's tree; 1 for an expression without children
  std::string name;
  Value value;
  std::vector<ExpressionPtr> children;
  std::vector<std::string> names;
  std::vector<std::pair<std::string, ExpressionPtr>> keywords;
  ExpressionPtr spread, named_spread;  // *arguments and **keywords, or null
};

struct Statement;
using Body = std::vector<Statement>;

// The target of an assignment: one name, several names (the value is unpacked), or an attribute of
// a namespace.
struct Target {
  std::vector<std::string> names;
  std::string attribute;  // the attribute of names[0]; empty: no attribute
};

struct MacroNode {
  std::string name;
  std::vector<std::string> parameters;
  std::vector<ExpressionPtr> defaults;  // the defaults of the last parameters
  Body body;
  // Whether the body uses the special names caller, varargs and kwargs.
  bool takes_caller = false, takes_varargs = false, takes_kwargs = false;
};

struct Statement {
  enum class Kind : uint8_t {
    kText,      // text
    kOutput,    // expression
    kIf,        // branches, else_body
    kFor,       // target in expression, if condition: body, else_body
    kSet,       // target = expression
    kSetBlock,  // target = body, through the filters of expression
    kMacro,     // macro
    kCall,      // expression, a call that gets macro as the argument caller
    kScope,     // assignments, then body, in a scope of its own: with and generation
    kFilter,    // body through the filters of expression
    kBreak,
    kContinue,
  };
  struct Branch;

  Kind kind;
  int line = 0;
  std::string text;
  ExpressionPtr expression, condition;
  Target target;
  std::vector<Branch> branches;
  std::vector<std::pair<Target, ExpressionPtr>> assignments;  // only for kScope
  Body body, else_body;
  std::unique_ptr<const MacroNode> macro;
};

struct Statement::Branch {
  ExpressionPtr condition;
  Body body;
};

// The name that stands for the text of a block in a chain of filters.
inline constexpr const char* kBlockText = "(block)";

}  // namespace merope::jinja
