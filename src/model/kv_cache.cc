#include "model/kv_cache.h"

#include <algorithm>
#include <bit>

namespace merope {
namespace {

int64_t PagesFor(int64_t tokens) { return (tokens + kPageTokens - 1) / kPageTokens; }

uint64_t Mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15;  // odd, with bits that look random
  return hash ^ hash >> 32;
}

}  // namespace

KvCache::KvCache(Backend& backend, std::unique_ptr<KvMemory> memory, int64_t longest)
    : backend_(backend),
      memory_(std::move(memory)),
      pages_of_longest_(static_cast<size_t>(std::min(memory_->n_pages, PagesFor(longest)))),
      pages_(static_cast<size_t>(memory_->n_pages) + 1),
      tokens_(memory_->n_pages * kPageTokens),
      buckets_(std::bit_ceil(2 * pages_.size()), -1) {
  const auto end = static_cast<int32_t>(memory_->n_pages);
  at(end).previous = at(end).next = end;
  for (int32_t page = 0; page < end; ++page) Link(page, end);
}

Status KvCache::Reserve(Sequence* sequence, int64_t length) {
  if (length <= sequence->length_) return {};
  const int64_t begin = sequence->length_ / kPageTokens;  // the page of the next token
  int32_t* open = sequence->length_ % kPageTokens == 0
                      ? nullptr
                      : &sequence->pages_[static_cast<size_t>(begin)];
  const bool shared = open != nullptr && at(*open).holders > 1;
  const int64_t more = std::max(int64_t{0}, PagesFor(length) - std::ssize(sequence->pages_)),
                needed = more + (shared ? 1 : 0);
  if (needed > free_pages())
    return Err("KV cache: {} more tokens' pages needed, {} of {} free", needed * kPageTokens,
               free_pages() * kPageTokens, capacity_tokens());
  // Copies a page that another sequence holds. Also copies a page of the prefix cache, so that the
  // page stays there, if a free page is left for the copy.
  if (shared || (open != nullptr && at(*open).name != 0 && more < free_pages())) {
    const int32_t copy = AllocatePage();
    backend_.CopyKvPage(*memory_, *open, copy);
    Release(*open);
    *open = copy;
  } else if (open != nullptr) {
    Forget(*open);
  }
  for (int64_t i = 0; i < more; ++i) sequence->pages_.push_back(AllocatePage());
  for (const int32_t page : sequence->pages().subspan(static_cast<size_t>(begin)))
    CHECK(at(page).holders == 1 && at(page).name == 0, "page {} is not to be written", page);
  return {};
}

int64_t KvCache::Adopt(Sequence* sequence, std::span<const int32_t> tokens, std::string_view salt,
                       int64_t at_most) {
  CHECK(sequence->pages_.empty());
  at_most = std::min(at_most, std::ssize(tokens));
  for (int64_t i = 0; i * kPageTokens < at_most && (i + 1) * kPageTokens <= std::ssize(tokens);
       ++i) {
    const int32_t page = Find(PrefixAt(*sequence, i, tokens, salt));
    if (page < 0) break;
    Hold(page);
    sequence->pages_.push_back(page);
    sequence->length_ = std::min((i + 1) * kPageTokens, at_most);
  }
  sequence->published_ = sequence->length_ / kPageTokens;
  return sequence->length_;
}

void KvCache::Publish(Sequence* sequence, std::span<const int32_t> tokens, std::string_view salt) {
  const int64_t full = sequence->length_ / kPageTokens;
  CHECK(full * kPageTokens <= std::ssize(tokens), "{} tokens of {}", tokens.size(),
        sequence->length_);
  for (int64_t& i = sequence->published_; i < full; ++i) {
    int32_t& page = sequence->pages_[static_cast<size_t>(i)];
    const Prefix prefix = PrefixAt(*sequence, i, tokens, salt);
    const int32_t found = Find(prefix);
    if (found < 0) {
      // The page is already in the prefix cache under another prefix: the page before was evicted,
      // or the salt is another one. Other sequences hold the page, so the entry stays, and Publish
      // ends.
      if (at(page).name != 0 && at(page).holders > 1) return;
      Forget(page);
      Insert(page, prefix);
    } else if (found != page) {
      Hold(found);
      Release(page);
      page = found;
    }
  }
}

bool KvCache::ResetPrefixes() {
  if (std::ranges::any_of(pages_, [](const Page& p) { return p.holders > 0 && p.name != 0; }))
    return false;
  for (int32_t page = 0; page < memory_->n_pages; ++page) Forget(page);
  return true;
}

std::span<int32_t> KvCache::TokensOf(int32_t page) {
  return {tokens_.data() + page * kPageTokens, static_cast<size_t>(kPageTokens)};
}

KvCache::Prefix KvCache::PrefixAt(const Sequence& sequence, int64_t page,
                                  std::span<const int32_t> tokens, std::string_view salt) const {
  const std::span own =
      tokens.subspan(static_cast<size_t>(page * kPageTokens), static_cast<size_t>(kPageTokens));
  if (page == 0) return {0, own, salt};
  const uint64_t before = at(sequence.pages_[static_cast<size_t>(page - 1)]).name;
  CHECK(before != 0);
  return {before, own, {}};
}

int32_t& KvCache::Bucket(const Prefix& prefix) {
  uint64_t hash = Mix(prefix.before, std::hash<std::string_view>()(prefix.salt));
  for (const int32_t token : prefix.tokens) hash = Mix(hash, static_cast<uint64_t>(token));
  return buckets_[hash & (buckets_.size() - 1)];
}

int32_t KvCache::Find(const Prefix& prefix) {
  int32_t page = Bucket(prefix);
  while (page >= 0 && !(at(page).before == prefix.before && at(page).salt == prefix.salt &&
                        std::ranges::equal(TokensOf(page), prefix.tokens)))
    page = at(page).next_in_bucket;
  return page;
}

void KvCache::Insert(int32_t page, const Prefix& prefix) {
  std::ranges::copy(prefix.tokens, TokensOf(page).begin());
  at(page).name = ++last_name_;
  at(page).before = prefix.before;
  at(page).salt = prefix.salt;
  int32_t& first = Bucket(prefix);
  at(page).next_in_bucket = std::exchange(first, page);
}

void KvCache::Forget(int32_t page) {
  if (at(page).name == 0) return;
  int32_t* link = &Bucket({at(page).before, TokensOf(page), at(page).salt});
  while (*link != page) link = &at(*link).next_in_bucket;
  *link = at(page).next_in_bucket;
  at(page).name = 0;
}

int32_t KvCache::AllocatePage() {
  CHECK(n_free_ > 0);
  const int32_t page = pages_.back().next;
  Hold(page);
  Forget(page);
  return page;
}

void KvCache::Hold(int32_t page) {
  Page& p = at(page);
  if (p.holders++ > 0) return;
  at(p.previous).next = p.next;
  at(p.next).previous = p.previous;
  --n_free_;
}

// AllocatePage takes pages from the front of the list of free pages. A page outside the prefix
// cache goes to the front: the page released last is used first, because its memory was touched
// last. A page of the prefix cache goes to the back: among these pages, the page released first is
// used first.
void KvCache::Release(int32_t page) {
  CHECK(at(page).holders > 0);
  if (--at(page).holders > 0) return;
  Link(page, at(page).name == 0 ? pages_.back().next : static_cast<int32_t>(memory_->n_pages));
}

void KvCache::Link(int32_t page, int32_t before) {
  at(page).next = before;
  at(page).previous = std::exchange(at(before).previous, page);
  at(at(page).previous).next = page;
  ++n_free_;
}

Sequence::Sequence(KvCache& cache) : cache_(&cache) { pages_.reserve(cache.pages_of_longest_); }

// Releases the last page first, so that the last page is evicted first. The beginning of a sequence
// is useful to more other sequences than its end.
void Sequence::Truncate(int64_t length) {
  CHECK(length >= 0 && length <= length_);
  length_ = length;
  published_ = std::min(published_, length / kPageTokens);
  while (std::ssize(pages_) > PagesFor(length)) {
    cache_->Release(pages_.back());
    pages_.pop_back();
  }
}

void Sequence::Fork(const Sequence& from) {
  CHECK(pages_.empty() && from.cache_ == cache_);
  for (const int32_t page : from.pages().first(static_cast<size_t>(PagesFor(from.length_)))) {
    cache_->Hold(page);
    pages_.push_back(page);
  }
  length_ = from.length_;
  published_ = from.published_;
}

}  // namespace merope
