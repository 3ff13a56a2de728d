// An HTTP client on libcurl. It follows redirects, verifies certificates, and uses the proxy that
// the environment names (http_proxy, https_proxy, no_proxy). The hub's downloads use it. A client
// keeps its connections open between requests. One thread at a time uses a client.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/stop.h"

namespace merope {

struct HttpResponse {
  // The status of the last answer, after redirects. 0: the exchange broke off; `failure` says why,
  // and a later try may succeed.
  int status = 0;
  std::string failure = {};
  std::vector<std::pair<std::string, std::string>> headers = {};  // names in lower case
  std::string body = {};  // empty if the request has a sink and the status is 2xx

  bool ok() const { return status >= 200 && status < 300; }
  // Whether the same request may succeed later: no answer, 408, 429 or 5xx.
  bool transient() const;
  // Empty if there is no such header. name: in lower case.
  std::string_view Header(std::string_view name) const;
  // "HTTP status 429 Too Many Requests, Retry-After: 9", or the failure.
  std::string Describe() const;
};

struct HttpRequest {
  std::string url;
  // A body makes the request a POST of JSON; without a body it is a GET.
  std::optional<std::string> json = {};
  // "Name: value". At a redirect to another host, libcurl drops Authorization and Cookie.
  std::vector<std::string> headers = {};
  // Takes the bytes of the body of a 2xx answer. `head` has the status and the headers. An error
  // ends the exchange.
  std::function<Status(const HttpResponse& head, std::string_view bytes)> sink = {};
  // The exchange breaks off if no byte arrives for this time. Unit: seconds.
  int stall_seconds = 30;
  StopFlag stop = {};  // ends the exchange, and the wait before its next try, within a second
};

class HttpClient {
 public:
  HttpClient();
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // Errors are those that no later try mends: an unusable URL, too many redirects, a certificate
  // that is not trusted, a body beyond 64 MiB without a sink, the sink's error, or a raised stop.
  Result<HttpResponse> Send(const HttpRequest& request);

 private:
  struct Free {
    void operator()(void* handle) const;
  };
  std::unique_ptr<void, Free> curl_;
};

// The waits between the tries of one request: 0.5, 1, 2, 4 s, or what the server asks for in
// Retry-After, up to five minutes.
class Backoff {
 public:
  static constexpr int kTries = 5;
  // Waits before the next try. Returns false if all tries are spent, if Retry-After is longer, or
  // once stop is raised. say: told of waits over two seconds.
  bool Wait(const HttpResponse& response, const std::function<void(const std::string&)>& say,
            const StopFlag& stop = {});
  void Reset() { tries_ = 1; }  // the last try has made progress
  int tries() const { return tries_; }

 private:
  int tries_ = 1;
};

// Send, with a Backoff.
Result<HttpResponse> SendPatiently(HttpClient& client, const HttpRequest& request,
                                   const std::function<void(const std::string&)>& say);

// The URL without its user, password and query, which may hold credentials. Messages use it.
std::string PublicUrl(std::string_view url);
// Percent-encodes all but unreserved characters (RFC 3986, section 2.3) and '/'.
std::string EscapePath(std::string_view path);
// The same, and '/' too.
std::string EscapeComponent(std::string_view text);

}  // namespace merope
