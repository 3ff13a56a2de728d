// The mutants of the self-test, on a small random model: what each fault changes, and what it must
// leave alone.
#include "verify/mutants.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>

#include "base/mapped_file.h"
#include "checkpoint/synth.h"
#include "model/llama.h"
#include "tests/support/expect.h"
#include "tests/support/llama_config.h"
#include "tests/support/temp_dir.h"
#include "verify/fault.h"
#include "verify/metrics.h"
#include "verify/mutant_source.h"
#include "verify/self_test.h"

namespace merope {
namespace {

constexpr int64_t kVocab = 384, kContext = 160;

class MutantsTest : public ::testing::Test {
 protected:
  MutantsTest() : checkpoint_(Model()) {
    std::mt19937 random(5);
    // 101 tokens: several pages, and no step of them has a multiple of 4 rows but the first. 12: a
    // multiple of 4. The second long prompt finds the pages of the first.
    for (const int64_t n : {101, 12, 101, 7}) {
      VerifyPrompt& prompt = prompts_.emplace_back();
      prompt.id = fmt::format("{}", prompts_.size());
      for (int64_t i = 0; i < n; ++i) prompt.ids.push_back(static_cast<int32_t>(random() % kVocab));
    }
  }

  Checkpoint Model() {
    ModelConfig config = LlamaConfig(
        {.hidden = 64, .layers = 3, .head_dim = 16, .vocabulary = kVocab, .context = kContext});
    config.tie_word_embeddings = true;
    const SynthOptions options{.seed = 8, .dtype = DType::kF32, .std_dev = 0.15};
    const Status made = Synthesize(directory_.File("model"), config, options);
    EXPECT_TRUE(made) << ErrorOf(made);
    Result<Checkpoint> checkpoint = Checkpoint::Open(directory_.File("model"));
    if (!checkpoint) ADD_FAILURE() << checkpoint.error().message;
    return std::move(*checkpoint);
  }

  using Logits = std::vector<std::vector<float>>;  // for each prompt (positions, vocab)
  Logits RowsOf(LogitSource& source) {
    Logits all;
    for (const VerifyPrompt& p : prompts_) {
      const int64_t n = std::ssize(p.ids);
      std::vector<float>& rows = all.emplace_back(static_cast<size_t>(n * kVocab));
      for (int64_t begin = 0; begin < n; begin += kLogitChunk) {
        const int64_t end = std::min(n, begin + kLogitChunk);
        const Status read =
            source.Rows(p, begin, end,
                        std::span(rows).subspan(static_cast<size_t>(begin * kVocab),
                                                static_cast<size_t>((end - begin) * kVocab)));
        EXPECT_TRUE(read) << ErrorOf(read);
      }
    }
    return all;
  }

  Logits Mutated(const Mutant* mutant, const Numerics& numerics, KvStorage kv = KvStorage::kAuto) {
    const auto source = LoadMutant(checkpoint_, mutant, {numerics, kv, 2, kContext});
    EXPECT_TRUE(source) << ErrorOf(source);
    return RowsOf(**source);
  }
  Logits Honest(Precision precision, KvStorage kv = KvStorage::kAuto) {
    const auto source = LoadLogitSource(checkpoint_, kCpuBackend, precision, kv, 2, kContext);
    EXPECT_TRUE(source) << ErrorOf(source);
    return RowsOf(**source);
  }

  static double MeanKl(const Logits& a, const Logits& b) {
    RowComparer comparer;
    double sum = 0, n = 0;
    for (size_t p = 0; p < a.size(); ++p)
      for (size_t at = 0; at < a[p].size(); at += kVocab, ++n)
        sum += comparer
                   .Compare(std::span(a[p]).subspan(at, kVocab),
                            std::span(b[p]).subspan(at, kVocab), std::nullopt)
                   .kl;
    return sum / n;
  }
  // The positions of a prompt whose rows differ in a bit.
  static std::set<int64_t> Changed(const Logits& a, const Logits& b, size_t prompt) {
    std::set<int64_t> changed;
    for (size_t i = 0; i < a[prompt].size(); ++i)
      if (a[prompt][i] != b[prompt][i]) changed.insert(static_cast<int64_t>(i) / kVocab);
    return changed;
  }

  TempDir directory_;
  Checkpoint checkpoint_;
  std::vector<VerifyPrompt> prompts_;
};

TEST_F(MutantsTest, TheListIsComplete) {
  std::set<std::string_view> keys, areas;
  for (const Mutant& mutant : Mutants()) {
    EXPECT_TRUE(keys.insert(mutant.key).second) << mutant.key;
    areas.insert(mutant.area);
    EXPECT_FALSE(mutant.description.empty()) << mutant.key;
    EXPECT_EQ(FindMutant(mutant.key), &mutant);
    EXPECT_NE(MakeFault(&mutant, checkpoint_.config(), 1), nullptr);
  }
  EXPECT_GE(keys.size(), 25u);
  for (const char* area : {"weights", "RoPE", "norm", "attention", "K/V cache", "graph",
                           "structure", "activation", "sums", "head"})
    EXPECT_TRUE(areas.contains(area)) << area;
  EXPECT_EQ(FindMutant("eps "), nullptr);
}

// docs/verification.md lists the mutants, with what they change.
TEST_F(MutantsTest, TheDocumentationListsThem) {
  const auto file = MappedFile::Open(MEROPE_SOURCE_DIR "/docs/verification.md");
  ASSERT_TRUE(file) << ErrorOf(file);
  const std::string_view text(reinterpret_cast<const char*>(file->bytes().data()),
                              file->bytes().size());
  for (const Mutant& mutant : Mutants())
    EXPECT_NE(text.find(fmt::format("| `{}` | {} |", mutant.key, mutant.description)), text.npos)
        << mutant.key;
}

// Without a fault, the decorators change no bit, in any format.
TEST_F(MutantsTest, WithoutAFaultEveryBitStays) {
  for (const Precision precision :
       {Precision::kFp32, Precision::kBf16, Precision::kInt8, Precision::kInt4})
    for (const KvStorage kv : {KvStorage::kAuto, KvStorage::kInt8})
      EXPECT_EQ(Mutated(nullptr, {.precision = precision}, kv), Honest(precision, kv))
          << PrecisionName(precision);
}

// Every fault changes the model by more than kEquivalentKl, even in fp32. A shift of all positions
// does not: RoPE depends on differences of positions alone.
TEST_F(MutantsTest, EveryFaultChangesTheLogits) {
  const Logits honest = Honest(Precision::kFp32);
  for (const Mutant& mutant : Mutants()) {
    const Logits rows = Mutated(&mutant, {.precision = Precision::kFp32});
    const double kl = MeanKl(honest, rows);
    if (mutant.key == "rope-shifted") {
      EXPECT_LT(kl, kEquivalentKl);
      EXPECT_NE(rows, honest);  // the angles were other ones
    } else {
      EXPECT_GT(kl, kEquivalentKl) << mutant.key;
    }
  }
}

// A fault that needs a condition changes nothing where the condition does not hold. So a mutant
// that runs in steps of one token, or replays a plan, is bit-identical up to the fault.
TEST_F(MutantsTest, FaultsStayWhereTheyBelong) {
  const Numerics bf16;
  const Logits honest = Honest(Precision::kBf16);
  const auto changed = [&](const char* key, size_t prompt) {
    return Changed(honest, Mutated(FindMutant(key), bf16), prompt);
  };
  const auto all = [](int64_t begin, int64_t end) {
    std::set<int64_t> positions;
    for (int64_t i = begin; i < end; ++i) positions.insert(i);
    return positions;
  };
  const int64_t n = std::ssize(prompts_[0].ids);
  EXPECT_EQ(changed("kv-stale-length", 0), all(n / 2, n));
  EXPECT_EQ(changed("kv-slot-early", 0), all(n / 2, n));
  // The first decode step has no step before it whose angles it could read.
  EXPECT_EQ(changed("graph-stale-angles", 0), all(n / 2 + 1, n));
  // The first decode step is at position 50, so the second page of the table is missing.
  EXPECT_EQ(changed("graph-stale-pages", 0), all(kPageTokens, n));
  EXPECT_EQ(changed("kv-lost-page", 0), all(kPageTokens, n));
  EXPECT_EQ(changed("kv-prefix-of-another", 2), all(kPageTokens, n));
  for (const char* key : {"graph-stale-pages", "kv-lost-page", "kv-prefix-of-another"})
    EXPECT_EQ(changed(key, 1), all(0, 0)) << key;
  // Steps of 64 rows and of 37 rows; of 12 rows; of 7 rows. Later steps read K and V of the rows
  // that the fault changed.
  EXPECT_EQ(changed("prefill-multiple-of-4", 0), all(60, n));
  EXPECT_EQ(changed("prefill-multiple-of-4", 1), all(8, 12));
  EXPECT_EQ(changed("prefill-multiple-of-4", 3), all(0, 0));
  // The last token of a step has no next token, and the first token of a sequence only itself.
  const std::set<int64_t> minus = changed("mask-minus-one", 3);
  EXPECT_EQ(minus, all(1, 7));
  EXPECT_FALSE(changed("mask-plus-one", 3).empty());
  // A shard of the head.
  const Logits shifted = Mutated(FindMutant("head-shard-shifted"), bf16);
  for (int64_t i = 0; i < kVocab; ++i) {
    const int64_t from = i < kVocab - kVocab / 8 ? i : i < kVocab - 1 ? i + 1 : kVocab - kVocab / 8;
    EXPECT_EQ(shifted[0][static_cast<size_t>(i)], honest[0][static_cast<size_t>(from)]) << i;
  }
}

// The rounding of every op is the reference's own, if the inner back end is the reference.
TEST_F(MutantsTest, RoundsEveryOpAsTheReferenceDoes) {
  const auto rows = [&](Backend& backend) {
    const auto model = Llama::Load(checkpoint_, backend, {.eager = true});
    EXPECT_TRUE(model) << ErrorOf(model);
    std::vector<float> all;
    Sequence sequence((*model)->kv());
    const Status run = (*model)->Extend(&sequence, prompts_[0].ids, std::ssize(prompts_[0].ids),
                                        [&](int64_t, std::span<const float> row) {
                                          all.insert(all.end(), row.begin(), row.end());
                                        });
    EXPECT_TRUE(run) << ErrorOf(run);
    return all;
  };
  const auto reference = MakeReferenceBackend({.threads = 2, .op_rounding = OpRounding::kBf16});
  FaultyBackend rounded(MakeReferenceBackend({.threads = 2}), std::make_unique<Fault>(),
                        OpRounding::kBf16);
  EXPECT_EQ(rows(rounded), rows(*reference));
}

// fp16 keeps three more bits than bf16: the error is about an eighth.
TEST_F(MutantsTest, HalfPrecisionIsCloserThanBf16) {
  const Logits honest = Honest(Precision::kFp32);
  const double bf16 = MeanKl(honest, Mutated(nullptr, {.rounding = OpRounding::kBf16})),
               fp16 = MeanKl(honest, Mutated(nullptr, {.rounding = OpRounding::kFp16}));
  // The KL is quadratic in the error, so the factor is 64; a factor of 8 already excludes bf16.
  EXPECT_GT(bf16, 8 * fp16);
  EXPECT_GT(fp16, 0);
}

TEST_F(MutantsTest, AModelWithOneKvHeadCannotExchangeTwo) {
  ModelConfig config = checkpoint_.config();
  EXPECT_EQ(WhyNotApplicable(*FindMutant("kv-head-swapped"), config), "");
  config.num_kv_heads = 1;
  EXPECT_EQ(WhyNotApplicable(*FindMutant("kv-head-swapped"), config), "the model has one K/V head");
}

}  // namespace
}  // namespace merope
