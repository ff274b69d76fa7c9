// What is SQLite's own: its files, and who may open them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "base/sqlite.h"
#include "tests/testing/store_fixture.h"

namespace midwatch {
namespace {

using ::testing::HasSubstr;
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

}  // namespace
}  // namespace midwatch
