#include "text/chat_template.h"

#include <gtest/gtest.h>

#include <vector>

namespace merope {
namespace {

std::string Render(std::string_view source, const std::vector<ChatMessage>& messages = {},
                   const ChatTemplateOptions& options = {.bos_token = "<s>", .eos_token = "</s>"}) {
  const auto parsed = ChatTemplate::Parse(source, "file");
  if (!parsed) return "PARSE " + parsed.error().message;
  const auto text = parsed->Render(messages, options);
  return text ? *text : "RENDER " + text.error().message;
}

const std::vector<ChatMessage> kMessages = {
    {"system", "Be brief."}, {"user", "Hé {{ ho }}"}, {"assistant", ""}};

TEST(ChatTemplateTest, ChatMl) {
  constexpr std::string_view kChatMl =
      "{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\n' + message.content + "
      "'<|im_end|>\n' }}{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif "
      "%}\n";
  EXPECT_EQ(Render(kChatMl, kMessages),
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nHé {{ ho }}<|im_end|>\n"
            "<|im_start|>assistant\n<|im_end|>\n<|im_start|>assistant\n");
  EXPECT_EQ(Render(kChatMl, {}, {false, "", ""}), "");
}

TEST(ChatTemplateTest, TheVariablesOfTransformers) {
  EXPECT_EQ(Render("{{ bos_token }}|{{ eos_token }}|{{ tools is none }}|{{ documents is none }}|"
                   "{{ messages | length }}|{{ strftime_now is defined }}"),
            "<s>|</s>|True|True|0|False");
  // A token that the checkpoint has not is undefined, as with transformers.
  EXPECT_EQ(Render("[{{ bos_token }}{{ bos_token is defined }}]", {}, {}), "[False]");
}

TEST(ChatTemplateTest, MessagesAndVariablesOfJson) {
  const auto parsed = ChatTemplate::Parse(
      "{{ messages[0].role }} {{ messages[0].content[1].text }} {{ messages[0].name }} "
      "{% for d in documents %}{{ d.id + 1 }}:{{ d.tags | join(',') }};{% endfor %}"
      "{{ tools | tojson }} {{ bos_token }}",
      "file");
  ASSERT_TRUE(parsed);
  const ChatTemplateOptions options{true, "<s>", ""};
  const auto text = parsed->RenderJson(
      R"([{"role": "user", "name": "é", "content": [{}, {"text": "hi"}]}])",
      R"({"documents": [{"id": 6, "tags": ["z", "a"]}], "tools": {"z": 1.5, "a": [true, null]},
          "bos_token": "[B]"})",
      options);
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ(*text, R"(user hi é 7:z,a;{"z": 1.5, "a": [true, null]} [B])");
  EXPECT_EQ(
      *parsed->RenderJson(R"([{"role": "a", "content": [0, 1]}])", R"({"documents": []})", options),
      "a   null <s>");

  const auto error = [&](std::string_view messages, std::string_view variables) {
    return parsed->RenderJson(messages, variables, options).error().message;
  };
  EXPECT_EQ(error("{}", "{}"), "messages: expected a list, found dict");
  EXPECT_EQ(error("[3]", "{}"), "messages: expected objects with a role, found int");
  EXPECT_EQ(error("[{}]", "{}"), "messages: expected objects with a role, found one without");
  EXPECT_EQ(error("[]", "[]"), "chat_template_kwargs: expected an object, found list");
  EXPECT_EQ(error("[", "{}").find("messages: invalid JSON: "), 0u);
  const std::string deep = std::string(100, '[') + std::string(100, ']');
  EXPECT_EQ(error("[]", R"({"x": )" + deep + "}").find("chat_template_kwargs: a value nested"), 0u);
}

TEST(ChatTemplateTest, WhitespaceControl) {
  EXPECT_EQ(Render("  {% if true %}\n  x\n  {% endif %}\ny\n"), "  x\ny");
  EXPECT_EQ(Render("a\n  {%- if true -%}  \n b {%+ endif %}"), "ab ");
  EXPECT_EQ(Render("  {# c #}\n x {{- 1 -}} \n y"), " x1y");
}

TEST(ChatTemplateTest, RaiseExceptionIsAnError) {
  EXPECT_EQ(Render("\n{{ raise_exception('no ' ~ messages[0].role) }}", kMessages),
            "RENDER file: line 2: the template refuses these messages: no system");
}

TEST(ChatTemplateTest, WhatIsLackingIsRefusedByNameAndLine) {
  EXPECT_EQ(Render("\n\n{% include 'x' %}"),
            "PARSE file: line 3: the statement \"include\" is not supported here");
  EXPECT_EQ(Render("{{ 'x' | xmlattr }}").find("PARSE file: line 1: the filter \"xmlattr\""), 0u);
  EXPECT_EQ(Render("{{ 'x' is filter }}").find("PARSE file: line 1: the test \"filter\""), 0u);
  EXPECT_EQ(Render("{{ 'x'.encode() }}").find("RENDER file: line 1: the method \"encode\""), 0u);
  EXPECT_EQ(Render("{{ messages.append(1) }}").find("RENDER file: line 1: the method \"append\""),
            0u);
  EXPECT_EQ(Render("{{ strftime_now('%Y') }}").find("RENDER file: line 1: strftime_now"), 0u);
  EXPECT_EQ(Render("{{ nothing.at.all }}"),
            "RENDER file: line 1: undefined nothing has no attribute \"at\"");
}

TEST(ChatTemplateTest, SyntaxErrors) {
  for (const std::string_view source :
       {"{{ a", "{% if a %}", "{% endif %}", "{{ }}", "{{ a b }}", "{{ 'x }}", "{# x",
        "{% for x %}", "{{ (a }}", "{{ a) }}", "{% set %}", "{% raw %}", "{% break %}", "{{ a.. }}",
        "{{ \\ }}"})
    EXPECT_EQ(Render(source).find("PARSE file: line 1: "), 0u) << source << ": " << Render(source);
}

TEST(ChatTemplateTest, TimeAndMemoryAreBounded) {
  const auto refused = [](const std::string& source, std::string_view why) {
    const std::string outcome = Render(source);
    EXPECT_NE(outcome.find(why), std::string::npos)
        << source.substr(0, 80) << ": " << outcome.substr(0, 200);
  };
  refused("{% for a in range(99999) %}{% for b in range(99999) %}{% endfor %}{% endfor %}",
          "steps");
  refused("{{ 'a' * 99999999 }}", "bytes");
  refused("{{ ('a' * 9999) | replace('', 'b' * 99999) }}", "bytes");
  refused("{{ range(99999) | join('a' * 9999) }}", "bytes");
  refused(
      "{% set n = namespace(x='abcdefgh') %}{% for i in range(99) %}"
      "{% set n.x = n.x ~ n.x %}{% endfor %}",
      "bytes");
  refused("{% for i in range(9999) %}{% set x = 'a' * 9999999 %}{% endfor %}", "bytes");
  refused("{% set n = namespace(x=[]) %}{% for i in range(999) %}{% set n.x = [n.x] %}{% endfor %}",
          "nested");
  refused("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "levels deep");
  refused("{{ 99999999999 * 99999999999 }}", "64 bits");
  const auto repeat = [](std::string_view text, int n) {
    std::string all;
    for (int i = 0; i < n; ++i) all += text;
    return all;
  };
  for (const auto& [open, close] :
       std::vector<std::pair<std::string_view, std::string_view>>{{"(", ")"},
                                                                  {"[", "]"},
                                                                  {"{'a':", "}"},
                                                                  {"-", ""},
                                                                  {"not ", ""},
                                                                  {"1 if 2 else ", ""},
                                                                  {"a[", "]"},
                                                                  {"a(", ")"}})
    refused("{{ " + repeat(open, 20000) + "1" + repeat(close, 20000) + " }}", "nested");
  refused("{{ a" + repeat(".a", 20000) + " }}", "nested");
  refused("{{ a" + repeat(" + a", 20000) + " }}", "nested");
  refused("{{ a" + repeat("|trim", 20000) + " }}", "nested");
  refused(repeat("{% if a %}", 20000), "nested");
  refused(repeat("{% for a in b %}", 20000), "nested");
  // Long, but flat: as it should be.
  EXPECT_EQ(Render("{% set s = 'a' %}{{ s" + repeat(" ~ s", 2000) + " }}"), repeat("a", 2001));
  EXPECT_EQ(Render(repeat("{% if true %}a{% endif %}", 2000)), repeat("a", 2000));
}

// Namespaces may hold themselves: nothing leaks, nothing recurses.
TEST(ChatTemplateTest, ACycleThroughANamespace) {
  EXPECT_EQ(
      Render(
          "{% set n = namespace() %}{% set n.self = [n] %}{{ n.self == n.self }}{{ n.self[0].self "
          "| length }}"),
      "True1");
  EXPECT_EQ(
      Render("{% set n = namespace() %}{% set n.a = n %}{{ [n] }}").find("RENDER file: line 1"),
      0u);
}

}  // namespace
}  // namespace merope
