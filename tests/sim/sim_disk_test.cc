#include "tests/sim/sim_disk.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/sqlite.h"
#include "tests/testing/status_matchers.h"

namespace midwatch::sim {
namespace {

class SimDiskTest : public ::testing::Test {
 protected:
  std::unique_ptr<Sqlite> Open() {
    auto db = Sqlite::Open("db", {.vfs = disk_.vfs()});
    EXPECT_OK(db);
    EXPECT_OK((*db)->Script("CREATE TABLE IF NOT EXISTS t(x INT)"));
    return *std::move(db);
  }
  static absl::Status Insert(Sqlite& db, int x) {
    return db.Run("INSERT INTO t(x) VALUES (?)", x);
  }
  static int64_t Rows(Sqlite& db) {
    SqliteStatement row = db.Query("SELECT count(*) FROM t");
    return row.Step() ? row.Int(0) : -1;
  }

  SeededRandom random_{1};
  SimDisk disk_{random_};
};

TEST_F(SimDiskTest, WhatWasCommittedSurvivesPowerLosses) {
  for (int round = 1; round <= 50; ++round) {
    auto db = Open();
    EXPECT_EQ(Rows(*db), round - 1);
    ASSERT_OK(Insert(*db, round));
    ASSERT_OK(db->Run("BEGIN"));
    ASSERT_OK(Insert(*db, -round));  // never committed
    disk_.LosePower();
  }
  EXPECT_EQ(disk_.counts().power_losses, 50);
}

TEST_F(SimDiskTest, ADiskThatLiesLosesWhatWasCommitted) {
  disk_.IgnoreSyncs();
  int lost = 0;
  for (int round = 1; round <= 50; ++round) {
    auto opened = Sqlite::Open("db", {.vfs = disk_.vfs()});
    bool whole = opened.ok() &&
                 (*opened)->Script("CREATE TABLE IF NOT EXISTS t(x INT)").ok();
    const int64_t before = whole ? Rows(**opened) : 0;
    whole = whole && Insert(**opened, round).ok();
    disk_.LosePower();
    if (!whole) continue;
    auto again = Sqlite::Open("db", {.vfs = disk_.vfs()});
    lost += !again.ok() || Rows(**again) <= before;
    disk_.KillProcess();
  }
  EXPECT_GT(lost, 5);
  EXPECT_GT(disk_.counts().lost_sectors, 50);
}

TEST_F(SimDiskTest, AKilledProcessKeepsWhatItWrote) {
  {
    auto db = Open();
    ASSERT_OK(Insert(*db, 1));
    disk_.KillProcess();
    // Its handles are dead, and their end changes nothing.
    EXPECT_FALSE(Insert(*db, 2).ok());
  }
  auto db = Open();
  EXPECT_EQ(Rows(*db), 1);
}

TEST_F(SimDiskTest, AFullDiskTakesNothingMoreUntilThereIsRoom) {
  auto db = Open();
  disk_.SetFull(true);
  EXPECT_EQ(Insert(*db, 1).code(), absl::StatusCode::kUnavailable);
  EXPECT_GT(disk_.counts().full, 0);
  disk_.SetFull(false);
  EXPECT_OK(Insert(*db, 1));
  EXPECT_EQ(Rows(*db), 1);
}

TEST_F(SimDiskTest, OneOfTheNextWritesAndSyncsFailsOnce) {
  auto db = Open();
  disk_.FailOneOf(3);
  int failed = 0;
  for (int i = 0; i < 10; ++i) failed += !Insert(*db, i).ok();
  EXPECT_EQ(failed, 1);
  EXPECT_EQ(disk_.counts().failed, 1);
}

TEST_F(SimDiskTest, TwoConnectionsSeeEachOther) {
  auto writer = Open();
  auto reader = Sqlite::Open("db", {.read_only = true, .vfs = disk_.vfs()});
  ASSERT_OK(reader);
  ASSERT_OK(Insert(*writer, 1));
  EXPECT_EQ(Rows(**reader), 1);
  writer.reset();
  EXPECT_EQ(Rows(**reader), 1);
}

}  // namespace
}  // namespace midwatch::sim
