// Databases that an older release wrote.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/sha256.h"
#include "base/sqlite.h"
#include "store/database_check.h"
#include "store/prediction.h"
#include "store/schema.h"
#include "tests/testing/store_fixture.h"

namespace midwatch {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;
using ::testing::Not;
using ::testing::SizeIs;
using testing::StatusIs;

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

// A batch in the middle, as the first release left it, with its money: of three
// tasks one is done, one runs in a session, one waits.
TEST_F(MigrationTest, WhatTheFirstReleaseBeganGoesOn) {
  Crash();
  std::filesystem::remove(dir_ / "queue.db");
  {
    auto db = Sqlite::Open(dir_ / "queue.db");
    ASSERT_OK(db);
    ASSERT_OK(Migrate(**db, {QueueSchema()[0]}, "queue.db"));
    ASSERT_OK((*db)->Run("INSERT INTO template(id, spec) VALUES (1, ?)",
                         SqliteBlob{Spec().SerializeAsString()}));
    ASSERT_OK((*db)->Script(R"sql(
      INSERT INTO meta(key, value) VALUES ('cluster', 7);
      INSERT INTO label(id, kind, name) VALUES
        (1, 1, 'default'), (2, 2, 'default'), (3, 3, 'default');
      INSERT INTO batch(id, at, tenant, queue, account, name, state, template,
                        max_running, lines, queued, running, succeeded, charged,
                        reserved, request_id, content_hash, open_hash)
      VALUES (1, 1000000, 1, 2, 3, 'nightly', 2, 1, 0, 3, 1, 1, 1, 40000,
              1000000, 'batch-1', 'c', 'o');
      INSERT INTO lane(id, tenant, queue, batch, account, head, running)
      VALUES (1, 1, 2, 1, 3, 5000, 1);
      INSERT INTO task(id, at, lane, batch, line, name, state, template,
                       line_blob, prio, max_cost, rank, attempts, charged,
                       reserved, granted_at, ended_at, session, ending)
      VALUES
        (1, 1000000, 1, 1, 0, 'done', 6, 1, x'', 5, 1000000, NULL, 1, 40000, 0,
         2000000, 3000000, 'sesn_1', x''),
        (2, 1000000, 1, 1, 1, 'runs', 3, 1, x'', 5, 1000000, NULL, 1, 0,
         1000000, 2000000, NULL, 'sesn_2', NULL),
        (3, 1000000, 1, 1, 2, 'waits', 2, 1, x'', 5, 1000000, 5000, 0, 0, 0,
         NULL, NULL, NULL, NULL);
      INSERT INTO ready(lane, rank, task) VALUES (1, 5000, 3);
      INSERT INTO worker(id, at, incarnation, info) VALUES (1, 1, 'old', '');
      INSERT INTO live(task, attempt, epoch, worker, account, batch, phase,
                       session, reserved, grant_seq, granted_at)
      VALUES (2, 1, 5, 1, 3, 1, 3, 'sesn_2', 1000000, 5, 2000000);
      INSERT INTO attempt(task, n, session, epoch, outcome_hash, state,
                          reserved, charged, class, why, granted_at, ended_at,
                          grant_seq)
      VALUES (1, 1, 'sesn_1', 4, 'h', 6, 1000000, 40000, 0, '', 2000000,
              3000000, 4);
      INSERT INTO journal(seq, at, kind, batch, task, n, state, who, reserve_d,
                          charge_d, over_d, class, why)
      VALUES (1, 1000000, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, ''),
             (2, 1000000, 2, 1, 0, 0, 0, 0, 0, 0, 0, 0, ''),
             (3, 1000000, 3, 1, 0, 0, 0, 0, 0, 0, 0, 0, ''),
             (4, 2000000, 5, 1, 1, 1, 3, 1, 1000000, 0, 0, 0, ''),
             (5, 2000000, 5, 1, 2, 1, 3, 1, 1000000, 0, 0, 0, ''),
             (6, 3000000, 13, 1, 1, 1, 6, 1, -1000000, 40000, 0, 0, '');
      INSERT INTO request(key, hash, task, day) VALUES ('single', 'h', 9, 0);
    )sql"));
  }
  Open();
  auto content = CheckDatabases(dir_.path(), [] { return false; });
  ASSERT_OK(content);
  EXPECT_EQ(content->tasks, 3);
  // Its worker is gone: another adopts the session and settles it.
  ASSERT_OK(Apply(FreeLeases{.worker = 1, .held = {}}));
  const int64_t worker = Register();
  int adopted = 0;
  for (int granted = 0; granted < 2;) {
    std::vector<GrantRecord> grants = AdmitTo(worker, 1);
    ASSERT_THAT(grants, SizeIs(1));
    ++granted;
    if (!grants[0].session_id.empty()) {
      ++adopted;
      EXPECT_EQ(grants[0].session_id, "sesn_2");
      EXPECT_EQ(grants[0].grant_seq, 5);
    } else {
      ASSERT_OK(Apply(BeginCreate{grants[0].lease, "nonce"}));
      ASSERT_OK(Apply(RecordSession{grants[0].lease, "nonce", "sesn_3"}));
    }
    ASSERT_OK(SettleWith(grants[0].lease, Success(50'000)));
  }
  EXPECT_EQ(adopted, 1);
  const BatchRecord batch = Batch({1, 1000});
  EXPECT_EQ(batch.state, v1::BATCH_STATE_DONE);
  EXPECT_EQ(batch.counts[v1::TASK_STATE_SUCCEEDED], 3);
  EXPECT_EQ(batch.charged, 140'000);
  EXPECT_EQ(batch.reserved, 0);
  ASSERT_OK(CheckDatabases(dir_.path(), [] { return false; }));
  // The request of the first release is known.
  EXPECT_THAT(Apply(Single("single")),
              StatusIs(absl::StatusCode::kAlreadyExists));
  EXPECT_THAT(Apply(Opening("batch-1")),
              StatusIs(absl::StatusCode::kAlreadyExists));
}

// A ring of samples, of which the n-th was in place n % 64.
TEST_F(MigrationTest, ARingOfSamplesIsTheFirstThatCame) {
  v1::TaskSpec rare = Spec();
  rare.set_prompt("do it seldom");
  Crash();
  std::filesystem::remove(dir_ / "queue.db");
  {
    auto db = Sqlite::Open(dir_ / "queue.db");
    ASSERT_OK(db);
    SchemaSteps then(QueueSchema().begin(), QueueSchema().begin() + 23);
    ASSERT_OK(Migrate(**db, then, "queue.db"));
    ASSERT_OK(
        (*db)->Run("INSERT INTO kind(id, hash, last, samples) VALUES "
                   "(1, ?, 5000, 64), (2, ?, 3, 3)",
                   KindOf(Spec()), KindOf(rare)));
    for (int64_t n = 5'000 - 63; n <= 5'000; ++n) {
      ASSERT_OK(
          (*db)->Run("INSERT INTO sample VALUES (1, ?, ?, 1)", n % 64, n));
    }
    for (int64_t n = 1; n <= 3; ++n) {
      ASSERT_OK((*db)->Run("INSERT INTO sample VALUES (2, ?, ?, 1)", n, n));
    }
  }
  Open();
  auto costs = [&](const v1::TaskSpec& spec) {
    std::vector<int64_t> of;
    auto kind = Read<KindRecord>(
        [&](StoreReader& reader) { return reader.ReadKind(KindOf(spec)); });
    EXPECT_OK(kind);
    for (const Sample& sample : kind->samples) of.push_back(sample.cost);
    return of;
  };
  EXPECT_THAT(costs(rare), ElementsAre(3, 1, 2));
  const std::vector<int64_t> ring = costs(Spec());
  EXPECT_THAT(ring, SizeIs(64));
  // New ones stand beside them.
  SubmitTask submit = Single("rare");
  submit.spec = rare;
  ASSERT_OK(Apply(submit));
  SubmitOne("often");
  for (const GrantRecord& grant : AdmitTo(Register(), 2)) {
    ASSERT_OK(SettleWith(grant.lease, Success(70'000)));
  }
  EXPECT_THAT(costs(rare), ElementsAre(3, 1, 2, 70'000));
  std::vector<int64_t> now = costs(Spec());
  ASSERT_THAT(now, SizeIs(65));
  EXPECT_EQ(now.back(), 70'000);
  now.pop_back();
  EXPECT_EQ(now, ring);
}

// Needs that an older release had met, of a task that waits for another.
TEST_F(MigrationTest, WhatIsMetAndNotGivenKeepsWhatItNeeds) {
  Crash();
  std::filesystem::remove(dir_ / "queue.db");
  {
    auto db = Sqlite::Open(dir_ / "queue.db");
    ASSERT_OK(db);
    SchemaSteps then(QueueSchema().begin(), QueueSchema().begin() + 23);
    ASSERT_OK(Migrate(**db, then, "queue.db"));
    ASSERT_OK((*db)->Script(R"sql(
      INSERT INTO label(id, kind, name) VALUES
        (1, 1, 'default'), (2, 2, 'default'), (3, 3, 'default');
      INSERT INTO lane(id, tenant, queue, account) VALUES (1, 1, 2, 3);
      INSERT INTO task(id, at, lane, batch, name, state, template, line_blob,
                       prio, max_cost, queue)
      VALUES (1, 1000000, 1, 0, 'done', 6, 1, x'', 5, 1000000, 2),
             (2, 1000000, 1, 0, 'open', 2, 1, x'', 5, 1000000, 2),
             (3, 1000000, 1, 0, 'waits', 1, 1, x'', 5, 1000000, 2),
             (4, 1000000, 1, 0, 'given', 6, 1, x'', 5, 1000000, 2);
      INSERT INTO need(task, k, need, open)
      VALUES (3, 0, 1, 0), (3, 1, 2, 1), (4, 0, 1, 0);
    )sql"));
  }
  Open();
  auto deleted = Apply(DeleteTasks{{{1, 1000}}, ""});
  ASSERT_OK(deleted);
  EXPECT_THAT(deleted->kept, SizeIs(1));
  EXPECT_EQ(deleted->why, "an unfinished task needs it");
}

// What a database is made of, each thing in its own words.
std::vector<std::string> Things(Sqlite& db) {
  std::vector<std::string> things;
  SqliteStatement row = db.Query(
      "SELECT m.type || ' ' || m.name || ' ' || ifnull(group_concat(c.name || "
      "':' || c.type || ':' || ifnull(c.dflt_value, ''), ','), m.sql) "
      "FROM sqlite_master m LEFT JOIN pragma_table_info(m.name) c "
      "GROUP BY m.name ORDER BY m.name");
  while (row.Step()) things.push_back(row.Text(0));
  EXPECT_OK(row.status());
  return things;
}

std::vector<std::string> Hashes(const SchemaSteps& steps) {
  std::vector<std::string> hashes;
  for (const char* step : steps) {
    hashes.push_back(Sha256Hex(step).substr(0, 8));
  }
  return hashes;
}

// Whoever has a database has gone through them. A change is a new step, whose
// hash comes behind these.
TEST_F(MigrationTest, ReleasedStepsStayAsTheyAre) {
  EXPECT_THAT(
      Hashes(QueueSchema()),
      ElementsAre("3d5beb25", "04151ddb", "9b1f313a", "33ad8d3e", "b576bb02",
                  "9f7e8f6b", "0af9da83", "c7c52ffe", "eb9ce5b4", "9df4f627",
                  "03be0794", "32b09516", "213ac9e4", "c7079265", "eb18ca74",
                  "ac7276dc", "8839cc57", "f3c4b11c", "9b7fb946", "0d009374",
                  "d1652bbe", "76d912ca", "67ed61be", "f4677c7d", "44e4412b"));
  EXPECT_THAT(Hashes(EventsSchema()), ElementsAre("00a30c3b"));
}

TEST_F(MigrationTest, EachReleasesDatabaseBecomesTheSame) {
  std::vector<std::string> want;
  for (size_t from = 0; from <= QueueSchema().size(); ++from) {
    const std::string path = dir_ / absl::StrCat("from-", from, ".db");
    const SchemaSteps older(QueueSchema().begin(),
                            QueueSchema().begin() + static_cast<int>(from));
    {
      auto db = Sqlite::Open(path);
      ASSERT_OK(db);
      ASSERT_OK(Migrate(**db, older, path));
    }
    auto db = Sqlite::Open(path);
    ASSERT_OK(db);
    ASSERT_OK(Migrate(**db, QueueSchema(), path));
    if (want.empty()) want = Things(**db);
    EXPECT_THAT(want, Not(IsEmpty()));
    EXPECT_EQ(Things(**db), want) << "from " << from;
    // Again: nothing is left to be done.
    ASSERT_OK(Migrate(**db, QueueSchema(), path));
  }
}

}  // namespace
}  // namespace midwatch
