// Sends many queries to one server at the same time. Used by the verification of an endpoint; each
// request at the same time has a thread and a client of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "base/error.h"
#include "endpoint/endpoint.h"

namespace merope {

// Returns the answers in the order of the queries. At most `width` requests run at the same time.
// progress counts queries; it is called on any thread, but by one at a time. Errors: the first of
// Endpoint::Complete, after which no further query is sent.
Result<std::vector<CompletionAnswer>> AskAll(
    const Endpoint& endpoint, const std::vector<CompletionQuery>& queries, int64_t width,
    const std::function<void(int64_t done, int64_t total)>& progress);

}  // namespace merope
