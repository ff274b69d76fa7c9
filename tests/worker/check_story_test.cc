// Checks of the worker's own, which look at what an attempt left.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/worker/world.h"

namespace midwatch::testing {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using End = CheckOutcome::End;

class FakeCheck final : public OutputCheck {
 public:
  explicit FakeCheck(FakeExecutor& executor) : executor_(executor) {}

  Async<CheckOutcome> Run(CheckCall call) override {
    calls.push_back(call);
    co_await Sleep(executor_, takes);
    co_return outcome;
  }

  absl::Duration takes = absl::Minutes(2);
  CheckOutcome outcome{End::kPassed, ""};
  std::vector<CheckCall> calls;

 private:
  FakeExecutor& executor_;
};

struct CheckWorld : World {
  explicit CheckWorld(const std::string& named = "compiles") {
    service.hooks.script = [](const FakePrompt&) {
      FakeTurn turn;
      turn.files = {{"src/main.c", "int main;"}};
      turn.message = "All done.";
      return turn;
    };
    checks["compiles"] = &check;
    v1::TaskSpec spec = Spec();
    spec.mutable_expect()->add_files("src/main.c");
    spec.mutable_expect()->set_check(named);
    id = scheduler.Add(spec);
  }
  const v1::Ending& Ending() { return Task(id).ending; }

  FakeExecutor check_executor{time};
  FakeCheck check{check_executor};
  std::string id;
};

TEST(CheckStoryTest, WhatPassesIsTaken) {
  CheckWorld world;
  world.AddNode();
  ASSERT_TRUE(world.RunUntilSettled(world.id));
  world.Linger();
  ExpectDoneOnce(world, world.id);
  EXPECT_GE(world.time.Elapsed(), absl::Minutes(2));
  ASSERT_THAT(world.check.calls, SizeIs(1));
  const CheckCall& call = world.check.calls[0];
  EXPECT_EQ(call.check, "compiles");
  EXPECT_EQ(call.task_id, world.id);
  EXPECT_EQ(call.attempt, 1);
  EXPECT_EQ(call.message, "All done.");
  ASSERT_THAT(call.files, SizeIs(1));
  EXPECT_EQ(call.files[0].first, "src/main.c");
  std::ostringstream bytes;
  bytes << std::ifstream(call.files[0].second).rdbuf();
  EXPECT_EQ(bytes.str(), "int main;");
}

TEST(CheckStoryTest, WhatDoesNotHasFailedAndKeepsWhatItLeft) {
  CheckWorld world;
  world.check.outcome = {End::kFailed, "main.c:1: error"};
  world.AddNode();
  ASSERT_TRUE(world.RunUntilSettled(world.id));
  EXPECT_EQ(world.Ending().kind(), v1::Ending::KIND_CHECK_FAILED);
  EXPECT_EQ(world.Ending().failed_check(), "'compiles': main.c:1: error");
  EXPECT_EQ(world.Ending().outputs_size(), 1);
  EXPECT_TRUE(world.Ending().charged());
}

TEST(CheckStoryTest, OneThatIsNotThereCostsNothing) {
  CheckWorld world("another");
  world.AddNode();
  ASSERT_TRUE(world.RunUntilSettled(world.id));
  world.Linger();
  EXPECT_EQ(world.Ending().kind(), v1::Ending::KIND_NO_CHECK);
  EXPECT_THAT(world.Ending().failed_check(),
              HasSubstr("'another' is none of the worker's checks"));
  EXPECT_FALSE(world.Ending().charged());
  EXPECT_THAT(world.service.Sessions(), IsEmpty());
}

TEST(CheckStoryTest, OneThatCannotBeRunIsNoFailureOfTheTask) {
  CheckWorld world;
  world.check.outcome = {End::kNotRun, "cannot start ./compiles.sh"};
  world.AddNode();
  ASSERT_TRUE(world.RunUntilSettled(world.id));
  EXPECT_EQ(world.Ending().kind(), v1::Ending::KIND_NO_CHECK);
  EXPECT_EQ(world.Ending().outputs_size(), 1);
}

TEST(CheckStoryTest, NothingElseIsCheckedWhereAFileIsMissing) {
  CheckWorld world;
  world.service.hooks.script = [](const FakePrompt&) { return FakeTurn(); };
  world.AddNode();
  ASSERT_TRUE(world.RunUntilSettled(world.id));
  EXPECT_EQ(world.Ending().kind(), v1::Ending::KIND_OUTPUT_MISSING);
  EXPECT_THAT(world.check.calls, IsEmpty());
}

// A worker that drains does not wait for it; the next one begins it anew.
TEST(CheckStoryTest, ADrainStopsItAndTheAdopterChecksAgain) {
  CheckWorld world;
  Node& first = world.AddNode();
  ASSERT_TRUE(world.RunUntil([&] { return !world.check.calls.empty(); }));
  bool drained = false;
  first.executor.Post([&] { first.worker.Drain([&] { drained = true; }); });
  ASSERT_TRUE(world.RunUntil([&] { return drained; }, absl::Seconds(10)));
  EXPECT_TRUE(*world.check.calls[0].stop);
  EXPECT_FALSE(world.Task(world.id).settled);

  world.AddNode();
  ASSERT_TRUE(world.RunUntilSettled(world.id));
  world.Linger();
  ExpectDoneOnce(world, world.id);
  EXPECT_THAT(world.check.calls, SizeIs(2));
}

TEST(CheckStoryTest, ACancelDoesNotWaitForIt) {
  CheckWorld world;
  world.check.takes = absl::Minutes(30);
  world.AddNode();
  ASSERT_TRUE(world.RunUntil([&] { return !world.check.calls.empty(); }));
  world.scheduler.Cancel(world.id);
  ASSERT_TRUE(world.RunUntilSettled(world.id, absl::Minutes(5)));
  EXPECT_TRUE(*world.check.calls[0].stop);
  EXPECT_EQ(world.Ending().kind(), v1::Ending::KIND_IDLE);
  EXPECT_EQ(world.Ending().outputs_size(), 1);
}

}  // namespace
}  // namespace midwatch::testing
