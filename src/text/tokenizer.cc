#include "text/tokenizer.h"

#include <algorithm>

#include "base/utf8.h"
#include "text/tokenizer_state.h"

namespace merope {
namespace {

constexpr size_t kMaxTextBytes = size_t{1} << 30;  // positions are 32-bit

}  // namespace

Tokenizer::Tokenizer(std::unique_ptr<const State> state) : state_(std::move(state)) {}
Tokenizer::Tokenizer(Tokenizer&&) noexcept = default;
Tokenizer& Tokenizer::operator=(Tokenizer&&) noexcept = default;
Tokenizer::~Tokenizer() = default;

Status Tokenizer::State::Normalize(std::string* text) const {
  const size_t max = normalizers::MaxBytes(text->size());
  for (const Normalizer& normalizer : normalizers) {
    TRY(normalizer(text));
    if (text->size() > max) {
      return Err("{}: the normalizers make more than {} bytes of a text", file, max);
    }
  }
  return {};
}

Status Tokenizer::State::FinishAdded() {
  added_index.assign(static_cast<size_t>(vocab_size), -1);
  for (size_t i = 0; i < added.size(); ++i) {
    const AddedToken& token = added[i];
    added_index[static_cast<size_t>(token.id)] = static_cast<int32_t>(i);
    std::string pattern = token.content;
    if (token.normalized) TRY(Normalize(&pattern));
    (token.normalized ? normalized : raw).Add(token, pattern);
  }
  return {};
}

Result<std::vector<int32_t>> Tokenizer::Encode(std::string_view text, EncodeOptions options) const {
  const State& s = *state_;
  if (text.size() > kMaxTextBytes) {
    return Err("text: expected at most {} bytes, found {}", kMaxTextBytes, text.size());
  }
  if (const size_t valid = utf8::ValidPrefix(text); valid < text.size()) {
    return Err("text: expected UTF-8, found byte 0x{:02X} at offset {}",
               static_cast<unsigned char>(text[valid]), valid);
  }
  const bool parse_special = options.parse_special && !s.split_special;
  std::vector<int32_t> ids;
  if (options.add_special) ids = s.prefix;
  Bpe::Scratch scratch;
  std::vector<TextPart> raw_parts, parts;
  s.raw.Split(text, parse_special, &raw_parts);
  for (const TextPart& raw : raw_parts) {
    if (raw.id >= 0) {
      ids.push_back(raw.id);
      continue;
    }
    std::string normalized(text.substr(raw.begin, raw.end - raw.begin));
    TRY(s.Normalize(&normalized));
    parts.clear();
    s.normalized.Split(normalized, parse_special, &parts);
    for (const TextPart& part : parts) {
      if (part.id >= 0) {
        ids.push_back(part.id);
        continue;
      }
      Pieces pieces;
      pieces.text = normalized.substr(part.begin, part.end - part.begin);
      pieces.ends = {pieces.text.size()};
      pieces.at_start = raw.begin == 0 && part.begin == 0;
      for (const PreTokenizer& pre_tokenizer : s.pre_tokenizers) TRY(pre_tokenizer(&pieces));
      for (size_t i = 0; i < pieces.size(); ++i) s.bpe->Encode(pieces[i], &scratch, &ids);
    }
  }
  if (options.add_special) ids.insert(ids.end(), s.suffix.begin(), s.suffix.end());
  return ids;
}

Result<std::string> Tokenizer::Decode(std::span<const int32_t> ids, bool skip_special) const {
  std::string text;
  DecodeState state;
  state_->decoder.Start(&state);
  for (size_t i = 0; i < ids.size(); ++i) {
    if (ids[i] < 0 || ids[i] >= vocab_size()) {
      return Err("{}: expected token ids in [0, {}), found {} at position {}", state_->file,
                 vocab_size(), ids[i], i);
    }
    const std::string_view token = IdToToken(ids[i]);
    if (token.empty() || (skip_special && IsSpecial(ids[i]))) continue;
    state_->decoder.Push(token, &state, &text);
  }
  state_->decoder.Finish(&state, &text);
  return text;
}

int32_t Tokenizer::vocab_size() const { return state_->vocab_size; }

std::optional<int32_t> Tokenizer::TokenToId(std::string_view token) const {
  const int32_t id = state_->bpe->Find(token);
  if (id < 0 || id >= state_->vocab_size) return std::nullopt;
  return id;
}

std::string_view Tokenizer::IdToToken(int32_t id) const {
  if (id < 0 || id >= state_->vocab_size) return {};
  return state_->bpe->tokens()[static_cast<size_t>(id)];
}

bool Tokenizer::IsSpecial(int32_t id) const {
  if (id < 0 || id >= state_->vocab_size) return false;
  const AddedToken* added = state_->Added(id);
  return added != nullptr && added->special;
}

std::vector<int32_t> Tokenizer::PrefixIds() const { return state_->prefix; }

std::string Tokenizer::TokenBytes(int32_t id) const {
  return state_->decoder.TokenBytes(IdToToken(id));
}

StreamDecoder::StreamDecoder(const Tokenizer& tokenizer, bool skip_special,
                             std::span<const int32_t> before)
    : tokenizer_(tokenizer), skip_special_(skip_special), state_(new DecodeState) {
  tokenizer_.state_->decoder.Start(state_.get());
  // Only the last tokens can contain an unfinished character. For the earlier tokens, it only
  // matters whether one of them has text.
  constexpr size_t kContext = 16;
  const size_t earlier = before.size() - std::min(before.size(), kContext);
  const auto has_text = [this](int32_t id) { return !TokenOf(id).empty(); };
  if (std::ranges::any_of(before.first(earlier), has_text)) {
    state_->at_start = false;
    state_->to_strip = 0;
  }
  for (const int32_t id : before.subspan(earlier)) Push(id);
  Decoder::BeginStream(state_.get());
}
StreamDecoder::StreamDecoder(StreamDecoder&&) noexcept = default;
StreamDecoder::~StreamDecoder() = default;

std::string_view StreamDecoder::TokenOf(int32_t id) const {
  return skip_special_ && tokenizer_.IsSpecial(id) ? "" : tokenizer_.IdToToken(id);
}

std::string StreamDecoder::Push(int32_t id) {
  std::string text;
  const std::string_view token = TokenOf(id);
  if (!token.empty()) tokenizer_.state_->decoder.Push(token, state_.get(), &text);
  return text;
}

std::string StreamDecoder::Finish() {
  std::string text;
  tokenizer_.state_->decoder.Finish(state_.get(), &text);
  return text;
}

}  // namespace merope
