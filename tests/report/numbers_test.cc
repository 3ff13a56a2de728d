// The report's numbers. The golden report has invented figures that are all distinct. The first
// test reads back every table of figures, in Markdown and HTML, English and Chinese, and compares
// each cell with report.json. The second test changes the tables, and the comparison must find each
// change.
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>

#include "report/report_json.h"
#include "report/sections.h"
#include "tests/report/golden.h"
#include "tests/report/tables.h"
#include "tests/support/printed.h"
#include "verify/kinds.h"

namespace merope {
namespace {

using Json = nlohmann::ordered_json;

// The expected numbers of a table: for each row the numbers of its cells. A cell with "—" or words
// has no numbers.
using Cells = std::vector<std::vector<double>>;
struct ExpectedTable {
  std::string name;
  std::vector<std::string> labels;  // first cells, if taken from the kinds
  std::vector<Cells> rows;
};

double Factor(Unit unit) { return unit == Unit::kShare ? 100 : 1; }
double Mib(const Json& bytes) {  // the number that Size shows
  double value = bytes.get<double>();
  while (value >= 1024) value /= 1024;
  return value;
}
std::vector<double> Scaled(const Json& values, double factor) {
  std::vector<double> out;
  for (const Json& value : values) out.push_back(value.get<double>() * factor);
  return out;
}

std::vector<double> IntervalCell(const Json& interval, double factor, double confidence) {
  std::vector<double> cell = Scaled(interval, factor);
  if (confidence != kConfidence) cell.push_back(confidence * 100);
  return cell;
}

std::vector<double> Cell(const Json& value, double factor = 1) {
  return {value.get<double>() * factor};
}

// Stage A of a model in this process.
void AddLoad(const Json& j, std::vector<ExpectedTable>* out) {
  const Json &w = j["weights"], &l = j["load"];
  ExpectedTable load{"load", {}, {}};
  const auto fact = [&](std::vector<double> cell) { load.rows.push_back({{}, std::move(cell)}); };
  fact(Cell(l["open_s"], 1e3));
  fact(Cell(l["tokenizer_s"], 1e3));
  fact(Cell(l["load_s"]));
  fact({w["bytes"].get<double>() / l["load_s"].get<double>() / 1e9});
  fact({Mib(l["weight_bytes"])});
  fact({Mib(l["weight_bytes_fp32"])});
  fact({Mib(l["rss_before_bytes"]), Mib(l["rss_after_bytes"])});
  fact({Mib(l["peak_rss_bytes"])});
  fact({l["capture"]["ops"].get<double>(), l["capture"]["steps"].get<double>()});
  fact(Cell(l["capture"]["seconds"], 1e3));
  fact({Mib(l["capture"]["bytes"])});
  fact(Cell(l["kv_tokens"]));
  load.rows[4][0] = {16};  // the 16 of "packed for bf16"
  load.rows[5][0] = {32};
  out->push_back(load);
}

// The dtypes and the speed of a model in this process.
void AddSpeed(const Json& j, std::vector<ExpectedTable>* out) {
  ExpectedTable dtypes{"dtypes", {}, {}};
  for (const Json& row : j["dtypes"]) {
    const Json& kl = row["verify"]["positions"]["figures"]["kl"];
    dtypes.rows.push_back({{},
                           Cell(row["weight_bytes"], 1e-6),
                           Cell(kl["mean"]),
                           Cell(kl["p99"]),
                           Cell(kl["worst"]),
                           Cell(row["verify"]["first_token"]["cosine"]),
                           Cell(row["verify"]["positions"]["same_top1_rate"], 100),
                           Cell(row["prefill_tokens_per_second"]),
                           Cell(row["decode_tokens_per_second"]),
                           {},
                           {}});
  }
  out->push_back(dtypes);

  ExpectedTable grid{"grid", {}, {}}, spread{"spread", {}, {}}, modes{"modes", {}, {}};
  for (const Json& c : j["latency"]["cases"]) {
    const auto p50 = [&](const char* key, double factor = 1) {
      return Cell(c[key]["p50"], factor);
    };
    grid.rows.push_back({Cell(c["input_len"]), Cell(c["output_len"]), p50("latency_s"),
                         p50("throughput_tok_s"), p50("report_tpot_s", 1e3), p50("ttft_s", 1e3),
                         p50("tpot_s", 1e3), p50("prefill_tok_s"), p50("peak_share", 100),
                         p50("probed_bandwidth_bytes_s", 1e-9), p50("bandwidth_share", 100)});
    for (const char* key : {"ttft_s", "inter_token_s"}) {
      Cells row = {Cell(c["input_len"]), Cell(c["output_len"]), {}};
      for (const char* p : {"p10", "p50", "p90", "p99", "max"}) row.push_back(Cell(c[key][p], 1e3));
      spread.rows.push_back(row);
    }
  }
  out->push_back(grid);
  out->push_back(spread);
  for (const Json& c : j["eager_beside_compiled"]["cases"]) {
    Cells row = {{},
                 Cell(c["input_len"]),
                 Cell(c["output_len"]),
                 Cell(c["latency_s"]["p50"]),
                 Cell(c["throughput_tok_s"]["p50"]),
                 Cell(c["tpot_s"]["p50"], 1e3),
                 {},
                 {}};
    if (const Json& ratio = c["speedup"]; !ratio.is_null()) {
      row[6] = Cell(ratio["mean"]);
      row[7] = {ratio["low"], ratio["high"]};
    }
    modes.rows.push_back(row);
  }
  out->push_back(modes);

  const Json& speed = j["fp32_beside_target"];
  ExpectedTable comparison{"comparison", {}, {}};
  for (const char* key : {"fp32", "target"}) {
    const Json& side = speed[key];
    comparison.rows.push_back({{std::string_view(key) == "fp32" ? 32.0 : 16.0},
                               Cell(side["tpot_s"], 1e3),
                               {1 / side["tpot_s"].get<double>()},
                               {Mib(side["weight_bytes"])},
                               {1}});
  }
  comparison.rows[1][4] = {speed["ratio_median_of_pairs"], speed["ratio_least"],
                           speed["ratio_most"]};
  out->push_back(comparison);
}

// The stability and the speed of a server.
void AddServer(const Json& j, std::vector<ExpectedTable>* out) {
  const Json& endpoint = j["verify"]["endpoint"];
  const Json& stability = endpoint["stability"];
  ExpectedTable conditions{"stability", {}, {}};
  for (const Json& c : stability["conditions"])
    conditions.rows.push_back({{},
                               {c["different"].get<double>(), stability["prompts"].get<double>()},
                               Cell(c["prefill_delta"]),
                               Cell(c["decode_delta"])});
  conditions.rows.push_back({{}, {}, {0.0689}, {0.1378}});
  out->push_back(conditions);
  const Json& p = endpoint["eager"];
  out->push_back({"pair",
                  {},
                  {{{}, {p["same_texts"].get<double>(), p["prompts"].get<double>()}},
                   {{}, Cell(p["positions"])},
                   {{}, Cell(p["flips"])},
                   {{}, Cell(p["widest_flip"])},
                   {{}, Cell(p["sigma"])},
                   {{}, Cell(j["verify"]["reference"]["emulated_sigma"])},
                   {{}, {p["max_delta"].get<double>(), p["worst_position"].get<double>()}}}});
  out->back().rows[0][0] = out->back().rows[1][0] = {};
  ExpectedTable modes{"mode summary", {}, {}};
  for (const char* mode : {"eager", "compiled"}) {
    ExpectedTable grid{mode, {}, {}};
    for (const Json& c : j["server"]["latency"]["cases"]) {
      if (c["mode"] != mode) continue;
      Cells row = {Cell(c["input_len"]),
                   Cell(c["output_len"]),
                   Cell(c["latency_s"]["p50"]),
                   Cell(c["throughput_tok_s"]["p50"]),
                   Cell(c["report_tpot_s"]["p50"], 1e3),
                   Cell(c["ttft_s"]["p50"], 1e3),
                   Cell(c["ttft_s"]["p99"], 1e3),
                   Cell(c["tpot_s"]["p50"], 1e3),
                   Cell(c["tpot_s"]["p99"], 1e3)};
      Cells summary = {{}, row[3], row[7], {1}};
      if (const Json& ratio = c["speedup"]; !ratio.is_null()) {
        row.push_back(Cell(ratio["mean"]));
        row.push_back({ratio["low"], ratio["high"]});
        summary[3] = Cell(ratio["mean"]);  // of the only row
      }
      grid.rows.push_back(row);
      modes.rows.push_back(summary);
    }
    out->push_back(grid);
  }
  ExpectedTable serving{"serving", {}, {}};
  for (const Json& level : j["server"]["serving"]["levels"])
    serving.rows.push_back({Cell(level["concurrency"]),
                            {level["completed"].get<double>() + level["failed"].get<double>()},
                            Cell(level["failed"]),
                            Cell(level["output_tokens_per_second"]),
                            Cell(level["requests_per_second"]),
                            Cell(level["ttft_s"]["mean"], 1e3),
                            Cell(level["ttft_s"]["p99"], 1e3),
                            Cell(level["tpot_s"]["mean"], 1e3),
                            Cell(level["tpot_s"]["p99"], 1e3)});
  out->push_back(serving);
  out->push_back(modes);
}

std::vector<ExpectedTable> Expected(const Json& j, Language language) {
  const Words say(language);
  std::vector<ExpectedTable> out;
  const auto number = [](const Json& value, double factor = 1) {
    return std::vector<double>{value.get<double>() * factor};
  };
  const Json& v = j["verify"];
  const Json& a = v["first_token"];
  const Json& b = v["positions"];
  const Json& w = j["weights"];
  const bool own = !j.contains("server");

  ExpectedTable parameters{"parameters", {}, {}};
  double total = 0;
  for (const auto& [key, value] : j["parameters"].items()) total += value.get<double>();
  for (const auto& [key, value] : j["parameters"].items())
    parameters.rows.push_back({{}, number(value), number(value, 100 / total)});
  parameters.rows.push_back({{}, {total}, {100}});
  out.push_back(parameters);

  ExpectedTable weights{"weights", {}, {}};
  weights.rows = {{{}, number(w["expected_tensors"]), number(w["tensors"]), {}},
                  {{}, number(w["expected_parameters"]), number(w["parameters"]), {}}};
  for (const char* key : {"missing", "extra", "wrong_shape"})
    weights.rows.push_back({{}, {0}, {static_cast<double>(w[key].size())}, {}});
  weights.rows.push_back({{}, {0}, {w["nan"].get<double>() + w["inf"].get<double>()}, {}});
  out.push_back(weights);

  if (own) AddLoad(j, &out);

  ExpectedTable prompts{"prompts", {}, {}};
  for (size_t i = 0; i < a["rows"].size(); ++i) {
    const Json& row = a["rows"][i];
    prompts.rows.push_back(
        {{static_cast<double>(i + 1)}, {}, {}, {}, {}, number(row["cosine"]), number(row["kl"])});
  }
  out.push_back(prompts);

  const auto limit = [](const Json& gate, double factor) {
    return std::vector<double>{(gate["max"].is_null() ? gate["min"] : gate["max"]).get<double>() *
                               factor};
  };
  ExpectedTable means{"means", {}, {}};
  for (const FigureKind& kind : FigureKinds()) {
    if (kind.mean == nullptr) continue;
    const double factor = Factor(kind.unit);
    Cells row = {{}, number(a[kind.key], factor), {}, {}};
    if (kind.key == "top1_rate")
      row[1].insert(row[1].end(),
                    {a["matches"].get<double>(), static_cast<double>(a["rows"].size())});
    for (const Json& gate : a["gates"])
      if (gate["key"] == kind.key) row[2] = limit(gate, factor);
    means.labels.emplace_back(say(kind.english, kind.chinese));
    means.rows.push_back(row);
  }
  out.push_back(means);

  ExpectedTable figures{"figures", {}, {}};
  for (const FigureKind& kind : FigureKinds()) {
    if (kind.position == nullptr) continue;
    const double factor = Factor(kind.unit);
    const Json& f = b["figures"][kind.key];
    figures.labels.emplace_back(say(kind.english, kind.chinese));
    figures.rows.push_back({{},
                            number(f["mean"], factor),
                            Scaled(f["mean_interval"], factor),
                            number(f["median"], factor),
                            number(f["p99"], factor),
                            number(f["worst"], factor)});
  }
  for (const FigureKind& kind : FigureKinds()) {
    if (kind.suite == nullptr) continue;
    const double factor = Factor(kind.unit);
    Cells row = {{}, number(b[kind.key], factor), {}, {}, {}, {}};
    if (kind.interval != nullptr)
      row[2] = IntervalCell(b[std::string(kind.key) + "_interval"], factor, kind.confidence);
    figures.labels.emplace_back(say(kind.english, kind.chinese));
    figures.rows.push_back(row);
  }
  out.push_back(figures);

  ExpectedTable gates{"gates", {}, {}};
  for (const Json& gate : b["gates"]) {
    const GateKind& kind = FindPositionGate(gate["key"].get<std::string>());
    const double factor = Factor(kind.unit);
    Cells row = {{}, number(gate["value"], factor), {}, limit(gate, factor), {}};
    if (!gate["interval"].is_null())
      row[2] = IntervalCell(gate["interval"], factor, gate["confidence"]);
    gates.labels.emplace_back(say(kind.english, kind.chinese));
    gates.rows.push_back(row);
  }
  out.push_back(gates);

  ExpectedTable kinds{"kinds", {}, {}};
  for (const Json& p : b["by_prompt"])
    kinds.rows.push_back({{},
                          {1},
                          number(p["positions"]),
                          number(p["mean_kl"]),
                          number(p["max_kl"]),
                          number(p["flips"])});
  out.push_back(kinds);

  const Json& r = v["reference"];
  out.push_back({"reference",
                 {},
                 {{{}, number(r["emulated_sigma"]), number(r["emulated_kl"])},
                  {{}, number(r["target_sigma"]), number(r["target_kl"])}}});

  if (own) {
    AddSpeed(j, &out);
  } else {
    AddServer(j, &out);
  }

  std::vector<const Json*> flips;
  for (const Json& flip : b["flips"]) flips.push_back(&flip);
  std::ranges::sort(flips, std::greater(), [](const Json* f) { return (*f)["gap"].get<double>(); });
  ExpectedTable margins{"flips", {}, {}};
  for (const Json* f : flips)
    margins.rows.push_back(
        {{}, number((*f)["position"]), {}, {}, number((*f)["gap"]), number((*f)["allowed"]), {}});
  out.push_back(margins);

  ExpectedTable bins{"bins", {}, {}};
  for (size_t i = 0; i < j["errors"]["bins"].size(); ++i) {
    const Json& bin = j["errors"]["bins"][i];
    const double high = bin["high"];
    const bool last = i + 1 == j["errors"]["bins"].size();
    bins.rows.push_back({last ? std::vector{high} : std::vector{high / 10, high},
                         number(bin["tokens"]), number(bin["mass"], 100),
                         number(bin["mean_relative_error"], 100), number(bin["mean_log_error"])});
  }
  out.push_back(bins);
  return out;
}

// The first difference from the expected table, or "".
std::string Fault(const ReadTable& table, const ExpectedTable& expected) {
  if (table.rows.size() != expected.rows.size())
    return fmt::format("{} rows instead of {}", table.rows.size(), expected.rows.size());
  for (size_t i = 0; i < table.rows.size(); ++i) {
    const auto& row = table.rows[i];
    if (row.size() != expected.rows[i].size() || row.size() != table.header.size())
      return fmt::format("row {}: {} cells", i, row.size());
    if (!expected.labels.empty() && row[0] != expected.labels[i])
      return fmt::format("row {}: {} instead of {}", i, row[0], expected.labels[i]);
    for (size_t k = expected.labels.empty() ? 0 : 1; k < row.size(); ++k) {
      const std::vector<double>& cell = expected.rows[i][k];
      std::vector<Printed> numbers = NumbersOf(row[k]);
      if (cell.empty()) {  // words, or "—": only a name may contain a number
        if (k > 0 && !numbers.empty() && row[k].size() == NumbersTextSize(row[k]))
          return fmt::format("row {}, column {}: a number, {}", i, k, row[k]);
        continue;
      }
      if (numbers.size() != cell.size())
        return fmt::format("row {}, column {}: {} numbers in {}", i, k, numbers.size(), row[k]);
      for (size_t n = 0; n < cell.size(); ++n)
        if (!numbers[n].Shows(cell[n]))
          return fmt::format("row {}, column {}: {} instead of {}", i, k, row[k], cell[n]);
    }
  }
  return "";
}

// Finds the expected tables in the document, in their order. Each expected table is the first table
// without a fault after the previous match. If no table matches, returns the faults of the tables
// with the same number of columns; else returns "".
std::string Faults(const std::vector<ReadTable>& tables, const std::vector<ExpectedTable>& expected,
                   std::vector<size_t>* places) {
  size_t from = 0;
  for (const ExpectedTable& want : expected) {
    std::string nearest = "no table of as many columns";
    size_t at = from;
    for (; at < tables.size(); ++at) {
      const std::string fault = Fault(tables[at], want);
      if (fault.empty()) break;
      if (!want.rows.empty() && tables[at].header.size() == want.rows[0].size())
        nearest = nearest.starts_with("no table") ? fault : nearest + "; " + fault;
    }
    if (at == tables.size()) return want.name + ": " + nearest;
    places->push_back(at);
    from = at + 1;
  }
  return "";
}

struct Form {
  Language language;
  bool html;
};
constexpr Form kForms[] = {{Language::kEnglish, false},
                           {Language::kEnglish, true},
                           {Language::kChinese, false},
                           {Language::kChinese, true}};

std::vector<ReadTable> TablesOf(const ReportData& data, Form form) {
  const Document document = BuildReport(data, form.language);
  return form.html ? HtmlTables(ToHtml(document))
                   : MarkdownTables(ToMarkdown(document, [](const Plot&) { return "x.svg"; }));
}

void CheckForm(const ReportData& data, const Json& json, Form form) {
  const std::vector<ReadTable> tables = TablesOf(data, form);
  std::vector<size_t> places;
  EXPECT_EQ(Faults(tables, Expected(json, form.language), &places), "")
      << (data.server ? "server, " : "") << (form.html ? "html " : "markdown ")
      << static_cast<int>(form.language);
  const std::vector<ReadTable> english = TablesOf(data, {Language::kEnglish, false});
  ASSERT_EQ(tables.size(), english.size());
  for (size_t i = 0; i < tables.size(); ++i)
    EXPECT_EQ(tables[i].rows.size(), english[i].rows.size()) << i;
}

TEST(ReportNumbers, EveryFigureIsThatOfTheJson) {
  for (const bool server : {false, true}) {
    const ReportData data = server ? GoldenServerReport() : GoldenReport();
    const Json json = ToJson(data);
    for (const Form form : kForms) CheckForm(data, json, form);
  }
}

// Returns the number of changes that were made.
int SpoilTables(const ReportData& data) {
  const Json json = ToJson(data);
  const std::vector<ReadTable> tables = TablesOf(data, kForms[0]);
  const std::vector<ExpectedTable> expected = Expected(json, Language::kEnglish);
  std::vector<size_t> places;
  EXPECT_EQ(Faults(tables, expected, &places), "");
  int spoilt = 0;
  if (places.size() != expected.size()) return spoilt;
  for (size_t t = 0; t < expected.size(); ++t) {
    const ReadTable& table = tables[places[t]];
    const auto seen = [&](const ReadTable& other, std::string_view what) {
      EXPECT_NE(Fault(other, expected[t]), "") << expected[t].name << ": " << what;
      ++spoilt;
    };
    for (size_t i = 0; i < table.rows.size(); ++i) {
      ReadTable other = table;
      other.rows.erase(other.rows.begin() + static_cast<ptrdiff_t>(i));
      seen(other, "a row dropped");
    }
    const auto counts = [&](size_t column) {
      return std::ranges::any_of(expected[t].rows,
                                 [&](const Cells& row) { return !row[column].empty(); });
    };
    for (size_t a = 1; a < table.header.size(); ++a) {
      if (!counts(a)) continue;
      ReadTable scaled = table;
      for (auto& row : scaled.rows) row[a] = TimesHundred(row[a]);
      seen(scaled, "a column a hundred times as large");
      for (size_t b = a + 1; b < table.header.size(); ++b) {
        if (!counts(b)) continue;
        ReadTable swapped = table;
        for (auto& row : swapped.rows) std::swap(row[a], row[b]);
        seen(swapped, fmt::format("columns {} and {} swapped", a, b));
      }
    }
  }
  return spoilt;
}

TEST(ReportNumbers, ASpoiltTableIsSeen) {
  EXPECT_GT(SpoilTables(GoldenReport()), 250);
  EXPECT_GT(SpoilTables(GoldenServerReport()), 250);
}

}  // namespace
}  // namespace merope
