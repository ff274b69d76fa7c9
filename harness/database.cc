#include "harness/database.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "base/fault_points.h"
#include "base/status_macros.h"

namespace midwatch::harness {
namespace {

// Times are microseconds since the epoch, money is millionths of a US dollar.
// Step n of this list leads from user_version n to n + 1.
constexpr const char* kSchemaSteps[] = {R"sql(
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
)sql",
                                        R"sql(
ALTER TABLE session ADD COLUMN cache_read_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN cache_write_5m_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE session ADD COLUMN cache_write_1h_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE model_request
  ADD COLUMN cache_read_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE model_request
  ADD COLUMN cache_write_5m_tokens INTEGER NOT NULL DEFAULT 0;
ALTER TABLE model_request
  ADD COLUMN cache_write_1h_tokens INTEGER NOT NULL DEFAULT 0;
DROP INDEX session_running;
CREATE INDEX session_running ON session(id)
  WHERE status IN ('running', 'rescheduling');
)sql",
                                        R"sql(
CREATE TABLE start(
  number INTEGER PRIMARY KEY,
  at INTEGER NOT NULL
);
)sql"};
constexpr int kSchemaVersion = sizeof kSchemaSteps / sizeof kSchemaSteps[0];

}  // namespace

absl::StatusOr<std::unique_ptr<Database>> Database::Open(
    const std::string& path, const Clock& clock, Random& random) {
  ASSIGN_OR_RETURN(std::unique_ptr<Sqlite> sql, Sqlite::Open(path));
  std::unique_ptr<Database> db(new Database(std::move(sql), clock, random));
  absl::Status status = db->Migrate();
  if (!status.ok()) {
    return absl::Status(status.code(),
                        absl::StrCat(path, ": ", status.message()));
  }
  SqliteStatement last = db->sql_->Query(
      "SELECT max((SELECT coalesce(max(updated_at), 0) FROM session),"
      " (SELECT coalesce(max(created_at), 0) FROM file),"
      " (SELECT coalesce(max(updated_at), 0) FROM agent_version),"
      " (SELECT coalesce(max(created_at), 0) FROM environment))");
  if (last.Step()) db->last_stamp_ = last.Int(0);
  RETURN_IF_ERROR(last.status());
  RETURN_IF_ERROR(
      db->sql_->Run("INSERT INTO start(at) VALUES(?)", db->Stamp()));
  db->start_ = db->sql_->last_insert_id();
  return db;
}

absl::Status Database::Migrate() {
  int version = 0;
  {
    SqliteStatement row = sql_->Query("PRAGMA user_version");
    if (row.Step()) version = static_cast<int>(row.Int(0));
    RETURN_IF_ERROR(row.status());
  }
  if (version > kSchemaVersion) {
    return absl::FailedPreconditionError(absl::StrCat(
        "has schema ", version, ", this release knows up to ", kSchemaVersion,
        "; start the newer release, or use another data directory"));
  }
  for (; version < kSchemaVersion; ++version) {
    RETURN_IF_ERROR(sql_->Script(
        absl::StrCat("BEGIN IMMEDIATE;", kSchemaSteps[version],
                     "PRAGMA user_version=", version + 1, ";COMMIT;")));
    FaultPoint("harness.migrate.after");
  }
  return absl::OkStatus();
}

int64_t Database::Stamp() {
  last_stamp_ = std::max(absl::ToUnixMicros(clock_.Now()), last_stamp_ + 1);
  return last_stamp_;
}

std::string Database::NewId(absl::string_view prefix) {
  return absl::StrCat(prefix, absl::Hex(Stamp(), absl::kZeroPad14),
                      random_.Hex(5));
}

absl::Status Database::Transact(absl::FunctionRef<absl::Status()> body) {
  RETURN_IF_ERROR(sql_->Run("BEGIN IMMEDIATE"));
  absl::Status status = body();
  if (status.ok()) status = sql_->Run("COMMIT");
  // Where SQLite has rolled back by itself, there is nothing left to undo.
  if (!status.ok() && !sql_->autocommit()) {
    absl::Status undone = sql_->Run("ROLLBACK");
    if (!undone.ok()) return undone;
  }
  return status;
}

}  // namespace midwatch::harness
