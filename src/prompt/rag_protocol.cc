#include "prompt/rag_protocol.h"

#include <fmt/format.h>

#include <initializer_list>
#include <optional>
#include <string>
#include <utility>

namespace merope {
namespace {

class Protocol {
 public:
  Protocol(const Tokenizer& tokenizer, std::vector<int32_t> ids)
      : tokenizer_(tokenizer), ids_(std::move(ids)) {}

  Status Tokens(std::initializer_list<std::string_view> names) {
    for (const std::string_view name : names) {
      const std::string token = fmt::format("<|{}|>", name);
      const std::optional<int32_t> id = tokenizer_.TokenToId(token);
      if (!id)
        return Err("tokenizer: expected the token {} beside <|query_start|>, found none", token);
      ids_.push_back(*id);
    }
    return {};
  }

  Status Text(std::string_view text) {
    TRY_ASSIGN(const std::vector<int32_t> ids,
               tokenizer_.Encode(text, {.parse_special = false, .add_special = false}));
    ids_.insert(ids_.end(), ids.begin(), ids.end());
    return {};
  }

  std::vector<int32_t> ids() && { return std::move(ids_); }

 private:
  const Tokenizer& tokenizer_;
  std::vector<int32_t> ids_;
};

}  // namespace

bool HasRagProtocol(const Tokenizer& tokenizer) {
  return tokenizer.TokenToId("<|query_start|>") && tokenizer.TokenToId("<|language_start|>");
}

Result<std::vector<int32_t>> EncodeRagPrompt(const Tokenizer& tokenizer, std::string_view query,
                                             std::span<const std::string_view> sources) {
  Protocol prompt(tokenizer, tokenizer.PrefixIds());
  TRY(prompt.Tokens({"query_start"}));
  TRY(prompt.Text(query));
  TRY(prompt.Tokens({"query_end"}));
  TRY(prompt.Text("\n"));
  for (size_t i = 0; i < sources.size(); ++i) {
    TRY(prompt.Tokens({"source_start", "source_id"}));
    TRY(prompt.Text(fmt::format("{} {}", i + 1, sources[i])));
    TRY(prompt.Tokens({"source_end"}));
    TRY(prompt.Text("\n"));
  }
  TRY(prompt.Tokens({"language_start"}));
  TRY(prompt.Text("\n"));
  return std::move(prompt).ids();
}

Result<std::vector<int32_t>> EncodeRagAnswer(const Tokenizer& tokenizer, const RagAnswer& answer) {
  Protocol text(tokenizer, {});
  TRY(text.Text(fmt::format("{}\n", answer.language)));
  TRY(text.Tokens({"language_end"}));
  TRY(text.Text("\n\n"));
  TRY(text.Tokens({"query_report_start"}));
  TRY(text.Text("\nAnswerable\n"));
  TRY(text.Tokens({"query_report_end"}));
  TRY(text.Text("\n\n"));
  TRY(text.Tokens({"answer_start"}));
  TRY(text.Text(fmt::format("\n{}<ref name=\"", answer.answer)));
  TRY(text.Tokens({"source_id"}));
  TRY(text.Text(fmt::format("1\">{}</ref>\n", answer.quote)));
  TRY(text.Tokens({"answer_end"}));
  return std::move(text).ids();
}

}  // namespace merope
