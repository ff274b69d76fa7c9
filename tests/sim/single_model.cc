#include "tests/sim/single_model.h"

#include <algorithm>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "tests/sim/deleted_rows.h"
#include "tests/sim/violation.h"

namespace midwatch::sim {
namespace {

int64_t HourOf(absl::Time at) {
  return absl::ToUnixMicros(at) / int64_t{3'600'000'000};
}

}  // namespace

void SingleModel::Opened(Sqlite& queue) {
  for (const auto& [id, at] : gone_) {
    if (FirstOf(queue.Query("SELECT id FROM task WHERE id = ?", id)) == 0) {
      continue;
    }
    report_(kKept, absl::StrCat("task ", id, " was deleted, and is there"));
  }
}

void SingleModel::Fold(const JournalRow& row, Sqlite& queue) {
  if (row.batch != 0) return;
  JournalMoney& money = by_hour_[HourOf(row.at)];
  money.reserved += row.reserved;
  money.charged += row.charged;
  money.over += row.over;
  if (row.kind == JournalKind::kTasksDeleted) return Mark(row, queue);
  if (row.task == 0) return;
  if (row.kind == JournalKind::kSubmitted) Submitted(row, queue);
  if (gone_.contains(row.task)) {
    report_(kDeletes,
            absl::StrCat("task ", row.task, " is deleted, and journal ",
                         row.seq, " is of it"));
  }
  Task& task = tasks_[row.task];
  task.last = row.at;
  switch (row.kind) {
    case JournalKind::kSessionRecorded:
      task.sessions.insert(row.why);
      return;
    case JournalKind::kSettled:
    case JournalKind::kCancelled:
    case JournalKind::kSkipped:
    case JournalKind::kExpired:
      return End(row, task, queue);
    default:
      return;
  }
}

void SingleModel::Submitted(const JournalRow& row, Sqlite& queue) {
  if (tasks_.contains(row.task)) {
    report_(kKept,
            absl::StrCat("the number of task ", row.task, " came again"));
  }
  Task& task = tasks_[row.task];
  SqliteStatement found = queue.Query(
      "SELECT ifnull(t.retry_of, 0), ifnull(o.batch, 0) FROM task t "
      "LEFT JOIN task o ON o.id = t.retry_of WHERE t.id = ?",
      row.task);
  if (!found.Step()) return;
  task.retry_of = found.Int(0);
  task.batch = found.Int(1);
  if (auto old = tasks_.find(task.retry_of); old != tasks_.end()) {
    task.batch = old->second.batch;
  }
  if (task.retry_of != 0) return;
  ++submitted_;
  counts_.Add("single tasks submitted");
}

void SingleModel::End(const JournalRow& row, Task& task, Sqlite& queue) {
  task.over = true;
  task.ended = row.at;
  SqliteStatement left = queue.Query(
      "SELECT line_blob, given, ending FROM task WHERE id = ?", row.task);
  if (left.Step()) AddFiles(left, 0, 1, 2, task.files);
}

void SingleModel::Mark(const JournalRow& row, Sqlite& queue) {
  int64_t told = 0;
  if (!absl::SimpleAtoi(row.why.substr(0, row.why.find(' ')), &told)) {
    report_(kDeletes, absl::StrCat("how many: ", row.why));
  }
  told_ += told;
  std::set<int64_t> there;
  SqliteStatement task = queue.Query("SELECT id FROM task WHERE batch = 0");
  while (task.Step()) there.insert(task.Int(0));
  std::vector<int64_t> going;
  for (const auto& [id, each] : tasks_) {
    if (!gone_.contains(id) && !there.contains(id)) going.push_back(id);
  }
  for (int64_t id : going) CheckMayGo(row, id, queue);
  for (int64_t id : going) {
    const Task& each = tasks_[id];
    gone_[id] = row.at;
    if (each.retry_of == 0) ++gone_originals_;
    files_.insert(each.files.begin(), each.files.end());
    counts_.Add("single tasks deleted by a rule");
    if (each.retry_of != 0) counts_.Add("single retries deleted by a rule");
  }
  // What a rule lets go and something else keeps.
  for (const auto& [id, each] : tasks_) {
    absl::Time since;
    if (gone_.contains(id) || !each.over) continue;
    if (row.at - each.ended <= rules.keep_for && !IsTooMany(id, row.at)) {
      continue;
    }
    if (HasToStay(id, queue, since)) {
      counts_.Add("single tasks kept for others");
    }
  }
  if (on_deleted) on_deleted();
}

void SingleModel::CheckMayGo(const JournalRow& row, int64_t id, Sqlite& queue) {
  const Task& task = tasks_[id];
  auto report = [&](const std::string& why) {
    report_(kDeletes, absl::StrCat("task ", id, " is deleted, and ", why));
  };
  if (!task.over) report("is not over");
  if (FirstOf(queue.Query("SELECT n.task FROM need n JOIN task t "
                          "ON t.id = n.task WHERE n.need = ? AND n.open != 0 "
                          "AND t.state < 6 LIMIT 1",
                          id)) != 0) {
    report("a task needs it");
  }
  if (FirstOf(queue.Query("SELECT id FROM task WHERE retry_of = ? LIMIT 1",
                          id)) != 0) {
    report("a retry of it is there");
  }
  for (const std::string& session : task.sessions) {
    if (!is_archived(session)) {
      report(absl::StrCat("its session ", session, " is not archived"));
    }
  }
  if (task.batch != 0 && is_open(task.batch)) {
    report(absl::StrCat("does a task of batch ", task.batch,
                        ", which is not over"));
  }
  if (!absl::EndsWith(row.why, absl::StrCat(": ", kByRule)))
    report("not by a rule");
  if (clock_stepped) return;
  if (FirstOf(queue.Query("SELECT count(*) FROM unique_key WHERE task = ? "
                          "AND until > ?",
                          id, absl::ToUnixMicros(row.at))) != 0) {
    report("holds its key for longer");
  }
  if (row.at - task.ended <= rules.keep_for && !IsTooMany(id, row.at)) {
    report("no rule lets it go");
  }
}

// Beside those that ended after it and `before`, which may be gone since it was
// decided. All are of one queue.
bool SingleModel::IsTooMany(int64_t id, absl::Time before) const {
  if (!rules.keep_newest) return false;
  const Task& task = tasks_.at(id);
  return *rules.keep_newest <=
         std::count_if(tasks_.begin(), tasks_.end(), [&](const auto& each) {
           return each.second.over && each.second.ended >= task.ended &&
                  each.second.ended <= before && each.first != id;
         });
}

void SingleModel::ToldDeleted(int64_t task) {
  if (gone_.contains(task)) return;
  report_(kKept, absl::StrCat("task ", task, " is said to be deleted"));
}

void SingleModel::ToldOf(int64_t task) {
  if (tasks_.contains(task)) return;
  report_(kKept, absl::StrCat("task ", task, " was acknowledged, and is none"));
}

bool SingleModel::AllOver() const {
  return std::all_of(tasks_.begin(), tasks_.end(),
                     [](const auto& each) { return each.second.over; });
}

void SingleModel::AtEnd(Sqlite& queue, absl::Time now) {
  Opened(queue);
  for (const auto& [id, at] : gone_) {
    FindRowsOfTask(queue, id, [&, task = id](const std::string& left) {
      report_(kDeletes,
              absl::StrCat("task ", task, " is deleted, and left are ", left));
    });
    // Delays, answers, needs and expiries.
    if (FirstOf(queue.Query("SELECT count(*) FROM timer WHERE ref = ? "
                            "AND kind IN (1, 3, 8, 9, 12)",
                            id)) != 0) {
      report_(kDeletes, absl::StrCat("task ", id, " is deleted, and due"));
    }
  }
  if (told_ != static_cast<int64_t>(gone_.size())) {
    report_(kDeletes, absl::StrCat(gone_.size(),
                                   " tasks are deleted, and the "
                                   "journal tells of ",
                                   told_));
  }
  CheckHours(queue);
  CheckLabels(queue);
  if (!clock_stepped) CheckRetention(queue, now);
}

// A task is found by the labels that it has.
void SingleModel::CheckLabels(Sqlite& queue) {
  SqliteStatement task =
      queue.Query("SELECT id, ifnull(labels, '') FROM task WHERE batch = 0");
  while (task.Step()) {
    std::string found;
    SqliteStatement label = queue.Query(
        "SELECT l.name FROM task_label x JOIN label l ON l.id = x.label "
        "WHERE x.task = ? ORDER BY l.name",
        task.Int(0));
    while (label.Step()) absl::StrAppend(&found, label.Text(0), "\n");
    if (found == task.Text(1)) continue;
    report_(kKept, absl::StrCat("task ", task.Int(0), " has the labels ",
                                task.Text(1), ", and is found by ", found));
  }
}

// What deleted ones cost stays in its hour.
void SingleModel::CheckHours(Sqlite& queue) {
  std::map<int64_t, JournalMoney> left;
  SqliteStatement row = queue.Query(
      "SELECT at, ifnull(reserve_d, 0), ifnull(charge_d, 0), "
      "ifnull(over_d, 0) FROM journal WHERE ifnull(batch, 0) = 0");
  while (row.Step()) {
    JournalMoney& money = left[HourOf(absl::FromUnixMicros(row.Int(0)))];
    money.reserved += row.Int(1);
    money.charged += row.Int(2);
    money.over += row.Int(3);
  }
  for (const auto& [hour, money] : by_hour_) {
    if (left[hour] == money) continue;
    report_(kBalances,
            absl::StrCat("single tasks of hour ", hour, " cost ", money.charged,
                         ", and now ", left[hour].charged));
  }
}

// And `since` when it has not, where that is later.
bool SingleModel::HasToStay(int64_t id, Sqlite& queue,
                            absl::Time& since) const {
  const Task& task = tasks_.at(id);
  for (const auto& [other, each] : tasks_) {
    if (each.retry_of != id) continue;
    auto gone = gone_.find(other);
    if (gone == gone_.end()) return true;
    since = std::max(since, gone->second);
  }
  since = std::max(since, absl::FromUnixMicros(FirstOf(queue.Query(
                              "SELECT ifnull(max(until), 0) FROM unique_key "
                              "WHERE task = ?",
                              id))));
  return (task.batch != 0 && is_open(task.batch)) ||
         FirstOf(queue.Query("SELECT count(*) FROM errand WHERE task = ?",
                             id)) != 0;
}

// What a rule lets go has gone.
void SingleModel::CheckRetention(Sqlite& queue, absl::Time now) {
  if (!rules.any()) return;
  const absl::Time looked = now - kLookedAtWithin;
  for (const auto& [id, task] : tasks_) {
    absl::Time since = task.last;
    if (gone_.contains(id) || HasToStay(id, queue, since)) continue;
    const bool old = task.ended + rules.keep_for < looked;
    if (since > looked || (!old && !IsTooMany(id, looked))) continue;
    report_(kDeletes,
            absl::StrCat("task ", id, " is to go since it is ",
                         absl::FormatDuration(now - task.ended), " old"));
  }
}

}  // namespace midwatch::sim
