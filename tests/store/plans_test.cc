// No statement of the lists walks a table.
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/match.h"
#include "base/sqlite.h"
#include "store/queue_reader.h"
#include "tests/testing/store_fixture.h"

namespace midwatch {
namespace {

class PlansTest : public testing::StoreFixture {};

TEST_F(PlansTest, EveryStatementIsASearch) {
  const RowKey batch = SubmitBatch(1);
  PutSchedule schedule{.name = "nightly", .timing = {}, .steps = {}};
  schedule.steps.emplace_back().mutable_open();
  ASSERT_OK(Apply(schedule));
  // One that waits for another, and one that waits for both.
  NewTask one = Line("u"), both = Line("v");
  one.line.add_needs()->set_name("t");
  both.line.add_needs()->set_all_earlier(true);
  one.needs.emplace_back();
  both.needs.emplace_back();
  ASSERT_OK(Apply(Opening("batch-2")));
  ASSERT_OK(Apply(AddTasks{"batch-2", 0, {Line("t"), one, both}}));
  auto queue = Sqlite::Open(dir_ / "queue.db", {.read_only = true});
  auto events = Sqlite::Open(dir_ / "events.db", {.read_only = true});
  ASSERT_OK(queue);
  ASSERT_OK(events);
  sqlite3* db = (*queue)->raw();
  SqliteReader reader(*std::move(queue), *std::move(events));
  for (std::optional<int64_t> in_batch :
       {std::optional<int64_t>(), std::optional<int64_t>(batch.row)}) {
    for (const std::vector<v1::TaskState>& states :
         {std::vector<v1::TaskState>{},
          {v1::TASK_STATE_QUEUED, v1::TASK_STATE_RUNNING}}) {
      for (const char* in_queue : {"", "default"}) {
        for (const Labels& labels : {Labels{}, {{"k", "v"}, {"l", "w"}}}) {
          TaskFilter filter{in_batch, states, in_queue, labels};
          ASSERT_OK(reader.ListTasks(filter, 0, 10));
        }
      }
    }
  }
  ASSERT_OK(reader.ListBatches({}, INT64_MAX, 10));
  ASSERT_OK(reader.ListJournal(batch.row, 0, 10));
  ASSERT_OK(reader.ListMoney({.batch = batch}, 0, 10));
  ASSERT_OK(reader.ListMoney({.task = SubmitOne("single")}, 0, 10));
  ASSERT_OK(reader.ListEndedTasks(v1::TASK_STATE_FAILED, 0, 10));
  ASSERT_OK(reader.ListBatches({.name = "b"}, INT64_MAX, 10));
  ASSERT_OK(reader.FindSchedule("nightly", 10));
  ASSERT_OK(reader.ListSchedules(0, 10));
  ASSERT_OK(reader.ReadScheduleStep(1, 1, 0));
  // One whose key is busy, and which a budget binds.
  ASSERT_OK(Apply(SetBudget{.scope = v1::BUDGET_SCOPE_QUEUE,
                            .name = "default",
                            .row = {},
                            .window = v1::BUDGET_WINDOW_TOTAL,
                            .zone = "",
                            .limit = 90'000'000}));
  RowKey last;
  for (const char* request : {"first", "second"}) {
    SubmitTask keyed = Single(request);
    keyed.task.concurrency_key = "k";
    auto task = Apply(keyed);
    ASSERT_OK(task);
    last = task->task;
  }
  AdmitTo(Register(), 10);
  auto standing = reader.ReadTaskStanding(last, clock_.Now());
  ASSERT_OK(standing);
  EXPECT_EQ(standing->key_holder, "one");
  EXPECT_EQ(standing->budgets.size(), 1u);
  ASSERT_OK(reader.ReadKind("none"));

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
  EXPECT_GE(statements, 17);
}

}  // namespace
}  // namespace midwatch
