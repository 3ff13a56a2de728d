// Generates texts of a model under structured outputs, for structured_oracle.py. Usage:
// constrain_texts MODEL. Standard input has one JSON line per request: {"json" | "regex": TEXT,
// "seed"}. Standard output has one JSON line per answer, in the same order: {"text", "tokens",
// "finish_reason", "compile_ms", "mask_us": [one number per step]}, or {"error"}. The masks are
// timed after the generation, on one thread, while nothing else runs.
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "base/stopwatch.h"
#include "engine/event_queue.h"
#include "engine/load.h"
#include "grammar/grammar_compiler.h"
#include "grammar/grammar_constraint.h"

namespace merope {
namespace {

using Lines = std::vector<nlohmann::json>;

void Generate(const LoadedModel& loaded, const std::vector<Request>& requests,
              std::vector<std::vector<int32_t>>* ids, Lines* answers) {
  Engine engine(loaded.model(), loaded.tokenizer, {});
  EventQueue queue;
  size_t waiting = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    const auto id = engine.Submit(requests[i], queue.Sink(i));
    if (!id) (*answers)[i]["error"] = id.error().message;
    waiting += id.has_value();
  }
  while (waiting > 0) {
    for (const TaggedEvent& tagged : queue.WaitForEvents(std::chrono::seconds(60))) {
      const Event& event = tagged.event;
      auto& own = (*ids)[tagged.tag];
      own.insert(own.end(), event.ids.begin(), event.ids.end());
      (*answers)[tagged.tag]["text"] = event.text;
      (*answers)[tagged.tag]["finish_reason"] =
          event.finish_reason == FinishReason::kStop ? "stop" : "other";
      waiting -= event.last;
    }
  }
}

int Main(const std::string& path) {
  auto loaded = LoadModel({path, {.max_num_seqs = 256}});
  CHECK(loaded.has_value(), "{}", loaded.error().message);
  const ModelConfig& config = loaded->config();
  std::vector<Request> requests;
  for (std::string line; std::getline(std::cin, line);) {
    const auto json = nlohmann::json::parse(line);
    SamplingParams params;
    params.temperature = 1.5;
    params.max_tokens = 512;
    params.seed = json["seed"].get<int64_t>();
    params.output_kind = OutputKind::kFinalOnly;
    StructuredOutputs& outputs = params.structured_outputs.emplace();
    if (json.contains("json")) outputs.json = json["json"].get<std::string>();
    if (json.contains("regex")) outputs.regex = json["regex"].get<std::string>();
    requests.push_back({.prompt = {5}, .params = std::move(params)});
  }
  Lines answers(requests.size());
  std::vector<std::vector<int32_t>> ids(requests.size());
  Generate(*loaded, requests, &ids, &answers);

  GrammarCompiler compiler(loaded->tokenizer, config.vocab_size, config.eos_token_ids);
  for (size_t i = 0; i < requests.size(); ++i) {
    nlohmann::json& answer = answers[i];
    if (!answer.contains("error")) {
      const Stopwatch compiling;
      const auto grammar = compiler.Compile(*requests[i].params.structured_outputs);
      CHECK(grammar.has_value(), "{}", grammar.error().message);
      answer["compile_ms"] = compiling.Seconds() * 1e3;
      answer["tokens"] = ids[i].size();
      GrammarConstraint constraint(*grammar);
      for (const int32_t id : ids[i]) {
        const Stopwatch masking;
        constraint.Prepare(TokenConstraint::kNoLimit);
        answer["mask_us"].push_back(masking.Seconds() * 1e6);
        constraint.Accept(id);
      }
    }
    std::cout << answer.dump() << '\n';
  }
  return 0;
}

}  // namespace
}  // namespace merope

int main(int argc, char** argv) {
  CHECK(argc == 2);
  return merope::Main(argv[1]);
}
