// KvCache owns the pages of KV memory and the prefix cache. A Sequence holds the pages of one
// sequence. Sequences that begin with the same tokens share their full pages. A page that no
// sequence holds keeps its content until KvCache hands the page out again. Until then, a later
// sequence can find the page: this is the prefix cache. The model owns the KvCache. The engine's
// thread uses the KvCache.
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

// The KV cache of one sequence: the pages that the sequence holds, and the number of tokens in
// these pages. The destructor returns the pages to the cache.
class Sequence {
 public:
  explicit Sequence(KvCache& cache);
  ~Sequence() { Clear(); }
  Sequence(const Sequence&) = delete;
  Sequence& operator=(const Sequence&) = delete;

  int64_t length() const { return length_; }
  std::span<const int32_t> pages() const { return pages_; }
  // Removes all tokens from position `length` on. `length` is any number from 0 to the current
  // length, not only a multiple of kPageTokens.
  void Truncate(int64_t length);
  void Clear() { Truncate(0); }
  // Makes this sequence a copy of `from`. Both sequences then hold the same pages. This sequence
  // must be empty.
  void Fork(const Sequence& from);

 private:
  friend class KvCache;
  friend class Llama;
  friend struct KvCacheInside;
  KvCache* cache_;
  int64_t length_ = 0;
  int64_t published_ = 0;  // number of its leading full pages that are in the prefix cache
  std::vector<int32_t> pages_;
};

class KvCache {
 public:
  // A sequence grows up to `longest` tokens without an allocation of heap memory.
  KvCache(Backend& backend, std::unique_ptr<KvMemory> memory, int64_t longest);

  int64_t capacity_tokens() const { return memory_->n_pages * kPageTokens; }
  int64_t free_pages() const { return n_free_; }  // pages that no sequence holds
  int64_t used_pages() const { return memory_->n_pages - n_free_; }
  KvMemory& memory() { return *memory_; }

  // Gives the sequence pages for `length` tokens in total. Returns an error and changes nothing if
  // there are not enough free pages. Afterwards only this sequence holds the pages that its new
  // tokens go to. If another sequence holds the partly filled last page, this sequence gets a copy
  // of that page. If the prefix cache has that page, this sequence gets a copy too; if no free page
  // is left for a copy, the page leaves the prefix cache.
  Status Reserve(Sequence* sequence, int64_t length);

  // The sequence must be empty. Gives the sequence the longest run of full pages in the prefix
  // cache that holds the first tokens of `tokens`, up to at_most tokens. If at_most lies within a
  // page, the sequence holds that page, and its length is at_most. Returns the length of the
  // sequence.
  int64_t Adopt(Sequence* sequence, std::span<const int32_t> tokens, std::string_view salt,
                int64_t at_most);
  // Puts the sequence's full pages into the prefix cache. From then on, sequences with the same
  // salt find these pages. `tokens` are the sequence's tokens from position 0 on, at least as many
  // as the full pages hold. If the prefix cache already has a page with the same tokens, the
  // sequence releases its own page and holds that page instead. Both pages are bit-identical.
  void Publish(Sequence* sequence, std::span<const int32_t> tokens, std::string_view salt);
  // Removes every page from the prefix cache. Returns false and changes nothing while a sequence
  // holds one of these pages.
  bool ResetPrefixes();

 private:
  friend class Sequence;
  friend struct KvCacheInside;  // tests/support/token_pages.h

  // Identifies a page in the prefix cache by two things: the tokens in the page, and all tokens of
  // the pages before this page. The name of the previous page stands for all tokens of the pages
  // before. If Find can reach two pages, these pages differ in at least one of the two things. A
  // name is never used twice.
  struct Prefix {
    uint64_t before = 0;              // name of the page before; 0: none
    std::span<const int32_t> tokens;  // (kPageTokens)
    std::string_view salt;            // set only for a sequence's first page
  };
  struct Page {
    int32_t holders = 0;  // number of sequences that hold the page
    // The neighbours in the list of free pages. The last entry of pages_ is the sentinel of the
    // list: its `next` is the first free page, its `previous` is the last free page.
    int32_t previous = 0, next = 0;
    // Valid while the page is in the prefix cache:
    uint64_t name = 0;  // 0: not in the prefix cache
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
  int32_t Find(const Prefix& prefix);  // −1: not found
  void Insert(int32_t page, const Prefix& prefix);
  void Forget(int32_t page);  // removes the page from the prefix cache, if it is there

  int32_t AllocatePage();  // takes a free page and holds it once
  void Hold(int32_t page);
  void Release(int32_t page);
  void Link(int32_t page, int32_t before);  // into the list of free pages, before page `before`

  Backend& backend_;
  std::unique_ptr<KvMemory> memory_;
  size_t pages_of_longest_;
  std::vector<Page> pages_;  // (n_pages + 1); the last entry is the sentinel
  int64_t n_free_ = 0;
  PageArray<int32_t> tokens_;     // (n_pages, kPageTokens): tokens of pages in the prefix cache
  std::vector<int32_t> buckets_;  // first page of each hash bucket, or −1
  uint64_t last_name_ = 0;
};

}  // namespace merope
