#include "store/event_retention.h"

#include <memory>
#include <vector>

#include "base/status_macros.h"

namespace midwatch {
namespace {

// A chunk has up to 256 KB: a few milliseconds' work.
constexpr int kChunksPerStep = 16;

absl::StatusOr<int64_t> ReadInt(SqliteStatement row, int64_t otherwise) {
  if (row.Step()) return row.Int(0);
  RETURN_IF_ERROR(row.status());
  return otherwise;
}

// The number of the first journal row at or after `at`, or one past the last.
absl::StatusOr<int64_t> SeqFrom(Sqlite& queue, absl::Time at) {
  ASSIGN_OR_RETURN(int64_t last,
                   ReadInt(queue.Query("SELECT max(seq) FROM journal"), 0));
  int64_t low = 1, high = last + 1;
  while (low < high) {
    const int64_t middle = low + (high - low) / 2;
    // Rows of deleted batches are missing.
    ASSIGN_OR_RETURN(
        int64_t found,
        ReadInt(queue.Query("SELECT at FROM journal WHERE seq >= ? "
                            "ORDER BY seq LIMIT 1",
                            middle),
                0));
    if (absl::FromUnixMicros(found) < at) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low;
}

}  // namespace

absl::StatusOr<OldEvents> FindOldEvents(const std::string& dir,
                                        const std::string& vfs,
                                        absl::Time before) {
  ASSIGN_OR_RETURN(
      std::unique_ptr<Sqlite> queue,
      Sqlite::Open(dir + "/queue.db",
                   {.read_only = true, .cache_kib = 1024, .vfs = vfs}));
  RETURN_IF_ERROR(queue->Run("BEGIN"));
  OldEvents old;
  ASSIGN_OR_RETURN(old.below, SeqFrom(*queue, before));
  SqliteStatement row = queue->Query("SELECT grant_seq FROM live");
  while (row.Step()) {
    if (row.Int(0) < old.below) old.kept.insert(row.Int(0));
  }
  RETURN_IF_ERROR(row.status());
  return old;
}

absl::Status DropOldEvents(Sqlite& events, OldEvents& old) {
  ASSIGN_OR_RETURN(
      const int64_t grant_seq,
      ReadInt(events.Query("SELECT grant_seq FROM chunk WHERE grant_seq > ? "
                           "ORDER BY grant_seq LIMIT 1",
                           old.after),
              old.below));
  old.more = grant_seq < old.below;
  if (!old.more) return absl::OkStatus();
  if (old.kept.count(grant_seq) > 0) {
    old.after = grant_seq;
    return absl::OkStatus();
  }
  // From the end: what is left of an attempt begins at its beginning.
  std::vector<int64_t> firsts;
  SqliteStatement row = events.Query(
      "SELECT first FROM chunk WHERE grant_seq = ? ORDER BY first DESC LIMIT ?",
      grant_seq, kChunksPerStep);
  while (row.Step()) firsts.push_back(row.Int(0));
  RETURN_IF_ERROR(row.status());
  for (int64_t first : firsts) {
    RETURN_IF_ERROR(
        events.Run("DELETE FROM chunk WHERE grant_seq = ? AND first = ?",
                   grant_seq, first));
  }
  old.dropped += static_cast<int64_t>(firsts.size());
  return absl::OkStatus();
}

absl::StatusOr<DeletedEvents> FindDeletedEvents(const std::string& dir,
                                                const std::string& vfs) {
  const SqliteOptions reading{.read_only = true, .cache_kib = 1024, .vfs = vfs};
  ASSIGN_OR_RETURN(std::unique_ptr<Sqlite> events,
                   Sqlite::Open(dir + "/events.db", reading));
  // Of the events first: a grant is in the journal before it has any.
  std::vector<int64_t> grants;
  while (true) {
    ASSIGN_OR_RETURN(
        const int64_t next,
        ReadInt(events->Query("SELECT grant_seq FROM chunk WHERE grant_seq > ? "
                              "ORDER BY grant_seq LIMIT 1",
                              grants.empty() ? 0 : grants.back()),
                0));
    if (next == 0) break;
    grants.push_back(next);
  }
  ASSIGN_OR_RETURN(std::unique_ptr<Sqlite> queue,
                   Sqlite::Open(dir + "/queue.db", reading));
  DeletedEvents deleted;
  for (int64_t grant : grants) {
    ASSIGN_OR_RETURN(
        const int64_t found,
        ReadInt(queue->Query("SELECT seq FROM journal WHERE seq = ?", grant),
                0));
    if (found == 0) deleted.grants.push_back(grant);
  }
  return deleted;
}

absl::Status DropDeletedEvents(Sqlite& events, DeletedEvents& deleted) {
  if (deleted.grants.empty()) return absl::OkStatus();
  RETURN_IF_ERROR(
      events.Run("DELETE FROM chunk WHERE grant_seq = ? AND first IN "
                 "(SELECT first FROM chunk WHERE grant_seq = ? LIMIT ?)",
                 deleted.grants.back(), deleted.grants.back(), kChunksPerStep));
  deleted.dropped += events.changes();
  if (events.changes() < kChunksPerStep) deleted.grants.pop_back();
  return absl::OkStatus();
}

}  // namespace midwatch
