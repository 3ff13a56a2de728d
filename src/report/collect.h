// Measures everything that a report states. Called by `merope report`, on the caller's thread.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "report/report_data.h"
#include "text/tokenizer.h"
#include "verify/endpoint_target.h"

namespace merope {

struct ReportProgress {
  // phase: "weights", "performance", "generation", "errors", "verify: …" and others. Called on
  // the thread that runs Collect.
  std::function<void(std::string_view phase, int64_t done, int64_t total)> update;
};

// Runs the model in this process.
Result<ReportData> Collect(const ReportOptions& options, const ReportProgress& progress);

// The server that a report judges.
struct ReportSubject {
  TargetRequest target;          // a report always asks for stability
  std::string environment = {};  // a file that describes the device (environment.h); or empty
  // Told what the verification will ask for, before it asks: one line for people. May be empty.
  std::function<void(const std::string& line)> say = {};
};

// The model of `options` is the fp32 reference; options.target is not read.
Result<ReportData> CollectServer(const ReportOptions& options, ReportSubject subject,
                                 const ReportProgress& progress);

// The parts that both have. ReadModel fills in what the checkpoint says of itself, without its
// weights; its errors include a bad file of prompts. Questions: those of the generations.
Status ReadModel(const Checkpoint& checkpoint, const Tokenizer& tokenizer,
                 const ReportOptions& options, ReportData* data);
std::span<const std::string_view> Questions(VerifyMode mode);

}  // namespace merope
