// Compares every number of the table that verify prints with the JSON of the same result.
#include "cli/verify_table.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <sstream>

#include "cli/cli.h"
#include "tests/support/golden_verify.h"
#include "tests/support/printed.h"
#include "verify/next_step.h"
#include "verify/result_json.h"

namespace merope {
namespace {

using Json = nlohmann::ordered_json;

double Factor(Unit unit) { return unit == Unit::kShare ? 100 : 1; }

// The text after the label, in the first line after `from` that begins with the label.
std::string RowOf(const std::string& text, std::string_view from, std::string_view label) {
  std::istringstream lines(text.substr(std::min(text.find(from), text.size())));
  std::string found;
  int count = 0;
  for (std::string line; std::getline(lines, line);) {
    if (!line.starts_with("  " + std::string(label) + " ")) continue;
    if (count++ == 0) found = line.substr(2 + label.size());
  }
  return found;
}

// Returns "" if the row shows these numbers in this order. If `rest` is set, more numbers may
// follow.
std::string RowFault(const std::string& row, const std::vector<double>& expected, bool rest) {
  if (row.empty()) return "no such row";
  const std::vector<Printed> numbers = NumbersOf(row);
  if (numbers.size() < expected.size() || (!rest && numbers.size() != expected.size()))
    return fmt::format("{} numbers instead of {}: {}", numbers.size(), expected.size(), row);
  for (size_t i = 0; i < expected.size(); ++i)
    if (!numbers[i].Shows(expected[i]))
      return fmt::format("{} instead of {}: {}", numbers[i].value, expected[i], row);
  return "";
}

std::vector<double> Of(const Json& gate, Unit unit) {
  const double factor = Factor(unit);
  std::vector<double> numbers = {gate["value"].get<double>() * factor};
  if (!gate["interval"].is_null())
    for (const Json& end : gate["interval"]) numbers.push_back(end.get<double>() * factor);
  if (!gate["interval"].is_null() && gate["confidence"] != kConfidence)
    numbers.push_back(gate["confidence"].get<double>() * 100);
  numbers.push_back((gate["max"].is_null() ? gate["min"] : gate["max"]).get<double>() * factor);
  if (!gate["positions_needed"].is_null()) numbers.push_back(gate["positions_needed"]);
  return numbers;
}

// The first fault of the table, or "".
std::string TableFault(const std::string& text, const Json& json) {
  const Json& a = json["first_token"];
  const Json& b = json["positions"];
  std::string fault;
  const auto check = [&](std::string_view from, std::string_view label,
                         const std::vector<double>& expected, bool rest = false) {
    const std::string found = RowFault(RowOf(text, from, label), expected, rest);
    if (fault.empty() && !found.empty()) fault = fmt::format("{}: {}", label, found);
  };
  for (size_t i = 0; i < a["rows"].size(); ++i) {
    const Json& row = a["rows"][i];
    const std::string label = fmt::format(" {} {}", i + 1, row["prompt"].get<std::string>());
    check("(a)", label, {row["cosine"], row["kl"]});
  }
  for (const FigureKind& kind : FigureKinds()) {
    const double factor = Factor(kind.unit);
    if (kind.mean != nullptr) {
      std::vector<double> expected = {a[kind.key].get<double>() * factor};
      if (kind.key == "top1_rate")
        expected.insert(expected.end(),
                        {a["matches"].get<double>(), static_cast<double>(a["rows"].size())});
      check("(a)", kind.english, expected);
    }
    if (kind.position != nullptr) {
      const Json& f = b["figures"][kind.key];
      std::vector<double> expected;
      for (const Json& value : {f["mean"], f["mean_interval"][0], f["mean_interval"][1],
                                f["median"], f["p99"], f["worst"]})
        expected.push_back(value.get<double>() * factor);
      check("(b)", kind.english, expected);
    }
    if (kind.suite != nullptr) {
      std::vector<double> expected = {b[kind.key].get<double>() * factor};
      if (kind.interval != nullptr)
        for (const Json& end : b[std::string(kind.key) + "_interval"])
          expected.push_back(end.get<double>() * factor);
      if (kind.interval != nullptr && kind.confidence != kConfidence)
        expected.push_back(kind.confidence * 100);
      check("(b)", kind.english, expected);
    }
    if (kind.percentiles != nullptr) {
      std::vector<double> expected;
      for (const Json& value : b[kind.key]) expected.push_back(value.get<double>() * factor);
      check("(b)", kind.english, expected);
    }
  }
  const std::string gates_of_a = text.substr(text.find("mean relative error"));
  for (const Json& gate : a["gates"]) {
    const GateKind& kind = FindFirstTokenGate(gate["key"].get<std::string>());
    const std::string found =
        RowFault(RowOf(gates_of_a, "", kind.english), Of(gate, kind.unit), false);
    if (fault.empty() && !found.empty()) fault = fmt::format("{}: {}", kind.key, found);
  }
  for (const Json& gate : b["gates"]) {
    const GateKind& kind = FindPositionGate(gate["key"].get<std::string>());
    check("On ", kind.english, Of(gate, kind.unit));
  }
  for (const auto* gates : {&a["gates"], &b["gates"]})
    for (const Json& gate : *gates)
      if (fault.empty() && text.find(gate["verdict"].get<std::string>()) == text.npos)
        fault = "no verdict";
  return fault;
}

TEST(VerifyTable, EveryNumberIsThatOfTheJson) {
  const VerifyResult result = GoldenVerify();
  EXPECT_EQ(TableFault(VerifyTable(result, false), ToJson(result)), "");
}

TEST(VerifyTable, VerdictsAreColoured) {
  VerifyResult result = GoldenVerify();
  const auto last_line = [&](Verdict verdict) {
    result.verdict = verdict;
    const std::string text = VerifyTable(result, true);
    return text.substr(text.rfind("\x1b[", text.rfind("\x1b[0m") - 1));
  };
  EXPECT_TRUE(last_line(Verdict::kPass).starts_with("\x1b[32mPASS\x1b[0m"));
  EXPECT_TRUE(last_line(Verdict::kFail).starts_with("\x1b[31mFAIL\x1b[0m"));
  EXPECT_TRUE(last_line(Verdict::kInconclusive).starts_with("\x1b[33mINCONCLUSIVE\x1b[0m"));
}

// Proves that the check above finds wrong numbers.
TEST(VerifyTable, AWrongNumberIsSeen) {
  const VerifyResult golden = GoldenVerify();
  const Json json = ToJson(golden);
  const auto seen = [&](const char* what, const auto& change) {
    VerifyResult other = golden;
    change(other);
    EXPECT_NE(TableFault(VerifyTable(other, false), json), "") << what;
  };
  for (size_t i = 0; i < golden.positions.figures.size(); ++i) {
    seen("median and p99", [i](VerifyResult& r) {
      std::swap(r.positions.figures[i].median, r.positions.figures[i].p99);
    });
    seen("worst and p999", [i](VerifyResult& r) {
      std::swap(r.positions.figures[i].worst, r.positions.figures[i].p999);
    });
    seen("a row", [i](VerifyResult& r) {
      r.positions.figures.erase(r.positions.figures.begin() + static_cast<ptrdiff_t>(i));
    });
    seen("percent", [i](VerifyResult& r) { r.positions.figures[i].mean *= 100; });
  }
  for (size_t i = 0; i < golden.positions.gates.size(); ++i) {
    seen("a gate", [i](VerifyResult& r) {
      r.positions.gates.erase(r.positions.gates.begin() + static_cast<ptrdiff_t>(i));
    });
    seen("a limit", [i](VerifyResult& r) {
      GateResult& gate = r.positions.gates[i];
      (gate.max ? gate.max : gate.min) = 0.777;
    });
  }
  for (const FigureKind& kind : FigureKinds()) {
    if (kind.mean != nullptr)
      seen("mean", [&](VerifyResult& r) { r.first_token.*kind.mean *= 1.03; });
    if (kind.suite != nullptr)
      seen("suite", [&](VerifyResult& r) { r.positions.*kind.suite *= 1.2; });
  }
  for (size_t i = 0; i < golden.first_token.rows.size(); ++i)
    seen("cosine and KL", [i](VerifyResult& r) {
      std::swap(r.first_token.rows[i].cosine, r.first_token.rows[i].kl);
    });
}

TEST(ExitCode, IsTheVerdict) {
  EXPECT_EQ(ExitCode(Verdict::kPass), 0);
  EXPECT_EQ(ExitCode(Verdict::kFail), kExitCheckFailed);
  EXPECT_EQ(ExitCode(Verdict::kInconclusive), kExitInconclusive);
}

TEST(NextStep, TheSmallestModeThatSettles) {
  VerifyResult r;
  r.model = "M";
  r.mode = VerifyMode::kQuick;
  r.positions.positions = 800;
  r.positions.gates = {{.verdict = Verdict::kInconclusive, .positions_needed = 5000}};
  EXPECT_EQ(Command(WhatSettles(r), r), "merope verify M --dtype bf16");
  EXPECT_TRUE(WhatSettles(r).enough);
  r.positions.gates[0].positions_needed = 20000;
  EXPECT_EQ(Command(WhatSettles(r), r), "merope verify M --full --dtype bf16");
  EXPECT_TRUE(WhatSettles(r).enough);
  for (const int64_t needed : {0, 1000000}) {
    r.positions.gates[0].positions_needed = needed;
    EXPECT_FALSE(WhatSettles(r).enough);
  }
}

}  // namespace
}  // namespace merope
