// Makes the requests of `merope bench throughput`, from a seed or from texts that are built into
// the program. Called on the caller's thread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "engine/engine.h"

namespace merope {

struct DatasetOptions {
  // random: each prompt is input_length random tokens; prompts share nothing. shared-prefix: there
  // are num_prefixes prefixes of prefix_length random tokens; each prompt is one of these prefixes,
  // chosen in rotation, and then input_length random tokens. quoting: the prompt asks the model to
  // repeat or copy a passage. stories: the prompt asks for a text and contains no passage. quoting
  // and stories use the checkpoint's chat template, if there is one.
  std::string name = "random";
  int64_t num_prompts = 32;
  // Tokens. input_length applies to random and shared-prefix only.
  int64_t input_length = 512, output_length = 64;
  int64_t prefix_length = 256, num_prefixes = 4;
  double temperature = 0;
  uint64_t seed = 0;
};
inline constexpr int64_t kMaxRequests = 1'000'000;  // of num_prompts, and of num_prefixes
inline constexpr const char* kDatasets[] = {"random", "shared-prefix", "quoting", "stories"};

// Requests of random and shared-prefix ignore EOS and always generate output_length tokens.
// Requests of quoting and stories end at EOS, and after output_length tokens at the latest. Errors:
// an unknown dataset name; a count out of range; in random and shared-prefix, a prompt and an
// output that together are longer than max_model_len.
Result<std::vector<Request>> MakeRequests(const DatasetOptions& options,
                                          const Checkpoint& checkpoint, const Tokenizer& tokenizer,
                                          int64_t max_model_len);

}  // namespace merope
