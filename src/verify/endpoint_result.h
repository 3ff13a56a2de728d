// What a verification found out about the server that was its target, beside the figures of its
// rows. A plain value.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "endpoint/endpoint.h"
#include "endpoint/probe.h"
#include "verify/server_pair.h"
#include "verify/stability.h"
#include "verify/verdict.h"

namespace merope {

struct EndpointResult {
  ServerFacts server;
  EndpointProbe probe;
  std::string numerics;
  bool numerics_assumed = false;
  int64_t generate = 0;
  int64_t requests = 0, tokens = 0, repeated_tries = 0;  // without answers from a file
  std::optional<Stability> stability{};                  // only if it was asked for
  std::optional<ServerPair> eager{};                     // only if there is a second server
  // FAIL: the probe has found that the server does something else than it was asked for.
  Verdict verdict = Verdict::kPass;
};

}  // namespace merope
