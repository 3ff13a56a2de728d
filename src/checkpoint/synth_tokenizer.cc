#include "checkpoint/synth_tokenizer.h"

#include <array>
#include <string>
#include <vector>

namespace merope {
namespace {

constexpr std::array<const char*, 4> kSpecial = {"[UNK]", "<|begin_of_text|>", "<|end_of_text|>",
                                                 "[PAD]"};
constexpr int64_t kPrefixId = 2;  // Pleias-RAG's tokenizer puts <|end_of_text|> before a text
constexpr std::array<const char*, 19> kProtocol = {
    "query_start",         "query_end",           "source_start",      "source_id",
    "source_end",          "language_start",      "language_end",      "query_analysis_start",
    "query_analysis_end",  "query_report_start",  "query_report_end",  "source_analysis_start",
    "source_analysis_end", "source_report_start", "source_report_end", "draft_start",
    "draft_end",           "answer_start",        "answer_end"};

// The symbol of each byte in GPT-2's byte-level alphabet, as UTF-8. A byte that prints in Latin-1
// is its own symbol. Every other byte gets the next free code point from U+0100 on.
std::vector<std::string> ByteSymbols() {
  std::vector<std::string> symbols;
  uint32_t next = 256;
  for (uint32_t byte = 0; byte < 256; ++byte) {
    const bool prints = (byte >= 33 && byte <= 126) || (byte >= 161 && byte != 173);
    const uint32_t code = prints ? byte : next++;
    if (code < 128) {
      symbols.emplace_back(1, static_cast<char>(code));
    } else {
      symbols.push_back(
          {static_cast<char>(0xc0 | code >> 6), static_cast<char>(0x80 | (code & 63))});
    }
  }
  return symbols;
}

}  // namespace

Json SynthTokenizer(int64_t vocab_size) {
  CHECK(vocab_size >= kSmallestSynthVocabulary);
  const std::vector<std::string> symbols = ByteSymbols();
  const auto n_protocol = static_cast<int64_t>(kProtocol.size());
  const bool protocol = vocab_size >= kSmallestSynthVocabulary + n_protocol;
  const int64_t first_protocol = protocol ? vocab_size - n_protocol : vocab_size;

  Json vocabulary = Json::object(), merges = Json::array(), added = Json::array();
  const auto add_special = [&](const std::string& token, int64_t id) {
    vocabulary[token] = id;
    added.push_back({{"id", id},
                     {"content", token},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  };
  int64_t id = 0;
  for (const char* token : kSpecial) add_special(token, id++);
  for (const std::string& symbol : symbols) vocabulary[symbol] = id++;
  // The merges make all pairs of symbols, and then all pairs followed by a symbol. Each merge makes
  // a token that no earlier merge made.
  const auto pair = [&](int64_t k) {
    return std::pair{symbols[static_cast<size_t>(k / 256)], symbols[static_cast<size_t>(k % 256)]};
  };
  constexpr int64_t kPairs = 256 * 256;
  for (int64_t merge = 0; id < first_protocol; ++merge, ++id) {
    auto [left, right] = pair(merge < kPairs ? merge : (merge - kPairs) / 256);
    if (merge >= kPairs) {
      left += right;
      right = symbols[static_cast<size_t>((merge - kPairs) % 256)];
    }
    vocabulary[left + right] = id;
    merges.push_back({left, right});
  }
  for (size_t i = 0; protocol && i < kProtocol.size(); ++i)
    add_special(fmt::format("<|{}|>", kProtocol[i]), id++);

  const std::string prefix = kSpecial[kPrefixId];
  const auto special = [&](int type) {
    return Json{{"SpecialToken", {{"id", prefix}, {"type_id", type}}}};
  };
  const auto sequence = [](const char* name, int type) {
    return Json{{"Sequence", {{"id", name}, {"type_id", type}}}};
  };
  const Json byte_level = {{"type", "ByteLevel"},
                           {"add_prefix_space", false},
                           {"trim_offsets", true},
                           {"use_regex", true}};
  return {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", added},
      {"normalizer", nullptr},
      {"pre_tokenizer", byte_level},
      {"post_processor",
       {{"type", "TemplateProcessing"},
        {"single", {special(0), sequence("A", 0)}},
        {"pair", {special(0), sequence("A", 0), special(1), sequence("B", 1)}},
        {"special_tokens",
         {{prefix, {{"id", prefix}, {"ids", {kPrefixId}}, {"tokens", Json::array({prefix})}}}}}}},
      {"decoder", byte_level},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", nullptr},
        {"continuing_subword_prefix", nullptr},
        {"end_of_word_suffix", nullptr},
        {"fuse_unk", false},
        {"byte_fallback", false},
        {"ignore_merges", false},
        {"vocab", std::move(vocabulary)},
        {"merges", std::move(merges)}}}};
}

Json SynthTokenizerConfig(int64_t max_positions) {
  return {{"tokenizer_class", "PreTrainedTokenizerFast"},
          {"bos_token", kSpecial[1]},
          {"eos_token", kSpecial[2]},
          {"unk_token", kSpecial[0]},
          {"pad_token", kSpecial[3]},
          {"clean_up_tokenization_spaces", true},
          {"model_max_length", max_positions}};
}

}  // namespace merope
