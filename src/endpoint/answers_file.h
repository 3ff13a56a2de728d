// The answers of an endpoint, kept in a file of JSON lines. A run that was interrupted goes on
// where it was, and a finished run can be judged again without the server. Any thread may use it.
//
// A line: {"path", "request", "status", "body"}. `request` is the JSON that was sent, as text;
// empty for a GET. The file holds no header, so it holds no key.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <utility>

#include "base/error.h"
#include "http/http_client.h"

namespace merope {

class AnswersFile {
 public:
  // Reads the answers in the file, and appends new answers to it. A last line that was cut off is
  // dropped. Errors: the file cannot be read or written, or is not a file of answers.
  static Result<std::unique_ptr<AnswersFile>> Open(const std::string& path);
  ~AnswersFile();
  AnswersFile(const AnswersFile&) = delete;
  AnswersFile& operator=(const AnswersFile&) = delete;

  const std::string& path() const { return name_; }
  std::optional<HttpResponse> Find(const std::string& path, const std::string& request) const;
  Status Add(const std::string& path, const std::string& request, const HttpResponse& response);

 private:
  AnswersFile(std::string name, int file) : name_(std::move(name)), file_(file) {}

  using Question = std::pair<std::string, std::string>;  // path, request
  struct Kept {
    int status = 0;
    std::string body;
  };
  std::string name_;
  int file_;
  mutable std::mutex mutex_;
  std::map<Question, Kept> answers_;
};

}  // namespace merope
