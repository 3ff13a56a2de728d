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

RagProtocol FindRagProtocol(const Tokenizer& tokenizer) {
  const auto has = [&tokenizer](std::string_view token) {
    return tokenizer.TokenToId(token).has_value();
  };
  if (!has("<|query_start|>")) return RagProtocol::kNone;
  if (has("<|language_start|>")) return RagProtocol::kPleias;
  return has("<|reasoning_start|>") && has("<|status_start|>") ? RagProtocol::kOcc
                                                               : RagProtocol::kNone;
}

Result<std::vector<int32_t>> EncodeRagQuery(const Tokenizer& tokenizer, std::string_view query) {
  Protocol prompt(tokenizer, {});
  TRY(prompt.Tokens({"query_start"}));
  TRY(prompt.Text(query));
  TRY(prompt.Tokens({"query_end"}));
  TRY(prompt.Text("\n"));
  return std::move(prompt).ids();
}

Result<std::vector<int32_t>> EncodeRagSource(const Tokenizer& tokenizer, int64_t number,
                                             std::string_view text) {
  Protocol prompt(tokenizer, {});
  TRY(prompt.Tokens({"source_start", "source_id"}));
  TRY(prompt.Text(fmt::format("{} {}", number, text)));
  TRY(prompt.Tokens({"source_end"}));
  TRY(prompt.Text("\n"));
  return std::move(prompt).ids();
}

Result<std::vector<int32_t>> EncodeRagOpening(const Tokenizer& tokenizer) {
  Protocol prompt(tokenizer, {});
  TRY(prompt.Tokens({"language_start"}));
  TRY(prompt.Text("\n"));
  return std::move(prompt).ids();
}

Result<std::vector<int32_t>> EncodeRagFastOpening(const Tokenizer& tokenizer,
                                                  std::string_view language) {
  TRY_ASSIGN(std::vector<int32_t> ids, EncodeRagOpening(tokenizer));
  Protocol prompt(tokenizer, std::move(ids));
  TRY(prompt.Text(fmt::format("{}\n", language)));
  TRY(prompt.Tokens({"language_end"}));
  TRY(prompt.Text("\n\n"));
  TRY(prompt.Tokens({"query_report_start"}));
  TRY(prompt.Text("\nAnswerable\n"));
  TRY(prompt.Tokens({"query_report_end"}));
  TRY(prompt.Text("\n\n"));
  TRY(prompt.Tokens({"answer_start"}));
  TRY(prompt.Text("\n"));
  return std::move(prompt).ids();
}

Result<std::vector<int32_t>> EncodeRagPrompt(const Tokenizer& tokenizer, std::string_view query,
                                             std::span<const std::string_view> sources) {
  std::vector<int32_t> ids = tokenizer.PrefixIds();
  const auto append = [&ids](const std::vector<int32_t>& part) {
    ids.insert(ids.end(), part.begin(), part.end());
  };
  TRY_ASSIGN(const std::vector<int32_t> asked, EncodeRagQuery(tokenizer, query));
  append(asked);
  for (size_t i = 0; i < sources.size(); ++i) {
    TRY_ASSIGN(const std::vector<int32_t> source,
               EncodeRagSource(tokenizer, static_cast<int64_t>(i) + 1, sources[i]));
    append(source);
  }
  TRY_ASSIGN(const std::vector<int32_t> opening, EncodeRagOpening(tokenizer));
  append(opening);
  return ids;
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
