#include "verify/metrics.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <numbers>
#include <numeric>
#include <utility>

#include "base/error.h"

namespace merope {
namespace {

// Pearson's correlation of two series. The callers pass ranks times two.
template <class T>
double Correlation(std::span<const T> x, std::span<const T> y) {
  const double n = static_cast<double>(x.size());
  const double mean_x = std::accumulate(x.begin(), x.end(), 0.0) / n;
  const double mean_y = std::accumulate(y.begin(), y.end(), 0.0) / n;
  double xx = 0, yy = 0, xy = 0;
  for (size_t i = 0; i < x.size(); ++i) {
    const double dx = static_cast<double>(x[i]) - mean_x, dy = static_cast<double>(y[i]) - mean_y;
    xx += dx * dx;
    yy += dy * dy;
    xy += dx * dy;
  }
  if (xx == 0 && yy == 0) return 1;
  return xx == 0 || yy == 0 ? 0 : xy / std::sqrt(xx * yy);
}

double Mean(std::span<const float> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

int32_t ArgMax(std::span<const float> values) {
  return static_cast<int32_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

// p ln(p/m) + q ln(q/m), with m = (p + q)/2 and ln_ratio = ln q − ln p. Exactly 0 if p equals q.
double JensenShannonTerm(double p, double q, double ln_ratio) {
  if (p == 0) return q * std::numbers::ln2;
  const double ln_m_over_p = std::log((1 + q / p) / 2);
  return -p * ln_m_over_p + q * (q == 0 ? 0 : ln_ratio - ln_m_over_p);
}

// Adds up the sums over two vectors of probabilities, element by element. Finish computes the means
// and ratios from the sums.
struct Vectors {
  double pp = 0, qq = 0, pq = 0;
  void Add(double ln_p, double ln_q, RowMetrics* m) {
    const double ln_ratio = ln_q - ln_p, p = std::exp(ln_p), q = std::exp(ln_q);
    const double root = std::sqrt(p) - std::sqrt(q);
    m->kl -= p * ln_ratio;
    m->js += JensenShannonTerm(p, q, ln_ratio);
    m->tv += std::abs(q - p);
    m->hellinger2 += root * root;
    pp += p * p;
    qq += q * q;
    pq += p * q;
  }
  void Finish(double n, RowMetrics* m) const {
    m->js /= 2;
    m->mae = m->tv / n;
    m->tv /= 2;
    m->hellinger2 /= 2;
    m->cosine = pq / std::sqrt(pp * qq);
  }
};

// dd: the sum of squares of the differences of the centred logits. zz: the sum of squares of the n
// centred baseline logits. dz: the sum of their products. If all baseline logits are equal, the
// relative error of any difference is 1.
void LogitErrors(double dd, double zz, double dz, double n, RowMetrics* m) {
  m->product = zz + dz;
  m->square = zz;
  m->relative_l2 = dd == 0 ? 0 : zz == 0 ? 1 : std::sqrt(dd / zz);
  m->sigma_d = std::sqrt(dd / n);
  m->baseline_sigma = std::sqrt(zz / n);
}

// Finds the baseline's two largest logits. logit_of(id): the target's logit or logprob of a token;
// nullopt if the target does not list the token.
template <class LogitOf>
void CompareTopTwo(std::span<const float> baseline, const LogitOf& logit_of, RowMetrics* m) {
  m->baseline_top1 = ArgMax(baseline);
  const auto first = static_cast<size_t>(m->baseline_top1);
  size_t second = first == 0 ? 1 : 0;
  for (size_t i = 0; i < baseline.size(); ++i)
    if (i != first && baseline[i] > baseline[second]) second = i;
  m->gap = static_cast<double>(baseline[first]) - static_cast<double>(baseline[second]);
  const std::optional<double> a = logit_of(first), b = logit_of(second);
  if (a && b) m->gap_error = *a - *b - m->gap;
}

void SetNext(double ln_p, double ln_q, RowMetrics* m) {
  m->has_next = true;
  m->ln_p_next = ln_p;
  m->ln_q_next = ln_q;
  m->p_next = std::exp(ln_p);
  m->q_next = std::exp(ln_q);
}

// If several tokens have the largest logprob, returns the smallest id.
int32_t MostProbable(const ListedRow& row) {
  size_t best = 0;
  for (size_t i = 1; i < row.ids.size(); ++i)
    if (std::pair(row.logprobs[i], -row.ids[i]) > std::pair(row.logprobs[best], -row.ids[best]))
      best = i;
  return row.ids[best];
}

// The tiers of AWS Neuron's logit_validation: max |z − z⁰| / max |z⁰| over the `most` tokens that
// are most probable in the baseline, and the limit of this quotient.
struct Tier {
  size_t most;
  double limit;
};
constexpr Tier kTiers[] = {
    {5, 0.011}, {50, 0.02}, {1000, 0.03}, {std::numeric_limits<size_t>::max(), 0.05}};

// twice_ranks: of the baseline's row, ascending. Tokens that share a rank lie in the same tier.
double TierShare(std::span<const float> baseline, std::span<const float> target,
                 std::span<const uint32_t> twice_ranks) {
  const size_t n = baseline.size();
  double errors[std::size(kTiers)] = {}, largest = 0;
  for (size_t i = 0; i < n; ++i) {
    const double error = std::abs(static_cast<double>(target[i]) - baseline[i]);
    largest = std::max(largest, std::abs(static_cast<double>(baseline[i])));
    for (size_t tier = 0; tier < std::size(kTiers); ++tier)
      if (n - twice_ranks[i] / 2 < kTiers[tier].most) errors[tier] = std::max(errors[tier], error);
  }
  // No logit of a baseline is 0 but those of an empty row; its share is large, and finite.
  double share = 0;
  for (size_t tier = 0; tier < std::size(kTiers); ++tier)
    share = std::max(share, errors[tier] / std::max(largest, 1e-9) / kTiers[tier].limit);
  return share;
}

}  // namespace

double Spearman(std::span<const double> x, std::span<const double> y) {
  CHECK(x.size() == y.size() && !x.empty());
  const auto twice_ranks = [](std::span<const double> values) {
    std::vector<uint32_t> order(values.size()), ranks(values.size());
    std::iota(order.begin(), order.end(), 0u);
    std::sort(order.begin(), order.end(),
              [&](uint32_t a, uint32_t b) { return values[a] < values[b]; });
    for (size_t i = 0, j = 0; i < order.size(); i = j) {
      while (j < order.size() && values[order[j]] == values[order[i]]) ++j;
      for (size_t k = i; k < j; ++k) ranks[order[k]] = static_cast<uint32_t>(i + 1 + j);
    }
    return ranks;
  };
  const std::vector<uint32_t> rx = twice_ranks(x), ry = twice_ranks(y);
  return Correlation(std::span<const uint32_t>(rx), std::span<const uint32_t>(ry));
}

void RowComparer::LogSoftmax(std::span<const float> logits, std::vector<double>* ln) {
  ln->resize(logits.size());
  const double max = *std::max_element(logits.begin(), logits.end());
  double sum = 0;
  for (const float z : logits) sum += std::exp(static_cast<double>(z) - max);
  const double log_sum = max + std::log(sum);
  for (size_t i = 0; i < logits.size(); ++i) (*ln)[i] = static_cast<double>(logits[i]) - log_sum;
}

void RowComparer::Ranks(std::span<const float> logits, std::vector<uint32_t>* twice_ranks) {
  // A radix sort on integer keys. The keys have the order of the floats: a negative float has all
  // of its bits inverted, and any other float has its sign bit set.
  constexpr int kDigitBits = 11, kDigits = 1 << kDigitBits;
  const size_t n = logits.size();
  sorted_.resize(n);
  sorting_.resize(n);
  twice_ranks->resize(n);
  for (size_t i = 0; i < n; ++i) {
    const uint32_t bits = std::bit_cast<uint32_t>(logits[i] + 0.0f);  // -0 becomes +0
    sorted_[i] = {(bits >> 31) != 0 ? ~bits : bits | 0x80000000u, static_cast<uint32_t>(i)};
  }
  for (int shift = 0; shift < 32; shift += kDigitBits) {
    std::array<uint32_t, kDigits> begin = {};
    for (const Keyed& item : sorted_) ++begin[(item.key >> shift) & (kDigits - 1)];
    std::exclusive_scan(begin.begin(), begin.end(), begin.begin(), 0u);
    for (const Keyed& item : sorted_) sorting_[begin[(item.key >> shift) & (kDigits - 1)]++] = item;
    sorted_.swap(sorting_);
  }
  for (size_t i = 0, j = 0; i < n; i = j) {
    while (j < n && sorted_[j].key == sorted_[i].key) ++j;
    for (size_t k = i; k < j; ++k)
      (*twice_ranks)[sorted_[k].index] = static_cast<uint32_t>(i + 1 + j);
  }
}

RowMetrics RowComparer::Compare(std::span<const float> baseline, std::span<const float> target,
                                std::optional<int32_t> next) {
  CHECK(baseline.size() == target.size() && baseline.size() >= 2);
  const double n = static_cast<double>(baseline.size());
  LogSoftmax(baseline, &ln_p_);
  LogSoftmax(target, &ln_q_);
  const double mean0 = Mean(baseline), mean = Mean(target);

  RowMetrics m;
  Vectors vectors;
  double dd = 0, zz = 0, dz = 0;
  for (size_t i = 0; i < baseline.size(); ++i) {
    const double z = static_cast<double>(baseline[i]) - mean0;
    const double d = static_cast<double>(target[i]) - mean - z;
    vectors.Add(ln_p_[i], ln_q_[i], &m);
    m.mean_relative_error += std::abs(std::expm1(ln_q_[i] - ln_p_[i]));
    dd += d * d;
    zz += z * z;
    dz += d * z;
  }
  vectors.Finish(n, &m);
  m.mean_relative_error /= n;
  LogitErrors(dd, zz, dz, n, &m);

  Ranks(baseline, &rank_p_);
  Ranks(target, &rank_q_);
  m.spearman = Correlation(std::span<const uint32_t>(rank_p_), std::span<const uint32_t>(rank_q_));
  m.tier_share = TierShare(baseline, target, rank_p_);

  const auto logit_of = [&](size_t id) -> std::optional<double> { return target[id]; };
  CompareTopTwo(baseline, logit_of, &m);
  m.target_top1 = ArgMax(target);
  if (target[static_cast<size_t>(m.baseline_top1)] == target[static_cast<size_t>(m.target_top1)])
    m.target_top1 = m.baseline_top1;
  if (next) {
    const size_t t = static_cast<size_t>(*next);
    CHECK(t < baseline.size());
    SetNext(ln_p_[t], ln_q_[t], &m);
  }
  return m;
}

RowMetrics RowComparer::Compare(std::span<const float> baseline, const ListedRow& target,
                                std::optional<int32_t> next) {
  CHECK(target.ids.size() == target.logprobs.size() && target.ids.size() >= 2);
  LogSoftmax(baseline, &ln_p_);
  const size_t k = target.ids.size();
  std::vector<float> logits(k);
  for (size_t i = 0; i < k; ++i) logits[i] = baseline[static_cast<size_t>(target.ids[i])];
  const double mean0 = Mean(logits), mean = Mean(target.logprobs);

  RowMetrics m;
  Vectors vectors;
  double dd = 0, zz = 0, dz = 0, p_tail = 1, q_tail = 1;
  for (size_t i = 0; i < k; ++i) {
    const double ln_p = ln_p_[static_cast<size_t>(target.ids[i])];
    const double ln_q = static_cast<double>(target.logprobs[i]);
    const double z = static_cast<double>(logits[i]) - mean0, d = ln_q - mean - z;
    vectors.Add(ln_p, ln_q, &m);
    m.mean_relative_error += std::abs(std::expm1(ln_q - ln_p));
    p_tail -= std::exp(ln_p);
    q_tail -= std::exp(ln_q);
    dd += d * d;
    zz += z * z;
    dz += d * z;
  }
  // The rounding error of a tail that is computed from fp32 logprobs. Adding kRounding to both
  // tails makes no tail smaller than this error, so that the KL sum stays a lower bound.
  constexpr double kRounding = 1e-6;
  p_tail = std::max(p_tail, 0.0);
  q_tail = std::max(q_tail, 0.0);
  vectors.Add(std::log(p_tail + kRounding), std::log(q_tail + kRounding), &m);
  const double n = static_cast<double>(k);
  vectors.Finish(n + 1, &m);
  m.kl = std::max(m.kl, 0.0);
  m.tv_most = m.tv + std::min(p_tail, q_tail);
  m.mean_relative_error /= n;
  LogitErrors(dd, zz, dz, n, &m);
  Ranks(logits, &rank_p_);
  Ranks(target.logprobs, &rank_q_);
  m.spearman = Correlation(std::span<const uint32_t>(rank_p_), std::span<const uint32_t>(rank_q_));

  const auto logit_of = [&](size_t id) -> std::optional<double> {
    const auto at = std::ranges::find(target.ids, static_cast<int32_t>(id));
    if (at == target.ids.end()) return std::nullopt;
    return target.logprobs[static_cast<size_t>(at - target.ids.begin())];
  };
  CompareTopTwo(baseline, logit_of, &m);
  m.target_top1 = MostProbable(target);
  if (logit_of(static_cast<size_t>(m.baseline_top1)) == std::ranges::max(target.logprobs))
    m.target_top1 = m.baseline_top1;
  if (next)
    SetNext(ln_p_[static_cast<size_t>(*next)], static_cast<double>(target.next_logprob), &m);
  return m;
}

ListedRow RowComparer::List(std::span<const float> row, std::span<const int32_t> ids,
                            std::optional<int32_t> next, std::vector<float>* logprobs) {
  LogSoftmax(row, &ln_q_);
  logprobs->resize(ids.size());
  for (size_t i = 0; i < ids.size(); ++i)
    (*logprobs)[i] = static_cast<float>(ln_q_[static_cast<size_t>(ids[i])]);
  return {ids, *logprobs, next ? static_cast<float>(ln_q_[static_cast<size_t>(*next)]) : 0.0f};
}

TopMetrics RowComparer::CompareTop(std::span<const float> baseline, std::span<const float> target) {
  CHECK(baseline.size() == target.size() && baseline.size() >= 2);
  LogSoftmax(baseline, &ln_p_);
  LogSoftmax(target, &ln_q_);
  TopMetrics m = CompareTop(baseline);
  m.target_top1 = ArgMax(target);
  return m;
}

TopMetrics RowComparer::CompareTop(std::span<const float> baseline, const ListedRow& target) {
  LogSoftmax(baseline, &ln_p_);
  const double least = static_cast<double>(std::ranges::min(target.logprobs));
  ln_q_.resize(baseline.size());
  std::ranges::transform(ln_p_, ln_q_.begin(), [&](double ln_p) { return std::min(ln_p, least); });
  for (size_t i = 0; i < target.ids.size(); ++i)
    ln_q_[static_cast<size_t>(target.ids[i])] = static_cast<double>(target.logprobs[i]);
  TopMetrics m = CompareTop(baseline);
  m.target_top1 = MostProbable(target);
  return m;
}

TopMetrics RowComparer::CompareTop(std::span<const float> baseline) {
  std::vector<uint32_t> top(baseline.size());
  std::iota(top.begin(), top.end(), 0u);
  const size_t k = std::min(top.size(), static_cast<size_t>(TopMetrics::kTop));
  std::partial_sort(top.begin(), top.begin() + static_cast<ptrdiff_t>(k), top.end(),
                    [&](uint32_t a, uint32_t b) {
                      return baseline[a] != baseline[b] ? baseline[a] > baseline[b] : a < b;
                    });

  TopMetrics m;
  m.baseline_top1 = ArgMax(baseline);
  std::vector<double> ps(k), qs(k);
  double pp = 0, qq = 0, pq = 0;
  for (size_t i = 0; i < k; ++i) {
    const double ln_ratio = ln_q_[top[i]] - ln_p_[top[i]];
    const double p = ps[i] = std::exp(ln_p_[top[i]]), q = qs[i] = std::exp(ln_q_[top[i]]);
    m.kl += p * (std::expm1(ln_ratio) - ln_ratio);
    m.js += JensenShannonTerm(p, q, ln_ratio) / 2;
    m.mae += std::abs(q - p) / static_cast<double>(k);
    m.mean_relative_error += std::abs(std::expm1(ln_ratio)) / static_cast<double>(k);
    pp += p * p;
    qq += q * q;
    pq += p * q;
  }
  m.cosine = pq / std::sqrt(pp * qq);
  m.spearman = Spearman(ps, qs);
  return m;
}

}  // namespace merope
