// What `merope bench throughput` asks for: requests made from a seed, or from texts that stand in
// the program.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "engine/engine.h"

namespace merope {

struct DatasetOptions {
  // random: prompts of random tokens, nothing in common. shared-prefix: of each num_prefixes
  // prompts' beginnings, prefix_length random tokens, and random ones after it. quoting: a passage
  // to be repeated or quoted from; stories: things to be told, without a passage; both in the form
  // that the model was made for.
  std::string name = "random";
  int64_t num_prompts = 32;
  int64_t input_length = 512, output_length = 64;  // tokens; the input's of random texts only
  int64_t prefix_length = 256, num_prefixes = 4;
  double temperature = 0;
  uint64_t seed = 0;
};
inline constexpr int64_t kMaxRequests = 1'000'000;  // and prefixes
inline constexpr const char* kDatasets[] = {"random", "shared-prefix", "quoting", "stories"};

// Random texts go on to output_length whatever they say; the others end where the model ends them.
Result<std::vector<Request>> MakeRequests(const DatasetOptions& options,
                                          const Checkpoint& checkpoint, const Tokenizer& tokenizer,
                                          int64_t max_model_len);

}  // namespace merope
