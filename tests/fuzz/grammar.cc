// Structured output. The first byte gives the kind of the text after it: j for a JSON schema, r for
// a regular expression, g for an EBNF grammar. If the text compiles, the target follows the grammar
// token by token.
#include "checkpoint/synth_tokenizer.h"
#include "grammar/grammar_compiler.h"
#include "grammar/grammar_constraint.h"
#include "target.h"

namespace merope {
namespace {

constexpr int64_t kVocabSize = kSmallestSynthVocabulary + 5;  // a model may have ids without text
constexpr int32_t kEos = 2;
constexpr int kSteps = 64;
constexpr int64_t kWork = 100'000;

const Tokenizer& TheTokenizer() {
  static const Tokenizer tokenizer =
      *Tokenizer::FromJson(SynthTokenizer(kSmallestSynthVocabulary).dump(), "tokenizer.json");
  return tokenizer;
}

bool Has(std::span<const uint32_t> mask, int64_t id) {
  return (mask[static_cast<size_t>(id) / 32] >> (id % 32) & 1) != 0;
}

// Follows a text that the grammar allows. The bytes of `chooser` choose the tokens.
void Follow(const std::shared_ptr<const Grammar>& grammar, std::string_view chooser) {
  GrammarConstraint constraint(grammar);
  std::vector<int32_t> allowed;
  for (int step = 0; step < kSteps; ++step) {
    if (!constraint.Prepare(kWork) || constraint.finished()) return;
    const std::span<const uint32_t> mask = constraint.mask();
    allowed.clear();
    for (int32_t id = 0; id < std::ssize(mask) * 32; ++id) {
      if (!Has(mask, id)) continue;
      CHECK(id < TheTokenizer().vocab_size());
      allowed.push_back(id);
    }
    CHECK(!allowed.empty());  // EOS may follow if no other token may
    const auto choice = static_cast<uint8_t>(chooser[static_cast<size_t>(step) % chooser.size()]);
    constraint.Accept(allowed[(choice + static_cast<size_t>(step) * 7) % allowed.size()]);
  }
}

}  // namespace
}  // namespace merope

int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace merope;
  if (size < 2) return 0;
  const std::string_view text = AsText(data + 1, size - 1);
  StructuredOutputs outputs;
  switch (data[0]) {
    case 'j':
      outputs.json = text;
      break;
    case 'r':
      outputs.regex = text;
      break;
    case 'g':
      outputs.grammar = text;
      break;
    default:
      return 0;
  }
  static const int32_t eos[] = {kEos};
  // Each input has a new compiler, because a compiler caches grammars.
  GrammarCompiler compiler(TheTokenizer(), kVocabSize, eos);
  if (const auto grammar = compiler.Compile(outputs)) Follow(*grammar, text);
  return 0;
}
