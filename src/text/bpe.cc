#include "text/bpe.h"

#include <algorithm>

#include "base/utf8.h"
#include "text/pieces.h"

namespace merope {
namespace {

constexpr uint64_t kFree = ~uint64_t{0};  // not the key of any pair: ids are not negative
// The constructor tests whether a token's own piece merges to the token, up to this length. For a
// longer piece, Encode applies the merges each time.
constexpr size_t kMaxWholeBytes = 32;

uint64_t KeyOf(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

}  // namespace

MergeTable::MergeTable(size_t expected) {
  size_t capacity = 16;
  while (capacity < 2 * expected) capacity *= 2;
  entries_.assign(capacity, {kFree, {}});
}

size_t MergeTable::SlotOf(uint64_t key) const {
  const size_t mask = entries_.size() - 1;
  uint64_t hash = key * 0x9E3779B97F4A7C15u;
  size_t slot = (hash ^ hash >> 32) & mask;
  while (entries_[slot].key != key && entries_[slot].key != kFree) slot = (slot + 1) & mask;
  return slot;
}

void MergeTable::Set(int32_t left, int32_t right, Merge merge) {
  if (2 * (size_ + 1) > entries_.size()) {
    MergeTable larger(2 * size_ + 2);
    for (const Entry& entry : entries_) {
      if (entry.key != kFree) larger.entries_[larger.SlotOf(entry.key)] = entry;
    }
    larger.size_ = size_;
    *this = std::move(larger);
  }
  const uint64_t key = KeyOf(left, right);
  Entry& entry = entries_[SlotOf(key)];
  if (entry.key == kFree) ++size_;
  entry = {key, merge};
}

const MergeTable::Merge* MergeTable::Find(int32_t left, int32_t right) const {
  const Entry& entry = entries_[SlotOf(KeyOf(left, right))];
  return entry.key == kFree ? nullptr : &entry.merge;
}

Bpe::Bpe(std::vector<std::string> tokens, MergeTable merges, BpeOptions options)
    : tokens_(std::move(tokens)),
      index_(tokens_),
      merges_(std::move(merges)),
      options_(options),
      pieces_(tokens_.size()) {
  std::string spelling;
  for (unsigned byte = 0; byte < 256; ++byte) {
    byte_tokens_[byte] = Find(fmt::format("<0x{:02X}>", byte));
    spelling.clear();
    byte_level::AppendMapped(std::string(1, static_cast<char>(byte)), &spelling);
    symbol_of_byte_[byte] = Find(spelling);
  }
  for (size_t id = 0; id < tokens_.size(); ++id) {
    if (!options_.byte_level) {
      pieces_[id] = tokens_[id];
    } else if (!byte_level::Unmap(tokens_[id], &pieces_[id])) {
      pieces_[id].clear();
    }
  }
  piece_index_ = StringIndex(pieces_);
  std::vector<bool> whole(tokens_.size());
  Scratch scratch;
  std::vector<int32_t> ids;
  for (size_t id = 0; id < tokens_.size(); ++id) {
    if (pieces_[id].empty() || pieces_[id].size() > kMaxWholeBytes) continue;
    ids.clear();
    Encode(pieces_[id], &scratch, &ids);
    whole[id] = ids.size() == 1 && ids[0] == static_cast<int32_t>(id);
  }
  whole_ = std::move(whole);
}

void Bpe::Encode(std::string_view piece, Scratch* scratch, std::vector<int32_t>* ids) const {
  const bool ignore_merges =
      options_.ignore_merges ||
      (options_.whole_newlines && piece.find_first_not_of('\n') == std::string_view::npos);
  if (ignore_merges || (!whole_.empty() && piece.size() <= kMaxWholeBytes)) {
    const int32_t id = piece_index_.Find(piece);
    if (id >= 0 && (ignore_merges || whole_[static_cast<size_t>(id)])) {
      ids->push_back(id);
      return;
    }
  }
  scratch->symbols.clear();
  Append(piece, scratch);
  if (scratch->symbols.empty()) return;
  Merge(scratch);
  for (int32_t at = 0; at >= 0; at = scratch->symbols[static_cast<size_t>(at)].next) {
    const int32_t id = scratch->symbols[static_cast<size_t>(at)].id;
    if (id < options_.first_part) {
      ids->push_back(id);
    } else {
      TakeApart(tokens_[static_cast<size_t>(id)], ids);
    }
  }
}

void Bpe::Append(std::string_view piece, Scratch* scratch) const {
  std::vector<Scratch::Symbol>& symbols = scratch->symbols;
  std::optional<int32_t> pending;  // an unknown token that is not yet appended
  for (size_t at = 0; at < piece.size();) {
    const size_t begin = at;
    int32_t id;
    if (options_.byte_level) {
      id = symbol_of_byte_[static_cast<unsigned char>(piece[at++])];
    } else {
      utf8::Next(piece, &at);
      id = Find(piece.substr(begin, at - begin));
    }
    if (id >= 0) {
      if (pending) symbols.push_back({*pending, 0, 0});
      pending.reset();
      symbols.push_back({id, 0, 0});
    } else {
      AppendUnknown(piece.substr(begin, at - begin), &pending, scratch);
    }
  }
  if (pending) symbols.push_back({*pending, 0, 0});
}

// Does the same as HF tokenizers, including the order of the symbols: byte tokens do not flush a
// pending unknown token.
void Bpe::AppendUnknown(std::string_view character, std::optional<int32_t>* pending,
                        Scratch* scratch) const {
  if (options_.byte_fallback && std::ranges::all_of(character, [&](char byte) {
        return ByteToken(static_cast<uint8_t>(byte)) >= 0;
      })) {
    for (const char byte : character) {
      scratch->symbols.push_back({ByteToken(static_cast<uint8_t>(byte)), 0, 0});
    }
    return;
  }
  if (!options_.unknown) return;
  if (*pending && !options_.fuse_unknown) scratch->symbols.push_back({**pending, 0, 0});
  *pending = options_.unknown;
}

void Bpe::TakeApart(std::string_view character, std::vector<int32_t>* ids) const {
  for (const char byte : character) {
    const int32_t id = ByteToken(static_cast<uint8_t>(byte));
    if (id >= 0) {
      ids->push_back(id);
    } else if (options_.unknown) {
      ids->push_back(*options_.unknown);
    }
  }
}

void Bpe::Merge(Scratch* scratch) const {
  std::vector<Scratch::Symbol>& symbols = scratch->symbols;
  std::vector<Scratch::Candidate>& heap = scratch->heap;
  const auto later = [](const Scratch::Candidate& a, const Scratch::Candidate& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.at > b.at;
  };
  const auto symbol = [&](int32_t at) -> Scratch::Symbol& {
    return symbols[static_cast<size_t>(at)];
  };
  const auto candidate = [&](int32_t at) -> std::optional<Scratch::Candidate> {
    const MergeTable::Merge* merge = merges_.Find(symbol(at).id, symbol(symbol(at).next).id);
    if (merge == nullptr) return std::nullopt;
    return Scratch::Candidate{merge->rank, at, merge->result};
  };
  const auto count = static_cast<int32_t>(symbols.size());
  for (int32_t at = 0; at < count; ++at) {
    symbol(at).previous = at - 1;
    symbol(at).next = at + 1 < count ? at + 1 : -1;
  }
  heap.clear();
  for (int32_t at = 0; at + 1 < count; ++at) {
    if (const auto c = candidate(at)) heap.push_back(*c);
  }
  std::ranges::make_heap(heap, later);
  while (!heap.empty()) {
    std::ranges::pop_heap(heap, later);
    const Scratch::Candidate top = heap.back();
    heap.pop_back();
    Scratch::Symbol& left = symbol(top.at);
    if (left.id < 0 || left.next < 0) continue;  // left is merged into another symbol, or is last
    Scratch::Symbol& right = symbol(left.next);
    // The pair may have changed after the push. The candidate is valid only if the pair still makes
    // the same token.
    const MergeTable::Merge* merge = merges_.Find(left.id, right.id);
    if (merge == nullptr || merge->result != top.result) continue;
    left.id = top.result;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) {
      symbol(left.next).previous = top.at;
      if (const auto c = candidate(top.at)) {
        heap.push_back(*c);
        std::ranges::push_heap(heap, later);
      }
    }
    if (left.previous >= 0) {
      if (const auto c = candidate(left.previous)) {
        heap.push_back(*c);
        std::ranges::push_heap(heap, later);
      }
    }
  }
}

}  // namespace merope
