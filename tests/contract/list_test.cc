// Lists of tasks and batches: what each filter names, and how pages hold
// together.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <functional>

#include "tests/contract/store_contract.h"

namespace midwatch {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr v1::TaskState kQueued = v1::TASK_STATE_QUEUED;
constexpr v1::TaskState kRunning = v1::TASK_STATE_RUNNING;
constexpr v1::TaskState kSucceeded = v1::TASK_STATE_SUCCEEDED;

class ListTest : public testing::ContractTest {
 protected:
  // A batch of `names` in `queue`, each with the labels that `labels` gives it.
  RowKey Submit(const std::string& request, const std::string& queue,
                const std::vector<std::pair<std::string, Labels>>& tasks) {
    EXPECT_OK(Apply(OpenBatch{.request_id = request,
                              .name = request,
                              .tenant = "default",
                              .queue = queue,
                              .account = "default",
                              .content_sha256 = "",
                              .spec = Spec(),
                              .max_running = 0}));
    AddTasks add{.request_id = request, .first_line = 0, .tasks = {}};
    for (const auto& [name, labels] : tasks) {
      add.tasks.push_back(Line(name));
      add.tasks.back().labels = labels;
    }
    EXPECT_OK(Apply(add));
    return Apply(SealBatch{request, static_cast<int64_t>(tasks.size())})->batch;
  }

  std::vector<std::string> Names(const TaskFilter& filter) {
    std::vector<std::string> names;
    for (const TaskRecord& task : Tasks(filter)) names.push_back(task.name);
    return names;
  }

  // All pages of two, with a call of `between` after each but the last.
  std::vector<std::string> WalkPages(const TaskFilter& filter,
                                     const std::function<void()>& between) {
    std::vector<std::string> names;
    int64_t after = 0;
    while (true) {
      auto page = Read<RowPage<TaskRecord>>([&](StoreReader& reader) {
        return reader.ListTasks(filter, after, 2);
      });
      EXPECT_OK(page);
      for (const TaskRecord& task : page->rows) names.push_back(task.name);
      if (!page->next.has_value()) return names;
      after = *page->next;
      between();
    }
  }
};

TEST_P(ListTest, FiltersAddUp) {
  Labels red = {{"colour", "red"}}, big = {{"colour", "red"}, {"size", "big"}};
  RowKey day = Submit("day", "fast", {{"a", {}}, {"b", red}, {"c", big}});
  // a and b start, and a ends well.
  int64_t worker = Register();
  std::vector<GrantRecord> grants = AdmitTo(worker, 2);
  Submit("night", "slow", {{"d", red}, {"e", {}}});
  SubmitOne();
  ASSERT_EQ(grants.at(0).name, "a");
  ASSERT_OK(SettleWith(grants[0].lease, Success()));

  EXPECT_THAT(Names({}), ElementsAre("a", "b", "c", "d", "e", "one"));
  EXPECT_THAT(Names({.batch = day.row}), ElementsAre("a", "b", "c"));
  EXPECT_THAT(Names({.states = {kQueued}}), ElementsAre("c", "d", "e", "one"));
  EXPECT_THAT(Names({.states = {kRunning}}), ElementsAre("b"));
  EXPECT_THAT(Names({.states = {kSucceeded}}), ElementsAre("a"));
  EXPECT_THAT(Names({.states = {kSucceeded, kRunning, kRunning}}),
              ElementsAre("a", "b"));
  EXPECT_THAT(Names({.batch = day.row, .states = {kQueued, kSucceeded}}),
              ElementsAre("a", "c"));
  EXPECT_THAT(Names({.queue = "fast"}), ElementsAre("a", "b", "c"));
  EXPECT_THAT(Names({.queue = "default"}), ElementsAre("one"));
  EXPECT_THAT(Names({.queue = "none"}), IsEmpty());
  EXPECT_THAT(Names({.states = {kRunning}, .queue = "slow"}), IsEmpty());
  EXPECT_THAT(Names({.states = {kRunning, kQueued}, .queue = "fast"}),
              ElementsAre("b", "c"));
  EXPECT_THAT(Names({.batch = day.row, .queue = "fast"}),
              ElementsAre("a", "b", "c"));
  EXPECT_THAT(Names({.batch = day.row, .queue = "slow"}), IsEmpty());
  EXPECT_THAT(Names({.labels = red}), ElementsAre("b", "c", "d"));
  EXPECT_THAT(Names({.labels = big}), ElementsAre("c"));
  EXPECT_THAT(Names({.labels = {{"colour", "blue"}}}), IsEmpty());
  EXPECT_THAT(Names({.batch = day.row, .labels = red}), ElementsAre("b", "c"));
  EXPECT_THAT(Names({.queue = "slow", .labels = red}), ElementsAre("d"));
  EXPECT_THAT(Names({.states = {kRunning}, .labels = red}), ElementsAre("b"));
  EXPECT_THAT(Names({.batch = day.row,
                     .states = {kQueued},
                     .queue = "fast",
                     .labels = big}),
              ElementsAre("c"));
}

TEST_P(ListTest, ATaskNamesItsQueueAndItsLabels) {
  Submit("day", "fast", {{"a", {{"team", "x=y"}, {"run", "1"}}}});
  TaskRecord task = Tasks({}).at(0);
  EXPECT_EQ(task.queue, "fast");
  EXPECT_THAT(task.labels, ElementsAre(Pair("run", "1"), Pair("team", "x=y")));
}

TEST_P(ListTest, ARetriedTaskKeepsQueueAndLabels) {
  RowKey batch = Submit("day", "fast", {{"a", {{"team", "x"}}}});
  RowKey first = Tasks({.batch = batch.row}).at(0).key;
  ASSERT_OK(Apply(CancelTask{first, "no"}));
  ASSERT_OK(Apply(RetryTask{first, "again"}));
  EXPECT_THAT(
      Names({.states = {kQueued}, .queue = "fast", .labels = {{"team", "x"}}}),
      ElementsAre("a"));
}

// After each page the tasks that it listed start: nobody is left out for it.
TEST_P(ListTest, PagesHoldTogetherWhileTasksLeaveTheState) {
  SubmitBatch(7);
  int64_t worker = Register();
  EXPECT_THAT(WalkPages({.states = {kQueued}}, [&] { AdmitTo(worker, 2); }),
              ElementsAre("t0", "t1", "t2", "t3", "t4", "t5", "t6"));
}

// After each page one of its tasks, and one to come, change from the one state
// to the other: each is seen once all the same.
TEST_P(ListTest, PagesHoldTogetherWhileTasksChangeBetweenTwoStates) {
  SubmitBatch(7);
  std::vector<GrantRecord> grants = AdmitTo(Register(), 7);
  size_t first = 0;
  auto settle_two = [&] {
    for (size_t i : {first, first + 2}) {
      ASSERT_OK(SettleWith(grants.at(i).lease, Success()));
    }
    first += first == 1 ? 3 : 1;
  };
  EXPECT_THAT(WalkPages({.states = {kRunning, kSucceeded}}, settle_two),
              ElementsAre("t0", "t1", "t2", "t3", "t4", "t5", "t6"));
}

TEST_P(ListTest, BatchesByStateAndQueue) {
  RowKey done = Submit("day", "fast", {{"a", {}}});
  Submit("night", "slow", {{"b", {}}});
  ASSERT_OK(Apply(CancelTask{Tasks({.batch = done.row}).at(0).key, ""}));
  auto names = [&](const BatchFilter& filter) {
    auto page = Read<RowPage<BatchRecord>>([&](StoreReader& reader) {
      return reader.ListBatches(filter, INT64_MAX, 10);
    });
    EXPECT_OK(page);
    std::vector<std::string> result;
    for (const BatchRecord& batch : page->rows) result.push_back(batch.name);
    return result;
  };
  EXPECT_THAT(names({}), ElementsAre("night", "day"));
  EXPECT_THAT(names({.states = {v1::BATCH_STATE_DONE}}), ElementsAre("day"));
  EXPECT_THAT(names({.queue = "slow"}), ElementsAre("night"));
  EXPECT_THAT(names({.name = "day", .queue = "slow"}), IsEmpty());
  EXPECT_THAT(
      names({.name = "day", .states = {v1::BATCH_STATE_DONE}, .queue = "fast"}),
      ElementsAre("day"));
}

MIDWATCH_ON_EVERY_STORE(ListTest);

}  // namespace
}  // namespace midwatch
