#include "engine/constraint.h"

namespace merope {

class Grammar {};
struct Constraint::State {};
struct GrammarCompiler::State {};

Constraint::Constraint(std::shared_ptr<const Grammar>) {}
Constraint::~Constraint() = default;
Constraint::Constraint(Constraint&&) noexcept = default;
void Constraint::Mask(std::span<uint32_t>) {}
void Constraint::Accept(int32_t) {}
bool Constraint::finished() const { return false; }

GrammarCompiler::GrammarCompiler(const Tokenizer&, int64_t, std::span<const int32_t>) {}
GrammarCompiler::~GrammarCompiler() = default;
Result<std::shared_ptr<const Grammar>> GrammarCompiler::Compile(const StructuredOutputs&) {
  return Err("structured_outputs: json, regex, choice and grammar are not supported yet");
}

}  // namespace merope
