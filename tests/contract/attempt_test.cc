// An attempt from its grant to its settle, and what that leaves.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "tests/contract/store_contract.h"

namespace midwatch {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::StatusIs;
using testing::StoreTest;

TEST_P(StoreTest, ATaskRunsToItsEnd) {
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

TEST_P(StoreTest, TheFirstRecordedSessionStays) {
  SubmitBatch(1);
  GrantRecord grant = GrantAndRecord(Register());
  EXPECT_EQ(Apply(RecordSession{grant.lease, "nonce-2222222222", "sesn_2"})
                ->session_id,
            "sesn_1");
  EXPECT_EQ(Apply(RecordSession{grant.lease, "nonce-0123456789", "sesn_1"})
                ->session_id,
            "sesn_1");
}

TEST_P(StoreTest, AClearedSessionMakesRoomForAnother) {
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
TEST_P(StoreTest, ALateRecordBringsNoClearedSessionBack) {
  SubmitBatch(1);
  GrantRecord grant = GrantAndRecord(Register());
  ASSERT_OK(Apply(ClearSession{grant.lease, "sesn_1"}));
  EXPECT_THAT(Apply(RecordSession{grant.lease, "nonce-0123456789", "sesn_1"}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(Task(grant.task).session_id, "");
}

// Both calls were repeated on their way, and come late.
TEST_P(StoreTest, ALateBeginBringsNoClearedSessionBack) {
  SubmitBatch(1);
  GrantRecord grant = GrantAndRecord(Register());
  ASSERT_OK(Apply(BeginCreate{grant.lease, "nonce-0123456789"}));
  ASSERT_OK(Apply(ClearSession{grant.lease, "sesn_1"}));
  ASSERT_OK(Apply(BeginCreate{grant.lease, "nonce-0123456789"}));
  EXPECT_THAT(Apply(RecordSession{grant.lease, "nonce-0123456789", "sesn_1"}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(Task(grant.task).session_id, "");
}

TEST_P(StoreTest, ASessionIsRecordedOnlyForACreateThatWasBegun) {
  SubmitBatch(1);
  GrantRecord grant = AdmitTo(Register(), 1).at(0);
  EXPECT_THAT(Apply(RecordSession{grant.lease, "nonce-0123456789", "sesn_1"}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_P(StoreTest, AStartedSessionCannotBeCleared) {
  SubmitBatch(1);
  GrantRecord grant = GrantAndRecord(Register());
  ASSERT_OK(Apply(MarkStarted{grant.lease}));
  EXPECT_THAT(Apply(ClearSession{grant.lease, "sesn_1"}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_P(StoreTest, LateSettleIsRefused) {
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

TEST_P(StoreTest, ASettleAgainIsTheSameSettle) {
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

TEST_P(StoreTest, LeasesThatTheWorkerHoldsAreKept) {
  SubmitBatch(3);
  int64_t worker = Register();
  std::vector<GrantRecord> grants = AdmitTo(worker, 3);
  auto freed = Apply(FreeLeases{worker, {grants[1].lease}});
  EXPECT_THAT(freed->leases, ElementsAre(grants[0].lease, grants[2].lease));
  EXPECT_OK(Apply(BeginCreate{grants[1].lease, "nonce-0123456789"}));
  EXPECT_THAT(Apply(BeginCreate{grants[0].lease, "nonce-0123456789"}),
              StatusIs(absl::StatusCode::kAborted));
}

TEST_P(StoreTest, AFailedAttemptComesBackAfterItsDelay) {
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

TEST_P(StoreTest, ABatchCapBlocksItsLaneUntilATaskEnds) {
  SubmitBatch(3, /*max_running=*/1);
  SubmitBatch(1, 0, "batch-2");
  int64_t worker = Register();
  std::vector<GrantRecord> grants = AdmitTo(worker, 10);
  ASSERT_THAT(grants, SizeIs(2));  // one of each batch
  EXPECT_THAT(AdmitTo(worker, 10), IsEmpty());
  ASSERT_OK(SettleWith(grants[0].lease, Success()));
  EXPECT_THAT(AdmitTo(worker, 10), SizeIs(1));
}

TEST_P(StoreTest, TasksOfOneConcurrencyKeyRunOneAtATime) {
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

TEST_P(StoreTest, TheOutboxIsWrittenOnceByKey) {
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

TEST_P(StoreTest, EventsAreStoredOnceAndInOrder) {
  EXPECT_EQ(*Append(7, 0, {"{\"a\":1}", "{\"b\":2}"}), 2);
  EXPECT_EQ(*Append(7, 0, {"{\"a\":1}", "{\"b\":2}"}), 2);
  EXPECT_EQ(*Append(7, 1, {"{\"b\":2}", "{\"c\":3}"}), 3);
  EXPECT_THAT(Append(7, 5, {"{}"}), StatusIs(absl::StatusCode::kOutOfRange));
  auto events = Read<std::vector<std::string>>(
      [](StoreReader& reader) { return reader.ReadEvents(7, 1); });
  EXPECT_THAT(*events, ElementsAre("{\"b\":2}", "{\"c\":3}"));
}

TEST_P(StoreTest, ASettleLeavesAnErrandUntilItsSessionIsArchived) {
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

TEST_P(StoreTest, ErrandsAreGivenOutByAccountSoManyAtATime) {
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

// With nothing left to start, nothing else would find out that its key works
// again: its sessions would stay, and what they cost would never be known.
TEST_P(StoreTest, AnAccountWithErrandsAloneIsProbedByOne) {
  SubmitBatch(2);
  const int64_t worker = Register();
  GrantRecord before = AdmitTo(worker, 1).at(0);
  ASSERT_OK(Apply(BeginCreate{before.lease, "nonce-before-it"}));
  ASSERT_OK(Apply(RecordSession{before.lease, "nonce-before-it", "sesn_0"}));
  ASSERT_OK(SettleWith(before.lease, Success()));
  GrantRecord grant = GrantAndRecord(worker);
  ASSERT_OK(Apply(MarkStarted{grant.lease}));
  ASSERT_OK(Apply(CancelTask{grant.task, "enough"}));
  v1::Ending refused = SuccessAtUnknownCost();
  refused.set_kind(v1::Ending::KIND_BROKEN);
  refused.mutable_failure()->set_http_status(401);
  ASSERT_OK(SettleWith(grant.lease, refused));
  auto state = [&] {
    auto accounts = Read<std::vector<AccountRecord>>(
        [](StoreReader& reader) { return reader.ListAccounts(); });
    return accounts->at(0).standing.state;
  };
  ASSERT_EQ(state(), v1::ACCOUNT_STATE_REFUSED);
  const LeaseErrands lease{"default", 10};
  // Archived before the key was refused, and told now.
  ASSERT_OK(Apply(CompleteErrands{"default", {{"sesn_0", 30'000}}}));
  EXPECT_EQ(state(), v1::ACCOUNT_STATE_REFUSED);
  time_.Advance(absl::Minutes(2));
  EXPECT_THAT(Apply(lease)->sessions, IsEmpty()) << "not yet";
  time_.Advance(absl::Minutes(4));
  EXPECT_THAT(Apply(lease)->sessions, ElementsAre("sesn_1"));
  EXPECT_THAT(Apply(lease)->sessions, IsEmpty()) << "one at a time";
  // To a key of another workspace every session is gone.
  ASSERT_OK(Apply(CompleteErrands{"default", {{"sesn_1", {}, true}}}));
  EXPECT_EQ(state(), v1::ACCOUNT_STATE_REFUSED);
  time_.Advance(absl::Minutes(6));
  EXPECT_THAT(Apply(lease)->sessions, ElementsAre("sesn_1"));
  ASSERT_OK(Apply(CompleteErrands{"default", {{"sesn_1", 20'000}}}));
  EXPECT_EQ(state(), v1::ACCOUNT_STATE_OPEN);
  EXPECT_EQ(Task(grant.task).charged, 20'000);
}

TEST_P(StoreTest, BalancesEqualTheJournal) {
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

}  // namespace
}  // namespace midwatch
