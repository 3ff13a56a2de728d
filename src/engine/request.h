// A request to the engine, as the caller of Engine::Submit fills it in. Plain values.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "engine/output.h"
#include "engine/sampling_params.h"
#include "grammar/token_constraint.h"

namespace merope {

struct Request {
  std::vector<int32_t> prompt = {};
  SamplingParams params = {};
  int64_t priority = 0;         // a smaller value goes first, under kPriority
  std::string cache_salt = {};  // requests with different salts share no cached prefix
  double timeout_seconds = 0;   // after this time the request ends with an error; 0: no limit
  // Makes a constraint for each sequence, in addition to params.structured_outputs. Empty: no such
  // constraint.
  ConstraintMaker constraint = {};
  // Token ids of texts that answers may quote. Prompt lookup takes drafts from these texts, too.
  std::vector<std::vector<int32_t>> draft_texts = {};
};

using RequestId = uint64_t;
// The engine's thread calls the sink, with the events in order. The sink may call Submit and Abort.
// The sink must not block.
using EventSink = std::function<void(Event event)>;

}  // namespace merope
