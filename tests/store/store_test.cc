// The store's promises as stories, each from a submit on.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <map>

#include "base/sqlite.h"
#include "scheduler/wait_policy.h"
#include "tests/testing/store_fixture.h"

namespace midwatch {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::StatusIs;

class StoreTest : public testing::StoreFixture {};

TEST_F(StoreTest, ATaskRunsToItsEnd) {
  RowKey batch = SubmitBatch(1);
  int64_t worker = Register();
  GrantRecord grant = GrantAndRecord(worker);
  EXPECT_EQ(grant.budget, 1'000'000);
  EXPECT_OK(Apply(MarkStarted{grant.lease}));
  auto settled = SettleWith(grant.lease, Success());
  ASSERT_OK(settled);
  EXPECT_EQ(settled->state, v1::TASK_STATE_SUCCEEDED);
  TaskRecord task = Task(grant.task);
  EXPECT_EQ(task.state, v1::TASK_STATE_SUCCEEDED);
  EXPECT_EQ(task.charged, 30'000);
  EXPECT_EQ(task.reserved, 0);
  EXPECT_EQ(task.session_id, "sesn_1");
  BatchRecord record = Batch(batch);
  EXPECT_EQ(record.state, v1::BATCH_STATE_DONE);
  EXPECT_EQ(record.charged, 30'000);
  EXPECT_EQ(record.reserved, 0);
}

TEST_F(StoreTest, ASettleLeavesAnErrandUntilItsSessionIsArchived) {
  SubmitBatch(1);
  const int64_t worker = Register();
  GrantRecord grant = GrantAndRecord(worker);
  ASSERT_OK(SettleWith(grant.lease, Success()));
  const LeaseErrands lease{"default", 10};
  EXPECT_THAT(Apply(lease)->sessions, IsEmpty()) << "its worker may archive it";
  time_.Advance(absl::Minutes(1));
  EXPECT_THAT(Apply(lease)->sessions, ElementsAre("sesn_1"));
  EXPECT_THAT(Apply(lease)->sessions, IsEmpty()) << "given out twice";
  // Whoever got it has died, and so has the scheduler.
  Restart();
  time_.Advance(absl::Minutes(2));
  EXPECT_THAT(Apply(lease)->sessions, ElementsAre("sesn_1"));
  const CompleteErrands complete{
      "default", {{"sesn_1", 10'000}, {"sesn_of_nobody", 10'000}}};
  EXPECT_OK(Apply(complete));
  EXPECT_OK(Apply(complete));
  Restart();
  time_.Advance(absl::Minutes(10));
  EXPECT_THAT(Apply(lease)->sessions, IsEmpty());
}

TEST_F(StoreTest, ARequestIsRememberedForSevenDays) {
  RowKey first = SubmitOne("one");
  int others = 0;
  auto submit_others = [&] {
    for (int i = 0; i < 200; ++i) SubmitOne(absl::StrCat("other-", ++others));
  };
  time_.Advance(absl::Hours(7 * 24 - 1));
  submit_others();
  EXPECT_EQ(SubmitOne("one"), first);
  time_.Advance(absl::Hours(2 * 24));
  submit_others();
  EXPECT_NE(SubmitOne("one"), first);
  EXPECT_EQ(SubmitOne("other-1"), SubmitOne("other-1"));
}

TEST_F(StoreTest, ACancelDoesNotForgetASessionThatMayRunUnheard) {
  SubmitTask submit = Single("one");
  submit.spec.set_start(v1::START_MODE_ONE_CALL);
  ASSERT_OK(Apply(submit));
  GrantRecord grant = AdmitTo(Register(), 1).at(0);
  ASSERT_OK(Apply(BeginCreate{grant.lease, "nonce-0123456789"}));
  auto cancelled = Apply(CancelTask{grant.task, "enough"});
  ASSERT_OK(cancelled);
  EXPECT_EQ(cancelled->state, v1::TASK_STATE_CANCELLING);
  EXPECT_OK(Apply(RecordSession{grant.lease, "nonce-0123456789", "sesn_1"}));
}

TEST_F(StoreTest, ErrandsAreGivenOutByAccountSoManyAtATime) {
  SubmitBatch(3);
  const int64_t worker = Register();
  int number = 0;
  for (const GrantRecord& grant : AdmitTo(worker, 3)) {
    const std::string nonce = absl::StrCat("nonce-0123456789", number);
    ASSERT_OK(Apply(BeginCreate{grant.lease, nonce}));
    ASSERT_OK(Apply(
        RecordSession{grant.lease, nonce, absl::StrCat("sesn_", number++)}));
    ASSERT_OK(SettleWith(grant.lease, Success()));
  }
  time_.Advance(absl::Minutes(1));
  EXPECT_THAT(Apply(LeaseErrands{"of nobody", 10}),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Apply(LeaseErrands{"default", 2})->sessions, SizeIs(2));
  EXPECT_THAT(Apply(LeaseErrands{"default", 2})->sessions, SizeIs(1));
}

TEST_F(StoreTest, WhatIsAcknowledgedSurvivesACrash) {
  RowKey batch = SubmitBatch(3);
  Restart();
  EXPECT_EQ(Batch(batch).counts[v1::TASK_STATE_QUEUED], 3);
  EXPECT_THAT(AdmitTo(Register(), 10), SizeIs(3));
}

TEST_F(StoreTest, WhatIsNotCommittedIsGoneAfterACrash) {
  store_->Apply(SubmitTask{.request_id = "r",
                           .tenant = "t",
                           .queue = "q",
                           .account = "a",
                           .spec = Spec(),
                           .task = Line("x")},
                [](absl::StatusOr<TaskKey>) { FAIL() << "acknowledged"; });
  Restart();
  std::vector<TaskRecord> tasks = Tasks();
  EXPECT_THAT(tasks, IsEmpty());
}

TEST_F(StoreTest, ARepeatedSubmitGivesTheSameTask) {
  RowKey first = SubmitOne();
  EXPECT_EQ(SubmitOne(), first);
  SubmitTask other{.request_id = "one",
                   .tenant = "default",
                   .queue = "default",
                   .account = "default",
                   .spec = Spec(),
                   .task = Line("another")};
  EXPECT_THAT(Apply(other), StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST_F(StoreTest, LinesOfABatchAreTakenOnce) {
  OpenBatch open{.request_id = "r",
                 .name = "b",
                 .tenant = "default",
                 .queue = "default",
                 .account = "default",
                 .content_sha256 = "",
                 .spec = Spec(),
                 .max_running = 0};
  ASSERT_OK(Apply(open));
  AddTasks two{"r", 0, {Line("a"), Line("b")}};
  EXPECT_EQ(Apply(two)->lines, 2);
  EXPECT_EQ(Apply(two)->lines, 2);
  // Overlapping: only the new line is added.
  EXPECT_EQ(Apply(AddTasks{"r", 1, {Line("b"), Line("c")}})->lines, 3);
  EXPECT_THAT(Apply(AddTasks{"r", 9, {Line("z")}}),
              StatusIs(absl::StatusCode::kOutOfRange));
  EXPECT_THAT(Apply(AddTasks{"r", 3, {Line("a")}}),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("'a'")));
  EXPECT_THAT(Apply(SealBatch{"r", 2}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(Apply(SealBatch{"r", 3})->state, v1::BATCH_STATE_SEALED);
  EXPECT_THAT(Apply(AddTasks{"r", 3, {Line("d")}}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  // Opened again: the same batch, unless it is another.
  EXPECT_EQ(Apply(open)->lines, 3);
  open.name = "other";
  EXPECT_THAT(Apply(open), StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST_F(StoreTest, ABadLineFailsItsChunkAlone) {
  OpenBatch open{.request_id = "r",
                 .name = "b",
                 .tenant = "default",
                 .queue = "default",
                 .account = "default",
                 .content_sha256 = "",
                 .spec = Spec(),
                 .max_running = 0};
  ASSERT_OK(Apply(open));
  // All three wait for one group commit.
  std::vector<absl::Status> results;
  auto keep = [&](absl::StatusOr<BatchProgress> r) {
    results.push_back(r.status());
  };
  store_->Apply(AddTasks{"r", 0, {Line("a")}}, keep);
  store_->Apply(AddTasks{"r", 1, {Line("b"), Line("a")}}, keep);
  store_->Apply(AddTasks{"r", 1, {Line("c")}}, keep);
  time_.RunUntilIdle();
  EXPECT_THAT(results, ElementsAre(testing::IsOk(),
                                   StatusIs(absl::StatusCode::kAlreadyExists),
                                   testing::IsOk()));
  std::vector<TaskRecord> tasks = Tasks();
  ASSERT_THAT(tasks, SizeIs(2));
  EXPECT_EQ(tasks[1].name, "c");
}

// The lane that a failed chunk had made was remembered, and its tasks stood in
// a lane that does not exist.
TEST_F(StoreTest, WhatAFailedWriteMadeIsForgotten) {
  ASSERT_OK(Apply(OpenBatch{.request_id = "r",
                            .name = "b",
                            .tenant = "nobody's yet",
                            .queue = "default",
                            .account = "default",
                            .content_sha256 = "",
                            .spec = Spec(),
                            .max_running = 0}));
  NewTask keyed = Line("a");
  keyed.concurrency_key = "k";
  EXPECT_THAT(Apply(AddTasks{"r", 0, {keyed, keyed}}),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_EQ(Apply(AddTasks{"r", 0, {keyed}})->lines, 1);
  EXPECT_EQ(AdmitTo(Register(), 1).size(), 1u);
}

TEST_F(StoreTest, AnEmptyBatchIsDoneWhenSealed) {
  EXPECT_EQ(Batch(SubmitBatch(0)).state, v1::BATCH_STATE_DONE);
}

TEST_F(StoreTest, TheFirstRecordedSessionStays) {
  SubmitBatch(1);
  GrantRecord grant = GrantAndRecord(Register());
  EXPECT_EQ(Apply(RecordSession{grant.lease, "nonce-2222222222", "sesn_2"})
                ->session_id,
            "sesn_1");
  EXPECT_EQ(Apply(RecordSession{grant.lease, "nonce-0123456789", "sesn_1"})
                ->session_id,
            "sesn_1");
}

TEST_F(StoreTest, AClearedSessionMakesRoomForAnother) {
  SubmitBatch(1);
  GrantRecord grant = GrantAndRecord(Register());
  EXPECT_THAT(Apply(ClearSession{grant.lease, "sesn_9"}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_OK(Apply(ClearSession{grant.lease, "sesn_1"}));
  EXPECT_OK(Apply(ClearSession{grant.lease, "sesn_1"}));
  ASSERT_OK(Apply(BeginCreate{grant.lease, "nonce-2222222222"}));
  EXPECT_EQ(Apply(RecordSession{grant.lease, "nonce-2222222222", "sesn_2"})
                ->session_id,
            "sesn_2");
}

// The call was repeated, and the first one came once all was over.
TEST_F(StoreTest, ALateRecordBringsNoClearedSessionBack) {
  SubmitBatch(1);
  GrantRecord grant = GrantAndRecord(Register());
  ASSERT_OK(Apply(ClearSession{grant.lease, "sesn_1"}));
  EXPECT_THAT(Apply(RecordSession{grant.lease, "nonce-0123456789", "sesn_1"}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(Task(grant.task).session_id, "");
}

TEST_F(StoreTest, ASessionIsRecordedOnlyForACreateThatWasBegun) {
  SubmitBatch(1);
  GrantRecord grant = AdmitTo(Register(), 1).at(0);
  EXPECT_THAT(Apply(RecordSession{grant.lease, "nonce-0123456789", "sesn_1"}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(StoreTest, AStartedSessionCannotBeCleared) {
  SubmitBatch(1);
  GrantRecord grant = GrantAndRecord(Register());
  ASSERT_OK(Apply(MarkStarted{grant.lease}));
  EXPECT_THAT(Apply(ClearSession{grant.lease, "sesn_1"}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(StoreTest, LateSettleIsRefused) {
  SubmitBatch(1);
  int64_t first = Register();
  GrantRecord old = GrantAndRecord(first);
  // The worker's term lapses, and another adopts.
  EXPECT_THAT(Apply(FreeLeases{first, {}})->leases, ElementsAre(old.lease));
  EXPECT_THAT(SettleWith(old.lease, Success()),
              StatusIs(absl::StatusCode::kAborted));
  int64_t second = Register("worker-incarnation-2");
  std::vector<GrantRecord> grants = AdmitTo(second, 1);
  ASSERT_THAT(grants, SizeIs(1));
  EXPECT_GT(grants[0].lease.epoch, old.lease.epoch);
  EXPECT_EQ(grants[0].session_id, "sesn_1");
  EXPECT_EQ(grants[0].phase, v1::ATTEMPT_PHASE_SENDING);
  EXPECT_EQ(grants[0].grant_seq, old.grant_seq);
  EXPECT_THAT(SettleWith(old.lease, Success()),
              StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(Apply(RecordSession{old.lease, "nonce-2222222222", "sesn_2"}),
              StatusIs(absl::StatusCode::kAborted));
  EXPECT_OK(SettleWith(grants[0].lease, Success()));
}

TEST_F(StoreTest, ASettleAgainIsTheSameSettle) {
  SubmitBatch(1);
  GrantRecord grant = GrantAndRecord(Register());
  ASSERT_OK(SettleWith(grant.lease, Success()));
  auto again = SettleWith(grant.lease, Success());
  ASSERT_OK(again);
  EXPECT_EQ(again->state, v1::TASK_STATE_SUCCEEDED);
  EXPECT_THAT(SettleWith(grant.lease, Success(99)),
              StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(Task(grant.task).charged, 30'000);
}

TEST_F(StoreTest, LeasesThatTheWorkerHoldsAreKept) {
  SubmitBatch(3);
  int64_t worker = Register();
  std::vector<GrantRecord> grants = AdmitTo(worker, 3);
  auto freed = Apply(FreeLeases{worker, {grants[1].lease}});
  EXPECT_THAT(freed->leases, ElementsAre(grants[0].lease, grants[2].lease));
  EXPECT_OK(Apply(BeginCreate{grants[1].lease, "nonce-0123456789"}));
  EXPECT_THAT(Apply(BeginCreate{grants[0].lease, "nonce-0123456789"}),
              StatusIs(absl::StatusCode::kAborted));
}

TEST_F(StoreTest, AKeptLeaseOfACancelledTaskIsNamedAgain) {
  SubmitBatch(1);
  int64_t worker = Register();
  GrantRecord grant = GrantAndRecord(worker);
  auto kept = Apply(FreeLeases{worker, {grant.lease}});
  EXPECT_THAT(kept->notices, IsEmpty());
  auto cancelled = Apply(CancelTask{grant.task, ""});
  for (int again = 0; again < 2; ++again) {
    kept = Apply(FreeLeases{worker, {grant.lease}});
    EXPECT_THAT(kept->leases, IsEmpty());
    ASSERT_THAT(kept->notices, SizeIs(1));
    EXPECT_EQ(kept->notices[0].lease, grant.lease);
    EXPECT_EQ(kept->notices[0].say->number(),
              cancelled->notices.at(0).say->number());
  }
}

TEST_F(StoreTest, AFailedAttemptComesBackAfterItsDelay) {
  SubmitBatch(1);
  int64_t worker = Register();
  GrantRecord grant = GrantAndRecord(worker);
  v1::Ending ending;
  ending.set_kind(v1::Ending::KIND_TERMINATED);
  ending.set_charged(true);
  ending.set_list_cost_usd_micros(100'000);
  EXPECT_EQ(SettleWith(grant.lease, ending)->state, v1::TASK_STATE_QUEUED);
  EXPECT_THAT(AdmitTo(worker, 1), IsEmpty());
  time_.Advance(absl::Seconds(9));
  EXPECT_EQ(Apply(FireTimers{})->fired, 0);
  time_.Advance(absl::Seconds(1));
  EXPECT_EQ(Apply(FireTimers{})->fired, 1);
  std::vector<GrantRecord> again = AdmitTo(worker, 1);
  ASSERT_THAT(again, SizeIs(1));
  EXPECT_EQ(again[0].lease.attempt, 2);
  EXPECT_EQ(again[0].session_id, "");
  // What the first attempt left.
  EXPECT_EQ(again[0].budget, 900'000);
  TaskRecord task = Task(grant.task);
  EXPECT_EQ(task.failures, 1);
  EXPECT_THAT(task.attempt_list, SizeIs(2));
}

TEST_F(StoreTest, CancellingAQueuedTaskEndsItAtOnce) {
  RowKey batch = SubmitBatch(1);
  std::vector<TaskRecord> tasks = Tasks();
  auto result = Apply(CancelTask{tasks.at(0).key, "not needed"});
  EXPECT_EQ(result->state, v1::TASK_STATE_CANCELLED);
  EXPECT_EQ(Task(tasks.at(0).key).reason, "not needed");
  EXPECT_EQ(Batch(batch).state, v1::BATCH_STATE_DONE);
  EXPECT_THAT(AdmitTo(Register(), 1), IsEmpty());
}

TEST_F(StoreTest, CancellingBeforeASessionRevokesTheLease) {
  SubmitBatch(1);
  GrantRecord grant = AdmitTo(Register(), 1).at(0);
  auto result = Apply(CancelTask{grant.task, ""});
  EXPECT_EQ(result->state, v1::TASK_STATE_CANCELLED);
  ASSERT_THAT(result->notices, SizeIs(1));
  EXPECT_FALSE(result->notices[0].say.has_value());
  EXPECT_THAT(Apply(RecordSession{grant.lease, "nonce-0123456789", "sesn_1"}),
              StatusIs(absl::StatusCode::kAborted));
  EXPECT_EQ(Task(grant.task).reserved, 0);
}

TEST_F(StoreTest, CancellingWithASessionWaitsForItsSettle) {
  RowKey batch = SubmitBatch(1);
  GrantRecord grant = GrantAndRecord(Register());
  auto result = Apply(CancelTask{grant.task, "too slow"});
  EXPECT_EQ(result->state, v1::TASK_STATE_CANCELLING);
  ASSERT_THAT(result->notices, SizeIs(1));
  EXPECT_EQ(result->notices[0].say->kind(), v1::SAY_KIND_INTERRUPT);
  EXPECT_EQ(SettleWith(grant.lease, Success())->state,
            v1::TASK_STATE_CANCELLED);
  TaskRecord task = Task(grant.task);
  EXPECT_EQ(task.charged, 30'000);
  EXPECT_EQ(task.reason, "too slow");
  EXPECT_EQ(Batch(batch).state, v1::BATCH_STATE_DONE);
}

TEST_F(StoreTest, ABatchIsCancelledInSteps) {
  RowKey batch = SubmitBatch(450);
  GrantAndRecord(Register());
  int steps = 0;
  bool more = true;
  while (more) {
    auto result = Apply(CancelBatch{batch, "enough"});
    ASSERT_OK(result);
    more = result->more;
    ++steps;
  }
  EXPECT_EQ(steps, 3);
  BatchRecord record = Batch(batch);
  EXPECT_EQ(record.counts[v1::TASK_STATE_CANCELLED], 449);
  EXPECT_EQ(record.counts[v1::TASK_STATE_CANCELLING], 1);
  EXPECT_EQ(record.state, v1::BATCH_STATE_CANCELLING);
}

TEST_F(StoreTest, ABatchCapBlocksItsLaneUntilATaskEnds) {
  SubmitBatch(3, /*max_running=*/1);
  SubmitBatch(1, 0, "batch-2");
  int64_t worker = Register();
  std::vector<GrantRecord> grants = AdmitTo(worker, 10);
  ASSERT_THAT(grants, SizeIs(2));  // one of each batch
  EXPECT_THAT(AdmitTo(worker, 10), IsEmpty());
  ASSERT_OK(SettleWith(grants[0].lease, Success()));
  EXPECT_THAT(AdmitTo(worker, 10), SizeIs(1));
}

TEST_F(StoreTest, TasksOfOneConcurrencyKeyRunOneAtATime) {
  for (const char* request : {"r1", "r2", "r3"}) {
    SubmitTask submit{.request_id = request,
                      .tenant = "default",
                      .queue = "default",
                      .account = "default",
                      .spec = Spec(),
                      .task = Line(request)};
    submit.task.concurrency_key = request[1] == '3' ? "other" : "repo-7";
    ASSERT_OK(Apply(submit));
  }
  int64_t worker = Register();
  std::vector<GrantRecord> grants = AdmitTo(worker, 10);
  ASSERT_THAT(grants, SizeIs(2));
  EXPECT_EQ(grants[0].name, "r1");
  EXPECT_EQ(grants[1].name, "r3");
  ASSERT_OK(SettleWith(grants[0].lease, Success()));
  grants = AdmitTo(worker, 10);
  ASSERT_THAT(grants, SizeIs(1));
  EXPECT_EQ(grants[0].name, "r2");
}

TEST_F(StoreTest, TheOutboxIsWrittenOnceByKey) {
  SubmitBatch(1);
  int64_t worker = Register();
  GrantRecord grant = GrantAndRecord(worker);
  AddSay nudge{grant.lease, v1::SAY_KIND_MESSAGE, "nudge:0", "go on"};
  EXPECT_EQ(Apply(nudge)->say.number(), 1);
  EXPECT_EQ(Apply(nudge)->say.number(), 1);
  nudge.key = "nudge:1";
  EXPECT_EQ(Apply(nudge)->say.number(), 2);
  ASSERT_OK(Apply(MarkSaid{grant.lease, 1}));
  ASSERT_OK(Apply(HandBack{grant.lease}));
  GrantRecord adopted = AdmitTo(worker, 1).at(0);
  ASSERT_THAT(adopted.outbox, SizeIs(2));
  EXPECT_TRUE(adopted.outbox[0].said());
  EXPECT_FALSE(adopted.outbox[1].said());
}

v1::Question Question(const std::string& id, bool wants_result = false) {
  v1::Question question;
  question.set_question_id(id);
  question.set_tool("bash");
  question.set_wants_result(wants_result);
  return question;
}

Park ParkFor(const LeaseKey& lease, std::vector<v1::Question> questions) {
  return {lease, std::move(questions), SpecWaitPolicy()};
}

TEST_F(StoreTest, AParkedTaskIsHeldByNobodyUntilAllIsAnswered) {
  RowKey batch = SubmitBatch(1);
  int64_t worker = Register();
  GrantRecord grant = GrantAndRecord(worker);
  auto parked =
      Apply(ParkFor(grant.lease, {Question("a"), Question("b", true)}));
  ASSERT_OK(parked);
  EXPECT_TRUE(parked->parked);
  EXPECT_OK(Apply(HandBack{grant.lease}));
  EXPECT_THAT(Apply(ParkFor(grant.lease, {Question("a")})),
              StatusIs(absl::StatusCode::kAborted));
  EXPECT_THAT(AdmitTo(worker, 1), IsEmpty());
  TaskRecord task = Task(grant.task);
  EXPECT_EQ(task.state, v1::TASK_STATE_WAITING);
  EXPECT_EQ(task.reserved, 1'000'000);
  EXPECT_EQ(task.answer_by, clock_.Now() + absl::Hours(12));
  EXPECT_THAT(task.questions, SizeIs(2));
  EXPECT_EQ(Batch(batch).counts[v1::TASK_STATE_WAITING], 1);

  Restart();
  AnswerTask answer{grant.task, "", v1::SAY_KIND_ALLOW, ""};
  EXPECT_THAT(Apply(answer), StatusIs(absl::StatusCode::kFailedPrecondition));
  answer.question = "b";
  EXPECT_THAT(Apply(answer), StatusIs(absl::StatusCode::kFailedPrecondition));
  answer.question = "a";
  EXPECT_EQ(Apply(answer)->state, v1::TASK_STATE_WAITING);
  EXPECT_EQ(Apply(answer)->state, v1::TASK_STATE_WAITING);
  EXPECT_THAT(AdmitTo(worker, 1), IsEmpty());
  time_.Advance(absl::Hours(1));
  AnswerTask broken{grant.task, "b", v1::SAY_KIND_DENY, "no such tool"};
  EXPECT_EQ(Apply(broken)->state, v1::TASK_STATE_RUNNING);
  EXPECT_EQ(Apply(broken)->state, v1::TASK_STATE_RUNNING);
  answer.kind = v1::SAY_KIND_DENY;
  EXPECT_THAT(Apply(answer), StatusIs(absl::StatusCode::kFailedPrecondition));
  GrantRecord again = AdmitTo(worker, 1).at(0);
  EXPECT_EQ(again.parked, absl::Hours(1));
  EXPECT_EQ(again.budget, grant.budget);
  ASSERT_THAT(again.outbox, SizeIs(2));
  EXPECT_EQ(again.outbox[0].kind(), v1::SAY_KIND_ALLOW);
  EXPECT_EQ(again.outbox[1].kind(), v1::SAY_KIND_ERROR);
  EXPECT_EQ(again.outbox[1].text(), "no such tool");
  // Asked again of what the outbox holds: nobody has to be.
  EXPECT_FALSE(Apply(ParkFor(again.lease, {Question("a")}))->parked);
  ASSERT_OK(SettleWith(again.lease, Success()));
  EXPECT_EQ(Batch(batch).state, v1::BATCH_STATE_DONE);
}

TEST_F(StoreTest, AnUnansweredTaskIsGrantedAgainToBeSettled) {
  RowKey batch = SubmitBatch(1);
  int64_t worker = Register();
  GrantRecord grant = GrantAndRecord(worker);
  ASSERT_OK(Apply(ParkFor(grant.lease, {Question("a")})));
  time_.Advance(absl::Hours(12) - absl::Seconds(1));
  EXPECT_EQ(Apply(FireTimers{})->fired, 0);
  time_.Advance(absl::Seconds(1));
  EXPECT_EQ(Apply(FireTimers{})->fired, 1);
  EXPECT_THAT(Apply(AnswerTask{grant.task, "", v1::SAY_KIND_ALLOW, ""}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  GrantRecord again = AdmitTo(worker, 1).at(0);
  EXPECT_TRUE(again.unanswered);
  v1::Ending ending = Success(20'000);
  ending.set_stop_reason("requires_action");
  EXPECT_EQ(SettleWith(again.lease, ending)->state, v1::TASK_STATE_FAILED);
  EXPECT_EQ(Task(grant.task).charged, 20'000);
  EXPECT_EQ(Batch(batch).reserved, 0);
}

TEST_F(StoreTest, ACancelledParkedTaskIsGrantedAgainToBeEnded) {
  RowKey batch = SubmitBatch(1);
  int64_t worker = Register();
  GrantRecord grant = GrantAndRecord(worker);
  ASSERT_OK(Apply(ParkFor(grant.lease, {Question("a")})));
  EXPECT_EQ(Apply(CancelTask{grant.task, ""})->state,
            v1::TASK_STATE_CANCELLING);
  GrantRecord again = AdmitTo(worker, 1).at(0);
  EXPECT_TRUE(again.cancelling);
  EXPECT_TRUE(Apply(ParkFor(again.lease, {Question("a")}))->cancelling);
  time_.Advance(absl::Hours(13));
  EXPECT_EQ(Apply(FireTimers{})->fired, 0);
  ASSERT_OK(SettleWith(again.lease, Success()));
  EXPECT_EQ(Batch(batch).counts[v1::TASK_STATE_CANCELLED], 1);
}

TEST_F(StoreTest, AParkedTaskLeavesItsPlaceUnderTheBatchCap) {
  SubmitBatch(3, /*max_running=*/1);
  int64_t worker = Register();
  GrantRecord grant = GrantAndRecord(worker);
  EXPECT_THAT(AdmitTo(worker, 10), IsEmpty());
  ASSERT_OK(Apply(ParkFor(grant.lease, {Question("a")})));
  EXPECT_THAT(AdmitTo(worker, 10), SizeIs(1));
  EXPECT_THAT(AdmitTo(worker, 10), IsEmpty());
  // Answered, it goes on beside the one that took its place.
  ASSERT_OK(Apply(AnswerTask{grant.task, "a", v1::SAY_KIND_ALLOW, ""}));
  std::vector<GrantRecord> grants = AdmitTo(worker, 10);
  ASSERT_THAT(grants, SizeIs(1));
  EXPECT_EQ(grants[0].lease.task, grant.lease.task);
}

TEST_F(StoreTest, ARaiseIsReservedBeforeTheSessionHearsOfIt) {
  RowKey batch = SubmitBatch(1);
  int64_t worker = Register();
  GrantRecord grant = GrantAndRecord(worker);
  v1::Question question;
  question.set_question_id("idle-1");
  question.set_spent_usd_micros(grant.budget);
  ASSERT_OK(Apply(ParkFor(grant.lease, {question})));
  const int64_t to = grant.budget + 50'000;
  AnswerTask raise{grant.task, "", v1::SAY_KIND_BUDGET,
                   absl::StrCat(grant.budget + 9'999)};
  EXPECT_THAT(Apply(raise), StatusIs(absl::StatusCode::kFailedPrecondition));
  raise.text = absl::StrCat(to);
  ASSERT_OK(Apply(raise));
  raise.question = "idle-1";
  EXPECT_OK(Apply(raise));  // again
  EXPECT_EQ(Batch(batch).reserved, to);
  EXPECT_EQ(Task(grant.task).max_cost, to);
  std::vector<GrantRecord> grants = AdmitTo(worker, 1);
  ASSERT_THAT(grants, SizeIs(1));
  const GrantRecord& again = grants[0];
  EXPECT_EQ(again.budget, to);
  ASSERT_EQ(again.outbox.size(), 1U);
  EXPECT_EQ(again.outbox[0].kind(), v1::SAY_KIND_BUDGET);
  EXPECT_EQ(again.outbox[0].key(), "idle-1");
}

TEST_F(StoreTest, ThePolicyOfTheSpecAnswersPermissions) {
  v1::TaskSpec spec;
  EXPECT_EQ(AnswerOf(spec, Question("a")), v1::SAY_KIND_UNSPECIFIED);
  spec.set_answers(v1::ANSWER_POLICY_ALLOW);
  EXPECT_EQ(AnswerOf(spec, Question("a")), v1::SAY_KIND_ALLOW);
  EXPECT_EQ(AnswerOf(spec, Question("a", true)), v1::SAY_KIND_UNSPECIFIED);
  SubmitBatch(1);
  GrantRecord grant = GrantAndRecord(Register());
  Park park = ParkFor(grant.lease, {Question("a")});
  park.policy.answer = [](const v1::TaskSpec&, const v1::Question&) {
    return v1::SAY_KIND_DENY;
  };
  auto answered = Apply(park);
  ASSERT_OK(answered);
  EXPECT_FALSE(answered->parked);
  ASSERT_THAT(answered->answers, SizeIs(1));
  EXPECT_EQ(answered->answers[0].key(), "a");
  EXPECT_EQ(Task(grant.task).state, v1::TASK_STATE_RUNNING);
}

TEST_F(StoreTest, EventsAreStoredOnceAndInOrder) {
  EXPECT_EQ(*Append(7, 0, {"{\"a\":1}", "{\"b\":2}"}), 2);
  EXPECT_EQ(*Append(7, 0, {"{\"a\":1}", "{\"b\":2}"}), 2);
  EXPECT_EQ(*Append(7, 1, {"{\"b\":2}", "{\"c\":3}"}), 3);
  EXPECT_THAT(Append(7, 5, {"{}"}), StatusIs(absl::StatusCode::kOutOfRange));
  auto events = Read<std::vector<std::string>>(
      [](StoreReader& reader) { return reader.ReadEvents(7, 1); });
  EXPECT_THAT(*events, ElementsAre("{\"b\":2}", "{\"c\":3}"));
}

TEST_F(StoreTest, ARetriedTaskIsANewOne) {
  SubmitBatch(1);
  GrantRecord grant = GrantAndRecord(Register());
  EXPECT_THAT(Apply(RetryTask{grant.task, "again"}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  ASSERT_OK(SettleWith(grant.lease, Success()));
  auto retry = Apply(RetryTask{grant.task, "again"});
  ASSERT_OK(retry);
  EXPECT_EQ(Apply(RetryTask{grant.task, "again"})->task, retry->task);
  TaskRecord task = Task(retry->task);
  EXPECT_EQ(task.retry_of, grant.task);
  EXPECT_EQ(task.state, v1::TASK_STATE_QUEUED);
}

TEST_F(StoreTest, AnIdOfAnotherMomentNamesNothing) {
  RowKey task = SubmitOne();
  ++task.unix_millis;
  EXPECT_THAT(Apply(CancelTask{task, ""}),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(StoreTest, BalancesEqualTheJournal) {
  RowKey batch = SubmitBatch(20);
  int64_t worker = Register();
  for (int round = 0; round < 6; ++round) {
    for (const GrantRecord& grant : AdmitTo(worker, 4)) {
      v1::Ending ending = Success(1'200'000);  // over its reservation
      if (grant.lease.task % 3 == 0) ending.set_kind(v1::Ending::KIND_DELETED);
      if (grant.lease.task % 5 == 0) ending.set_list_cost_usd_micros(5);
      ASSERT_OK(SettleWith(grant.lease, ending));
    }
    time_.Advance(absl::Minutes(20));
    ASSERT_OK(Apply(FireTimers{}));
  }
  auto journal = Read<std::vector<JournalRecord>>([&](StoreReader& reader) {
    return reader.ListJournal(batch.row, 0, 10'000);
  });
  ASSERT_OK(journal);
  int64_t reserved = 0, charged = 0, over = 0;
  std::map<int64_t, int64_t> by_task;
  for (const JournalRecord& entry : *journal) {
    reserved += entry.reserve_delta;
    charged += entry.charge_delta;
    over += entry.over_delta;
    if (entry.task) by_task[entry.task->row] += entry.charge_delta;
  }
  BatchRecord record = Batch(batch);
  EXPECT_EQ(record.charged, charged);
  EXPECT_EQ(record.reserved, reserved);
  EXPECT_GT(over, 0);
  std::vector<TaskRecord> tasks = Tasks();
  for (const TaskRecord& task : tasks) {
    EXPECT_EQ(task.charged, by_task[task.key.row]) << task.name;
    EXPECT_LE(task.charged, task.max_cost + over);
  }
}

// A batch was read as done whose last changes had not been read.
TEST_F(StoreTest, OneReadSeesOneMoment) {
  RowKey batch = SubmitBatch(1);
  auto seen = Read<bool>([&](StoreReader& reader) -> absl::StatusOr<bool> {
    EXPECT_EQ(reader.GetBatch(batch)->state, v1::BATCH_STATE_SEALED);
    auto writer = Sqlite::Open(dir_ / "queue.db");
    EXPECT_OK(writer);
    EXPECT_OK(
        (*writer)->Run("UPDATE batch SET state = 4 WHERE id = ?", batch.row));
    EXPECT_EQ(reader.GetBatch(batch)->state, v1::BATCH_STATE_SEALED);
    return true;
  });
  ASSERT_OK(seen);
  EXPECT_EQ(Batch(batch).state, v1::BATCH_STATE_DONE);
}

// Opening ---------------------------------------------------------------------

TEST_F(StoreTest, ASecondProcessIsRefused) {
  testing::FakeExecutor other(time_);
  SqliteStoreOptions options{.dir = dir_.path(), .threads = false};
  EXPECT_THAT(OpenSqliteStore(other, pool_, clock_, random_, options),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("in use by process")));
}

TEST_F(StoreTest, ADatabaseOfANewerReleaseIsLeftAlone) {
  Crash();
  {
    auto db = Sqlite::Open(dir_ / "queue.db");
    ASSERT_OK(db);
    ASSERT_OK((*db)->Script("PRAGMA user_version = 99"));
  }
  testing::FakeExecutor other(time_);
  SqliteStoreOptions options{.dir = dir_.path(), .threads = false};
  EXPECT_THAT(OpenSqliteStore(other, pool_, clock_, random_, options),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("newer release")));
}

TEST_F(StoreTest, ACorruptFileIsLeftAlone) {
  Crash();
  std::string garbage(8192, 'x');
  std::ofstream(dir_ / "queue.db", std::ios::trunc) << garbage;
  testing::FakeExecutor other(time_);
  SqliteStoreOptions options{.dir = dir_.path(), .threads = false};
  EXPECT_THAT(OpenSqliteStore(other, pool_, clock_, random_, options),
              StatusIs(absl::StatusCode::kDataLoss));
  std::ifstream file(dir_ / "queue.db");
  EXPECT_EQ(std::string(std::istreambuf_iterator<char>(file), {}), garbage);
}

TEST_F(StoreTest, SomebodyElsesDatabaseIsLeftAlone) {
  Crash();
  std::filesystem::remove(dir_ / "queue.db");
  {
    auto db = Sqlite::Open(dir_ / "queue.db");
    ASSERT_OK(db);
    ASSERT_OK((*db)->Script("CREATE TABLE mine(x)"));
  }
  testing::FakeExecutor other(time_);
  SqliteStoreOptions options{.dir = dir_.path(), .threads = false};
  EXPECT_THAT(OpenSqliteStore(other, pool_, clock_, random_, options),
              StatusIs(absl::StatusCode::kDataLoss,
                       HasSubstr("not one of Midwatch's")));
}

}  // namespace
}  // namespace midwatch
