#include "base/sqlite.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sqlite3.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <memory>
#include <set>
#include <string>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "tests/testing/status_matchers.h"

namespace midwatch {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using testing::IsOk;
using testing::StatusIs;

class SqliteTest : public ::testing::Test {
 protected:
  SqliteTest() { fs::create_directory(dir_); }
  ~SqliteTest() override { fs::remove_all(dir_); }

  std::unique_ptr<Sqlite> Open(const SqliteOptions& options = {}) {
    absl::StatusOr<std::unique_ptr<Sqlite>> db = Sqlite::Open(path_, options);
    EXPECT_THAT(db, IsOk());
    return *std::move(db);
  }

  const fs::path dir_ = fs::path(::testing::TempDir()) /
                        ("midwatch-sqlite-" + RealRandom().Hex(8));
  const std::string path_ = (dir_ / "test.db").string();
};

TEST_F(SqliteTest, ValuesComeBackAsTheyWere) {
  std::unique_ptr<Sqlite> db = Open();
  ASSERT_OK(db->Script("CREATE TABLE t(a, b, c, d, e, f)"));
  const std::string text("caf\xc3\xa9\0 ' \"", 11);
  const std::string bytes("\xff\0\x80", 3);
  constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
  ASSERT_OK(db->Run("INSERT INTO t VALUES(?, ?, ?, ?, ?, ?)", kLeast, 7, 0.25,
                    text, SqliteBlob{bytes}, nullptr));
  EXPECT_EQ(db->last_insert_id(), 1);
  EXPECT_EQ(db->changes(), 1);
  SqliteStatement row = db->Query(
      "SELECT a, b, c, d, e, f, typeof(d), typeof(e) FROM t WHERE b = ?", 7);
  ASSERT_TRUE(row.Step());
  EXPECT_EQ(row.Int(0), kLeast);
  EXPECT_EQ(row.Int(1), 7);
  EXPECT_EQ(row.Real(2), 0.25);
  EXPECT_EQ(row.Text(3), text);
  EXPECT_EQ(row.Text(4), bytes);
  EXPECT_TRUE(row.IsNull(5));
  EXPECT_FALSE(row.IsNull(4));
  EXPECT_EQ(row.Text(5), "");
  EXPECT_EQ(row.Text(6), "text");
  EXPECT_EQ(row.Text(7), "blob");
  EXPECT_FALSE(row.Step());
  EXPECT_OK(row.status());
}

TEST_F(SqliteTest, EmptyIsNotNull) {
  std::unique_ptr<Sqlite> db = Open();
  SqliteStatement row = db->Query(
      "SELECT ?, ?, ?, ?", absl::string_view(), SqliteBlob{},
      SqliteNullable<std::string>{true, ""}, SqliteNullable<int>{false, 0});
  ASSERT_TRUE(row.Step());
  EXPECT_FALSE(row.IsNull(0));
  EXPECT_FALSE(row.IsNull(1));
  EXPECT_FALSE(row.IsNull(2));
  EXPECT_TRUE(row.IsNull(3));
}

TEST_F(SqliteTest, AStatementIsUsedAgain) {
  std::unique_ptr<Sqlite> db = Open();
  ASSERT_OK(db->Script("CREATE TABLE t(a INTEGER PRIMARY KEY)"));
  for (int i = 1; i <= 3; ++i) {
    ASSERT_OK(db->Run("INSERT INTO t VALUES(?)", i));
    // Left in the middle of its rows each time.
    SqliteStatement row = db->Query("SELECT a FROM t ORDER BY a DESC");
    ASSERT_TRUE(row.Step());
    EXPECT_EQ(row.Int(0), i);
  }
  ASSERT_OK(db->Run("DELETE FROM t"));
  EXPECT_EQ(db->changes(), 3);
}

TEST_F(SqliteTest, EveryParameterGetsOneValue) {
  std::unique_ptr<Sqlite> db = Open();
  EXPECT_THAT(db->Run("SELECT ?, ?", 1),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("1 of 2")));
  EXPECT_THAT(db->Run("SELECT ?", 1, 2), StatusIs(absl::StatusCode::kInternal));
  EXPECT_OK(db->Run("SELECT ?1, ?1", 1));
}

TEST_F(SqliteTest, BrokenStatementsSayWhichAndWhy) {
  std::unique_ptr<Sqlite> db = Open();
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(db->Run("SELECT x FROM nowhere"),
                StatusIs(absl::StatusCode::kInternal,
                         HasSubstr("SELECT x FROM nowhere: no such table")));
  }
  EXPECT_THAT(db->Script("SELECT 1; nonsense"),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("nonsense")));
}

TEST_F(SqliteTest, OnlyDuplicatesAlreadyExist) {
  std::unique_ptr<Sqlite> db = Open();
  ASSERT_OK(db->Script(
      "CREATE TABLE t(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE,"
      "  n INT CHECK (n > 0))"));
  const char* insert = "INSERT INTO t VALUES(?, ?, ?)";
  ASSERT_OK(db->Run(insert, 1, "a", 1));
  EXPECT_THAT(db->Run(insert, 1, "b", 1),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(db->Run(insert, 2, "a", 1),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(db->Run(insert, 2, nullptr, 1),
              StatusIs(absl::StatusCode::kInternal));
  EXPECT_THAT(db->Run(insert, 2, "b", 0),
              StatusIs(absl::StatusCode::kInternal));
  EXPECT_OK(db->Run(insert, 2, "b", 2));
}

TEST_F(SqliteTest, TellsWhetherATransactionIsOpen) {
  std::unique_ptr<Sqlite> db = Open();
  ASSERT_OK(db->Script("CREATE TABLE t(a)"));
  EXPECT_TRUE(db->autocommit());
  ASSERT_OK(db->Run("BEGIN IMMEDIATE"));
  EXPECT_FALSE(db->autocommit());
  ASSERT_OK(db->Run("INSERT INTO t VALUES(1)"));
  ASSERT_OK(db->Run("ROLLBACK"));
  EXPECT_TRUE(db->autocommit());
  SqliteStatement count = db->Query("SELECT count(*) FROM t");
  ASSERT_TRUE(count.Step());
  EXPECT_EQ(count.Int(0), 0);
}

TEST_F(SqliteTest, AnotherWriterMakesItUnavailable) {
  SqliteOptions impatient;
  impatient.busy_timeout_millis = 0;
  std::unique_ptr<Sqlite> first = Open(impatient);
  std::unique_ptr<Sqlite> second = Open(impatient);
  ASSERT_OK(first->Run("BEGIN IMMEDIATE"));
  EXPECT_THAT(second->Run("BEGIN IMMEDIATE"),
              StatusIs(absl::StatusCode::kUnavailable));
  ASSERT_OK(first->Run("COMMIT"));
  EXPECT_OK(second->Run("BEGIN IMMEDIATE"));
}

TEST_F(SqliteTest, IsOpenedForDurableWrites) {
  std::unique_ptr<Sqlite> db = Open();
  const struct {
    const char* pragma;
    const char* want;
  } cases[] = {{"PRAGMA journal_mode", "wal"},
               {"PRAGMA synchronous", "2"},
               {"PRAGMA secure_delete", "0"}};
  for (const auto& c : cases) {
    SqliteStatement row = db->Query(c.pragma);
    ASSERT_TRUE(row.Step());
    EXPECT_EQ(row.Text(0), c.want) << c.pragma;
  }
}

TEST_F(SqliteTest, ReadOnlyReadsOnly) {
  SqliteOptions read_only;
  read_only.read_only = true;
  EXPECT_THAT(
      Sqlite::Open(path_, read_only),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr(path_)));
  std::unique_ptr<Sqlite> writer = Open();
  ASSERT_OK(writer->Script("CREATE TABLE t(a)"));
  std::unique_ptr<Sqlite> reader = Open(read_only);
  EXPECT_OK(reader->Run("SELECT * FROM t"));
  EXPECT_THAT(reader->Run("INSERT INTO t VALUES(1)"),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST_F(SqliteTest, OpenSaysWhatIsWrong) {
  EXPECT_THAT(Sqlite::Open((dir_ / "none" / "test.db").string()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("none/test.db")));
  std::ofstream(path_) << std::string(4096, 'x');
  EXPECT_THAT(Sqlite::Open(path_),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr(path_)));
}

TEST_F(SqliteTest, OtherSizesOfPagesAreRefused) {
  {
    sqlite3* other = nullptr;
    ASSERT_EQ(sqlite3_open(path_.c_str(), &other), SQLITE_OK);
    ASSERT_EQ(sqlite3_exec(other, "PRAGMA page_size=1024; CREATE TABLE t(a)",
                           nullptr, nullptr, nullptr),
              SQLITE_OK);
    sqlite3_close(other);
  }
  EXPECT_THAT(Sqlite::Open(path_),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("has pages of 1024 bytes; expected 4096")));
}

// Pages are split everywhere, put in order, dropped and taken again, more of
// them than the cache holds.
TEST_F(SqliteTest, ManyRowsInNoOrderStayWhole) {
  SqliteOptions options;
  options.cache_kib = 256;
  auto db = Sqlite::Open(path_, options);
  ASSERT_OK(db);
  ASSERT_OK((*db)->Script(
      "CREATE TABLE t(key TEXT PRIMARY KEY, value TEXT) WITHOUT ROWID"));
  SeededRandom random(3);
  std::set<std::string> keys;
  for (int round = 0; round < 40; ++round) {
    ASSERT_OK((*db)->Run("BEGIN IMMEDIATE"));
    for (int i = 0; i < 250; ++i) {
      const std::string key = random.Hex(16);
      keys.insert(key);
      ASSERT_OK((*db)->Run("INSERT INTO t VALUES (?, ?)", key,
                           std::string(1 + random.Next() % 600, 'v')));
    }
    if (round % 5 == 4) {
      for (int i = 0; i < 300; ++i) {
        ASSERT_OK((*db)->Run("DELETE FROM t WHERE key = ?", *keys.begin()));
        keys.erase(keys.begin());
      }
    }
    ASSERT_OK((*db)->Run("COMMIT"));
  }
  SqliteStatement check = (*db)->Query("PRAGMA integrity_check");
  ASSERT_TRUE(check.Step());
  EXPECT_EQ(check.Text(0), "ok");
  SqliteStatement row = (*db)->Query("SELECT key FROM t ORDER BY key");
  for (const std::string& key : keys) {
    ASSERT_TRUE(row.Step());
    ASSERT_EQ(row.Text(0), key);
  }
  EXPECT_FALSE(row.Step());
}

}  // namespace
}  // namespace midwatch
