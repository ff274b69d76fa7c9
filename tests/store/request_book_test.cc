// Requests are known by their ids, wherever they are kept: in memory, in the
// index, or half filed; after a restart, a rollback, and until they are old.
#include "store/request_book.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/random.h"
#include "store/schema.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace midwatch {
namespace {

constexpr size_t kFew = 4;

class RequestBookTest : public ::testing::Test {
 protected:
  RequestBookTest() {
    auto db = Sqlite::Open(dir_ / "queue.db", {});
    EXPECT_OK(db);
    db_ = *std::move(db);
    EXPECT_OK(Migrate(*db_, QueueSchema(), "queue.db"));
    Restart();
  }

  // As a new process finds it.
  void Restart(size_t recent_max = kFew) {
    book_ = std::make_unique<RequestBook>(*db_, recent_max);
    EXPECT_OK(book_->Load());
  }

  static std::string Key(int64_t task) {
    return absl::StrCat("request-", task);
  }

  void Add(int64_t task, int64_t day = 1) {
    EXPECT_OK(db_->Run("BEGIN IMMEDIATE"));
    EXPECT_OK(book_->Add(Key(task), absl::StrCat("hash-", task), task, day));
    EXPECT_OK(db_->Run("COMMIT"));
  }
  void Forget(int64_t before_day) {
    EXPECT_OK(db_->Run("BEGIN IMMEDIATE"));
    EXPECT_OK(book_->Forget(before_day));
    EXPECT_OK(db_->Run("COMMIT"));
  }

  // As a writer does between two groups; whether there was something to do.
  bool File() {
    std::optional<WriteOp> op = book_->NextFiling();
    if (!op) return false;
    std::vector<WriteOp> group;
    group.push_back(*std::move(op));
    CommitGroup(*db_, kQueueCommit, group, nullptr);
    return true;
  }

  // The task that the request `Key(task)` is known to have made; 0: it is not.
  int64_t Known(int64_t task) {
    auto known = book_->Find(Key(task));
    EXPECT_OK(known);
    if (!known.ok() || !known->has_value()) return 0;
    EXPECT_EQ((*known)->hash, absl::StrCat("hash-", task));
    return (*known)->task;
  }
  void ExpectKnown(int64_t first, int64_t last) {
    for (int64_t task = first; task <= last; ++task) {
      EXPECT_EQ(Known(task), task);
    }
  }

  int64_t Count(const char* sql) {
    SqliteStatement row = db_->Query(sql);
    return row.Step() ? row.Int(0) : -1;
  }
  int64_t Logged() { return Count("SELECT count(*) FROM request_log"); }
  int64_t Indexed() { return Count("SELECT count(*) FROM request_index"); }

  testing::TempDir dir_;
  std::unique_ptr<Sqlite> db_;
  std::unique_ptr<RequestBook> book_;
};

TEST_F(RequestBookTest, IsKnownBeforeAndAfterItIsFiled) {
  for (int64_t task = 1; task <= 11; ++task) {
    EXPECT_EQ(Known(task), 0);
    Add(task);
    ExpectKnown(1, task);
    EXPECT_EQ(File(), task % kFew == 0);
    ExpectKnown(1, task);
  }
  EXPECT_EQ(Indexed(), 8);
}

TEST_F(RequestBookTest, ARestartForgetsNothingWhereverItComes) {
  const auto tasks = static_cast<int64_t>(RequestBook::kFiledAtOnce) * 2 + 10;
  Restart(static_cast<size_t>(tasks));
  for (int64_t task = 1; task <= tasks; ++task) Add(task);
  // One part of three is filed.
  EXPECT_TRUE(File());
  EXPECT_EQ(Indexed(), static_cast<int64_t>(RequestBook::kFiledAtOnce));
  Restart(static_cast<size_t>(tasks));
  ExpectKnown(1, tasks);
  Add(tasks + 1);
  int parts = 0;
  while (File()) ++parts;
  EXPECT_EQ(parts, 3);
  EXPECT_EQ(Indexed(), tasks + 1);
  ExpectKnown(1, tasks + 1);
  Restart();
  EXPECT_FALSE(File()) << "all is filed";
  ExpectKnown(1, tasks + 1);
}

// Their tasks' numbers come again, of other requests.
TEST_F(RequestBookTest, WhatIsRolledBackIsNotKnown) {
  Add(1);
  ASSERT_OK(db_->Run("BEGIN IMMEDIATE"));
  ASSERT_OK(book_->Add("gone-2", "hash", 2, 1));
  ASSERT_OK(book_->Add("gone-3", "hash", 3, 1));
  ASSERT_OK(book_->Add("gone-4", "hash", 4, 1));
  ASSERT_OK(db_->Run("ROLLBACK"));
  for (const char* gone : {"gone-2", "gone-3", "gone-4"}) {
    auto known = book_->Find(gone);
    ASSERT_OK(known);
    EXPECT_FALSE(known->has_value()) << gone;
  }
  // Of four in memory one is there.
  EXPECT_TRUE(File());
  EXPECT_EQ(Indexed(), 1);
  for (int64_t task = 2; task <= 5; ++task) Add(task);
  Restart(100);
  ExpectKnown(1, 5);
  auto known = book_->Find("gone-2");
  ASSERT_OK(known);
  EXPECT_FALSE(known->has_value());
}

TEST_F(RequestBookTest, AFilingThatFailsIsTriedAgain) {
  for (int64_t task = 1; task <= 5; ++task) Add(task);
  std::optional<WriteOp> op = book_->NextFiling();
  ASSERT_TRUE(op.has_value());
  ASSERT_OK(db_->Run("BEGIN IMMEDIATE"));
  ASSERT_OK(op->run());
  ASSERT_OK(db_->Run("ROLLBACK"));
  std::move(op->finish)(absl::UnavailableError("the disk is full"));
  ExpectKnown(1, 5);
  EXPECT_EQ(Indexed(), 0);
  EXPECT_TRUE(File());
  EXPECT_EQ(Indexed(), 5);
  ExpectKnown(1, 5);
}

TEST_F(RequestBookTest, IsForgottenWithItsDayAndNotBefore) {
  for (int64_t task = 1; task <= 600; ++task) {
    Add(task, /*day=*/task <= 400 ? 1 : 2);
    while (File()) {
    }
  }
  Forget(1);
  EXPECT_EQ(Logged(), 600);
  int calls = 0;
  while (Logged() > 200 || Indexed() > 200) {
    ASSERT_LE(++calls, 10);
    Forget(2);
  }
  Forget(2);
  EXPECT_EQ(Logged(), 200);
  EXPECT_EQ(Indexed(), 200);
  ExpectKnown(401, 600);
  EXPECT_EQ(Known(1), 0);
  EXPECT_EQ(Known(400), 0);
  Restart();
  ExpectKnown(401, 600);
}

// Any number of either kind of day, restarts and rollbacks, against a list.
TEST_F(RequestBookTest, KnowsWhatAListKnows) {
  SeededRandom dice(7);
  std::vector<int64_t> added;
  int64_t next = 1;
  for (int step = 0; step < 3'000; ++step) {
    const uint64_t roll = dice.Next() % 100;
    if (roll < 70) {
      Add(next, /*day=*/1 + next / 300);
      added.push_back(next++);
    } else if (roll < 75) {
      ASSERT_OK(db_->Run("BEGIN IMMEDIATE"));
      ASSERT_OK(book_->Add(absl::StrCat("gone-", step), "hash", next, 1));
      ASSERT_OK(db_->Run("ROLLBACK"));
    } else if (roll < 77) {
      Restart(1 + dice.Next() % 50);
    } else {
      File();
    }
    if (added.empty()) continue;
    const int64_t asked = added[dice.Next() % added.size()];
    ASSERT_EQ(Known(asked), asked) << "step " << step;
    ASSERT_EQ(Known(next), 0) << "step " << step;
  }
  EXPECT_GT(Indexed(), 1'000);
  ExpectKnown(1, next - 1);
}

}  // namespace
}  // namespace midwatch
