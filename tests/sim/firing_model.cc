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

// What fires in time overlaps nothing earlier, where that is not wanted.
void FiringModel::Open(const JournalRow& row, Sqlite& queue) {
  SqliteStatement opened =
      queue.Query("SELECT name FROM batch WHERE id = ?", row.batch);
  if (!opened.Step() || !absl::StartsWith(opened.Text(0), kTimetable)) return;
  const std::string name = opened.Text(0);
  const bool by_hand = absl::StrContains(name, "-run-");
  const bool busy =
      std::any_of(batches_.begin(), batches_.end(),
                  [](const auto& each) { return !each.second.done; });
  if (busy && !by_hand && times.overlap != v1::OVERLAP_POLICY_CANCEL_OLD) {
    report_(kFires, absl::StrCat(name, " overlaps an earlier one"));
  }
  batches_[row.batch].name = name;
}

// By what the journal says of it.
void FiringModel::Change(const JournalRow& row) {
  const bool is_on = !pauses_.empty() && !pauses_.back().ended;
  if (absl::StrContains(row.why, ": paused")) {
    if (!is_on) pauses_.push_back({.from = row.at});
    Pause& pause = pauses_.back();
    const size_t until = row.why.find("until ");
    pause.until = absl::InfiniteFuture();
    if (until != row.why.npos) {
      std::string error;
      if (!absl::ParseTime(absl::RFC3339_full, row.why.substr(until + 6, 20),
                           &pause.until, &error)) {
        report_(kFires, absl::StrCat(row.why, ": ", error));
      }
    }
  } else if (absl::StrContains(row.why, ": resumed")) {
    if (!is_on) return report_(kFires, "what was not paused is resumed");
    const bool by_itself = absl::StrContains(row.why, "its time was over");
    if (by_itself) counts_.Add("pauses of schedules that ended");
    if (by_itself && row.at < pauses_.back().until) {
      report_(kFires, absl::StrCat(row.why, ", too early"));
    }
    if (!by_itself) pauses_.back().until = row.at;
    pauses_.back().ended = true;
  } else {
    from_ = std::min(from_, row.at);
    to_ = std::max(to_, row.at);
  }
}

// `before` it does not matter either.
bool FiringModel::Paused(absl::Time due, absl::Duration before) const {
  return std::any_of(pauses_.begin(), pauses_.end(), [&](const Pause& pause) {
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
    case JournalKind::kFired:
      counts_.Add("schedules fired");
      if (!batches_.contains(row.batch)) {
        report_(kFires, absl::StrCat("journal ", row.seq, ": batch ", row.batch,
                                     " is none of the schedule's"));
      }
      return;
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

void FiringModel::CheckFiring(const SqliteStatement& row) {
  const std::string& name = row.Text(3);
  const auto state = static_cast<v1::FiringState>(row.Int(1));
  if (row.Int(5) == 0) {
    if (!dues_.insert(absl::FromUnixMicros(row.Int(0))).second) {
      report_(kFires, absl::StrCat(name, " is there twice"));
    }
    sums_up_ |= absl::StrContains(row.Text(4), "times before it");
    if (!clock_stepped && Paused(absl::FromUnixMicros(row.Int(0)), {})) {
      report_(kFires, absl::StrCat(name, " is of a time in a pause"));
    }
  }
  if (state != v1::FIRING_STATE_FIRED) {
    if (state == v1::FIRING_STATE_OPENING || state == v1::FIRING_STATE_QUEUED) {
      report_(kFires, absl::StrCat(name, " waits for ever"));
    }
    if (row.Text(4).empty()) report_(kFires, name + " says not why not");
    return;
  }
  auto batch = batches_.find(row.Int(2));
  if (batch == batches_.end()) {
    return report_(kFires, absl::StrCat(name, " has no batch"));
  }
  ++batch->second.fired;
  if (batch->second.name != name) {
    report_(kFires, absl::StrCat(name, " has ", batch->second.name));
  }
}

// Each time between the two is some firing's.
void FiringModel::CheckTimes() {
  if (clock_stepped || sums_up_ || !ended_) return;
  const absl::Duration rhythm = absl::Minutes(times.every);
  absl::Time due =
      absl::UnixEpoch() + absl::Ceil(from_ - absl::UnixEpoch(), rhythm);
  if (due == from_) due += rhythm;
  for (; due < to_ - kSeenWithin; due += rhythm) {
    if (Paused(due, kSeenWithin)) continue;
    counts_.Add("times of schedules");
    if (!dues_.contains(due)) {
      report_(kFires, absl::StrCat("nothing is known of ",
                                   absl::FormatTime(due, absl::UTCTimeZone())));
    }
  }
}

void FiringModel::AtEnd(Sqlite& queue) {
  if (times.every == 0) return;
  {
    SqliteStatement row = queue.Query(
        "SELECT due, state, ifnull(batch, 0), batch_name, ifnull(why, ''), "
        "by_hand FROM firing ORDER BY id");
    while (row.Step()) CheckFiring(row);
  }
  CheckTimes();
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
