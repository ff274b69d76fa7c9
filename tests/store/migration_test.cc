// Databases that an older release wrote.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "base/sqlite.h"
#include "store/schema.h"
#include "tests/testing/store_fixture.h"

namespace midwatch {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

class MigrationTest : public testing::StoreFixture {
 protected:
  std::vector<std::string> Names(const TaskFilter& filter) {
    std::vector<std::string> names;
    for (const TaskRecord& task : Tasks(filter)) names.push_back(task.name);
    return names;
  }
};

// A database as the first release left it: its tasks have no queue of their own
// and no labels.
TEST_F(MigrationTest, AnOlderDatabaseIsBroughtForward) {
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
  EXPECT_THAT(Names({.states = {v1::TASK_STATE_RUNNING}, .queue = "default"}),
              ElementsAre("running"));
  EXPECT_THAT(Tasks({}).at(2).labels, IsEmpty());
  // New ones stand beside them.
  SubmitTask submit = Single("new");
  submit.queue = "slow";
  submit.task = Line("new");
  submit.task.labels = {{"k", "v"}};
  ASSERT_OK(Apply(submit));
  EXPECT_THAT(Names({.states = {v1::TASK_STATE_QUEUED}, .queue = "slow"}),
              ElementsAre("queued", "new"));
}

}  // namespace
}  // namespace midwatch
