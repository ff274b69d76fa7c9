// What is SQLite's own: its files, who may open them, and damage to them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/sqlite.h"
#include "tests/testing/store_fixture.h"

namespace midwatch {
namespace {

using ::testing::HasSubstr;
using ::testing::SizeIs;
using testing::StatusIs;

class SqliteStoreTest : public testing::StoreFixture {};

// A batch was read as done whose last changes had not been read.
TEST_F(SqliteStoreTest, OneReadSeesOneMoment) {
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

TEST_F(SqliteStoreTest, ASecondProcessIsRefused) {
  testing::FakeExecutor other(time_);
  SqliteStoreOptions options{.dir = dir_.path(), .threads = false};
  EXPECT_THAT(OpenSqliteStore(other, pool_, clock_, random_, options),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("in use by process")));
}

TEST_F(SqliteStoreTest, ADatabaseOfANewerReleaseIsLeftAlone) {
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

TEST_F(SqliteStoreTest, ACorruptFileIsLeftAlone) {
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

TEST_F(SqliteStoreTest, SomebodyElsesDatabaseIsLeftAlone) {
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

// A row that cannot be read is nobody's trouble but its own task's.
TEST_F(SqliteStoreTest, ATimerThatFailsHoldsUpNoOther) {
  std::vector<RowKey> needed, needing;
  for (const char* name : {"damaged", "whole"}) {
    needed.push_back(SubmitOne(absl::StrCat(name, " needed")));
    SubmitTask submit = Single(name);
    submit.task.line.set_name(name);
    submit.task.line.add_needs()->set_task_id("it");
    submit.task.needs = {{.task = needed.back(), .mentions = 1}};
    auto task = Apply(submit);
    ASSERT_OK(task);
    needing.push_back(task->task);
  }
  const int64_t worker = Register();
  for (const GrantRecord& grant : AdmitTo(worker, 2)) {
    const std::string nonce = absl::StrCat("nonce-", grant.task.row);
    ASSERT_OK(Apply(BeginCreate{grant.lease, nonce}));
    ASSERT_OK(Apply(RecordSession{grant.lease, nonce, "sesn_" + nonce}));
    ASSERT_OK(SettleWith(grant.lease, Success()));
  }
  Crash();
  {
    auto db = Sqlite::Open(dir_ / "queue.db");
    ASSERT_OK(db);
    ASSERT_OK(
        (*db)->Run("UPDATE task SET line_blob = x'ff' WHERE name = 'damaged'"));
  }
  Open();
  EXPECT_THAT(Apply(FireTimers{}), StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_EQ(Task(needing[1]).state, v1::TASK_STATE_BLOCKED);
  auto fired = Apply(FireTimers{.apart = true});
  ASSERT_OK(fired);
  ASSERT_THAT(fired->put_off, SizeIs(1));
  EXPECT_THAT(fired->put_off[0], HasSubstr("task row"));
  EXPECT_EQ(Task(needing[1]).state, v1::TASK_STATE_QUEUED);
  EXPECT_EQ(
      fired->next,
      absl::FromUnixMicros(absl::ToUnixMicros(clock_.Now() + absl::Hours(1))));
  // Until then the others are fired as ever.
  EXPECT_OK(Apply(FireTimers{}));
  // Then it fails again.
  time_.Advance(absl::Hours(2));
  fired = Apply(FireTimers{.apart = true});
  ASSERT_OK(fired);
  EXPECT_THAT(fired->put_off, SizeIs(1));
}

// As they are after an hour in which they could not be fired.
TEST_F(SqliteStoreTest, ATimerThatWasPutOffDoesItsWork) {
  SubmitTask expiring = Single("expiring");
  expiring.task.start.expires_after = absl::Minutes(10);
  SubmitTask delayed = Single("delayed");
  delayed.task.start.delay = absl::Minutes(10);
  auto expires = Apply(expiring), waits = Apply(delayed);
  ASSERT_OK(expires);
  ASSERT_OK(waits);
  Crash();
  {
    auto db = Sqlite::Open(dir_ / "queue.db");
    ASSERT_OK(db);
    ASSERT_OK((*db)->Run("UPDATE timer SET at = at + 3600000000"));
    ASSERT_EQ((*db)->changes(), 2);
  }
  Open();
  // Later than the timer that was put off.
  ASSERT_OK(Apply(UpdateTask{.task = waits->task,
                             .start_after = clock_.Now() + absl::Hours(3)}));
  time_.Advance(absl::Hours(2));
  ASSERT_OK(Apply(FireTimers{}));
  EXPECT_EQ(Task(expires->task).state, v1::TASK_STATE_FAILED);
  EXPECT_THAT(AdmitTo(Register(), 1), SizeIs(0));
  time_.Advance(absl::Hours(2));
  ASSERT_OK(Apply(FireTimers{}));
  EXPECT_THAT(AdmitTo(Register(), 1), SizeIs(1));
}

}  // namespace
}  // namespace midwatch
