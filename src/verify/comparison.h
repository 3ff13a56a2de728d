// The comparison of a target's rows with the baseline's rows, position by position, and the
// judgment of what it found. The suite compares one target, the self-test many. Called on their
// thread; the comparison of rows also uses a team of threads.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/stop.h"
#include "base/threads.h"
#include "checkpoint/config.h"
#include "verify/figures.h"
#include "verify/logit_chunk.h"
#include "verify/logit_source.h"
#include "verify/metrics.h"
#include "verify/prompts.h"
#include "verify/result.h"

namespace merope {

struct SuitePrompts {
  std::vector<VerifyPrompt> prompts;
  // Which positions of each prompt are compared: those that have a row, and whose tokens so far do
  // not begin an earlier prompt, too.
  std::vector<std::vector<bool>> fresh;
  size_t n_reference = 0;  // the reference back end runs the first n_reference prompts
  int64_t longest = 0;     // tokens of the longest prompt
  int64_t vocab = 0;

  std::span<const VerifyPrompt> referenced() const { return std::span(prompts).first(n_reference); }
};
// reference_positions: the least number of compared positions of the first n_reference prompts, if
// all prompts together have as many.
SuitePrompts ArrangePrompts(std::vector<VerifyPrompt> prompts, int64_t vocab,
                            int64_t reference_positions);

// Where the rows come from. The first n_reference prompts have the rows of reference, emulated and
// rounded: fp32, the emulated format, and emulated bf16. reference is nullptr if the baseline
// itself is the fp32 reference. rounded is nullptr if the emulated format is bf16.
struct ComparedSources {
  LogitSource* baseline = nullptr;
  LogitSource* target = nullptr;
  LogitSource* reference = nullptr;
  LogitSource* emulated = nullptr;
  LogitSource* rounded = nullptr;
  StopFlag stop = {};  // looked at before each chunk
  // Called for each compared position of the reference report's prompts if the target lists tokens:
  // with the baseline's logits and the target's tokens. May be empty.
  std::function<void(std::span<const float> baseline, const ListedRow& target)> listed_row = {};
};

// The least number of positions for which the reference back end computes the fp32 rows and the
// emulated rows of a target that runs here or is a file. Fewer, if all prompts together have fewer.
constexpr int64_t ReferencePositions(VerifyMode mode) {
  return mode == VerifyMode::kQuick ? 320 : 1000;
}
// The format that the reference back end emulates: the target's format, or bf16 for an fp32 target.
constexpr Precision EmulatedPrecision(Precision target) {
  return target == Precision::kFp32 ? Precision::kBf16 : target;
}
// Returns an error if a token id of a prompt is none of the model's, or if no prompt has two
// tokens. where: the place of the model, for the error.
Status CheckPrompts(const std::string& where, const ModelConfig& config,
                    std::span<const VerifyPrompt> prompts);
// The text of a token, for people.
using TokenNames = std::function<std::string(int32_t id)>;

struct ComparedRecords {
  std::vector<PositionRecord> positions;
  std::vector<ReferenceRecord> references;
  FirstTokenTable first_token;  // only its rows
  double baseline_seconds = 0, target_seconds = 0;
};

// (done, total) in positions.
using PositionProgress = std::function<void(int64_t done, int64_t total)>;

// Compares an emulated row in the same way as the target's row: if the target lists only some
// tokens, the emulated row is reduced to the same tokens. logprobs: room for them.
RowMetrics CompareEmulated(RowComparer& comparer, std::span<const float> baseline,
                           std::span<const float> emulated, const LogitChunk& target, int64_t row,
                           std::optional<int32_t> next, std::vector<float>* logprobs);

class Comparison {
 public:
  // The prompts must outlive the comparison.
  Comparison(const SuitePrompts& prompts, TokenNames names, int threads)
      : prompts_(prompts), names_(std::move(names)), team_(threads) {}

  // Compares the prompts [first_prompt, end_prompt) and appends to `records`. Reads one chunk of
  // positions from each source, compares the rows of the chunk, and goes on with the next chunk.
  // All threads of the team compare rows; the calling thread reads. known, if it is not nullptr,
  // holds the records of all prompts for another target and the same baseline: what does not depend
  // on the target is taken from there, and only the rows of baseline and target are read.
  Status Compare(const ComparedSources& sources, const ComparedRecords* known, size_t first_prompt,
                 size_t end_prompt, const PositionProgress& progress, ComparedRecords* records);

 private:
  struct Chunks {
    LogitChunk baseline, target, reference, emulated, rounded;
  };
  struct Comparer {
    RowComparer rows;
    std::vector<float> logprobs;
  };

  Status ReadChunks(const ComparedSources& sources, size_t prompt, int64_t begin, int64_t end,
                    bool referenced, Chunks* chunks) const;
  void CompareTarget(Comparer& comparer, const Chunks& chunks, size_t prompt, int64_t position,
                     int64_t row, PositionRecord* record) const;
  // Fills what does not depend on the target.
  void CompareReference(Comparer& comparer, const ComparedSources& sources, const Chunks& chunks,
                        std::optional<int32_t> next, int64_t row, PositionRecord* record,
                        ReferenceRecord* reference) const;
  std::optional<int32_t> Next(size_t prompt, int64_t position) const;
  FirstTokenRow FirstToken(Comparer& comparer, const VerifyPrompt& prompt, const Chunks& chunks,
                           int64_t row) const;
  std::span<const float> Row(const LogitChunk& chunk, int64_t row) const {
    return chunk.Row(row, prompts_.vocab);
  }

  const SuitePrompts& prompts_;
  TokenNames names_;
  ThreadTeam team_;
};

// The verdicts of (a) and (b) on the first prompts: those that the records are of.
struct Judgment {
  FirstTokenTable first_token;
  ReferenceCheck reference;
  PositionSuite positions;
  Verdict verdict = Verdict::kFail;  // the worse one of (a) and (b)
};
// narrow: gates 1 and 9 for formats of fewer than 16 bits (figures.h).
Judgment JudgeRecords(const SuitePrompts& prompts, size_t n_prompts, const ModelConfig& config,
                      const TokenNames& names, bool narrow, ComparedRecords records,
                      std::span<const Suspect> suspects);

}  // namespace merope
