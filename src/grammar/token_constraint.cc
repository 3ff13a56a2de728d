#include "grammar/token_constraint.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace merope {

AllConstraints::AllConstraints(std::vector<std::unique_ptr<TokenConstraint>> constraints)
    : constraints_(std::move(constraints)) {
  CHECK(!constraints_.empty());
}

bool AllConstraints::Prepare(int64_t work) {
  if (prepared_) return true;
  for (const auto& constraint : constraints_) {
    const int64_t before = constraint->work();
    if (!constraint->Prepare(work)) return false;
    work -= std::min(work, constraint->work() - before);
  }
  const std::span<const uint32_t> first = constraints_[0]->mask();
  mask_.assign(first.begin(), first.end());
  for (size_t i = 1; i < constraints_.size(); ++i) {
    const std::span<const uint32_t> other = constraints_[i]->mask();
    CHECK(other.size() == mask_.size());
    for (size_t word = 0; word < mask_.size(); ++word) mask_[word] &= other[word];
  }
  prepared_ = true;
  return true;
}

int64_t AllConstraints::work() const {
  int64_t work = 0;
  for (const auto& constraint : constraints_) work += constraint->work();
  return work;
}

std::span<const uint32_t> AllConstraints::mask() const {
  CHECK(prepared_);
  return mask_;
}

// True if at least one constraint allows only EOS.
bool AllConstraints::finished() const {
  CHECK(prepared_);
  return std::ranges::any_of(constraints_, [](const auto& one) { return one->finished(); });
}

bool AllConstraints::may_end() const {
  return std::ranges::all_of(constraints_, [](const auto& one) { return one->may_end(); });
}

void AllConstraints::Accept(int32_t token) {
  for (const auto& constraint : constraints_) constraint->Accept(token);
  prepared_ = false;
}

void AllConstraints::Rollback(int64_t n) {
  for (const auto& constraint : constraints_) constraint->Rollback(n);
  prepared_ = false;
}

}  // namespace merope
