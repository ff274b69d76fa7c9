// Tasks that need others.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "absl/strings/str_cat.h"
#include "tests/contract/store_contract.h"

namespace midwatch {
namespace {

using testing::ContractTest;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using testing::StatusIs;

class NeedTest : public ContractTest {
 protected:
  static NewTask Needing(const std::string& name,
                         const std::vector<std::string>& needs,
                         v1::NeedPolicy policy = v1::NEED_POLICY_UNSPECIFIED) {
    NewTask task = Line(name);
    for (const std::string& need : needs) {
      task.line.add_needs()->set_name(need);
      task.needs.emplace_back();
    }
    task.line.set_on_need_failure(policy);
    return task;
  }
  static NewTask NeedingAll(const std::string& name,
                            v1::NeedPolicy policy = v1::NEED_POLICY_SKIP) {
    NewTask task = Line(name);
    task.line.add_needs()->set_all_earlier(true);
    task.needs.emplace_back();
    task.line.set_on_need_failure(policy);
    return task;
  }
  static NewTask NeedingTask(const std::string& name, RowKey key) {
    NewTask task = Line(name);
    task.line.add_needs()->set_task_id("T");
    task.needs.push_back({.task = key});
    return task;
  }

  RowKey Submit(std::vector<NewTask> tasks,
                const std::string& request = "batch-1") {
    auto batch = Apply(Opening(request));
    EXPECT_OK(batch);
    const auto lines = static_cast<int64_t>(tasks.size());
    EXPECT_OK(Apply(AddTasks{request, 0, std::move(tasks)}));
    EXPECT_OK(Apply(SealBatch{request, lines}));
    worker_ = Register();
    FireAll();
    return batch->batch;
  }

  TaskRecord Named(const std::string& name) {
    for (TaskRecord& task : Tasks()) {
      if (task.name == name) return std::move(task);
    }
    ADD_FAILURE() << "no task " << name;
    return {};
  }
  v1::TaskState StateOf(const std::string& name) { return Named(name).state; }
  std::vector<v1::TaskState> States(const std::vector<std::string>& names) {
    std::vector<v1::TaskState> states;
    for (const std::string& name : names) states.push_back(StateOf(name));
    return states;
  }

  // As the scheduler does: again while something is due. The batches that are
  // to be cancelled.
  std::vector<RowKey> FireAll() {
    std::vector<RowKey> cancelling;
    for (fires_ = 1; fires_ < 1000; ++fires_) {
      auto fired = Apply(FireTimers{});
      EXPECT_OK(fired);
      cancelling.insert(cancelling.end(), fired->cancelling.begin(),
                        fired->cancelling.end());
      if (fired->next > clock_.Now()) break;
    }
    return cancelling;
  }

  // Runs whatever is first, once, to `ending`; its name.
  std::string RunNext(v1::Ending ending) {
    std::vector<GrantRecord> grants = AdmitTo(worker_, 1);
    if (grants.empty()) return "";
    EXPECT_OK(SettleWith(grants[0].lease, std::move(ending)));
    FireAll();
    return grants[0].name;
  }
  std::string RunNext() { return RunNext(Success()); }
  void Cancel(const std::string& name) {
    EXPECT_OK(Apply(CancelTask{Named(name).key, "not wanted"}));
    FireAll();
  }

  static v1::Ending Leaving(const std::string& message,
                            const std::vector<std::string>& paths) {
    v1::Ending ending = Success();
    ending.set_final_message(message);
    for (const std::string& path : paths) {
      v1::Output& output = *ending.add_outputs();
      output.set_path(path);
      output.set_sha256(std::string(64, 'a'));
      output.set_size_bytes(7);
    }
    return ending;
  }
  static void AddInput(NewTask& task, const std::string& from,
                       const std::string& path, const std::string& mount) {
    v1::Input& input = *task.line.add_inputs();
    input.set_from(from);
    input.set_path(path);
    input.set_mount(mount);
  }

  int64_t worker_ = 0;
  int fires_ = 0;
};

TEST_P(NeedTest, ATaskWaitsForWhatItNeeds) {
  RowKey batch = Submit({Line("a"), Line("b"), Needing("c", {"a", "b"})});
  EXPECT_EQ(Batch(batch).counts[v1::TASK_STATE_BLOCKED], 1);
  EXPECT_EQ(Batch(batch).counts[v1::TASK_STATE_QUEUED], 2);
  EXPECT_EQ(StateOf("c"), v1::TASK_STATE_BLOCKED);
  EXPECT_THAT(Named("c").waits_for, ElementsAre("a", "b"));
  std::vector<GrantRecord> grants = AdmitTo(worker_, 3);
  ASSERT_THAT(grants, SizeIs(2));
  auto settled = SettleWith(grants[0].lease, Success());
  EXPECT_TRUE(settled->needs_met);
  FireAll();
  EXPECT_THAT(Task(Named("c").key).waits_for, ElementsAre("b"));
  ASSERT_OK(SettleWith(grants[1].lease, Success()));
  FireAll();
  EXPECT_EQ(StateOf("c"), v1::TASK_STATE_QUEUED);
  EXPECT_THAT(Named("c").waits_for, IsEmpty());
  EXPECT_EQ(Batch(batch).state, v1::BATCH_STATE_SEALED);
  EXPECT_EQ(RunNext(), "c");
  EXPECT_EQ(Batch(batch).state, v1::BATCH_STATE_DONE);
}

TEST_P(NeedTest, NobodyIsWokenWhereNobodyWaits) {
  Submit({Line("a")});
  GrantRecord grant = AdmitTo(worker_, 1).at(0);
  EXPECT_FALSE(SettleWith(grant.lease, Success())->needs_met);
}

TEST_P(NeedTest, WhatIsLeftToDoIsInTheStore) {
  Submit({Line("a"), Needing("b", {"a"})});
  GrantRecord grant = AdmitTo(worker_, 1).at(0);
  ASSERT_OK(SettleWith(grant.lease, Success()));
  Restart();
  auto next =
      Read<absl::Time>([](StoreReader& reader) { return reader.NextTimer(); });
  EXPECT_LE(*next, clock_.Now());
  FireAll();
  EXPECT_EQ(RunNext(), "b");
}

TEST_P(NeedTest, SkipsGoDownTheChain) {
  RowKey batch = Submit({Line("a"), Needing("b", {"a"}), Needing("c", {"b"}),
                         Line("d"), Needing("e", {"c", "d"})});
  Cancel("a");
  EXPECT_THAT(States({"b", "c", "d", "e"}),
              ElementsAre(v1::TASK_STATE_SKIPPED, v1::TASK_STATE_SKIPPED,
                          v1::TASK_STATE_QUEUED, v1::TASK_STATE_SKIPPED));
  EXPECT_EQ(Named("b").reason, "needs 'a', which was cancelled");
  EXPECT_EQ(Named("c").reason, "needs 'b', which was skipped");
  EXPECT_EQ(Named("e").reason, "needs 'c', which was skipped");
  EXPECT_LT(Named("e").ended_at, absl::InfiniteFuture());
  EXPECT_EQ(Batch(batch).counts[v1::TASK_STATE_SKIPPED], 3);
  auto journal = Read<std::vector<JournalRecord>>([&](StoreReader& reader) {
    return reader.ListJournal(batch.row, 0, 100);
  });
  int skips = 0;
  for (const JournalRecord& entry : *journal) {
    skips += entry.kind == JournalKind::kSkipped;
  }
  EXPECT_EQ(skips, 3);
  EXPECT_EQ(RunNext(), "d");
  EXPECT_EQ(Batch(batch).state, v1::BATCH_STATE_DONE);
}

TEST_P(NeedTest, AFailureIsNoSuccess) {
  NewTask once = Line("a");
  once.own_spec = Spec();
  once.own_spec->mutable_retry()->set_max_failures(1);
  Submit({once, Needing("b", {"a"})});
  v1::Ending ending = Success();
  ending.set_kind(v1::Ending::KIND_TERMINATED);
  EXPECT_EQ(RunNext(ending), "a");
  EXPECT_EQ(StateOf("a"), v1::TASK_STATE_FAILED);
  EXPECT_EQ(Named("b").reason, "needs 'a', which failed");
}

TEST_P(NeedTest, ATaskMayRunAnyway) {
  Submit({Line("a"), Line("b"),
          Needing("c", {"a", "b"}, v1::NEED_POLICY_RUN_ANYWAY)});
  Cancel("a");
  EXPECT_THAT(Named("c").waits_for, ElementsAre("b"));
  EXPECT_EQ(RunNext(), "b");
  EXPECT_EQ(RunNext(), "c");
}

TEST_P(NeedTest, ATaskMayCancelItsBatch) {
  RowKey batch = Submit({Line("a"), Line("b"),
                         Needing("c", {"a"}, v1::NEED_POLICY_FAIL_BATCH),
                         Needing("d", {"c"})});
  ASSERT_OK(Apply(CancelTask{Named("a").key, ""}));
  EXPECT_THAT(FireAll(), ElementsAre(batch));
  EXPECT_EQ(Batch(batch).state, v1::BATCH_STATE_CANCELLING);
  // Whoever starts now goes on with it.
  auto open = Read<std::vector<RowKey>>(
      [](StoreReader& reader) { return reader.ListCancellingBatches(); });
  EXPECT_THAT(*open, ElementsAre(batch));
  ASSERT_OK(Apply(CancelBatch{batch, ""}));
  EXPECT_THAT(FireAll(), IsEmpty());
  EXPECT_EQ(Batch(batch).state, v1::BATCH_STATE_DONE);
  EXPECT_EQ(Batch(batch).counts[v1::TASK_STATE_CANCELLED], 4);
  EXPECT_EQ(Named("b").reason, "task 'c' needs 'a', which was cancelled");
}

// One that had seen its other need succeed was started, while its batch was
// being cancelled for the one that had not.
TEST_P(NeedTest, ATaskOfABatchThatItCancelsDoesNotStart) {
  RowKey batch =
      Submit({Line("a"), Line("b"),
              Needing("c", {"a", "b"}, v1::NEED_POLICY_FAIL_BATCH), Line("d")});
  std::vector<GrantRecord> grants = AdmitTo(worker_, 2);
  ASSERT_THAT(grants, SizeIs(2));
  ASSERT_OK(Apply(CancelTask{Named("a").key, ""}));
  ASSERT_OK(SettleWith(grants[1].lease, Success()));
  EXPECT_THAT(FireAll(), ElementsAre(batch));
  EXPECT_EQ(StateOf("c"), v1::TASK_STATE_BLOCKED);
  ASSERT_OK(Apply(CancelBatch{batch, ""}));
  EXPECT_EQ(StateOf("c"), v1::TASK_STATE_CANCELLED);
}

// Settling a task that thousands wait for must not hold up everybody else.
TEST_P(NeedTest, ManyAreUnblockedStepByStep) {
  std::vector<NewTask> tasks = {Line("a")};
  for (int i = 0; i < 900; ++i) {
    tasks.push_back(Needing(absl::StrCat("t", i), {"a"}));
  }
  RowKey batch = Submit(std::move(tasks));
  GrantRecord grant = AdmitTo(worker_, 1).at(0);
  ASSERT_OK(SettleWith(grant.lease, Success()));
  ASSERT_OK(Apply(FireTimers{}));
  const int64_t first = Batch(batch).counts[v1::TASK_STATE_QUEUED];
  EXPECT_GT(first, 0);
  EXPECT_LT(first, 500);
  Restart();
  FireAll();
  EXPECT_GT(fires_, 1);
  EXPECT_EQ(Batch(batch).counts[v1::TASK_STATE_QUEUED], 900);
  EXPECT_EQ(Batch(batch).counts[v1::TASK_STATE_BLOCKED], 0);
}

TEST_P(NeedTest, ATaskMayNeedAllBeforeIt) {
  RowKey batch = Submit(
      {Line("a"), Line("b"), NeedingAll("c"), Line("d"), NeedingAll("e")});
  EXPECT_THAT(Named("c").waits_for, ElementsAre("a", "b"));
  EXPECT_EQ(RunNext(), "a");
  EXPECT_EQ(RunNext(), "b");
  EXPECT_EQ(StateOf("c"), v1::TASK_STATE_QUEUED);
  EXPECT_EQ(StateOf("e"), v1::TASK_STATE_BLOCKED);
  EXPECT_EQ(RunNext(), "c");
  EXPECT_THAT(Named("e").waits_for, ElementsAre("d"));
  EXPECT_EQ(RunNext(), "d");
  EXPECT_EQ(RunNext(), "e");
  EXPECT_EQ(Batch(batch).state, v1::BATCH_STATE_DONE);
}

TEST_P(NeedTest, OneOfAllThatFailsIsEnough) {
  Submit({Line("a"), Line("b"), NeedingAll("c"),
          NeedingAll("d", v1::NEED_POLICY_RUN_ANYWAY), NeedingAll("e")});
  Cancel("b");
  EXPECT_THAT(States({"a", "c", "d", "e"}),
              ElementsAre(v1::TASK_STATE_QUEUED, v1::TASK_STATE_SKIPPED,
                          v1::TASK_STATE_BLOCKED, v1::TASK_STATE_BLOCKED));
  EXPECT_EQ(RunNext(), "a");
  EXPECT_EQ(RunNext(), "d");
  EXPECT_EQ(Named("e").reason, "needs 'b', which was cancelled");
}

TEST_P(NeedTest, ATaskMayNeedAllOfNothing) {
  Submit({NeedingAll("a")});
  EXPECT_EQ(RunNext(), "a");
}

TEST_P(NeedTest, WhatIsDoneAlreadyIsNotWaitedFor) {
  ASSERT_OK(Apply(Opening("batch-1")));
  ASSERT_OK(Apply(AddTasks{"batch-1", 0, {Line("a"), Line("b")}}));
  worker_ = Register();
  EXPECT_EQ(RunNext(), "a");
  Cancel("b");
  auto added =
      Apply(AddTasks{"batch-1", 2, {Needing("c", {"a"}), Needing("d", {"b"})}});
  EXPECT_TRUE(added->needs_met);
  FireAll();
  EXPECT_EQ(StateOf("c"), v1::TASK_STATE_QUEUED);
  EXPECT_EQ(StateOf("d"), v1::TASK_STATE_SKIPPED);
}

TEST_P(NeedTest, ALineNeedsEarlierLines) {
  ASSERT_OK(Apply(Opening("batch-1")));
  EXPECT_THAT(Apply(AddTasks{
                  "batch-1", 0, {Line("a"), Needing("b", {"c"}), Line("c")}}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("task 'b' needs 'c', which is on no")));
  EXPECT_THAT(Apply(AddTasks{"batch-1", 0, {Needing("a", {"a"})}}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(
      Apply(AddTasks{"batch-1", 0, {NeedingTask("a", {99, 1})}}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("no such task")));
  EXPECT_THAT(Tasks(), IsEmpty());
}

TEST_P(NeedTest, ATaskAloneNeedsAnyTask) {
  Submit({Line("a"), Line("b")});
  SubmitTask first = Single("one"), second = Single("two");
  first.task = NeedingTask("first", Named("a").key);
  second.task = NeedingTask("second", Named("b").key);
  ASSERT_OK(Apply(first));
  ASSERT_OK(Apply(second));
  EXPECT_EQ(RunNext(), "a");
  EXPECT_EQ(StateOf("first"), v1::TASK_STATE_QUEUED);
  Cancel("b");
  EXPECT_EQ(StateOf("second"), v1::TASK_STATE_SKIPPED);
}

TEST_P(NeedTest, ABlockedTaskIsCancelledForGood) {
  RowKey batch = Submit({Line("a"), Needing("b", {"a"}), NeedingAll("c")});
  Cancel("b");
  EXPECT_THAT(States({"b", "c"}),
              ElementsAre(v1::TASK_STATE_CANCELLED, v1::TASK_STATE_SKIPPED));
  EXPECT_EQ(RunNext(), "a");
  EXPECT_EQ(StateOf("b"), v1::TASK_STATE_CANCELLED);
  EXPECT_EQ(Batch(batch).state, v1::BATCH_STATE_DONE);
}

TEST_P(NeedTest, ABatchIsCancelledWithItsBlockedTasks) {
  RowKey batch = Submit({Line("a"), Needing("b", {"a"}), Needing("c", {"b"})});
  GrantRecord grant = GrantAndRecord(worker_);
  ASSERT_OK(Apply(CancelBatch{batch, "enough"}));
  FireAll();
  EXPECT_THAT(States({"a", "b", "c"}),
              ElementsAre(v1::TASK_STATE_CANCELLING, v1::TASK_STATE_CANCELLED,
                          v1::TASK_STATE_CANCELLED));
  ASSERT_OK(SettleWith(grant.lease, Success()));
  EXPECT_EQ(Batch(batch).state, v1::BATCH_STATE_DONE);
}

TEST_P(NeedTest, WhatTasksLeaveReachesThoseThatNeedThem) {
  NewTask merge = Needing("merge", {"a", "b"});
  merge.needs[1].mentions = 1;
  AddInput(merge, "a", "report.md", "in/a.md");
  AddInput(merge, "b", "", "in/b");
  v1::Input& own = *merge.line.add_inputs();
  own.set_mount("own");
  own.set_sha256(std::string(64, 'b'));
  Submit({Line("a"), Line("b"), merge});
  EXPECT_EQ(RunNext(Leaving("I am a", {"other.md", "report.md"})), "a");
  EXPECT_EQ(RunNext(Leaving("I am b", {"x/1", "x/2"})), "b");
  GrantRecord grant = AdmitTo(worker_, 1).at(0);
  std::vector<std::string> mounts;
  for (const v1::Input& input : grant.line.inputs()) {
    EXPECT_EQ(input.from(), "");
    EXPECT_EQ(input.sha256(),
              std::string(64, input.mount() == "own" ? 'b' : 'a'));
    mounts.push_back(input.mount());
  }
  EXPECT_THAT(mounts, ElementsAre("own", "in/a.md", "in/b/x/1", "in/b/x/2"));
  EXPECT_EQ(grant.line.parameters().at("tasks.b.message"), "I am b");
  EXPECT_FALSE(grant.line.parameters().contains("tasks.a.message"));
  // An adopter is told the same.
  ASSERT_OK(Apply(HandBack{grant.lease}));
  Restart();
  GrantRecord adopted = AdmitTo(Register("worker-incarnation-2"), 1).at(0);
  EXPECT_EQ(adopted.line.inputs_size(), 4);
}

TEST_P(NeedTest, AllThatTasksLeaveReachesTheOneThatNeedsAll) {
  NewTask merge = NeedingAll("merge", v1::NEED_POLICY_RUN_ANYWAY);
  merge.needs[0].mentions = 1;
  AddInput(merge, "all", "r.json", "in");
  Submit({Line("a"), Line("b"), Line("c"), merge});
  EXPECT_EQ(RunNext(Leaving("I am a", {"r.json", "s.json"})), "a");
  Cancel("b");
  EXPECT_EQ(RunNext(Leaving("I am c", {"r.json"})), "c");
  GrantRecord grant = AdmitTo(worker_, 1).at(0);
  ASSERT_EQ(grant.line.inputs_size(), 2);
  EXPECT_EQ(grant.line.inputs(0).mount(), "in/a/r.json");
  EXPECT_EQ(grant.line.inputs(1).mount(), "in/c/r.json");
  EXPECT_EQ(grant.line.parameters().at("tasks.all.messages"),
            "a: I am a\nc: I am c\n");
}

TEST_P(NeedTest, AnOutputThatIsNotThereFailsTheTask) {
  NewTask reader = Needing("b", {"a"});
  AddInput(reader, "a", "report.md", "in.md");
  RowKey batch = Submit({Line("a"), reader, Needing("c", {"b"})});
  EXPECT_EQ(RunNext(Leaving("", {"other.md"})), "a");
  TaskRecord task = Named("b");
  EXPECT_EQ(task.state, v1::TASK_STATE_FAILED);
  EXPECT_EQ(task.failure_class, v1::FAILURE_CLASS_SPEC);
  EXPECT_EQ(task.reason,
            "needs the output report.md of 'a', which left no such file");
  EXPECT_EQ(task.attempts, 0);
  EXPECT_EQ(StateOf("c"), v1::TASK_STATE_SKIPPED);
  EXPECT_EQ(Batch(batch).state, v1::BATCH_STATE_DONE);
}

TEST_P(NeedTest, WhatCannotBeMountedFailsTheTask) {
  NewTask twice = Needing("b", {"a"});
  AddInput(twice, "a", "x", "in/x");
  AddInput(twice, "a", "", "in");
  NewTask up = NeedingAll("c", v1::NEED_POLICY_RUN_ANYWAY);
  AddInput(up, "all", "", "in");
  NewTask many = Needing("d", {"../many"}, v1::NEED_POLICY_RUN_ANYWAY);
  AddInput(many, "../many", "", "in");
  Submit({Line("a"), twice, Line("../many"), up, many});
  EXPECT_EQ(RunNext(Leaving("", {"x"})), "a");
  std::vector<std::string> paths;
  for (int i = 0; i < 501; ++i) paths.push_back(absl::StrCat(i));
  EXPECT_EQ(RunNext(Leaving("", paths)), "../many");
  EXPECT_THAT(Named("b").reason, HasSubstr("to be mounted at in/x twice"));
  EXPECT_THAT(Named("c").reason, HasSubstr("whose name is no path"));
  EXPECT_THAT(Named("d").reason, HasSubstr("a session takes 500"));
}

// As often as the prompt holds them.
TEST_P(NeedTest, MessagesAreBounded) {
  NewTask merge = NeedingAll("merge");
  merge.needs[0].mentions = 70;
  NewTask little = Needing("little", {"a"});
  little.needs[0].mentions = 70;
  Submit({Line("a"), Line("b"), merge, little});
  for (int i = 0; i < 2; ++i) {
    RunNext(Leaving(std::string(16 << 10, 'x'), {}));
  }
  EXPECT_EQ(StateOf("little"), v1::TASK_STATE_QUEUED);
  EXPECT_EQ(StateOf("merge"), v1::TASK_STATE_FAILED);
  EXPECT_THAT(Named("merge").reason, HasSubstr("more than 2097152 bytes"));
}

// What it waited for is no time that others should have waited.
TEST_P(NeedTest, ATaskIsReadyWhenItsNeedsAreDone) {
  Submit({Line("a"), Needing("b", {"a"})});
  GrantRecord grant = AdmitTo(worker_, 1).at(0);
  time_.Advance(absl::Minutes(10));
  SubmitOne();
  time_.Advance(absl::Minutes(10));
  ASSERT_OK(SettleWith(grant.lease, Success()));
  FireAll();
  EXPECT_EQ(RunNext(), "one");
  EXPECT_EQ(RunNext(), "b");
}

TEST_P(NeedTest, ATaskHasAPromptOfItsOwn) {
  NewTask other = Line("b");
  other.own_spec = Spec();
  other.own_spec->set_prompt("merge it");
  Submit({Line("a"), other});
  std::vector<GrantRecord> grants = AdmitTo(worker_, 2);
  ASSERT_THAT(grants, SizeIs(2));
  EXPECT_EQ(grants[0].spec.prompt(), "do it");
  EXPECT_EQ(grants[1].spec.prompt(), "merge it");
}

TEST_P(NeedTest, ARetryHasWhatItNeedsAsItStandsNow) {
  NewTask reader = Needing("b", {"a"});
  reader.needs[0].mentions = 1;
  NewTask merge = NeedingAll("c");
  merge.needs[0].mentions = 1;
  Submit({Line("a"), reader, merge});
  Cancel("a");
  EXPECT_EQ(StateOf("b"), v1::TASK_STATE_SKIPPED);
  EXPECT_THAT(Apply(RetryTask{Named("b").key, "retry-b"}),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("needs 'a', which was cancelled; try")));
  auto again = Apply(RetryTask{Named("a").key, "retry-a"});
  ASSERT_OK(again);
  EXPECT_THAT(Apply(RetryTask{Named("b").key, "retry-b"}),
              StatusIs(absl::StatusCode::kFailedPrecondition));
  EXPECT_EQ(RunNext(Leaving("at last", {})), "a");
  ASSERT_OK(Apply(RetryTask{Named("b").key, "retry-b"}));
  GrantRecord grant = AdmitTo(worker_, 1).at(0);
  EXPECT_EQ(grant.line.parameters().at("tasks.a.message"), "at last");
  EXPECT_THAT(
      Apply(RetryTask{Named("c").key, "retry-c"}),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("needs 'b'")));
  ASSERT_OK(SettleWith(grant.lease, Leaving("b too", {})));
  ASSERT_OK(Apply(RetryTask{Named("c").key, "retry-c"}));
  grant = AdmitTo(worker_, 1).at(0);
  EXPECT_EQ(grant.line.parameters().at("tasks.all.messages"),
            "a: at last\nb: b too\n");
}

MIDWATCH_ON_EVERY_STORE(NeedTest);

}  // namespace
}  // namespace midwatch
