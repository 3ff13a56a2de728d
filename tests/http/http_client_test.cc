#include "http/http_client.h"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>

namespace merope {
namespace {

TEST(HttpClient, PublicUrlsHoldNoCredentials) {
  EXPECT_EQ(PublicUrl("https://user:secret@hub.example/a/b?token=secret#x"),
            "https://hub.example/a/b");
  EXPECT_EQ(PublicUrl("http://hub.example/a@b"), "http://hub.example/a@b");
  EXPECT_EQ(PublicUrl("http://user@hub.example"), "http://hub.example");
  EXPECT_EQ(PublicUrl("hub.example?x"), "hub.example");
}

TEST(HttpClient, EscapesWhatIsReserved) {
  EXPECT_EQ(EscapePath("a b/ü+?.txt"), "a%20b/%C3%BC%2B%3F.txt");
  EXPECT_EQ(EscapeComponent("refs/pr/1"), "refs%2Fpr%2F1");
  EXPECT_EQ(EscapeComponent("Az09-._~"), "Az09-._~");
}

TEST(HttpClient, AnUnusableUrlIsAnError) {
  HttpClient client;
  for (const char* url : {"", "file:///etc/passwd", "gopher://x/", "http://"}) {
    const auto response = client.Send({.url = url});
    EXPECT_FALSE(response) << url;
  }
}

// Port 9 of this machine: nobody listens there.
TEST(HttpClient, NobodyAnswers) {
  HttpClient client;
  const auto response = client.Send({.url = "http://127.0.0.1:9/"});
  ASSERT_TRUE(response);
  EXPECT_EQ(response->status, 0);
  EXPECT_TRUE(response->transient());
  EXPECT_FALSE(response->Describe().empty());
}

TEST(HttpResponse, WhatMayPass) {
  for (const int status : {0, 408, 429, 500, 503, 599})
    EXPECT_TRUE((HttpResponse{.status = status}).transient()) << status;
  for (const int status : {200, 206, 301, 400, 401, 404, 418})
    EXPECT_FALSE((HttpResponse{.status = status}).transient()) << status;
}

TEST(Backoff, EndsAfterItsTriesAndBeforeALongWait) {
  Backoff backoff;
  std::vector<std::string> told;
  const auto say = [&told](const std::string& line) { told.push_back(line); };
  const HttpResponse long_wait{.status = 429, .headers = {{"retry-after", "301"}}};
  EXPECT_FALSE(backoff.Wait(long_wait, say));
  EXPECT_TRUE(told.empty());
  EXPECT_EQ(backoff.tries(), 1);
  Backoff two;
  EXPECT_TRUE(two.Wait({.status = 503}, say));
  EXPECT_EQ(two.tries(), 2);
  two.Reset();
  EXPECT_EQ(two.tries(), 1);
}

TEST(Stop, EndsWaitsAndExchanges) {
  const StopFlag stop = StopFlag::Make();
  EXPECT_TRUE(stop.Check());
  std::thread raiser([&stop] {
    std::this_thread::sleep_for(std::chrono::milliseconds(300));
    stop.Raise();
  });
  Backoff backoff;
  const HttpResponse long_wait{.status = 429, .headers = {{"retry-after", "60"}}};
  EXPECT_FALSE(backoff.Wait(long_wait, {}, stop));  // after 0.5 s, not after 60 s
  raiser.join();
  EXPECT_FALSE(stop.Check());
  HttpClient client;
  const auto response = client.Send({.url = "http://127.0.0.1:9/", .stop = stop});
  ASSERT_FALSE(response);
  EXPECT_EQ(response.error().message, stop.Check().error().message);
  EXPECT_FALSE(StopFlag().raised());
  StopFlag().Raise();  // nobody has it: no effect
  EXPECT_TRUE(client.Send({.url = "http://127.0.0.1:9/"}));
}

}  // namespace
}  // namespace merope
