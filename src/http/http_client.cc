#include "http/http_client.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <optional>
#include <thread>

namespace merope {
namespace {

constexpr size_t kMaxBody = size_t{64} << 20;
constexpr size_t kMaxHeaders = 1000;

// What libcurl's callbacks share with Send.
struct Exchange {
  CURL* curl;
  const HttpRequest& request;
  HttpResponse response;
  std::optional<Error> error;  // of the sink
};

int StatusOf(CURL* curl) {
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  return static_cast<int>(status);
}

std::string_view Trimmed(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  const size_t first = text.find_first_not_of(kSpace);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kSpace) - first + 1);
}

size_t TakeHeader(const char* data, size_t size, size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  const std::string_view line(data, size * count);
  auto& headers = exchange.response.headers;
  if (line.starts_with("HTTP/")) headers.clear();  // the next answer, after a redirect
  const size_t colon = line.find(':');
  if (colon == std::string_view::npos || headers.size() >= kMaxHeaders) return line.size();
  std::string name(line.substr(0, colon));
  std::ranges::transform(name, name.begin(), [](unsigned char c) { return std::tolower(c); });
  headers.emplace_back(std::move(name), Trimmed(line.substr(colon + 1)));
  return line.size();
}

size_t TakeBody(const char* data, size_t size, size_t count, void* user) {
  auto& exchange = *static_cast<Exchange*>(user);
  const std::string_view bytes(data, size * count);
  HttpResponse& response = exchange.response;
  response.status = StatusOf(exchange.curl);
  if (response.ok() && exchange.request.sink) {
    const Status taken = exchange.request.sink(response, bytes);
    if (taken) return bytes.size();
    exchange.error = taken.error();
    return CURL_WRITEFUNC_ERROR;
  }
  if (response.body.size() + bytes.size() > kMaxBody) {
    exchange.error = Error{fmt::format("{}: expected an answer of up to 64 MiB, found more",
                                       PublicUrl(exchange.request.url))};
    return CURL_WRITEFUNC_ERROR;
  }
  response.body += bytes;
  return bytes.size();
}

// libcurl calls it about once a second, and ends the exchange if it returns another value than 0.
int LookForStop(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<const StopFlag*>(user)->raised() ? 1 : 0;
}

// Failures that a later try does not mend.
bool IsFinal(CURLcode code) {
  switch (code) {
    case CURLE_URL_MALFORMAT:
    case CURLE_UNSUPPORTED_PROTOCOL:
    case CURLE_TOO_MANY_REDIRECTS:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_OUT_OF_MEMORY:
      return true;
    default:
      return false;
  }
}

const char* FirstOf(std::initializer_list<const char*> names) {
  for (const char* name : names)
    if (const char* value = std::getenv(name); value != nullptr && *value != '\0') return value;
  return nullptr;
}

struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};

std::string Escaped(std::string_view text, bool keep_slash) {
  std::string escaped;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool plain =
        byte < 0x80 && (std::isalnum(byte) != 0 || std::string_view("-._~").contains(c));
    if (plain || (keep_slash && c == '/'))
      escaped += c;
    else
      escaped += fmt::format("%{:02X}", byte);
  }
  return escaped;
}

}  // namespace

bool HttpResponse::transient() const {
  return status == 0 || status == 408 || status == 429 || status >= 500;
}

std::string_view HttpResponse::Header(std::string_view name) const {
  const auto found = std::ranges::find(headers, name, &std::pair<std::string, std::string>::first);
  return found == headers.end() ? std::string_view() : std::string_view(found->second);
}

std::string HttpResponse::Describe() const {
  if (status == 0) return failure;
  constexpr std::array<std::pair<int, const char*>, 9> kNames = {{{401, "Unauthorized"},
                                                                  {403, "Forbidden"},
                                                                  {404, "Not Found"},
                                                                  {408, "Request Timeout"},
                                                                  {429, "Too Many Requests"},
                                                                  {500, "Internal Server Error"},
                                                                  {502, "Bad Gateway"},
                                                                  {503, "Service Unavailable"},
                                                                  {504, "Gateway Timeout"}}};
  const auto* name = std::ranges::find(kNames, status, &std::pair<int, const char*>::first);
  std::string text = fmt::format("HTTP status {}", status);
  if (name != kNames.end()) text += fmt::format(" {}", name->second);
  if (const std::string_view wait = Header("retry-after"); !wait.empty())
    text += fmt::format(", Retry-After: {}", wait);
  return text;
}

void HttpClient::Free::operator()(void* handle) const { curl_easy_cleanup(handle); }

HttpClient::HttpClient() {
  static const CURLcode once = curl_global_init(CURL_GLOBAL_DEFAULT);
  curl_.reset(once == CURLE_OK ? curl_easy_init() : nullptr);
  if (curl_ == nullptr) throw std::bad_alloc();
}

HttpClient::~HttpClient() = default;

Result<HttpResponse> HttpClient::Send(const HttpRequest& request) {
  CURL* curl = curl_.get();
  curl_easy_reset(curl);  // keeps the connections
  Exchange exchange{curl, request, {}, {}};
  std::array<char, CURL_ERROR_SIZE> message = {};
  std::unique_ptr<curl_slist, FreeList> headers;
  const auto add = [&headers](const std::string& header) {
    headers.reset(curl_slist_append(headers.release(), header.c_str()));
  };
  for (const std::string& header : request.headers) add(header);
  if (request.json) {
    add("Content-Type: application/json");
    add("Expect:");  // without it, libcurl waits for "100 Continue" before it sends a long body
    curl_easy_setopt(curl, CURLOPT_POSTFIELDSIZE_LARGE,
                     static_cast<curl_off_t>(request.json->size()));
    curl_easy_setopt(curl, CURLOPT_POSTFIELDS, request.json->data());
  }
  curl_easy_setopt(curl, CURLOPT_URL, request.url.c_str());
  curl_easy_setopt(curl, CURLOPT_HTTPHEADER, headers.get());
  curl_easy_setopt(curl, CURLOPT_USERAGENT, "merope/" MEROPE_VERSION);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, message.data());
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 1L);
  curl_easy_setopt(curl, CURLOPT_MAXREDIRS, 10L);
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  // An https hub never sends to plain http.
  curl_easy_setopt(curl, CURLOPT_REDIR_PROTOCOLS_STR,
                   request.url.starts_with("https:") ? "https" : "http,https");
  curl_easy_setopt(curl, CURLOPT_CONNECTTIMEOUT, 15L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_easy_setopt(curl, CURLOPT_LOW_SPEED_TIME, static_cast<long>(request.stall_seconds));
  curl_easy_setopt(curl, CURLOPT_BUFFERSIZE, 512L << 10);
  curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, TakeHeader);
  curl_easy_setopt(curl, CURLOPT_HEADERDATA, &exchange);
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, TakeBody);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &exchange);
  if (request.stop.armed()) {
    curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
    curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, LookForStop);
    curl_easy_setopt(curl, CURLOPT_XFERINFODATA, &request.stop);
  }
  if (const char* file = FirstOf({"CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"}))
    curl_easy_setopt(curl, CURLOPT_CAINFO, file);

  TRY(request.stop.Check());
  const CURLcode code = curl_easy_perform(curl);
  TRY(request.stop.Check());
  if (exchange.error) return std::unexpected(std::move(*exchange.error));
  HttpResponse& response = exchange.response;
  if (code == CURLE_OK) {
    response.status = StatusOf(curl);
    return std::move(response);
  }
  // libcurl's own text may quote the URL of a redirect, so it is used only without one.
  const std::string detail = code == CURLE_COULDNT_CONNECT || code == CURLE_COULDNT_RESOLVE_HOST
                                 ? std::string(message.data())
                                 : std::string(curl_easy_strerror(code));
  if (IsFinal(code)) return Err("{}: {}", PublicUrl(request.url), detail);
  response.status = 0;
  response.failure = detail;
  return std::move(response);
}

bool Backoff::Wait(const HttpResponse& response, const std::function<void(const std::string&)>& say,
                   const StopFlag& stop) {
  constexpr double kFirst = 0.5, kMost = 300, kLook = 0.25;
  if (tries_ >= kTries) return false;
  double seconds = kFirst * (1 << (tries_ - 1));
  int asked = 0;
  const std::string_view text = response.Header("retry-after");
  if (std::from_chars(text.data(), text.data() + text.size(), asked).ec == std::errc() && asked > 0)
    seconds = std::max(seconds, static_cast<double>(asked));
  if (seconds > kMost) return false;
  ++tries_;
  if (seconds > 2 && say)
    say(fmt::format("{}; the next try is in {:.0f} s", response.Describe(), seconds));
  for (; seconds > 0 && !stop.raised(); seconds -= kLook)
    std::this_thread::sleep_for(std::chrono::duration<double>(std::min(seconds, kLook)));
  return !stop.raised();
}

Result<HttpResponse> SendPatiently(HttpClient& client, const HttpRequest& request,
                                   const std::function<void(const std::string&)>& say) {
  Backoff backoff;
  while (true) {
    TRY_ASSIGN(HttpResponse response, client.Send(request));
    if (!response.transient() || !backoff.Wait(response, say, request.stop)) return response;
  }
}

std::string PublicUrl(std::string_view url) {
  url = url.substr(0, url.find_first_of("?#"));
  const size_t host = url.find("://");
  if (host == std::string_view::npos) return std::string(url);
  const std::string_view rest = url.substr(host + 3);
  const size_t user = rest.substr(0, rest.find('/')).rfind('@');
  return fmt::format("{}://{}", url.substr(0, host),
                     user == std::string_view::npos ? rest : rest.substr(user + 1));
}

std::string EscapePath(std::string_view path) { return Escaped(path, true); }
std::string EscapeComponent(std::string_view text) { return Escaped(text, false); }

}  // namespace merope
