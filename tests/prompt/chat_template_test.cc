#include "prompt/chat_template.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <string>
#include <vector>

#include "template/date.h"

namespace merope {
namespace {

const SpecialTokens kTokens = {{"bos_token", "<s>"}, {"eos_token", "</s>"}, {"pad_token", "<p>"}};

std::string Render(std::string_view source, const std::vector<ChatMessage>& messages = {},
                   const ChatTemplateOptions& options = {},
                   const SpecialTokens& special_tokens = kTokens) {
  const auto parsed = ChatTemplate::Parse({.text = std::string(source),
                                           .file = "file",
                                           .tool_use = {},
                                           .special_tokens = special_tokens});
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
  EXPECT_EQ(Render(kChatMl, {}, {.add_generation_prompt = false}), "");
}

TEST(ChatTemplateTest, TheVariablesOfTransformers) {
  EXPECT_EQ(Render("{{ bos_token }}|{{ eos_token }}|{{ tools is none }}|{{ documents is none }}|"
                   "{{ messages | length }}|{{ strftime_now is defined }}|{{ pad_token }}"),
            "<s>|</s>|True|True|0|True|<p>");
  // A token that the checkpoint does not have is undefined, as in transformers.
  EXPECT_EQ(Render("[{{ unk_token }}{{ unk_token is defined }}]"), "[False]");
}

TEST(ChatTemplateTest, MessagesAndVariablesOfJson) {
  const auto parsed = ChatTemplate::Parse(
      "{{ messages[0].role }} {{ messages[0].content[1].text }} {{ messages[0].name }} "
      "{% for d in documents %}{{ d.id + 1 }}:{{ d.tags | join(',') }};{% endfor %}"
      "{{ tools | tojson }} {{ bos_token }}",
      "file");
  ASSERT_TRUE(parsed);
  const ChatTemplateOptions options;
  const auto text = parsed->RenderJson(
      R"([{"role": "user", "name": "é", "content": [{}, {"text": "hi"}]}])",
      R"({"documents": [{"id": 6, "tags": ["z", "a"]}], "tools": [{"z": 1.5, "a": [true, null]}],
          "bos_token": "[B]"})",
      options);
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ(*text, R"(user hi é 7:z,a;[{"z": 1.5, "a": [true, null]}] [B])");
  EXPECT_EQ(
      *parsed->RenderJson(R"([{"role": "a", "content": [0, 1]}])", R"({"documents": []})", options),
      "a   null ");

  const auto error = [&](std::string_view messages, std::string_view variables) {
    return parsed->RenderJson(messages, variables, options).error().message;
  };
  EXPECT_EQ(error("{}", "{}"), "messages: expected an array, found {}");
  EXPECT_EQ(error("[3]", "{}"), "messages[0]: expected an object, found 3");
  EXPECT_EQ(error("[{}]", "{}"), "messages[0].role: expected a string, found none");
  EXPECT_EQ(error("[]", R"({"tools": {}})"), "tools: expected a list, found dict");
  EXPECT_EQ(error("[]", R"({"documents": [1]})"), "documents: expected objects, found int");
  EXPECT_EQ(error("[]", R"({"messages": []})"),
            "chat_template_kwargs: messages: expected an argument of its own");
  EXPECT_EQ(error("[]", "[]"), "chat_template_kwargs: expected an object, found list");
  EXPECT_EQ(error("[", "{}").find("messages: invalid JSON: "), 0u);
  const std::string deep = std::string(100, '[') + std::string(100, ']');
  EXPECT_EQ(error("[]", R"({"x": )" + deep + "}").find("chat_template_kwargs: a value nested"), 0u);
}

// tests/oracles/apply_chat_template_oracle.py compares such chats with transformers.
std::string RenderChat(std::string_view source, std::string_view messages,
                       const ChatTemplateOptions& options, std::string_view variables = "{}") {
  const auto text = ChatTemplate::Parse(source, "file")->RenderJson(messages, variables, options);
  return text ? *text : text.error().message;
}

TEST(ChatTemplateTest, FieldsOfMessages) {
  constexpr std::string_view kFields =
      "{% for m in messages %}{{ m.keys() | list | join(' ') }};{% endfor %}";
  EXPECT_EQ(RenderChat(kFields,
                       R"([{"role": "assistant", "content": null, "x": 1, "name": "n"},
                           {"role": "tool", "tool_call_id": "i", "content": ""}])",
                       {}),
            "role x name;role tool_call_id content;");
  constexpr std::string_view kReasoning =
      "{% set m = messages[0] %}{{ m.reasoning_content }}|{{ m.thinking }}|{{ m.reasoning }}";
  EXPECT_EQ(RenderChat(kReasoning, R"([{"role": "a", "reasoning": "r"}])", {}), "r|r|r");
  EXPECT_EQ(RenderChat(kReasoning, R"([{"role": "a", "reasoning_content": "r"}])", {}), "r|r|");
  EXPECT_EQ(RenderChat(kReasoning, R"([{"role": "a", "thinking": "t", "reasoning": "r"}])", {}),
            "t|t|r");
}

TEST(ChatTemplateTest, ContinuesTheFinalMessage) {
  const auto render = [](std::string_view source, const std::string& content,
                         bool add_generation_prompt = false) {
    return RenderChat(
        source,
        R"([{"role": "user", "content": "a|"}, {"role": "assistant", "content": )" + content + "}]",
        {.add_generation_prompt = add_generation_prompt, .continue_final = "content"});
  };
  constexpr std::string_view kPlain =
      "{% for m in messages %}<{{ m.role }}>{{ m.content }}|</>{% endfor %}";
  constexpr std::string_view kTrimming =
      "{% for m in messages %}<{{ m.role }}> {{ m.content | trim }} |</>{% endfor %}";
  EXPECT_EQ(render(kPlain, R"("a|")"), "<user>a||</><assistant>a|");
  EXPECT_EQ(render(kPlain, R"("<")"), "<user>a||</><assistant><");
  EXPECT_EQ(render(kPlain, R"("a \n ")"), "<user>a||</><assistant>a \n ");
  EXPECT_EQ(render(kPlain, R"("")"), "<user>a||</><assistant>");
  EXPECT_EQ(render(kTrimming, R"("a  ")"), "<user> a| |</><assistant> a  ");
  EXPECT_EQ(render(kTrimming, R"("")"), "<user> a| |</><assistant> ");
  EXPECT_EQ(RenderChat("{% for m in messages %}{{ m.content[-1].text | trim }}{% endfor %}!",
                       R"([{"role": "a", "content": [{"text": "x "}, {"image": 1}]}])",
                       {.add_generation_prompt = false, .continue_final = "content"})
                .find("continue_final_message: expected the chat template to give"),
            0u);
  EXPECT_EQ(RenderChat("{{ messages[0].content[0].text | trim }}!",
                       R"([{"role": "a", "content": [{"text": "x "}, {"image": 1}]}])",
                       {.add_generation_prompt = false, .continue_final = "content"}),
            "x");
  const auto refused = [&](const std::string& text, std::string_view why) {
    EXPECT_EQ(text.find("continue_final_message: expected " + std::string(why)), 0u) << text;
  };
  refused(render(kPlain, "null"), "\"content\" in the last message, found none");
  refused(render(kPlain, "5"), "text as \"content\" of the last message, found 5");
  refused(render(kPlain, "[{}]"), "text in the last message, found none");
  refused(render(kPlain, "\"x\"", true), "no add_generation_prompt");
  refused(render("{{ messages[0].role }}", "\"x\""), "a chat template that reads \"content\"");
  refused(render("{{ messages[0].content }}", "\"x\""), "the chat template to give");
  refused(RenderChat("{{ messages }}", "[]",
                     {.add_generation_prompt = false, .continue_final = "content"}),
          "a message, found none");
}

TEST(ChatTemplateTest, MessagesOfOpenAi) {
  constexpr std::string_view kAll = "{% for m in messages %}{{ m | tojson }}\n{% endfor %}";
  const ChatTemplateOptions openai{.openai_messages = true};
  EXPECT_EQ(RenderChat(kAll, R"([{"role": "user", "content": [{"type": "text", "text": "a"},
                                                        {"type": "text", "text": "b"}]},
          {"role": "assistant", "content": null, "tool_calls": [
              {"id": "1", "function": {"name": "f", "arguments": "{\"z\": 1, \"a\": [null]}"}},
              {"function": {"arguments": {"b": 2}}}, {"function": {"arguments": ""}},
              {"function": {"name": "g"}}]},
          {"role": "assistant", "tool_calls": []}])",
                       openai),
            R"({"role": "user", "content": "a\nb"}
{"role": "assistant", "tool_calls": [)"
            R"({"id": "1", "function": {"name": "f", "arguments": {"z": 1, "a": [null]}}}, )"
            R"({"function": {"arguments": {"b": 2}}}, {"function": {"arguments": {}}}, )"
            R"({"function": {"name": "g", "arguments": {}}}]}
{"role": "assistant"}
)");
  // A template that iterates over the parts of a content gets the parts.
  EXPECT_EQ(RenderChat("{% for m in messages %}{% for p in m['content'] %}<{{ p.text }}>"
                       "{% endfor %}{% endfor %}",
                       R"([{"role": "user", "content": [{"type": "text", "text": "a"},
                                                        {"type": "text", "text": "b"}]}])",
                       openai),
            "<a><b>");
  EXPECT_EQ(RenderChat(kAll, R"([{"role": "assistant", "tool_calls": [{"function": {
                "arguments": "{"}}]}])",
                       openai)
                .find("messages[0].tool_calls[0].function.arguments: invalid JSON"),
            0u);
  EXPECT_EQ(RenderChat(kAll, R"([{"role": "assistant", "tool_calls": [{}]}])", openai),
            "messages[0].tool_calls[0].function: expected an object, found none");
}

TEST(ChatTemplateTest, ToolUseIsTakenWithTools) {
  const auto chat = ChatTemplate::Parse({.text = "plain", .file = "file", .tool_use = "tools"});
  ASSERT_TRUE(chat);
  EXPECT_EQ(*chat->RenderJson("[]", "{}", {}), "plain");
  EXPECT_EQ(*chat->RenderJson("[]", R"({"tools": null})", {}), "plain");
  EXPECT_EQ(*chat->RenderJson("[]", R"({"tools": []})", {}), "tools");
  const auto broken = ChatTemplate::Parse({.text = "plain", .file = "file", .tool_use = "{{"});
  ASSERT_TRUE(broken);
  EXPECT_EQ(*broken->RenderJson("[]", "{}", {}), "plain");
  EXPECT_EQ(
      broken->RenderJson("[]", R"({"tools": []})", {}).error().message.find("file: tool_use:"), 0u);
}

TEST(ChatTemplateTest, Dates) {
  const auto at = [](std::string_view date, const std::string& format) {
    return Render("{{ strftime_now('" + format + "') }}", {}, {.date = *ParseDate(date, "--date")});
  };
  EXPECT_EQ(at("2024-02-29", "%d %b %Y, %A, %j, %H:%M:%S%%|%f%z%Z"),
            "29 Feb 2024, Thursday, 060, 00:00:00%|000000");
  EXPECT_EQ(at("2026-12-31T23:59:08", "%Y-%m-%d %I:%M:%S %p %-d"), "2026-12-31 11:59:08 PM 31");
  EXPECT_EQ(at("2026-12-31", ""), "");
  EXPECT_EQ(at("2026-12-31", "%99999999Y").find("RENDER file: line 1: strftime_now: a text of"),
            0u);
  for (const char* wrong : {"",
                            "2026",
                            "2026-13-01",
                            "2026-02-30",
                            "2026-2-3",
                            "2026-02-03 ",
                            "2026-02-03T10:00",
                            "2026-02-03T24:00:00",
                            "2026-02-03 10:00:00",
                            "x",
                            "2026-00-01",
                            "2026-01-00",
                            "2026-01-32",
                            "2026-02-03T10:60:00",
                            "2026-02-03T10:00:60",
                            "2026-02-03T10:00:0",
                            "2026-02-03T10:00:000",
                            "2026-02-03T1000:00",
                            "2026/02/03",
                            "202:-02-03",
                            "202/-02-03",
                            "2026-02-3"})
    EXPECT_FALSE(ParseDate(wrong, "--date")) << wrong;
  EXPECT_EQ(ParseDate("x", "--date").error().message,
            "--date: expected a date such as 2026-11-28 or 2026-11-28T20:15:00, found \"x\"");
  const std::string long_date(61, 'x');
  EXPECT_TRUE(ParseDate(long_date, "d").error().message.ends_with('"' + long_date.substr(1) + '"'));
  EXPECT_EQ(at("2026-12-31T23:59:59", "%Y%y %B %e %H%M%S %w %a %"),
            "202626 December 31 235959 4 Thu %");
  // The limit of 4,096 bytes includes a "." and the final NUL.
  EXPECT_EQ(at("2026-12-31", "%4094Y").find("RENDER"), std::string::npos);
  EXPECT_EQ(at("2026-12-31", "%4095Y"),
            "RENDER file: line 1: strftime_now: a text of more than 4096 bytes");
  unsetenv("MEROPE_DATE");
  EXPECT_EQ(FormatDate(*OwnPromptsDate(), "%F").value(),
            std::string(kOwnPromptsDate).substr(0, 10));
  EXPECT_EQ(FormatDate(std::tm{}, std::string_view("a\0b", 3)).error().message,
            "strftime_now: a character of code 0 in the format");
  setenv("MEROPE_DATE", "2001-02-03", 1);
  EXPECT_EQ(Render("{{ strftime_now('%F') }}"), "2001-02-03");
  setenv("MEROPE_DATE", "soon", 1);
  EXPECT_EQ(Render("{{ strftime_now('%F') }}").find("RENDER file: line 1: MEROPE_DATE: expected a"),
            0u);
  unsetenv("MEROPE_DATE");
  EXPECT_GE(std::stoi(Render("{{ strftime_now('%Y') }}")), 2026);
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
  EXPECT_EQ(Render("{{ nothing.at.all }}"),
            "RENDER file: line 1: undefined nothing has no attribute \"at\"");
}

TEST(ChatTemplateTest, WhatIsLackingIsNoErrorInABranchThatIsNotTaken) {
  EXPECT_EQ(Render("{% if false %}{{ 1 | nofilter }}{% endif %}{{ 2 if true else 1 is notest }}"),
            "2");
  EXPECT_EQ(
      Render("{% if true %}{{ 1 | nofilter }}{% endif %}").find("RENDER file: line 1: filter"), 0u);
  EXPECT_EQ(
      Render("{% if true %}{{ 1 is notest }}{% endif %}").find("RENDER file: line 1: the test"),
      0u);
  EXPECT_EQ(Render("{% if false %}{% for x in [] %}{{ 1 | nofilter }}{% endfor %}{% endif %}")
                .find("PARSE file: line 1: the filter \"nofilter\""),
            0u);
}

TEST(ChatTemplateTest, CallBlocks) {
  EXPECT_EQ(Render("{% macro m(x) %}[{{ caller(x, y=2) }}]{% endmacro %}{% set a = 1 %}"
                   "{% call(p, y) m(*[5]) %}{{ a }}{{ p }}{{ y }}{% endcall %}"),
            "[152]");
  EXPECT_EQ(Render("{% set n = namespace() %}{% macro m() %}{% set n.c = caller %}{% endmacro %}"
                   "{% call m() %}x{% endcall %}{{ n.c() }}")
                .find("RENDER file: line 1: caller: called after its call block"),
            0u);
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
  refused(
      "{% macro m() %}{% call m() %}{% endcall %}{{ caller is defined }}{% endmacro %}{{ m() }}",
      "levels deep");
  refused(
      "{% macro m() %}{{ caller() }}{% endmacro %}{% macro n() %}{% call m() %}{{ n() }}"
      "{% endcall %}{% endmacro %}{{ n() }}",
      "levels deep");
  refused("{{ 99999999999 * 99999999999 }}", "64 bits");
  refused("{{ 1e20 | int }}", "64 bits");
  refused("{{ '%99999999d' % 1 }}", "a width of more than 1000");
  refused("{{ '{:99999999}'.format(1) }}", "a width of more than 1000");
  refused("{{ '%.99999999f' % 1 }}", "a width of more than 1000");
  refused("{{ '%s%s%s' % (x, x, x) }}{% set x = 'a' * 9999999 %}{{ '%s%s%s' % (x, x, x) }}",
          "bytes");
  refused("{{ ('<' * 9999999) | e }}", "bytes");
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
  // Long templates without deep nesting render.
  EXPECT_EQ(Render("{% set s = 'a' %}{{ s" + repeat(" ~ s", 2000) + " }}"), repeat("a", 2001));
  EXPECT_EQ(Render(repeat("{% if true %}a{% endif %}", 2000)), repeat("a", 2000));
}

// A namespace may contain itself. No memory leaks, and no function recurses without end.
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
