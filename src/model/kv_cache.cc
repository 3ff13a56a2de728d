#include "model/kv_cache.h"

#include <numeric>

namespace merope {
namespace {

int64_t PagesFor(int64_t tokens) { return (tokens + kPageTokens - 1) / kPageTokens; }

}  // namespace

KvCache::KvCache(std::unique_ptr<KvMemory> memory)
    : memory_(std::move(memory)), free_(static_cast<size_t>(memory_->n_pages)) {
  std::iota(free_.rbegin(), free_.rend(), 0);
}

Status KvCache::Reserve(Sequence* sequence, int64_t length) {
  const int64_t more = PagesFor(length) - static_cast<int64_t>(sequence->pages_.size());
  if (more > free_pages())
    return Err("KV cache: {} more tokens' pages needed, {} of {} free", more * kPageTokens,
               free_pages() * kPageTokens, capacity_tokens());
  for (int64_t i = 0; i < more; ++i) {
    sequence->pages_.push_back(free_.back());
    free_.pop_back();
  }
  return {};
}

// So that a sequence grows without taking memory.
Sequence::Sequence(KvCache& cache) : cache_(&cache) {
  pages_.reserve(static_cast<size_t>(cache.memory().n_pages));
}

void Sequence::Truncate(int64_t length) {
  CHECK(length >= 0 && length <= length_);
  length_ = length;
  while (static_cast<int64_t>(pages_.size()) > PagesFor(length)) {
    cache_->free_.push_back(pages_.back());
    pages_.pop_back();
  }
}

}  // namespace merope
