// Damaged checkpoints: how to make each, and what its error must name.
#pragma once

#include <functional>
#include <ostream>
#include <string>
#include <vector>

namespace merope {

struct MalformedCase {
  std::string name;
  // Damages a whole checkpoint in this directory (F32, 300 ids, with a tokenizer; also as
  // model.gguf) and returns the path to open.
  std::function<std::string(const std::string& directory)> make;
  std::string file, field;  // both must be in the error
  bool tokenizer = false;   // the error comes with the tokenizer, not on opening
};

inline void PrintTo(const MalformedCase& damage, std::ostream* out) { *out << damage.name; }

std::vector<MalformedCase> MalformedCases();

// The whole checkpoint that the cases damage.
void MakeWholeCheckpoint(const std::string& directory);

}  // namespace merope
