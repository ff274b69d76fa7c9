// Weights, caps and pauses, changed while tasks run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

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

class ControlTest : public testing::ContractTest {
 protected:
  void Add(const std::string& name, const std::string& queue = "default",
           const std::string& tenant = "default") {
    SubmitTask submit = Single(name);
    submit.queue = queue;
    submit.tenant = tenant;
    submit.task.line.set_name(name);
    ASSERT_OK(Apply(submit));
  }
  std::vector<std::string> Started(int64_t worker, int slots = 10) {
    std::vector<std::string> names;
    for (GrantRecord& grant : AdmitTo(worker, slots)) {
      names.push_back(grant.name);
      held_.push_back(std::move(grant));
    }
    return names;
  }
  absl::Status Cap(Controlled of, const std::string& name, int max_running) {
    return Apply(SetControl{.of = of, .name = name, .max_running = max_running})
        .status();
  }
  absl::Status Weigh(Controlled of, const std::string& name, int weight) {
    return Apply(SetControl{.of = of, .name = name, .weight = weight}).status();
  }
  QueueRecord Queue(const std::string& name) {
    auto queue = Read<QueueRecord>(
        [&](StoreReader& reader) { return reader.GetQueue(name); });
    EXPECT_OK(queue);
    return queue.ok() ? *std::move(queue) : QueueRecord();
  }
  // The first of those that were started and not ended.
  void EndOne() {
    ASSERT_FALSE(held_.empty());
    ASSERT_OK(SettleWith(held_.front().lease, Failure()));
    held_.erase(held_.begin());
  }
  static v1::Ending Failure() {
    v1::Ending ending;
    ending.set_kind(v1::Ending::KIND_IDLE);
    ending.set_stop_reason("refusal");
    ending.set_charged(true);
    ending.set_list_cost_usd_micros(10'000);
    return ending;
  }
  static Park Asking(const LeaseKey& lease) {
    v1::Question question;
    question.set_question_id("q");
    question.set_tool("bash");
    return {lease,
            {question},
            {[](const auto&, const auto&) { return v1::SAY_KIND_UNSPECIFIED; },
             [](const auto&, const auto&) { return BudgetAnswer(); },
             [](const auto&) { return absl::Hours(12); }}};
  }

  std::vector<GrantRecord> held_;
};

TEST_P(ControlTest, NothingOfAPausedQueueStartsAndWhatRunsGoesOn) {
  Add("slow1", "slow");
  const int64_t worker = Register();
  ASSERT_THAT(Started(worker), ElementsAre("slow1"));
  ASSERT_OK(Apply(PauseQueue{"slow", "maintenance"}));
  Add("slow2", "slow");             // a lane that there was
  Add("slow3", "slow", "another");  // one that is new
  Add("fast1", "fast");
  EXPECT_THAT(Started(worker), ElementsAre("fast1"));
  EXPECT_EQ(Queue("slow").pause->why, "maintenance");
  EXPECT_EQ(Queue("slow").counts[v1::TASK_STATE_RUNNING], 1);
  EXPECT_EQ(Queue("slow").counts[v1::TASK_STATE_QUEUED], 2);
  EXPECT_EQ(Queue("slow").waiting_lanes, 2);
  // Whoever holds it may die: it is adopted.
  ASSERT_OK(Apply(FreeLeases{worker, {held_[1].lease}}));
  const int64_t other = Register("worker-incarnation-2");
  EXPECT_THAT(Started(other), ElementsAre("slow1"));
  ASSERT_OK(Apply(ResumeQueue{"slow"}));
  EXPECT_OK(Apply(ResumeQueue{"slow"}));  // again
  EXPECT_FALSE(Queue("slow").pause.has_value());
  EXPECT_THAT(Started(worker), UnorderedElementsAre("slow2", "slow3"));
}

TEST_P(ControlTest, APausedBatchTakesLinesAndStartsNone) {
  auto batch = Apply(Opening("batch-1"));
  ASSERT_OK(batch);
  ASSERT_OK(Apply(AddTasks{"batch-1", 0, {Line("t0")}}));
  ASSERT_OK(Apply(PauseBatch{batch->batch, "look first"}));
  NewTask keyed = Line("t1");  // has a lane of its own
  keyed.concurrency_key = "key";
  ASSERT_OK(Apply(AddTasks{"batch-1", 1, {keyed}}));
  ASSERT_OK(Apply(SealBatch{"batch-1", 2}));
  Add("alone");
  const int64_t worker = Register();
  EXPECT_THAT(Started(worker), ElementsAre("alone"));
  EXPECT_EQ(Batch(batch->batch).state, v1::BATCH_STATE_SEALED);
  EXPECT_EQ(Batch(batch->batch).pause->why, "look first");
  ASSERT_OK(Apply(ResumeBatch{batch->batch}));
  EXPECT_OK(Apply(ResumeBatch{batch->batch}));  // again
  EXPECT_FALSE(Batch(batch->batch).pause.has_value());
  EXPECT_THAT(Started(worker), UnorderedElementsAre("t0", "t1"));
}

TEST_P(ControlTest, PausesOfQueueAndBatchAreEachOnesOwn) {
  RowKey batch = SubmitBatch(1);
  const int64_t worker = Register();
  ASSERT_OK(Apply(PauseQueue{"default", ""}));
  ASSERT_OK(Apply(PauseBatch{batch, ""}));
  EXPECT_TRUE(Batch(batch).queue_pause.has_value());
  ASSERT_OK(Apply(ResumeQueue{"default"}));
  EXPECT_THAT(Started(worker), IsEmpty());
  ASSERT_OK(Apply(PauseQueue{"default", ""}));
  ASSERT_OK(Apply(ResumeBatch{batch}));
  EXPECT_THAT(Started(worker), IsEmpty());
  ASSERT_OK(Apply(ResumeQueue{"default"}));
  EXPECT_THAT(Started(worker), ElementsAre("t0"));
}

TEST_P(ControlTest, APauseEndsAtItsTimeWhoeverDiedMeanwhile) {
  RowKey batch = SubmitBatch(1);
  Add("alone");
  const absl::Time begun = clock_.Now();
  ASSERT_OK(Apply(PauseQueue{"default", "", begun + absl::Minutes(30)}));
  // Another time takes the place of the first.
  ASSERT_OK(Apply(PauseQueue{"default", "", begun + absl::Hours(1)}));
  ASSERT_OK(Apply(PauseBatch{batch, "", begun + absl::Hours(2)}));
  EXPECT_EQ(Queue("default").pause->since, begun);
  Restart();
  const int64_t worker = Register();
  auto next =
      Read<absl::Time>([](StoreReader& reader) { return reader.NextTimer(); });
  ASSERT_OK(next);
  EXPECT_EQ(*next, begun + absl::Hours(1));
  time_.Advance(absl::Minutes(59));
  ASSERT_OK(Apply(FireTimers{}));
  EXPECT_THAT(Started(worker), IsEmpty());
  time_.Advance(absl::Minutes(1));
  auto fired = Apply(FireTimers{});
  ASSERT_OK(fired);
  EXPECT_EQ(fired->next, begun + absl::Hours(2));
  EXPECT_THAT(Started(worker), ElementsAre("alone"));
  Restart();
  time_.Advance(absl::Hours(1));
  ASSERT_OK(Apply(FireTimers{}));
  EXPECT_THAT(Started(worker), ElementsAre("t0"));
}

TEST_P(ControlTest, APauseThatWasEndedOrMadeLongerHasNoTimerLeft) {
  RowKey batch = SubmitBatch(1);
  const absl::Time soon = clock_.Now() + absl::Minutes(1);
  ASSERT_OK(Apply(PauseQueue{"default", "", soon}));
  ASSERT_OK(Apply(ResumeQueue{"default"}));
  ASSERT_OK(Apply(PauseBatch{batch, "", soon}));
  ASSERT_OK(Apply(PauseBatch{batch, ""}));
  auto next =
      Read<absl::Time>([](StoreReader& reader) { return reader.NextTimer(); });
  ASSERT_OK(next);
  EXPECT_EQ(*next, absl::InfiniteFuture());
  time_.Advance(absl::Hours(1));
  ASSERT_OK(Apply(FireTimers{}));
  EXPECT_THAT(Started(Register()), IsEmpty());
}

TEST_P(ControlTest, ABatchThatIsOverIsNotPaused) {
  RowKey batch = SubmitBatch(2);
  ASSERT_OK(Apply(PauseBatch{batch, "", clock_.Now() + absl::Hours(1)}));
  ASSERT_OK(Apply(CancelBatch{batch, "enough"}));
  EXPECT_EQ(Batch(batch).state, v1::BATCH_STATE_DONE);
  EXPECT_FALSE(Batch(batch).pause.has_value());
  for (const auto& status : {Apply(PauseBatch{batch, ""}).status(),
                             Apply(ResumeBatch{batch}).status(),
                             Apply(SetBatchCap{batch, 1}).status()}) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition));
  }
  // Its timer comes to nothing.
  time_.Advance(absl::Hours(1));
  ASSERT_OK(Apply(FireTimers{}));
  auto journal = Read<std::vector<JournalRecord>>([&](StoreReader& reader) {
    return reader.ListJournal(batch.row, 0, 100);
  });
  ASSERT_OK(journal);
  EXPECT_EQ(journal->back().kind, JournalKind::kBatchDone);
}

TEST_P(ControlTest, NothingIsThatNobodyHasNamed) {
  EXPECT_THAT(Apply(ResumeQueue{"nobody's"}),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Apply(PauseBatch{{17, 0}, ""}),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Cap(Controlled::kAccount, "nobody's", 1),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Read<QueueRecord>([](StoreReader& reader) {
                return reader.GetQueue("nobody's");
              }),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(Read<TenantRecord>([](StoreReader& reader) {
                return reader.GetTenant("nobody's");
              }),
              StatusIs(absl::StatusCode::kNotFound));
  // A queue may be paused, and a tenant weighed, before the first task comes.
  EXPECT_OK(Apply(PauseQueue{"tonight", ""}));
  EXPECT_OK(Weigh(Controlled::kTenant, "acme", 3));
  Add("one", "tonight", "acme");
  EXPECT_THAT(Started(Register()), IsEmpty());
}

struct CapCase {
  const char* name;
  Controlled of;
  v1::CapScope scope;
};

TEST_P(ControlTest, ACapBelowWhatRunsStopsNothingAndLetsNothingStart) {
  for (const CapCase& c :
       {CapCase{"queue", Controlled::kQueue, v1::CAP_SCOPE_QUEUE},
        CapCase{"tenant", Controlled::kTenant, v1::CAP_SCOPE_TENANT},
        CapCase{"account", Controlled::kAccount, v1::CAP_SCOPE_ACCOUNT}}) {
    SCOPED_TRACE(c.name);
    const RowKey batch = SubmitBatch(8, 0, c.name);
    const int64_t worker = Register();
    ASSERT_THAT(Started(worker, 4), SizeIs(4));
    ASSERT_OK(Cap(c.of, "default", 2));
    EXPECT_EQ(Batch(batch).full_cap, c.scope);
    EXPECT_THAT(Started(worker), IsEmpty());
    EXPECT_EQ(Batch(batch).counts[v1::TASK_STATE_RUNNING], 4);
    EndOne();
    EXPECT_THAT(Started(worker), IsEmpty());
    EndOne();
    EXPECT_THAT(Started(worker), IsEmpty());
    EndOne();
    EXPECT_THAT(Started(worker), SizeIs(1));
    // Higher, there is room at once; and what was there is known after a crash.
    Restart();
    EXPECT_THAT(Started(worker), IsEmpty());
    ASSERT_OK(Cap(c.of, "default", 3));
    EXPECT_THAT(Started(worker), SizeIs(1));
    ASSERT_OK(Cap(c.of, "default", 0));
    EXPECT_EQ(Batch(batch).full_cap, v1::CAP_SCOPE_UNSPECIFIED);
    EXPECT_THAT(Started(worker), SizeIs(2));
    while (!held_.empty()) EndOne();
  }
}

TEST_P(ControlTest, ACapOfABatchIsChangedWhileItRuns) {
  const RowKey batch = SubmitBatch(6, /*max_running=*/2);
  const int64_t worker = Register();
  ASSERT_THAT(Started(worker), SizeIs(2));
  EXPECT_EQ(Batch(batch).full_cap, v1::CAP_SCOPE_BATCH);
  ASSERT_OK(Apply(SetBatchCap{batch, 4}));
  EXPECT_EQ(Batch(batch).max_running, 4);
  EXPECT_THAT(Started(worker), SizeIs(2));
  ASSERT_OK(Apply(SetBatchCap{batch, 1}));
  for (int left = 3; left > 0; --left) {
    EndOne();
    EXPECT_THAT(Started(worker), IsEmpty());
  }
  EndOne();
  EXPECT_THAT(Started(worker), SizeIs(1));
  ASSERT_OK(Apply(SetBatchCap{batch, 0}));
  EXPECT_THAT(Started(worker), SizeIs(1));
  // The batch is the same to whoever opens it again.
  EXPECT_OK(Apply(Opening("batch-1", 2)));
}

TEST_P(ControlTest, ACapOfAKeyIsChangedWhileItsTasksRun) {
  auto cap = [&](int max_running) {
    return Apply(SetKeyCap{"default", "repo", max_running}).status();
  };
  auto caps = [&](const std::string& tenant) {
    auto keys = Read<std::vector<KeyRecord>>(
        [&](StoreReader& reader) { return reader.ListKeyCaps(tenant); });
    EXPECT_OK(keys);
    return *keys;
  };
  ASSERT_OK(cap(2));  // before any task has it
  for (const char* name : {"a", "b", "c", "d", "e"}) {
    SubmitTask task = Single(name);
    task.task.concurrency_key = "repo";
    ASSERT_OK(Apply(task));
  }
  const int64_t worker = Register();
  EXPECT_THAT(Started(worker), SizeIs(2));
  ASSERT_THAT(caps("default"), SizeIs(1));
  EXPECT_EQ(caps("default")[0].key, "repo");
  EXPECT_EQ(caps("default")[0].max_running, 2);
  EXPECT_EQ(caps("default")[0].running, 2);
  EXPECT_THAT(caps("nobody's"), IsEmpty());
  ASSERT_OK(cap(3));
  EXPECT_THAT(Started(worker), SizeIs(1));
  ASSERT_OK(cap(1));
  EXPECT_OK(cap(1));  // again
  EXPECT_THAT(caps("default"), IsEmpty());
  EndOne();
  EndOne();
  EXPECT_THAT(Started(worker), IsEmpty());
  EndOne();
  EXPECT_THAT(Started(worker), SizeIs(1));
}

TEST_P(ControlTest, CapsOfSeveralScopesHoldTogether) {
  for (int i = 0; i < 4; ++i) {
    Add(absl::StrCat("a-slow", i), "slow", "a");
    Add(absl::StrCat("a-fast", i), "fast", "a");
    Add(absl::StrCat("b-slow", i), "slow", "b");
  }
  ASSERT_OK(Cap(Controlled::kQueue, "slow", 3));
  ASSERT_OK(Cap(Controlled::kTenant, "a", 2));
  const int64_t worker = Register();
  int a = 0, slow = 0;
  for (const std::string& name : Started(worker, 12)) {
    a += name[0] == 'a' ? 1 : 0;
    slow += name.substr(2, 4) == "slow" ? 1 : 0;
  }
  EXPECT_EQ(a, 2);
  EXPECT_EQ(slow, 3);
  EXPECT_THAT(Started(worker), IsEmpty());
}

TEST_P(ControlTest, AParkedTaskLeavesItsPlaceUnderEveryCap) {
  SubmitBatch(3);
  ASSERT_OK(Cap(Controlled::kQueue, "default", 1));
  const int64_t worker = Register();
  const GrantRecord grant = GrantAndRecord(worker);
  ASSERT_OK(Apply(Asking(grant.lease)));
  EXPECT_THAT(Started(worker), SizeIs(1));
  EXPECT_THAT(Started(worker), IsEmpty());
  // Answered, it goes on beside the one that took its place, paused or not.
  ASSERT_OK(Apply(PauseQueue{"default", ""}));
  ASSERT_OK(Apply(AnswerTask{grant.task, "q", v1::SAY_KIND_ALLOW, ""}));
  std::vector<GrantRecord> adopted = AdmitTo(worker, 10);
  ASSERT_THAT(adopted, SizeIs(1));
  EXPECT_EQ(adopted[0].lease.task, grant.task.row);
  ASSERT_OK(Apply(ResumeQueue{"default"}));
  // Two run now, and one place is free when both are over.
  EndOne();
  EXPECT_THAT(Started(worker), IsEmpty());
  ASSERT_OK(SettleWith(adopted[0].lease, Success()));
  EXPECT_THAT(Started(worker), SizeIs(1));
}

TEST_P(ControlTest, ACancelMakesRoomUnderACap) {
  RowKey batch = SubmitBatch(3);
  const int64_t worker = Register();
  ASSERT_OK(Cap(Controlled::kQueue, "default", 1));
  // One without a session is over at once; one that waits runs until it is.
  std::vector<GrantRecord> first = AdmitTo(worker, 1);
  ASSERT_THAT(first, SizeIs(1));
  ASSERT_OK(Apply(CancelTask{first[0].task, ""}));
  const GrantRecord second = GrantAndRecord(worker);
  EXPECT_THAT(Started(worker), IsEmpty());
  ASSERT_OK(Apply(Asking(second.lease)));
  ASSERT_OK(Apply(CancelTask{second.task, ""}));
  EXPECT_EQ(Batch(batch).counts[v1::TASK_STATE_CANCELLING], 1);
  EXPECT_EQ(Batch(batch).full_cap, v1::CAP_SCOPE_QUEUE);
  std::vector<GrantRecord> adopted = AdmitTo(worker, 10);
  ASSERT_THAT(adopted, SizeIs(1));
  ASSERT_OK(SettleWith(adopted[0].lease, Success()));
  EXPECT_THAT(Started(worker), SizeIs(1));
}

TEST_P(ControlTest, EachThingThatHoldsALaneUpIsTakenAwayForItself) {
  RowKey batch = SubmitBatch(4, /*max_running=*/1);
  const int64_t worker = Register();
  ASSERT_OK(Cap(Controlled::kQueue, "default", 1));
  ASSERT_OK(Apply(SetBudget{v1::BUDGET_SCOPE_BATCH, "", batch,
                            v1::BUDGET_WINDOW_TOTAL, "", 1'500'000}));
  ASSERT_THAT(Started(worker), SizeIs(1));
  ASSERT_OK(Apply(PauseQueue{"default", ""}));
  ASSERT_OK(Apply(PauseBatch{batch, ""}));
  EndOne();  // room under both caps, and in the budget
  EXPECT_THAT(Started(worker), IsEmpty());
  ASSERT_OK(Apply(ResumeQueue{"default"}));
  EXPECT_THAT(Started(worker), IsEmpty());
  ASSERT_OK(Apply(ResumeBatch{batch}));
  EXPECT_THAT(Started(worker), SizeIs(1));
  // Both caps and the budget bind now; each alone is not enough.
  ASSERT_OK(Apply(SetBatchCap{batch, 0}));
  EXPECT_THAT(Started(worker), IsEmpty());
  ASSERT_OK(Cap(Controlled::kQueue, "default", 0));
  EXPECT_THAT(Started(worker), IsEmpty());
  EXPECT_TRUE(Batch(batch).waits_for_budget);
  ASSERT_OK(Apply(PauseQueue{"default", ""}));
  ASSERT_OK(Apply(SetBudget{v1::BUDGET_SCOPE_BATCH, "", batch,
                            v1::BUDGET_WINDOW_TOTAL, "", 9'000'000}));
  EXPECT_THAT(Started(worker), IsEmpty());
  ASSERT_OK(Apply(ResumeQueue{"default"}));
  EXPECT_THAT(Started(worker), SizeIs(2));
}

TEST_P(ControlTest, WeightsShareWhatIsSpent) {
  for (int i = 0; i < 12; ++i) {
    Add(absl::StrCat("a", i), "default", "a");
    Add(absl::StrCat("b", i), "default", "b");
  }
  ASSERT_OK(Weigh(Controlled::kTenant, "b", 3));
  const int64_t worker = Register();
  auto of_b = [&](int starts) {
    int b = 0;
    for (const std::string& name : Started(worker, starts)) {
      b += name[0] == 'b' ? 1 : 0;
    }
    return b;
  };
  EXPECT_EQ(of_b(8), 6);
  // From now on each gets as much as the other.
  ASSERT_OK(Weigh(Controlled::kTenant, "b", 1));
  EXPECT_EQ(of_b(8), 4);
}

TEST_P(ControlTest, QueuesAndTenantsAreListedByName) {
  Add("one", "b", "y");
  Add("two", "a", "x");
  ASSERT_OK(Cap(Controlled::kQueue, "c", 5));
  ASSERT_OK(Weigh(Controlled::kQueue, "c", 7));
  ASSERT_OK(Cap(Controlled::kTenant, "y", 4));
  ASSERT_THAT(Started(Register(), 1), SizeIs(1));
  auto list = [&](const std::string& after, int limit) {
    std::vector<std::string> names;
    auto queues = Read<std::vector<QueueRecord>>(
        [&](StoreReader& reader) { return reader.ListQueues(after, limit); });
    EXPECT_OK(queues);
    for (const QueueRecord& queue : *queues) names.push_back(queue.name);
    return names;
  };
  EXPECT_THAT(list("", 2), ElementsAre("a", "b"));
  EXPECT_THAT(list("b", 2), ElementsAre("c"));
  EXPECT_EQ(Queue("c").max_running, 5);
  EXPECT_EQ(Queue("c").weight, 7);
  auto tenants = Read<std::vector<TenantRecord>>(
      [](StoreReader& reader) { return reader.ListTenants("", 10); });
  ASSERT_OK(tenants);
  ASSERT_THAT(*tenants, SizeIs(2));
  EXPECT_EQ((*tenants)[1].name, "y");
  EXPECT_EQ((*tenants)[1].max_running, 4);
  EXPECT_EQ((*tenants)[0].running + (*tenants)[1].running, 1);
}

MIDWATCH_ON_EVERY_STORE(ControlTest);

}  // namespace
}  // namespace midwatch
