// What one group of writes does when some of them fail.
#include "store/group_commit.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace midwatch {
namespace {

using ::testing::ElementsAre;
using testing::IsOk;
using testing::StatusIs;

class CommitGroupTest : public ::testing::Test {
 protected:
  CommitGroupTest() {
    auto db = Sqlite::Open(dir_ / "test.db");
    EXPECT_OK(db);
    db_ = *std::move(db);
    EXPECT_OK(db_->Script("CREATE TABLE t(x INTEGER PRIMARY KEY)"));
  }

  // An operation that inserts `x`, then does `more`.
  void Add(int x, std::function<absl::Status()> more = nullptr) {
    size_t place = results_.size();
    results_.push_back(absl::UnknownError("not told"));
    ops_.push_back({.run = [this, x, more]() -> absl::Status {
                      absl::Status status =
                          db_->Run("INSERT INTO t VALUES (?)", x);
                      return status.ok() && more ? more() : status;
                    },
                    .finish =
                        [this, place](absl::Status status) {
                          results_[place] = std::move(status);
                        }});
  }
  void Commit() {
    CommitGroup(*db_, kQueueCommit, ops_, [this] { ++commits_; });
  }
  std::vector<int64_t> Rows() {
    std::vector<int64_t> rows;
    SqliteStatement row = db_->Query("SELECT x FROM t ORDER BY x");
    while (row.Step()) rows.push_back(row.Int(0));
    return rows;
  }

  testing::TempDir dir_;
  std::unique_ptr<Sqlite> db_;
  std::vector<WriteOp> ops_;
  std::vector<absl::Status> results_;
  int commits_ = 0;
};

TEST_F(CommitGroupTest, OneThatFailsIsRolledBackAlone) {
  Add(1);
  Add(2, [] { return absl::InternalError("no"); });
  Add(1);  // breaks the key
  Add(3);
  Commit();
  EXPECT_THAT(results_,
              ElementsAre(IsOk(), StatusIs(absl::StatusCode::kInternal),
                          StatusIs(absl::StatusCode::kAlreadyExists), IsOk()));
  EXPECT_THAT(Rows(), ElementsAre(1, 3));
  EXPECT_EQ(commits_, 1);
}

TEST_F(CommitGroupTest, OneThatFailsBeforeItWritesDisturbsNobody) {
  int runs = 0;
  Add(1, [&] {
    ++runs;
    return absl::OkStatus();
  });
  results_.push_back(absl::UnknownError("not told"));
  ops_.push_back(
      {.run = [] { return absl::AbortedError("lost"); },
       .finish =
           [this](absl::Status status) { results_[1] = std::move(status); }});
  Add(3);
  Commit();
  EXPECT_THAT(
      results_,
      ElementsAre(IsOk(), StatusIs(absl::StatusCode::kAborted), IsOk()));
  EXPECT_THAT(Rows(), ElementsAre(1, 3));
  EXPECT_EQ(runs, 1);
}

TEST_F(CommitGroupTest, WhereSqliteRolledAllBackAllFail) {
  Add(1);
  Add(2, [this] {
    EXPECT_OK(db_->Run("ROLLBACK"));  // as it does on a full disk
    return absl::ResourceExhaustedError("full");
  });
  Add(3);
  Commit();
  EXPECT_THAT(results_,
              ElementsAre(StatusIs(absl::StatusCode::kUnavailable),
                          StatusIs(absl::StatusCode::kResourceExhausted),
                          StatusIs(absl::StatusCode::kUnavailable)));
  EXPECT_THAT(Rows(), ElementsAre());
  EXPECT_EQ(commits_, 0);
}

// Half of a failed write was committed.
TEST_F(CommitGroupTest, WhatCannotBeRolledBackAloneFailsTheGroup) {
  Add(1);
  Add(2, [this] {
    // So that ROLLBACK TO fails, once there is a savepoint.
    (void)db_->Run("RELEASE op");
    return absl::InternalError("no");
  });
  Add(3);
  Commit();
  EXPECT_THAT(results_, ElementsAre(StatusIs(absl::StatusCode::kUnavailable),
                                    StatusIs(absl::StatusCode::kInternal),
                                    StatusIs(absl::StatusCode::kUnavailable)));
  EXPECT_THAT(Rows(), ElementsAre());
  // The connection is fit for the next group.
  ops_.clear();
  results_.clear();
  Add(4);
  Commit();
  EXPECT_THAT(results_, ElementsAre(IsOk()));
  EXPECT_THAT(Rows(), ElementsAre(4));
}

}  // namespace
}  // namespace midwatch
