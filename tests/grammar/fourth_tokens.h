// A constraint for tests. It allows `most` tokens whose ids are multiples of 4. Then it allows only
// token 0.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "grammar/token_constraint.h"

namespace merope {

class FourthTokens : public TokenConstraint {
 public:
  FourthTokens(int64_t vocab_size, int64_t most)
      : most_(most), mask_(static_cast<size_t>(vocab_size + 31) / 32) {}

  bool Prepare(int64_t /*work*/) override {
    for (uint32_t& word : mask_) word = finished() ? 0 : 0x11111111;
    mask_[0] |= 1;
    prepared_ = true;
    return true;
  }
  bool prepared() const override { return prepared_; }
  int64_t work() const override { return 0; }
  std::span<const uint32_t> mask() const override { return mask_; }
  bool finished() const override { return followed_ >= most_; }
  void Accept(int32_t /*token*/) override {
    ++followed_;
    prepared_ = false;
  }
  void Rollback(int64_t n) override {
    followed_ -= n;
    prepared_ = false;
  }

 private:
  int64_t most_, followed_ = 0;
  std::vector<uint32_t> mask_;
  bool prepared_ = false;
};

}  // namespace merope
