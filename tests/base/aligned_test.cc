#include "base/aligned.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdint>
#include <type_traits>

namespace merope {
namespace {

TEST(PageArray, IsZeroedPageAlignedAndOfItsSize) {
  constexpr int64_t kSize = 3000;
  PageArray<int32_t> array(kSize);
  EXPECT_EQ(array.size(), kSize);
  EXPECT_EQ(array.bytes(), kSize * sizeof(int32_t));
  const auto page = static_cast<uintptr_t>(sysconf(_SC_PAGESIZE));
  EXPECT_EQ(reinterpret_cast<uintptr_t>(array.data()) % page, 0u);
  for (int64_t i = 0; i < kSize; ++i) {
    ASSERT_EQ(array[i], 0);
    array[i] = static_cast<int32_t>(i);
  }
  EXPECT_EQ(std::as_const(array)[kSize - 1], kSize - 1);
  EXPECT_EQ(std::as_const(array).data(), array.data());
}

TEST(PageArray, MovesAndMayBeEmpty) {
  PageArray<char> none, zero(0);
  EXPECT_EQ(none.data(), nullptr);
  EXPECT_EQ(zero.data(), nullptr);
  EXPECT_EQ(none.size(), 0);
  PageArray<char> one(1);
  one[0] = 'x';
  PageArray<char> moved(std::move(one));
  none = std::move(moved);
  EXPECT_EQ(none.size(), 1);
  EXPECT_EQ(none[0], 'x');
  EXPECT_FALSE(std::is_copy_constructible_v<PageArray<char>>);
}

TEST(PageArray, WhatTheSystemHasNotIsBadAlloc) {
  EXPECT_THROW(PageArray<char>(int64_t{1} << 60), std::bad_alloc);
}

}  // namespace
}  // namespace merope
