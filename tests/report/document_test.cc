#include "report/document.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>

#include "report/markup.h"
#include "report/words.h"
#include "tests/report/markup.h"

namespace merope {
namespace {

std::string NoFigure(const Plot&) { return "figure.svg"; }

Document WithBlocks(std::vector<Block> blocks) {
  Document document;
  document.language = "en";
  document.title = "A <title> & more";
  for (Block& block : blocks) document.Add(std::move(block));
  return document;
}

TEST(Rich, StylesAndArguments) {
  const Inline runs = Rich("a **b {0}** `c {1}` {2}", {"x", "y\n", merope::Run("z", Style::kPass)});
  const Inline expected = {{"a ", Style::kPlain},    {"b x", Style::kStrong}, {" ", Style::kPlain},
                           {"c y\\n", Style::kCode}, {" ", Style::kPlain},    {"z", Style::kPass}};
  EXPECT_EQ(runs, expected);
}

TEST(Rich, ArgumentsAreLiteral) {
  const Inline runs = Rich("{0}", {"**not bold** `nor code` {1}"});
  ASSERT_EQ(runs.size(), 1u);
  EXPECT_EQ(runs[0].text, "**not bold** `nor code` {1}");
}

TEST(Visible, ControlCharactersAndBrokenUtf8) {
  EXPECT_EQ(Visible("a\n\t\r\x01é"), "a\\n\\t\\r\\x01é");
  EXPECT_EQ(Visible("\xff\xc3"), "\\xff\\xc3");
  EXPECT_EQ(Visible("\xed\xa0\x80"), "\\xed\\xa0\\x80");  // a surrogate
  EXPECT_EQ(Visible("\xc0\x80"), "\\xc0\\x80");           // overlong
  EXPECT_EQ(Visible("汉🙂"), "汉🙂");
}

// The first and the last code point of each length in bytes, and the sequences just outside.
TEST(Visible, Utf8ToItsEnds) {
  for (const char* good :
       {" ", "~", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
        "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf3\xbf\xbf\xbf", "\xf4\x8f\xbf\xbf"}) {
    EXPECT_EQ(Visible(good), good);
    EXPECT_EQ(EscapeMarkup(good), good);
  }
  for (const std::string_view bad :
       {"\x80", "\xbf", "\xc1\xbf", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xc2", "\xe1\x80", "\xf1\x80\x80", "\xc2\xc0",
        "\xe1\x80\xc0", "\xf1\x80\x80\xc0", "\x7f", "\x1f"}) {
    std::string escapes, signs;
    for (const char c : bad) {
      escapes += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
      signs += "\xef\xbf\xbd";
    }
    EXPECT_EQ(Visible(bad), escapes);
    EXPECT_EQ(EscapeMarkup(bad), signs) << escapes;
  }
  // The bytes after the end of a text do not belong to the text.
  EXPECT_EQ(Visible(std::string_view("\xe2\x82\xac").substr(0, 2)), "\\xe2\\x82");
  EXPECT_EQ(Visible("\xc2"
                    "A"),
            "\\xc2A");
  EXPECT_EQ(EscapeMarkup("a\n\t\r b"), "a\n\t\r b");
}

TEST(EscapeMarkup, NothingOfTheTextIsMarkup) {
  EXPECT_EQ(EscapeMarkup("<b a=\"1\">&"), "&lt;b a=&quot;1&quot;&gt;&amp;");
  EXPECT_EQ(EscapeMarkup("a\xff\x01z"), "a\xef\xbf\xbd\xef\xbf\xbdz");
}

TEST(Markdown, TableCellsKeepTheTableWhole) {
  Table table{"", {{"h|h"}, {"n", Align::kRight}}, {{{"a|b\nc<i>*x*"}, {Code("p|q`r\n")}}}};
  const std::string text = ToMarkdown(WithBlocks({table}), NoFigure);
  EXPECT_NE(
      text.find("| h\\|h | n |\n| --- | ---: |\n| a\\|b↵ c&lt;i&gt;\\*x\\* | ``p\\|q`r\\n`` |\n"),
      std::string::npos)
      << text;
}

TEST(Markdown, ControlCharactersAreReplaced) {
  const Table table{"", {{"h"}}, {{{std::string("a\0b\x1f\x7f c", 7)}}}};
  const std::string text = ToMarkdown(WithBlocks({table}), NoFigure);
  EXPECT_NE(text.find("| a\ufffdb\ufffd\ufffd c |"), std::string::npos) << text;
}

TEST(Markdown, CodeFencesOutlastTheirText) {
  const std::string text = ToMarkdown(WithBlocks({CodeBlock{"sh", "echo ```"}}), NoFigure);
  EXPECT_NE(text.find("````sh\necho ```\n````\n"), std::string::npos) << text;
}

TEST(Markdown, CodeSpansOutlastTheirText) {
  const auto span = [](std::string_view text) {
    const std::string all = ToMarkdown(WithBlocks({Paragraph{{Code(text)}}}), NoFigure);
    const size_t begin = all.find("\n\n\n\n") + 4;  // after title and subtitle
    return all.substr(begin, all.find("\n\n---") - begin);
  };
  EXPECT_EQ(span("x"), "`x`");
  EXPECT_EQ(span("a`b"), "``a`b``");
  EXPECT_EQ(span("a``b`c"), "```a``b`c```");
  EXPECT_EQ(span("`"), "`` ` ``");
  EXPECT_EQ(span("`a"), "`` `a ``");
  EXPECT_EQ(span("a`"), "`` a` ``");
  EXPECT_EQ(span(" a "), "`  a  `");
  EXPECT_EQ(span(" a"), "` a`");
  EXPECT_EQ(span("a "), "`a `");
  EXPECT_EQ(span("a|b"), "`a\\|b`");
  EXPECT_EQ(span(""), "");
}

TEST(Markdown, EveryBlock) {
  Document document = WithBlocks(
      {Paragraph{{"a\r\tb<>&\n\\`*_[]|#~$", merope::Run("s", Style::kStrong),
                  merope::Run("p", Style::kPass), merope::Run("w", Style::kWarn),
                  merope::Run("f", Style::kFail)}},
       List{false, {{"x"}, {"y"}}}, List{true, {{"x"}, {"y"}}}, Note{Style::kPlain, {"remark"}},
       Note{Style::kFail, {"bad"}},
       Table{"c*", {{"l"}, {"r", Align::kRight}, {"m", Align::kCenter}}, {{{"1"}, {"2"}, {"3"}}}},
       CodeBlock{"sh", "run\n"}, Cards{{{"k", "v", ""}, {"k", "v", "n"}}},
       Figure{Plot{.title = "T*", .description = "D"}}});
  document.title = "T#";
  document.subtitle = "S";
  document.footer = "F";
  EXPECT_EQ(ToMarkdown(document, NoFigure),
            "# T\\#\n\nS\n\n"
            "a  b&lt;&gt;&amp;↵ \\\\\\`\\*\\_\\[\\]\\|\\#\\~\\$**s**✅ p⚠️ w❌ f\n\n"
            "- x\n- y\n\n1. x\n2. y\n\n> remark\n\n> ❌ bad\n\n"
            "**c\\***\n\n| l | r | m |\n| --- | ---: | :---: |\n| 1 | 2 | 3 |\n\n"
            "```sh\nrun\n```\n\n- **k**: v\n- **k**: v — n\n\n"
            "![T\\*](figure.svg)\n\n*D*\n\n---\n\nF\n");
}

TEST(Markdown, HeadingsAreNumbered) {
  Document document;
  document.AddHeading(1, "One");
  document.AddHeading(2, "Inner");
  document.AddHeading(1, "Two");
  document.AddHeading(2, "Inner");
  const std::string text = ToMarkdown(document, NoFigure);
  for (const char* heading : {"## 1. One\n", "### 1.1 Inner\n", "## 2. Two\n", "### 2.1 Inner\n"})
    EXPECT_NE(text.find(heading), std::string::npos) << heading;
}

TEST(Html, EveryBlockIsWellFormedAndEscaped) {
  const std::string hostile = "</td><script>alert(1)</script> & \" \xff";
  Document document = WithBlocks(
      {Heading{1, hostile, "1"}, Heading{2, "x", "1.1"}, Heading{1, "y", "2"},
       Paragraph{{hostile, Code(hostile)}}, List{false, {{hostile}}}, List{true, {{"a"}, {"b"}}},
       Note{Style::kFail, {hostile}},
       Table{hostile,
             {{hostile}, {"b", Align::kRight}},
             {{{hostile}, {merope::Run(hostile, Style::kPass)}}}},
       CodeBlock{"json", hostile}, Cards{{{hostile, merope::Run(hostile, Style::kWarn), hostile}}},
       Figure{Plot{
           .id = "p", .title = hostile, .description = hostile, .x = {.categories = {hostile}}}}});
  document.title = document.subtitle = document.footer = document.contents_title = hostile;
  const std::string html = ToHtml(document);
  EXPECT_EQ(html.find("<script"), std::string::npos);
  EXPECT_EQ(MarkupFault(html), "");
  // The page loads no other file.
  for (const char* outside : {"src=", "url(", "@import", "<link", "http-equiv"})
    EXPECT_EQ(html.find(outside), std::string::npos) << outside;
}

TEST(Html, ContentsNestAsTheHeadings) {
  Document document;
  document.AddHeading(1, "One");
  document.Add(Paragraph{{"text"}});
  document.AddHeading(2, "In");
  document.AddHeading(2, "Side");
  document.AddHeading(1, "Two");
  const std::string html = ToHtml(document);
  EXPECT_NE(html.find("<ol>\n<li><a href=\"#s1\">1 One</a><ol>\n<li><a href=\"#s1-1\">1.1 In</a>"
                      "</li>\n<li><a href=\"#s1-2\">1.2 Side</a></li></ol></li>\n"
                      "<li><a href=\"#s2\">2 Two</a></li></ol></nav>"),
            std::string::npos);
  EXPECT_NE(html.find("<h2 id=\"s1\"><span class=\"n\">1</span>One</h2>"), std::string::npos);
  EXPECT_NE(html.find("<h3 id=\"s1-2\"><span class=\"n\">1.2</span>Side</h3>"), std::string::npos);
  EXPECT_NE(html.find("<p>text</p>"), std::string::npos);
}

// A browser ignores a declaration that it does not understand, so a length other than 0 needs a
// unit.
TEST(Html, LengthsOfTheStyleHaveUnits) {
  const std::string html = ToHtml({});
  const size_t begin = html.find("<style>") + 7;
  const std::string_view style =
      std::string_view(html).substr(begin, html.find("</style>") - begin);
  constexpr std::string_view kLengths[] = {"margin", "padding", "border", "font-size",     "gap",
                                           "width",  "height",  "top",    "scroll-padding"};
  constexpr std::string_view kUnits[] = {"px", "rem", "em", "pt", "vh", "fr", "%"};
  size_t checked = 0;
  for (size_t colon = style.find(':'); colon != style.npos; colon = style.find(':', colon + 1)) {
    const size_t start = style.find_last_of("{;(\n}", colon) + 1;
    const std::string_view name = style.substr(start, colon - start);
    const std::string_view value =
        style.substr(colon + 1, style.find_first_of(";}{", colon) - colon - 1);
    const bool length = name != "line-height" && name != "stroke-width" &&
                        std::ranges::any_of(kLengths, [&](std::string_view part) {
                          return name.find(part) != name.npos;
                        });
    for (size_t i = 0; i < value.size(); ++i) {
      if (value[i] < '0' || value[i] > '9') continue;
      if (i > 0 && (std::isalnum(value[i - 1]) != 0 || value[i - 1] == '-')) continue;  // a name
      size_t end = i;
      const double number = std::stod(std::string(value.substr(i)), &end);
      const std::string_view rest = value.substr(i + end);
      const auto unit =
          std::ranges::find_if(kUnits, [&](std::string_view u) { return rest.starts_with(u); });
      EXPECT_TRUE(unit == std::end(kUnits) || *unit != "%" || number <= 100) << name;
      if (length || value.find("minmax") != value.npos) {
        EXPECT_TRUE(unit != std::end(kUnits) || number == 0) << name << ": " << value;
        ++checked;
      }
      EXPECT_TRUE(name != "font-weight" || std::fmod(number, 50) == 0) << value;
      i += end - 1;
    }
  }
  EXPECT_GT(checked, 100u);
  for (const char* all : {"header{grid-column:1/-1", "footer{grid-column:1/-1"})  // across the page
    EXPECT_NE(style.find(all), style.npos) << all;
}

TEST(Html, TableHeadersAreScoped) {
  const std::string html = ToHtml(WithBlocks({Table{"", {{"a"}, {"b"}}, {{{"row"}, {"1"}}}}}));
  EXPECT_NE(html.find("<th scope=\"col\">a</th>"), std::string::npos);
  EXPECT_NE(html.find("<th scope=\"row\">row</th><td>1</td>"), std::string::npos);
}

TEST(Numbers, AsReadersWantThem) {
  EXPECT_EQ(Thousands(353424384), "353,424,384");
  EXPECT_EQ(Thousands(-1000), "-1,000");
  EXPECT_EQ(Thousands(999), "999");
  EXPECT_EQ(Compact(353424384), "353.4 M");
  EXPECT_EQ(Number(0.00054), "0.000540");
  EXPECT_EQ(Number(5.4e-5), "5.40×10⁻⁵");
  EXPECT_EQ(Number(-5.4e7, 2), "-5.4×10⁷");
  EXPECT_EQ(Number(33.512), "33.5");
  EXPECT_EQ(Number(0), "0");
  EXPECT_EQ(Size(53248), "52.0 KiB");
  EXPECT_EQ(Size(5), "5 B");
  EXPECT_EQ(Percent(0.000074, 4), "0.0074 %");
  EXPECT_EQ(Percent(2.57e-7, 3), "2.6×10⁻⁵ %");
  EXPECT_EQ(Percent(0), "0.00 %");
  EXPECT_EQ(Thousands(1000000), "1,000,000");
  EXPECT_EQ(Thousands(0), "0");
  EXPECT_EQ(Compact(999), "999");
  EXPECT_EQ(Compact(1000), "1.0 K");
  EXPECT_EQ(Compact(999999), "1000.0 K");
  EXPECT_EQ(Compact(1000000), "1.0 M");
  EXPECT_EQ(Compact(1000000000), "1.00 B");
  EXPECT_EQ(Size(1023), "1023 B");
  EXPECT_EQ(Size(1024), "1.0 KiB");
  EXPECT_EQ(Size(-2048), "-2.0 KiB");
  EXPECT_EQ(Size((1 << 20) - 1), "1024.0 KiB");
  EXPECT_EQ(Size(1 << 20), "1.0 MiB");
  EXPECT_EQ(Size(1000 << 20), "1000.0 MiB");
  EXPECT_EQ(Size(1 << 30), "1.00 GiB");
  EXPECT_EQ(Size(int64_t{5} << 40), "5.00 TiB");
  EXPECT_EQ(Size(int64_t{5} << 50), "5120.00 TiB");
  EXPECT_EQ(Percent(0.00005, 2), "0.01 %");      // half of the last digit rounds up
  EXPECT_EQ(Percent(0.0000498, 2), "0.0050 %");  // less than half
  EXPECT_EQ(Percent(-0.00001, 2), "-0.0010 %");
  EXPECT_EQ(Percent(0.5, 0), "50 %");
  EXPECT_EQ(Percent(0.12345), "12.35 %");
  EXPECT_EQ(Fixed(1.25, 1), "1.2");
  EXPECT_EQ(Millis(0.0131), "13.10");
  EXPECT_EQ(Millis(0.0131, 1), "13.1");
  EXPECT_EQ(Rate(33.54e9), "33.5 GB/s");
  EXPECT_EQ(Badge(true), merope::Run("PASS", Style::kPass));
  EXPECT_EQ(Badge(false), merope::Run("FAIL", Style::kFail));
  EXPECT_EQ(Badge(Verdict::kInconclusive), merope::Run("INCONCLUSIVE", Style::kWarn));
  EXPECT_EQ(Words(Language::kEnglish).Yes(false).text, "no");
  EXPECT_EQ(Words(Language::kChinese).Yes(true).text, "是");
}

}  // namespace
}  // namespace merope
