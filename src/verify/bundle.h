// The evidence of a verification, in a directory from which `merope replay` computes every figure
// and the verdict again, without the model and the server (replay.h). Written by the suite, on its
// thread.
//
//   manifest.json        sizes and SHA-256 of the files here (whole, and of each block), of the
//                        model's files and of the program; the version
//   manifest.sha256      SHA-256 of manifest.json
//   verification.json    what was compared: prompts as ids, numerics, the names of tokens
//   result.json          the result, as `merope verify --json` prints it
//   *.f32                rows of logits (kept_rows.h): baseline, target, reference, emulated,
//   rounded;
//                        suspects-N: sample N of the format's noise
//   target.safetensors   in place of target.f32: the file of a target with top-k rows
//   answers.jsonl        in place of target.f32: every answer of the server (answers_file.h)
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "verify/comparison.h"
#include "verify/kept_rows.h"
#include "verify/logit_source.h"
#include "verify/prompts.h"
#include "verify/result.h"
#include "verify/suite.h"

namespace merope {

class BundleWriter {
 public:
  // Makes the directory. Error: it holds something.
  static Result<std::unique_ptr<BundleWriter>> Create(const std::string& directory);

  std::string Path(std::string_view name) const;
  // The same names; those that are asked for are kept. The writer must outlive the function.
  TokenNames RecordNames(TokenNames names);
  // The same rows; those that are read are kept.
  Result<std::shared_ptr<LogitSource>> RecordSample(uint64_t sample,
                                                    std::unique_ptr<LogitSource> source,
                                                    int64_t vocab);
  // Writes the JSON files. asked: the prompts before a server's answers; prompts: as compared.
  Status Finish(const Checkpoint& checkpoint, const VerifyOptions& options,
                int64_t reference_positions, const std::vector<VerifyPrompt>& asked,
                const std::vector<VerifyPrompt>& prompts, const VerifyResult& result);

 private:
  explicit BundleWriter(std::string directory) : directory_(std::move(directory)) {}
  Status WriteManifest(const Checkpoint& checkpoint, int threads) const;

  std::string directory_;
  std::map<int32_t, std::string> names_;
  std::map<uint64_t, std::shared_ptr<KeptRows>> samples_;
};

// The bytes of a block of a file, each with its own hash in the manifest.
inline constexpr int64_t kBundleBlock = 64 << 10;
inline constexpr int kBundleFormat = 1;

// The hashes of a file: of each block, and of the whole. Error: the file cannot be read.
struct FileHashes {
  int64_t bytes = 0;
  std::string whole;
  std::vector<std::string> blocks;
};
Result<FileHashes> HashFile(const std::string& path);

}  // namespace merope
