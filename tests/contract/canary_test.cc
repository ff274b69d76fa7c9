// A batch's canary and its stop rule.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "tests/contract/store_contract.h"

namespace midwatch {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::StatusIs;
using ::testing::UnorderedElementsAre;

class CanaryTest : public testing::ContractTest {
 protected:
  static constexpr char kRequest[] = "rules";

  OpenBatch With(CanaryRule canary, StopRule stop = {}) {
    OpenBatch open = Opening(kRequest);
    if (canary.tasks > 0) open.canary = canary;
    if (!(stop == StopRule())) open.stop_when = stop;
    return open;
  }
  RowKey Open(const OpenBatch& open) {
    auto batch = Apply(open);
    EXPECT_OK(batch);
    return batch.ok() ? batch->batch : RowKey();
  }
  absl::Status Add(int from, int count) {
    AddTasks add{.request_id = kRequest, .first_line = from, .tasks = {}};
    for (int i = from; i < from + count; ++i) {
      add.tasks.push_back(Line(absl::StrCat("t", i)));
    }
    return Apply(add).status();
  }
  absl::Status Seal(int lines) {
    return Apply(SealBatch{kRequest, lines}).status();
  }
  RowKey Submit(int lines, CanaryRule canary, StopRule stop = {}) {
    const RowKey batch = Open(With(canary, stop));
    EXPECT_OK(Add(0, lines));
    EXPECT_OK(Seal(lines));
    worker_ = Register();
    return batch;
  }
  std::vector<std::string> Started(int slots = 20) {
    std::vector<std::string> names;
    for (GrantRecord& grant : AdmitTo(worker_, slots)) {
      names.push_back(grant.name);
      held_[grant.name] = std::move(grant);
    }
    return names;
  }
  // A refusal is the end of its task.
  static v1::Ending Failure(int64_t cost = 10'000) {
    v1::Ending ending = Success(cost);
    ending.set_stop_reason("refusal");
    return ending;
  }
  void End(const std::string& name, v1::Ending ending) {
    ASSERT_TRUE(held_.contains(name)) << name;
    ASSERT_OK(SettleWith(held_[name].lease, std::move(ending)));
    held_.erase(name);
  }
  void Succeed(const std::string& name) { End(name, Success()); }
  void Fail(const std::string& name) { End(name, Failure()); }

  CanaryRecord Canary(RowKey batch) {
    return Batch(batch).canary.value_or(CanaryRecord());
  }
  std::vector<JournalKind> Verdicts(RowKey batch) {
    auto journal = Read<std::vector<JournalRecord>>([&](StoreReader& reader) {
      return reader.ListJournal(batch.row, 0, 1000);
    });
    EXPECT_OK(journal);
    std::vector<JournalKind> kinds;
    for (const JournalRecord& row : *journal) {
      if (row.kind >= JournalKind::kCanaryPassed &&
          row.kind <= JournalKind::kStopped) {
        kinds.push_back(row.kind);
      }
    }
    return kinds;
  }

  int64_t worker_ = 0;
  std::map<std::string, GrantRecord> held_;
};

constexpr CanaryRule kThree = {3, 660'000, 0};  // two of them must succeed

TEST_P(CanaryTest, OthersWaitUntilTheCanaryHasPassed) {
  const RowKey batch = Submit(6, kThree);
  EXPECT_THAT(Started(), UnorderedElementsAre("t0", "t1", "t2"));
  Succeed("t1");
  EXPECT_THAT(Started(), IsEmpty());
  EXPECT_EQ(Canary(batch).verdict, v1::CANARY_VERDICT_UNDECIDED);
  EXPECT_EQ(Canary(batch).succeeded, 1);
  // It is certain before the last one has ended.
  Succeed("t0");
  EXPECT_EQ(Canary(batch).verdict, v1::CANARY_VERDICT_PASSED);
  EXPECT_THAT(Started(), UnorderedElementsAre("t3", "t4", "t5"));
  Fail("t2");
  EXPECT_EQ(Canary(batch).verdict, v1::CANARY_VERDICT_PASSED);
  EXPECT_EQ(Canary(batch).failed, 1);
  EXPECT_FALSE(Batch(batch).pause.has_value());
  EXPECT_THAT(Verdicts(batch), ElementsAre(JournalKind::kCanaryPassed));
}

TEST_P(CanaryTest, AFailedOnePausesItsBatchUntilSomebodyGoesOnAllTheSame) {
  const RowKey batch = Submit(6, kThree);
  ASSERT_THAT(Started(2), SizeIs(2));
  Fail("t0");
  EXPECT_FALSE(Batch(batch).pause.has_value());
  Fail("t1");
  EXPECT_EQ(Canary(batch).verdict, v1::CANARY_VERDICT_FAILED);
  EXPECT_EQ(
      Batch(batch).pause->why,
      "the canary failed: 2 of its 3 tasks failed, and min_success is 0.66");
  // Its own last task is held too; and all of it outlives the scheduler.
  EXPECT_THAT(Started(), IsEmpty());
  Restart();
  EXPECT_THAT(Started(), IsEmpty());
  ASSERT_OK(Apply(ResumeBatch{batch}));
  EXPECT_EQ(Canary(batch).verdict, v1::CANARY_VERDICT_OVERRULED);
  EXPECT_THAT(Started(), UnorderedElementsAre("t2", "t3", "t4", "t5"));
  // Nobody judges it again.
  Fail("t2");
  EXPECT_FALSE(Batch(batch).pause.has_value());
  EXPECT_THAT(Verdicts(batch), ElementsAre(JournalKind::kCanaryFailed));
}

TEST_P(CanaryTest, LinesAreHeldWheneverTheyCome) {
  const RowKey batch = Open(With(kThree));
  worker_ = Register();
  ASSERT_OK(Add(0, 2));
  EXPECT_THAT(Started(), SizeIs(2));
  ASSERT_OK(Add(2, 2));
  EXPECT_THAT(Started(), ElementsAre("t2"));
  NewTask keyed = Line("t4");  // has a lane of its own
  keyed.concurrency_key = "key";
  ASSERT_OK(Apply(AddTasks{kRequest, 4, {keyed}}));
  EXPECT_THAT(Started(), IsEmpty());
  // Three lines are there, so its verdict does not wait for the seal.
  Succeed("t0");
  Succeed("t1");
  EXPECT_EQ(Batch(batch).state, v1::BATCH_STATE_OPEN);
  EXPECT_THAT(Started(), UnorderedElementsAre("t3", "t4"));
  ASSERT_OK(Add(5, 1));
  EXPECT_THAT(Started(), ElementsAre("t5"));
}

TEST_P(CanaryTest, ABatchMayTurnOutShorterThanItsCanary) {
  const RowKey batch = Open(With({5, 800'000, 0}));
  worker_ = Register();
  ASSERT_OK(Add(0, 2));
  ASSERT_THAT(Started(), SizeIs(2));
  Succeed("t0");
  Succeed("t1");
  EXPECT_EQ(Canary(batch).verdict, v1::CANARY_VERDICT_UNDECIDED);
  EXPECT_EQ(Canary(batch).tasks, 5);
  ASSERT_OK(Seal(2));
  EXPECT_EQ(Canary(batch).verdict, v1::CANARY_VERDICT_PASSED);
  EXPECT_EQ(Canary(batch).tasks, 2);
  EXPECT_EQ(Batch(batch).state, v1::BATCH_STATE_DONE);
}

TEST_P(CanaryTest, WhatStillRunsMayNeedAnotherAttemptAndIsHeld) {
  const RowKey batch = Submit(2, {5, 800'000, 0});
  ASSERT_THAT(Started(), SizeIs(2));
  Fail("t0");
  EXPECT_TRUE(Batch(batch).pause.has_value());
  v1::Ending terminated = Success();
  terminated.set_kind(v1::Ending::KIND_TERMINATED);
  End("t1", terminated);
  time_.Advance(absl::Hours(1));
  ASSERT_OK(Apply(FireTimers{}));
  EXPECT_THAT(Started(), IsEmpty());
  ASSERT_OK(Apply(ResumeBatch{batch}));
  EXPECT_THAT(Started(), ElementsAre("t1"));
}

TEST_P(CanaryTest, ACanaryThatIsTheWholeBatchHoldsNothingBack) {
  const RowKey batch = Submit(1, {1, 1'000'000, 0});
  ASSERT_THAT(Started(), ElementsAre("t0"));
  Fail("t0");
  EXPECT_EQ(Batch(batch).state, v1::BATCH_STATE_DONE);
  EXPECT_EQ(Canary(batch).verdict, v1::CANARY_VERDICT_FAILED);
  auto journal = Read<std::vector<JournalRecord>>([&](StoreReader& reader) {
    return reader.ListJournal(batch.row, 0, 1000);
  });
  ASSERT_OK(journal);
  EXPECT_EQ(journal->back().kind, JournalKind::kBatchDone);
  for (const JournalRecord& row : *journal) {
    EXPECT_NE(row.kind, JournalKind::kPaused);
  }
}

TEST_P(CanaryTest, CancelledTasksAreLeftOut) {
  const RowKey batch = Submit(5, kThree);
  ASSERT_THAT(Started(1), ElementsAre("t0"));
  std::vector<TaskRecord> tasks = Tasks({.batch = batch.row});
  ASSERT_OK(Apply(CancelTask{tasks[1].key, ""}));
  EXPECT_EQ(Canary(batch).left_out, 1);
  Succeed("t0");
  EXPECT_EQ(Canary(batch).verdict, v1::CANARY_VERDICT_UNDECIDED);
  // The one that succeeded is all there is.
  ASSERT_OK(Apply(CancelTask{tasks[2].key, ""}));
  EXPECT_EQ(Canary(batch).verdict, v1::CANARY_VERDICT_PASSED);
  EXPECT_THAT(Started(), UnorderedElementsAre("t3", "t4"));
}

TEST_P(CanaryTest, ACanaryOfWhichNothingEndedByItselfHasFailed) {
  const RowKey batch = Submit(5, kThree);
  std::vector<TaskRecord> tasks = Tasks({.batch = batch.row});
  for (size_t i = 0; i < 3; ++i) {
    ASSERT_OK(Apply(CancelTask{tasks[i].key, ""}));
  }
  EXPECT_EQ(Batch(batch).pause->why,
            "the canary failed: of its 3 tasks none came to an end by itself");
  EXPECT_THAT(Started(), IsEmpty());
}

TEST_P(CanaryTest, SkippedTasksAreLeftOut) {
  const RowKey batch = Open(With({2, 1'000'000, 0}));
  NewTask needy = Line("t1");
  needy.line.add_needs()->set_name("t0");
  needy.needs.emplace_back();
  ASSERT_OK(Apply(AddTasks{kRequest, 0, {Line("t0"), needy, Line("t2")}}));
  ASSERT_OK(Seal(3));
  worker_ = Register();
  ASSERT_THAT(Started(), ElementsAre("t0"));
  const std::vector<TaskRecord> tasks = Tasks({.batch = batch.row});
  ASSERT_OK(Apply(CancelTask{tasks[0].key, ""}));
  ASSERT_OK(Apply(FireTimers{}));
  EXPECT_EQ(Canary(batch).left_out, 2);
  EXPECT_EQ(Canary(batch).verdict, v1::CANARY_VERDICT_FAILED);
}

TEST_P(CanaryTest, WhatItCostsCountsWithEveryAttempt) {
  const RowKey batch = Submit(5, {2, 1'000'000, 40'000});
  ASSERT_THAT(Started(), SizeIs(2));
  v1::Ending terminated = Success(30'000);
  terminated.set_kind(v1::Ending::KIND_TERMINATED);
  End("t0", terminated);  // tried again
  EXPECT_EQ(Canary(batch).charged, 30'000);
  EXPECT_EQ(Canary(batch).verdict, v1::CANARY_VERDICT_UNDECIDED);
  End("t1", Success(20'000));
  EXPECT_EQ(Batch(batch).pause->why,
            "the canary failed: it has cost $0.05, more than its max_cost of "
            "$0.04");
  time_.Advance(absl::Hours(1));
  ASSERT_OK(Apply(FireTimers{}));
  EXPECT_THAT(Started(), IsEmpty());
}

TEST_P(CanaryTest, ACostThatComesLateCountsToo) {
  const RowKey batch = Submit(5, {2, 500'000, 50'000});
  const GrantRecord grant = GrantAndRecord(worker_);
  ASSERT_OK(SettleWith(grant.lease, Success(30'000)));
  EXPECT_EQ(Canary(batch).verdict, v1::CANARY_VERDICT_UNDECIDED);
  ASSERT_OK(Apply(CompleteErrands{"default", {{"sesn_1", 60'000, false}}}));
  EXPECT_EQ(Canary(batch).charged, 60'000);
  EXPECT_EQ(Canary(batch).verdict, v1::CANARY_VERDICT_FAILED);
}

TEST_P(CanaryTest, WithAMaxCostItsVerdictWaitsForEveryTask) {
  const RowKey batch = Submit(4, {2, 500'000, 90'000});
  ASSERT_THAT(Started(), SizeIs(2));
  Succeed("t0");
  EXPECT_THAT(Started(), IsEmpty());
  Fail("t1");
  EXPECT_EQ(Canary(batch).verdict, v1::CANARY_VERDICT_PASSED);
  EXPECT_THAT(Started(), UnorderedElementsAre("t2", "t3"));
}

TEST_P(CanaryTest, ABatchThatIsCancelledIsNotJudged) {
  const RowKey batch = Submit(5, kThree);
  ASSERT_OK(Apply(CancelBatch{batch, "enough"}));
  EXPECT_EQ(Batch(batch).state, v1::BATCH_STATE_DONE);
  EXPECT_EQ(Canary(batch).verdict, v1::CANARY_VERDICT_UNDECIDED);
  EXPECT_THAT(Verdicts(batch), IsEmpty());
}

TEST_P(CanaryTest, APersonsPauseDoesNotEndThatOfAFailedCanary) {
  const RowKey batch = Submit(5, kThree);
  ASSERT_THAT(Started(), SizeIs(3));
  ASSERT_OK(Apply(PauseBatch{batch, "lunch", clock_.Now() + absl::Hours(1)}));
  Fail("t0");
  Fail("t1");
  EXPECT_EQ(Batch(batch).pause->until, absl::InfiniteFuture());
  time_.Advance(absl::Hours(2));
  ASSERT_OK(Apply(FireTimers{}));
  EXPECT_THAT(Started(), IsEmpty());
}

TEST_P(CanaryTest, APauseEndsBeforeTheVerdictAndTheCanaryGoesOn) {
  const RowKey batch = Submit(5, kThree);
  ASSERT_OK(Apply(PauseBatch{batch, ""}));
  EXPECT_THAT(Started(), IsEmpty());
  ASSERT_OK(Apply(ResumeBatch{batch}));
  EXPECT_THAT(Started(), UnorderedElementsAre("t0", "t1", "t2"));
  EXPECT_EQ(Canary(batch).verdict, v1::CANARY_VERDICT_UNDECIDED);
}

TEST_P(CanaryTest, AConcurrencyKeyHoldsAcrossTheCanary) {
  const RowKey batch = Open(With({2, 500'000, 0}));
  std::vector<NewTask> tasks;
  for (int i = 0; i < 4; ++i) {
    tasks.push_back(Line(absl::StrCat("t", i)));
    tasks.back().concurrency_key = i == 1 || i == 3 ? "key" : "";
  }
  ASSERT_OK(Apply(AddTasks{kRequest, 0, tasks}));
  ASSERT_OK(Seal(4));
  worker_ = Register();
  ASSERT_THAT(Started(), UnorderedElementsAre("t0", "t1"));
  Succeed("t0");
  EXPECT_EQ(Canary(batch).verdict, v1::CANARY_VERDICT_PASSED);
  EXPECT_THAT(Started(), ElementsAre("t2"));
  Succeed("t1");
  EXPECT_THAT(Started(), ElementsAre("t3"));
}

TEST_P(CanaryTest, OpenedAgainItHasTheSameRules) {
  const RowKey batch = Open(With(kThree, {2, 0, 0}));
  EXPECT_EQ(Open(With(kThree, {2, 0, 0})), batch);
  for (const OpenBatch& other :
       {With({}, {2, 0, 0}), With(kThree), With({4, 660'000, 0}, {2, 0, 0}),
        With(kThree, {0, 2, 1})}) {
    EXPECT_THAT(Apply(other), StatusIs(absl::StatusCode::kAlreadyExists));
  }
  EXPECT_EQ(Canary(batch).rule, kThree);
  EXPECT_EQ(Batch(batch).stop->rule, (StopRule{2, 0, 0}));
  EXPECT_FALSE(Batch(SubmitBatch(1)).canary.has_value());
}

TEST_P(CanaryTest, ABatchStopsAndCountsAnewOnceItIsResumed) {
  const RowKey batch = Submit(8, {}, {2, 0, 0});
  ASSERT_THAT(Started(5), SizeIs(5));
  Succeed("t0");
  Fail("t1");
  EXPECT_EQ(Batch(batch).stop->failed, 1);
  EXPECT_EQ(Batch(batch).stop->ended, 2);
  Fail("t2");
  EXPECT_TRUE(Batch(batch).stop->stopped);
  EXPECT_EQ(Batch(batch).pause->why,
            "2 tasks failed, and stop_when.failed is 2");
  // What runs may fail as it likes.
  Fail("t3");
  EXPECT_THAT(Verdicts(batch), ElementsAre(JournalKind::kStopped));
  Restart();
  EXPECT_THAT(Started(), IsEmpty());
  ASSERT_OK(Apply(ResumeBatch{batch}));
  EXPECT_FALSE(Batch(batch).stop->stopped);
  Fail("t4");
  EXPECT_EQ(Batch(batch).stop->failed, 1);
  EXPECT_THAT(Started(2), SizeIs(2));
  Fail("t5");
  EXPECT_THAT(Started(), IsEmpty());
  EXPECT_THAT(Verdicts(batch),
              ElementsAre(JournalKind::kStopped, JournalKind::kStopped));
}

TEST_P(CanaryTest, ARatioCountsAfterSoMany) {
  const RowKey batch = Submit(9, {}, {0, 500'000, 4});
  ASSERT_THAT(Started(6), SizeIs(6));
  Fail("t0");
  Fail("t1");
  Succeed("t2");
  EXPECT_FALSE(Batch(batch).stop->stopped);
  Succeed("t3");
  EXPECT_TRUE(Batch(batch).stop->stopped);
  EXPECT_EQ(Batch(batch).pause->why,
            "2 of 4 tasks failed, and stop_when.failed_ratio is 0.5");
}

TEST_P(CanaryTest, APersonsPauseTakesNothingOffTheCount) {
  const RowKey batch = Submit(8, {}, {2, 0, 0});
  ASSERT_THAT(Started(3), SizeIs(3));
  Fail("t0");
  ASSERT_OK(Apply(PauseBatch{batch, ""}));
  ASSERT_OK(Apply(ResumeBatch{batch}));
  Fail("t1");
  EXPECT_TRUE(Batch(batch).stop->stopped);
}

TEST_P(CanaryTest, TheLastTaskStopsNothing) {
  const RowKey batch = Submit(2, {}, {1, 0, 0});
  ASSERT_THAT(Started(), SizeIs(2));
  Succeed("t0");
  Fail("t1");
  EXPECT_EQ(Batch(batch).state, v1::BATCH_STATE_DONE);
  EXPECT_THAT(Verdicts(batch), IsEmpty());
}

TEST_P(CanaryTest, AFailedCanaryStartsTheStopRuleAnew) {
  const RowKey batch = Submit(8, kThree, {3, 0, 0});
  ASSERT_THAT(Started(), SizeIs(3));
  Fail("t0");
  Fail("t1");
  Fail("t2");
  EXPECT_THAT(Verdicts(batch), ElementsAre(JournalKind::kCanaryFailed));
  ASSERT_OK(Apply(ResumeBatch{batch}));
  EXPECT_EQ(Batch(batch).stop->failed, 0);
  ASSERT_THAT(Started(), SizeIs(5));
  Fail("t3");
  Fail("t4");
  EXPECT_FALSE(Batch(batch).stop->stopped);
  Fail("t5");
  EXPECT_TRUE(Batch(batch).stop->stopped);
}

TEST_P(CanaryTest, AttemptsAreCountedByHowTheyFailed) {
  SubmitTask submit = Single("one");
  v1::ClassRetry& rule = *submit.spec.mutable_retry()->add_classes();
  rule.set_failure_class(v1::FAILURE_CLASS_SERVICE);
  rule.set_max_failures(2);
  auto task = Apply(submit);
  ASSERT_OK(task);
  worker_ = Register();
  v1::Ending broken = Success(10'000);
  broken.set_kind(v1::Ending::KIND_BROKEN);
  broken.mutable_failure()->set_http_status(503);
  v1::Ending not_started;
  not_started.set_kind(v1::Ending::KIND_NOT_STARTED);
  not_started.mutable_failure()->set_http_status(503);
  v1::Ending terminated = Success(10'000);
  terminated.set_kind(v1::Ending::KIND_TERMINATED);
  // Neither what an outage kept from a session counts, nor another class.
  for (const v1::Ending& ending : {not_started, terminated, broken}) {
    ASSERT_THAT(Started(), ElementsAre("one"));
    End("one", ending);
    EXPECT_EQ(Task(task->task).state, v1::TASK_STATE_QUEUED);
    time_.Advance(absl::Hours(1));
    ASSERT_OK(Apply(FireTimers{}));
  }
  ASSERT_THAT(Started(), ElementsAre("one"));
  End("one", broken);
  EXPECT_EQ(Task(task->task).state, v1::TASK_STATE_FAILED);
  EXPECT_THAT(Task(task->task).reason,
              ::testing::HasSubstr("the service broke it 2 times"));
}

MIDWATCH_ON_EVERY_STORE(CanaryTest);

}  // namespace
}  // namespace midwatch
