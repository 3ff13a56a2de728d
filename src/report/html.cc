// The HTML writer. Writes one page that contains its style sheet and its plots. The page has a
// light, a dark and a print style.
#include <fmt/format.h>

#include "report/document.h"
#include "report/markup.h"

namespace merope {
namespace {

constexpr std::string_view kStyle =
    R"(:root{color-scheme:light dark;--paper:#fff;--panel:#f6f8fa;--link:#1f5fc4;
--pass:#17724a;--passbg:#e2f5ea;--warn:#8a5a00;--warnbg:#fdf1d6;--fail:#a8202f;--failbg:#fde5e7}
@media (prefers-color-scheme:dark){:root{--paper:#12171e;--panel:#1a212b;--link:#8ab4ff;
--pass:#74d9a3;--passbg:#12352a;--warn:#f2c063;--warnbg:#3a2c10;--fail:#ff8c97;--failbg:#43191f}}
*{box-sizing:border-box}
html{-webkit-text-size-adjust:100%;scroll-behavior:smooth;scroll-padding-top:1rem}
body{margin:0;background:var(--paper);color:var(--ink);font:16px/1.65 system-ui,-apple-system,"Segoe UI",Roboto,
"Noto Sans","PingFang SC","Hiragino Sans GB","Microsoft YaHei","Noto Sans CJK SC","Noto Sans SC",sans-serif}
a{color:var(--link);text-decoration:none}a:hover{text-decoration:underline}
.page{max-width:78rem;margin:0 auto;padding:2.5rem 1.5rem 4rem;display:grid;grid-template-columns:15rem minmax(0,1fr);gap:0 3.5rem}
header{grid-column:1/-1;border-bottom:1px solid var(--line);padding-bottom:1.4rem;margin-bottom:1.8rem}
h1{font-size:2.05rem;line-height:1.2;letter-spacing:-.015em;margin:0 0 .4rem;overflow-wrap:anywhere}
header p{margin:0;max-width:none;color:var(--muted);overflow-wrap:anywhere}
nav{position:sticky;top:1.5rem;align-self:start;font-size:.875rem;line-height:1.45;max-height:calc(100vh - 3rem);overflow:auto}
nav h2{font-size:.75rem;letter-spacing:.08em;text-transform:uppercase;color:var(--muted);margin:0 0 .6rem;padding:0;border:0}
nav ol{list-style:none;margin:0;padding:0;max-width:none}nav li{margin:.38rem 0}nav ol ol{padding-left:1.05rem;margin-bottom:.6rem}
nav a{color:var(--ink)}nav ol ol a{color:var(--muted)}
main{min-width:0}
h2{font-size:1.45rem;line-height:1.3;margin:3rem 0 1rem;padding-bottom:.35rem;border-bottom:1px solid var(--line)}
h3{font-size:1.1rem;line-height:1.4;margin:2.1rem 0 .7rem}
h2 .n,h3 .n{color:var(--muted);font-weight:500;margin-right:.55rem;font-variant-numeric:tabular-nums}
p,ul,ol{margin:.8rem 0;max-width:46rem}li{margin:.3rem 0}
code{font:.875em/1.5 ui-monospace,SFMono-Regular,Menlo,Consolas,"Liberation Mono","Noto Sans Mono",monospace;background:var(--panel);
border-radius:4px;padding:.1em .35em;overflow-wrap:anywhere;white-space:pre-wrap}
pre{background:var(--panel);border:1px solid var(--line);border-radius:8px;padding:.9rem 1.1rem;overflow:auto}
pre code{background:none;padding:0;white-space:pre;overflow-wrap:normal}
.scroll{overflow-x:auto;margin:1.1rem 0}
table{border-collapse:collapse;font-size:.875rem;line-height:1.5;font-variant-numeric:tabular-nums;width:100%}
caption{text-align:left;font-weight:600;padding:0 0 .5rem}
th,td{padding:.42rem .8rem;border-bottom:1px solid var(--line);vertical-align:top;text-align:left}
thead th{font-size:.8125rem;color:var(--muted);font-weight:600;border-bottom:2px solid var(--line);vertical-align:bottom}
tbody th{font-weight:500}tbody tr:hover{background:var(--panel)}
th.r,td.r{text-align:right}td.r{white-space:nowrap}th.c,td.c{text-align:center}td.c code{white-space:pre}
.badge{display:inline-block;border-radius:999px;padding:0 .6em;font-size:.8125rem;font-weight:600;white-space:nowrap}
.pass{color:var(--pass);background:var(--passbg)}.warn{color:var(--warn);background:var(--warnbg)}.fail{color:var(--fail);background:var(--failbg)}
.note{border-left:4px solid var(--c0);background:var(--panel);border-radius:0 8px 8px 0;padding:.7rem 1.1rem;margin:1.1rem 0;max-width:46rem}
.note p{margin:0}.note.pass{border-color:var(--pass)}.note.warn{border-color:var(--warn)}.note.fail{border-color:var(--fail)}
.note.pass,.note.warn,.note.fail{color:var(--ink)}
.cards{display:grid;grid-template-columns:repeat(auto-fit,minmax(11rem,1fr));gap:.9rem;margin:1.2rem 0 1.6rem;padding:0}
.card{border:1px solid var(--line);border-radius:10px;padding:.85rem 1rem;background:var(--panel)}
.card dt{font-size:.8125rem;color:var(--muted)}.card dd{margin:0}
.card .value{font-size:1.45rem;font-weight:650;line-height:1.35;font-variant-numeric:tabular-nums}
.card .value .badge{font-size:1rem;padding:.1em .7em}.card .more{font-size:.8125rem;color:var(--muted);line-height:1.4}
figure{margin:1.5rem 0;border:1px solid var(--line);border-radius:10px;padding:.9rem 1rem}
.plotbox{overflow-x:auto}
figure svg{width:100%;height:auto;display:block}
figcaption{font-size:.875rem;color:var(--muted);line-height:1.5;margin-bottom:.5rem}figcaption b{color:var(--ink)}
footer{grid-column:1/-1;border-top:1px solid var(--line);margin-top:3rem;padding-top:1rem;color:var(--muted);font-size:.875rem}
@media (max-width:40rem){.page{padding:1.2rem .8rem 2rem}h1{font-size:1.5rem}table{width:max-content;min-width:100%}
td{max-width:20rem}tbody th{max-width:9.5rem}.cards{grid-template-columns:repeat(auto-fit,minmax(9rem,1fr))}}
@media (max-width:60rem){.page{display:block}.plotbox svg{min-width:47.5rem}nav{position:static;max-height:none;margin-bottom:2rem}}
@media print{:root{color-scheme:light}body{font-size:10.5pt}.page{display:block;padding:0;max-width:none}nav{display:none}
h2,h3,caption{break-after:avoid}tr,figure,.card,pre,.note{break-inside:avoid}.scroll,.plotbox{overflow:visible}.plotbox svg{min-width:0}a{color:inherit}}
)";

std::string HtmlText(const Inline& runs) {
  std::string out;
  for (const Run& run : runs) {
    const std::string text = EscapeMarkup(run.text);
    switch (run.style) {
      case Style::kPlain:
        out += text;
        break;
      case Style::kStrong:
        out += "<strong>" + text + "</strong>";
        break;
      case Style::kCode:
        out += text.empty() ? "" : "<code>" + text + "</code>";
        break;
      case Style::kPass:
        out += "<span class=\"badge pass\">✓ " + text + "</span>";
        break;
      case Style::kWarn:
        out += "<span class=\"badge warn\">? " + text + "</span>";
        break;
      case Style::kFail:
        out += "<span class=\"badge fail\">✗ " + text + "</span>";
        break;
    }
  }
  return out;
}

std::string_view AlignClass(Align align) {
  return align == Align::kRight ? " class=\"r\"" : align == Align::kCenter ? " class=\"c\"" : "";
}

std::string Anchor(const Heading& heading) {
  std::string id = "s" + heading.number;
  for (char& c : id)
    if (c == '.') c = '-';
  return id;
}

struct HtmlWriter {
  std::string out;

  void operator()(const Heading& heading) {
    const int level = heading.level + 1;
    out += fmt::format("<h{} id=\"{}\"><span class=\"n\">{}</span>{}</h{}>\n", level,
                       Anchor(heading), heading.number, EscapeMarkup(heading.text), level);
  }
  void operator()(const Paragraph& paragraph) {
    out += "<p>" + HtmlText(paragraph.text) + "</p>\n";
  }
  void operator()(const List& list) {
    const std::string_view tag = list.ordered ? "ol" : "ul";
    out += fmt::format("<{}>\n", tag);
    for (const Inline& item : list.items) out += "<li>" + HtmlText(item) + "</li>\n";
    out += fmt::format("</{}>\n", tag);
  }
  void operator()(const Note& note) {
    const std::string_view tone = note.tone == Style::kPass   ? " pass"
                                  : note.tone == Style::kWarn ? " warn"
                                  : note.tone == Style::kFail ? " fail"
                                                              : "";
    out += fmt::format("<div class=\"note{}\"><p>{}</p></div>\n", tone, HtmlText(note.text));
  }
  void operator()(const Table& table) {
    out += "<div class=\"scroll\"><table>\n";
    if (!table.caption.empty()) out += "<caption>" + EscapeMarkup(table.caption) + "</caption>\n";
    out += "<thead><tr>";
    for (const Column& column : table.columns)
      out += fmt::format("<th scope=\"col\"{}>{}</th>", AlignClass(column.align),
                         EscapeMarkup(column.header));
    out += "</tr></thead>\n<tbody>\n";
    for (const auto& row : table.rows) {
      out += "<tr>";
      for (size_t i = 0; i < row.size(); ++i) {
        const std::string_view align = AlignClass(table.columns[i].align);
        out += i == 0 ? fmt::format("<th scope=\"row\"{}>{}</th>", align, HtmlText(row[i]))
                      : fmt::format("<td{}>{}</td>", align, HtmlText(row[i]));
      }
      out += "</tr>\n";
    }
    out += "</tbody></table></div>\n";
  }
  void operator()(const CodeBlock& block) {
    out += "<pre><code>" + EscapeMarkup(block.text) + "</code></pre>\n";
  }
  void operator()(const Figure& figure) {
    out += fmt::format(
        "<figure><figcaption><b>{}</b><br>{}</figcaption>\n<div "
        "class=\"plotbox\">{}</div></figure>\n",
        EscapeMarkup(figure.plot.title), EscapeMarkup(figure.plot.description),
        ToSvg(figure.plot, false));
  }
  void operator()(const Cards& cards) {
    out += "<dl class=\"cards\">\n";
    for (const Card& card : cards.cards)
      out += fmt::format(
          "<div class=\"card\"><dt>{}</dt><dd class=\"value\">{}</dd><dd "
          "class=\"more\">{}</dd></div>\n",
          EscapeMarkup(card.label), HtmlText({card.value}), EscapeMarkup(card.note));
    out += "</dl>\n";
  }
};

// The headings as a nested list of links.
std::string Contents(const Document& document) {
  std::string out;
  int depth = 0;
  for (const Block& block : document.blocks) {
    const auto* heading = std::get_if<Heading>(&block);
    if (heading == nullptr) continue;
    if (heading->level > depth) out += "<ol>";
    if (heading->level < depth) out += "</li></ol>";
    if (heading->level <= depth) out += "</li>";
    depth = heading->level;
    out += fmt::format("\n<li><a href=\"#{}\">{} {}</a>", Anchor(*heading), heading->number,
                       EscapeMarkup(heading->text));
  }
  for (; depth > 0; --depth) out += "</li></ol>";
  return out;
}

}  // namespace

std::string ToHtml(const Document& document) {
  HtmlWriter writer;
  for (const Block& block : document.blocks) std::visit(writer, block);
  const std::string title = EscapeMarkup(document.title);
  const std::string contents = EscapeMarkup(document.contents_title);
  std::string out = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"{}\">\n<head>\n<meta charset=\"utf-8\">\n"
      "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n"
      "<title>{}</title>\n<style>\n{}{}{}</style>\n</head>\n<body>\n<div class=\"page\">\n",
      EscapeMarkup(document.language), title, PlotColors(), kStyle, PlotStyle());
  out += fmt::format("<header><h1>{}</h1><p>{}</p></header>\n", title,
                     EscapeMarkup(document.subtitle));
  out += fmt::format("<nav aria-label=\"{}\"><h2>{}</h2>{}</nav>\n", contents, contents,
                     Contents(document));
  return out + "<main>\n" + writer.out + "</main>\n<footer>" + EscapeMarkup(document.footer) +
         "</footer>\n</div>\n</body>\n</html>\n";
}

}  // namespace merope
