#include "tests/sim/firing_model.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "tests/sim/violation.h"

namespace midwatch::sim {
namespace {

// The last times before the schedule has another rhythm may not have been seen.
constexpr absl::Duration kSeenWithin = absl::Minutes(4);

}  // namespace

// What fires in time overlaps nothing earlier of that schedule, where that is
// not wanted. One that is made again knows nothing of the one before.
void FiringModel::Open(const JournalRow& row, Sqlite& queue) {
  SqliteStatement opened =
      queue.Query("SELECT name FROM batch WHERE id = ?", row.batch);
  if (!opened.Step() || !absl::StartsWith(opened.Text(0), kTimetable)) return;
  const std::string name = opened.Text(0);
  const bool by_hand = absl::StrContains(name, "-run-");
  const bool busy =
      std::any_of(batches_.begin(), batches_.end(), [this](const auto& each) {
        return !each.second.done && each.second.life == lives_.size();
      });
  if (busy && !by_hand && times.overlap != v1::OVERLAP_POLICY_CANCEL_OLD) {
    report_(kFires, absl::StrCat(name, " overlaps an earlier one"));
  }
  if (!is_there_) report_(kFires, name + " is opened by what is deleted");
  batches_[row.batch] = {.name = name, .life = lives_.size()};
}

// By what the journal says of it.
void FiringModel::Change(const JournalRow& row) {
  const bool changes = absl::StrContains(row.why, ": changed");
  const bool pauses = absl::StrContains(row.why, ": paused");
  const bool resumes = absl::StrContains(row.why, ": resumed");
  if (is_there_ != (changes || pauses || resumes)) {
    report_(kFires, absl::StrCat("journal ", row.seq, ", ", row.why,
                                 is_there_ ? ": it is there already"
                                           : ": there is no such schedule"));
    return;
  }
  if (!is_there_) {
    lives_.push_back({.from = row.at});
    is_there_ = true;
    last_firing_ = 0;
    return;
  }
  Life& life = lives_.back();
  if (changes) {
    life.to = row.at;
    return;
  }
  const bool is_on = !life.pauses.empty() && !life.pauses.back().ended;
  if (pauses) {
    if (!is_on) life.pauses.push_back({.from = row.at});
    Pause& pause = life.pauses.back();
    const size_t until = row.why.find("until ");
    pause.until = absl::InfiniteFuture();
    if (until != row.why.npos) {
      std::string error;
      if (!absl::ParseTime(absl::RFC3339_full, row.why.substr(until + 6, 20),
                           &pause.until, &error)) {
        report_(kFires, absl::StrCat(row.why, ": ", error));
      }
    }
    return;
  }
  if (!is_on) return report_(kFires, "what was not paused is resumed");
  Pause& pause = life.pauses.back();
  const bool by_itself = absl::StrContains(row.why, "its time was over");
  if (by_itself) counts_.Add("pauses of schedules that ended");
  if (by_itself && row.at < pause.until) {
    report_(kFires, absl::StrCat(row.why, ", too early"));
  }
  if (!by_itself) pause.until = row.at;
  pause.ended = true;
}

void FiringModel::Delete(const JournalRow& row) {
  if (!is_there_) {
    return report_(kFires, absl::StrCat("journal ", row.seq, ", ", row.why,
                                        ": it is deleted already"));
  }
  counts_.Add("schedules deleted");
  ++deletes_;
  lives_.back().to = row.at;
  is_there_ = false;
}

// `before` it does not matter either.
bool FiringModel::Paused(const Life& life, absl::Time due,
                         absl::Duration before) {
  return std::any_of(life.pauses.begin(), life.pauses.end(),
                     [&](const Pause& pause) {
                       return pause.from - before < due && due < pause.until;
                     });
}

void FiringModel::Fold(const JournalRow& row, Sqlite& queue) {
  if (times.every == 0) return;
  switch (row.kind) {
    case JournalKind::kBatchOpened:
      return Open(row, queue);
    case JournalKind::kBatchDone:
      if (auto it = batches_.find(row.batch); it != batches_.end()) {
        it->second.done = true;
      }
      return;
    case JournalKind::kScheduleSet:
      return Change(row);
    case JournalKind::kScheduleDeleted:
      return Delete(row);
    case JournalKind::kFired: {
      counts_.Add("schedules fired");
      auto batch = batches_.find(row.batch);
      if (batch == batches_.end()) {
        report_(kFires, absl::StrCat("journal ", row.seq, ": batch ", row.batch,
                                     " is none of the schedule's"));
      } else {
        ++batch->second.fired;
      }
      return;
    }
    case JournalKind::kNotFired:
      counts_.Add("times of schedules without a batch");
      return;
    default:
      return;
  }
}

bool FiringModel::IsQuiet(Sqlite& queue) {
  SqliteStatement row =
      queue.Query("SELECT 1 FROM firing WHERE state IN (1, 2)");
  return !row.Step();
}

// A firing stays what it is of; what becomes of it is looked at in the end.
void FiringModel::Committed(Sqlite& queue) {
  if (times.every == 0 || !is_there_) return;
  Life& life = lives_.back();
  SqliteStatement row = queue.Query(
      "SELECT id, due, batch_name, ifnull(why, '') FROM firing "
      "WHERE id > ? AND NOT by_hand ORDER BY id",
      last_firing_);
  while (row.Step()) {
    last_firing_ = row.Int(0);
    const absl::Time due = absl::FromUnixMicros(row.Int(1));
    const std::string& name = row.Text(2);
    if (!life.dues.insert(due).second) {
      report_(kFires, absl::StrCat(name, " is there twice"));
    }
    life.sums_up |= absl::StrContains(row.Text(3), "times before it");
    if (clock_stepped) continue;
    if (due <= life.from) {
      report_(kFires, absl::StrCat(name, " is of a time before it was made"));
    }
    if (Paused(life, due, {})) {
      report_(kFires, absl::StrCat(name, " is of a time in a pause"));
    }
  }
}

void FiringModel::CheckFiring(const SqliteStatement& row) const {
  const std::string& name = row.Text(2);
  const auto state = static_cast<v1::FiringState>(row.Int(0));
  if (state != v1::FIRING_STATE_FIRED) {
    if (state == v1::FIRING_STATE_OPENING || state == v1::FIRING_STATE_QUEUED) {
      report_(kFires, absl::StrCat(name, " waits for ever"));
    }
    if (row.Text(3).empty()) report_(kFires, name + " says not why not");
    return;
  }
  auto batch = batches_.find(row.Int(1));
  if (batch == batches_.end()) {
    return report_(kFires, absl::StrCat(name, " has no batch"));
  }
  if (batch->second.name != name) {
    report_(kFires, absl::StrCat(name, " has ", batch->second.name));
  }
}

// Each time between the two is some firing's.
void FiringModel::CheckTimes(const Life& life) {
  if (clock_stepped || life.sums_up || life.to == absl::InfiniteFuture()) {
    return;
  }
  const absl::Duration rhythm = absl::Minutes(times.every);
  absl::Time due =
      absl::UnixEpoch() + absl::Ceil(life.from - absl::UnixEpoch(), rhythm);
  if (due == life.from) due += rhythm;
  for (; due < life.to - kSeenWithin; due += rhythm) {
    if (Paused(life, due, kSeenWithin)) continue;
    counts_.Add("times of schedules");
    if (!life.dues.contains(due)) {
      report_(kFires, absl::StrCat("nothing is known of ",
                                   absl::FormatTime(due, absl::UTCTimeZone())));
    }
  }
}

// Nothing of it is left but its batches.
void FiringModel::CheckGone(Sqlite& queue) {
  SqliteStatement row = queue.Query(
      "SELECT 'schedules', count(*) FROM schedule UNION ALL "
      "SELECT 'steps', count(*) FROM schedule_step UNION ALL "
      "SELECT 'firings', count(*) FROM firing");
  while (row.Step()) {
    if (row.Int(1) == 0) continue;
    report_(kFires, absl::StrCat("it is deleted, and ", row.Int(1), " ",
                                 row.Text(0), " are left"));
  }
}

void FiringModel::AtEnd(Sqlite& queue) {
  if (times.every == 0) return;
  {
    SqliteStatement row = queue.Query(
        "SELECT state, ifnull(batch, 0), batch_name, ifnull(why, '') "
        "FROM firing ORDER BY id");
    while (row.Step()) CheckFiring(row);
  }
  if (is_there_ && !ended_) report_(kFires, "it goes on");
  if (!is_there_) CheckGone(queue);
  if (deletes_ < deletes_told_) {
    report_(kKept, absl::StrCat("of ", deletes_told_, " deletions of it ",
                                deletes_, " were done"));
  }
  for (const Life& life : lives_) CheckTimes(life);
  for (const auto& [id, batch] : batches_) {
    if (batch.fired == 1) continue;
    report_(kFires, absl::StrCat("batch ", id, ", ", batch.name, ", is of ",
                                 batch.fired, " firings"));
  }
  for (int64_t batch : told_) {
    if (!batches_.contains(batch)) {
      report_(kFires, absl::StrCat("batch ", batch, " was fired, and is gone"));
    }
  }
  SqliteStatement row = queue.Query(
      "SELECT name, lines, state FROM batch WHERE name LIKE ? AND "
      "cancel_why IS NULL AND retry_of IS NULL",
      absl::StrCat(kTimetable, "%"));
  while (row.Step()) {
    if (row.Int(1) == times.lines) continue;
    report_(kFires, absl::StrCat(row.Text(0), " has ", row.Int(1), " of ",
                                 times.lines, " lines"));
  }
}

}  // namespace midwatch::sim
