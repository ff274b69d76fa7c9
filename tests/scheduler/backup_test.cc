// Backups of a store that is used, and what becomes of them.
#include "scheduler/backup.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "base/real_clock.h"
#include "base/sqlite.h"
#include "scheduler/deleted_sweep.h"
#include "tests/testing/store_fixture.h"

namespace midwatch {
namespace {

namespace fs = std::filesystem;

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using testing::IsOk;
using ::testing::Not;
using testing::StatusIs;

constexpr auto kNever = [] { return false; };

class BackupTest : public testing::StoreFixture {
 protected:
  BackupTest() : artifacts_(*ArtifactDirectory::Open(dir_ / "artifacts")) {}

  absl::StatusOr<v1::Backup> BackUp(const std::string& path,
                                    std::function<bool()> stop = kNever) {
    Backups backups(static_cast<SqliteStore&>(*store_), artifacts_, pool_,
                    clock_);
    std::optional<absl::StatusOr<v1::Backup>> result;
    backups.Create(path, std::move(stop), [&](absl::StatusOr<v1::Backup> made) {
      result = std::move(made);
    });
    time_.RunUntilIdle();
    return *std::move(result);
  }

  // What `read` says of the store that `dir` holds.
  template <typename T, typename F>
  T ReadIn(const std::string& dir, F read) {
    testing::FakeExecutor executor(time_);
    auto store = OpenSqliteStore(
        executor, pool_, clock_, random_,
        {.dir = dir, .threads = false, .watch_disk_space = false});
    EXPECT_OK(store);
    std::optional<T> result;
    (*store)->Read<T>(
        [&](StoreReader& reader) -> absl::StatusOr<T> {
          return read(**store, reader);
        },
        [&](absl::StatusOr<T> found) { result = *std::move(found); });
    time_.RunUntilIdle();
    executor.Stop();
    return *std::move(result);
  }

  static void Damage(const std::string& path) {
    fs::permissions(path, fs::perms::owner_write, fs::perm_options::add);
    std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(-1, std::ios::end);
    file.put('!');
  }

  // A task that is done and left a file, one whose session runs, one that has
  // no session yet, and one that waits. The file's name.
  std::string SomeWork() {
    batch_ = SubmitBatch(4);
    worker_ = Register();
    std::vector<GrantRecord> grants = AdmitTo(worker_, 3);
    const ArtifactRef file = *artifacts_.PutBytes("what it left");
    v1::Ending ending = Success();
    v1::Output& output = *ending.add_outputs();
    output.set_path("out.txt");
    output.set_sha256(file.sha256);
    output.set_size_bytes(file.size_bytes);
    EXPECT_OK(SettleWith(grants[0].lease, ending));
    EXPECT_OK(Apply(BeginCreate{grants[1].lease, "nonce-0123456789"}));
    EXPECT_OK(
        Apply(RecordSession{grants[1].lease, "nonce-0123456789", "sesn_1"}));
    runs_ = grants[1];
    starts_ = grants[2];
    EXPECT_OK(Append(runs_.grant_seq, 0, {"{}", "{}"}));
    return file.sha256;
  }

  ArtifactDirectory artifacts_;
  testing::TempDir parent_;
  RowKey batch_;
  int64_t worker_ = 0;
  GrantRecord runs_, starts_;
};

TEST_F(BackupTest, WhatIsRestoredIsTheQueueAsItWas) {
  const std::string file = SomeWork();
  auto backup = BackUp(parent_ / "b");
  ASSERT_OK(backup);
  EXPECT_EQ(backup->tasks(), 4);
  EXPECT_EQ(backup->batches(), 1);
  EXPECT_EQ(backup->artifacts(), 1);
  EXPECT_EQ(backup->missing_artifacts(), 0);
  const BatchRecord then = Batch(batch_);
  ASSERT_OK(SettleWith(runs_.lease, Success()));

  auto restored = RestoreBackup(parent_ / "b", parent_ / "r");
  ASSERT_OK(restored);
  EXPECT_EQ(restored->last_sequence(), backup->last_sequence());
  const std::string mark = ReadIn<std::string>(
      parent_ / "r", [&](Store& store, StoreReader& reader) {
        EXPECT_EQ(reader.GetBatch(batch_)->counts, then.counts);
        EXPECT_EQ(reader.GetBatch(batch_)->charged, then.charged);
        EXPECT_EQ(reader.GetBatch(batch_)->reserved, then.reserved);
        EXPECT_EQ(*reader.LastJournalSeq(), backup->last_sequence());
        EXPECT_EQ(*reader.CountEvents(runs_.grant_seq), 2);
        return store.cluster_mark();
      });
  EXPECT_EQ(mark, store_->cluster_mark() + ".2") << "another life, told once";
  EXPECT_THAT(ArtifactDirectory::Open(parent_ / "r/artifacts")->PathOf(file),
              IsOk());
}

// A queue that went on from its backup gave the number of an attempt's events
// to another attempt, which then took them for its own.
TEST_F(BackupTest, EventsOfWhatTheQueueDoesNotKnowAreLeftOut) {
  SomeWork();
  auto last = Read<int64_t>(
      [](StoreReader& reader) { return reader.LastJournalSeq(); });
  ASSERT_OK(last);
  ASSERT_OK(Append(*last + 1, 0, {"{}"}));
  // Its session was recorded and its events stored between the two moments.
  ASSERT_OK(Append(starts_.grant_seq, 0, {"{}"}));
  ASSERT_OK(BackUp(parent_ / "b"));
  ASSERT_OK(RestoreBackup(parent_ / "b", parent_ / "r"));
  ReadIn<bool>(parent_ / "r", [&](Store&, StoreReader& reader) {
    EXPECT_EQ(*reader.CountEvents(*last + 1), 0);
    EXPECT_EQ(*reader.CountEvents(starts_.grant_seq), 0);
    EXPECT_EQ(*reader.CountEvents(runs_.grant_seq), 2);
    return true;
  });
}

TEST_F(BackupTest, NothingIsWrittenOverAndNothingHalfIsLeft) {
  SomeWork();
  fs::create_directory(parent_ / "there");
  EXPECT_THAT(BackUp(parent_ / "there"),
              StatusIs(absl::StatusCode::kAlreadyExists, HasSubstr("there")));
  EXPECT_THAT(BackUp("b"), StatusIs(absl::StatusCode::kInvalidArgument,
                                    HasSubstr("absolute")));
  EXPECT_THAT(
      BackUp(parent_ / "no/b"),
      StatusIs(absl::StatusCode::kFailedPrecondition, HasSubstr("/no")));
  int asked = 0;
  EXPECT_THAT(BackUp(parent_ / "b", [&] { return ++asked > 2; }),
              StatusIs(absl::StatusCode::kCancelled, Not(IsEmpty())));
  fs::remove(parent_ / "there");
  EXPECT_TRUE(fs::is_empty(parent_.path()));
  // One that its process left half done.
  fs::create_directory(parent_ / "b.midwatch-partial");
  std::ofstream(parent_ / "b.midwatch-partial/queue.db") << "half";
  EXPECT_THAT(BackUp(parent_ / "b"), IsOk());
  EXPECT_FALSE(fs::exists(parent_ / "b.midwatch-partial"));
}

TEST_F(BackupTest, MoneyThatDoesNotAddUpFailsIt) {
  SomeWork();
  auto db = Sqlite::Open(dir_ / "queue.db");
  ASSERT_OK(db);
  ASSERT_OK((*db)->Run("UPDATE batch SET charged = charged + 1"));
  EXPECT_THAT(BackUp(parent_ / "b"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("batch 1")));
  ASSERT_OK((*db)->Run("UPDATE batch SET charged = charged - 1"));
  ASSERT_OK((*db)->Run("UPDATE live SET reserved = reserved + 1"));
  EXPECT_THAT(BackUp(parent_ / "b"),
              StatusIs(absl::StatusCode::kDataLoss, HasSubstr("set aside")));
  EXPECT_FALSE(fs::exists(parent_ / "b"));
}

TEST_F(BackupTest, AnArtifactThatIsGoneIsTold) {
  const std::string file = SomeWork();
  Damage(*artifacts_.PathOf(file));
  auto backup = BackUp(parent_ / "b");
  ASSERT_OK(backup);
  EXPECT_EQ(backup->missing_artifacts(), 1);
  EXPECT_EQ(backup->missing_sha256(), file);
  EXPECT_THAT(RestoreBackup(parent_ / "b", parent_ / "r"), IsOk());
}

TEST_F(BackupTest, ADamagedBackupIsRefused) {
  const std::string file = SomeWork();
  ASSERT_OK(BackUp(parent_ / "b"));
  struct Case {
    std::string damaged;
    absl::StatusCode code;
    std::string says;
  };
  for (const Case& c : std::vector<Case>{
           {"queue.db", absl::StatusCode::kDataLoss, "queue.db is not what"},
           {"events.db", absl::StatusCode::kDataLoss, "events.db is not what"},
           {"backup.json", absl::StatusCode::kInvalidArgument, "backup.json"},
           {"artifacts/" + file.substr(0, 2) + "/" + file.substr(2),
            absl::StatusCode::kDataLoss, file}}) {
    const std::string copy = parent_ / "damaged";
    fs::copy(parent_ / "b", copy, fs::copy_options::recursive);
    Damage(copy + "/" + c.damaged);
    EXPECT_THAT(RestoreBackup(copy, parent_ / "r"),
                StatusIs(c.code, HasSubstr(c.says)))
        << c.damaged;
    EXPECT_FALSE(fs::exists(parent_ / "r/queue.db"));
    fs::remove_all(copy);
  }
  fs::remove(parent_ / "b/backup.json");
  EXPECT_THAT(
      RestoreBackup(parent_ / "b", parent_ / "r"),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("not finished")));
}

TEST_F(BackupTest, NothingIsRestoredOverAQueue) {
  SomeWork();
  ASSERT_OK(BackUp(parent_ / "b"));
  EXPECT_THAT(RestoreBackup(parent_ / "b", dir_.path()),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("in use by process")));
  fs::create_directory(parent_ / "r");
  std::ofstream(parent_ / "r/queue.db") << "somebody's";
  EXPECT_THAT(RestoreBackup(parent_ / "b", parent_ / "r"),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("not empty: queue.db")));
  // What a restore that was killed has left is no queue yet.
  fs::remove(parent_ / "r/queue.db");
  fs::create_directories(parent_ / "r/restoring");
  fs::create_directories(parent_ / "r/artifacts/00");
  std::ofstream(parent_ / "r/events.db") << "half";
  EXPECT_THAT(RestoreBackup(parent_ / "b", parent_ / "r"), IsOk());
  EXPECT_FALSE(fs::exists(parent_ / "r/restoring"));
}

// Half of it is gone: what is left of its tasks, and of its journal, is no sum
// of the other.
TEST_F(BackupTest, ABatchThatIsBeingDeletedIsSoundAtEachStep) {
  RowKey batch = SubmitBatch(280);
  worker_ = Register();
  for (const GrantRecord& grant : AdmitTo(worker_, 50)) {
    ASSERT_OK(SettleWith(grant.lease, Success()));
  }
  while (Apply(CancelBatch{batch, ""})->more) {
  }
  ASSERT_EQ(Batch(batch).charged, 1'500'000);
  SubmitBatch(1, 0, "batch-2");
  ASSERT_OK(SettleWith(AdmitTo(worker_, 1).at(0).lease, Success()));
  std::vector<int64_t> tasks;
  for (bool more = true; more;) {
    more = Apply(DeleteBatch{batch, ""})->more;
    auto backup = BackUp(parent_ / absl::StrCat("b", tasks.size()));
    ASSERT_OK(backup);
    EXPECT_EQ(backup->batches(), 1);
    tasks.push_back(backup->tasks());
  }
  // All of it is there, some of its tasks, none of them but its journal.
  ASSERT_GE(tasks.size(), 4u);
  EXPECT_EQ(tasks[0], 281);
  EXPECT_GT(tasks[1], 1);
  EXPECT_LT(tasks[1], 281);
  EXPECT_EQ(tasks.back(), 1);
}

TEST_F(BackupTest, FilesThatOnlyADeletedBatchHadAreSwept) {
  const std::string file = SomeWork();
  ASSERT_OK(SettleWith(starts_.lease, Success()));
  ASSERT_OK(SettleWith(runs_.lease, Success()));
  ASSERT_FALSE(Apply(CancelBatch{batch_, ""})->more);
  CompleteErrands done{.account = "default", .errands = {}};
  done.errands.push_back({.session = "sesn_1"});
  ASSERT_OK(Apply(done));
  // One that another task shares.
  const ArtifactRef input = *artifacts_.PutBytes("shared");
  SubmitTask one = Single("one");
  one.task.line.add_inputs()->set_sha256(input.sha256);
  ASSERT_OK(Apply(one));
  const std::string dir = dir_.path();
  const absl::Time later = RealClock().Now() + 2 * kArtifactGrace;
  EXPECT_EQ(*SweepArtifacts(dir, artifacts_, later, kNever), 0);
  for (bool more = true; more;) more = Apply(DeleteBatch{batch_, ""})->more;
  EXPECT_EQ(*SweepArtifacts(dir, artifacts_, RealClock().Now(), kNever), 0)
      << "stored just now";
  EXPECT_THAT(SweepArtifacts(dir, artifacts_, later, [] { return true; }),
              StatusIs(absl::StatusCode::kCancelled));
  EXPECT_EQ(*SweepArtifacts(dir, artifacts_, later, kNever), 1);
  EXPECT_THAT(artifacts_.PathOf(file), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(artifacts_.PathOf(input.sha256), IsOk());
}

}  // namespace
}  // namespace midwatch
