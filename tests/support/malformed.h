// Damaged checkpoints. Each case makes one, and states the file and the field that the error must
// name.
#pragma once

#include <functional>
#include <ostream>
#include <string>
#include <vector>

namespace merope {

struct MalformedCase {
  std::string name;
  // Damages the whole checkpoint in this directory (F32, 300 ids, with a tokenizer; also present as
  // model.gguf). Returns the path to open.
  std::function<std::string(const std::string& directory)> make;
  std::string file, field;  // both must be in the error
  bool tokenizer = false;   // the error comes when the tokenizer loads, not when the file opens
};

inline void PrintTo(const MalformedCase& damage, std::ostream* out) { *out << damage.name; }

std::vector<MalformedCase> MalformedCases();

// Writes the whole checkpoint that the cases damage.
void MakeWholeCheckpoint(const std::string& directory);

}  // namespace merope
