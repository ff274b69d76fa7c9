// Schedules as clients and the scheduler read them.
#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "store/queue_reader.h"

namespace midwatch {
namespace {

#define MIDWATCH_SCHEDULE_COLUMNS                                        \
  "SELECT id, at, name, timing, changed_at, paused, pause_why, tenant, " \
  "queue, account, content_hash, lines, since FROM schedule "

ScheduleRecord ReadSchedule(const SqliteStatement& row) {
  ScheduleRecord schedule;
  schedule.key = {row.Int(0), row.Int(1) / 1000};
  schedule.at = absl::FromUnixMicros(row.Int(1));
  schedule.name = row.Text(2);
  schedule.timing.ParseFromString(row.Text(3));
  schedule.changed_at = absl::FromUnixMicros(row.Int(4));
  schedule.paused = row.Int(5) != 0;
  schedule.pause_until = PauseEndOf(row.Int(5));
  schedule.pause_reason = row.Text(6);
  schedule.tenant = row.Text(7);
  schedule.queue = row.Text(8);
  schedule.account = row.Text(9);
  schedule.content_sha256 = row.Text(10);
  schedule.lines = row.Int(11);
  schedule.since = absl::FromUnixMicros(row.Int(12));
  return schedule;
}

}  // namespace

FiringRecord ReadFiringRow(const SqliteStatement& row) {
  FiringRecord firing;
  firing.id = row.Int(0);
  firing.key = row.Text(1);
  firing.due = absl::FromUnixMicros(row.Int(2));
  firing.state = static_cast<v1::FiringState>(row.Int(3));
  firing.at = absl::FromUnixMicros(row.Int(4));
  firing.by_hand = row.Int(5) != 0;
  if (!row.IsNull(6)) firing.batch = RowKey{row.Int(6), row.Int(7) / 1000};
  firing.batch_name = row.Text(8);
  firing.why = row.Text(9);
  firing.revision = row.Int(10);
  return firing;
}

absl::Status SqliteReader::AddFirings(ScheduleRecord& schedule, int limit) {
  SqliteStatement row =
      queue_->Query("SELECT " MIDWATCH_FIRING_COLUMNS
                    " FROM firing f "
                    "LEFT JOIN batch b ON b.id = f.batch "
                    "WHERE f.schedule = ? ORDER BY f.id DESC LIMIT ?",
                    schedule.key.row, limit);
  while (row.Step()) schedule.firings.push_back(ReadFiringRow(row));
  return row.status();
}

absl::StatusOr<ScheduleRecord> SqliteReader::FindSchedule(
    const std::string& name, int firings) {
  ScheduleRecord schedule;
  {
    SqliteStatement row =
        queue_->Query(MIDWATCH_SCHEDULE_COLUMNS "WHERE name = ?", name);
    if (!row.Step()) {
      RETURN_IF_ERROR(row.status());
      return absl::NotFoundError(
          absl::StrCat("there is no schedule named '", name, "'"));
    }
    schedule = ReadSchedule(row);
  }
  RETURN_IF_ERROR(AddFirings(schedule, firings));
  return schedule;
}

absl::StatusOr<RowPage<ScheduleRecord>> SqliteReader::ListSchedules(
    int64_t after, int limit) {
  RowPage<ScheduleRecord> page;
  {
    SqliteStatement row = queue_->Query(MIDWATCH_SCHEDULE_COLUMNS
                                        "WHERE id > ? ORDER BY id LIMIT ?",
                                        after, limit);
    while (row.Step()) page.rows.push_back(ReadSchedule(row));
    RETURN_IF_ERROR(row.status());
  }
  for (ScheduleRecord& schedule : page.rows) {
    RETURN_IF_ERROR(AddFirings(schedule, 1));
  }
  if (page.rows.size() == static_cast<size_t>(limit)) {
    page.next = page.rows.back().key.row;
  }
  return page;
}

absl::StatusOr<v1::SubmitBatchRequest> SqliteReader::ReadScheduleStep(
    int64_t schedule, int64_t revision, int64_t k) {
  SqliteStatement row = queue_->Query(
      "SELECT step FROM schedule_step WHERE schedule = ? AND revision = ? "
      "AND k = ?",
      schedule, revision, k);
  v1::SubmitBatchRequest step;
  if (row.Step() && step.ParseFromString(row.Text(0))) return step;
  RETURN_IF_ERROR(row.status());
  return absl::NotFoundError("the schedule has no such step");
}

absl::StatusOr<std::vector<int64_t>> SqliteReader::ListAwakeSchedules() {
  SqliteStatement row =
      queue_->Query("SELECT id FROM schedule WHERE awake != 0 ORDER BY id");
  std::vector<int64_t> result;
  while (row.Step()) result.push_back(row.Int(0));
  RETURN_IF_ERROR(row.status());
  return result;
}

}  // namespace midwatch
