#include "verify/token_audit.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <random>
#include <utility>

#include "base/stopwatch.h"
#include "base/threads.h"
#include "verify/comparison.h"
#include "verify/kinds.h"
#include "verify/logit_chunk.h"
#include "verify/result_json.h"
#include "verify/statistics.h"

namespace merope {
namespace {

constexpr double kSignificance = 0.01;
// The ranks of the G-test's cells: the last rank of each cell, from 1 on.
constexpr int64_t kLastRanks[] = {1, 2, 3, 4, 6, 8, 12, 16, 32, 64, 128, 512, 2048};
constexpr size_t kCells = std::size(kLastRanks) + 1;
constexpr double kLeastExpected = 5;  // of a cell
constexpr double kTemperatures[] = {0, 0.8, 0.9, 0.95, 1.05, 1.1, 1.25};
constexpr size_t kPowerRows = 200;  // rows from which the power is estimated

// Of a row's probabilities in descending order; equal ones in the order of their ids.
struct Ranked {
  std::vector<int32_t> ids;
  std::vector<double> p;
};
Ranked RankTokens(std::span<const float> logits) {
  Ranked ranked;
  ranked.ids.resize(logits.size());
  std::iota(ranked.ids.begin(), ranked.ids.end(), 0);
  std::ranges::stable_sort(ranked.ids, std::ranges::greater(),
                           [&](int32_t id) { return logits[static_cast<size_t>(id)]; });
  const double largest = logits[static_cast<size_t>(ranked.ids[0])];
  double sum = 0;
  for (const int32_t id : ranked.ids)
    sum += ranked.p.emplace_back(std::exp(logits[static_cast<size_t>(id)] - largest));
  for (double& p : ranked.p) p /= sum;
  return ranked;
}

// The expected PIT value of a token that is sampled at another temperature; ½ at temperature 1.
double ExpectedPit(const Ranked& row, double temperature) {
  if (temperature == 0) return row.p[0] / 2;
  double below = 0, weights = 0, sum = 0;
  for (const double p : row.p) {
    const double weight = std::pow(p, 1 / temperature);
    sum += weight * (below + p / 2);
    weights += weight;
    below += p;
  }
  return sum / weights;
}

class Audit {
 public:
  Audit(const Checkpoint& checkpoint, const TargetTexts& texts, const AuditOptions& options)
      : checkpoint_(checkpoint),
        texts_(texts),
        options_(options),
        vocab_(checkpoint.config().vocab_size) {}

  Result<TokensResult> Run(const std::string& target) {
    const Stopwatch watch;
    for (const auto* list : {&texts_.greedy, &texts_.sampled}) {
      if (list->empty()) continue;
      TRY(CheckPrompts(checkpoint_.path(), checkpoint_.config(), *list));
      for (const VerifyPrompt& p : *list) longest_ = std::max(longest_, std::ssize(p.ids));
    }
    if (longest_ == 0) return Err("{}: expected texts of the target, found none", target);
    TRY_ASSIGN(const auto baseline, LoadLogitSource(checkpoint_, kCpuBackend, Precision::kFp32,
                                                    KvStorage::kAuto, options_.threads, longest_));
    TRY_ASSIGN(const auto emulated,
               LoadLogitSource(checkpoint_, kReferenceBackend,
                               EmulatedPrecision(options_.numerics.precision), options_.kv,
                               options_.threads, longest_, options_.numerics.rounding));
    TRY(ReadGreedy(*baseline, *emulated));
    TRY(ReadSampled(*baseline));
    result_.model = checkpoint_.path();
    result_.target = target;
    result_.numerics = NumericsName(options_.numerics.precision, options_.numerics.rounding);
    result_.threads = options_.threads > 0 ? options_.threads : DefaultThreads();
    result_.unread = texts_.unread;
    JudgeGreedy();
    JudgeSampled();
    for (const GateResult& gate : result_.gates)
      result_.verdict = Worse(result_.verdict, gate.verdict);
    result_.seconds = watch.Seconds();
    return std::move(result_);
  }

 private:
  // Calls use(row, text, position) for each row that chose a token.
  template <class Use>
  Status ReadRows(std::string_view phase, const std::vector<VerifyPrompt>& texts,
                  const std::vector<LogitSource*>& sources, Use use) {
    int64_t total = 0, done = 0;
    for (const VerifyPrompt& p : texts) total += std::ssize(p.ids);
    std::vector<LogitChunk> chunks(sources.size());
    for (size_t text = 0; text < texts.size(); ++text) {
      const VerifyPrompt& p = texts[text];
      for (int64_t begin = 0; begin < std::ssize(p.ids) - 1; begin += kLogitChunk) {
        const int64_t end = std::min(std::ssize(p.ids) - 1, begin + kLogitChunk);
        TRY(options_.stop.Check());
        for (size_t s = 0; s < sources.size(); ++s) {
          TRY(ReadChunk(*sources[s], p, begin, end, vocab_, &chunks[s]));
          Forbid(end - begin, &chunks[s]);
        }
        for (int64_t at = std::max(begin, p.asked() - 1); at < end; ++at)
          use(chunks, at - begin, text, p.ids[static_cast<size_t>(at) + 1]);
        done += end - begin;
        if (options_.progress) options_.progress(phase, done, total);
      }
    }
    return {};
  }

  // A logit far below all others, but finite, so that the format's error is still measured.
  void Forbid(int64_t rows, LogitChunk* chunk) const {
    for (int64_t row = 0; row < rows; ++row) {
      const auto logits =
          std::span(chunk->rows)
              .subspan(static_cast<size_t>(row * vocab_), static_cast<size_t>(vocab_));
      const float least = *std::ranges::min_element(logits);
      for (const int32_t id : texts_.forbidden) logits[static_cast<size_t>(id)] = least;
    }
  }

  Status ReadGreedy(LogitSource& baseline, LogitSource& emulated) {
    RowComparer comparer;
    return ReadRows(
        "greedy texts", texts_.greedy, {&baseline, &emulated},
        [&](const std::vector<LogitChunk>& chunks, int64_t row, size_t text, int32_t token) {
          const auto z0 = chunks[0].Row(row, vocab_), z = chunks[1].Row(row, vocab_);
          Greedy& record = records_.emplace_back();
          record.text = static_cast<int32_t>(text);
          record.emulated = comparer.Compare(z0, z, std::nullopt);
          const auto margin = [&](int32_t id) {
            return static_cast<double>(z0[static_cast<size_t>(record.emulated.baseline_top1)]) -
                   z0[static_cast<size_t>(id)];
          };
          record.margin = margin(token);
          // Rounded logits are often equal, and the target may choose any of them.
          const float largest = *std::ranges::max_element(z);
          int64_t equal = 0;
          for (int32_t id = 0; id < vocab_; ++id) {
            if (z[static_cast<size_t>(id)] != largest) continue;
            record.emulated_margin += margin(id);
            ++equal;
          }
          record.emulated_margin /= static_cast<double>(equal);
        });
  }

  Status ReadSampled(LogitSource& baseline) {
    int64_t total = 0;
    for (const VerifyPrompt& p : texts_.sampled) total += p.generated;
    const size_t step = std::max<size_t>(1, static_cast<size_t>(total) / kPowerRows);
    std::mt19937_64 random(20260520);
    return ReadRows("sampled texts", texts_.sampled, {&baseline},
                    [&](const std::vector<LogitChunk>& chunks, int64_t row, size_t, int32_t token) {
                      const Ranked ranked = RankTokens(chunks[0].Row(row, vocab_));
                      const auto at = std::ranges::find(ranked.ids, token) - ranked.ids.begin();
                      const double share = static_cast<double>(random() >> 11) * 0x1p-53;
                      const double below =
                          std::accumulate(ranked.p.begin(), ranked.p.begin() + at, 0.0);
                      if (pits_.size() % step == 0) AddPower(ranked);
                      pits_.push_back(below + share * ranked.p[static_cast<size_t>(at)]);
                      Count(ranked, at);
                    });
  }

  void Count(const Ranked& ranked, int64_t rank) {
    size_t cell = 0;
    for (size_t i = 0; i < ranked.p.size(); ++i) {
      while (cell < kCells - 1 && static_cast<int64_t>(i) >= kLastRanks[cell]) ++cell;
      expected_[cell] += ranked.p[i];
      if (static_cast<int64_t>(i) == rank) ++observed_[cell];
    }
  }

  void AddPower(const Ranked& ranked) {
    for (size_t i = 0; i < std::size(kTemperatures); ++i)
      shifts_[i] += ExpectedPit(ranked, kTemperatures[i]) - 0.5;
    ++power_rows_;
  }

  void Add(GateResult gate, int64_t positions) {
    Judge(&gate, positions);
    result_.gates.push_back(std::move(gate));
  }

  void JudgeGreedy() {
    if (records_.empty()) return;
    result_.greedy_texts = std::ssize(texts_.greedy);
    result_.greedy_tokens = std::ssize(records_);
    std::vector<ReferenceRecord> references;
    for (const Greedy& r : records_) references.push_back({r.text, {}, r.emulated, {}, {}});
    const Bf16Noise noise = MeasureNoise(references);
    const size_t n_texts = texts_.greedy.size();
    std::vector<double> margins(n_texts), emulated(n_texts);
    int64_t unexplained = 0;
    // A token that no rounding explains must not hide in the mean, nor dominate it.
    for (const Greedy& r : records_) {
      const double allowed = std::max(noise.Allowed(r.emulated), 6 * r.emulated.sigma_d);
      const auto text = static_cast<size_t>(r.text);
      result_.flips += r.margin > 0;
      result_.expected_flips += noise.FlipChance(r.emulated);
      unexplained += r.margin > allowed;
      margins[text] += std::min(r.margin, allowed);
      emulated[text] += std::min(r.emulated_margin, allowed);
    }
    const double n = static_cast<double>(records_.size());
    const double above = std::accumulate(margins.begin(), margins.end(), 0.0),
                 below = std::accumulate(emulated.begin(), emulated.end(), 0.0);
    result_.mean_margin = above / n;
    result_.emulated_margin = below / n;
    Add({.key = "unexplained_flips",
         .label = "tokens that no rounding explains",
         .value = static_cast<double>(unexplained),
         .max = 0},
        result_.greedy_tokens);
    GateResult flips{.key = "flips",
                     .label = "tokens that are not fp32's choice",
                     .value = static_cast<double>(result_.flips)};
    flips.max = PoissonInterval(result_.expected_flips, 0.99).high;
    flips.note = fmt::format("{:.1f} expected; limit: Poisson, 99 %", result_.expected_flips);
    Add(std::move(flips), result_.greedy_tokens);
    // With margins of the format in a few texts only, some resamples have none, and no ratio.
    constexpr int64_t kFewest = 10;
    if (std::ranges::count_if(emulated, [](double m) { return m > 0; }) < kFewest) return;
    const ClusterBootstrap bootstrap(static_cast<int64_t>(n_texts));
    GateResult ratio{.key = "margin_ratio",
                     .label = "mean margin / the format's own",
                     .value = above / below,
                     .interval = bootstrap.Ratio(margins, emulated, kConfidence),
                     .confidence = kConfidence,
                     .max = 1.5};
    const double error = (ratio.interval->high - ratio.interval->low) / 2 / 1.96;
    constexpr double kQuantiles = 1.96 + 1.645;  // of the interval's end, and of the power
    result_.tokens_for_power =
        static_cast<int64_t>(std::ceil(n * std::pow(kQuantiles * error / (2 - 1.5), 2)));
    Add(std::move(ratio), result_.greedy_tokens);
  }

  void JudgeSampled() {
    if (pits_.empty()) return;
    result_.sampled_texts = std::ssize(texts_.sampled);
    result_.sampled_tokens = std::ssize(pits_);
    const double n = static_cast<double>(pits_.size());
    const double distance = UniformDistance(pits_);
    const double mean = std::accumulate(pits_.begin(), pits_.end(), 0.0) / n;
    const double z = (mean - 0.5) * std::sqrt(12 * n);
    const auto [g, degrees] = GStatistic();
    result_.tests = {
        {"pit_uniform", "PIT, Kolmogorov–Smirnov distance from uniform", distance,
         KolmogorovTail(distance, std::ssize(pits_))},
        {"pit_mean", "PIT, mean (½ at temperature 1)", mean, 2 * NormalCdf(-std::abs(z))},
        {"ranks", "ranks of the tokens, G statistic", g,
         degrees == 0 ? 1 : ChiSquaredTail(g, degrees)}};
    // Holm: the smallest p-value times the number of tests, the next times one less, …
    std::vector<SamplingTest*> order;
    for (SamplingTest& test : result_.tests) order.push_back(&test);
    std::ranges::sort(order, {}, &SamplingTest::p_value);
    double adjusted = 0;
    for (size_t i = 0; i < order.size(); ++i) {
      adjusted = std::max(adjusted,
                          std::min(1.0, order[i]->p_value * static_cast<double>(order.size() - i)));
      order[i]->p_value = adjusted;
    }
    for (const SamplingTest& test : result_.tests)
      Add({.key = test.key,
           .label = test.label,
           .value = test.p_value,
           .min = kSignificance,
           .note = fmt::format("value: the p-value, adjusted for {} tests; statistic {:.4g}",
                               result_.tests.size(), test.statistic)},
          result_.sampled_tokens);
    constexpr double kQuantiles = 2.935 + 1.645;  // two-sided 1 % / 3, and the power
    for (size_t i = 0; i < std::size(kTemperatures); ++i) {
      const double shift = std::abs(shifts_[i] / static_cast<double>(power_rows_));
      const double needed = std::pow(kQuantiles / std::sqrt(12.0) / std::max(shift, 1e-6), 2);
      result_.power.push_back(
          {kTemperatures[i], shift < 1e-6 ? 0 : static_cast<int64_t>(std::ceil(needed))});
    }
  }

  // G = 2 Σ O ln(O/E) over cells of ranks, pooled from the end until each expects enough tokens.
  // The expected counts are sums of probabilities that differ from row to row, so the counts vary
  // less than multinomial ones, and the p-value is no smaller than the true one.
  std::pair<double, int64_t> GStatistic() const {
    std::vector<std::pair<double, double>> cells;  // observed, expected
    double observed = 0, expected = 0;
    for (size_t i = kCells; i-- > 0;) {
      observed += static_cast<double>(observed_[i]);
      expected += expected_[i];
      if (expected < kLeastExpected && i > 0) continue;
      cells.emplace_back(observed, expected);
      observed = expected = 0;
    }
    if (cells.size() > 1 && cells.back().second < kLeastExpected) {
      const auto [o, e] = cells.back();
      cells.pop_back();
      cells.back().first += o;
      cells.back().second += e;
    }
    double g = 0;
    for (const auto& [o, e] : cells)
      if (o > 0) g += 2 * o * std::log(o / e);
    return {std::max(g, 0.0), std::ssize(cells) - 1};
  }

  struct Greedy {
    int32_t text = 0;
    double margin = 0, emulated_margin = 0;
    RowMetrics emulated;
  };

  const Checkpoint& checkpoint_;
  const TargetTexts& texts_;
  const AuditOptions& options_;
  const int64_t vocab_;
  int64_t longest_ = 0;
  std::vector<Greedy> records_;
  std::vector<double> pits_;
  int64_t observed_[kCells] = {};
  double expected_[kCells] = {};
  double shifts_[std::size(kTemperatures)] = {};
  int64_t power_rows_ = 0;
  TokensResult result_;
};

}  // namespace

Result<TokensResult> AuditTokens(const Checkpoint& checkpoint, const std::string& target,
                                 const TargetTexts& texts, const AuditOptions& options) {
  return Audit(checkpoint, texts, options).Run(target);
}

OrderedJson ToJson(const TokensResult& r) {
  OrderedJson tests = OrderedJson::array(), power = OrderedJson::array(),
              gates = OrderedJson::array();
  for (const SamplingTest& test : r.tests)
    tests.push_back({{"key", test.key},
                     {"label", test.label},
                     {"statistic", test.statistic},
                     {"p_value", test.p_value}});
  for (const TemperaturePower& p : r.power)
    power.push_back({{"temperature", p.temperature}, {"tokens", p.tokens}});
  for (const GateResult& gate : r.gates) gates.push_back(ToJson(gate));
  return {{"model", r.model},
          {"target", r.target},
          {"numerics", r.numerics},
          {"threads", r.threads},
          {"unread_texts", r.unread},
          {"greedy_texts", r.greedy_texts},
          {"greedy_tokens", r.greedy_tokens},
          {"flips", r.flips},
          {"expected_flips", r.expected_flips},
          {"mean_margin", r.mean_margin},
          {"emulated_margin", r.emulated_margin},
          {"tokens_for_power", r.tokens_for_power},
          {"sampled_texts", r.sampled_texts},
          {"sampled_tokens", r.sampled_tokens},
          {"tests", tests},
          {"power", power},
          {"gates", gates},
          {"verdict", VerdictName(r.verdict)},
          {"seconds", r.seconds}};
}

}  // namespace merope
