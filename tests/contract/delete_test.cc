// Deleting batches, step by step, and single tasks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "scheduler/session_fate.h"
#include "tests/contract/store_contract.h"

namespace midwatch {
namespace {

using testing::ContractTest;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using testing::StatusIs;

class DeleteTest : public ContractTest {
 protected:
  // Settles all that can start; a refusal is a failure for good.
  void RunAll(int64_t cost = 30'000, const char* stop_reason = "end_turn") {
    while (true) {
      std::vector<GrantRecord> grants = AdmitTo(worker_, 1);
      if (grants.empty()) break;
      const std::string nonce = absl::StrCat("nonce-", ++sessions_);
      const std::string session = absl::StrCat("sesn_", sessions_);
      ASSERT_OK(Apply(BeginCreate{grants[0].lease, nonce}));
      ASSERT_OK(Apply(RecordSession{grants[0].lease, nonce, session}));
      v1::Ending ending = Success(cost);
      ending.set_stop_reason(stop_reason);
      ASSERT_OK(SettleWith(grants[0].lease, std::move(ending)));
      open_.push_back(session);
    }
  }
  void Archive() {
    CompleteErrands done{.account = "default", .errands = {}};
    for (std::string& session : std::exchange(open_, {})) {
      done.errands.push_back({.session = std::move(session)});
    }
    ASSERT_OK(Apply(done));
  }
  // Until it is through: how many rows went with each write.
  std::vector<int> Delete(RowKey batch) {
    std::vector<int> steps;
    for (bool more = true; more && steps.size() < 10'000;) {
      auto deleted = Apply(DeleteBatch{batch, "tidying"});
      EXPECT_OK(deleted);
      if (!deleted.ok()) break;
      steps.push_back(deleted->rows);
      more = deleted->more;
    }
    return steps;
  }
  std::vector<JournalRecord> Journal(const MoneyFilter& filter = {}) {
    auto page = Read<RowPage<JournalRecord>>([&](StoreReader& reader) {
      return reader.ListMoney(filter, 0, 10'000);
    });
    EXPECT_OK(page);
    return page.ok() ? std::move(page->rows) : std::vector<JournalRecord>();
  }
  int64_t Charged(const MoneyFilter& filter = {}) {
    int64_t sum = 0;
    for (const JournalRecord& row : Journal(filter)) sum += row.charge_delta;
    return sum;
  }
  absl::Status Look(RowKey batch) {
    return Read<BatchRecord>(
               [&](StoreReader& reader) { return reader.GetBatch(batch); })
        .status();
  }
  std::vector<BatchRecord> Listed() {
    auto page = Read<RowPage<BatchRecord>>([](StoreReader& reader) {
      return reader.ListBatches({}, INT64_MAX, 100);
    });
    EXPECT_OK(page);
    return page.ok() ? std::move(page->rows) : std::vector<BatchRecord>();
  }
  // A task of no batch that needs both, of which the first is done: the words
  // of that one it is to be given.
  RowKey SubmitNeeding(RowKey done, RowKey other) {
    SubmitTask needing = Single("needing");
    needing.task.line.add_needs()->set_task_id("it");
    needing.task.needs.push_back({.task = done, .mentions = 1});
    needing.task.line.add_needs()->set_task_id("other");
    needing.task.needs.push_back({.task = other});
    auto task = Apply(needing);
    EXPECT_OK(task);
    EXPECT_OK(Apply(FireTimers{}));
    return task->task;
  }
  std::vector<RowKey> Deleting() {
    auto found = Read<std::vector<RowKey>>(
        [](StoreReader& reader) { return reader.ListDeletingBatches(); });
    EXPECT_OK(found);
    return found.value_or(std::vector<RowKey>());
  }

  int64_t worker_ = Register();
  int sessions_ = 0;
  std::vector<std::string> open_;
};

TEST_P(DeleteTest, ADeletedBatchIsGoneButForItsMoney) {
  ASSERT_OK(Apply(SetBudget{.scope = v1::BUDGET_SCOPE_TENANT,
                            .name = "default",
                            .row = {},
                            .window = v1::BUDGET_WINDOW_TOTAL,
                            .zone = "",
                            .limit = 100'000'000}));
  RowKey batch = SubmitBatch(3);
  RowKey other = SubmitBatch(2, 0, "batch-2");
  RunAll();
  Archive();
  auto budgets = [&] {
    return Read<RowPage<BudgetRecord>>([&](StoreReader& reader) {
      return reader.ListBudgets(clock_.Now(), 0, 10);
    });
  };
  const std::vector<TaskRecord> tasks = Tasks({.batch = batch.row});
  ASSERT_THAT(tasks, SizeIs(3));
  EXPECT_EQ(Charged(), 150'000);
  EXPECT_EQ(budgets()->rows.at(0).charged, 150'000);

  Delete(batch);
  EXPECT_THAT(Look(batch),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("is deleted")));
  ASSERT_THAT(Listed(), SizeIs(1));
  EXPECT_EQ(Listed()[0].key, other);
  EXPECT_THAT(Tasks(), SizeIs(2));
  EXPECT_THAT(Read<TaskRecord>([&](StoreReader& reader) {
                return reader.GetTask(tasks[0].key);
              }),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(Charged(), 150'000);
  EXPECT_EQ(Charged({.queue = "default"}), 150'000);
  EXPECT_EQ(budgets()->rows.at(0).charged, 150'000);
  // Its end with the sum, and who deleted it.
  std::vector<JournalRecord> left = Journal({.batch = batch});
  ASSERT_THAT(left, SizeIs(2));
  EXPECT_EQ(left[0].kind, JournalKind::kBatchDone);
  EXPECT_EQ(left[0].charge_delta, 90'000);
  EXPECT_EQ(left[0].reserve_delta, 0);
  EXPECT_EQ(left[1].kind, JournalKind::kBatchDeleted);
  EXPECT_EQ(left[1].why, "tidying");
  EXPECT_THAT(Apply(DeleteBatch{batch, ""}),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("is deleted")));
}

TEST_P(DeleteTest, AtOnceNoListShowsItAndNothingCanBeDoneWithIt) {
  RowKey batch = SubmitBatch(2);
  const RowKey task = Tasks().at(0).key;
  ASSERT_FALSE(Apply(CancelBatch{batch, ""})->more);
  ASSERT_TRUE(Apply(DeleteBatch{batch, ""})->more);
  EXPECT_THAT(Deleting(), ElementsAre(batch));
  EXPECT_THAT(Listed(), IsEmpty());
  EXPECT_THAT(Tasks(), IsEmpty());
  EXPECT_THAT(Tasks({.states = {v1::TASK_STATE_CANCELLED}}), IsEmpty());
  const auto gone = StatusIs(absl::StatusCode::kNotFound);
  EXPECT_THAT(Look(batch), gone);
  EXPECT_THAT(Apply(RetryTask{task, "again"}), gone);
  EXPECT_THAT(Apply(RetryBatch{batch, "again", true}), gone);
  EXPECT_THAT(Apply(CancelBatch{batch, ""}), gone);
  EXPECT_THAT(Apply(PauseBatch{batch, "", absl::InfiniteFuture()}), gone);
  EXPECT_THAT(Apply(SetBudget{.scope = v1::BUDGET_SCOPE_BATCH,
                              .name = "",
                              .row = batch,
                              .window = v1::BUDGET_WINDOW_TOTAL,
                              .zone = "",
                              .limit = 1'000'000}),
              gone);
  SubmitTask needing = Single("needing");
  needing.task.line.add_needs()->set_task_id("it");
  needing.task.needs.push_back({.task = task});
  EXPECT_THAT(Apply(needing), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_P(DeleteTest, EachStepIsBoundedWhileOthersAreSubmitted) {
  constexpr int kTasks = 10'000;
  RowKey batch = SubmitBatch(kTasks);
  for (bool more = true; more;) more = Apply(CancelBatch{batch, ""})->more;
  ASSERT_TRUE(Apply(DeleteBatch{batch, ""})->more);
  int steps = 0, rows = 0;
  for (bool more = true; more;) {
    SubmitOne(absl::StrCat("beside-", steps));
    auto deleted = Apply(DeleteBatch{batch, ""});
    ASSERT_OK(deleted);
    EXPECT_LE(deleted->rows, kDeletedRowsMax);
    more = deleted->more;
    rows += deleted->rows;
    ++steps;
  }
  // Each task and its end in the journal; there, that the batch was opened,
  // filled, sealed and cancelled; and a lane.
  EXPECT_EQ(rows, 2 * kTasks + 5);
  EXPECT_THAT(Tasks(), SizeIs(steps));
}

TEST_P(DeleteTest, AKillInTheMiddleIsGoneOnWith) {
  RowKey batch = SubmitBatch(450);
  for (bool more = true; more;) more = Apply(CancelBatch{batch, ""})->more;
  ASSERT_TRUE(Apply(DeleteBatch{batch, ""})->more);
  ASSERT_TRUE(Apply(DeleteBatch{batch, ""})->more);
  Restart();
  ASSERT_THAT(Deleting(), ElementsAre(batch));
  Delete(batch);
  EXPECT_THAT(Deleting(), IsEmpty());
  EXPECT_THAT(Tasks(), IsEmpty());
  EXPECT_THAT(Journal({.batch = batch}), SizeIs(2));
}

TEST_P(DeleteTest, OneThatIsNotDoneStays) {
  RowKey batch = SubmitBatch(1);
  EXPECT_THAT(Apply(DeleteBatch{batch, ""}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("cancel it first")));
  EXPECT_THAT(Apply(DeleteBatch{{batch.row, batch.unix_millis + 1}, ""}),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(Batch(batch).state, v1::BATCH_STATE_SEALED);
}

// A late figure is charged to every budget, by way of its task.
TEST_P(DeleteTest, OneWhoseCostMayChangeStays) {
  RowKey batch = SubmitBatch(1);
  RunAll();
  EXPECT_THAT(Apply(DeleteBatch{batch, ""}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("not archived")));
  Archive();
  EXPECT_OK(Apply(DeleteBatch{batch, ""}));
}

// The answer to a create was lost, so nobody knows whether its session is there
// until it shows in a list.
TEST_P(DeleteTest, ASessionThatShowsAfterItsTaskIsDeletedIsSweptUp) {
  RowKey batch = SubmitBatch(1);
  const GrantRecord grant = AdmitTo(worker_, 1).at(0);
  ASSERT_OK(Apply(BeginCreate{grant.lease, "nonce-lost"}));
  ASSERT_OK(Apply(BeginCreate{grant.lease, "nonce-heard"}));
  ASSERT_OK(Apply(RecordSession{grant.lease, "nonce-heard", "sesn_2"}));
  ASSERT_OK(SettleWith(grant.lease, Success(30'000)));
  open_ = {"sesn_2"};
  Archive();
  Delete(batch);
  auto fate = [&](const std::string& nonce) {
    auto explained =
        Apply(ExplainSessions{"default",
                              {{.session = "sesn_1",
                                .cluster = store_->cluster_mark(),
                                .task = grant.task,
                                .attempt = grant.lease.attempt,
                                .nonce = nonce}},
                              [mark = store_->cluster_mark(),
                               now = clock_.Now()](const SessionFacts& facts) {
                                return DecideFate(facts, mark, now);
                              }});
    EXPECT_OK(explained);
    return explained.ok() ? explained->sessions.at(0).fate
                          : v1::SESSION_FATE_UNSPECIFIED;
  };
  EXPECT_EQ(fate("nonce-lost"), v1::SESSION_FATE_SUPERSEDED);
  EXPECT_EQ(fate("nonce-forged"), v1::SESSION_FATE_UNEXPLAINED);
}

TEST_P(DeleteTest, OneThatATaskElsewhereNeedsStaysUntilThatIsMet) {
  RowKey batch = SubmitBatch(1);
  RunAll();
  Archive();
  SubmitTask needing = Single("needing");
  needing.task.line.add_needs()->set_task_id("it");
  needing.task.needs.push_back({.task = Tasks({.batch = batch.row})[0].key});
  ASSERT_OK(Apply(needing));
  EXPECT_THAT(Apply(DeleteBatch{batch, ""}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("needs a task of it")));
  ASSERT_OK(Apply(FireTimers{}));
  Delete(batch);
  // It has what it was given.
  RunAll();
  EXPECT_EQ(Tasks().at(0).state, v1::TASK_STATE_SUCCEEDED);
}

TEST_P(DeleteTest, OneThatIsTriedAgainStaysUntilThatIsDone) {
  RowKey batch = SubmitBatch(2);
  ASSERT_FALSE(Apply(CancelBatch{batch, ""})->more);
  auto again = Apply(RetryBatch{batch, "again", true});
  ASSERT_OK(again);
  EXPECT_THAT(Apply(DeleteBatch{batch, ""}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  RunAll();
  Archive();
  Delete(batch);
  // What it has of the spec is there yet.
  EXPECT_EQ(Batch(again->batch).state, v1::BATCH_STATE_DONE);
  auto single = Apply(RetryTask{Tasks().at(0).key, "single"});
  ASSERT_OK(single);
  EXPECT_THAT(
      Apply(DeleteBatch{again->batch, ""}),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("retry")));
  RunAll();
  EXPECT_EQ(Task(single->task).state, v1::TASK_STATE_SUCCEEDED);
}

TEST_P(DeleteTest, ASpecThatTheRetryOfARetryHasStays) {
  NewTask own = Line("own");
  own.own_spec = Spec();
  own.own_spec->set_prompt("in its own words");
  auto first = Apply(Opening("batch-1"));
  ASSERT_OK(first);
  ASSERT_OK(Apply(AddTasks{"batch-1", 0, {own}}));
  ASSERT_OK(Apply(SealBatch{"batch-1", 1}));
  RunAll(30'000, "refusal");
  auto second = Apply(RetryBatch{first->batch, "again", false});
  ASSERT_OK(second);
  RunAll(30'000, "refusal");
  auto third =
      Apply(RetryTask{Tasks({.batch = second->batch.row}).at(0).key, "third"});
  ASSERT_OK(third);
  RunAll(30'000, "refusal");
  Archive();
  Delete(second->batch);
  EXPECT_FALSE(Task(third->task).retry_of.has_value());  // it is nowhere
  auto fourth = Apply(RetryTask{third->task, "fourth"});
  ASSERT_OK(fourth);
  Delete(first->batch);
  Restart();
  worker_ = Register();
  const std::vector<GrantRecord> grants = AdmitTo(worker_, 1);
  ASSERT_THAT(grants, SizeIs(1));
  EXPECT_EQ(grants[0].task, fourth->task);
  EXPECT_EQ(grants[0].spec.prompt(), "in its own words");
}

// Whose other need is met only later: it was not given anything yet.
TEST_P(DeleteTest, OneThatIsToBeGivenToATaskStaysUntilThen) {
  RowKey batch = SubmitBatch(1);
  RunAll();
  Archive();
  const RowKey other = SubmitOne("other");
  const RowKey needing =
      SubmitNeeding(Tasks({.batch = batch.row})[0].key, other);
  EXPECT_THAT(Apply(DeleteBatch{batch, ""}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("needs a task of it")));
  RunAll();
  ASSERT_OK(Apply(FireTimers{}));
  Delete(batch);
  RunAll();
  EXPECT_EQ(Task(needing).state, v1::TASK_STATE_SUCCEEDED);
}

// A failure ends what it met of other needs, too.
TEST_P(DeleteTest, WhatIsNeverGivenKeepsNoBatch) {
  RowKey batch = SubmitBatch(1);
  RunAll();
  Archive();
  const RowKey other = SubmitOne("other");
  const RowKey needing =
      SubmitNeeding(Tasks({.batch = batch.row})[0].key, other);
  RunAll(30'000, "refusal");
  ASSERT_OK(Apply(FireTimers{}));
  EXPECT_EQ(Task(needing).state, v1::TASK_STATE_SKIPPED);
  EXPECT_OK(Apply(DeleteBatch{batch, ""}));
}

TEST_P(DeleteTest, WhatAHookHasToTellComesFirst) {
  OpenBatch open = Opening("hooked");
  open.on_finish.set_url("https://hooks.test/");
  auto opened = Apply(open);
  ASSERT_OK(opened);
  ASSERT_OK(Apply(AddTasks{"hooked", 0, {Line("t")}}));
  ASSERT_OK(Apply(SealBatch{"hooked", 1}));
  RunAll();
  Archive();
  EXPECT_THAT(Apply(DeleteBatch{opened->batch, ""}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("a hook of it is not delivered yet")));
  auto due = Read<std::vector<DueHook>>([&](StoreReader& reader) {
    return reader.ListDueHooks(clock_.Now(), 10);
  });
  ASSERT_OK(due);
  ASSERT_THAT(*due, SizeIs(1));
  const NoteHookTry told{.hook = due->at(0).id,
                         .tries = 1,
                         .end = HookEnd::kDelivered,
                         .due = {},
                         .why = ""};
  ASSERT_OK(Apply(told));
  Delete(opened->batch);
  EXPECT_THAT(Look(opened->batch), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Apply(told), StatusIs(absl::StatusCode::kNotFound));
}

TEST_P(DeleteTest, ARetryOfWhatNeededADeletedTaskIsRefused) {
  RowKey batch = SubmitBatch(1);
  RunAll();
  Archive();
  SubmitTask needing = Single("needing");
  needing.task.line.add_needs()->set_task_id("it");
  needing.task.needs.push_back({.task = Tasks({.batch = batch.row})[0].key});
  auto one = Apply(needing);
  ASSERT_OK(one);
  ASSERT_OK(Apply(FireTimers{}));
  ASSERT_OK(Apply(CancelTask{one->task, ""}));
  Delete(batch);
  EXPECT_THAT(
      Apply(RetryTask{one->task, "again"}),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("deleted")));
}

TEST_P(DeleteTest, ItsRequestIsNotRunAgain) {
  RowKey batch = SubmitBatch(1);
  ASSERT_FALSE(Apply(CancelBatch{batch, ""})->more);
  Delete(batch);
  EXPECT_THAT(
      Apply(Opening("batch-1")),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("deleted")));
  EXPECT_OK(Apply(Opening("batch-2")));
}

TEST_P(DeleteTest, NumbersOfDeletedTasksDoNotComeAgain) {
  RowKey batch = SubmitBatch(3);
  const int64_t last = Tasks().back().key.row;
  ASSERT_FALSE(Apply(CancelBatch{batch, ""})->more);
  Delete(batch);
  EXPECT_EQ(SubmitOne("a").row, last + 1);
  Restart();
  EXPECT_EQ(SubmitOne("b").row, last + 2);
}

TEST_P(DeleteTest, OneOfWhichATaskHoldsItsKeyForLongerStays) {
  ASSERT_OK(Apply(Opening("batch-1")));
  NewTask keyed = Line("t0");
  keyed.unique = {.key = "daily", .held_for = absl::Hours(24)};
  ASSERT_OK(Apply(AddTasks{"batch-1", 0, {keyed}}));
  RowKey batch = Apply(SealBatch{"batch-1", 1})->batch;
  RunAll();
  Archive();
  EXPECT_THAT(
      Apply(DeleteBatch{batch, ""}),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("unique key")));
  time_.Advance(absl::Hours(25));
  EXPECT_OK(Apply(DeleteBatch{batch, ""}));
}

TEST_P(DeleteTest, WhatEndedIsListedForRetention) {
  SubmitBatch(1);
  RowKey done = SubmitBatch(1, 0, "batch-2");
  ASSERT_FALSE(Apply(CancelBatch{done, ""})->more);
  const absl::Time at = clock_.Now();
  RowKey deleted = SubmitBatch(0, 0, "batch-3");
  Delete(deleted);
  auto page = Read<RowPage<Ended>>(
      [](StoreReader& reader) { return reader.ListEndedBatches(0, 10); });
  ASSERT_OK(page);
  ASSERT_THAT(page->rows, SizeIs(1));
  EXPECT_EQ(page->rows[0].key, done);
  EXPECT_EQ(page->rows[0].ended_at,
            absl::FromUnixMicros(absl::ToUnixMicros(at)));
}

TEST_P(DeleteTest, SingleTasksAreGoneButForTheirMoney) {
  SubmitTask labelled = Single("one");
  labelled.task.labels = {{"k", "v"}};
  ASSERT_OK(Apply(labelled));
  const RowKey two = SubmitOne("two");
  SubmitTask elsewhere = Single("three");
  elsewhere.queue = "other";
  ASSERT_OK(Apply(elsewhere));
  const RowKey batch = SubmitBatch(1);
  RunAll();
  Archive();
  const std::vector<TaskRecord> tasks = Tasks();
  ASSERT_THAT(tasks, SizeIs(4));
  ASSERT_THAT(Journal({.task = tasks[0].key}), Not(IsEmpty()));
  EXPECT_EQ(Charged({.task = tasks[0].key}), 30'000);

  DeleteTasks write{{}, "tidying"};
  for (const TaskRecord& task : tasks) {
    if (task.key != two) write.tasks.push_back(task.key);
  }
  auto deleted = Apply(write);
  ASSERT_OK(deleted);
  EXPECT_THAT(deleted->kept, IsEmpty());
  // One of a batch is passed over.
  ASSERT_THAT(Tasks(), SizeIs(2));
  EXPECT_EQ(Tasks()[0].key, two);
  EXPECT_EQ(Tasks()[1].key, tasks[3].key);
  EXPECT_THAT(Tasks({.labels = {{"k", "v"}}}), IsEmpty());
  EXPECT_EQ(Charged(), 120'000);
  EXPECT_EQ(Charged({.queue = "default"}), 90'000);
  EXPECT_EQ(Charged({.queue = "other"}), 30'000);
  EXPECT_EQ(Charged({.batch = batch}), 30'000);
  std::vector<JournalRecord> rows =
      Journal({.kinds = {JournalKind::kTasksDeleted}});
  // Of each queue what it cost, where that was charged, and who deleted it.
  ASSERT_THAT(rows, SizeIs(4));
  for (const JournalRecord& row : rows) {
    EXPECT_EQ(row.why, "1 task: tidying");
    EXPECT_EQ(row.reserve_delta, 0);
    EXPECT_EQ(row.tenant, "default");
    EXPECT_EQ(row.who, 0);
  }
  for (int i : {0, 1})
    EXPECT_EQ(rows[static_cast<size_t>(i)].charge_delta, 30'000);
  for (int i : {2, 3}) EXPECT_EQ(rows[static_cast<size_t>(i)].charge_delta, 0);
  auto last = Read<absl::Time>(
      [](StoreReader& reader) { return reader.LastDeletion(); });
  EXPECT_EQ(*last, absl::FromUnixMicros(absl::ToUnixMicros(clock_.Now())));
  // Again: nothing.
  ASSERT_OK(Apply(write));
  EXPECT_THAT(Journal({.kinds = {JournalKind::kTasksDeleted}}), SizeIs(4));
}

// Transcripts are kept by the journal's number of their attempt's grant.
TEST_P(DeleteTest, NumbersOfTheJournalDoNotComeAgain) {
  const RowKey task = SubmitOne("one");
  ASSERT_OK(Apply(CancelTask{task, ""}));
  const int64_t last = Journal().back().seq;
  ASSERT_OK(Apply(DeleteTasks{{task}, ""}));
  ASSERT_THAT(Tasks(), IsEmpty());
  SubmitOne("two");
  std::vector<GrantRecord> grants = AdmitTo(worker_, 1);
  ASSERT_THAT(grants, SizeIs(1));
  EXPECT_GT(grants[0].grant_seq, last);
}

TEST_P(DeleteTest, WhatDeletedTasksCostStaysInItsHour) {
  const absl::Time began = clock_.Now();
  const RowKey early = SubmitOne("early");
  RunAll();
  time_.Advance(absl::Hours(30));
  const RowKey late = SubmitOne("late"), beside = SubmitOne("beside");
  RunAll(50'000);
  Archive();
  time_.Advance(absl::Hours(100));
  ASSERT_OK(Apply(DeleteTasks{{early, late, beside}, "old"}));
  const absl::Time second = began + absl::Hours(25);
  EXPECT_EQ(Charged({.from = began, .until = second}), 30'000);
  EXPECT_EQ(Charged({.from = second, .until = second + absl::Hours(24)}),
            100'000);
  EXPECT_EQ(Charged(), 130'000);
  std::vector<JournalRecord> rows =
      Journal({.kinds = {JournalKind::kTasksDeleted}});
  ASSERT_THAT(rows, SizeIs(3));
  EXPECT_EQ(rows[0].why, "1 task: old");
  EXPECT_EQ(rows[1].why, "2 tasks: old");
  EXPECT_EQ(rows[2].why, "3 tasks: old");
}

// The report of a batch's retry, which waits yet, is to hold what came of it.
TEST_P(DeleteTest, ASingleRetryStaysWhileItsBatchIsTriedAgain) {
  RowKey batch = SubmitBatch(2);
  ASSERT_FALSE(Apply(CancelBatch{batch, ""})->more);
  const std::vector<TaskRecord> tasks = Tasks({.batch = batch.row});
  auto single = Apply(RetryTask{tasks[0].key, "single"});
  ASSERT_OK(single);
  RunAll();
  Archive();
  auto again = Apply(RetryBatch{batch, "again", true});
  ASSERT_OK(again);
  auto deleted = Apply(DeleteTasks{{single->task}, ""});
  ASSERT_OK(deleted);
  EXPECT_THAT(deleted->kept, ElementsAre(single->task));
  RunAll();
  Archive();
  deleted = Apply(DeleteTasks{{single->task}, ""});
  ASSERT_OK(deleted);
  EXPECT_THAT(deleted->kept, IsEmpty()) << deleted->why;
}

// By two of its needs, of which the first one skips it.
TEST_P(DeleteTest, WhatATaskNeededTwiceIsNotKept) {
  const RowKey other = SubmitOne("other");
  SubmitTask needing = Single("needing");
  for (const char* id : {"one", "two"}) {
    needing.task.line.add_needs()->set_task_id(id);
    needing.task.needs.push_back({.task = other});
  }
  auto task = Apply(needing);
  ASSERT_OK(task);
  RunAll(30'000, "refusal");
  ASSERT_OK(Apply(FireTimers{}));
  EXPECT_EQ(Task(task->task).state, v1::TASK_STATE_SKIPPED);
  Archive();
  auto deleted = Apply(DeleteTasks{{other}, ""});
  ASSERT_OK(deleted);
  EXPECT_THAT(deleted->kept, IsEmpty()) << deleted->why;
}

TEST_P(DeleteTest, TheRequestOfADeletedTaskIsNotRunAgain) {
  const RowKey task = SubmitOne("one");
  ASSERT_OK(Apply(CancelTask{task, ""}));
  ASSERT_OK(Apply(DeleteTasks{{task}, ""}));
  Restart();
  EXPECT_THAT(Apply(Single("one")),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("'one' is deleted")));
  EXPECT_EQ(SubmitOne("two").row, task.row + 1);
}

TEST_P(DeleteTest, SingleTasksThatAreOfUseYetStay) {
  const RowKey waits = SubmitOne("waits");
  auto keeps = [&](RowKey task, const std::string& why) {
    auto deleted = Apply(DeleteTasks{{task}, ""});
    ASSERT_OK(deleted);
    ASSERT_THAT(deleted->kept, ElementsAre(task)) << why;
    EXPECT_THAT(deleted->why, HasSubstr(why));
  };
  // One that is not final is passed over.
  ASSERT_OK(Apply(DeleteTasks{{waits}, ""}));
  EXPECT_EQ(Task(waits).state, v1::TASK_STATE_QUEUED);
  SubmitTask keyed = Single("keyed");
  keyed.task.unique = {.key = "daily", .held_for = absl::Hours(24)};
  const RowKey holder = Apply(keyed)->task;
  RunAll();
  keeps(waits, "not archived");
  Archive();
  keeps(holder, "unique key");
  const RowKey other = SubmitOne("other");
  SubmitNeeding(waits, other);
  keeps(waits, "needs it");
  ASSERT_OK(Apply(CancelTask{other, ""}));
  ASSERT_OK(Apply(FireTimers{}));
  auto again = Apply(RetryTask{other, "again"});
  ASSERT_OK(again);
  keeps(other, "tries it again");
  ASSERT_OK(Apply(CancelTask{again->task, ""}));
  // What a further one would have of the spec is there yet.
  keeps(other, "tries it again");
  auto more = Apply(RetryTask{again->task, "and again"});
  ASSERT_OK(more);
  keeps(again->task, "tries it again");
  RunAll();
  Archive();
  EXPECT_EQ(Task(more->task).state, v1::TASK_STATE_SUCCEEDED);
  for (RowKey each : {more->task, again->task, other, waits}) {
    auto gone = Apply(DeleteTasks{{each}, ""});
    ASSERT_OK(gone);
    EXPECT_THAT(gone->kept, IsEmpty()) << gone->why;
  }
  time_.Advance(absl::Hours(25));
  ASSERT_OK(Apply(DeleteTasks{{holder}, ""}));
  for (RowKey gone : {waits, other, holder}) {
    EXPECT_THAT(Read<TaskRecord>(
                    [&](StoreReader& reader) { return reader.GetTask(gone); }),
                StatusIs(absl::StatusCode::kNotFound));
  }
}

TEST_P(DeleteTest, ManyTasksAreNotDeletedWithOneWrite) {
  DeleteTasks write;
  write.tasks.assign(kDeletedTasksMax + 1, RowKey{1, 1});
  EXPECT_THAT(Apply(write), StatusIs(absl::StatusCode::kInvalidArgument));
}

TEST_P(DeleteTest, ATaskWithALongHistoryGoesWithAWriteOfItsOwn) {
  const RowKey before = SubmitOne("before"), busy = SubmitOne("busy"),
               after = SubmitOne("after");
  for (int i = 0; i < 1'000; ++i) {
    ASSERT_OK(Apply(UpdateTask{.task = busy, .priority = i % 10}));
  }
  for (RowKey each : {before, busy, after}) {
    ASSERT_OK(Apply(CancelTask{each, ""}));
  }
  DeleteTasks write{{before, busy, after}, ""};
  for (size_t left : {2, 1, 0}) {
    auto deleted = Apply(write);
    ASSERT_OK(deleted);
    EXPECT_EQ(deleted->looked_at, 1);
    EXPECT_THAT(Tasks(), SizeIs(left));
    write.tasks.erase(write.tasks.begin());
  }
}

// One of them alone ends; the others are not held up by it.
TEST_P(DeleteTest, ARetryGoesOnPastATaskWhoseNeedIsDeleted) {
  constexpr int64_t kTasks = 202;  // a write takes 200
  const RowKey needed = SubmitOne("needed");
  RunAll();
  Archive();
  ASSERT_OK(Apply(Opening("batch")));
  AddTasks add{"batch", 0, {}};
  for (int64_t i = 0; i < kTasks; ++i) {
    NewTask& task = add.tasks.emplace_back(Line(absl::StrCat("t-", i)));
    if (i < kTasks - 2) continue;
    // The last one needs the one before it, which needs what is deleted.
    v1::Need& need = *task.line.add_needs();
    task.needs.emplace_back();
    if (i == kTasks - 1) {
      need.set_name(absl::StrCat("t-", i - 1));
    } else {
      need.set_task_id("it");
      task.needs[0].task = needed;
    }
  }
  ASSERT_OK(Apply(add));
  auto batch = Apply(SealBatch{"batch", kTasks});
  ASSERT_OK(batch);
  ASSERT_OK(Apply(FireTimers{}));
  for (bool more = true; more;) {
    more = Apply(CancelBatch{batch->batch, ""})->more;
  }
  auto gone = Apply(DeleteTasks{{needed}, ""});
  ASSERT_OK(gone);
  ASSERT_THAT(gone->kept, IsEmpty()) << gone->why;
  // And again, of what was skipped then.
  RowKey last = batch->batch;
  for (const char* request : {"again", "and again"}) {
    auto retried = Apply(RetryBatch{last, request, true});
    ASSERT_OK(retried);
    while (retried->more) {
      retried = Apply(RetryBatch{last, request, true});
      ASSERT_OK(retried);
    }
    last = retried->batch;
    ASSERT_OK(Apply(FireTimers{}));
    EXPECT_EQ(Batch(last).state, v1::BATCH_STATE_SEALED);
    EXPECT_EQ(Batch(last).counts[v1::TASK_STATE_SKIPPED], 2);
    for (bool more = true; more;) more = Apply(CancelBatch{last, ""})->more;
    const std::vector<TaskRecord> tasks = Tasks({.batch = last.row});
    ASSERT_THAT(tasks, SizeIs(kTasks));
    EXPECT_EQ(tasks[kTasks - 2].state, v1::TASK_STATE_SKIPPED);
    EXPECT_THAT(tasks[kTasks - 2].reason, HasSubstr("is deleted"));
    EXPECT_EQ(tasks[kTasks - 1].state, v1::TASK_STATE_SKIPPED);
  }
}

TEST_P(DeleteTest, SingleTasksThatEndedAreListedForRetention) {
  SubmitBatch(1);
  const RowKey first = SubmitOne("a");
  SubmitOne("b");
  ASSERT_OK(Apply(CancelTask{first, ""}));
  const absl::Time at = clock_.Now();
  auto page = Read<RowPage<Ended>>([](StoreReader& reader) {
    return reader.ListEndedTasks(v1::TASK_STATE_CANCELLED, 0, 10);
  });
  ASSERT_OK(page);
  ASSERT_THAT(page->rows, SizeIs(1));
  EXPECT_EQ(page->rows[0].key, first);
  EXPECT_EQ(page->rows[0].ended_at,
            absl::FromUnixMicros(absl::ToUnixMicros(at)));
}

MIDWATCH_ON_EVERY_STORE(DeleteTest);

}  // namespace
}  // namespace midwatch
