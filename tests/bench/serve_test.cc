#include "bench/serve.h"

#include <gtest/gtest.h>

#include "bench/endpoint_latency.h"
#include "tests/support/expect.h"

namespace merope {
namespace {

TEST(ServeBench, ValidateNamesTheOption) {
  EXPECT_TRUE(Validate(ServeBenchOptions()));
  const struct {
    const char* field;
    void (*change)(ServeBenchOptions*);
  } cases[] = {
      {"num-prompts", [](ServeBenchOptions* o) { o->num_prompts = 0; }},
      {"num-prompts", [](ServeBenchOptions* o) { o->num_prompts = kMaxServePrompts + 1; }},
      {"input-len", [](ServeBenchOptions* o) { o->input_length = 0; }},
      {"output-len", [](ServeBenchOptions* o) { o->output_length = -1; }},
      {"request-rate", [](ServeBenchOptions* o) { o->request_rate = 0; }},
      {"request-rate",
       [](ServeBenchOptions* o) { o->request_rate = std::numeric_limits<double>::quiet_NaN(); }},
      {"burstiness", [](ServeBenchOptions* o) { o->burstiness = 0; }},
      {"max-concurrency", [](ServeBenchOptions* o) { o->max_concurrency = kMaxServeThreads + 1; }},
      {"max-concurrency", [](ServeBenchOptions* o) { o->num_prompts = kMaxServeThreads + 1; }},
      {"num-warmups", [](ServeBenchOptions* o) { o->num_warmups = -1; }},
      {"temperature", [](ServeBenchOptions* o) { o->temperature = 2.5; }}};
  for (const auto& [field, change] : cases) {
    ServeBenchOptions options;
    change(&options);
    const Status status = Validate(options);
    ASSERT_FALSE(status) << field;
    EXPECT_EQ(status.error().field, field) << status.error().message;
  }
}

TEST(ServeBench, RatesAndLimits) {
  EXPECT_EQ(ParseRate("inf"), std::numeric_limits<double>::infinity());
  EXPECT_EQ(ParseRate("2.5"), 2.5);
  for (const char* text : {"", "0", "-1", "nan", "1x", "infinity"}) EXPECT_FALSE(ParseRate(text));
  Goodput goodput;
  EXPECT_TRUE(ParseGoodput("ttft:200", &goodput));
  EXPECT_TRUE(ParseGoodput("e2el:4000.5", &goodput));
  EXPECT_EQ(goodput.ttft, 0.2);
  EXPECT_EQ(goodput.e2el, 4.0005);
  EXPECT_FALSE(goodput.tpot);
  for (const char* text : {"", "ttft", "ttft:", "ttft:0", "ttft:-1", "ttft:x", "itl:5", ":5"})
    EXPECT_FALSE(ParseGoodput(text, &goodput)) << text;
}

TEST(EndpointLatency, ValidateNamesTheOption) {
  EXPECT_TRUE(Validate(EndpointLatencyOptions()));
  EXPECT_EQ(Validate(EndpointLatencyOptions{.input_lengths = {4, 0}}).error().field, "input-len");
  EXPECT_EQ(Validate(EndpointLatencyOptions{.output_lengths = {}}).error().field, "output-len");
  EXPECT_EQ(Validate(EndpointLatencyOptions{.warmup = -1}).error().field, "warmup");
  EXPECT_EQ(Validate(EndpointLatencyOptions{.repeats = 0}).error().field, "repeats");
}

}  // namespace
}  // namespace merope
