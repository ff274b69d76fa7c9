#include "tests/sim/deletion_model.h"

#include <algorithm>
#include <filesystem>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/sim/deleted_rows.h"
#include "tests/sim/violation.h"

namespace midwatch::sim {
void DeletionModel::Opened(Sqlite& queue) {
  for (const auto& [id, batch] : batches_) {
    if (!batch.deleted && !batch.acknowledged) continue;
    const int64_t left = FirstOf(queue.Query(
        "SELECT CASE WHEN deleted_at IS NULL THEN 2 ELSE deleting != 0 END "
        "FROM batch WHERE id = ?",
        id));
    if (left == 2 || (left == 1 && batch.acknowledged)) {
      report_(kKept, absl::StrCat("batch ", id, " was deleted, and is there"));
    }
  }
}

void DeletionModel::Fold(const JournalRow& row, Sqlite& queue) {
  Batch& batch = batches_[row.batch];
  switch (row.kind) {
    case JournalKind::kBatchRetried:
      any_retry_ = true;
      [[fallthrough]];
    case JournalKind::kBatchOpened: {
      SqliteStatement opened = queue.Query(
          "SELECT queue, ifnull(retry_of, 0) FROM batch WHERE id = ?",
          row.batch);
      batch.opened = true;
      if (!opened.Step()) return;
      batch.queue = opened.Int(0);
      batch.retry_of = opened.Int(1);
      return;
    }
    case JournalKind::kBatchDone:
      batch.done = true;
      batch.done_at = row.at;
      return;
    case JournalKind::kBatchDeleted:
      return Mark(row, queue);
    case JournalKind::kSubmitted:
      any_retry_ |= absl::StartsWith(row.why, "retry of ");
      return;
    default:
      return;
  }
}

bool DeletionModel::IsRetriedNow(int64_t batch) const {
  return std::any_of(batches_.begin(), batches_.end(), [&](const auto& each) {
    return each.second.retry_of == batch &&
           (!each.second.done || IsRetriedNow(each.first));
  });
}

// Of those that ended later some may have gone since it was decided.
bool DeletionModel::IsTooMany(int64_t id) const {
  if (!rules.keep_newest) return false;
  const Batch& batch = batches_.at(id);
  return *rules.keep_newest <=
         std::count_if(batches_.begin(), batches_.end(), [&](const auto& each) {
           return each.second.done && each.second.queue == batch.queue &&
                  each.second.done_at >= batch.done_at && each.first != id;
         });
}

void DeletionModel::CheckMayGo(const JournalRow& row, Sqlite& queue) {
  const Batch& batch = batches_[row.batch];
  auto report = [&](const char* why) {
    report_(kDeletes,
            absl::StrCat("batch ", row.batch, " is deleted, and ", why));
  };
  if (!batch.done) report("is not done");
  if (batch.deleted) report("was deleted before");
  if (hooks_.IsDue(row.batch)) report("a hook of it is due");
  if (IsRetriedNow(row.batch)) report("is being tried again");
  if (FirstOf(queue.Query(
          "SELECT n.task FROM need n JOIN task t ON t.id = n.task "
          "JOIN task o ON o.id = n.need "
          "WHERE n.open = 1 AND t.state < 6 AND o.batch = ? LIMIT 1",
          row.batch)) != 0) {
    report("a task needs one of it");
  }
  if (FirstOf(queue.Query("SELECT r.id FROM task r JOIN task t "
                          "ON t.id = r.retry_of WHERE t.batch = ? "
                          "AND r.state < 6 LIMIT 1",
                          row.batch)) != 0) {
    report("a task tries one of it again");
  }
  if (FirstOf(queue.Query("SELECT e.task FROM errand e JOIN task t "
                          "ON t.id = e.task WHERE t.batch = ? LIMIT 1",
                          row.batch)) != 0) {
    report("a session of it is not archived");
  }
  if (row.why != kByRule || clock_stepped) return;
  if (row.at - batch.done_at <= rules.keep_for && !IsTooMany(row.batch)) {
    report("no rule lets it go");
  }
}

void DeletionModel::Mark(const JournalRow& row, Sqlite& queue) {
  CheckMayGo(row, queue);
  Batch& batch = batches_[row.batch];
  batch.deleted = true;
  counts_.Add(row.why == kByRule ? "batches deleted by a rule"
                                 : "batches deleted by a client");
  SqliteStatement task = queue.Query(
      "SELECT id, line_blob, given, ending, retry_of FROM task "
      "WHERE batch = ?",
      row.batch);
  while (task.Step()) {
    batch.tasks.push_back(task.Int(0));
    if (task.IsNull(4)) ++gone_originals_;
    AddFiles(task, 1, 2, 3, files_);
  }
}

bool DeletionModel::AllOver() const {
  return std::all_of(batches_.begin(), batches_.end(), [](const auto& each) {
    return !each.second.opened || each.second.done;
  });
}

bool DeletionModel::IsOpen(int64_t batch) const {
  auto it = batches_.find(batch);
  return it != batches_.end() && (!it->second.done || IsRetriedNow(batch));
}

bool DeletionModel::IsDeleted(int64_t batch) const {
  auto it = batches_.find(batch);
  return it != batches_.end() && it->second.deleted;
}

bool DeletionModel::AnyDeleted() const {
  return std::any_of(batches_.begin(), batches_.end(),
                     [](const auto& each) { return each.second.deleted; });
}

void DeletionModel::AtEnd(Sqlite& queue, const JournalModel& journal,
                          absl::Time now) {
  Opened(queue);
  for (const auto& [id, batch] : batches_) {
    if (batch.deleted) CheckGone(id, batch, queue, journal);
  }
  CheckKept(queue);
  CheckSums(queue, journal);
  if (!clock_stepped) CheckRetention(queue, now);
}

void DeletionModel::CheckRowsOf(const Batch& batch, Sqlite& queue) {
  for (int64_t task : batch.tasks) {
    FindRowsOfTask(queue, task, [&](const std::string& left) {
      report_(kDeletes,
              absl::StrCat("task ", task, " is deleted, and left are ", left));
    });
  }
}

void DeletionModel::CheckGone(int64_t id, const Batch& batch, Sqlite& queue,
                              const JournalModel& journal) {
  auto report = [&](const std::string& what) {
    report_(kDeletes, absl::StrCat("batch ", id, " is deleted, and ", what));
  };
  if (FirstOf(queue.Query("SELECT count(*) FROM batch WHERE id = ? "
                          "AND deleted_at IS NOT NULL AND deleting = 0 "
                          "AND template IS NULL AND request_id IS NOT NULL",
                          id)) != 1) {
    report("its row does not say so");
  }
  for (const std::string& table : TablesWith(queue, "batch")) {
    if (table == "journal" || table == "firing" || table == "need") continue;
    const int64_t left = RowsOf(queue, table, "batch", id);
    if (left != 0) report(absl::StrCat(left, " rows of ", table, " are left"));
  }
  if (FirstOf(queue.Query("SELECT count(*) FROM budget WHERE scope = 3 "
                          "AND ref = ?",
                          id)) != 0) {
    report("its budget is left");
  }
  CheckRowsOf(batch, queue);
  // Of its journal its end with all that it cost, and that it is deleted.
  SqliteStatement row = queue.Query(
      "SELECT count(*), sum(kind = 17), sum(kind = 60), sum(reserve_d), "
      "sum(charge_d), sum(over_d) FROM journal WHERE batch = ?",
      id);
  const bool there = row.Step();
  const JournalMoney left{row.Int(3), row.Int(4), row.Int(5)};
  if (!there || row.Int(0) != 2 || row.Int(1) != 1 || row.Int(2) != 1) {
    report(absl::StrCat(row.Int(0), " rows of the journal are left"));
  }
  if (left != journal.MoneyOf(id)) report("its journal says another sum");
}

// Of what was not deleted nothing is gone, and nothing that nobody has is left.
void DeletionModel::CheckKept(Sqlite& queue) {
  SqliteStatement row = queue.Query(
      "SELECT b.id, b.lines, (SELECT count(*) FROM task t "
      "WHERE t.batch = b.id) FROM batch b WHERE b.deleted_at IS NULL");
  while (row.Step()) {
    if (row.Int(1) == row.Int(2)) continue;
    report_(kDeletes, absl::StrCat("batch ", row.Int(0), " has ", row.Int(2),
                                   " of ", row.Int(1), " tasks"));
  }
  if (int64_t task = FirstOf(queue.Query(
          "SELECT t.id FROM task t LEFT JOIN template x ON x.id = t.template "
          "WHERE x.id IS NULL LIMIT 1"));
      task != 0) {
    report_(kDeletes, absl::StrCat("task ", task, " has lost its spec"));
  }
  if (int64_t batch = FirstOf(queue.Query(
          "SELECT b.id FROM batch b LEFT JOIN template x ON x.id = b.template "
          "WHERE b.deleted_at IS NULL AND x.id IS NULL LIMIT 1"));
      batch != 0) {
    report_(kDeletes, absl::StrCat("batch ", batch, " has lost its spec"));
  }
  // A retry's stays, and one that it shares.
  const int64_t nobodys = FirstOf(queue.Query(
      "SELECT x.id FROM template x WHERE NOT EXISTS (SELECT 1 FROM task t "
      "WHERE t.template = x.id) AND NOT EXISTS (SELECT 1 FROM batch b "
      "WHERE b.template = x.id) LIMIT 1"));
  if (nobodys != 0 && !any_retry_) {
    report_(kDeletes, absl::StrCat("spec ", nobodys, " is nobody's"));
  }
}

void DeletionModel::CheckSums(Sqlite& queue, const JournalModel& journal) {
  SqliteStatement row = queue.Query(
      "SELECT ifnull(sum(reserve_d), 0), ifnull(sum(charge_d), 0), "
      "ifnull(sum(over_d), 0) FROM journal");
  if (!row.Step()) return;
  const JournalMoney left{row.Int(0), row.Int(1), row.Int(2)};
  if (left == journal.money()) return;
  report_(kBalances, absl::StrCat("the journal adds up to ", left.charged,
                                  ", and did to ", journal.money().charged));
}

// What a rule lets go has gone.
void DeletionModel::CheckRetention(Sqlite& queue, absl::Time now) {
  if (!rules.any()) return;
  SqliteStatement row = queue.Query(
      "SELECT id, ended_at, queue FROM batch "
      "WHERE deleted_at IS NULL AND state = 4 ORDER BY ended_at DESC, id DESC");
  std::map<int64_t, int64_t> newer;
  while (row.Step()) {
    const absl::Time ended = absl::FromUnixMicros(row.Int(1));
    const int64_t before = newer[row.Int(2)]++;
    if (now - ended < kLookedAtWithin) continue;
    if (now - ended < rules.keep_for + kLookedAtWithin &&
        !(rules.keep_newest && before >= *rules.keep_newest)) {
      continue;
    }
    report_(kDeletes,
            absl::StrCat("batch ", row.Int(0), " is to go since it is ",
                         absl::FormatDuration(now - ended), " old"));
  }
}

void DeletionModel::CheckFiles(Sqlite& queue, const std::string& root,
                               const std::set<std::string>& of_singles) {
  files_.insert(of_singles.begin(), of_singles.end());
  std::set<std::string> kept;
  SqliteStatement row =
      queue.Query("SELECT id, line_blob, given, ending FROM task");
  while (row.Step()) AddFiles(row, 1, 2, 3, kept);
  auto is_there = [&](const std::string& name) {
    return std::filesystem::exists(
        absl::StrCat(root, "/", name.substr(0, 2), "/", name.substr(2)));
  };
  for (const std::string& name : kept) {
    if (!is_there(name)) {
      report_(kDeletes, absl::StrCat("a task has lost its file ", name));
    }
  }
  for (const std::string& name : files_) {
    if (kept.contains(name)) continue;
    counts_.Add("files of deleted tasks");
    if (is_there(name)) {
      report_(kDeletes, absl::StrCat(name, " is no task's, and is left"));
    }
  }
}

}  // namespace midwatch::sim
