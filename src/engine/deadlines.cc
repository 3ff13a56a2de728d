#include "engine/deadlines.h"

namespace merope {

Error LateError(const Deadlines::Deadline& deadline) {
  Error error{.message = {}, .code = ErrorCode::kOverloaded};
  switch (deadline.stage) {
    case Deadlines::Stage::kCompiled:
      error.field = "structured_outputs";
      error.message = fmt::format(
          "structured_outputs: no time was left to compile it within {:g} s", deadline.seconds);
      break;
    case Deadlines::Stage::kBegun:
      error.message =
          fmt::format("the request waited for its first step longer than {:g} s", deadline.seconds);
      break;
    case Deadlines::Stage::kEnded:
      error.message = fmt::format("the request was not done within {:g} s", deadline.seconds);
      break;
  }
  return error;
}

}  // namespace merope
