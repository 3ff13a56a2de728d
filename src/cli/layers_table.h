// The terminal table of `merope verify --layers`. A pure function.
#pragma once

#include <string>

#include "verify/layers.h"

namespace merope {

// One line for each layer: the point with the largest ratio of its accumulated error, and the point
// with the largest ratio of its own error.
std::string LayersTable(const LayersResult& result, bool color);

}  // namespace merope
