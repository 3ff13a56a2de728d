// The mutants of the self-test: the faults that `merope verify --self-test` plants into a target,
// to show which gate kills which fault. The list is fixed, and it was chosen before the gates were
// measured on it. fault.h says how a fault is planted. Constant data: any thread may read it.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "checkpoint/config.h"

namespace merope {

// How the self-test runs a prompt on a mutant. A fault of decoding shows only in steps of one token
// after a prefill.
enum class Feed : uint8_t {
  kChunks,      // in steps of up to 64 tokens, as `merope verify` runs its target
  kDecode,      // the first half of the prompt in such steps, the rest one token a step
  kGraphDecode  // as kDecode, and the steps replay a captured plan if the back end has plans
};

struct Mutant {
  std::string_view key;          // "rope-theta"
  std::string_view area;         // "RoPE"
  std::string_view description;  // what the fault changes
  Feed feed = Feed::kChunks;
};

std::span<const Mutant> Mutants();
const Mutant* FindMutant(std::string_view key);  // nullptr: no such mutant

// Why a model of this config cannot have the fault; empty: it can.
std::string WhyNotApplicable(const Mutant& mutant, const ModelConfig& config);

}  // namespace merope
