// Requests that ask for as much work as they can, made from a seed.
#pragma once

#include <cstdint>
#include <random>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"

namespace merope {

class HostileRequests {
 public:
  HostileRequests(uint64_t seed, int32_t vocab_size) : random_(seed), vocab_size_(vocab_size) {}

  // The kind i + kGrammars (or i + kParams) is the kind i with other sizes.
  static constexpr int kGrammars = 26, kParams = 12;
  StructuredOutputs Grammar(int kind);
  Request Params(int kind);

 private:
  int Pick(int least, int most) {
    // The distributions of std differ between standard libraries, so Pick does not use them.
    return least + static_cast<int>(random_() % static_cast<uint64_t>(most - least + 1));
  }
  static std::string Times(const std::string& text, int count) {
    std::string all;
    for (int i = 0; i < count; ++i) all += text;
    return all;
  }
  // make(0), make(1), …, with the text `between` between them.
  template <class Make>
  static std::string List(int count, const char* between, Make make) {
    std::string all;
    for (int i = 0; i < count; ++i) all += (i > 0 ? between : "") + make(i);
    return all;
  }

  std::mt19937_64 random_;
  int32_t vocab_size_;
};

inline StructuredOutputs HostileRequests::Grammar(int kind) {
  const std::string letter(1, static_cast<char>('a' + Pick(0, 25)));
  const int many = Pick(2000, 15000), some = Pick(20, 100), few = Pick(2, 9);
  const auto number = [](int i) { return std::to_string(i); };
  switch (kind % kGrammars) {
    case 0:
      return {.regex = Times(letter + "?", Pick(2, 130) * 1000)};
    case 1: {
      const auto definition = [&](int i) {
        std::string next = R"({"$ref":"#/$defs/d)" + number(i + 1) + "\"}";
        return "\"d" + number(i) + "\":{\"allOf\":[" + List(few, ",", [&](int) { return next; }) +
               "]}";
      };
      return {.json = R"({"$ref":"#/$defs/d0","$defs":{)" + List(some, ",", definition) + ",\"d" +
                      number(some) + "\":{\"type\":\"string\"}}}"};
    }
    case 2:
      return {.json = "{\"oneOf\":[" +
                      List(many, ",", [&](int i) { return "{\"const\":" + number(i) + "}"; }) +
                      "]}"};
    case 3:
      return {.regex = Times("(", many) + letter + Times(")*", many)};
    case 4:
      return {.regex = Times("(" + letter + "*" + Times("b?", few) + ")*", many) + "c"};
    case 5:
      return {.regex = "(" + letter + "|b)*" + letter + "(" + letter + "|b){" + number(some) + "}"};
    case 6:
      return {.regex = "((" + letter + "{1," + number(many % 4000) + "}){1,4000}x){1,4000}"};
    case 7:
      return {.regex = "(" + Times(Times(letter, some) + "b", many / some) + ")" + letter};
    case 8:
      return {.regex = "(.{0,4000}" + letter + "){" + number(few) + "}"};
    case 9:
      return {.json = Times("{\"items\":", many) + "{}" + Times("}", many)};
    case 10:
      return {.json = Times("{\"items\":", 250) + "{\"title\":\"" + Times(letter, many) + "\"}" +
                      Times("}", 250)};
    case 11:
      return {.json = "{\"allOf\":[" +
                      List(many / 4, ",",
                           [&](int i) {
                             return R"({"properties":{"p":{"title":")" + number(i) + "\"}}}";
                           }) +
                      "]}"};
    case 12:
      return {.json = "{\"patternProperties\":{" +
                      List(many / 4, ",",
                           [&](int i) { return "\"^" + letter + number(i) + "?\":{}"; }) +
                      "}}"};
    case 13:
      return {.json = "{\"properties\":{" +
                      List(many, ",",
                           [&](int i) { return "\"" + number(i) + "\":{\"type\":\"integer\"}"; }) +
                      "}}"};
    case 14:
      return {.json = "{\"required\":[" +
                      List(many, ",", [&](int i) { return "\"" + number(i) + "\""; }) +
                      "],\"maxProperties\":4000}"};
    case 15: {
      const std::string most = number(Pick(1000, 4096));
      return {.json = R"({"items":{"items":{"items":{"maxItems":)" + most + R"(},"maxItems":)" +
                      most + R"(},"maxItems":)" + most + "}}"};
    }
    case 16:
      return {.json =
                  "{\"enum\":[" +
                  List(many, ",", [&](int i) { return "\"" + letter + number(i * 7919) + "\""; }) +
                  "]}"};
    case 17:
      return {.json = "{\"allOf\":[{\"$ref\":\"#/$defs/b\"}],\"$defs\":{\"b\":{\"properties\":{" +
                      List(few, ",",
                           [&](int i) {
                             return "\"" + number(i) +
                                    R"(":{"allOf":[{"$ref":"#"},{"$ref":"#/$defs/b"}]})";
                           }) +
                      "}}}}"};
    case 18:
      return {.grammar = "root ::= " + Times("[" + letter + "-z]? ", some * few)};
    case 19:
      return {.grammar = "root ::= r0\n" +
                         List(many / 2, "",
                              [&](int i) {
                                return "r" + number(i) + " ::= r" + number(i + 1) + " | \"" +
                                       letter + "\"\n";
                              }) +
                         "r" + number(many / 2) + " ::= \"c\""};
    case 20:
      return {.grammar = "root ::= a{4000}\na ::= b{" + number(many % 4000) + "}\nb ::= [^" +
                         letter + "]{4000}"};
    case 21:
      return {.grammar = "root ::= a? " + Times("a? ", many) + "\na ::= \"" + letter + "\""};
    case 22:
      return {.choice = std::vector<std::string>(static_cast<size_t>(many), Times(letter, few))};
    case 23:
      return {.grammar = "root ::= \"\" | root root | [" + letter + "-z]"};
    case 24:
      return {.grammar = "root ::= \"x\" | " + Times("root ", few) + "| [a-z ]"};
    default:
      return {.grammar = "root ::= " + Times("(", some * few) + "\"" + letter + "\"" +
                         Times(")*", some * few)};
  }
}

inline Request HostileRequests::Params(int kind) {
  Request request{.prompt = {5, 6, 7}, .params = {.seed = 1, .max_tokens = 8}};
  SamplingParams& params = request.params;
  const int many = Pick(1000, 100'000);
  const int64_t huge = int64_t{1} << Pick(40, 62);
  switch (kind % kParams) {
    case 0:
      params.n = Pick(2000, 16384);
      params.repetition_penalty = 1.5;
      request.prompt.clear();
      for (int i = 0; i < 1000; ++i) request.prompt.push_back(Pick(3, vocab_size_ - 1));
      break;
    case 1:
      params.n = Pick(16384, 1 << 30);
      break;
    case 2:
      for (int i = 0; i < many; ++i) params.stop.push_back("s" + std::to_string(i));
      break;
    case 3:
      params.stop = {Times("ab", many * 10), "x"};
      break;
    case 4:
      for (int i = 0; i < many; ++i)
        params.logit_bias.emplace_back(i % vocab_size_, Pick(-100, 100));
      break;
    case 5:
      params.logit_bias = {{static_cast<int32_t>(huge >> 31), 1.0}, {-1, 1.0}};
      break;
    case 6:
      for (int i = 0; i < many; ++i) params.bad_words.push_back("b" + std::to_string(i));
      break;
    case 7:
      params.bad_words = {Times("word ", Pick(1000, 12000))};
      break;
    case 8:
      params.allowed_token_ids.emplace();
      for (int i = 0; i < many * 5; ++i) params.allowed_token_ids->push_back(i % vocab_size_);
      for (int i = 0; i < many * 5; ++i) params.stop_token_ids.push_back(i % 3);
      break;
    case 9:
      request.prompt.assign(static_cast<size_t>(many) * 10, Pick(0, 1) == 0 ? 5 : 2'147'483'647);
      break;
    case 10:
      params.min_tokens = params.max_tokens.emplace(huge);
      params.logprobs = Pick(0, 1) == 0 ? 20 : huge;
      params.top_k = huge;
      params.presence_penalty = params.frequency_penalty = 2;
      break;
    default:
      params.repetition_detection = {
          .max_pattern_size = huge, .min_pattern_size = 1, .min_count = huge};
      params.n = Pick(2, 64);
      request.priority = -huge;
      break;
  }
  return request;
}

}  // namespace merope
