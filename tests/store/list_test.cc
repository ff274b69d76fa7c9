// Lists of tasks and batches: what each filter names, how pages hold together,
// and that no statement walks a table.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <filesystem>
#include <functional>

#include "absl/strings/match.h"
#include "base/sqlite.h"
#include "store/queue_reader.h"
#include "store/schema.h"
#include "tests/testing/store_fixture.h"

namespace midwatch {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Pair;

constexpr v1::TaskState kQueued = v1::TASK_STATE_QUEUED;
constexpr v1::TaskState kRunning = v1::TASK_STATE_RUNNING;
constexpr v1::TaskState kSucceeded = v1::TASK_STATE_SUCCEEDED;

class ListTest : public testing::StoreFixture {
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

TEST_F(ListTest, FiltersAddUp) {
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

TEST_F(ListTest, ATaskNamesItsQueueAndItsLabels) {
  Submit("day", "fast", {{"a", {{"team", "x=y"}, {"run", "1"}}}});
  TaskRecord task = Tasks({}).at(0);
  EXPECT_EQ(task.queue, "fast");
  EXPECT_THAT(task.labels, ElementsAre(Pair("run", "1"), Pair("team", "x=y")));
}

TEST_F(ListTest, ARetriedTaskKeepsQueueAndLabels) {
  RowKey batch = Submit("day", "fast", {{"a", {{"team", "x"}}}});
  RowKey first = Tasks({.batch = batch.row}).at(0).key;
  ASSERT_OK(Apply(CancelTask{first, "no"}));
  ASSERT_OK(Apply(RetryTask{first, "again"}));
  EXPECT_THAT(
      Names({.states = {kQueued}, .queue = "fast", .labels = {{"team", "x"}}}),
      ElementsAre("a"));
}

// After each page the tasks that it listed start: nobody is left out for it.
TEST_F(ListTest, PagesHoldTogetherWhileTasksLeaveTheState) {
  SubmitBatch(7);
  int64_t worker = Register();
  EXPECT_THAT(WalkPages({.states = {kQueued}}, [&] { AdmitTo(worker, 2); }),
              ElementsAre("t0", "t1", "t2", "t3", "t4", "t5", "t6"));
}

// After each page one of its tasks, and one to come, change from the one state
// to the other: each is seen once all the same.
TEST_F(ListTest, PagesHoldTogetherWhileTasksChangeBetweenTwoStates) {
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

TEST_F(ListTest, BatchesByStateAndQueue) {
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

TEST_F(ListTest, EveryStatementIsASearch) {
  RowKey batch = Submit("day", "fast", {{"a", {{"k", "v"}, {"l", "w"}}}});
  auto queue = Sqlite::Open(dir_ / "queue.db", {.read_only = true});
  auto events = Sqlite::Open(dir_ / "events.db", {.read_only = true});
  ASSERT_OK(queue);
  ASSERT_OK(events);
  sqlite3* db = (*queue)->raw();
  SqliteReader reader(*std::move(queue), *std::move(events));
  for (std::optional<int64_t> in_batch :
       {std::optional<int64_t>(), std::optional<int64_t>(batch.row)}) {
    for (const std::vector<v1::TaskState>& states :
         {std::vector<v1::TaskState>{}, {kQueued, kRunning}}) {
      for (const char* in_queue : {"", "fast"}) {
        for (const Labels& labels : {Labels{}, {{"k", "v"}, {"l", "w"}}}) {
          TaskFilter filter{in_batch, states, in_queue, labels};
          ASSERT_OK(reader.ListTasks(filter, 0, 10));
        }
      }
    }
  }
  ASSERT_OK(reader.ListBatches({}, INT64_MAX, 10));
  ASSERT_OK(reader.ListBatches({.name = "day"}, INT64_MAX, 10));

  int statements = 0;
  std::vector<std::string> all;
  for (sqlite3_stmt* each = sqlite3_next_stmt(db, nullptr); each != nullptr;
       each = sqlite3_next_stmt(db, each)) {
    all.emplace_back(sqlite3_sql(each));
  }
  for (const std::string& sql : all) {
    if (!absl::StartsWith(sql, "SELECT")) continue;
    ++statements;
    sqlite3_stmt* plan = nullptr;
    ASSERT_EQ(sqlite3_prepare_v2(db, ("EXPLAIN QUERY PLAN " + sql).c_str(), -1,
                                 &plan, nullptr),
              SQLITE_OK);
    while (sqlite3_step(plan) == SQLITE_ROW) {
      std::string step =
          reinterpret_cast<const char*>(sqlite3_column_text(plan, 3));
      EXPECT_FALSE(absl::StrContains(step, "SCAN") ||
                   absl::StrContains(step, "TEMP B-TREE"))
          << sql << "\n  " << step;
    }
    sqlite3_finalize(plan);
  }
  EXPECT_GE(statements, 12);
}

// A database as the first release left it: its tasks have no queue of their own
// and no labels.
TEST_F(ListTest, AnOlderDatabaseIsBroughtForward) {
  Crash();
  std::filesystem::remove(dir_ / "queue.db");
  {
    auto db = Sqlite::Open(dir_ / "queue.db");
    ASSERT_OK(db);
    ASSERT_OK(Migrate(**db, {QueueSchema()[0]}, "queue.db"));
    ASSERT_OK((*db)->Script(R"sql(
      INSERT INTO label(id, kind, name) VALUES
        (1, 1, 'default'), (2, 2, 'default'), (3, 3, 'default'), (4, 2, 'slow');
      INSERT INTO lane(id, tenant, queue, account, running) VALUES
        (1, 1, 2, 3, 1), (2, 1, 4, 3, 0);
      INSERT INTO template(id, spec) VALUES (1, x'');
      INSERT INTO task(id, at, lane, batch, name, state, template, line_blob,
                       prio, max_cost)
      VALUES (1, 1000, 1, 0, 'running', 3, 1, x'', 5, 1000000),
             (2, 1000, 2, 0, 'failed', 7, 1, x'', 5, 1000000),
             (3, 1000, 2, 0, 'queued', 2, 1, x'', 5, 1000000);
      INSERT INTO live(task, attempt, epoch, account, batch, phase, reserved,
                       grant_seq, granted_at)
      VALUES (1, 1, 1, 3, 0, 1, 0, 1, 1000);
    )sql"));
  }
  Open();
  EXPECT_THAT(Names({}), ElementsAre("running", "failed", "queued"));
  EXPECT_THAT(Names({.queue = "slow"}), ElementsAre("failed", "queued"));
  EXPECT_THAT(Names({.states = {v1::TASK_STATE_FAILED}}),
              ElementsAre("failed"));
  EXPECT_THAT(Names({.states = {kRunning}, .queue = "default"}),
              ElementsAre("running"));
  EXPECT_THAT(Tasks({}).at(2).labels, IsEmpty());
  // New ones stand beside them.
  Submit("day", "slow", {{"new", {{"k", "v"}}}});
  EXPECT_THAT(Names({.states = {kQueued}, .queue = "slow"}),
              ElementsAre("queued", "new"));
}

}  // namespace
}  // namespace midwatch
