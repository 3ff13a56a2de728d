// A back end without arithmetic. Its KV pages hold the token ids. KvCacheInside reads the private
// state of a KvCache.
#pragma once

#include <algorithm>
#include <array>
#include <memory>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "backend/backend.h"
#include "model/kv_cache.h"

namespace merope {

struct TokenPages : KvMemory {
  std::vector<std::array<int32_t, kPageTokens>> tokens;
  int64_t copies = 0;

  explicit TokenPages(int64_t pages) : tokens(static_cast<size_t>(pages)) { n_pages = pages; }
};

class TokenBackend : public Backend {
 public:
  void CopyKvPage(KvMemory& kv, int32_t from, int32_t to) override {
    auto& pages = static_cast<TokenPages&>(kv);
    pages.tokens[static_cast<size_t>(to)] = pages.tokens[static_cast<size_t>(from)];
    ++pages.copies;
  }

  std::string name() const override { return "tokens"; }
  Precision precision() const override { return Precision::kFp32; }
  Result<const Matrix*> LoadMatrix(std::span<const MatrixPart>, Stacking,
                                   const std::function<void(const WeightTensor&)>&) override {
    return Err("no weights");
  }
  Result<Tensor> LoadVector(const WeightTensor&) override { return Err("no weights"); }
  bool Supports(Precision, OpKind) const override { return false; }
  Result<Tensor> Allocate(int64_t, int64_t) override { return Tensor{}; }
  int64_t AvailableBytes() const override { return 0; }
  void StartCopyOut(const Tensor&, std::span<float>) override {}
  void FinishCopies() override {}
  WeightSummary weights() const override { return {}; }
  Result<std::unique_ptr<KvMemory>> AllocateKv(const KvShape&, int64_t n_pages) override {
    return std::make_unique<TokenPages>(n_pages);
  }
  int64_t KvTokenBytes(const KvShape&) const override { return sizeof(int32_t); }
  void BeginStep(const Step&) override {}
  void EndStep() override {}
  std::vector<int64_t> PlanRows(int64_t) const override { return {}; }
  std::unique_ptr<Plan> Capture(const PlanLimits&, const KvShape&,
                                const std::function<void()>&) override {
    return nullptr;
  }
  void Replay(Plan&) override {}
  void Run(const Op&) override {}
};

struct KvCacheInside {
  // Does what Llama does with a sequence: writes the tokens to the pages that Reserve gave the
  // sequence, and advances the sequence.
  static void Write(KvCache& kv, Sequence* sequence, std::span<const int32_t> tokens) {
    auto& pages = static_cast<TokenPages&>(kv.memory());
    for (const int32_t token : tokens) {
      const int64_t at = sequence->length_++;
      const int32_t page = sequence->pages_[static_cast<size_t>(at / kPageTokens)];
      CHECK(kv.at(page).holders == 1 && kv.at(page).name == 0, "page {} is others', too", page);
      pages.tokens[static_cast<size_t>(page)][static_cast<size_t>(at % kPageTokens)] = token;
    }
  }

  // The tokens that attention would read.
  static std::vector<int32_t> Read(KvCache& kv, const Sequence& sequence) {
    const auto& pages = static_cast<TokenPages&>(kv.memory());
    std::vector<int32_t> tokens;
    for (int64_t at = 0; at < sequence.length(); ++at) {
      const int32_t page = sequence.pages()[static_cast<size_t>(at / kPageTokens)];
      tokens.push_back(
          pages.tokens[static_cast<size_t>(page)][static_cast<size_t>(at % kPageTokens)]);
    }
    return tokens;
  }

  // Checks the cache's invariants. sequences: all sequences of the cache. Returns the first fault,
  // or "".
  static std::string Fault(KvCache& kv, std::span<const Sequence* const> sequences) {
    const auto n = static_cast<int32_t>(kv.memory().n_pages);
    std::vector<int64_t> holders(static_cast<size_t>(n));
    for (const Sequence* sequence : sequences) {
      if (std::ssize(sequence->pages_) * kPageTokens < sequence->length_)
        return "a sequence without pages for its tokens";
      std::set<int32_t> own;
      for (size_t i = 0; i < sequence->pages_.size(); ++i) {
        const int32_t page = sequence->pages_[i];
        if (page < 0 || page >= n) return fmt::format("page {}", page);
        if (!own.insert(page).second) return fmt::format("page {} twice in a sequence", page);
        ++holders[static_cast<size_t>(page)];
        if (std::cmp_less(i, sequence->published_) && kv.at(page).name == 0)
          return fmt::format("page {} is not in the prefix cache", page);
      }
    }
    for (int32_t page = 0; page < n; ++page)
      if (kv.at(page).holders != holders[static_cast<size_t>(page)])
        return fmt::format("page {}: {} holders, counted {}", page,
                           holders[static_cast<size_t>(page)], kv.at(page).holders);

    std::set<int32_t> free;
    bool empty = true;  // in the free list, pages of the prefix cache come last
    for (int32_t page = kv.at(n).next; page != n; page = kv.at(page).next) {
      if (!free.insert(page).second) return fmt::format("page {} twice in the list", page);
      if (kv.at(page).holders > 0) return fmt::format("page {} is held and free", page);
      if (kv.at(kv.at(page).next).previous != page) return "a list with a broken link";
      if (!empty && kv.at(page).name == 0) return "an empty page after one that is not";
      empty = kv.at(page).name == 0;
    }
    if (std::ssize(free) != kv.free_pages() ||
        std::ssize(free) != std::ranges::count(holders, int64_t{0}))
      return fmt::format("{} free pages, counted {}", free.size(), kv.free_pages());

    std::set<int32_t> found;
    for (const int32_t& first : kv.buckets_)
      for (int32_t page = first; page >= 0; page = kv.at(page).next_in_bucket) {
        if (!found.insert(page).second) return fmt::format("page {} twice in the buckets", page);
        const KvCache::Prefix prefix{kv.at(page).before, kv.TokensOf(page), kv.at(page).salt};
        if (&kv.Bucket(prefix) != &first) return fmt::format("page {} in a wrong bucket", page);
        if (kv.Find(prefix) != page) return fmt::format("page {} is there twice", page);
        const auto& tokens = static_cast<TokenPages&>(kv.memory()).tokens;
        if (!std::ranges::equal(kv.TokensOf(page), tokens[static_cast<size_t>(page)]))
          return fmt::format("page {} is found as what it does not hold", page);
      }
    for (int32_t page = 0; page < n; ++page)
      if ((kv.at(page).name != 0) != found.contains(page))
        return fmt::format("page {} is lost to the prefix cache", page);
    return "";
  }
};

}  // namespace merope
