// The descriptors of figures and gates. They must be complete, have both languages, and equal the
// tables in docs/verification.md. The limits of the gates must not change by accident.
#include "verify/kinds.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>

#include "base/mapped_file.h"

namespace merope {
namespace {

std::string Cell(std::string_view text) {
  std::string out;
  for (const char c : text) out += c == '|' ? std::string("\\|") : std::string(1, c);
  return out;
}

std::string GatesOf(const FigureKind& kind) {
  std::string out;
  const auto add = [&](std::string_view suite, std::span<const GateKind> gates) {
    for (const GateKind& gate : gates)
      if (gate.figure == kind.key && gate.instead.empty())
        out += fmt::format("{}{} `{}`", out.empty() ? "" : ", ", suite, gate.key);
  };
  add("(a)", FirstTokenGateKinds());
  add("(b)", PositionGateKinds());
  return out;
}

std::string FigureTable() {
  std::string out =
      "| # | Figure | Key | Definition | Values | Gates |\n|---|---|---|---|---|---|\n";
  for (const FigureKind& kind : FigureKinds()) {
    std::string had;
    if (kind.mean != nullptr)
      had = kind.key == "top1_rate" ? "(a) of all prompts" : "(a) mean over prompts";
    if (kind.position != nullptr) had += std::string(had.empty() ? "" : ", ") + "(b) each position";
    if (kind.suite != nullptr || kind.percentiles != nullptr) had = "(b) of all positions";
    if (kind.interval != nullptr) had += fmt::format(", {:.0f} % interval", kind.confidence * 100);
    out += fmt::format("| {} | {} | `{}` | {} | {} | {} |\n", kind.number, Cell(kind.english),
                       kind.key, Cell(kind.definition), had, GatesOf(kind));
  }
  return out;
}

std::string LimitCell(const GateKind& kind) {
  std::string limit;
  if (kind.max || kind.min) {
    limit = LimitText(kind.unit, NewGate(kind, 0));
    if (kind.max_at_many)
      limit += fmt::format(" (± {:g} from {} positions on)", *kind.max_at_many, kManyPositions);
  }
  if (kind.confidence > 0)
    limit = fmt::format("{:.0f} % interval {}", kind.confidence * 100, limit);
  if (!kind.limit.empty())
    limit += (limit.empty() || limit.ends_with(' ') ? "" : " ") + std::string(kind.limit);
  if (!kind.instead.empty()) limit = fmt::format("or, instead of `{}`: {}", kind.instead, limit);
  return limit;
}

std::string GateTable() {
  std::string out = "| Gate | Key | Limit | Reason |\n|---|---|---|---|\n";
  const auto add = [&](std::string_view suite, std::span<const GateKind> kinds) {
    for (const GateKind& kind : kinds)
      out += fmt::format("| {} {} | `{}` | {} | {} |\n", suite, Cell(kind.english), kind.key,
                         Cell(LimitCell(kind)), Cell(kind.why));
  };
  add("(a)", FirstTokenGateKinds());
  add("(b)", PositionGateKinds());
  return out;
}

TEST(Kinds, TheDocsTablesAreTheDescriptors) {
  const auto docs = ReadFile(MEROPE_SOURCE_DIR "/docs/verification.md");
  ASSERT_TRUE(docs);
  for (const std::string& table : {FigureTable(), GateTable()})
    EXPECT_NE(docs->find("\n\n" + table + "\n"), std::string::npos)
        << "docs/verification.md lacks this table, between empty lines:\n"
        << table;
}

TEST(Kinds, EachIsWholeAndItsKeyItsOwn) {
  std::set<std::string_view> keys;
  for (const FigureKind& kind : FigureKinds()) {
    EXPECT_TRUE(keys.insert(kind.key).second) << kind.key;
    for (const std::string_view text : {kind.english, kind.chinese, kind.definition})
      EXPECT_FALSE(text.empty()) << kind.key;
    EXPECT_TRUE(kind.mean != nullptr || kind.position != nullptr || kind.suite != nullptr ||
                kind.percentiles != nullptr)
        << kind.key;
    EXPECT_TRUE(kind.prompt == nullptr || kind.mean != nullptr) << kind.key;
  }
  for (const auto kinds : {FirstTokenGateKinds(), PositionGateKinds()}) {
    keys.clear();
    for (const GateKind& kind : kinds) {
      EXPECT_TRUE(keys.insert(kind.key).second) << kind.key;
      for (const std::string_view text : {kind.english, kind.chinese, kind.why})
        EXPECT_FALSE(text.empty()) << kind.key;
      EXPECT_EQ(FindFigure(kind.figure).key, kind.figure);
      EXPECT_TRUE(kind.instead.empty() || keys.contains(kind.instead)) << kind.key;
      EXPECT_TRUE(kind.min || kind.max || !kind.limit.empty()) << kind.key;
    }
  }
}

// The limits are a promise. Whoever changes a limit must change this test, too.
TEST(Kinds, LimitsArePinned) {
  struct Pinned {
    const char* key;
    double limit;
    const char* direction;  // "≥", "≤", "<", "±"; "": the run sets the limit
    double confidence;
  };
  const Pinned first[] = {{"top1_rate", 0.99, "≥", 0},
                          {"cosine", 0.99, "≥", 0},
                          {"one_minus_cosine", 0.01, "<", 0},
                          {"kl", 0.01, "<", 0},
                          {"spearman", 0.95, "≥", 0}};
  const Pinned positions[] = {{"not_finite", 0, "≤", 0},
                              {"reference", 1, "≤", 0},
                              {"kl_mean", 0.005, "≤", 0.95},
                              {"kl_ratio", 1.5, "≤", 0.95},
                              {"bhattacharyya_outliers", 0, "≤", 0},
                              {"sigma_ratio", 1.5, "≤", 0.95},
                              {"top_tiers", 1, "≤", 0},
                              {"top_tiers_ratio", 1.5, "≤", 0.95},
                              {"tv_most_ratio", 1.5, "≤", 0.95},
                              {"temperature_slope", 0.01, "±", 0.95},
                              {"same_top1", 0.99, "≥", 0.95},
                              {"same_top1_deficit", 0.005, "≤", 0.95},
                              {"unexplained_flips", 0, "≤", 0},
                              {"flips", 0, "", 0},
                              {"rms_delta_p", 0.005, "≤", 0.95},
                              {"rms_delta_p_ratio", 1.5, "≤", 0.95},
                              {"token_error_ratio", 1.5, "≤", 0.95},
                              {"delta_ln_ppl", 0.002, "±", 0.9},
                              {"delta_ln_ppl_noise", 0, "", 0.9},
                              {"delta_ln_ppl_format", 0.002, "±", 0.9},
                              {"delta_ln_ppl_format_noise", 0, "", 0.9}};
  const auto expect = [](std::span<const GateKind> kinds, std::span<const Pinned> pinned) {
    ASSERT_EQ(kinds.size(), pinned.size());
    for (size_t i = 0; i < kinds.size(); ++i) {
      const GateKind& kind = kinds[i];
      const Pinned& want = pinned[i];
      EXPECT_EQ(kind.key, want.key);
      const std::string direction = kind.min && kind.max ? "±"
                                    : kind.min           ? (kind.strict ? ">" : "≥")
                                    : kind.max           ? (kind.strict ? "<" : "≤")
                                                         : "";
      EXPECT_EQ(direction, want.direction) << kind.key;
      EXPECT_EQ(kind.max.value_or(want.limit), want.limit) << kind.key;
      EXPECT_EQ(kind.min.value_or(-want.limit), kind.max ? -want.limit : want.limit) << kind.key;
      EXPECT_EQ(kind.confidence, want.confidence) << kind.key;
      EXPECT_EQ(kind.max_at_many.value_or(0), kind.figure == "delta_ln_ppl" && kind.max ? 0.001 : 0)
          << kind.key;
    }
  };
  expect(FirstTokenGateKinds(), first);
  expect(PositionGateKinds(), positions);
}

TEST(Digits, AValueAndItsIntervalShareThem) {
  const auto text = [](Unit unit, double value, Interval interval) {
    const MeasuredText m = Measured(unit, value, interval);
    return m.value + " " + m.ends;
  };
  EXPECT_EQ(text(Unit::kNumber, 1.02345, {0.98, 1.0712}), "1.023 [0.980, 1.071]");
  EXPECT_EQ(text(Unit::kNumber, 1.02345, {0.2, 1.9}), "1.0 [0.2, 1.9]");
  EXPECT_EQ(text(Unit::kNumber, 0.000234, {0.000211, 0.00026}), "2.34×10⁻⁴ [2.11×10⁻⁴, 2.60×10⁻⁴]");
  EXPECT_EQ(text(Unit::kNumber, -0.00021, {-0.0012, 0.0008}), "-0.0002 [-0.0012, 0.0008]");
  EXPECT_EQ(text(Unit::kShare, 0.99712, {0.9951, 0.9987}), "99.71 % [99.51 %, 99.87 %]");
  EXPECT_EQ(text(Unit::kNumber, 0.5, {0.5, 0.5}), "0.500 [0.500, 0.500]");
  EXPECT_EQ(Measured(Unit::kNumber, 0.1234, {}).ends, "—");
}

TEST(Digits, ValuesByThemselvesAndLimits) {
  EXPECT_EQ(ValueText(Unit::kNumber, 0.9999264), "0.999926");
  EXPECT_EQ(ValueText(Unit::kNumber, 0.00054), "0.000540");
  EXPECT_EQ(ValueText(Unit::kShare, 0.000074), "0.00740 %");
  EXPECT_EQ(ValueText(Unit::kShare, 0.996), "99.60 %");
  EXPECT_EQ(ValueText(Unit::kShare, 0), "0 %");
  EXPECT_EQ(ValueText(Unit::kCount, 17), "17");
  EXPECT_EQ(LimitText(Unit::kShare, {.max = 0.01, .strict = true}), "< 1 %");
  EXPECT_EQ(LimitText(Unit::kNumber, {.min = -0.002, .max = 0.002}), "± 0.002");
  EXPECT_EQ(LimitText(Unit::kNumber, {.min = 0.95}), "≥ 0.95");
  EXPECT_EQ(LimitText(Unit::kNumber, {}), "—");
}

}  // namespace
}  // namespace merope
