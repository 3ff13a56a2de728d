#include "endpoint/answers_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string_view>

#include "base/json.h"
#include "base/mapped_file.h"

namespace merope {
namespace {

struct Line {
  std::string path, request, body;
  int status = 0;
};

Result<Line> ParseLine(std::string_view text, const std::string& where) {
  TRY_ASSIGN(const Json json, ParseJson(text, where));
  if (!json.is_object()) return Err("{}: expected an object, found {}", where, Describe(json));
  const JsonFields fields(json, where);
  Line line;
  const auto take = [&](const char* name, std::string* to) -> Status {
    TRY_ASSIGN(auto value, fields.String(name));
    if (!value) return Err("{}: {}: expected a text, found nothing", where, name);
    *to = std::move(*value);
    return {};
  };
  TRY(take("path", &line.path));
  TRY(take("request", &line.request));
  TRY(take("body", &line.body));
  TRY_ASSIGN(const auto status, fields.Integer("status", 100, 599));
  if (!status) return Err("{}: status: expected a number, found nothing", where);
  line.status = static_cast<int>(*status);
  return line;
}

}  // namespace

Result<std::unique_ptr<AnswersFile>> AnswersFile::Open(const std::string& path) {
  const int file = open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  if (file < 0) return Err("{}: {}", path, std::strerror(errno));
  std::unique_ptr<AnswersFile> answers(new AnswersFile(path, file));
  TRY_ASSIGN(const std::string text, ReadFile(path));
  size_t begin = 0;
  for (int64_t number = 1; begin < text.size(); ++number) {
    const size_t end = text.find('\n', begin);
    if (end == std::string::npos) {
      // A line of answers that was cut off goes; another file stays as it is.
      constexpr std::string_view kStart = "{\"path\":";
      const std::string_view rest = std::string_view(text).substr(begin, kStart.size());
      if (!kStart.starts_with(rest))
        return Err("{}: line {}: expected an answer of an endpoint, found another text", path,
                   number);
      if (ftruncate(file, static_cast<off_t>(begin)) != 0)
        return Err("{}: {}", path, std::strerror(errno));
      break;
    }
    TRY_ASSIGN(Line line, ParseLine(std::string_view(text).substr(begin, end - begin),
                                    fmt::format("{}: line {}", path, number)));
    answers->answers_[{std::move(line.path), std::move(line.request)}] = {line.status,
                                                                          std::move(line.body)};
    begin = end + 1;
  }
  return answers;
}

AnswersFile::~AnswersFile() { close(file_); }

std::optional<HttpResponse> AnswersFile::Find(const std::string& path,
                                              const std::string& request) const {
  const std::scoped_lock lock(mutex_);
  const auto found = answers_.find({path, request});
  if (found == answers_.end()) return std::nullopt;
  return HttpResponse{.status = found->second.status, .body = found->second.body};
}

Status AnswersFile::Add(const std::string& path, const std::string& request,
                        const HttpResponse& response) {
  const std::string line = DumpJson({{"path", path},
                                     {"request", request},
                                     {"status", response.status},
                                     {"body", response.body}}) +
                           "\n";
  const std::scoped_lock lock(mutex_);
  for (size_t done = 0; done < line.size();) {
    const ssize_t n = write(file_, line.data() + done, line.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) return Err("{}: {}", name_, std::strerror(errno));
    done += static_cast<size_t>(n);
  }
  answers_[{path, request}] = {response.status, response.body};
  return {};
}

}  // namespace merope
