#include "store/database_check.h"

#include <sqlite3.h>

#include <memory>

#include "absl/strings/str_cat.h"
#include "base/sqlite.h"
#include "base/status_macros.h"
#include "midwatch/v1/batch_service.pb.h"
#include "midwatch/v1/task.pb.h"
#include "midwatch/v1/worker_service.pb.h"
#include "store/records.h"
#include "store/schema.h"

namespace midwatch {
namespace {

using Visit = absl::FunctionRef<absl::Status(const std::string&)>;

const SqliteOptions kReading{.read_only = true, .cache_kib = 16 * 1024};

// Each statement finds rows whose money is not what its origin says, and names
// the first.
struct Law {
  const char* says;
  const char* sql;
};

static_assert(static_cast<int>(JournalKind::kTasksDeleted) == 61);
constexpr Law kLaws[] = {
    {"what a batch cost is not what its journal says: batch ",
     "SELECT b.id FROM batch b LEFT JOIN ("
     "  SELECT batch, sum(charge_d) AS c, sum(reserve_d) AS r, sum(over_d) AS o"
     "  FROM journal WHERE batch > 0 GROUP BY batch) j ON j.batch = b.id "
     "WHERE b.charged != ifnull(j.c, 0) OR b.reserved != ifnull(j.r, 0) "
     "OR b.over != ifnull(j.o, 0) LIMIT 1"},
    {"what all tasks cost is not what the journal says: off by ",
     "SELECT t.c + d.c + s.c - j.c FROM "
     // Of a batch that is deleted some tasks may be left, and its row is.
     "(SELECT ifnull(sum(t.charged), 0) AS c, ifnull(sum(t.reserved), 0) AS r "
     " FROM task t LEFT JOIN batch b ON b.id = t.batch "
     " WHERE b.deleted_at IS NULL) t, "
     "(SELECT ifnull(sum(charged), 0) AS c, ifnull(sum(reserved), 0) AS r "
     " FROM batch WHERE deleted_at IS NOT NULL) d, "
     // What single tasks that are deleted cost stands nowhere else.
     "(SELECT ifnull(sum(charge_d), 0) AS c FROM journal WHERE kind = 61) s, "
     "(SELECT ifnull(sum(charge_d), 0) AS c, ifnull(sum(reserve_d), 0) AS r "
     " FROM journal) j WHERE t.c + d.c + s.c != j.c OR t.r + d.r != j.r"},
    {"a task has other money set aside than its attempt: task ",
     "SELECT t.id FROM live l JOIN task t ON t.id = l.task "
     "WHERE t.reserved != l.reserved LIMIT 1"},
    {"a batch's budget holds something else than its batch: budget ",
     "SELECT u.id FROM budget u JOIN balance w ON w.budget = u.id "
     "JOIN batch b ON b.id = u.ref "
     "WHERE u.scope = 3 AND u.win = 1 AND u.since = 0 AND "
     "(w.charged != b.charged OR w.reserved != b.reserved OR w.over != b.over) "
     "LIMIT 1"},
    {"a budget has other money set aside than its attempts: budget ",
     "SELECT u.id FROM budget u JOIN balance w ON w.budget = u.id "
     "WHERE w.reserved != (SELECT ifnull(sum(l.reserved), 0) FROM live l "
     "  JOIN task t ON t.id = l.task JOIN lane n ON n.id = t.lane "
     "  WHERE l.grant_seq > u.since AND l.granted_at >= w.start "
     "  AND l.granted_at < w.until AND CASE u.scope WHEN 1 THEN n.tenant "
     "    WHEN 2 THEN n.queue ELSE n.batch END = u.ref) LIMIT 1"},
};

absl::Status CheckPages(Sqlite& db, const std::string& path) {
  SqliteStatement row = db.Query("PRAGMA integrity_check(1)");
  const std::string found = row.Step() ? row.Text(0) : "";
  RETURN_IF_ERROR(row.status());
  if (found == "ok") return absl::OkStatus();
  return absl::DataLossError(absl::StrCat(path, ": ", found));
}

absl::Status CheckVersion(Sqlite& db, const SchemaSteps& steps,
                          const std::string& path) {
  SqliteStatement row = db.Query("PRAGMA user_version");
  const int64_t version = row.Step() ? row.Int(0) : 0;
  RETURN_IF_ERROR(row.status());
  if (version > static_cast<int64_t>(steps.size())) {
    return absl::FailedPreconditionError(
        absl::StrCat(path, " was written by a newer release; use that one"));
  }
  // The laws below are of this release's tables.
  if (version == static_cast<int64_t>(steps.size())) return absl::OkStatus();
  return absl::FailedPreconditionError(
      absl::StrCat(path, " was written by an older release (schema ", version,
                   "); use that one, then open it with this one"));
}

absl::StatusOr<int64_t> ReadOne(SqliteStatement row) {
  const int64_t value = row.Step() ? row.Int(0) : 0;
  RETURN_IF_ERROR(row.status());
  return value;
}

absl::Status CheckMoney(Sqlite& db, const std::function<bool()>& stop) {
  for (const Law& law : kLaws) {
    if (stop()) return absl::CancelledError("the check was given up");
    SqliteStatement row = db.Query(law.sql);
    if (row.Step()) {
      return absl::DataLossError(absl::StrCat(law.says, row.Int(0)));
    }
    RETURN_IF_ERROR(row.status());
  }
  return absl::OkStatus();
}

absl::StatusOr<QueueContent> ReadContent(Sqlite& db) {
  QueueContent content;
  ASSIGN_OR_RETURN(content.batches,
                   ReadOne(db.Query("SELECT count(*) FROM batch "
                                    "WHERE deleted_at IS NULL")));
  ASSIGN_OR_RETURN(content.tasks,
                   ReadOne(db.Query("SELECT count(*) FROM task")));
  ASSIGN_OR_RETURN(
      int64_t cluster,
      ReadOne(db.Query("SELECT value FROM meta WHERE key = 'cluster'")));
  ASSIGN_OR_RETURN(int64_t life, ReadOne(db.Query("SELECT value FROM meta "
                                                  "WHERE key = 'life'")));
  content.cluster_mark =
      absl::StrCat(absl::Hex(static_cast<uint16_t>(cluster), absl::kZeroPad4));
  if (life > 1) absl::StrAppend(&content.cluster_mark, ".", life);
  return content;
}

absl::Status VisitInputs(const v1::TaskLine& line, Visit visit) {
  for (const v1::Input& input : line.inputs()) {
    // One that comes from another task has none.
    if (input.sha256().empty()) continue;
    RETURN_IF_ERROR(visit(input.sha256()));
  }
  return absl::OkStatus();
}

template <typename Message>
absl::StatusOr<Message> Parse(const std::string& bytes, int64_t row) {
  Message message;
  if (message.ParseFromString(bytes)) return message;
  return absl::DataLossError(absl::StrCat("row ", row, " cannot be read"));
}

absl::Status VisitTasks(Sqlite& db, Visit visit) {
  // A page at a time: a statement that is not done holds back the log.
  constexpr int kPageRows = 1'000;
  int64_t after = 0;
  for (int rows = kPageRows; rows == kPageRows;) {
    rows = 0;
    SqliteStatement row = db.Query(
        "SELECT id, line_blob, given, ending FROM task WHERE id > ? "
        "ORDER BY id LIMIT ?",
        after, kPageRows);
    for (; row.Step(); ++rows) {
      after = row.Int(0);
      for (int column : {1, 2}) {
        ASSIGN_OR_RETURN(auto line,
                         Parse<v1::TaskLine>(row.Text(column), after));
        RETURN_IF_ERROR(VisitInputs(line, visit));
      }
      ASSIGN_OR_RETURN(auto ending, Parse<v1::Ending>(row.Text(3), after));
      if (!ending.final_message_sha256().empty()) {
        RETURN_IF_ERROR(visit(ending.final_message_sha256()));
      }
      for (const v1::Output& output : ending.outputs()) {
        RETURN_IF_ERROR(visit(output.sha256()));
      }
    }
    RETURN_IF_ERROR(row.status());
  }
  return absl::OkStatus();
}

absl::Status VisitSchedules(Sqlite& db, Visit visit) {
  SqliteStatement row = db.Query("SELECT schedule, step FROM schedule_step");
  while (row.Step()) {
    ASSIGN_OR_RETURN(auto step,
                     Parse<v1::SubmitBatchRequest>(row.Text(1), row.Int(0)));
    for (const v1::TaskLine& line : step.chunk().lines()) {
      RETURN_IF_ERROR(VisitInputs(line, visit));
    }
  }
  return row.status();
}

// Lets `stop` end a statement that takes long.
void WatchStop(Sqlite& db, const std::function<bool()>& stop) {
  constexpr int kInstructions = 1'000'000;  // some ten milliseconds' work
  sqlite3_progress_handler(
      db.raw(), kInstructions,
      [](void* asked) {
        return (*static_cast<const std::function<bool()>*>(asked))() ? 1 : 0;
      },
      const_cast<std::function<bool()>*>(&stop));
}

absl::StatusOr<QueueContent> CheckEach(const std::string& folder,
                                       const std::function<bool()>& stop) {
  const std::string queue_path = folder + "/queue.db";
  const std::string events_path = folder + "/events.db";
  ASSIGN_OR_RETURN(std::unique_ptr<Sqlite> events,
                   Sqlite::Open(events_path, kReading));
  WatchStop(*events, stop);
  RETURN_IF_ERROR(CheckVersion(*events, EventsSchema(), events_path));
  RETURN_IF_ERROR(CheckPages(*events, events_path));
  ASSIGN_OR_RETURN(std::unique_ptr<Sqlite> queue,
                   Sqlite::Open(queue_path, kReading));
  WatchStop(*queue, stop);
  RETURN_IF_ERROR(CheckVersion(*queue, QueueSchema(), queue_path));
  RETURN_IF_ERROR(CheckPages(*queue, queue_path));
  RETURN_IF_ERROR(CheckMoney(*queue, stop));
  return ReadContent(*queue);
}

}  // namespace

absl::StatusOr<QueueContent> CheckDatabases(const std::string& folder,
                                            const std::function<bool()>& stop) {
  absl::StatusOr<QueueContent> content = CheckEach(folder, stop);
  // Whatever was interrupted says that in its own words.
  if (!content.ok() && stop()) {
    return absl::CancelledError("the check was given up");
  }
  return content;
}

absl::Status ForEachArtifact(
    const std::string& folder,
    absl::FunctionRef<absl::Status(const std::string& sha256)> visit,
    const std::string& vfs) {
  SqliteOptions reading = kReading;
  reading.vfs = vfs;
  ASSIGN_OR_RETURN(std::unique_ptr<Sqlite> queue,
                   Sqlite::Open(folder + "/queue.db", reading));
  // Of a queue that is in use: a task is newer than the schedule's step whose
  // files it has, and than the task that it is a retry of.
  RETURN_IF_ERROR(VisitSchedules(*queue, visit));
  return VisitTasks(*queue, visit);
}

}  // namespace midwatch
