// What falls due: each timer is fired in its turn, a bounded number with each
// write.
//
// One that cannot be fired (a row of its task is damaged, say) fails the write.
// Whoever is to go on says it again with `apart`: then each is fired in a
// savepoint of its own, and what fails is put off, so that the others are not
// held up by it.
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "base/status_macros.h"
#include "store/queue_writer.h"

namespace midwatch {
namespace {

// Bounds the time of one write; the rest is due at once.
constexpr int kTimersPerWrite = 500;
constexpr int kNeedsPerWrite = 200;

// For a person to look at its reason meanwhile.
constexpr int64_t kPutOffMicros = int64_t{3600} * 1'000'000;

}  // namespace

absl::StatusOr<TimersFired> QueueWriter::Do(const FireTimers& write) {
  const int64_t now = NowMicros();
  std::vector<Timer> due;
  TimersFired result;
  {
    SqliteStatement row = db_.Query(
        "SELECT at, kind, ref FROM timer ORDER BY at, kind, ref LIMIT ?",
        kTimersPerWrite);
    while (row.Step() && row.Int(0) <= now) {
      due.push_back({row.Int(0), row.Int(1), row.Int(2)});
    }
    RETURN_IF_ERROR(row.status());
  }
  int room = kNeedsPerWrite;
  for (const Timer& timer : due) {
    RETURN_IF_ERROR(write.apart ? FireApart(timer, room, result)
                                : Fire(timer, room, result));
  }
  result.fired = static_cast<int>(due.size());
  needs_met_ = false;  // `next` says it
  SqliteStatement row = db_.Query("SELECT at FROM timer ORDER BY at LIMIT 1");
  if (row.Step()) result.next = absl::FromUnixMicros(row.Int(0));
  RETURN_IF_ERROR(row.status());
  return result;
}

absl::Status QueueWriter::FireApart(const Timer& timer, int& room,
                                    TimersFired& result) {
  const TimersFired before = result;
  const int room_before = room;
  RETURN_IF_ERROR(db_.Run("SAVEPOINT timer"));
  const absl::Status fired = Fire(timer, room, result);
  if (!fired.ok()) {
    // Of no timer alone, such as a full disk: all are tried again soon.
    if (db_.autocommit() || absl::IsUnavailable(fired)) return fired;
    RETURN_IF_ERROR(db_.Run("ROLLBACK TO timer"));
    Forget();
    result = before;
    room = room_before;
    result.put_off.push_back(absl::StrCat("timer of kind ", timer.kind, " of ",
                                          timer.ref, ": ", fired.message()));
    RETURN_IF_ERROR(DropTimer(timer));
    RETURN_IF_ERROR(
        db_.Run("INSERT INTO timer(at, kind, ref) VALUES (?, ?, ?) "
                "ON CONFLICT DO NOTHING",
                NowMicros() + kPutOffMicros, timer.kind, timer.ref));
  }
  return db_.Run("RELEASE timer");
}

absl::Status QueueWriter::DropTimer(const Timer& timer) {
  return db_.Run("DELETE FROM timer WHERE at = ? AND kind = ? AND ref = ?",
                 timer.at, timer.kind, timer.ref);
}

absl::Status QueueWriter::Fire(const Timer& timer, int& room,
                               TimersFired& result) {
  if (timer.kind == kNeedTimer) {
    // What there is no room for stays due.
    if (room == 0) return absl::OkStatus();
    ASSIGN_OR_RETURN(bool all, MeetNeeds(timer.ref, room, result));
    return all ? DropTimer(timer) : absl::OkStatus();
  }
  RETURN_IF_ERROR(DropTimer(timer));
  switch (timer.kind) {
    case kWindowTimer:
      return BeginWindow(timer.ref);
    case kAccountTimer:
      return FireAccountTimer(timer.ref, timer.at);
    case kQueueTimer:
      return FireQueueTimer(timer.ref, timer.at);
    case kBatchTimer:
      return FireBatchTimer(timer.ref, timer.at);
    case kScheduleTimer:
      result.schedules.push_back(timer.ref);
      return FireScheduleTimer(timer.ref, timer.at);
    case kAnswerTimer:
      return GiveUpWaiting(timer.ref, timer.at);
    case kExpiryTimer:
      return Expire(timer.ref, timer.at, result);
    case kRiskTimer:
      return LookForRisk(timer.ref);
    case kHookTimer:
      result.hooks_due = true;
      return absl::OkStatus();
    case kBlockedTimer:
      return LookAtBlocked(timer.ref, result);
    case kReadyTimer:
      return FireReadyTimer(timer.ref, timer.at);
    default:
      return absl::DataLossError(absl::StrCat("a timer of kind ", timer.kind));
  }
}

absl::Status QueueWriter::FireReadyTimer(int64_t task, int64_t at) {
  absl::StatusOr<TaskRow> found = LoadTask(task);
  if (absl::IsNotFound(found.status())) return absl::OkStatus();  // deleted
  RETURN_IF_ERROR(found.status());
  // The timer may have been put off, and the delay changed since.
  const bool waits = found->state == v1::TASK_STATE_QUEUED &&
                     !found->rank.has_value() &&
                     found->not_before.value_or(at) <= at;
  return waits ? BeginAnother(*found, at) : absl::OkStatus();
}

}  // namespace midwatch
