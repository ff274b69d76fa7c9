#include "store/database_copy.h"

#include <sqlite3.h>

#include <memory>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/sqlite.h"
#include "base/status_macros.h"
#include "store/records.h"

namespace midwatch {
namespace {

// A megabyte at a time. After each, others have the disk and the processor for
// as long; and what is written goes to the disk bit by bit, so that nobody's
// sync has to wait for all of it.
constexpr int kPagesPerStep = 256;
constexpr int kStepsPerSync = 16;
constexpr int kPauseMillis = 2;

absl::Status SqliteError(int code, absl::string_view what) {
  const std::string message = absl::StrCat(what, ": ", sqlite3_errstr(code));
  return (code & 0xff) == SQLITE_FULL ? absl::ResourceExhaustedError(message)
                                      : absl::DataLossError(message);
}

// A new database that nobody else opens: no journal, and no sync but those that
// are asked for.
class NewDatabase {
 public:
  ~NewDatabase() { sqlite3_close(db_); }

  absl::Status Open(const std::string& path) {
    int code = sqlite3_open_v2(
        path.c_str(), &db_,
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX,
        nullptr);
    if (code == SQLITE_OK) {
      code = sqlite3_exec(db_,
                          "PRAGMA journal_mode=OFF;PRAGMA synchronous=OFF;"
                          "PRAGMA cache_size=-2048",
                          nullptr, nullptr, nullptr);
    }
    if (code == SQLITE_OK) return absl::OkStatus();
    return SqliteError(code, absl::StrCat("cannot write ", path));
  }

  void Sync() {
    sqlite3_file* file = nullptr;
    if (sqlite3_file_control(db_, "main", SQLITE_FCNTL_FILE_POINTER, &file) ==
            SQLITE_OK &&
        file != nullptr && file->pMethods != nullptr) {
      // What fails here fails again where the copy is finished.
      (void)file->pMethods->xSync(file, SQLITE_SYNC_NORMAL);
    }
  }

  sqlite3* raw() { return db_; }

 private:
  sqlite3* db_ = nullptr;
};

absl::Status CopyPages(Sqlite& from, const std::string& path,
                       const std::function<bool()>& stop) {
  NewDatabase to;
  RETURN_IF_ERROR(to.Open(path));
  sqlite3_backup* copying =
      sqlite3_backup_init(to.raw(), "main", from.raw(), "main");
  if (copying == nullptr) {
    return SqliteError(sqlite3_errcode(to.raw()), path);
  }
  int code = SQLITE_OK;
  bool stopped = false;
  for (int step = 1; code == SQLITE_OK && !stopped; ++step) {
    code = sqlite3_backup_step(copying, kPagesPerStep);
    if (code != SQLITE_OK) break;
    if (step % kStepsPerSync == 0) to.Sync();
    sqlite3_sleep(kPauseMillis);
    stopped = stop();
  }
  const int finished = sqlite3_backup_finish(copying);
  if (stopped) return absl::CancelledError("the copy was given up");
  if (code != SQLITE_DONE) return SqliteError(code, path);
  if (finished != SQLITE_OK) return SqliteError(finished, path);
  return absl::OkStatus();
}

absl::StatusOr<std::vector<int64_t>> ReadInts(SqliteStatement row) {
  std::vector<int64_t> ints;
  while (row.Step()) ints.push_back(row.Int(0));
  RETURN_IF_ERROR(row.status());
  return ints;
}

// Begins a read transaction, which lasts: the database as it stands now.
absl::Status HoldMoment(Sqlite& db) {
  return db.Script("BEGIN; SELECT count(*) FROM sqlite_master");
}

// Attempts that are on in `moment` and whose events may be those of a session
// that it does not know: `now` is the queue once the events were held. Whoever
// adopts one reads its session's history again.
absl::StatusOr<std::vector<int64_t>> FindUnsure(Sqlite& moment, Sqlite& now,
                                                int64_t last_seq) {
  ASSIGN_OR_RETURN(std::vector<int64_t> unsure,
                   ReadInts(moment.Query(
                       "SELECT grant_seq FROM live WHERE session IS NULL OR "
                       "session = ''")));
  ASSIGN_OR_RETURN(
      std::vector<int64_t> cleared,
      ReadInts(now.Query("SELECT task FROM journal WHERE seq > ? AND kind = ?",
                         last_seq,
                         static_cast<int>(JournalKind::kSessionCleared))));
  for (int64_t task : cleared) {
    ASSIGN_OR_RETURN(std::vector<int64_t> attempt,
                     ReadInts(moment.Query(
                         "SELECT grant_seq FROM live WHERE task = ?", task)));
    unsure.insert(unsure.end(), attempt.begin(), attempt.end());
  }
  return unsure;
}

absl::Status DropLater(Sqlite& events, int64_t last_seq,
                       const std::vector<int64_t>& unsure) {
  RETURN_IF_ERROR(
      events.Run("DELETE FROM chunk WHERE grant_seq > ?", last_seq));
  for (int64_t grant_seq : unsure) {
    RETURN_IF_ERROR(
        events.Run("DELETE FROM chunk WHERE grant_seq = ?", grant_seq));
  }
  return absl::OkStatus();
}

// Makes it a file of its own, durable.
absl::Status EndLog(Sqlite& db, const std::string& path) {
  SqliteStatement row = db.Query("PRAGMA journal_mode=DELETE");
  const bool ended = row.Step() && row.Text(0) == "delete";
  RETURN_IF_ERROR(row.status());
  if (ended) return absl::OkStatus();
  return absl::InternalError(absl::StrCat(path, " keeps a write-ahead log"));
}

}  // namespace

absl::StatusOr<DatabaseCopy> CopyDatabases(const std::string& dir,
                                           const std::string& vfs,
                                           const std::string& folder,
                                           const std::function<bool()>& stop) {
  const SqliteOptions reading{.read_only = true, .cache_kib = 2048, .vfs = vfs};
  const std::string queue_path = folder + "/queue.db";
  const std::string events_path = folder + "/events.db";
  DatabaseCopy copy;
  std::vector<int64_t> unsure;
  {
    // Each in a scope as short as can be: what is held cannot be folded.
    ASSIGN_OR_RETURN(std::unique_ptr<Sqlite> queue,
                     Sqlite::Open(dir + "/queue.db", reading));
    ASSIGN_OR_RETURN(std::unique_ptr<Sqlite> events,
                     Sqlite::Open(dir + "/events.db", reading));
    RETURN_IF_ERROR(HoldMoment(*queue));
    RETURN_IF_ERROR(HoldMoment(*events));
    {
      ASSIGN_OR_RETURN(std::unique_ptr<Sqlite> now,
                       Sqlite::Open(dir + "/queue.db", reading));
      ASSIGN_OR_RETURN(
          std::vector<int64_t> last,
          ReadInts(queue->Query("SELECT ifnull(max(seq), 0) FROM journal")));
      copy.last_seq = last.at(0);
      ASSIGN_OR_RETURN(unsure, FindUnsure(*queue, *now, copy.last_seq));
    }
    RETURN_IF_ERROR(CopyPages(*queue, queue_path, stop));
    queue.reset();
    RETURN_IF_ERROR(CopyPages(*events, events_path, stop));
  }
  {
    ASSIGN_OR_RETURN(std::unique_ptr<Sqlite> queue, Sqlite::Open(queue_path));
    RETURN_IF_ERROR(EndLog(*queue, queue_path));
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Sqlite> events, Sqlite::Open(events_path));
  RETURN_IF_ERROR(DropLater(*events, copy.last_seq, unsure));
  RETURN_IF_ERROR(EndLog(*events, events_path));
  return copy;
}

}  // namespace midwatch
