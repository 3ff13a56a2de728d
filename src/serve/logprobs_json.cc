#include "serve/logprobs_json.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/json.h"
#include "base/utf8.h"
#include "text/strings.h"

namespace merope {
namespace {

std::string Bytes(int32_t id, const Tokenizer& tokenizer) {
  const bool known = id >= 0 && id < tokenizer.vocab_size();
  return known ? tokenizer.TokenBytes(id) : "";
}

double Finite(float logprob) { return std::max(static_cast<double>(logprob), -9999.0); }

OrderedJson ChatToken(const TokenLogprob& token, const TokenNames& names) {
  OrderedJson bytes = OrderedJson::array();
  for (const unsigned char byte : Bytes(token.id, names.tokenizer)) bytes.push_back(byte);
  return {{"token", names(token.id)}, {"logprob", Finite(token.logprob)}, {"bytes", bytes}};
}

}  // namespace

std::string TokenNames::operator()(int32_t id) const {
  if (as_ids) return fmt::format("token_id:{}", id);
  std::string bytes = Bytes(id, tokenizer), text;
  utf8::DrainLossy(&bytes, true, &text);
  return text;
}

int64_t CountCharacters(std::span<const int32_t> ids, const TokenNames& names) {
  int64_t n = 0;
  for (const int32_t id : ids) n += strings::CountCharacters(names(id));
  return n;
}

OrderedJson CompletionLogprobs(std::span<const int32_t> ids,
                               std::span<const PositionLogprobs> positions, int64_t offset,
                               const TokenNames& names) {
  OrderedJson offsets = OrderedJson::array(), token_logprobs = OrderedJson::array(),
              tokens = OrderedJson::array(), tops = OrderedJson::array();
  const size_t without = ids.size() - positions.size();
  for (size_t i = 0; i < ids.size(); ++i) {
    const std::string name = names(ids[i]);
    offsets.push_back(offset);
    offset += strings::CountCharacters(name);
    tokens.push_back(name);
    if (i < without) {
      token_logprobs.push_back(nullptr);
      tops.push_back(nullptr);
      continue;
    }
    const PositionLogprobs& position = positions[i - without];
    token_logprobs.push_back(Finite(position.front().logprob));
    // Tokens with the same text share one entry, which holds the logprob of the first of these
    // tokens. Most such tokens are parts of a character.
    OrderedJson top = OrderedJson::object();
    for (const TokenLogprob& token : position) top.emplace(names(token.id), Finite(token.logprob));
    tops.push_back(std::move(top));
  }
  return {{"text_offset", std::move(offsets)},
          {"token_logprobs", std::move(token_logprobs)},
          {"tokens", std::move(tokens)},
          {"top_logprobs", std::move(tops)}};
}

OrderedJson ChatLogprobs(std::span<const PositionLogprobs> positions, const TokenNames& names) {
  OrderedJson content = OrderedJson::array();
  for (const PositionLogprobs& position : positions) {
    OrderedJson token = ChatToken(position.front(), names);
    OrderedJson top = OrderedJson::array();
    for (const TokenLogprob& likely : std::span(position).subspan(1))
      top.push_back(ChatToken(likely, names));
    token["top_logprobs"] = std::move(top);
    content.push_back(std::move(token));
  }
  return {{"content", std::move(content)}};
}

OrderedJson PromptLogprobs(std::span<const PositionLogprobs> positions, const TokenNames& names) {
  OrderedJson all = OrderedJson::array({nullptr});
  for (const PositionLogprobs& position : positions) {
    OrderedJson tokens = OrderedJson::object();
    for (const TokenLogprob& token : position)
      tokens.emplace(std::to_string(token.id), OrderedJson{{"logprob", Finite(token.logprob)},
                                                           {"rank", token.rank},
                                                           {"decoded_token", names(token.id)}});
    all.push_back(std::move(tokens));
  }
  return all;
}

}  // namespace merope
