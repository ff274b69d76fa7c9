#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/world.h"

namespace midwatch::testing {
namespace {

using ::testing::Each;
using ::testing::Eq;

constexpr int kLong = 40;
constexpr int kShort = 40;

// Many sessions whose worker has died: the first ones go on for half an hour,
// the others end sooner.
class AttachStoryTest : public ::testing::Test {
 protected:
  void Begin(absl::Duration short_turn) {
    world_.service.hooks.script = [short_turn](const FakePrompt& prompt) {
      FakeTurn turn;
      turn.duration = prompt.text == "long" ? absl::Minutes(30) : short_turn;
      return turn;
    };
    Node& first = world_.AddNode(100);
    for (int i = 0; i < kLong + kShort; ++i) {
      v1::TaskSpec spec = World::Spec();
      spec.set_prompt(i < kLong ? "long" : "short");
      ids_.push_back(world_.scheduler.Add(std::move(spec)));
    }
    ASSERT_TRUE(world_.RunUntil([&] {
      return CountIds([&](const FakeTask& task) {
               return task.lease.phase() == v1::ATTEMPT_PHASE_RUNNING;
             }) == kLong + kShort;
    }));
    first.Crash();
    world_.service.CutStreams();
  }

  void Adopt() {
    streams_ = world_.service.Calls("stream_events");
    histories_ = world_.service.Calls("list_events");
    world_.AddNode(100);
    world_.scheduler.Lapse(world_.scheduler.worker_id(0));
  }

  int CountIds(absl::FunctionRef<bool(const FakeTask&)> that) {
    int count = 0;
    for (const std::string& id : ids_) count += that(world_.Task(id));
    return count;
  }
  int Settled() {
    return CountIds([](const FakeTask& task) { return task.settled; });
  }
  int StreamsOpened() const {
    return world_.service.Calls("stream_events") - streams_;
  }
  int HistoriesRead() const {
    return world_.service.Calls("list_events") - histories_;
  }
  std::vector<int> StreamsOfTheLong() const {
    std::vector<int> streams;
    for (const FakeSessionView& session : world_.service.Sessions()) {
      if (session.user_messages.at(0) == "long") {
        streams.push_back(world_.service.Streams(session.id));
      }
    }
    return streams;
  }
  void ExpectAllEndWell() {
    ASSERT_TRUE(world_.RunUntil([&] { return Settled() == kLong + kShort; }));
    world_.Linger();
    EXPECT_EQ(world_.ChargedSessions(), kLong + kShort);
    for (const std::string& id : ids_) {
      EXPECT_EQ(world_.Task(id).ending.stop_reason(), "end_turn");
    }
  }

  World world_;
  std::vector<std::string> ids_;
  int streams_ = 0;
  int histories_ = 0;
};

TEST_F(AttachStoryTest, WhatAListShowsAtRestCostsItsHistoryAlone) {
  Begin(/*short_turn=*/absl::Minutes(1));
  // Where streams open at once, nobody waits for a list.
  world_.service.hooks.on_call = [](const FakeCall& call) {
    FakeFault fault;
    if (call.operation == "stream_events")
      fault.answer_delay = absl::Seconds(2);
    return fault;
  };
  world_.time.Advance(absl::Minutes(3));
  Adopt();
  ASSERT_TRUE(
      world_.RunUntil([&] { return Settled() == kShort; }, absl::Seconds(15)));
  world_.time.Advance(absl::Minutes(1));
  // A page for a hundred sessions; the first few do not wait for it.
  EXPECT_EQ(world_.service.Calls("list_sessions"), 1);
  EXPECT_EQ(StreamsOpened(), kLong);
  EXPECT_EQ(HistoriesRead(), kLong + kShort);
  EXPECT_THAT(StreamsOfTheLong(), Each(Eq(1)));
  ExpectAllEndWell();
}

// Each page waited behind sixteen sessions' streams and histories, so at the
// service's rate the list of 5,000 took longer than a minute.
TEST_F(AttachStoryTest, NobodyIsLetOnWhileTheListIsRead) {
  Begin(/*short_turn=*/absl::Minutes(20));
  world_.service.hooks.on_call = [](const FakeCall& call) {
    FakeFault fault;
    if (call.operation == "stream_events")
      fault.answer_delay = absl::Milliseconds(500);
    if (call.operation == "list_sessions")
      fault.answer_delay = absl::Seconds(20);
    return fault;
  };
  Adopt();
  world_.time.Advance(absl::Seconds(15));
  ASSERT_EQ(world_.service.Calls("list_sessions"), 1);
  // Those of the second before, and no more.
  const int let_on = StreamsOpened();
  EXPECT_LE(let_on, 3 * static_cast<int>(AttachLine::kAtOnceMax));
  world_.time.Advance(absl::Seconds(5));
  EXPECT_EQ(StreamsOpened(), let_on);
  world_.time.Advance(absl::Seconds(10));
  EXPECT_EQ(StreamsOpened(), kLong + kShort);
}

TEST_F(AttachStoryTest, AListWatchesThoseWhoseTurnHasNotCome) {
  Begin(/*short_turn=*/absl::Minutes(2));
  // A stream takes half a minute to open, and sixteen are opened at once: the
  // turn of the last ones would come after two minutes and more.
  world_.service.hooks.on_call = [](const FakeCall& call) {
    FakeFault fault;
    if (call.operation == "stream_events")
      fault.answer_delay = absl::Seconds(30);
    return fault;
  };
  world_.time.Advance(absl::Minutes(1) + absl::Seconds(50));
  Adopt();
  ASSERT_TRUE(
      world_.RunUntil([&] { return Settled() == kShort; }, absl::Seconds(100)));
  EXPECT_LE(StreamsOpened(), 3 * static_cast<int>(AttachLine::kAtOnceMax));
  world_.time.Advance(absl::Minutes(3));
  EXPECT_THAT(StreamsOfTheLong(), Each(Eq(1)));
  ExpectAllEndWell();
}

TEST_F(AttachStoryTest, ACancelDoesNotWaitInLine) {
  Begin(/*short_turn=*/absl::Minutes(20));
  int opened = 0;
  world_.service.hooks.on_call = [&](const FakeCall& call) {
    FakeFault fault;
    // Nobody's turn ends.
    if (call.operation == "stream_events" && opened++ < 16) {
      fault.answer_delay = absl::Minutes(15);
    }
    return fault;
  };
  Adopt();
  world_.time.Advance(absl::Seconds(10));
  ASSERT_EQ(opened, 16);
  world_.scheduler.Cancel(ids_.back());
  ASSERT_TRUE(world_.RunUntilSettled(ids_.back(), absl::Seconds(20)));
  EXPECT_EQ(Settled(), 1);
}

// Its end was waited for two minutes, and its turn came after five.
TEST_F(AttachStoryTest, AnInterruptedSessionIsHeardOutOfTurn) {
  Begin(/*short_turn=*/absl::Minutes(20));
  Adopt();
  world_.time.Advance(absl::Seconds(30));
  world_.service.hooks.on_call = [](const FakeCall& call) {
    FakeFault fault;
    if (call.operation == "stream_events")
      fault.answer_delay = absl::Seconds(40);
    return fault;
  };
  world_.service.CutStreams();
  world_.time.Advance(absl::Seconds(10));
  world_.scheduler.Cancel(ids_.back());
  ASSERT_TRUE(world_.RunUntilSettled(ids_.back(), absl::Minutes(5)));
  EXPECT_EQ(world_.Task(ids_.back()).ending.kind(), v1::Ending::KIND_IDLE);
  EXPECT_TRUE(world_.Task(ids_.back()).ending.has_list_cost_usd_micros());
}

TEST_F(AttachStoryTest, StreamsThatAreCutTogetherComeBackInTurn) {
  Begin(/*short_turn=*/absl::Minutes(2));
  Adopt();
  world_.time.Advance(absl::Seconds(30));
  ASSERT_THAT(StreamsOfTheLong(), Each(Eq(1)));
  int under_way = 0, most = 0;
  world_.service.hooks.on_call = [&](const FakeCall& call) {
    FakeFault fault;
    if (call.operation != "stream_events") return fault;
    fault.answer_delay = absl::Seconds(1);
    most = std::max(most, ++under_way);
    world_.service_executor.After(absl::Seconds(1), [&] { --under_way; });
    return fault;
  };
  world_.service.CutStreams();
  world_.time.Advance(absl::Seconds(30));
  EXPECT_EQ(most, static_cast<int>(AttachLine::kAtOnceMax));
  EXPECT_THAT(StreamsOfTheLong(), Each(Eq(1)));
  ExpectAllEndWell();
}

}  // namespace
}  // namespace midwatch::testing
