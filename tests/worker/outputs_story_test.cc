#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>

#include "tests/testing/status_matchers.h"
#include "tests/worker/world.h"

namespace midwatch::testing {
namespace {

using ::testing::HasSubstr;
using Kind = FakeFault::Kind;

TEST(OutputsStoryTest, LateFilesAreWaitedFor) {
  FakeAgentsOptions options;
  options.file_delay = absl::Seconds(15);
  World world(options);
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.files = {{"/mnt/session/outputs/a/b.txt", "bytes"},
                  {"../escape", "x"},
                  {"/etc/passwd", "x"}};
    return turn;
  };
  v1::TaskSpec spec = World::Spec();
  spec.mutable_expect()->add_files("/mnt/session/outputs/a/b.txt");
  world.AddNode();
  std::string id = world.scheduler.Add(spec);
  ASSERT_TRUE(world.RunUntilSettled(id));
  const v1::Ending& ending = world.Task(id).ending;
  EXPECT_EQ(ending.kind(), v1::Ending::KIND_IDLE);
  ASSERT_EQ(ending.outputs_size(), 1);
  EXPECT_EQ(ending.outputs(0).path(), "a/b.txt");
  EXPECT_EQ(world.Artifact(ending.outputs(0).sha256()), "bytes");
}

// By way of memory, or of a file; after a failure always of a file.
TEST(OutputsStoryTest, SmallAndLargeOutputsAreKept) {
  World world;
  const std::string small(256 << 10, 's'), large((256 << 10) + 1, 'l');
  world.service.hooks.script = [&](const FakePrompt&) {
    FakeTurn turn;
    turn.files = {{"small", small}, {"large", large}, {"again", "again"}};
    return turn;
  };
  world.OnCall("download_file", 1, Lose(Kind::kLoseAnswer));
  v1::TaskSpec spec = World::Spec();
  for (const char* name : {"small", "large", "again"}) {
    spec.mutable_expect()->add_files(name);
  }
  world.AddNode();
  std::string id = world.scheduler.Add(spec);
  ASSERT_TRUE(world.RunUntilSettled(id));
  std::map<std::string, std::string> outputs;
  for (const v1::Output& output : world.Task(id).ending.outputs()) {
    outputs[output.path()] = world.Artifact(output.sha256());
    EXPECT_EQ(output.size_bytes(),
              static_cast<int64_t>(outputs[output.path()].size()));
  }
  EXPECT_TRUE(outputs["small"] == small);
  EXPECT_TRUE(outputs["large"] == large);
  EXPECT_EQ(outputs["again"], "again");
}

TEST(OutputsStoryTest, MissingFileIsReportedWithWhatIsThere) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.files = {{"other.txt", "bytes"}};
    return turn;
  };
  v1::TaskSpec spec = World::Spec();
  spec.mutable_expect()->add_files("wanted.txt");
  world.AddNode();
  std::string id = world.scheduler.Add(spec);
  ASSERT_TRUE(world.RunUntilSettled(id));
  EXPECT_NEAR(absl::ToDoubleSeconds(world.time.Elapsed()), 32, 3);
  const v1::Ending& ending = world.Task(id).ending;
  EXPECT_EQ(ending.kind(), v1::Ending::KIND_OUTPUT_MISSING);
  EXPECT_EQ(ending.missing_output(), "wanted.txt");
  EXPECT_EQ(ending.outputs_size(), 1);
}

// A task whose agent leaves that, against a schema of report.json and one of
// its last message.
v1::Ending EndingOf(const std::string& report, const std::string& message) {
  World world;
  world.service.hooks.script = [&](const FakePrompt&) {
    FakeTurn turn;
    turn.files = {{"report.json", report}};
    turn.message = message;
    return turn;
  };
  v1::TaskSpec spec = World::Spec();
  spec.mutable_expect()->add_files("report.json");
  v1::JsonCheck& file = *spec.mutable_expect()->add_json();
  file.set_path("report.json");
  file.set_schema(R"({"type": "object", "required": ["verdict"]})");
  v1::JsonCheck& said = *spec.mutable_expect()->add_json();
  said.set_schema(R"({"type": "array"})");
  world.AddNode();
  const std::string id = world.scheduler.Add(spec);
  EXPECT_TRUE(world.RunUntilSettled(id));
  return world.Task(id).ending;
}

TEST(OutputsStoryTest, WhatFitsItsSchemasIsTaken) {
  EXPECT_EQ(EndingOf(R"({"verdict": 1})", "[1]").kind(), v1::Ending::KIND_IDLE);
  const v1::Ending fenced =
      EndingOf(R"({"verdict": 1})", "```json\n[\n1]\n```\n");
  EXPECT_EQ(fenced.kind(), v1::Ending::KIND_IDLE) << fenced.failed_check();
}

TEST(OutputsStoryTest, WhatDoesNotFitIsSaidInALine) {
  const v1::Ending file = EndingOf(R"({"word": 1})", "[]");
  EXPECT_EQ(file.kind(), v1::Ending::KIND_CHECK_FAILED);
  EXPECT_THAT(file.failed_check(),
              HasSubstr("report.json does not fit its JSON Schema: at the "
                        "top: "));
  EXPECT_EQ(file.outputs_size(), 1);
  const v1::Ending message = EndingOf(R"({"verdict": 1})", "All done.");
  EXPECT_EQ(message.kind(), v1::Ending::KIND_CHECK_FAILED);
  EXPECT_EQ(message.failed_check(),
            "the final message does not fit its JSON Schema: it is no JSON");
}

// The file was there long before the answer that does not show it.
TEST(OutputsStoryTest, AListThatIsLongOnItsWayIsNoMissingFile) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.files = {{"wanted.txt", "bytes"}};
    return turn;
  };
  FakeFault slow;
  slow.answer_delay = absl::Seconds(40);
  world.OnCall("list_files", 1, slow);
  v1::TaskSpec spec = World::Spec();
  spec.mutable_expect()->add_files("wanted.txt");
  world.AddNode();
  std::string id = world.scheduler.Add(spec);
  ASSERT_TRUE(world.RunUntilSettled(id));
  EXPECT_EQ(world.Task(id).ending.kind(), v1::Ending::KIND_IDLE);
  EXPECT_EQ(world.Task(id).ending.outputs_size(), 1);
}

Async<void> SayAgain(AgentsClient& client, std::string session_id) {
  OutgoingMessage message;
  message.text = "again";
  std::vector<OutgoingEvent> events(1, OutgoingEvent(std::move(message)));
  EXPECT_OK(co_await client.SendEvents(std::move(session_id), std::move(events),
                                       absl::Minutes(1)));
}

// A message that had been on its way for minutes began a turn while outputs
// were collected: the task was settled in its middle, for less than it cost.
class SaidAgainTest : public ::testing::TestWithParam<const char*> {};

TEST_P(SaidAgainTest, ATurnThatBeginsMeanwhileIsWaitedFor) {
  World world;
  world.service.hooks.script = [](const FakePrompt& prompt) {
    FakeTurn turn;
    turn.duration = absl::Minutes(1);
    turn.files = {{"wanted.txt", prompt.text}};
    return turn;
  };
  FakeFault slow;
  slow.answer_delay = absl::Seconds(20);
  world.OnCall(GetParam(), 1, slow);
  Node& node = world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(
      world.RunUntil([&] { return world.service.Calls(GetParam()) > 0; }));
  Spawn(node.executor, SayAgain(node.client, world.OnlySession().id));
  ASSERT_TRUE(world.RunUntilSettled(id));
  world.Linger();
  const v1::Ending& ending = world.Task(id).ending;
  EXPECT_EQ(ending.kind(), v1::Ending::KIND_IDLE);
  EXPECT_EQ(ending.list_cost_usd_micros(),
            world.OnlySession().cost_cents * 10'000);
  ASSERT_EQ(ending.outputs_size(), 1);
  EXPECT_EQ(world.Artifact(ending.outputs(0).sha256()), "again");
  EXPECT_THAT(world.Task(id).events.back(), HasSubstr("session.status_idle"));
}
INSTANTIATE_TEST_SUITE_P(While, SaidAgainTest,
                         ::testing::Values("list_files", "download_file"));

TEST(OutputsStoryTest, DownloadThatFailsIsTriedAgain) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.files = {{"a.txt", "bytes"}};
    return turn;
  };
  world.OnCall("list_files", 1, Refuse(503, "api_error"));
  world.OnCall("download_file", 1, Lose(Kind::kLoseAnswer));
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  ASSERT_EQ(world.Task(id).ending.outputs_size(), 1);
  EXPECT_EQ(world.Artifact(world.Task(id).ending.outputs(0).sha256()), "bytes");
}

TEST(OutputsStoryTest, LongFinalMessageIsCutBetweenCharacters) {
  World world;
  std::string message(16 << 10, 'x');
  message.replace(message.size() - 1, 1, "\u00e9 and so on");
  world.service.hooks.script = [&](const FakePrompt&) {
    FakeTurn turn;
    turn.message = message;
    return turn;
  };
  world.AddNode();
  std::string id = world.scheduler.Add(World::Spec());
  ASSERT_TRUE(world.RunUntilSettled(id));
  const v1::Ending& ending = world.Task(id).ending;
  EXPECT_EQ(ending.final_message(), std::string((16 << 10) - 1, 'x'));
  EXPECT_EQ(world.Artifact(ending.final_message_sha256()), message);
}

TEST(OutputsStoryTest, StopReasonsAreReportedAsTheyAre) {
  for (const char* reason :
       {"refusal", "budget_reached", "something_new", "terminated"}) {
    World world;
    world.service.hooks.script = [&](const FakePrompt&) {
      FakeTurn turn;
      turn.stop_reason = reason;
      return turn;
    };
    world.AddNode();
    std::string id = world.scheduler.Add(World::Spec());
    ASSERT_TRUE(world.RunUntilSettled(id)) << reason;
    const v1::Ending& ending = world.Task(id).ending;
    bool terminated = std::string(reason) == "terminated";
    EXPECT_EQ(ending.kind(),
              terminated ? v1::Ending::KIND_TERMINATED : v1::Ending::KIND_IDLE);
    EXPECT_EQ(ending.stop_reason(), terminated ? "" : reason);
    EXPECT_TRUE(ending.charged());
  }
}

// A turn that had failed held its slot and money for half a minute, waiting for
// files that it would never write.
TEST(OutputsStoryTest, ATurnThatFailedIsNotWaitedFor) {
  World world;
  world.service.hooks.script = [](const FakePrompt&) {
    FakeTurn turn;
    turn.stop_reason = "refusal";
    return turn;
  };
  world.AddNode();
  v1::TaskSpec spec = World::Spec();
  spec.mutable_expect()->add_files("result.json");
  std::string id = world.scheduler.Add(spec);
  ASSERT_TRUE(world.RunUntilSettled(id));
  EXPECT_LT(world.time.Elapsed(), absl::Seconds(10));
  EXPECT_EQ(world.Task(id).ending.stop_reason(), "refusal");
}

}  // namespace
}  // namespace midwatch::testing
