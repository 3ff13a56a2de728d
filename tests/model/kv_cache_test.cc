#include "model/kv_cache.h"

#include <gtest/gtest.h>

#include <numeric>
#include <random>

#include "tests/support/token_pages.h"

namespace merope {
namespace {

using Tokens = std::vector<int32_t>;

// n tokens: first, first + 1, …
Tokens Count(int64_t n, int32_t first = 0) {
  Tokens tokens(static_cast<size_t>(n));
  std::iota(tokens.begin(), tokens.end(), first);
  return tokens;
}

Tokens operator+(Tokens a, const Tokens& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

class KvCacheTest : public testing::Test {
 protected:
  explicit KvCacheTest(int64_t n_pages = 8)
      : kv_(backend_, std::make_unique<TokenPages>(n_pages), n_pages * kPageTokens) {}

  bool Extend(Sequence* sequence, const Tokens& tokens) {
    if (!kv_.Reserve(sequence, sequence->length() + std::ssize(tokens))) return false;
    KvCacheInside::Write(kv_, sequence, tokens);
    return true;
  }
  Tokens Read(const Sequence& sequence) { return KvCacheInside::Read(kv_, sequence); }
  // Runs the tokens through a temporary sequence. Afterwards, the full pages of the tokens are in
  // the prefix cache.
  void Cache(const Tokens& tokens, std::string_view salt = "") {
    Sequence sequence(kv_);
    kv_.Adopt(&sequence, tokens, salt, std::ssize(tokens));
    ASSERT_TRUE(Extend(&sequence, Tokens(tokens.begin() + sequence.length(), tokens.end())));
    kv_.Publish(&sequence, tokens, salt);
  }
  int64_t Found(const Tokens& tokens, std::string_view salt = "", int64_t at_most = 1'000'000) {
    Sequence sequence(kv_);
    const int64_t length = kv_.Adopt(&sequence, tokens, salt, at_most);
    EXPECT_EQ(length, sequence.length());
    EXPECT_EQ(Read(sequence), Tokens(tokens.begin(), tokens.begin() + length));
    return length;
  }
  int64_t copies() { return static_cast<TokenPages&>(kv_.memory()).copies; }
  void ExpectSound(std::initializer_list<const Sequence*> sequences) {
    EXPECT_EQ(KvCacheInside::Fault(kv_, std::vector<const Sequence*>(sequences)), "");
  }

  TokenBackend backend_;
  KvCache kv_;
};

TEST_F(KvCacheTest, FullPagesAreFoundAndOthersAreNot) {
  const Tokens tokens = Count(200);
  Cache(tokens);
  EXPECT_EQ(kv_.free_pages(), 8);
  EXPECT_EQ(kv_.used_pages(), 0);
  EXPECT_EQ(Found(tokens), 192);
  EXPECT_EQ(Found(Count(128)), 128);
  EXPECT_EQ(Found(Count(127)), 64);
  EXPECT_EQ(Found(Count(63)), 0);
  EXPECT_EQ(Found(Count(64) + Count(64, 1000)), 64);     // another second page
  EXPECT_EQ(Found(Count(64, 1000) + Count(64, 64)), 0);  // the second page, another first page
  EXPECT_EQ(Found(Count(64, 64)), 0);                    // the second page is not a first page
  ExpectSound({});
}

TEST_F(KvCacheTest, ASaltKeepsPrefixesApart) {
  Cache(Count(128), "a");
  EXPECT_EQ(Found(Count(128)), 0);
  EXPECT_EQ(Found(Count(128), "b"), 0);
  EXPECT_EQ(Found(Count(128), "a"), 128);
  Cache(Count(128));
  Sequence with(kv_), without(kv_);
  kv_.Adopt(&with, Count(128), "a", 128);
  kv_.Adopt(&without, Count(128), "", 128);
  for (size_t i = 0; i < 2; ++i) EXPECT_NE(with.pages()[i], without.pages()[i]);
  ExpectSound({&with, &without});
}

TEST_F(KvCacheTest, SequencesShareWhatTheyAdopt) {
  Cache(Count(128));
  Sequence a(kv_), b(kv_);
  kv_.Adopt(&a, Count(128), "", 128);
  kv_.Adopt(&b, Count(128), "", 128);
  EXPECT_EQ(kv_.used_pages(), 2);
  EXPECT_TRUE(Extend(&a, Count(10, 500)));
  EXPECT_TRUE(Extend(&b, Count(10, 600)));
  EXPECT_EQ(kv_.used_pages(), 4);
  EXPECT_EQ(Read(a), Count(128) + Count(10, 500));
  EXPECT_EQ(Read(b), Count(128) + Count(10, 600));
  EXPECT_EQ(copies(), 0);
  a.Clear();
  EXPECT_EQ(kv_.used_pages(), 3);
  EXPECT_EQ(Read(b), Count(128) + Count(10, 600));
  ExpectSound({&a, &b});
}

// The whole prompt is cached. Only its last token must be computed, in a copy of the last page.
TEST_F(KvCacheTest, AtMostMayEndWithinAPage) {
  Cache(Count(192));
  for (const bool held : {false, true}) {
    Sequence other(kv_), sequence(kv_);
    if (held) kv_.Adopt(&other, Count(192), "", 192);
    const int64_t before = copies();
    EXPECT_EQ(kv_.Adopt(&sequence, Count(128), "", 127), 127);
    EXPECT_TRUE(Extend(&sequence, {127, 900}));
    EXPECT_EQ(copies(), before + 1);
    EXPECT_EQ(Read(sequence), Count(128) + Tokens{900});
    EXPECT_EQ(Read(other), Count(held ? 192 : 0));
    // The prefix cache already has the second page, so Publish replaces the copy with that page.
    const int32_t copy = sequence.pages()[1];
    kv_.Publish(&sequence, Count(128), "");
    EXPECT_NE(sequence.pages()[1], copy);
    EXPECT_EQ(Read(sequence), Count(128) + Tokens{900});
    ExpectSound({&other, &sequence});
  }
  EXPECT_EQ(Found(Count(192)), 192);
}

// If no page is free for the copy, the prefix cache loses the page instead, and with it the pages
// that follow.
TEST_F(KvCacheTest, APageIsTakenOutOfTheCacheWhereNoneIsFreeForACopy) {
  Cache(Count(512));
  Sequence sequence(kv_);
  EXPECT_EQ(kv_.Adopt(&sequence, Count(512), "", 511), 511);
  EXPECT_EQ(kv_.free_pages(), 0);
  EXPECT_TRUE(Extend(&sequence, {511}));
  EXPECT_EQ(copies(), 0);
  ExpectSound({&sequence});
  EXPECT_EQ(Found(Count(512)), 448);
  kv_.Publish(&sequence, Count(512), "");
  EXPECT_EQ(Found(Count(512)), 512);
  ExpectSound({&sequence});
}

TEST_F(KvCacheTest, WhatWasGivenBackFirstIsEvictedFirstAndTheTailBeforeTheHead) {
  Cache(Count(128, 1000));
  Cache(Count(128, 2000));
  Cache(Count(128, 3000));
  EXPECT_EQ(Found(Count(128, 1000)), 128);  // is now the last to be evicted
  Sequence sequence(kv_);
  EXPECT_TRUE(Extend(&sequence, Count(128)));  // two pages were empty: nothing is evicted
  const std::initializer_list<std::pair<int32_t, int64_t>> evictions[] = {
      {{2000, 64}, {3000, 128}, {1000, 128}}, {{2000, 0}, {3000, 128}, {1000, 128}},
      {{2000, 0}, {3000, 64}, {1000, 128}},   {{2000, 0}, {3000, 0}, {1000, 128}},
      {{2000, 0}, {3000, 0}, {1000, 64}},     {{2000, 0}, {3000, 0}, {1000, 0}}};
  for (const auto& expected : evictions) {
    EXPECT_TRUE(Extend(&sequence, Count(64)));
    // In this order, the calls of Found do not change the order of eviction.
    for (const auto& [first, length] : expected) EXPECT_EQ(Found(Count(128, first)), length);
    ExpectSound({&sequence});
  }
  EXPECT_FALSE(Extend(&sequence, {1}));
}

TEST_F(KvCacheTest, EmptyPagesAreHandedOutBeforeOthersAreEvicted) {
  Cache(Count(256));
  {
    Sequence sequence(kv_);
    EXPECT_TRUE(Extend(&sequence, Count(200, 1000)));
  }
  Sequence sequence(kv_);
  EXPECT_TRUE(Extend(&sequence, Count(256, 2000)));
  EXPECT_EQ(Found(Count(256)), 256);
}

TEST_F(KvCacheTest, AForkSharesPagesUntilOneOfTheTwoGoesOn) {
  Sequence a(kv_), b(kv_), c(kv_);
  EXPECT_TRUE(Extend(&a, Count(100)));
  b.Fork(a);
  c.Fork(b);
  EXPECT_EQ(kv_.used_pages(), 2);
  EXPECT_TRUE(Extend(&a, {500}));
  EXPECT_EQ(kv_.used_pages(), 3);
  EXPECT_TRUE(Extend(&b, {600}));
  EXPECT_EQ(kv_.used_pages(), 4);
  EXPECT_TRUE(Extend(&c, {700}));  // the last holder needs no copy
  EXPECT_EQ(kv_.used_pages(), 4);
  EXPECT_EQ(copies(), 2);
  EXPECT_EQ(Read(a), Count(100) + Tokens{500});
  EXPECT_EQ(Read(b), Count(100) + Tokens{600});
  EXPECT_EQ(Read(c), Count(100) + Tokens{700});
  ExpectSound({&a, &b, &c});
}

// Two sequences share a page that neither of them has published. They publish the page at different
// times.
TEST_F(KvCacheTest, AForkFindsThePagesThatItsOriginPublished) {
  Sequence a(kv_), b(kv_);
  EXPECT_TRUE(Extend(&a, Count(128)));
  b.Fork(a);
  Cache(Count(64));  // the same first page, published before that of a and b
  kv_.Publish(&a, Count(128), "");
  EXPECT_NE(a.pages()[0], b.pages()[0]);
  EXPECT_EQ(a.pages()[1], b.pages()[1]);
  ExpectSound({&a, &b});
  a.Clear();
  kv_.Publish(&b, Count(128), "");
  EXPECT_EQ(kv_.used_pages(), 2);
  ExpectSound({&a, &b});
  EXPECT_EQ(Found(Count(128)), 128);
}

TEST_F(KvCacheTest, AForkOfAnotherSaltLeavesThePagesToTheFirst) {
  Sequence a(kv_), b(kv_);
  EXPECT_TRUE(Extend(&a, Count(64)));
  b.Fork(a);
  kv_.Publish(&a, Count(64), "a");
  kv_.Publish(&b, Count(64), "b");
  EXPECT_TRUE(Extend(&b, Count(64, 64)));
  kv_.Publish(&b, Count(128), "b");
  EXPECT_EQ(Found(Count(128), "a"), 64);
  EXPECT_EQ(Found(Count(128), "b"), 0);
  ExpectSound({&a, &b});
}

// The second page is published as the successor of a first page. The first page is evicted. Then
// the second page is published again, as the successor of the new first page.
TEST_F(KvCacheTest, APageWhoseForerunnerWasEvictedIsPublishedAnew) {
  Sequence a(kv_), b(kv_);
  EXPECT_TRUE(Extend(&a, Count(128)));
  b.Fork(a);
  Cache(Count(64));
  kv_.Publish(&a, Count(128), "");
  a.Clear();
  EXPECT_TRUE(Extend(&a, Count(6 * 64, 1000)));  // evicts the first page, which b does not hold
  a.Clear();
  EXPECT_EQ(Found(Count(128)), 0);
  kv_.Publish(&b, Count(128), "");
  EXPECT_EQ(Found(Count(128)), 128);
  ExpectSound({&a, &b});
}

TEST_F(KvCacheTest, TwoThatComputedTheSameEndUpWithOnePage) {
  Sequence a(kv_), b(kv_);
  EXPECT_TRUE(Extend(&a, Count(150)));
  EXPECT_TRUE(Extend(&b, Count(140)));
  EXPECT_EQ(kv_.used_pages(), 6);
  kv_.Publish(&a, Count(150), "");
  kv_.Publish(&b, Count(140), "");
  EXPECT_EQ(kv_.used_pages(), 4);
  EXPECT_EQ(Read(b), Count(140));
  ExpectSound({&a, &b});
}

// Truncates a sequence within a page that another sequence holds, and within a page that no other
// sequence holds but the prefix cache has.
TEST_F(KvCacheTest, WhatIsCutIsWrittenElsewhere) {
  for (const bool held : {false, true}) {
    Sequence a(kv_), b(kv_);
    kv_.Adopt(&a, Count(128), "", 128);
    EXPECT_TRUE(Extend(&a, Count(128 - a.length(), static_cast<int32_t>(a.length()))));
    kv_.Publish(&a, Count(128), "");
    if (held) kv_.Adopt(&b, Count(128), "", 128);
    a.Truncate(70);
    EXPECT_TRUE(Extend(&a, Count(100, 500)));
    EXPECT_EQ(Read(a), Count(70) + Count(100, 500));
    kv_.Publish(&a, Count(70) + Count(100, 500), "");
    EXPECT_EQ(Found(Count(70) + Count(100, 500)), 128);
    EXPECT_EQ(Found(Count(128)), 128);
    EXPECT_EQ(Read(b), Count(held ? 128 : 0));
    ExpectSound({&a, &b});
  }
}

TEST_F(KvCacheTest, ResetForgetsAllButIsRefusedWhilePagesAreHeld) {
  Cache(Count(128));
  {
    Sequence sequence(kv_);
    kv_.Adopt(&sequence, Count(128), "", 64);
    EXPECT_FALSE(kv_.ResetPrefixes());
    EXPECT_EQ(Found(Count(128)), 128);
  }
  EXPECT_TRUE(kv_.ResetPrefixes());
  EXPECT_EQ(Found(Count(128)), 0);
  EXPECT_EQ(kv_.free_pages(), 8);
  ExpectSound({});
}

TEST_F(KvCacheTest, ARefusalChangesNothing) {
  Cache(Count(128));
  Sequence a(kv_), b(kv_);
  EXPECT_TRUE(Extend(&a, Count(70, 1000)));
  b.Fork(a);
  EXPECT_FALSE(kv_.Reserve(&b, 8 * 64));  // needs six more pages, and one for a copy
  EXPECT_EQ(kv_.free_pages(), 6);
  EXPECT_EQ(Found(Count(128)), 128);
  EXPECT_TRUE(kv_.Reserve(&b, 6 * 64));
  EXPECT_EQ(kv_.free_pages(), 1);
  ExpectSound({&a, &b});
}

// Random operations in a small pool. The scheduler does not use all of them: sequences are forked,
// and cut at any position.
TEST(KvCacheRandomTest, EverySequenceHoldsItsOwnTokens) {
  constexpr int64_t kPages = 10, kSequences = 5;
  std::mt19937_64 random(1);
  const auto below = [&](int64_t n) {
    return static_cast<int64_t>(random() % static_cast<uint64_t>(n));
  };
  TokenBackend backend;
  KvCache kv(backend, std::make_unique<TokenPages>(kPages), kPages * kPageTokens);
  struct One {
    std::unique_ptr<Sequence> sequence;
    Tokens tokens;
    std::string salt;
  };
  std::vector<One> all(kSequences);
  std::vector<const Sequence*> sequences;
  for (One& one : all) {
    one.sequence = std::make_unique<Sequence>(kv);
    sequences.push_back(one.sequence.get());
  }
  std::vector<Tokens> published;
  int64_t adopted = 0, forked = 0, refused = 0, resets = 0;
  for (int step = 0; step < 20'000; ++step) {
    One& one = all[static_cast<size_t>(below(kSequences))];
    const One& other = all[static_cast<size_t>(below(kSequences))];
    switch (below(8)) {
      case 0:
      case 1:
      case 2: {  // few different tokens, so that sequences share prefixes
        const Tokens more = Count(below(150), static_cast<int32_t>(below(2) * 1000));
        if (!kv.Reserve(one.sequence.get(), one.sequence->length() + std::ssize(more))) {
          ++refused;
          break;
        }
        KvCacheInside::Write(kv, one.sequence.get(), more);
        one.tokens = one.tokens + more;
        break;
      }
      case 3:
        kv.Publish(one.sequence.get(), one.tokens, one.salt);
        published.push_back(one.tokens);
        break;
      case 4:
        one.tokens.resize(static_cast<size_t>(below(std::ssize(one.tokens) + 1)));
        one.sequence->Truncate(std::ssize(one.tokens));
        break;
      case 5:
        one.sequence->Clear();
        one.tokens.clear();
        one.salt = below(3) == 0 ? "salt" : "";
        if (published.empty()) break;
        one.tokens = published[static_cast<size_t>(below(std::ssize(published)))];
        kv.Adopt(one.sequence.get(), one.tokens, one.salt, below(200));
        one.tokens.resize(static_cast<size_t>(one.sequence->length()));
        adopted += one.sequence->length();
        break;
      case 6:
        if (&one == &other) break;
        one.sequence->Clear();
        one.sequence->Fork(*other.sequence);
        one.tokens = other.tokens;
        one.salt = other.salt;
        forked += one.sequence->length();
        break;
      default:
        if (kv.ResetPrefixes()) ++resets;
    }
    for (const One& each : all)
      ASSERT_EQ(KvCacheInside::Read(kv, *each.sequence), each.tokens) << step;
    ASSERT_EQ(KvCacheInside::Fault(kv, sequences), "") << step;
  }
  for (const int64_t times : {adopted, forked, refused, resets}) EXPECT_GE(times, 50);
}

}  // namespace
}  // namespace merope
