// Pages of KV memory and the sequences that hold them. Owned by the model; used by the engine's
// thread.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "backend/backend.h"
#include "base/error.h"

namespace merope {

class KvCache;

// One sequence's cache: the pages it holds and how many tokens are in them. Gives its pages back
// when it goes.
class Sequence {
 public:
  explicit Sequence(KvCache& cache);
  ~Sequence() { Clear(); }
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;

  int64_t length() const { return length_; }
  // Forgets all tokens from position `length` on (a multiple of nothing: any length up to the
  // current one).
  void Truncate(int64_t length);
  void Clear() { Truncate(0); }

 private:
  friend class KvCache;
  friend class Llama;
  KvCache* cache_;
  int64_t length_ = 0;
  std::vector<int32_t> pages_;
};

class KvCache {
 public:
  KvCache(std::unique_ptr<KvMemory> memory);

  int64_t capacity_tokens() const { return memory_->n_pages * kPageTokens; }
  int64_t free_pages() const { return static_cast<int64_t>(free_.size()); }
  KvMemory& memory() { return *memory_; }

  // Gives the sequence pages for `length` tokens in all; an error (and nothing changed) when they
  // do not suffice.
  Status Reserve(Sequence* sequence, int64_t length);

 private:
  friend class Sequence;
  std::unique_ptr<KvMemory> memory_;
  std::vector<int32_t> free_;  // the next page to give is the last
};

}  // namespace merope
