// A client of a server with OpenAI's API of completions: vLLM, vLLM-Ascend, llama.cpp's server and
// others. `verify --endpoint` and `bench --endpoint` use it. One thread at a time uses an Endpoint;
// threads that ask at the same time use copies (Endpoint::Again).
//
// Formats: vLLM's and llama.cpp's documentation of /v1/completions. Both give logprobs of the most
// probable tokens, in different shapes; ParseAnswer reads both.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "endpoint/options.h"
#include "http/http_client.h"

namespace merope {

// What the server says of itself.
struct ServerFacts {
  std::string url;         // without credentials
  std::string model;       // the name that requests give
  std::string software{};  // "vLLM 0.18.0", "llama.cpp b1234", or "owned_by …"; empty: unknown
  std::optional<int64_t> context{};  // in tokens
};

// One request to /v1/completions. Either ids or text is the prompt.
struct CompletionQuery {
  std::vector<int32_t> ids = {};
  std::optional<std::string> text = {};
  int64_t max_tokens = 1;
  double temperature = 0;
  std::optional<double> top_p = {};
  std::optional<int64_t> seed = {};
  // Turns off what a server may apply to samples by default: top_k, min_p and penalties.
  bool plain_samples = false;
  std::optional<int64_t> logprobs = {};         // the number of most probable tokens
  std::optional<int64_t> prompt_logprobs = {};  // the same, at each position of the prompt
  bool ignore_eos = true;
  std::vector<std::string> stop = {};
  std::vector<std::pair<int32_t, double>> logit_bias = {};
  // Distinguishes questions that are asked again on purpose; sent as "user".
  int repeat = 0;
  // Not empty: the server must compute the whole prompt, although its cache may have the beginning.
  // vLLM caches by this salt (cache_salt); llama.cpp is told not to use its cache (cache_prompt).
  std::string salt = {};
};

// The most probable tokens of one position, in descending order of probability.
struct TopTokens {
  std::vector<int32_t> ids;
  std::vector<float> logprobs;
};

struct CompletionAnswer {
  std::string text{}, finish_reason{};
  // The generated tokens; nullopt if the answer does not name them by id.
  std::optional<std::vector<int32_t>> tokens{};
  std::vector<float> logprobs{};  // of the generated tokens; empty if the answer has none
  std::vector<TopTokens> top{};   // one for each generated token, or empty
  // The row after each of the prompt's tokens but the last, and the logprob of the token that
  // follows there. Empty if the answer has none.
  std::vector<TopTokens> prompt_top{};
  std::vector<float> prompt_logprobs{};
  std::optional<std::vector<int32_t>> prompt_tokens{};   // the prompt as the server's tokens
  std::optional<int64_t> n_prompt_tokens{}, n_tokens{};  // as the server counts
};

// The times of a streamed answer. Unit: seconds since the request was sent.
struct StreamTimes {
  std::vector<double>
      arrivals{};               // of each chunk of text; the first is the time to the first token
  double end = 0;               // of the whole answer
  int64_t n_tokens = 0;         // as the server counts them, or else the number of chunks
  int64_t n_prompt_tokens = 0;  // as the server counts them, or else those that were sent
  std::string failure{};        // not empty: the exchange failed, and the rest has no meaning
};

// The JSON body of a request. model: the name of the model.
std::string RequestBody(const CompletionQuery& query, const std::string& model,
                        bool stream = false);
// Reads the body of the answer to `query`. where: the place, for errors. An answer that lacks a
// field which merope can do without is no error. An answer about other ids than those of the query
// is an error.
Result<CompletionAnswer> ParseAnswer(std::string_view body, const CompletionQuery& query,
                                     const std::string& where);

class Endpoint {
 public:
  // Asks for the list of models and the version. Errors: an option that is out of its range, no
  // key, no server, no such model.
  static Result<Endpoint> Open(EndpointOptions options);
  // Another client of the same server, with connections of its own.
  Endpoint Again() const { return Endpoint(options_, key_, facts_, spent_); }

  const ServerFacts& facts() const { return facts_; }
  const AnswersFile* answers() const { return options_.answers.get(); }  // nullptr: none are kept

  // Sends the query. An exchange that breaks off, or a status that may pass, is tried again; an
  // answer is never replaced by another one. Other statuses are errors with the server's message.
  Result<CompletionAnswer> Complete(const CompletionQuery& query);
  // Sends the query once and takes the times of its streamed answer. A failed exchange is no error.
  StreamTimes Stream(const CompletionQuery& query);
  // The ids of a text by the server's own tokenizer (POST /tokenize); nullopt if the server has no
  // such path.
  Result<std::optional<std::vector<int32_t>>> Tokenize(const std::string& text);

  // The prompt that the server makes of a user's message (POST /v1/chat/completions, one token).
  struct ChatPrompt {
    std::optional<std::vector<int32_t>> ids{};  // if the answer names them (vLLM)
    std::optional<int64_t> n_tokens{};
  };
  // nullopt: the server refuses, or has no such path.
  Result<std::optional<ChatPrompt>> AskChat(const std::string& message);

  // What all clients of this server have sent. Answers from the file are not counted.
  struct Spent {
    std::atomic<int64_t> requests = 0, tokens = 0, repeated_tries = 0;
  };
  const Spent& spent() const { return *spent_; }

 private:
  Endpoint(EndpointOptions options, std::string key, ServerFacts facts,
           std::shared_ptr<Spent> spent)
      : options_(std::move(options)),
        key_(std::move(key)),
        facts_(std::move(facts)),
        spent_(std::move(spent)) {}
  HttpRequest RequestTo(const std::string& path, const std::string& json) const;
  // json: empty for a GET. tokens: what the request may cost.
  Result<HttpResponse> Ask(const std::string& path, const std::string& json, int64_t tokens);

  EndpointOptions options_;
  std::string key_;
  ServerFacts facts_;
  std::shared_ptr<Spent> spent_;
  std::unique_ptr<HttpClient> client_ = std::make_unique<HttpClient>();
};

}  // namespace merope
