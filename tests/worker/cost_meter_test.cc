#include "worker/cost_meter.h"

#include <gtest/gtest.h>

namespace midwatch {
namespace {

Event Parse(const std::string& json) {
  absl::StatusOr<Event> event = ParseEvent(json);
  EXPECT_TRUE(event.ok()) << event.status();
  return event.ok() ? *std::move(event) : Event();
}

// 1,000 tokens in, so many out.
Event RequestEnd(int output) {
  return Parse(R"({"type":"span.model_request_end","id":"e","model_usage":)"
               R"({"input_tokens":1000,"cache_read_input_tokens":0,)"
               R"("cache_creation_input_tokens":0,"output_tokens":)" +
               std::to_string(output) + "}}");
}

Event Named(int cents) {
  return Parse(R"({"type":"session.usage","id":"u","usage":{"list_cost":)"
               R"({"amount":")" +
               std::to_string(cents) + R"(","currency":"USD"}}})");
}

TEST(CostMeterTest, WhatTheServiceNamesAndTheRequestsSince) {
  CostMeter meter(BuiltInPrices());
  meter.SetModel("claude-haiku-4-5");
  EXPECT_EQ(meter.estimate(), 0);
  meter.Note(RequestEnd(1000));  // $1 and $5 a million
  EXPECT_EQ(meter.estimate(), 6000);
  meter.Note(RequestEnd(0));
  EXPECT_EQ(meter.estimate(), 7000);
  meter.Note(Named(2));
  EXPECT_EQ(meter.estimate(), 20'000);
  meter.Note(RequestEnd(0));
  EXPECT_EQ(meter.estimate(), 21'000);
  EXPECT_EQ(meter.dearest_request(), 6000);
  meter.Reset();
  EXPECT_EQ(meter.estimate(), 0);
  EXPECT_EQ(meter.dearest_request(), 0);
}

TEST(CostMeterTest, SaysNothingOfAModelWithoutAPrice) {
  CostMeter meter(BuiltInPrices());
  meter.SetModel("somebody-elses");
  meter.Note(RequestEnd(1));
  EXPECT_EQ(meter.estimate(), std::nullopt);
  meter.Note(Named(3));
  EXPECT_EQ(meter.estimate(), 30'000);
}

TEST(CostMeterTest, OddCountsAreNone) {
  CostMeter meter(BuiltInPrices());
  meter.SetModel("claude-haiku-4-5");
  for (const char* usage :
       {"null", "[]", "{}", R"({"input_tokens":-5})", R"({"input_tokens":"7"})",
        R"({"output_tokens":9000000000000000000})"}) {
    meter.Note(Parse(std::string(R"({"type":"span.model_request_end",)") +
                     R"("model_usage":)" + usage + "}"));
  }
  EXPECT_EQ(meter.estimate(), 0);
}

}  // namespace
}  // namespace midwatch
