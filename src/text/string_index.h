// StringIndex maps a token's spelling to its id. A StringIndex is a hash table over strings that
// the caller owns. It is immutable after construction, so it is safe on any thread.
#pragma once

#include <cstdint>
#include <cstring>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace merope {

class StringIndex {
 public:
  static constexpr int32_t kNone = -1;

  StringIndex() = default;
  // The id of a key is its position in keys. Empty keys are left out. If keys are equal, the index
  // keeps the first. The keys must outlive the index and must not move.
  explicit StringIndex(std::span<const std::string> keys) : keys_(keys) {
    size_t capacity = 16;
    while (capacity < 2 * keys.size()) capacity *= 2;
    slots_.assign(capacity, kNone);
    for (size_t id = 0; id < keys.size(); ++id) {
      if (keys[id].empty()) continue;
      int32_t& slot = slots_[SlotOf(keys[id])];
      if (slot == kNone) slot = static_cast<int32_t>(id);
    }
  }

  int32_t Find(std::string_view key) const {
    return slots_.empty() || key.empty() ? kNone : slots_[SlotOf(key)];
  }

 private:
  static uint64_t Hash(std::string_view key) {
    uint64_t hash = key.size() * 0x9E3779B97F4A7C15u;
    const char* at = key.data();
    size_t left = key.size();
    for (; left >= 8; at += 8, left -= 8) {
      uint64_t word;
      std::memcpy(&word, at, 8);
      hash = (hash ^ word) * 0xD6E8FEB86659FD93u;
      hash ^= hash >> 32;
    }
    uint64_t word = 0;
    std::memcpy(&word, at, left);
    hash = (hash ^ word) * 0xD6E8FEB86659FD93u;
    return hash ^ hash >> 32;
  }

  size_t SlotOf(std::string_view key) const {
    const size_t mask = slots_.size() - 1;
    size_t slot = Hash(key) & mask;
    while (slots_[slot] != kNone && keys_[static_cast<size_t>(slots_[slot])] != key) {
      slot = (slot + 1) & mask;
    }
    return slot;
  }

  std::span<const std::string> keys_;
  std::vector<int32_t> slots_;
};

}  // namespace merope
