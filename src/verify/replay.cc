#include "verify/replay.h"

#include <algorithm>
#include <filesystem>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "base/json.h"
#include "base/threads.h"
#include "verify/bundle.h"
#include "verify/endpoint_target.h"
#include "verify/inputs.h"
#include "verify/kept_rows.h"
#include "verify/logits_file.h"
#include "verify/numerics.h"
#include "verify/result_json.h"

namespace merope {
namespace {

constexpr int64_t kMost = int64_t{1} << 40;

// The fields of an object that must be there.
class Required {
 public:
  Required(const Json& object, std::string where) : fields_(object, std::move(where)) {}

  Result<int64_t> Integer(const char* name, int64_t min = 0, int64_t max = kMost) const {
    TRY_ASSIGN(const auto value, fields_.Integer(name, min, max));
    return value ? Result<int64_t>(*value) : Missing(name, "a whole number");
  }
  Result<double> Number(const char* name) const {
    TRY_ASSIGN(const auto value, fields_.Number(name));
    return value ? Result<double>(*value) : Missing(name, "a number");
  }
  Result<std::string> Text(const char* name) const {
    TRY_ASSIGN(auto value, fields_.String(name));
    return value ? Result<std::string>(std::move(*value)) : Missing(name, "a text");
  }
  Result<bool> Truth(const char* name) const {
    TRY_ASSIGN(const auto value, fields_.Bool(name));
    return value ? Result<bool>(*value) : Missing(name, "true or false");
  }
  Result<const Json*> Object(const char* name) const {
    const Json* value = fields_.Find(name);
    if (value == nullptr || !value->is_object()) return Missing(name, "an object");
    return value;
  }
  Result<const Json*> List(const char* name) const {
    const Json* value = fields_.Find(name);
    if (value == nullptr || !value->is_array()) return Missing(name, "a list");
    return value;
  }
  const JsonFields& fields() const { return fields_; }
  std::string Path(const char* name) const { return fields_.Path(name); }

 private:
  std::unexpected<Error> Missing(const char* name, std::string_view expected) const {
    const Json* value = fields_.Find(name);
    return Err("{}: expected {}, found {}", fields_.Path(name), expected,
               value == nullptr ? "nothing" : Describe(*value));
  }
  JsonFields fields_;
};

Result<Json> ReadObject(const std::string& path) {
  TRY_ASSIGN(Json json, ReadJsonFile(path));
  if (!json.is_object()) return Err("{}: expected an object, found {}", path, Describe(json));
  return json;
}

// Checks one file against its entry in the manifest.
Status CheckFile(const std::string& directory, const Json& entry) {
  const std::string where = directory + "/manifest.json: files";
  if (!entry.is_object()) return Err("{}: expected objects, found {}", where, Describe(entry));
  const Required fields(entry, where);
  TRY_ASSIGN(const std::string name, fields.Text("file"));
  TRY_ASSIGN(const int64_t bytes, fields.Integer("bytes"));
  TRY_ASSIGN(const Json* blocks, fields.List("blocks"));
  if (name.empty() || name.find('/') != name.npos || name == "..")
    return Err("{}: expected a file of this directory, found \"{}\"", where, name);
  const std::string path = directory + "/" + name;
  TRY_ASSIGN(const FileHashes found, HashFile(path));
  for (size_t i = 0; i < found.blocks.size() && i < blocks->size(); ++i)
    if (blocks->at(i) != Json(found.blocks[i])) {
      const int64_t begin = static_cast<int64_t>(i) * kBundleBlock;
      return Err("{}: a byte between {} and {} has changed", path, begin,
                 std::min(begin + kBundleBlock, found.bytes) - 1);
    }
  if (found.bytes != bytes || found.blocks.size() != blocks->size())
    return Err("{}: expected {} bytes, found {}", path, bytes, found.bytes);
  return {};
}

Status CheckManifest(const std::string& directory) {
  const std::string path = directory + "/manifest.json";
  TRY_ASSIGN(const FileHashes manifest, HashFile(path));
  TRY_ASSIGN(const FileHashes sum, HashFile(directory + "/manifest.sha256"));
  TRY_ASSIGN(const std::string line, ReadFile(directory + "/manifest.sha256", kBundleBlock));
  if (line != manifest.whole + "  manifest.json\n")
    return Err("{}: the hash is not the one in manifest.sha256: one of the two files has changed",
               path);
  TRY_ASSIGN(const Json json, ReadObject(path));
  const Required fields(json, path);
  TRY(fields.Integer("format", kBundleFormat, kBundleFormat));
  TRY_ASSIGN(const Json* files, fields.List("files"));
  std::vector<std::string> names;
  for (const Json& entry : *files) {
    TRY(CheckFile(directory, entry));
    names.push_back(entry["file"].get<std::string>());
  }
  for (const char* needed : {"verification.json", "result.json"})
    if (std::ranges::find(names, needed) == names.end())
      return Err("{}: files: expected {}, found none", path, needed);
  return {};
}

Result<std::vector<int32_t>> Ids(const Json* list, const std::string& where) {
  std::vector<int32_t> ids;
  for (const Json& value : *list) {
    const auto id = WholeNumber(value);
    if (!id || *id < 0 || *id > std::numeric_limits<int32_t>::max())
      return Err("{}: expected token ids, found {}", where, Describe(value));
    ids.push_back(static_cast<int32_t>(*id));
  }
  return ids;
}

Result<std::vector<ProbePrompt>> Texts(const Required& fields, const char* name) {
  TRY_ASSIGN(const Json* list, fields.List(name));
  std::vector<ProbePrompt> texts;
  for (const Json& value : *list) {
    const std::string where = fmt::format("{}[{}]", fields.Path(name), texts.size());
    if (!value.is_object()) return Err("{}: expected an object, found {}", where, Describe(value));
    const Required text(value, where);
    ProbePrompt& prompt = texts.emplace_back();
    TRY_ASSIGN(prompt.text, text.Text("text"));
    TRY_ASSIGN(const Json* ids, text.List("ids"));
    TRY_ASSIGN(prompt.ids, Ids(ids, text.Path("ids")));
  }
  return texts;
}

Result<std::vector<VerifyPrompt>> Prompts(const Json* list, const std::string& where) {
  std::vector<VerifyPrompt> prompts;
  std::map<std::string, bool> seen;
  for (const Json& value : *list) {
    const std::string here = fmt::format("{}[{}]", where, prompts.size());
    if (!value.is_object()) return Err("{}: expected an object, found {}", here, Describe(value));
    const Required fields(value, here);
    VerifyPrompt prompt;
    TRY_ASSIGN(prompt.id, fields.Text("id"));
    TRY_ASSIGN(prompt.kind, fields.Text("kind"));
    TRY_ASSIGN(prompt.language, fields.Text("language"));
    TRY_ASSIGN(prompt.text, fields.Text("text"));
    TRY_ASSIGN(const Json* ids, fields.List("ids"));
    TRY_ASSIGN(prompt.ids, Ids(ids, fields.Path("ids")));
    const int64_t n = std::ssize(prompt.ids);
    if (n == 0) return Err("{}: ids: expected at least one, found none", here);
    TRY_ASSIGN(prompt.generated, fields.Integer("generated", 0, n - 1));
    TRY_ASSIGN(prompt.first, fields.Integer("first", 0, n));
    if (std::exchange(seen[prompt.id], true))
      return Err("{}: id: expected one of its own, found \"{}\" again", here, prompt.id);
    prompts.push_back(std::move(prompt));
  }
  return prompts;
}

Result<VerifyMode> ParseMode(const std::string& name, const std::string& where) {
  for (const VerifyMode mode : {VerifyMode::kQuick, VerifyMode::kDefault, VerifyMode::kFull})
    if (VerifyModeName(mode) == name) return mode;
  return Err("{}: expected quick, default or full, found \"{}\"", where, name);
}

class Player {
 public:
  Player(std::string directory, JudgeHooks hooks)
      : directory_(std::move(directory)), hooks_(std::move(hooks)) {}

  Result<VerifyResult> Run(int threads) {
    TRY(CheckManifest(directory_));
    TRY_ASSIGN(const Json json, ReadObject(Path("verification.json")));
    const Required fields(json, Path("verification.json"));
    TRY_ASSIGN(SuiteInputs inputs, Read(fields));
    TRY_ASSIGN(const int64_t run_threads, fields.Integer("threads", 1, 1 << 20));
    inputs.stated.threads = threads > 0 ? threads : DefaultThreads();
    TRY_ASSIGN(VerifyResult result, JudgeInputs(std::move(inputs), hooks_));
    result.threads = static_cast<int>(run_threads);
    TRY(AddMeasured(fields, &result));
    TRY(CompareResult(result));
    return result;
  }

 private:
  std::string Path(const std::string& name) const { return directory_ + "/" + name; }

  Result<SuiteInputs> Read(const Required& fields) {
    SuiteInputs inputs;
    VerifyResult& stated = inputs.stated;
    TRY(fields.Integer("format", kBundleFormat, kBundleFormat));
    TRY_ASSIGN(stated.model, fields.Text("model"));
    TRY_ASSIGN(const std::string mode, fields.Text("mode"));
    TRY_ASSIGN(stated.mode, ParseMode(mode, fields.Path("mode")));
    TRY_ASSIGN(stated.baseline, fields.Text("baseline"));
    TRY_ASSIGN(stated.target, fields.Text("target"));
    TRY_ASSIGN(const std::string name, fields.Text("numerics"));
    TRY_ASSIGN(const Numerics numerics, ParseNumerics(name));
    stated.target_precision = numerics.precision;
    stated.target_rounding = numerics.rounding;
    TRY(ReadConfig(fields, &inputs.config));
    stated.context = inputs.config.max_position_embeddings;
    const int64_t vocab = inputs.config.vocab_size;
    TRY_ASSIGN(const int64_t reference_positions, fields.Integer("reference_positions"));
    TRY_ASSIGN(const Json* list, fields.List("prompts"));
    TRY_ASSIGN(std::vector<VerifyPrompt> prompts, Prompts(list, fields.Path("prompts")));
    if (const Json* endpoint = fields.fields().Find("endpoint"); endpoint != nullptr) {
      if (!endpoint->is_object())
        return Err("{}: expected an object, found {}", fields.Path("endpoint"),
                   Describe(*endpoint));
      TRY(AskAgain(Required(*endpoint, fields.Path("endpoint")), prompts, &inputs));
    }
    TRY(CheckPrompts(Path("verification.json"), inputs.config, prompts));
    inputs.prompts = ArrangePrompts(std::move(prompts), vocab, reference_positions);

    std::vector<std::pair<std::string, int64_t>> all;
    for (const VerifyPrompt& p : inputs.prompts.prompts) all.emplace_back(p.id, std::ssize(p.ids));
    const std::span referenced = std::span(all).first(inputs.prompts.n_reference);
    TRY_ASSIGN(inputs.baseline, KeptRows::Open("baseline", Path("baseline.f32"), vocab, all));
    if (std::filesystem::exists(Path("target.f32"))) {
      TRY_ASSIGN(inputs.target, KeptRows::Open("target", Path("target.f32"), vocab, all));
      inputs.own_target = true;
    } else if (std::filesystem::exists(Path("target.safetensors"))) {
      TRY_ASSIGN(inputs.target, OpenLogitsFile(Path("target.safetensors"), vocab));
    } else if (inputs.target == nullptr) {
      return Err("{}: expected the target's rows, found none", directory_);
    }
    if (std::filesystem::exists(Path("reference.f32"))) {
      TRY_ASSIGN(inputs.reference,
                 KeptRows::Open("reference", Path("reference.f32"), vocab, referenced));
    }
    TRY_ASSIGN(inputs.emulated,
               KeptRows::Open("emulated", Path("emulated.f32"), vocab, referenced));
    if (std::filesystem::exists(Path("rounded.f32"))) {
      TRY_ASSIGN(inputs.rounded, KeptRows::Open("rounded", Path("rounded.f32"), vocab, referenced));
    }
    TRY(ReadSamples(fields, vocab));
    inputs.emulation = [this](uint64_t sample) -> Result<std::shared_ptr<LogitSource>> {
      const auto found = samples_.find(sample);
      if (found == samples_.end())
        return Err("{}: expected sample {} of the suspects, found none", directory_, sample);
      return found->second;
    };
    TRY(ReadNames(fields));
    inputs.names = [this](int32_t id) {
      const auto found = names_.find(id);
      return found == names_.end() ? fmt::format("id {}", id) : found->second;
    };
    return inputs;
  }

  static Status ReadConfig(const Required& fields, ModelConfig* config) {
    TRY_ASSIGN(const Json* object, fields.Object("config"));
    const Required c(*object, fields.Path("config"));
    constexpr int64_t kMostSize = int64_t{1} << 31;
    TRY_ASSIGN(config->vocab_size, c.Integer("vocab_size", 2, kMostSize));
    TRY_ASSIGN(config->hidden_size, c.Integer("hidden_size", 1, kMostSize));
    TRY_ASSIGN(config->intermediate_size, c.Integer("intermediate_size", 1, kMostSize));
    TRY_ASSIGN(config->num_heads, c.Integer("num_heads", 1, 1 << 20));
    TRY_ASSIGN(config->head_dim, c.Integer("head_dim", 1, 1 << 20));
    TRY_ASSIGN(config->max_position_embeddings, c.Integer("context", 1, kMostSize));
    return {};
  }

  // Reads the server's answers again, as a verification does, and compares the prompts that come of
  // it with those of the bundle.
  Status AskAgain(const Required& fields, const std::vector<VerifyPrompt>& prompts,
                  SuiteInputs* inputs) {
    TargetRequest request{.answers = Path("answers.jsonl"), .offline = true};
    TRY_ASSIGN(request.endpoint.url, fields.Text("url"));
    TRY_ASSIGN(request.endpoint.model, fields.Text("model"));
    TRY_ASSIGN(const auto eager, fields.fields().String("eager_url"));
    request.eager_url = eager.value_or("");
    TRY_ASSIGN(const auto numerics, fields.fields().String("numerics"));
    request.numerics = numerics.value_or("");
    TRY_ASSIGN(request.stability, fields.Truth("stability"));
    TRY_ASSIGN(request.choices.generate, fields.Integer("generate", 1, kMaxGenerate));
    TRY_ASSIGN(request.choices.top_k, fields.Integer("top_logprobs", 2, kMaxTopLogprobs));
    TRY_ASSIGN(request.choices.concurrency, fields.Integer("concurrency", 1, kMaxConcurrency));
    ProbedModel model{.context = inputs->config.max_position_embeddings,
                      .vocab_size = inputs->config.vocab_size};
    TRY_ASSIGN(model.quantized, fields.Truth("quantized"));
    TRY_ASSIGN(model.prompt.text, fields.Text("probe_text"));
    TRY_ASSIGN(const Json* ids, fields.List("probe_ids"));
    TRY_ASSIGN(model.prompt.ids, Ids(ids, fields.Path("probe_ids")));
    TRY_ASSIGN(model.texts, Texts(fields, "texts"));
    TRY_ASSIGN(model.messages, Texts(fields, "messages"));
    request.texts = !model.texts.empty();
    TRY_ASSIGN(const Json* list, fields.List("prompts"));
    TRY_ASSIGN(std::vector<VerifyPrompt> asked, Prompts(list, fields.Path("prompts")));
    TRY_ASSIGN(TargetServers servers, OpenServers(request));
    const auto phase = [this](std::string_view name) -> std::function<void(int64_t, int64_t)> {
      return [this, name = std::string(name)](int64_t done, int64_t total) {
        if (hooks_.progress) hooks_.progress(name, done, total);
      };
    };
    TRY_ASSIGN(EndpointTarget target,
               ProbeTarget(std::move(servers), request, std::move(model), nullptr,
                           inputs->stated.mode, phase("probing the endpoint")));
    TRY_ASSIGN(AskedServer answers, AskServer(target, inputs->stated.mode, &asked, phase));
    if (asked.size() != prompts.size() ||
        !std::ranges::equal(asked, prompts, {}, &VerifyPrompt::ids, &VerifyPrompt::ids))
      return Err("{}: expected the tokens of the answers, found others",
                 Path("verification.json: prompts"));
    inputs->target = std::move(answers.rows);
    EndpointResult& result = inputs->stated.endpoint.emplace(DescribeTarget(target));
    result.stability = std::move(answers.stability);
    result.eager = std::move(answers.pair);
    return {};
  }

  Status ReadSamples(const Required& fields, int64_t vocab) {
    TRY_ASSIGN(const Json* list, fields.List("samples"));
    for (const Json& value : *list) {
      if (!value.is_object())
        return Err("{}: expected objects, found {}", fields.Path("samples"), Describe(value));
      const Required sample(value, fields.Path("samples"));
      TRY_ASSIGN(const int64_t number, sample.Integer("sample", 0, 1000));
      TRY_ASSIGN(const Json* pairs, sample.List("positions"));
      std::vector<std::pair<std::string, int64_t>> positions;
      for (const Json& pair : *pairs) {
        const bool right = pair.is_array() && pair.size() == 2 && pair[0].is_string();
        const auto n = right ? WholeNumber(pair[1]) : std::nullopt;
        if (!n || *n < 0 || *n > kMost)
          return Err("{}: expected pairs of a prompt and a number of positions, found {}",
                     sample.Path("positions"), Describe(pair));
        positions.emplace_back(pair[0].get<std::string>(), *n);
      }
      const std::string name = fmt::format("suspects-{}", number);
      TRY_ASSIGN(samples_[static_cast<uint64_t>(number)],
                 KeptRows::Open(name, Path(name + ".f32"), vocab, positions));
    }
    return {};
  }

  Status ReadNames(const Required& fields) {
    TRY_ASSIGN(const Json* names, fields.Object("names"));
    for (const auto& [id, name] : names->items()) {
      if (!name.is_string() || id.size() > 10 ||
          id.find_first_not_of("0123456789") != std::string::npos)
        return Err("{}: expected texts by token id, found {}", fields.Path("names"),
                   Describe(name));
      const int64_t number = std::stoll(id);
      if (number > std::numeric_limits<int32_t>::max())
        return Err("{}: expected token ids, found {}", fields.Path("names"), number);
      names_[static_cast<int32_t>(number)] = name.get<std::string>();
    }
    return {};
  }

  static Status AddMeasured(const Required& fields, VerifyResult* result) {
    TRY_ASSIGN(const Json* object, fields.Object("measured"));
    const Required measured(*object, fields.Path("measured"));
    TRY_ASSIGN(result->seconds, measured.Number("seconds"));
    TRY_ASSIGN(result->baseline_tokens_per_second, measured.Number("baseline_tokens_per_second"));
    TRY_ASSIGN(result->target_tokens_per_second, measured.Number("target_tokens_per_second"));
    if (!result->endpoint) return {};
    TRY_ASSIGN(result->endpoint->requests, measured.Integer("requests"));
    TRY_ASSIGN(result->endpoint->tokens, measured.Integer("tokens"));
    TRY_ASSIGN(result->endpoint->repeated_tries, measured.Integer("repeated_tries"));
    return {};
  }

  // The computed result must be the kept one.
  Status CompareResult(const VerifyResult& result) const {
    TRY_ASSIGN(const Json kept, ReadObject(Path("result.json")));
    TRY_ASSIGN(const Json computed, ParseJson(DumpJson(ToJson(result)), "the computed result"));
    const Json differences = Json::diff(kept, computed);
    if (differences.empty()) return {};
    const std::string place = differences[0].value("path", "");
    const auto at = [&place](const Json& json) {
      const Json::json_pointer pointer(place);
      return json.contains(pointer) ? Describe(json.at(pointer)) : std::string("nothing");
    };
    return Err("{}: {}: the rows give {}, found {}", Path("result.json"), place, at(computed),
               at(kept));
  }

  std::string directory_;
  JudgeHooks hooks_;
  std::map<uint64_t, std::shared_ptr<LogitSource>> samples_;
  std::map<int32_t, std::string> names_;
};

}  // namespace

Result<VerifyResult> Replay(
    const std::string& directory, int threads,
    const std::function<void(std::string_view phase, int64_t done, int64_t total)>& progress) {
  return Player(directory, {.progress = progress}).Run(threads);
}

}  // namespace merope
