#include "serve/batch.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstring>
#include <ctime>
#include <map>
#include <utility>
#include <vector>

#include "base/json.h"
#include "engine/event_queue.h"
#include "serve/api_error.h"
#include "serve/openai_request.h"
#include "serve/openai_response.h"

namespace merope {
namespace {

constexpr size_t kMaxLineBytes = size_t{8} << 20, kMaxCustomIdBytes = 512;
constexpr auto kPatience = std::chrono::milliseconds(100);

std::string ResultLine(const OrderedJson& custom_id, const std::string& response,
                       const OrderedJson& error) {
  return fmt::format("{}{}{}{},\"response\":{},\"error\":{}}}", BatchResults::kBegin, RandomId(),
                     BatchResults::kCustomId, DumpJson(custom_id), response, DumpJson(error));
}

std::string Response(int status, const std::string& body) {
  return fmt::format(R"({{"status_code":{},"request_id":"{}","body":{}}})", status, RandomId(),
                     body);
}

// One run of a batch, on the caller's thread.
class BatchRun {
 public:
  BatchRun(LineReader requests, BatchResults& results, Engine& engine, const ServedModel& model,
           const BatchOptions& options)
      : requests_(std::move(requests)),
        results_(results),
        engine_(engine),
        model_(model),
        options_(options) {}

  Result<BatchCounts> Run() {
    while (!Interrupted()) {
      TRY(Fill());
      if (jobs_.empty() && !more_) break;
      TRY(TakeEvents(kPatience));
      Progress();
    }
    TRY(TakeEvents(std::chrono::milliseconds(0)));
    TRY(results_.Sync());
    return counts_;
  }

 private:
  // A request that is in the engine. Its prompts have consecutive tags.
  struct Job {
    int64_t line, bytes;
    std::string custom_id;
    OpenAiAnswer answer;
  };

  bool Interrupted() const { return options_.interrupted != nullptr && *options_.interrupted; }
  void Progress() const {
    if (options_.progress) options_.progress(counts_);
  }

  // Keeps 2 · max_num_seqs sequences in the engine, so that the engine has work while this thread
  // reads a line or waits for the disk. The engine starts the n sequences of one request
  // alternately with sequences of other requests, so the lines after a request with a large n do
  // not wait for this request. Submits all prompts of a request together.
  Status Fill() {
    while (more_ && sequences_ < 2 * options_.max_num_seqs && !Interrupted()) {
      TRY_ASSIGN(more_, requests_.Next());
      if (!more_) break;
      const int64_t jobs = std::ssize(jobs_);
      TRY(BeginLine());
      if (std::ssize(jobs_) == jobs) counts_.bytes_done += requests_.end() - requests_.begin();
      Progress();
    }
    return {};
  }

  Status BeginLine() {
    const std::string& text = requests_.text();
    if (requests_.cut())
      return RefuseLine(Error{fmt::format("expected at most {} bytes, found more", kMaxLineBytes)});
    if (text.find_first_not_of(" \t\r") == text.npos) return {};
    const Result<Json> line = ParseJson(text, "request");
    if (!line) return RefuseLine(line.error());
    if (!line->is_object())
      return RefuseLine(
          FieldErr("request", "expected an object, found {}", Describe(*line)).error());
    const JsonFields fields(*line, "");
    const Result<std::optional<std::string>> custom_id = fields.String("custom_id");
    if (!custom_id) return RefuseLine(custom_id.error());
    if (!*custom_id || (*custom_id)->empty() || (*custom_id)->size() > kMaxCustomIdBytes)
      return RefuseLine(FieldErr("custom_id", "expected 1 to {} bytes, found {}", kMaxCustomIdBytes,
                                 *custom_id ? (*custom_id)->size() : 0)
                            .error());
    const auto [first, is_new] = results_.first_lines().try_emplace(HashId(**custom_id), 0);
    if (first->second > 0)
      return RefuseLine(FieldErr("custom_id",
                                 "expected one that no line before has, found that of line {}, {}",
                                 first->second, Describe(**custom_id))
                            .error());
    first->second = requests_.number();
    if (!is_new) {
      ++counts_.before;
      return {};
    }
    auto request = ReadRequest(fields);
    if (!request) return WriteError(**custom_id, requests_.number(), request.error());
    return Submit(**custom_id, *std::move(request));
  }

  Result<OpenAiRequest> ReadRequest(const JsonFields& line) const {
    TRY_ASSIGN(const std::optional<std::string> method, line.String("method"));
    if (method != "POST")
      return FieldErr("method", "expected \"POST\", found {}", method ? Describe(*method) : "none");
    TRY_ASSIGN(const std::optional<std::string> url, line.String("url"));
    const std::optional<Endpoint> endpoint = EndpointAt(url.value_or(""));
    if (!endpoint)
      return FieldErr("url", "expected /v1/completions or /v1/chat/completions, found {}",
                      url ? Describe(*url) : "none");
    const Json* body = line.Find("body");
    if (body == nullptr || !body->is_object())
      return FieldErr("body", "expected an object, found {}", body ? Describe(*body) : "none");
    auto request =
        ParseOpenAiRequest(*endpoint, *body, RawMember(requests_.text(), "body"), model_);
    if (request && request->stream)
      return FieldErr("stream", "expected false in a batch, found true");
    return request;
  }

  Status Submit(const std::string& custom_id, OpenAiRequest request) {
    const size_t first = next_tag_;
    std::vector<RequestId> submitted;
    for (size_t i = 0; i < request.prompts.size(); ++i) {
      const Result<RequestId> id =
          engine_.Submit(EngineRequest(request, i), events_.Sink(next_tag_++));
      if (!id) {
        for (const RequestId other : submitted) engine_.Abort(other);
        return WriteError(custom_id, requests_.number(), id.error());
      }
      submitted.push_back(*id);
    }
    sequences_ += Share(request);
    jobs_.emplace(first,
                  Job{.line = requests_.number(),
                      .bytes = requests_.end() - requests_.begin(),
                      .custom_id = custom_id,
                      .answer = OpenAiAnswer(std::move(request), model_, std::time(nullptr))});
    return {};
  }

  // The number of sequences that a request counts as: at most a quarter of 2 · max_num_seqs, and at
  // least 1.
  int64_t Share(const OpenAiRequest& request) const {
    return std::min(std::ssize(request.prompts) * request.params.n,
                    std::max<int64_t>(options_.max_num_seqs / 2, 1));
  }

  Status TakeEvents(std::chrono::milliseconds timeout) {
    for (TaggedEvent& tagged : events_.WaitForEvents(timeout)) {
      const auto after = jobs_.upper_bound(tagged.tag);
      if (after == jobs_.begin()) continue;
      const auto job = std::prev(after);
      OpenAiAnswer& answer = job->second.answer;
      const size_t prompt = tagged.tag - job->first;
      // An event of a refused request: the engine accepted one of its prompts and refused a later
      // one.
      if (prompt >= answer.request().prompts.size()) continue;
      answer.Add(prompt, std::move(tagged.event));
      if (!answer.whole()) continue;
      TRY(Finish(job->second));
      sequences_ -= Share(answer.request());
      jobs_.erase(job);
    }
    return {};
  }

  Status Finish(const Job& job) {
    counts_.bytes_done += job.bytes;
    const Usage& usage = job.answer.usage();
    counts_.prompt_tokens += usage.prompt_tokens;
    counts_.cached_tokens += usage.cached_tokens;
    counts_.generated_tokens += usage.completion_tokens;
    const auto body = job.answer.Body();
    if (!body) return WriteError(job.custom_id, job.line, body.error());
    ++counts_.answered;
    return results_.Write(ResultLine(job.custom_id, Response(200, *body), nullptr));
  }

  Status WriteError(const std::string& custom_id, int64_t line, const Error& error) {
    ++counts_.answered;
    ++counts_.failed;
    OrderedJson object = ErrorJson(error);
    const std::string body = DumpJson({{"error", object}});
    object["line"] = line;
    return results_.Write(ResultLine(custom_id, Response(HttpStatus(error.code), body), object));
  }

  // Refuses a line without a usable custom_id. Its result names the number of the line instead.
  Status RefuseLine(const Error& error) {
    if (results_.refused_lines().contains(requests_.number())) {
      ++counts_.before;
      return {};
    }
    ++counts_.answered;
    ++counts_.failed;
    OrderedJson object = ErrorJson(error);
    object["line"] = requests_.number();
    return results_.Write(ResultLine(nullptr, "null", object));
  }

  LineReader requests_;
  BatchResults& results_;
  Engine& engine_;
  const ServedModel& model_;
  const BatchOptions& options_;
  EventQueue events_;
  std::map<size_t, Job> jobs_;  // by the tag of the first prompt
  size_t next_tag_ = 0;
  int64_t sequences_ = 0;  // sum of the shares of jobs_
  bool more_ = true;       // the requests file has unread lines
  BatchCounts counts_;
};

}  // namespace

Batch::Batch(Descriptor requests, std::string path, int64_t bytes, BatchResults results)
    : requests_(std::move(requests)),
      path_(std::move(path)),
      bytes_(bytes),
      results_(std::move(results)) {}

Result<Batch> Batch::Open(const std::string& requests, const std::string& results) {
  Descriptor file(open(requests.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat found = {};
  if (file.get() < 0 || fstat(file.get(), &found) != 0)
    return Err("{}: {}", requests, std::strerror(errno));
  if (S_ISDIR(found.st_mode)) return Err("{}: expected a file, found a directory", requests);
  TRY_ASSIGN(BatchResults opened, BatchResults::Open(results, file.get()));
  return Batch(std::move(file), requests, S_ISREG(found.st_mode) ? found.st_size : 0,
               std::move(opened));
}

Result<BatchCounts> Batch::Run(Engine& engine, const ServedModel& model,
                               const BatchOptions& options) {
  return BatchRun(LineReader(requests_.get(), path_, kMaxLineBytes), results_, engine, model,
                  options)
      .Run();
}

}  // namespace merope
