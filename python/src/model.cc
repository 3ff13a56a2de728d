// Binds the class Model: a loaded model and the engine that runs this model. Python may call the
// methods from any thread. The GIL is free while a method loads, waits or renders.
#include <nanobind/stl/map.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/string_view.h>
#include <nanobind/stl/variant.h>
#include <nanobind/stl/vector.h>
#include <unistd.h>

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "base/mapped_file.h"
#include "checkpoint/synth.h"
#include "convert.h"
#include "engine/engine.h"
#include "engine/load.h"
#include "events.h"
#include "prompt/chat_template.h"
#include "rag/answer_json.h"
#include "rag/ask.h"

namespace merope::python {
namespace {

using nb::literals::operator""_a;

class Model {
 public:
  Model(const LoadOptions& load, const EngineOptions& engine)
      : running_(std::make_unique<Running>(Unwrap(LoadModel(load)), engine)) {
    chat_ = Unwrap(LoadChatTemplate(loaded().checkpoint));
  }
  // A forked child process has none of the engine's threads and cannot join them. The child process
  // therefore never destroys the engine.
  ~Model() {
    if (getpid() != process_) (void)running_.release();
  }
  Model(const Model&) = delete;
  Model& operator=(const Model&) = delete;

  const LoadedModel& loaded() const { return running_->loaded; }
  Engine& engine() {
    if (getpid() != process_)
      throw std::runtime_error(
          "this model was loaded before the process forked, and its threads stayed behind: load "
          "it after the fork");
    return running_->engine;
  }
  const std::optional<ChatTemplate>& chat() const { return chat_; }
  // Made at the first question. Any thread may call it.
  const RagModel& rag() {
    const std::lock_guard lock(rag_mutex_);
    if (!rag_) rag_ = std::make_unique<RagModel>(Unwrap(RagModel::Make(loaded())));
    return *rag_;
  }

 private:
  struct Running {
    Running(LoadedModel model, const EngineOptions& options)
        : loaded(std::move(model)),
          engine(loaded.model(), loaded.tokenizer, WithEos(options, loaded)) {}
    static EngineOptions WithEos(EngineOptions options, const LoadedModel& loaded) {
      options.eos_token_id = EosTokenId(loaded);
      return options;
    }
    LoadedModel loaded;
    Engine engine;  // last, because the engine uses the model
  };

  pid_t process_ = getpid();
  std::unique_ptr<Running> running_;
  std::optional<ChatTemplate> chat_;
  std::mutex rag_mutex_;
  std::unique_ptr<RagModel> rag_;
};

// A question, its request, and the reader of its events. Results are JSON.
struct Question {
  RagQuestion asked;
  RagJob job;

  std::vector<std::string> Read(const TaggedEvent& tagged) {
    std::vector<std::string> news;
    for (const TraceEvent& event : job.Read(tagged.event))
      news.push_back(DumpJson(EventToJson(event, {})));
    return news;
  }
};

void Load(Model* self, const std::string& path, const std::string& dtype,
          const std::string& kv_cache_dtype, bool eager, int num_threads, int64_t max_model_len,
          int64_t max_num_seqs, int64_t max_num_batched_tokens,
          std::optional<uint64_t> kv_cache_bytes, bool prefix_cache, bool by_priority,
          int64_t max_logprobs, int64_t speculative_tokens) {
  LoadOptions load{.path = path};
  load.runtime.precision = Unwrap(ParsePrecision(dtype));
  load.runtime.kv = Unwrap(ParseKvStorage(kv_cache_dtype));
  load.runtime.threads = num_threads;
  load.runtime.kv_cache_bytes = kv_cache_bytes;
  load.runtime.max_num_seqs = max_num_seqs;
  load.runtime.llama.max_model_len = max_model_len;
  load.runtime.llama.eager = eager;
  if (max_num_batched_tokens > 0) load.runtime.llama.max_batch_tokens = max_num_batched_tokens;
  const EngineOptions engine{
      .max_num_seqs = max_num_seqs,
      .max_num_batched_tokens = max_num_batched_tokens,
      .policy = by_priority ? SchedulingPolicy::kPriority : SchedulingPolicy::kFcfs,
      .prefix_cache = prefix_cache,
      .max_logprobs = max_logprobs,
      .speculative_tokens = speculative_tokens};
  new (self) Model(load, engine);
}

// Renders the checkpoint's chat template, or the template in `source`. messages and variables are
// JSON.
std::string RenderChat(const Model& model, std::string_view messages, std::string_view variables,
                       bool add_generation_prompt, const std::string& continue_final,
                       bool openai_messages, const std::optional<std::string>& source) {
  const Checkpoint& checkpoint = model.loaded().checkpoint;
  const ChatTemplateOptions options{.add_generation_prompt = add_generation_prompt,
                                    .continue_final = continue_final,
                                    .openai_messages = openai_messages};
  if (source)
    return Unwrap(Unwrap(ChatTemplate::Parse({.text = *source,
                                              .file = "chat_template",
                                              .tool_use = {},
                                              .special_tokens = checkpoint.special_tokens()}))
                      .RenderJson(messages, variables, options));
  if (!model.chat())
    throw nb::value_error(
        fmt::format("{}: chat: expected a chat template in the checkpoint, found none; give one "
                    "as chat_template",
                    checkpoint.path())
            .c_str());
  return Unwrap(model.chat()->RenderJson(messages, variables, options));
}

// The keys are vLLM's names.
std::map<std::string, double> GenerationConfig(const GenerationDefaults& defaults) {
  std::map<std::string, double> found;
  const auto add = [&found](const char* name, const auto& value) {
    if (value) found[name] = static_cast<double>(*value);
  };
  add("temperature", defaults.temperature);
  add("top_p", defaults.top_p);
  add("min_p", defaults.min_p);
  add("top_k", defaults.top_k);
  add("repetition_penalty", defaults.repetition_penalty);
  add("max_tokens", defaults.max_new_tokens);
  return found;
}

std::map<std::string, int64_t> Stats(const EngineStats& stats) {
  std::map<std::string, int64_t> found = {{"running", stats.running},
                                          {"waiting", stats.waiting},
                                          {"kv_pages", stats.kv_pages},
                                          {"kv_pages_used", stats.kv_pages_used},
                                          {"steps", stats.steps},
                                          {"prompt_tokens", stats.prompt_tokens},
                                          {"generated_tokens", stats.generated_tokens},
                                          {"preemptions", stats.preemptions},
                                          {"prefix_queries", stats.prefix_queries},
                                          {"prefix_hits", stats.prefix_hits},
                                          {"drafts", stats.drafts},
                                          {"draft_tokens", stats.draft_tokens},
                                          {"accepted_tokens", stats.accepted_tokens}};
  for (const FinishReason reason :
       {FinishReason::kStop, FinishReason::kLength, FinishReason::kAbort, FinishReason::kError,
        FinishReason::kRepetition})
    found["finished_" + std::string(FinishReasonName(reason))] =
        stats.finished[static_cast<size_t>(reason)];
  return found;
}

}  // namespace

void BindModel(nb::module_& m) {
  // Used by tests and measurements.
  m.def(
      "synthesize",
      [](const std::string& directory, const std::string& config_path, uint64_t seed) {
        const std::string text = Unwrap(ReadFile(config_path));
        const ModelConfig config = Unwrap(ParseConfig(text, config_path));
        Unwrap(Synthesize(directory, config, {.seed = seed, .dtype = config.dtype}));
      },
      "directory"_a, "config_path"_a, "seed"_a = 0, nb::call_guard<nb::gil_scoped_release>(),
      "Writes a checkpoint of random weights in the shape of a config.json.");

  const nb::call_guard<nb::gil_scoped_release> without_gil;
  nb::class_<Question>(m, "Question")
      .def("read", &Question::Read, "event"_a, without_gil,
           "Takes an event of the question's request. Returns what it adds to the answer, as JSON.")
      .def(
          "result",
          [](const Question& self) {
            return DumpJson(AnswerToJson(self.asked, self.job.result(), {}));
          },
          without_gil, "After the last event: the answer, as JSON.");
  nb::class_<Model>(m, "Model")
      .def("__init__", &Load, "path"_a, nb::kw_only(), "dtype"_a, "kv_cache_dtype"_a,
           "enforce_eager"_a, "num_threads"_a, "max_model_len"_a, "max_num_seqs"_a,
           "max_num_batched_tokens"_a, "kv_cache_bytes"_a.none(), "prefix_cache"_a, "by_priority"_a,
           "max_logprobs"_a, "speculative_tokens"_a, without_gil)
      // `events` receives the events of the request, with this tag.
      .def(
          "submit",
          [](Model& self, Events& events, size_t tag, std::vector<int32_t> prompt,
             const SamplingParams& params, std::optional<int64_t> seed, int64_t priority,
             std::string cache_salt) {
            Request request{.prompt = std::move(prompt),
                            .params = params,
                            .priority = priority,
                            .cache_salt = std::move(cache_salt)};
            request.params.seed = seed;
            return Unwrap(self.engine().Submit(std::move(request), events.Sink(tag)));
          },
          "events"_a, "tag"_a, "prompt"_a, "params"_a, "seed"_a.none(), "priority"_a,
          "cache_salt"_a, without_gil)
      // The parameters have been settled. Only one sequence: n must be 1.
      .def(
          "prepare_question",
          [](Model& self, std::string query, std::vector<std::string> sources, bool fast,
             const std::string& quotes, const std::optional<std::string>& cite,
             const SamplingParams& params, std::optional<int64_t> seed) {
            RagQuestion asked = {std::move(query), std::move(sources), fast};
            AskOptions options = {.quotes = Unwrap(ParseQuoteMode(quotes)), .params = params};
            options.params.seed = seed;
            if (cite) options.cite = Unwrap(ParseCiteRule(*cite));
            if (options.params.n != 1)
              throw nb::value_error("n: expected 1 answer for a question, found more");
            RagJob job = Unwrap(self.rag().Prepare(asked, options));
            return new Question{std::move(asked), std::move(job)};
          },
          "query"_a, "sources"_a, "fast"_a, "quotes"_a, "cite"_a.none(), "params"_a,
          "seed"_a.none(), nb::rv_policy::take_ownership, nb::keep_alive<0, 1>(), without_gil)
      .def(
          "submit_question",
          [](Model& self, Events& events, size_t tag, Question& question) {
            return Unwrap(self.engine().Submit(question.job.TakeRequest(), events.Sink(tag)));
          },
          "events"_a, "tag"_a, "question"_a, without_gil)
      .def(
          "abort", [](Model& self, RequestId id) { self.engine().Abort(id); }, "id"_a, without_gil)
      .def(
          "reset_prefix_cache", [](Model& self) { return self.engine().ResetPrefixCache(); },
          without_gil)
      .def("stats", [](Model& self) { return Stats(self.engine().stats()); })
      .def("render_chat", &RenderChat, "messages"_a, "variables"_a, "add_generation_prompt"_a,
           "continue_final"_a, "openai_messages"_a, "chat_template"_a.none(), without_gil)
      .def_prop_ro(
          "tokenizer",
          [](const Model& self) -> const Tokenizer& { return self.loaded().tokenizer; },
          nb::rv_policy::reference_internal)
      .def_prop_ro("has_chat_template", [](const Model& self) { return self.chat().has_value(); })
      .def_prop_ro("max_model_len",
                   [](const Model& self) { return self.loaded().model().max_model_len(); })
      .def_prop_ro("kv_cache_tokens",
                   [](const Model& self) { return self.loaded().model().kv().capacity_tokens(); })
      .def_prop_ro("vocab_size",
                   [](const Model& self) { return self.loaded().config().vocab_size; })
      .def_prop_ro("eos_token_ids",
                   [](const Model& self) { return self.loaded().config().eos_token_ids; })
      .def_prop_ro("bos_token_id",
                   [](const Model& self) { return self.loaded().config().bos_token_id; })
      .def_prop_ro("bos_token",
                   [](const Model& self) { return self.loaded().checkpoint.bos_token(); })
      .def_prop_ro("eos_token",
                   [](const Model& self) { return self.loaded().checkpoint.eos_token(); })
      .def_prop_ro("pad_token",
                   [](const Model& self) { return self.loaded().checkpoint.pad_token(); })
      .def_prop_ro("unk_token",
                   [](const Model& self) { return self.loaded().checkpoint.unk_token(); })
      .def_prop_ro(
          "generation_config",
          [](const Model& self) { return GenerationConfig(self.loaded().config().generation); })
      // One line for a log, about the loaded model.
      .def_prop_ro("description", [](const Model& self) {
        const LoadedModel& loaded = self.loaded();
        return fmt::format(
            "{}: {} weights run in {}, {}; loaded in {:.2f} s; K/V cache of {} tokens, {} "
            "requests of {}",
            loaded.checkpoint.path(), DTypeName(loaded.config().dtype),
            DescribePrecision(loaded.checkpoint, loaded.backend().precision()),
            loaded.backend().name(), loaded.load_seconds, loaded.model().kv().capacity_tokens(),
            loaded.model().kv().capacity_tokens() / loaded.model().max_model_len(),
            loaded.model().max_model_len());
      });
}

}  // namespace merope::python
