#include "worker/transcript.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/testing/fake_executor.h"

namespace midwatch {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

Event Make(const std::string& json) { return ParseEvent(json).value(); }

std::string Json(const std::string& type, const std::string& rest = "",
                 bool processed = true) {
  return R"({"type":")" + type + R"(","id":"i",)" +
         (processed ? R"("processed_at":"2026-11-23T10:00:00Z")"
                    : R"("processed_at":null)") +
         rest + "}";
}

class FoldTest : public ::testing::Test {
 protected:
  void Add(const std::string& json) { Fold(Make(json), state_); }
  TranscriptState state_;
};

TEST_F(FoldTest, ChargedOnceProcessedOrOnceAModelWasAsked) {
  Add(Json("session.status_idle"));
  Add(Json("user.message", "", false));
  EXPECT_FALSE(state_.charged());
  EXPECT_EQ(state_.messages_seen(), 1);
  Add(Json("user.message"));
  EXPECT_TRUE(state_.charged());
  EXPECT_EQ(state_.messages_seen(), 1);
  TranscriptState other;
  Fold(Make(Json("span.model_request_end")), other);
  EXPECT_TRUE(other.charged());
}

TEST_F(FoldTest, OpenToolsCloseWithTheirResultOrTheTurn) {
  Add(R"({"type":"agent.tool_use","id":"a"})");
  Add(R"({"type":"agent.mcp_tool_use","id":"b"})");
  Add(R"({"type":"agent.custom_tool_use","id":"c"})");
  EXPECT_THAT(state_.open_tools, ElementsAre("a", "b", "c"));
  Add(R"({"type":"agent.tool_result","tool_use_id":"a"})");
  Add(R"({"type":"user.custom_tool_result","custom_tool_use_id":"c"})");
  EXPECT_THAT(state_.open_tools, ElementsAre("b"));
  Add(Json("session.status_idle"));
  EXPECT_THAT(state_.open_tools, IsEmpty());
}

TEST_F(FoldTest, ACallRepeatsWhereItsInputAndItsResultAreTheSame) {
  int id = 0;
  auto call = [&](const std::string& input, const std::string& result) {
    ++id;
    Add(absl::StrCat(R"({"type":"agent.tool_use","name":"bash","id":")", id,
                     R"(","input":{"command":")", input, R"("}})"));
    Add(absl::StrCat(R"({"type":"agent.tool_result","tool_use_id":")", id,
                     R"(","content":[{"type":"text","text":")", result,
                     R"("}]})"));
    return state_.repeats.times;
  };
  EXPECT_EQ(call("date", "Monday"), 1);
  EXPECT_EQ(call("date", "Monday"), 2);
  EXPECT_EQ(state_.repeats.tool, "bash");
  EXPECT_EQ(call("date", "Tuesday"), 1) << "it waits for something";
  EXPECT_EQ(call("date", "Tuesday"), 2);
  EXPECT_EQ(call("ls", "Tuesday"), 1);
}

// A tool of ours counts as any other, and what it hands out is no repetition.
TEST_F(FoldTest, CallsOfCustomToolsCountToo) {
  int id = 0;
  auto call = [&](const std::string& type, const std::string& result) {
    ++id;
    Add(absl::StrCat(R"({"type":"agent.)", type, R"(","name":"next","id":")",
                     id, R"(","input":{}})"));
    const bool custom = type == "custom_tool_use";
    Add(absl::StrCat(
        custom ? R"({"type":"user.custom_tool_result","custom_tool_use_id":")"
               : R"({"type":"agent.tool_result","tool_use_id":")",
        id, R"(","content":[{"type":"text","text":")", result, R"("}]})"));
    return state_.repeats.times;
  };
  EXPECT_EQ(call("custom_tool_use", "none left"), 1);
  EXPECT_EQ(call("custom_tool_use", "none left"), 2);
  EXPECT_EQ(call("custom_tool_use", "job 1"), 1);
  EXPECT_EQ(call("tool_use", "ok"), 1);
  EXPECT_EQ(call("custom_tool_use", "job 2"), 1);
  EXPECT_EQ(call("tool_use", "ok"), 1);
  EXPECT_THAT(state_.calls, IsEmpty());
}

TEST_F(FoldTest, InterruptBelongsToTheTurnThatItEnds) {
  Add(Json("user.message"));
  Add(Json("user.interrupt", "", false));  // queued: not yet
  Add(Json("session.status_idle", R"(,"stop_reason":{"type":"end_turn"})"));
  EXPECT_FALSE(state_.idle->interrupted);
  Add(Json("user.interrupt"));  // of a session at rest
  EXPECT_FALSE(state_.idle->interrupted);
  Add(R"({"type":"user.message","id":"2","processed_at":"2026-11-23T10:00:00Z"})");
  Add(Json("user.interrupt"));
  Add(Json("session.status_idle", R"(,"stop_reason":{"type":"end_turn"})"));
  EXPECT_TRUE(state_.idle->interrupted);
}

TEST_F(FoldTest, LastCostAndLastMessageCount) {
  Add(R"({"type":"session.usage","usage":{"list_cost":{"amount":"3","currency":"USD"}}})");
  Add(R"({"type":"session.usage","usage":{"list_cost":null}})");
  EXPECT_EQ(state_.list_cost_usd_micros, std::nullopt) << "three cents, then";
  Add(R"({"type":"session.usage","usage":{"list_cost":{"amount":"5","currency":"USD"}}})");
  EXPECT_EQ(state_.list_cost_usd_micros, 50'000);
  Add(R"({"type":"session.status_running"})");
  EXPECT_EQ(state_.list_cost_usd_micros, std::nullopt) << "and it goes on";
  Add(R"({"type":"agent.message","content":[{"type":"text","text":"one"}]})");
  Add(R"({"type":"agent.message","content":[{"type":"text","text":"two"}]})");
  Add(R"({"type":"agent.message","content":[]})");
  EXPECT_EQ(state_.last_message, "two");
}

class TranscriptTest : public ::testing::Test {
 protected:
  void Add(size_t bytes = 100) {
    std::string json =
        Json("agent.thinking", R"(,"pad":")" + std::string(bytes, 'x') + "\"");
    transcript_.Add(Make(json));
  }
  testing::VirtualTime time_;
  testing::FakeClock clock_{time_};
  Transcript transcript_{clock_, BuiltInPrices(), 10};
};

TEST_F(TranscriptTest, BatchIsDueAfterASecond) {
  EXPECT_EQ(transcript_.DueIn(), absl::InfiniteDuration());
  Add();
  EXPECT_EQ(transcript_.DueIn(), absl::Seconds(1));
  time_.Advance(absl::Milliseconds(700));
  Add();
  EXPECT_EQ(transcript_.DueIn(), absl::Milliseconds(300));
  time_.Advance(absl::Seconds(2));
  EXPECT_EQ(transcript_.DueIn(), absl::ZeroDuration());
  EXPECT_EQ(transcript_.NextBatch().size(), 2u);
}

TEST_F(TranscriptTest, BatchIsDueWhenItIsFull) {
  for (int i = 0; i < 300; ++i) Add();
  EXPECT_EQ(transcript_.DueIn(), absl::ZeroDuration());
  EXPECT_EQ(transcript_.NextBatch().size(), 256u);
  EXPECT_EQ(transcript_.MarkStored(266), 256u);
  EXPECT_EQ(transcript_.NextBatch().size(), 44u);
  EXPECT_GT(transcript_.DueIn(), absl::ZeroDuration());
}

TEST_F(TranscriptTest, BatchIsDueWhenItIsLarge) {
  for (int i = 0; i < 4; ++i) Add(100'000);
  EXPECT_EQ(transcript_.DueIn(), absl::ZeroDuration());
  EXPECT_EQ(transcript_.NextBatch().size(), 3u);  // past 256 KiB with the third
}

TEST_F(TranscriptTest, AnswerThatCountsLessLeavesTheRest) {
  Add();
  Add();
  EXPECT_EQ(transcript_.MarkStored(10), 0u);
  EXPECT_EQ(transcript_.MarkStored(11), 1u);
  EXPECT_EQ(transcript_.stored(), 11);
  EXPECT_EQ(transcript_.waiting(), 1u);
}

}  // namespace
}  // namespace midwatch
