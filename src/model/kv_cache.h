// Pages of KV memory and the sequences that hold them. Sequences that begin alike share their full
// pages, and a page that no sequence holds any more keeps what it has until it is handed out anew,
// for a later sequence to find: the prefix cache. Owned by the model; used by the engine's thread.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "base/aligned.h"
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
  std::span<const int32_t> pages() const { return pages_; }
  // Forgets all tokens from position `length` on (a multiple of nothing: any length up to the
  // current one).
  void Truncate(int64_t length);
  void Clear() { Truncate(0); }
  // Becomes what `from` is, and holds its pages, too. This one must be empty.
  void Fork(const Sequence& from);

 private:
  friend class KvCache;
  friend class Llama;
  friend struct KvCacheInside;
  KvCache* cache_;
  int64_t length_ = 0;
  int64_t published_ = 0;  // of its full pages, the first that the prefix cache has
  std::vector<int32_t> pages_;
};

class KvCache {
 public:
  // Sequences of up to `longest` tokens grow without taking memory.
  KvCache(Backend& backend, std::unique_ptr<KvMemory> memory, int64_t longest);

  int64_t capacity_tokens() const { return memory_->n_pages * kPageTokens; }
  int64_t free_pages() const { return n_free_; }  // that no sequence holds
  int64_t used_pages() const { return memory_->n_pages - n_free_; }
  KvMemory& memory() { return *memory_; }

  // Gives the sequence pages for `length` tokens in all; an error (and nothing changed) when they
  // do not suffice. Those that its tokens after the present ones go to are its own then: where
  // others share the page that is not full, or may find it, the sequence gets a copy.
  Status Reserve(Sequence* sequence, int64_t length);

  // The empty sequence begins with the longest run of full pages in the prefix cache that `tokens`
  // begin with, up to at_most tokens. Returns its length: where at_most ends within a page, that
  // page counts up to there.
  int64_t Adopt(Sequence* sequence, std::span<const int32_t> tokens, std::string_view salt,
                int64_t at_most);
  // The sequence's full pages hold these tokens (and its last one may hold more of them): from now
  // on others of the same salt find them. A page that the cache has already is given back for that
  // one, whose bits are the same.
  void Publish(Sequence* sequence, std::span<const int32_t> tokens, std::string_view salt);
  // Nothing is found any more; false, and nothing changed, while sequences hold pages of it.
  bool ResetPrefixes();

 private:
  friend class Sequence;
  friend struct KvCacheInside;  // tests/support/token_pages.h

  // What tells pages of the prefix cache apart: their tokens, and all before them. Of those the
  // name of the page before stands for the tokens: no two pages that can be found have the same,
  // and a name is never given twice.
  struct Prefix {
    uint64_t before = 0;              // name of the page before; 0: none
    std::span<const int32_t> tokens;  // (kPageTokens)
    std::string_view salt;            // of a first page
  };
  struct Page {
    int32_t holders = 0;  // sequences
    // In the list of free pages; that of the last entry of pages_ begins and ends it.
    int32_t previous = 0, next = 0;
    // In the prefix cache:
    uint64_t name = 0;  // 0: not there
    uint64_t before = 0;
    std::string salt;
    int32_t next_in_bucket = 0;
  };

  Page& at(int32_t page) { return pages_[static_cast<size_t>(page)]; }
  const Page& at(int32_t page) const { return pages_[static_cast<size_t>(page)]; }
  std::span<int32_t> TokensOf(int32_t page);
  Prefix PrefixAt(const Sequence& sequence, int64_t page, std::span<const int32_t> tokens,
                  std::string_view salt) const;
  int32_t& Bucket(const Prefix& prefix);
  int32_t Find(const Prefix& prefix);  // −1: not there
  void Insert(int32_t page, const Prefix& prefix);
  void Forget(int32_t page);  // out of the prefix cache, if it is there

  int32_t Take();  // a free page, held once
  void Hold(int32_t page);
  void Release(int32_t page);
  void Link(int32_t page, int32_t before);  // into the list of free pages

  Backend& backend_;
  std::unique_ptr<KvMemory> memory_;
  size_t pages_of_longest_;
  std::vector<Page> pages_;  // (n_pages + 1)
  int64_t n_free_ = 0;
  PageArray<int32_t> tokens_;     // (n_pages, kPageTokens), of pages in the prefix cache
  std::vector<int32_t> buckets_;  // the first page of each, or −1
  uint64_t last_name_ = 0;
};

}  // namespace merope
