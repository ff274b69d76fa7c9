#include "harness/database.h"

#include <gtest/gtest.h>

#include "base/random.h"
#include "base/real_clock.h"
#include "harness/event_hub.h"
#include "harness/event_log.h"
#include "harness/session_table.h"
#include "tests/testing/status_matchers.h"
#include "tests/testing/temp_dir.h"

namespace midwatch::harness {
namespace {

using ::midwatch::testing::StatusIs;
using ::midwatch::testing::TempDir;

// As release 1 wrote it.
constexpr char kSchema1[] = R"sql(
CREATE TABLE agent(
  id TEXT PRIMARY KEY,
  version INTEGER NOT NULL,
  created_at INTEGER NOT NULL UNIQUE,
  archived_at INTEGER
) WITHOUT ROWID;
CREATE TABLE agent_version(
  agent_id TEXT NOT NULL,
  version INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  body TEXT NOT NULL,
  PRIMARY KEY(agent_id, version)
) WITHOUT ROWID;
CREATE TABLE environment(
  id TEXT PRIMARY KEY,
  created_at INTEGER NOT NULL UNIQUE,
  archived_at INTEGER,
  body TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE session(
  number INTEGER PRIMARY KEY,
  id TEXT NOT NULL UNIQUE,
  thread_id TEXT NOT NULL,
  agent_id TEXT NOT NULL,
  agent_version INTEGER NOT NULL,
  agent TEXT NOT NULL,
  environment_id TEXT NOT NULL,
  title TEXT,
  metadata TEXT NOT NULL,
  status TEXT NOT NULL,
  stop_reason TEXT NOT NULL DEFAULT '',
  budget_usd_cents INTEGER,
  input_tokens INTEGER NOT NULL DEFAULT 0,
  output_tokens INTEGER NOT NULL DEFAULT 0,
  cost_usd_micros INTEGER NOT NULL DEFAULT 0,
  active_micros INTEGER NOT NULL DEFAULT 0,
  running_since INTEGER,
  created_at INTEGER NOT NULL UNIQUE,
  updated_at INTEGER NOT NULL,
  archived_at INTEGER,
  deleted_at INTEGER
);
CREATE INDEX session_running ON session(id) WHERE status = 'running';
CREATE INDEX session_by_environment ON session(environment_id);
CREATE TABLE event(
  session_id TEXT NOT NULL,
  seq INTEGER NOT NULL,
  id TEXT NOT NULL,
  type TEXT NOT NULL,
  received_at INTEGER NOT NULL,
  processed_at INTEGER,
  body TEXT NOT NULL,
  PRIMARY KEY(session_id, seq)
) WITHOUT ROWID;
CREATE INDEX event_by_time ON event(session_id, processed_at);
CREATE TABLE model_request(
  id TEXT PRIMARY KEY,
  session_id TEXT NOT NULL,
  at INTEGER NOT NULL,
  input_tokens INTEGER NOT NULL,
  output_tokens INTEGER NOT NULL,
  price_usd_micros INTEGER NOT NULL
) WITHOUT ROWID;
CREATE INDEX model_request_by_session ON model_request(session_id);
CREATE TABLE resource(
  session_id TEXT NOT NULL,
  id TEXT NOT NULL,
  file_id TEXT NOT NULL,
  mount_path TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  PRIMARY KEY(session_id, id)
) WITHOUT ROWID;
CREATE TABLE file(
  id TEXT PRIMARY KEY,
  filename TEXT NOT NULL,
  mime_type TEXT NOT NULL,
  size_bytes INTEGER NOT NULL,
  sha256 TEXT NOT NULL,
  downloadable INTEGER NOT NULL,
  session_id TEXT NOT NULL DEFAULT '',
  created_at INTEGER NOT NULL UNIQUE,
  expires_at INTEGER
) WITHOUT ROWID;
CREATE INDEX file_by_session ON file(session_id, created_at);
)sql";

TEST(DatabaseTest, OneOfTheFirstReleaseIsBroughtUpToDate) {
  TempDir dir;
  const std::string path = dir.path() + "/harness.db";
  {
    auto sql = Sqlite::Open(path);
    ASSERT_OK(sql);
    ASSERT_OK((*sql)->Script(kSchema1));
    ASSERT_OK((*sql)->Script(
        "INSERT INTO session(id, thread_id, agent_id, agent_version, agent,"
        " environment_id, metadata, status, input_tokens, created_at,"
        " updated_at) VALUES ('s', 't', 'a', 1, '{}', 'e', '{}', 'running', 7,"
        " 1, 1);"
        "INSERT INTO model_request VALUES ('r', 's', 1, 7, 0, 10000);"
        "PRAGMA user_version=1;"));
  }
  SeededRandom random(1);
  auto db = Database::Open(path, RealClock(), random);
  ASSERT_OK(db);
  SessionTable sessions(**db);
  auto session = sessions.Get("s");
  ASSERT_OK(session);
  EXPECT_EQ(session->usage.input, 7);
  EXPECT_EQ(session->usage.cache_read, 0);
  auto ids = sessions.IdsToWake();
  ASSERT_OK(ids);
  EXPECT_EQ(*ids, std::vector<std::string>{"s"});
}

TEST(DatabaseTest, OneOfALaterReleaseIsRefused) {
  TempDir dir;
  const std::string path = dir.path() + "/harness.db";
  {
    auto sql = Sqlite::Open(path);
    ASSERT_OK(sql);
    ASSERT_OK((*sql)->Script("PRAGMA user_version=1000;"));
  }
  SeededRandom random(1);
  EXPECT_THAT(Database::Open(path, RealClock(), random),
              StatusIs(absl::StatusCode::kFailedPrecondition));
}

TEST(EventLogTest, ReadsBackToTheLastOfATypeAndNoFurther) {
  TempDir dir;
  SeededRandom random(1);
  auto db = Database::Open(dir.path() + "/harness.db", RealClock(), random);
  ASSERT_OK(db);
  EventHub hub;
  EventLog log(**db, hub);
  LogWrite write;
  for (const char* type : {"old", "mark", "old", "mark", "new"}) {
    write.append.push_back({{"type", type}});
  }
  write.queue = {{{"type", "waits"}}};
  ASSERT_OK(log.Commit("s", write));
  // Whoever reads them cannot go on.
  ASSERT_OK((*db)->sql().Run("UPDATE event SET body = 'x' WHERE type = 'old'"));
  auto tail = log.ReadFromLast("s", "mark");
  ASSERT_OK(tail);
  ASSERT_EQ(tail->size(), 2u);
  EXPECT_EQ(StringMember((*tail)[0], "type"), "mark");
  EXPECT_EQ(StringMember((*tail)[1], "type"), "new");
  auto none = log.ReadFromLast("another", "mark");
  ASSERT_OK(none);
  EXPECT_TRUE(none->empty());
}

}  // namespace
}  // namespace midwatch::harness
